package query

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"kith/profile"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/store"
)

const (
	// batch is how many profiles are indexed together, and stepRead how many are read together.
	batch    = 20_000
	stepRead = 1000
	// pieces is how many ranges a domain is built in, about.
	pieces = 256
	// sliceTime is how long a generation is built before the feed is looked at again.
	sliceTime = 5 * time.Second
	// young is how old a row of the feed is when it is looked at before it is settled: its write has happened by then, as a rule.
	young = time.Second
	// settling is how often the feed is looked at as long as rows of it are not settled.
	settling = 10 * time.Second
	// maxAge is how old a generation gets of whose profiles some have expired.
	maxAge = 7 * 24 * time.Hour
)

// Idle implements job.Standing: the index is off, and nothing is left of it.
func (s *Service) Idle(ctx context.Context, inc store.Incarnation) (bool, error) {
	sw, st, err := s.read(ctx, inc)
	if err != nil {
		return false, err
	}
	s.note(inc, sw.On)
	return !sw.On && len(st.generations())+len(st.Old) == 0, nil
}

// Index is the indexer: it takes the index of a domain as far as the feed goes, and builds a generation for a while. again is how soon there
// is more to do; 0: when something has changed. fence is another one when somebody else may have been at work since. It may be cut off
// anywhere.
func (s *Service) Index(ctx context.Context, inc store.Incarnation, place change.Place, fence uint64) (again time.Duration, err error) {
	sw, st, err := s.read(ctx, inc)
	if err != nil {
		return 0, err
	}
	s.note(inc, sw.On)
	x := s.resume(inc, place, fence, st)
	defer func() { s.suspend(x, err == nil && again > 0) }()
	if !sw.On {
		st.abandon(st.Serving, st.Building)
		st.Serving, st.Building = 0, 0
		return 0, x.drop(ctx)
	}
	if st.Serving == 0 && st.Building == 0 {
		if err := x.begin(ctx, true); err != nil {
			return 0, err
		}
	}
	if err := x.consumer.Run(ctx, inc, place); errors.Is(err, change.ErrBehind) {
		if err := x.begin(ctx, true); err != nil {
			return 0, err
		}
	} else if err != nil {
		return 0, err
	}
	if again, err = x.early(ctx); err != nil {
		return 0, err
	}
	if now := s.Now().UnixMicro(); st.Building == 0 && st.BuiltAt < now-maxAge.Microseconds() && st.FirstExpiry != 0 && st.FirstExpiry < now {
		if err := x.begin(ctx, false); err != nil {
			return 0, err
		}
	}
	if st.Building != 0 {
		if err := x.build(ctx); err != nil {
			return 0, err
		}
	}
	if err := x.drop(ctx); err != nil {
		return 0, err
	}
	if st.Building != 0 {
		again = time.Millisecond
	}
	return again, x.save(ctx)
}

// resume returns the pass of a domain, which goes on as long as the lease is held and nothing fails, or a new one that trusts nothing.
func (s *Service) resume(inc store.Incarnation, place change.Place, fence uint64, st *state) *pass {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.passes[inc]
	if x == nil || x.fence != fence {
		x = &pass{Service: s, inc: inc, fence: fence, force: true, known: map[knownName]bool{}}
	}
	delete(s.passes, inc)
	x.place, x.st, x.saved = place, st, nil
	x.consumer = &change.Consumer{Feed: s.Feed, Final: func(ctx context.Context, _ store.Incarnation, rows []change.Row) error { return x.final(ctx, rows) }}
	return x
}

