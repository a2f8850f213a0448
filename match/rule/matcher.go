package rule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"kith/domain"
	"kith/job"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/store"
)

const (
	// maxChunk is about how many profiles are evaluated together, and chunkTuples how many tuples they may have; stepRead is how many
	// are read together.
	maxChunk    = 10_000
	chunkTuples = 100_000
	stepRead    = 1000
	// importChunks is how many times as many are evaluated together of an import: the more, the nearer are the rows that are read.
	importChunks = 4
	// sliceTime is how long all there is is evaluated before the matcher gives others a turn.
	sliceTime = 5 * time.Second
	// young is how old a row of the feed is when it is looked at first, and grown when that need not be done again before it is settled:
	// its write has happened by then, as a rule.
	young = 150 * time.Millisecond
	grown = time.Second
	// settling is how often the feed is looked at as long as rows of it are not settled, of a store of one node.
	settling = 10 * time.Second
)

// pass is the matcher at work in a domain, under one taking of its lease.
type pass struct {
	*Service
	rec *domain.Record
	inc store.Incarnation
	st  *state
	// rules are those that are matched by.
	rules   *Rules
	matcher *Matcher
	// force says that rows that seem to be there may not be: what wrote them may have failed, or been another node.
	force bool
	// born says that it has done nothing yet.
	born bool

	// common are the tuples that have had too many holders, of a generation; nil: they have not been read.
	common   map[Tuple]bool
	commonOf uint32
	// intents are the keys of the rows that note whom the last evaluation was about.
	intents [][]byte
	// sweepAfter is before when it is not looked again for profiles that have changed by themselves.
	sweepAfter time.Time

	place    change.Place
	follower change.Follower
}

// Match is the matcher: it takes the matches of a domain as far as the feed goes, and evaluates all there is for a while where that has to
// be done. again is how soon there is more to do; 0: when something has changed. fence is another one when somebody else may have been at
// work since. It may be cut off anywhere.
func (s *Service) Match(ctx context.Context, inc store.Incarnation, place change.Place, fence uint64) (again time.Duration, err error) {
	rec, err := s.Domains.OfIncarnation(ctx, inc)
	if err != nil {
		return 0, err
	}
	if rec == nil {
		return 0, job.ErrGone
	}
	st, err := s.read(ctx, inc)
	if err != nil {
		return 0, err
	}
	s.note(inc, enabled(rec))
	x := s.resume(rec, place, fence, st)
	defer func() {
		if err == nil {
			s.passes.Keep(inc, fence, x)
		}
	}()
	if !enabled(rec) {
		return 0, x.end(ctx)
	}
	// What was being read when it was cut off is read anew: profiles may have changed, and of what they had then nothing would tell.
	cut := x.born && st.Building == reading
	x.born = false
	if x.rules = s.rules(rec); x.rules.print != st.Rules || st.Gen == 0 || cut {
		if wait := rec.RulesChangedAt + s.Config.StartAfter.Microseconds() - s.Now().UnixMicro(); wait > 0 {
			return min(time.Duration(wait)*time.Microsecond, time.Minute), nil
		}
		if err := x.begin(ctx, st.Again && x.rules.print == st.Rules); err != nil {
			return 0, err
		}
	}
	x.matcher = x.rules.Matcher()
	return x.follow(ctx)
}

// follow builds, or follows the feed.
func (x *pass) follow(ctx context.Context) (again time.Duration, err error) {
	if x.st.Building != ready {
		if err := x.build(ctx); err != nil {
			return 0, err
		}
		if x.st.Building != ready {
			return time.Millisecond, nil
		}
	}
	if err := x.drop(ctx); err != nil {
		return 0, err
	}
	if x.force {
		if err := x.pending(ctx); err != nil {
			return 0, err
		}
	}
	x.follower.Most, x.follower.MostImported = x.chunk(), importChunks*x.chunk()
	again, err = x.follower.Follow(ctx)
	if errors.Is(err, change.ErrBehind) || errors.Is(err, change.ErrWhole) {
		return time.Millisecond, x.begin(ctx, true)
	}
	if err != nil {
		return 0, err
	}
	for _, step := range []func(context.Context) (time.Duration, error){x.changed, x.export} {
		due, err := step(ctx)
		if err != nil {
			return 0, err
		}
		if due > 0 && (again == 0 || due < again) {
			again = due
		}
	}
	x.force = false // what was cut off before has been done again
	return again, x.save(ctx)
}

