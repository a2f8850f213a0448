package rule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	// seen is up to where the feed has been looked at for good before it was settled.
	seen int64

	// common are the tuples that have had too many holders, of a generation; nil: they have not been read.
	common   map[Tuple]bool
	commonOf uint32
	// intents are the keys of the rows that note whom the last evaluation was about.
	intents [][]byte
	// sweepAfter is before when it is not looked again for profiles that have changed by themselves.
	sweepAfter time.Time

	fence    uint64
	place    change.Place
	consumer *change.Consumer
	saved    []byte // the state as it was published last
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
	defer func() { s.suspend(x, err == nil) }()
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
	err = x.consumer.Run(ctx, x.inc, x.place)
	if errors.Is(err, change.ErrBehind) || errors.Is(err, errMuch) {
		return time.Millisecond, x.begin(ctx, true)
	}
	if err != nil {
		return 0, err
	}
	if err := x.forgetDone(ctx); err != nil {
		return 0, err
	}
	if again, err = x.early(ctx); errors.Is(err, errMuch) {
		return time.Millisecond, x.begin(ctx, true)
	} else if err != nil {
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
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.passes[rec.Incarnation]
	if x == nil || x.fence != fence {
		x = &pass{Service: s, inc: rec.Incarnation, fence: fence, force: true, born: true}
	}
	delete(s.passes, rec.Incarnation)
	x.rec, x.place, x.st, x.saved = rec, place, st, nil
	x.consumer = &change.Consumer{Feed: s.Feed, Final: func(ctx context.Context, _ store.Incarnation, rows []change.Row) error { return x.final(ctx, rows) }}
	return x
}

// maxPasses bounds what is remembered of domains. Who is forgotten writes a few rows twice.
const maxPasses = 16

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
	s.passes[x.inc] = x
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

// early evaluates what the feed tells that is not settled, and says how soon there is more to do. Imports wait until they are settled
// only if they are not the newest: what they touched stands in their runs.
func (x *pass) early(ctx context.Context) (again time.Duration, err error) {
	cursor, _, err := x.consumer.Cursor(ctx, x.place)
	if err != nil {
		return 0, err
	}
	pause := settling
	if x.Shared {
		pause = grown
	}
	if x.seen > cursor { // what has been seen has to be seen again when it is settled
		for _, err := range x.Feed.Rows(ctx, x.inc, cursor, x.seen) {
			if err != nil {
				return 0, err
			}
			again = pause
			break
		}
	}
	var ids []fold.ID
	now := x.Now()
	for r, err := range x.Feed.Unsettled(ctx, x.inc, max(cursor, x.seen)) {
		if err != nil {
			return 0, err
		}
		age := now.Sub(time.UnixMicro(r.At))
		if age < young {
			again = young
			continue
		}
		if age < grown {
			if again != young {
				again = grown
			}
		} else if x.seen = max(x.seen, r.At); again == 0 {
			again = pause
		}
		if err := x.react(ctx, &r, &ids); err != nil {
			return 0, err
		}
	}
	return again, x.index(ctx, ids, true)
}

// final evaluates what rows of the feed name that are settled.
func (x *pass) final(ctx context.Context, rows []change.Row) error {
	var ids []fold.ID
	for i := range rows {
		if err := x.react(ctx, &rows[i], &ids); err != nil {
			return err
		}
	}
	if err := x.index(ctx, ids, true); err != nil {
		return err
	}
	return x.save(ctx) // before the cursor moves: when profiles change by themselves is told once
}

// react gathers the profiles that a row of the feed names, and evaluates them when there are many.
func (x *pass) react(ctx context.Context, r *change.Row, ids *[]fold.ID) error {
	switch r.Kind {
	case change.Imported, change.Undone:
		return x.imported(ctx, r)
	case change.Write:
		*ids = append(*ids, r.ID)
	case change.Merged:
		var id fold.MergeID
		copy(id[:], r.Call[:])
		named, err := x.Profiles.MergedBy(ctx, x.inc, id)
		if err != nil {
			return err
		}
		*ids = append(append(*ids, named...), r.ID)
	}
	if len(*ids) < x.chunk() {
		return nil
	}
	err := x.index(ctx, *ids, true)
	*ids = (*ids)[:0]
	return err
}

// imported evaluates what an import touched, from the bookmark on.
func (x *pass) imported(ctx context.Context, r *change.Row) error {
	if slices.ContainsFunc(x.st.Done, func(m mark) bool { return m.is(r) }) {
		return nil // before it was settled; what has changed since has rows of its own
	}
	if m := x.st.Mark; m == nil || !m.is(r) {
		x.st.Mark = &mark{At: r.At, Job: r.Job}
		if much, err := x.much(ctx, r); err != nil {
			return err
		} else if much { // which evaluates this import, too
			x.st.Done = append(x.st.Done, *x.st.Mark)
			return errMuch
		}
	}
	var ids []fold.ID
	most := importChunks * x.chunk()
	flush := func() error {
		if len(ids) == 0 {
			return nil
		}
		last := ids[len(ids)-1].String()
		if err := x.indexBy(ctx, ids, most, false); err != nil {
			return err
		}
		x.st.Mark.Last = last
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
		if ids = append(ids, id); len(ids) >= most {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	x.st.Done, x.st.Mark = append(x.st.Done, mark{At: r.At, Job: r.Job}), nil
	return x.save(ctx)
}

// muchOf is what part of all profiles an import touches that costs less to evaluate with all there is.
const muchOf = 8

// much says whether an import touched that much. Of small ones it does not: all there is would be evaluated for a few.
func (x *pass) much(ctx context.Context, r *change.Row) (bool, error) {
	least := max(x.st.Profiles/muchOf, int64(2*x.chunk()))
	n := int64(0)
	for _, err := range x.Profiles.Runs.Touched(ctx, x.inc, r.Job) {
		if err != nil {
			return false, fmt.Errorf("read what an import touched: %w", err)
		}
		if n++; n >= least {
			return true, nil
		}
	}
	return false, nil
}

// forgetDone drops the bookmarks of imports that the feed will not tell of again.
func (x *pass) forgetDone(ctx context.Context) error {
	if len(x.st.Done) == 0 {
		return nil
	}
	cursor, _, err := x.consumer.Cursor(ctx, x.place)
	x.st.Done = slices.DeleteFunc(x.st.Done, func(m mark) bool { return m.At <= cursor })
	return err
}

// errMuch says that so much has changed that all there is is evaluated again.
var errMuch = errors.New("much has changed")

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
