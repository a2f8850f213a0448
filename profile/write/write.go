package write

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	mrand "math/rand/v2"
	"slices"
	"time"

	"kith/domain"
	"kith/fault"
	"kith/profile/change"
	"kith/profile/fingerprint"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// Writer changes profiles.
type Writer struct {
	Store store.Store
	Feed  *change.Feed
	// Lookup returns a living domain, no more than a few seconds old.
	Lookup func(ctx context.Context, name string) (*domain.Record, error)
	Now    func() time.Time
	// Settle takes the open links of a profile to where their merges stand.
	Settle func(ctx context.Context, rec *domain.Record, id fold.ID) error
	// Patience is how long a claim of another call is waited for before it is adopted. 0: 10 s.
	Patience time.Duration
	// GiveUp is how long a call makes attempts while others are faster each time. 0: 20 s.
	GiveUp time.Duration
	// Quotas bound what a profile owns.
	Quotas Quotas
}

// Result is what a write has done.
type Result struct {
	ID      fold.ID // the profile that was changed, or its main one
	Created bool    // the profile is new
	Time    int64   // of the write, in microseconds; 0: there was nothing to do

	row *change.Row // of a write that need not be durable yet
}

// Sync has a lazy write durable, and all writes of this process before it.
func (w *Writer) Sync(ctx context.Context, rec *domain.Record, r Result) error {
	if r.row == nil {
		return nil
	}
	return w.Feed.Sync(ctx, rec.Incarnation, r.row)
}

// errAgain says that an attempt has to start over: something has changed since it read.
var errAgain = errors.New("to be started over")

// errNothing is a Rule's answer when there is nothing to change. It is no error of the call.
var errNothing = errors.New("nothing to change")

// errLost is the error of a call that has lost to others for too long. Its first words are those by which clients know that they may try
// again.
func errLost() error {
	return fault.BadRequestf("concurrent update in-progress: others change the same profile or bring the same keys. Nothing was written. Try again.")
}

// call is one call, whatever attempts it takes.
type call struct {
	*Writer
	name string
	by   string
	row  change.Row  // what was announced last
	old  *change.Row // announced by an attempt that is over
	// sealed is the seal that refused an announcement.
	sealed int64
	// keys are the index partitions of which an attempt may have put a row of class 'a', and bodies what it may have put, for id.
	keys, bodies map[string]bool
	id           fold.ID
	touched      bool     // an attempt may have put some of them
	claims       []string // may be held
	taken        index.Taken
	attempts     uint32
	pending      *change.Pending // of the attempt, with a change.Local
	hold         *index.Hold     // of the attempt, with a change.Local
	salt         uint32
	lazy         bool // the write need not be durable on return
}

func (w *Writer) newCall(name, by string) *call {
	c := &call{name: name, by: by}
	var salt [4]byte
	_, _ = rand.Read(c.row.Call[:])
	_, _ = rand.Read(salt[:])
	c.salt = binary.BigEndian.Uint32(salt[:])
	own := *w
	own.Settle = c.settleOpen(w.Settle)
	c.Writer = &own
	return c
}

// nextAttempt returns a number that no other attempt at the same profile and time has, but for one in four billion pairs of nodes.
func (c *call) nextAttempt() uint32 {
	c.attempts++
	return c.salt + c.attempts
}

// The pauses between attempts; where these are slow, as on a busy cluster, a pause may be three times as long as one of them.
const (
	firstPause = time.Millisecond
	maxPause   = 100 * time.Millisecond
)

// run makes attempts until one ends otherwise than with errAgain, or it has lost for too long.
func (c *call) run(ctx context.Context, attempt func(ctx context.Context, rec *domain.Record) (Result, error)) (Result, error) {
	patience := c.GiveUp
	if patience == 0 {
		patience = 20 * time.Second
	}
	for began, at, pause := time.Now(), time.Now(), firstPause; ; at = time.Now() {
		rec, err := c.Lookup(ctx, c.name)
		if err != nil {
			return Result{}, err
		}
		r, err := c.attempt(ctx, rec, attempt)
		longest := max(maxPause, 3*time.Since(at)) // where attempts take long, those of many callers need room between them
		if errors.Is(err, errNothing) {
			err = nil
		}
		if !errors.Is(err, errAgain) && !errors.Is(err, change.ErrSealed) {
			return r, c.end(context.WithoutCancel(ctx), rec.Incarnation, err)
		}
		if time.Since(began) > patience {
			return Result{}, c.end(context.WithoutCancel(ctx), rec.Incarnation, errLost())
		}
		select {
		case <-ctx.Done():
			err := fmt.Errorf("change a profile that many change: %w", ctx.Err())
			return Result{}, c.end(context.WithoutCancel(ctx), rec.Incarnation, err)
		case <-time.After(mrand.N(pause) + pause/2):
		}
		pause = min(2*pause, longest)
	}
}

