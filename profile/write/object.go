package write

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"kith/domain"
	"kith/fault"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
)

// ErrNoProfile says that an object's keys find no profile, and that it must not make one.
var ErrNoProfile = errors.New("the keys of the object find no profile, and its type does not create any")

// Put finds the profile of an object by its keys, or makes one, and puts the object there. Behaviour: docs/spec/core.md 4.2 and 4.3.
func (w *Writer) Put(ctx context.Context, domainName, by string, o *Object) (Result, error) {
	c := &ingestion{call: w.newCall(domainName, by), object: o, key: objectKey(o.Incarnation, fold.HashObject(o.UniqueKey)), new: w.NewID()}
	c.lazy = o.Lazy
	return c.run(ctx, c.attempt)
}

// ingestion is a call that puts an object.
type ingestion struct {
	*call
	object *Object
	key    index.Key // by which the object is found
	inc    store.Incarnation
	new    fold.ID // of the profile that it makes
	here   fold.ID // the profile that has the object; zero: none
	// adopted are the claims that stayed for too long, with the profile they are for: it counts as one that has the key.
	adopted map[string]fold.ID
	// dead are the calls whose claims stayed.
	dead map[[16]byte]bool
	// looked is how many keys of Match the attempt's resolution has looked at.
	looked int
}

// attempt finds a profile, announces the write, claims what the profile lacks, finds it again, and writes. With a change.Local it keeps the
// keys before it finds the profile.
func (c *ingestion) attempt(ctx context.Context, rec *domain.Record) (Result, error) {
	c.inc = rec.Incarnation
	if err := c.checkType(ctx, rec); err != nil {
		return Result{}, err
	}
	seen := persons{}
	own := index.PartitionKey(c.key)
	match := c.partitions(c.object.Match, own)
	c.keep(c.inc, c.partitions(c.object.Fallback, slices.Clip(match)...)...)
	named, err := c.hints(ctx, c.inc, match)
	if err != nil {
		return Result{}, err
	}
	at, err := c.places(ctx, rec, c.key, named.named(ctx, own), seen)
	if err != nil {
		return Result{}, err
	}
	if len(at) > 1 { // a call that moved it was cut off: its keys would seem to be those of two profiles
		c.over() // these are writes of their own
		if err := c.unify(ctx, rec, c.by, c.key, at); err != nil {
			return Result{}, err
		}
		return Result{}, errAgain
	}
	c.here = fold.ID{}
	if len(at) > 0 {
		c.here = at[0].id
	}
	p, creates, err := c.resolve(ctx, rec, named, seen)
	if err != nil {
		return Result{}, err
	}
	if creates && p.deleted() { // an import was faster and fenced it
		c.new = c.NewID()
		return Result{}, errAgain
	}
	pl := &plan{rec: rec, person: p, target: p.rows, creates: creates}
	if len(at) > 0 && p.all[at[0].id] != nil {
		pl.target = p.all[at[0].id]
	} else if len(at) > 0 {
		pl.moves, pl.after = own, at[0].ref.Time
	} else if c.hold == nil {
		pl.moves = own // another call may put it elsewhere meanwhile
	}
	pl.rule = func(ctx context.Context, d *Draft) error { return d.PutObject(ctx, c.object, creates) }
	if c.hold != nil {
		pl.verify = func(ctx context.Context) error { _, err := c.lives(ctx); return err }
	} else {
		pl.claims = c.wanted(rec, p, creates)
		pl.verify = func(ctx context.Context) error { return c.verify(ctx, p, pl.claims) }
	}
	r, err := c.write(ctx, pl)
	if err == nil && pl.moves != "" {
		_ = c.moved(ctx, rec, c.key, c.by) // else whoever settles the row does it
	}
	return r, err
}

