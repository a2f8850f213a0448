package query

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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
	defer func() {
		if err == nil && again > 0 {
			x.force = false
			s.passes.Keep(inc, fence, x)
		}
	}()
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
	again, err = x.follower.Follow(ctx)
	if errors.Is(err, change.ErrBehind) {
		if err = x.begin(ctx, true); err == nil {
			again, err = x.follower.Follow(ctx)
		}
	}
	if err != nil {
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
	x, ok := s.passes.Take(inc, fence)
	if !ok {
		x = &pass{Service: s, inc: inc, force: true, known: map[knownName]bool{}}
		x.follower = change.Follower{Feed: s.Feed, Incarnation: inc, Runs: s.Profiles.Runs, MergedBy: s.Profiles.MergedBy,
			Young: young, Grown: young, Settling: settling, Most: batch, MostImported: batch, Look: x.look, Save: x.save}
	}
	x.place, x.st = place, st
	x.follower.Place, x.follower.Marks = place, &st.Marks
	return x
}

// save publishes the state, if it has changed.
func (x *pass) save(ctx context.Context) error {
	if err := x.st.published.Save(ctx, x.place, stateKey, x.st); err != nil {
		return fmt.Errorf("write the state of the query index: %w", err)
	}
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
	return x.follower.Start(ctx)
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

// look makes the index say what profiles are now: a person is found under its main profile, its members are not found.
func (x *pass) look(ctx context.Context, ids []fold.ID, _ bool) error {
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