// attempt makes one attempt. With a change.Local it is under way from here on, until it is visible or over.
func (c *call) attempt(ctx context.Context, rec *domain.Record, attempt func(ctx context.Context, rec *domain.Record) (Result, error)) (r Result, err error) {
	if c.Feed.Local != nil {
		if c.pending, err = c.Feed.Begin(ctx, rec.Incarnation); err != nil {
			return Result{}, err
		}
		defer c.over()
		inc := rec.Incarnation
		if rec, err = c.Lookup(ctx, c.name); err != nil { // whoever waits for writes under way has changed it before
			return Result{}, err
		}
		if rec.Incarnation != inc {
			return Result{}, errAgain
		}
	}
	return attempt(ctx, rec)
}

// over lets others go on that wait for the attempt.
func (c *call) over() {
	c.hold.Release()
	c.pending.End()
}

// keep has no other call of this process do anything with some index partitions until the attempt is over, or visible.
func (c *call) keep(inc store.Incarnation, parts ...string) {
	if local := c.Feed.Local; local != nil {
		c.hold = local.Holds.Take(inc, parts)
	}
}

// settleOpen is Writer.Settle for an attempt. What that writes takes its time, so the attempt gives up what it holds, and starts over.
func (c *call) settleOpen(settle func(ctx context.Context, rec *domain.Record, id fold.ID) error) func(ctx context.Context, rec *domain.Record, id fold.ID) error {
	return func(ctx context.Context, rec *domain.Record, id fold.ID) error {
		held := c.hold.Release()
		if held {
			c.pending.End()
		}
		if err := settle(ctx, rec, id); err != nil || !held {
			return err
		}
		return errAgain
	}
}

// end gives up what the call holds. What it can't give up is left to whoever settles its row.
func (c *call) end(ctx context.Context, inc store.Incarnation, err error) error {
	if errors.Is(err, store.ErrUnknown) { // its last attempt may yet happen
		return err
	}
	gaveUp := index.Claims{Store: c.Store}.Release(ctx, inc, c.claims, c.row.Call, c.taken)
	if err != nil && gaveUp == nil && c.old != nil && !c.touched { // it announces nothing
		_ = c.Feed.Withdraw(ctx, inc, c.old)
	}
	return err
}

// Change changes a profile by its id; one that was merged leads to the main one. by is who asked for it.
func (w *Writer) Change(ctx context.Context, domain, by string, id fold.ID, rule Rule) (Result, error) {
	return w.change(ctx, domain, by, func() fold.ID { return id }, nil, rule)
}

// Create makes a profile. Two calls make two.
func (w *Writer) Create(ctx context.Context, domain, by string, rule Rule) (Result, error) {
	return w.change(ctx, domain, by, w.NewID, nil, rule)
}

// DeleteObject deletes an object of a profile, or of a member of it.
func (w *Writer) DeleteObject(ctx context.Context, domain, by string, id fold.ID, objectType string, incarnation uint64, uniqueKey string) (Result, error) {
	pick := func(p *Person) (*rows, error) {
		now := w.Now().UnixMicro()
		for _, r := range p.all {
			h, err := r.look()
			if err != nil {
				return nil, err
			}
			if o, ok := h.Object(objectType, incarnation, fold.HashObject(uniqueKey)); ok && o.Expires > now {
				return r, nil
			}
		}
		return p.rows, nil
	}
	return w.change(ctx, domain, by, func() fold.ID { return id }, pick, func(ctx context.Context, d *Draft) error {
		if err := d.FindProfile(id); err != nil {
			return err
		}
		return d.DeleteObject(ctx, objectType, incarnation, uniqueKey)
	})
}

