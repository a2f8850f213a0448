package profile

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"kith/profile/fold"
	"kith/store"
)

// Pass is a way through the profiles of a domain.
type Pass struct {
	Incarnation store.Incarnation
	// Now is as of when it looks, in microseconds.
	Now int64
	// Attrs are the attributes that Values will have; nil: all. The fewer, the faster.
	Attrs *fold.AttrSet
	// Workers is how many profiles are looked at at once; 0: one for each core.
	Workers int
	// Memory is how many bytes of profiles that take part in merges each worker keeps before they go to disk; 0: 32 MiB.
	Memory int
	// Dir is where they go; empty: the system's folder for temporary files.
	Dir string

	// From is where to begin; nil: the whole domain. Cuts of one cursor may be passed by different nodes.
	From *Cursor
	// Checkpoint is told, about every Every profiles, from where a later pass goes on: exactly those profiles come before it that do has
	// been called for. No call of do is running meanwhile. Nil: nobody wants to know.
	Checkpoint func(*Cursor) error
	Every      int64
}

// Cursor is a position of a pass.
type Cursor struct {
	Ranges []CursorRange
	// Persons are the last persons of merges that were visited, by shard; they come after all other profiles.
	Persons [shards]ID
}

// CursorRange is a range of the store's order.
type CursorRange struct {
	From, To Position
	At       Position // where its profiles begin that have not been visited; empty: at From
	// Last is the profile that was visited last. What rows it has got since lie behind At, and are no profile.
	Last ID   `json:",omitzero"`
	Done bool // all have been
}

// Position is a position of the store. Its text is base64: it is no text itself.
type Position string

// MarshalText implements encoding.TextMarshaler.
func (p Position) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, []byte(p)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Position) UnmarshalText(b []byte) error {
	plain, err := base64.StdEncoding.AppendDecode(nil, b)
	*p = Position(plain)
	return err
}

// String encodes a cursor.
func (c *Cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil { // there is nothing in it that could fail
		panic(err)
	}
	return string(b)
}

// ParseCursor is the reverse of Cursor.String.
func ParseCursor(text string) (*Cursor, error) {
	c := &Cursor{}
	if err := json.Unmarshal([]byte(text), c); err != nil {
		return nil, fmt.Errorf("the cursor of a pass: %w", err)
	}
	return c, nil
}

// OnlyPersons says that of what has not been visited all takes part in merges.
func (c *Cursor) OnlyPersons() bool {
	return !slices.ContainsFunc(c.Ranges, func(r CursorRange) bool { return !r.Done })
}

// Cut cuts what has not been visited into cursors of about as many ranges each. A person belongs to the range of its main profile.
func (c *Cursor) Cut(n int) (cuts []*Cursor) {
	n = min(n, len(c.Ranges))
	for i := range n {
		cuts = append(cuts, &Cursor{Ranges: c.Ranges[i*len(c.Ranges)/n : (i+1)*len(c.Ranges)/n], Persons: c.Persons})
	}
	return cuts
}

// Start returns the cursor of a whole domain, in about n ranges.
func (s *Service) Start(ctx context.Context, inc store.Incarnation, n int) (*Cursor, error) {
	ranges, err := s.Store.Split(ctx, store.SweepRange{Table: store.Profile, Incarnation: inc}, n)
	if err != nil {
		return nil, fmt.Errorf("split a domain's profiles: %w", err)
	}
	c := &Cursor{}
	for _, r := range ranges {
		c.Ranges = append(c.Ranges, CursorRange{From: Position(r.From), To: Position(r.To)})
	}
	return c, nil
}

const (
	// rangesPerWorker evens out that some ranges take longer than others.
	rangesPerWorker = 8
	// passMemory is Pass.Memory when nobody says.
	passMemory = 32 << 20
	// maxBreath is how many profiles a worker visits before it looks whether there is to be a checkpoint.
	maxBreath = 512
)