// resume returns the pass of a domain, which goes on as long as the lease is held and nothing fails, or a new one that trusts nothing.
func (s *Service) resume(rec *domain.Record, place change.Place, fence uint64, st *state) *pass {
	x, ok := s.passes.Take(rec.Incarnation, fence)
	if !ok {
		x = &pass{Service: s, inc: rec.Incarnation, force: true, born: true}
		x.follower = change.Follower{Feed: s.Feed, Incarnation: rec.Incarnation, Runs: s.Profiles.Runs, MergedBy: s.Profiles.MergedBy,
			Young: young, Grown: grown, Settling: settling, Look: x.look, Save: x.save, Whole: x.much}
		if s.Shared {
			x.follower.Settling = grown
		}
	}
	x.rec, x.place, x.st = rec, place, st
	x.follower.Place, x.follower.Marks = place, &st.Marks
	return x
}

// now returns the time of the next writes: the rows have one writer, whose times rise.
func (x *pass) now() int64 {
	x.st.Time = max(x.Now().UnixMicro(), x.st.Time+1)
	return x.st.Time
}

// chunk is about how many profiles are evaluated together: fewer if each may have many tuples.
func (x *pass) chunk() int {
	if x.Chunk != 0 {
		return x.Chunk
	}
	return max(100, min(maxChunk, chunkTuples/x.rules.most()))
}

// muchOf is what part of all profiles an import touches that costs less to evaluate with all there is.
const muchOf = 8

// much says whether an import touched that much. Of small ones it does not: all there is would be evaluated for a few.
func (x *pass) much(ctx context.Context, job string) (bool, error) {
	least := max(x.st.Profiles/muchOf, int64(2*x.chunk()))
	n := int64(0)
	for _, err := range x.Profiles.Runs.Touched(ctx, x.inc, job) {
		if err != nil {
			return false, fmt.Errorf("read what an import touched: %w", err)
		}
		if n++; n >= least {
			return true, nil
		}
	}
	return false, nil
}

// look evaluates profiles: those of an import as many at a time as are given, and only those whose tuples are not what they were.
func (x *pass) look(ctx context.Context, ids []fold.ID, imported bool) error {
	if imported {
		return x.indexBy(ctx, ids, x.follower.MostImported, false)
	}
	return x.index(ctx, ids, true)
}

// index reads what profiles are now, a person under its main profile, and makes documents, holders and matches say so. all: they are
// evaluated even if their tuples are what they were.
func (x *pass) index(ctx context.Context, ids []fold.ID, all bool) error {
	return x.indexBy(ctx, ids, x.chunk(), all)
}

// indexBy is index of so many profiles at a time.
func (x *pass) indexBy(ctx context.Context, ids []fold.ID, most int, all bool) error {
	ids = slices.Clone(ids)
	for round := 0; len(ids) > 0; round++ {
		slices.SortFunc(ids, fold.ID.Compare)
		ids = slices.Compact(ids)
		var merged []fold.ID
		for part := range slices.Chunk(ids, most) {
			now, err := x.docsOf(ctx, part)
			if err != nil {
				return err
			}
			more, err := x.apply(ctx, now, all)
			if err != nil {
				return err
			}
			merged = append(merged, more...)
		}
		if ids = merged; round == maxRounds {
			return nil // the feed tells of them, too
		}
	}
	return nil
}

// maxRounds is how often what was merged is matched again at once.
const maxRounds = 15

// docsOf reads profiles, and returns what they are to be indexed with; nil: nothing. A profile that was merged is under its person, which is
// returned, too.
func (x *pass) docsOf(ctx context.Context, ids []fold.ID) (map[fold.ID]*doc, error) {
	now := make(map[fold.ID]*doc, len(ids))
	for _, id := range ids {
		now[id] = nil
	}
	var mu sync.Mutex
	read := func(ctx context.Context, m *Matcher, part []fold.ID) error {
		people, err := x.Profiles.People(ctx, x.inc, part)
		if err != nil {
			return err
		}
		docs := make(map[fold.ID]*doc, len(people))
		for _, person := range people {
			person.Walk(func(m *fold.Member) { docs[m.ID] = nil })
		}
		for _, person := range people {
			if p := person.Profile(); p != nil {
				docs[person.ID] = &doc{changes: p.Changes, tuples: slices.Clone(m.Tuples(p))}
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for id, d := range docs {
			if d != nil || now[id] == nil {
				now[id] = d
			}
		}
		return nil
	}
	if len(ids) <= stepRead {
		return now, read(ctx, x.matcher, ids)
	}
	err := inParts(ctx, x.workers(), len(ids), func(ctx context.Context, from, to int) error {
		m := x.rules.Matcher()
		for part := range slices.Chunk(ids[from:to], stepRead) {
			if err := read(ctx, m, part); err != nil {
				return err
			}
		}
		return nil
	})
	return now, err
}

func sortedIDs(of map[fold.ID]*doc) []fold.ID {
	ids := make([]fold.ID, 0, len(of))
	for id := range of {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, fold.ID.Compare)
	return ids
}