// DeleteKeys deletes keys that were added by hand to a profile or to a member of it. It is no error when there are none.
func (w *Writer) DeleteKeys(ctx context.Context, domain, by string, id fold.ID, keys []index.Key, detail string) error {
	for {
		left := false
		pick := func(p *Person) (*rows, error) {
			var found *rows
			for _, r := range p.all {
				h, err := r.look()
				if err != nil {
					return nil, err
				}
				if slices.ContainsFunc(h.Keys, func(k index.Key) bool { return slices.Contains(keys, k) }) {
					left = found != nil
					found = r
				}
			}
			if found == nil {
				found = p.rows
			}
			return found, nil
		}
		_, err := w.change(ctx, domain, by, func() fold.ID { return id }, pick, func(_ context.Context, d *Draft) error {
			if err := d.FindProfile(id); err != nil {
				return err
			}
			d.DeleteKeys(keys)
			d.Note(DeletedKey, "", "", detail)
			return nil
		})
		if err != nil || !left {
			return err
		}
	}
}

// NewID mints the id of a profile: a UUIDv7.
func (w *Writer) NewID() (id fold.ID) {
	_, _ = rand.Read(id[:])
	ms := uint64(w.Now().UnixMilli())
	binary.BigEndian.PutUint64(id[:8], ms<<16|0x7000|uint64(id[6]&0xf)<<8|uint64(id[7]))
	id[8] = id[8]&0x3f | 0x80
	return id
}

func (w *Writer) change(ctx context.Context, name, by string, id func() fold.ID, pick func(*Person) (*rows, error), rule Rule) (Result, error) {
	c := w.newCall(name, by)
	want := id()
	return c.run(ctx, func(ctx context.Context, rec *domain.Record) (Result, error) {
		p, err := w.read(ctx, rec, want)
		if err != nil {
			return Result{}, err
		}
		target := p.rows
		if pick != nil {
			if target, err = pick(p); err != nil {
				return Result{}, err
			}
		}
		return c.write(ctx, &plan{rec: rec, person: p, target: target, rule: rule})
	})
}

// plan is one attempt.
type plan struct {
	rec    *domain.Record
	person *Person
	target *rows
	rule   Rule
	// creates says that resolution has found no profile.
	creates bool
	// claims are what verify takes, once the change row stands; and it says whether what resolution found still holds.
	claims []string
	verify func(ctx context.Context) error
	// moves is the index partition of the key of an object that was not there before, so that it may be elsewhere as well; the write is
	// later than after.
	moves string
	after int64
}

// write takes an attempt from its rule to its end.
func (c *call) write(ctx context.Context, pl *plan) (Result, error) {
	d, err := c.draft(pl, c)
	if err != nil {
		return Result{}, err
	}
	if err := pl.rule(ctx, d); err != nil {
		return Result{}, err
	}
	if pl.target.deleted() {
		return Result{}, fault.NotFoundf("Profile %s is not found in domain %s.", pl.person.ID(), pl.rec.Name)
	}
	g, err := c.group(ctx, pl, d)
	if err != nil {
		return Result{}, err
	}
	if c.pending != nil {
		c.enclose(pl, d, &g)
	} else if err := c.announce(ctx, pl, d); err != nil {
		return Result{}, err
	}
	if pl.verify != nil {
		if err := pl.verify(ctx); err != nil {
			return Result{}, err
		}
	}
	if err := c.commit(ctx, pl, d, g); err != nil {
		return Result{}, err
	}
	r := Result{ID: pl.person.ID(), Created: !pl.person.Visible(), Time: d.Time}
	if c.lazy {
		r.row = &c.row
	}
	return r, nil
}

// maxHead bounds a head, which every write to its profile rewrites. 1,000 objects with three keys and their own each take 96 KB.
const maxHead = 1 << 20