// Each calls do for every visible profile of a domain, folded, with what was merged into it: from several goroutines at once, each with a
// number of its own below Workers. A profile is good until do returns.
//
// It reads the store's ranges one after the other, as many at once as there are workers. Profiles that take part in no merge, which
// are most, are folded where they are met. The others are spilled (spill), sorted by their persons, and folded at the end. A person of
// several levels of merges, and one of which a part was not met, is read from the store.
//
// It is no snapshot: a profile that is written meanwhile is seen before or after, and one that is merged or taken out of a merge
// meanwhile perhaps not at all, or twice: alone, and by a pass that goes on from a cursor once more among the persons, which come last.
func (s *Service) Each(ctx context.Context, p Pass, do func(worker int, p *fold.Profile) error) error {
	if p.Workers == 0 {
		p.Workers = runtime.GOMAXPROCS(0)
	}
	if p.Memory == 0 {
		p.Memory = passMemory
	}
	from := p.From
	if from == nil {
		var err error
		if from, err = s.Start(ctx, p.Incarnation, rangesPerWorker*p.Workers); err != nil {
			return err
		}
	}
	e := &each{s: s, Pass: p, do: do, at: Cursor{Ranges: slices.Clone(from.Ranges), Persons: from.Persons}, breath: maxBreath}
	if p.Checkpoint != nil {
		e.breath = int(max(1, min(maxBreath, p.Every)))
	}
	for range p.Workers {
		e.spills = append(e.spills, &spill{dir: p.Dir, memory: p.Memory})
	}
	defer func() {
		for _, sp := range e.spills {
			sp.close()
		}
	}()
	if err := e.parallel(ctx, len(e.at.Ranges), e.visitRange); err != nil {
		return err
	}
	sort := func(_ context.Context, _, i int) error {
		e.spills[i].sort()
		return nil
	}
	if err := e.parallel(ctx, len(e.spills), sort); err != nil {
		return err
	}
	return e.parallel(ctx, shards, e.visitShard)
}

// each is a pass on its way.
type each struct {
	s *Service
	Pass
	do     func(int, *fold.Profile) error
	spills []*spill // of each worker
	breath int
	judged sync.Map // how open merges stand, by id: one answer for the whole pass

	// mu is held for reading by workers between a visit and the note of it in at, and for writing by a checkpoint.
	mu      sync.RWMutex
	at      Cursor // each element is its worker's
	visited atomic.Int64
	failed  atomic.Bool
	told    atomic.Int64 // how many had been visited at the last checkpoint
}