// checkType returns the error of a call whose object's type has been deleted since it looked for it. The domain forgets types that have
// ended when no call can be on its way that does not ask; one that has stood still since asks here.
func (c *ingestion) checkType(ctx context.Context, rec *domain.Record) error {
	if !rec.IsDead(c.object.Incarnation) {
		if c.object.Alive != nil {
			return c.object.Alive(ctx, rec)
		}
		return nil
	}
	return fault.NotFoundf("Object type %s is not found in domain %s.", c.object.Type, rec.Name)
}

// wanted returns what is to be claimed: all keys by which profiles are found, which the object brings and its profile lacks.
func (c *ingestion) wanted(rec *domain.Record, p *Person, creates bool) (parts []string) {
	now := c.Now().UnixMicro()
	for _, k := range slices.Concat(c.object.Match, c.object.Fallback) {
		brings := slices.Contains(c.object.Keys, k) || creates && slices.Contains(c.object.NewKeys, k)
		if part := index.PartitionKey(k); brings && !slices.Contains(parts, part) && !p.confirms(rec, k, now) {
			parts = append(parts, part)
		}
	}
	return parts
}

// claim takes claims for a profile; others, which an earlier attempt took, go. errAgain: one was in the way, and has changed since.
func (c *ingestion) claim(ctx context.Context, parts []string, id fold.ID) error {
	claims := index.Claims{Store: c.Store}
	gone := slices.DeleteFunc(slices.Clone(c.claims), func(part string) bool { return slices.Contains(parts, part) })
	if err := claims.Release(ctx, c.inc, gone, c.row.Call, c.taken); err != nil {
		return err
	}
	c.claims = parts // as far as it gets
	if c.taken == nil {
		c.taken = index.Taken{}
	}
	other, err := claims.Take(ctx, c.inc, parts, id, c.row.Call, c.taken)
	if err != nil || other == nil {
		return err
	}
	c.claims = nil
	if err := c.wait(ctx, other); err != nil {
		return err
	}
	return errAgain
}

// wait waits until a claim of another call changes. When it does not, the call adopts it.
func (c *ingestion) wait(ctx context.Context, seen *index.Claim) error {
	claims := index.Claims{Store: c.Store}
	patience := c.Patience
	if patience == 0 {
		patience = 10 * time.Second
	}
	if c.dead[seen.Call] {
		patience = 0
	}
	for began, pause := time.Now(), firstPause; time.Since(began) < patience; pause = min(2*pause, maxPause) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for another call that brings the same key: %w", ctx.Err())
		case <-time.After(pause):
		}
		now, err := claims.Get(ctx, c.inc, seen.Partition)
		if err != nil || !now.Same(seen) {
			return err
		}
	}
	ok, err := claims.Adopt(ctx, c.inc, seen, c.row.Call)
	if ok {
		if c.dead == nil {
			c.dead, c.adopted = map[[16]byte]bool{}, map[string]fold.ID{}
		}
		c.dead[seen.Call] = true
		c.adopted[seen.Partition] = seen.ID
		c.claims = append(c.claims, seen.Partition)
	}
	return err
}

// verify takes the claims, once the change row stands, and says whether the object still goes to the profile that was found. Whoever writes a key of the object from now on meets a claim, or was seen here, or sees the change row. A type that is deleted
// from now on has its objects removed when the row has been settled.
func (c *ingestion) verify(ctx context.Context, found *Person, claims []string) error {
	if err := c.claim(ctx, claims, found.ID()); err != nil {
		return err
	}
	rec, err := c.lives(ctx)
	if err != nil {
		return err
	}
	named, err := c.hints(ctx, c.inc, c.partitions(c.object.Match[:c.looked]))
	if err != nil {
		return err
	}
	seen := persons{}
	seen.add(found) // it need not be read again: the Swap checks it
	p, _, err := c.resolve(ctx, rec, named, seen)
	if err != nil {
		return err
	}
	if p.ID() != found.ID() {
		return errAgain
	}
	return nil
}