// group gathers what the attempt writes.
func (c *call) group(ctx context.Context, pl *plan, d *Draft) (g store.Group, err error) {
	inc, id := pl.rec.Incarnation, pl.target.member.ID
	if c.id != id || !c.touched {
		if c.touched { // what earlier attempts put for another profile stays with their row
			c.old = nil
		}
		c.id, c.touched = id, false
		clear(c.keys)
		clear(c.bodies)
	}
	before := d.before
	wanted := index.RequiredByAPI(before, pl.person.Profile, pl.rec.Keys)
	shown := pl.shown(d)
	wants := index.RequiredByAPI(d.head, shown, pl.rec.Keys)
	candidates := slices.Concat(wanted.Partitions(), wants.Partitions(), d.objectKeys)
	missing := map[string]bool{}
	for _, part := range candidates {
		was, is := wanted.Has(part), wants.Has(part)
		if is && (!was || c.keys[part]) { // what an attempt has put is put anew
			missing[part] = true
		}
		if is != was {
			note(&c.keys, part)
		}
	}
	for _, part := range d.lost {
		if !wants.Has(part) {
			note(&c.keys, part)
		}
	}
	for _, part := range uncovered(before, d.head, wants, shown) {
		missing[part] = true
		note(&c.keys, part)
	}
	if g.Before, err = c.missingRecord(ctx, inc, id, before, pl.person.Profile); err != nil {
		return g, err
	}
	for part := range missing {
		g.Before = append(g.Before, indexRow(inc, part, id, d.Time, false))
	}
	for _, c := range d.happened {
		g.Before = append(g.Before, store.PartitionWrite{Partition: historyPartition(inc, id), Mutations: []store.Mutation{recordOf(c, nil)}})
	}
	if len(d.put) > 0 {
		g.Before = append(g.Before, store.PartitionWrite{Partition: bodyPartition(inc, id), Mutations: d.put})
	}
	d.head.Time, d.head.Change = d.Time, d.change
	head := d.head.Append(nil)
	if len(head) > max(maxHead, len(pl.target.head)) {
		return g, errors.Join(fault.BadRequestf("Profile %s would list more than there is room for: %d bytes of objects with their keys, and of values, %d are possible. Delete objects of it, or have them carry fewer keys.", pl.person.ID(), len(head), maxHead), ErrFull)
	}
	if pl.target.headVersion == 0 {
		g.Before = append(g.Before, fingerprint.Mark(inc, id, d.Time))
	}
	g.Lazy, g.Since, g.Partition = c.lazy, pl.person.mark, profilePartition(inc, id)
	g.Swap = []store.Swap{
		{Key: headKey, Value: head, Expect: pl.target.headVersion},
		{Key: stateKey, Op: store.Check, Expect: pl.target.stateVersion},
	}
	if d.change.Action != Swept {
		g.After = append(g.After, store.PartitionWrite{Partition: historyPartition(inc, id), Mutations: []store.Mutation{recordOf(d.change, shown)}})
	}
	g.After = append(g.After, c.excess(inc, id, d, wants)...)
	return g, nil
}

// uncovered requires the full names that a person shows when the last part of a name goes from a head, and returns their index partitions: other
// sources may show one that nobody has written. Where the part has expired, it showed before the write, but without a row.
func uncovered(before, after *fold.Head, wants *index.Required, shown *fold.Profile) []string {
	if !index.FillsNames(before.Values) || index.FillsNames(after.Values) {
		return nil
	}
	n := len(wants.Partitions())
	wants.Show(shown)
	return wants.Partitions()[n:]
}

// excess returns the deletions of index rows and bodies that the new head does not call for, earlier attempts' included.
func (c *call) excess(inc store.Incarnation, id fold.ID, d *Draft, wants *index.Required) (all []store.PartitionWrite) {
	for part := range c.keys {
		if !wants.Has(part) {
			all = append(all, indexRow(inc, part, id, d.Time, true))
		}
	}
	var bodies []store.Mutation
	for key := range c.bodies { // of attempts that failed
		bodies = append(bodies, store.Mutation{Key: []byte(key), Delete: true, Time: d.Time})
	}
	for _, key := range d.drop {
		bodies = append(bodies, store.Mutation{Key: []byte(key), Delete: true, Time: d.Time})
	}
	if len(bodies) > 0 {
		all = append(all, store.PartitionWrite{Partition: bodyPartition(inc, id), Mutations: bodies})
	}
	for _, m := range d.put {
		if c.pending == nil { // else it comes with the write or not at all
			note(&c.bodies, string(m.Key))
		}
	}
	return all
}

// note adds to a set that is made when it is needed: most calls need none.
func note(set *map[string]bool, what string) {
	if *set == nil {
		*set = map[string]bool{}
	}
	(*set)[what] = true
}

func indexRow(inc store.Incarnation, part string, id fold.ID, at int64, gone bool) store.PartitionWrite {
	return store.PartitionWrite{Partition: store.Partition{Table: store.Index, Incarnation: inc, Key: part},
		Mutations: []store.Mutation{{Key: index.AppendRowKey(nil, id, index.ByAPI), Delete: gone, Time: at}}}
}

// shown returns what the person will show.
func (pl *plan) shown(d *Draft) *fold.Profile {
	head := *d.head
	was := pl.target.member.Head
	pl.target.member.Head = &head
	defer func() { pl.target.member.Head = was }()
	return pl.person.member.Profile()
}