// parallel lets the workers do n tasks.
func (e *each) parallel(ctx context.Context, n int, task func(ctx context.Context, worker, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	work := func(w int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= n || ctx.Err() != nil {
				return context.Cause(ctx)
			}
			e.mu.RLock()
			err := task(ctx, w, i)
			if err != nil {
				e.failed.Store(true) // what this worker has visited is not noted: no more checkpoints
			}
			e.mu.RUnlock()
			if err != nil {
				return err
			}
		}
	}
	var wg sync.WaitGroup
	for w := range e.Workers {
		wg.Go(func() {
			if err := work(w); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// rest lets others make a checkpoint, or makes it. The worker must have noted what it has visited.
func (e *each) rest(visited int) error {
	n := e.visited.Add(int64(visited))
	if e.Checkpoint == nil {
		return nil
	}
	e.mu.RUnlock()
	defer e.mu.RLock()
	if n < e.told.Load()+e.Every {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if n < e.told.Load()+e.Every || e.failed.Load() { // another was faster, or all is over
		return nil
	}
	e.told.Store(e.visited.Load())
	return e.Checkpoint(&Cursor{Ranges: slices.Clone(e.at.Ranges), Persons: e.at.Persons})
}

// visitRange visits the profiles of a range, and spills those that take part in merges.
func (e *each) visitRange(ctx context.Context, worker, i int) error {
	at := &e.at.Ranges[i]
	r := store.SweepRange{Table: store.Profile, Incarnation: e.Incarnation, From: string(at.From), To: string(at.To)}
	v := &visit{e: e, ctx: ctx, worker: worker, spill: e.spills[worker], scan: fold.NewScanner(e.Now, e.Attrs), repeats: fold.Repeats{Reuse: true}}
	if at.At != "" || at.Done { // only what takes part in merges
		again := r
		if !at.Done {
			again.To = string(at.At)
		}
		v.linksOnly = true
		if err := v.sweep(again, nil); err != nil || at.Done {
			return err
		}
		r.From, v.linksOnly = string(at.At), false
	}
	if err := v.sweep(r, at); err != nil {
		return err
	}
	at.Done = true
	return e.rest(v.since)
}

// visit is a worker on its way through a range.
type visit struct {
	e         *each
	ctx       context.Context
	worker    int
	spill     *spill
	scan      *fold.Scanner
	linksOnly bool
	since     int // how many were visited since the last rest

	// The rows of the present profile: they are kept until it ends.
	id      ID
	rows    []span
	buf     []byte
	repeats fold.Repeats
	whole   []byte // its rows as they are spilled
}

// span is where a row is in buf: the key is one byte, but for contributions.
type span struct {
	kind            byte
	key, value, end int
}

// sweep visits the profiles of a range, and notes now and then in at how far it is.
func (v *visit) sweep(r store.SweepRange, at *CursorRange) error {
	open, part, cursor := false, "", ""
	for row, err := range v.e.s.Store.Sweep(v.ctx, r) {
		if err != nil {
			return err
		}
		if !open || row.Partition.Key != part {
			if !open && at != nil && at.At != "" && row.Partition.Key == string(at.Last[:]) {
				continue
			}
			if open {
				if err := v.settle(); err != nil {
					return err
				}
			}
			if cursor != "" {
				at.At, at.Last = Position(cursor), v.id
				if err := v.e.rest(v.since); err != nil {
					return err
				}
				v.since, cursor = 0, ""
			}
			open, part = true, row.Partition.Key
			copy(v.id[:], part)
			v.rows, v.buf = v.rows[:0], v.buf[:0]
		}
		if len(row.Row.Key) > 0 {
			key := len(v.buf)
			v.buf = append(v.buf, row.Row.Key...)
			value := len(v.buf)
			v.buf = append(v.buf, row.Row.Value...)
			v.rows = append(v.rows, span{row.Row.Key[0], key, value, len(v.buf)})
		}
		if at != nil && v.since >= v.e.breath && v.e.Checkpoint != nil {
			cursor = row.Cursor()
		}
	}
	if !open {
		return nil
	}
	return v.settle()
}

// settle visits the profile whose rows have been read, or spills it.
func (v *visit) settle() error {
	if len(v.rows) > 0 && v.rows[0].kind == stateKey[0] {
		if st := v.rows[0]; st.value-st.key == len(stateKey) {
			alone, err := v.settleState(v.buf[st.value:st.end])
			if !alone || err != nil {
				return v.named(err)
			}
		}
	}
	if v.linksOnly {
		return nil
	}
	v.scan.Reset(v.id)
	v.repeats.Reset()
	for _, r := range v.rows {
		var err error
		switch r.kind {
		case contributionPrefix[0]:
			var whole []byte
			if whole, err = v.complete(&r); err == nil {
				err = v.scan.AddContribution(whole)
			}
		case headKey[0]:
			err = v.scan.AddHead(v.buf[r.value:r.end])
		}
		if err != nil {
			return v.named(err)
		}
	}
	p := v.scan.Profile()
	if p == nil {
		return nil
	}
	v.since++
	return v.e.do(v.worker, p)
}

// complete returns a contribution with its values.
func (v *visit) complete(r *span) ([]byte, error) {
	return v.repeats.Complete(v.buf[r.key+len(contributionPrefix):r.value], v.buf[r.value:r.end])
}

func (v *visit) named(err error) error {
	if err != nil {
		return fmt.Errorf("profile %s: %w", v.id, err)
	}
	return nil
}

// settleState spills the profile if it takes part in merges. alone: it does not, and was not deleted.
func (v *visit) settleState(b []byte) (alone bool, err error) {
	links, err := fold.PeekLinks(b)
	if err != nil {
		return false, err
	}
	if links.Open {
		st, err := fold.DecodeState(b)
		if err == nil {
			err = st.Believe(v.e.holds(v.ctx))
		}
		if err != nil {
			return false, err
		}
		b = st.Append(nil)
		if links, err = fold.PeekLinks(b); err != nil {
			return false, err
		}
	}
	if links.Deleted && links.Main == (ID{}) || !links.Linked {
		return !links.Deleted, nil
	}
	main := links.Main
	if main == (ID{}) {
		main = v.id
	}
	if err := v.completeAll(links.Deleted); err != nil {
		return false, err
	}
	return false, v.spill.add(main, v.id, func(dst []byte) []byte { return append(appendRow(dst, stateKey, b), v.whole...) })
}

// completeAll leaves in v.whole the rows behind the state, contributions with their values. Of a deleted profile it passes over those that repeat what is gone.
func (v *visit) completeAll(deleted bool) error {
	v.repeats.Reset()
	v.whole = v.whole[:0]
	for i := range v.rows[1:] {
		r := &v.rows[1+i]
		row := v.buf[r.value:r.end]
		if r.kind == contributionPrefix[0] {
			var err error
			if row, err = v.complete(r); deleted && errors.Is(err, fold.ErrNothingToRepeat) {
				continue
			} else if err != nil {
				return err
			}
		}
		v.whole = appendRow(v.whole, v.buf[r.key:r.key+1], row)
	}
	return nil
}

// holds is Service.holds, with one answer for the whole pass.
func (e *each) holds(ctx context.Context) func(fold.MergeID) (int64, bool, error) {
	type answer struct {
		at int64
		ok bool
	}
	ask := e.s.holds(ctx, e.Incarnation)
	return func(id fold.MergeID) (int64, bool, error) {
		if a, ok := e.judged.Load(id); ok {
			return a.(answer).at, a.(answer).ok, nil
		}
		at, ok, err := ask(id)
		if err != nil {
			return 0, false, err
		}
		a, _ := e.judged.LoadOrStore(id, answer{at, ok})
		return a.(answer).at, a.(answer).ok, nil
	}
}