// lives returns the domain if it still lives, and the object's type, now that the change row has its time.
func (c *ingestion) lives(ctx context.Context) (*domain.Record, error) {
	rec, err := c.Lookup(ctx, c.name)
	if err == nil && rec.Incarnation != c.inc {
		err = errAgain
	}
	if err == nil {
		err = c.checkType(ctx, rec)
	}
	return rec, err
}

// partitions returns those of keys by which the index is asked, and others.
func (c *ingestion) partitions(keys []index.Key, others ...string) []string {
	for _, k := range keys {
		if k.Name != schema.KeyProfileID {
			others = append(others, index.PartitionKey(k))
		}
	}
	return others
}

// resolve finds the profile of the object. creates says that there is none: the person is one that has yet to be made. An object that comes again and whose
// keys lead to no one person stays where it is if one of them leads there too: else each time it came it would leave an empty profile behind.
func (c *ingestion) resolve(ctx context.Context, rec *domain.Record, named *hints, seen persons) (p *Person, creates bool, err error) {
	var stays *Person
	for list, keys := range [][]index.Key{c.object.Match, c.object.Fallback} {
		for i, k := range keys {
			if list == 0 {
				c.looked = i + 1
			}
			hits, err := c.found(ctx, rec, k, named, seen)
			if err != nil {
				return nil, false, err
			}
			if len(hits) == 1 {
				return hits[0], false, nil
			}
			if len(hits) > 1 && stays == nil && c.here != (fold.ID{}) {
				if at, err := c.person(ctx, rec, c.here, seen); err != nil {
					return nil, false, err
				} else if at.confirms(rec, k, c.Now().UnixMicro()) {
					stays = at
				}
			}
			if len(c.adopted) == 0 {
				continue
			}
			if id, ok := c.adopted[index.PartitionKey(k)]; ok && len(hits) == 0 {
				p, err := c.person(ctx, rec, id, seen)
				if err != nil || !p.deleted() {
					return p, err == nil && !p.Visible(), err
				}
			}
		}
	}
	if stays != nil {
		return stays, false, nil
	}
	if !c.object.Create {
		return nil, false, ErrNoProfile
	}
	p, err = c.person(ctx, rec, c.new, seen)
	return p, true, err
}

// found returns the persons that a key of an object leads to, two at most.
func (c *ingestion) found(ctx context.Context, rec *domain.Record, k index.Key, named *hints, seen persons) ([]*Person, error) {
	if k.Name != schema.KeyProfileID {
		return c.holders(ctx, rec, k, named, seen)
	}
	id, ok := fold.ParseID(k.Value)
	if !ok {
		return nil, nil
	}
	p, err := c.person(ctx, rec, id, seen)
	if err != nil || !p.Visible() {
		return nil, err
	}
	return []*Person{p}, nil
}

// holders returns the persons that have a key, two at most.
func (c *ingestion) holders(ctx context.Context, rec *domain.Record, k index.Key, named *hints, seen persons) (hits []*Person, err error) {
	now := c.Now().UnixMicro()
	for id, err := range named.named(ctx, index.PartitionKey(k)) {
		if err != nil {
			return nil, err
		}
		p, err := c.person(ctx, rec, id, seen)
		if err != nil {
			return nil, err
		}
		if p.confirms(rec, k, now) && !slices.ContainsFunc(hits, func(h *Person) bool { return h.ID() == p.ID() }) {
			if hits = append(hits, p); len(hits) == 2 {
				break
			}
		}
	}
	return hits, nil
}

// persons are persons that were read, by the profiles that belong to them.
type persons map[fold.ID]*Person

func (seen persons) add(p *Person) {
	for id := range p.all {
		seen[id] = p
	}
}

func (w *Writer) person(ctx context.Context, rec *domain.Record, id fold.ID, seen persons) (*Person, error) {
	if p := seen[id]; p != nil {
		return p, nil
	}
	p, err := w.read(ctx, rec, id)
	if err == nil {
		seen[id] = p
		seen.add(p)
	}
	return p, err
}