// enclose makes the change row a part of what the attempt commits.
func (c *call) enclose(pl *plan, d *Draft, g *store.Group) {
	c.describe(pl, d)
	c.row.Keys = nil
	if pl.creates {
		c.row.Keys = slices.Sorted(maps.Keys(c.keys))
	}
	g.Before = append(g.Before, c.pending.Row(&c.row))
	g.Visible = func() {
		c.hold.Release()
		c.pending.Happened()
	}
}

// describe says what the change row is about.
func (c *call) describe(pl *plan, d *Draft) {
	c.row.ID, c.row.Kind, c.row.Action, c.row.Creates = c.id, change.Write, d.change.Action, pl.creates
	c.row.Time, c.row.Moves = d.Time, pl.moves
}

// announce puts the change row.
func (c *call) announce(ctx context.Context, pl *plan, d *Draft) error {
	c.describe(pl, d)
	c.row.Claims = distinct(slices.Concat(pl.claims, c.claims))
	c.row.Keys = slices.Sorted(maps.Keys(c.keys))
	c.row.Bodies = slices.AppendSeq(slices.Clone(d.drop), maps.Keys(c.bodies))
	slices.Sort(c.row.Bodies)
	sealed, err := c.Feed.Announce(ctx, pl.rec.Incarnation, &c.row, c.old, c.sealed)
	c.sealed = max(c.sealed, sealed)
	row := c.row
	c.old = &row
	return err
}

// commit does what the attempt is about. When it returns nil the write is visible.
func (c *call) commit(ctx context.Context, pl *plan, d *Draft, g store.Group) error {
	if c.Now().UnixMicro()-c.row.At > maxAge.Microseconds() {
		return errAgain
	}
	c.touched = c.pending == nil // else it happens as a whole, or leaves nothing
	version, err := c.Store.Commit(ctx, g)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrConflict):
		return errAgain
	case errors.Is(err, store.ErrUnknown):
		happened, derr := c.decide(ctx, pl, d)
		if derr != nil {
			return errors.Join(err, derr)
		}
		if !happened {
			return errAgain
		}
	case version == 0:
		return fmt.Errorf("change a profile: %w", err)
	}
	// It has happened. What is left to do is done again once, and else by whoever settles the change row.
	_, _ = c.Store.Commit(context.WithoutCancel(ctx), store.Group{Before: g.After})
	return nil
}

// decide finds out whether a Swap has happened whose answer was lost. If it has not, it never will.
func (c *call) decide(ctx context.Context, pl *plan, d *Draft) (happened bool, err error) {
	inc, id := pl.rec.Incarnation, pl.target.member.ID
	for {
		all := map[fold.ID]*rows{}
		if err := c.readRows(ctx, inc, []fold.ID{id}, all, 0); err != nil {
			return false, err
		}
		r := all[id]
		h, err := r.Head()
		if err != nil {
			return false, err
		}
		if h.Change != nil && h.Change.ID == d.change.ID && h.Change.At == d.change.At {
			return true, nil
		}
		if r.headVersion != pl.target.headVersion || r.stateVersion != pl.target.stateVersion {
			// Whoever replaced the head of this change wrote its record first.
			return c.hasRecord(ctx, inc, id, d.change)
		}
		if err := c.fence(ctx, inc, r, h, d.Time); !errors.Is(err, errAgain) {
			if err != nil {
				return false, err
			}
			return false, nil
		}
	}
}

// fence rewrites a head with a time later than another, so that whatever else would replace it conflicts. errAgain: it has changed.
func (w *Writer) fence(ctx context.Context, inc store.Incarnation, r *rows, h *fold.Head, later int64) error {
	h.Time = max(w.Now().UnixMicro(), h.Time+1, later+1)
	g := store.Group{Partition: profilePartition(inc, r.member.ID), Swap: []store.Swap{
		{Key: headKey, Value: h.Append(nil), Expect: r.headVersion},
		{Key: stateKey, Op: store.Check, Expect: r.stateVersion},
	}}
	if r.headVersion == 0 {
		g.Before = []store.PartitionWrite{fingerprint.Mark(inc, r.member.ID, h.Time)}
	}
	v, err := w.Store.Commit(ctx, g)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) {
		return errAgain
	}
	if err != nil {
		return fmt.Errorf("fence a profile: %w", err)
	}
	r.headVersion = v
	return nil
}