// suspend keeps a pass that goes on.
func (s *Service) suspend(x *pass, goesOn bool) {
	if !goesOn {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.passes == nil || len(s.passes) >= maxPasses {
		s.passes = map[store.Incarnation]*pass{}
	}
	x.force = false
	s.passes[x.inc] = x
}

// maxPasses bounds what is remembered of domains. Who is forgotten writes a few rows twice.
const maxPasses = 16

// save publishes the state, if it has changed.
func (x *pass) save(ctx context.Context) error {
	value, err := json.Marshal(x.st, json.Deterministic(true))
	if err != nil || bytes.Equal(value, x.saved) {
		return err
	}
	v, err := x.place.Swap(ctx, store.Swap{Key: stateKey, Value: value, Expect: x.st.version})
	if err != nil {
		return fmt.Errorf("write the state of the query index: %w", err)
	}
	x.st.version, x.saved = v, value
	return nil
}

// begin starts a new generation. fresh: what the feed has told since the bookmark is lost, so the bookmark moves to where it is now. Both
// are done again when it is cut off between them, because the feed is still ahead of the bookmark.
func (x *pass) begin(ctx context.Context, fresh bool) error {
	st := x.st
	st.abandon(st.Building)
	st.Newest++
	st.Building, st.Rest, st.BuildAt, st.Mark = st.Newest, "", x.Now().UnixMicro(), nil
	st.NewProfiles, st.NewTerms, st.NewExpiry = 0, 0, 0
	if err := x.save(ctx); err != nil || !fresh {
		return err
	}
	x.seen = 0
	return x.consumer.Start(ctx, x.inc, x.place)
}

// drop removes the generations that are searched no more.
func (x *pass) drop(ctx context.Context) error {
	if len(x.st.Old) == 0 {
		return x.save(ctx)
	}
	if err := x.save(ctx); err != nil { // before, so that nobody searches what is half gone
		return err
	}
	for _, gen := range x.st.Old {
		if err := x.dropGeneration(ctx, gen); err != nil {
			return err
		}
	}
	x.st.Old = nil
	return x.save(ctx)
}

// build builds the next pieces of a generation, and ends it when there are no more.
func (x *pass) build(ctx context.Context) error {
	cursor, err := x.rest(ctx)
	if err != nil {
		return err
	}
	for began := time.Now(); len(cursor.Ranges) > 0; {
		if time.Since(began) > sliceTime {
			return nil
		}
		if err := x.piece(ctx, &profile.Cursor{Ranges: cursor.Ranges[:1], Persons: cursor.Persons}); err != nil {
			return err
		}
		cursor.Ranges = cursor.Ranges[1:]
		x.st.Rest = cursor.String()
		if err := x.save(ctx); err != nil {
			return err
		}
	}
	st := x.st
	st.abandon(st.Serving)
	st.Serving, st.Building, st.Rest, st.BuiltAt = st.Building, 0, "", st.BuildAt
	st.Profiles, st.Terms, st.FirstExpiry = st.NewProfiles, st.NewTerms, st.NewExpiry
	return x.save(ctx)
}

// rest returns what has not been built of a generation.
func (x *pass) rest(ctx context.Context) (*profile.Cursor, error) {
	if x.st.Rest == "" {
		return x.Profiles.Start(ctx, x.inc, pieces)
	}
	return profile.ParseCursor(x.st.Rest)
}

// piece indexes the profiles of a piece of the domain.
func (x *pass) piece(ctx context.Context, of *profile.Cursor) error {
	docs := map[fold.ID]*doc{}
	flush := func() error {
		err := x.apply(ctx, x.st.Building, docs)
		clear(docs)
		return err
	}
	// One worker: requests and imports come first.
	p := profile.Pass{Incarnation: x.inc, Now: x.Now().UnixMicro(), Attrs: attrs, Workers: 1, From: of, Dir: x.Dir}
	err := x.Profiles.Each(ctx, p, func(_ int, p *fold.Profile) error {
		if docs[p.ID] = docOf(p); len(docs) < batch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// early indexes what the feed tells that is not settled, and says how soon there is more to do.
func (x *pass) early(ctx context.Context) (again time.Duration, err error) {
	cursor, _, err := x.consumer.Cursor(ctx, x.place)
	if err != nil {
		return 0, err
	}
	if x.seen > cursor { // what has been seen has to be seen again when it is settled
		for _, err := range x.Feed.Rows(ctx, x.inc, cursor, x.seen) {
			if err != nil {
				return 0, err
			}
			again = settling
			break
		}
	}
	var ids []fold.ID
	until := x.Now().Add(-young).UnixMicro()
	from := max(cursor, x.seen)
	for r, err := range x.Feed.Unsettled(ctx, x.inc, from) {
		if err != nil {
			return 0, err
		}
		if r.At > until {
			again = young
			continue
		}
		if again == 0 {
			again = settling
		}
		x.seen = max(x.seen, r.At)
		named, err := x.named(ctx, &r)
		if err != nil {
			return 0, err
		}
		if ids = append(ids, named...); len(ids) >= batch {
			if err := x.index(ctx, ids); err != nil {
				return 0, err
			}
			ids = ids[:0]
		}
	}
	return again, x.index(ctx, ids)
}

// final indexes what rows of the feed name that are settled.
func (x *pass) final(ctx context.Context, rows []change.Row) error {
	var ids []fold.ID
	for i := range rows {
		r := &rows[i]
		if r.Kind == change.Imported || r.Kind == change.Undone {
			if err := x.imported(ctx, r); err != nil {
				return err
			}
			continue
		}
		named, err := x.named(ctx, r)
		if err != nil {
			return err
		}
		ids = append(ids, named...)
	}
	return x.index(ctx, ids)
}

// named lists the profiles that a row of the feed is about, but for imports.
func (x *pass) named(ctx context.Context, r *change.Row) ([]fold.ID, error) {
	switch r.Kind {
	case change.Write:
		return []fold.ID{r.ID}, nil
	case change.Merged:
		var id fold.MergeID
		copy(id[:], r.Call[:])
		ids, err := x.Profiles.MergedBy(ctx, x.inc, id)
		return append(ids, r.ID), err
	}
	return nil, nil
}

// imported indexes what an import touched, from the bookmark on.
func (x *pass) imported(ctx context.Context, r *change.Row) error {
	if m := x.st.Mark; m == nil || m.At != r.At || m.Job != r.Job {
		x.st.Mark = &mark{At: r.At, Job: r.Job}
	}
	var ids []fold.ID
	flush := func() error {
		if len(ids) == 0 {
			return nil
		}
		if err := x.index(ctx, ids); err != nil {
			return err
		}
		x.st.Mark.Last = ids[len(ids)-1].String()
		ids = ids[:0]
		return x.save(ctx)
	}
	for id, err := range x.Profiles.Runs.Touched(ctx, x.inc, r.Job) {
		if err != nil {
			return fmt.Errorf("read what an import touched: %w", err)
		}
		if strings.Compare(id.String(), x.st.Mark.Last) <= 0 {
			continue
		}
		if ids = append(ids, id); len(ids) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// index makes the index say what profiles are now: a person is found under its main profile, its members are not found.
func (x *pass) index(ctx context.Context, ids []fold.ID) error {
	if len(ids) == 0 {
		return nil
	}
	slices.SortFunc(ids, func(a, b fold.ID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	now := make(map[fold.ID]*doc, len(ids))
	for _, id := range ids {
		now[id] = nil
	}
	for chunk := range slices.Chunk(ids, stepRead) {
		people, err := x.Profiles.People(ctx, x.inc, chunk)
		if err != nil {
			return err
		}
		for _, person := range people {
			person.Walk(func(m *fold.Member) { now[m.ID] = nil })
			if p := person.Profile(); p != nil {
				now[person.ID] = docOf(p)
			}
		}
	}
	for _, gen := range x.st.generations() {
		if err := x.apply(ctx, gen, now); err != nil {
			return err
		}
	}
	return nil
}
