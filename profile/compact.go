package profile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kith/domain"
	"kith/job"
	"kith/profile/fold"
	"kith/store"
)

// CompactKind is the kind of background work that compacts old imports.
const CompactKind = "compact"

const (
	// DeepAt is how many contributions of a profile make compaction worth the work.
	DeepAt = 16
	// keepNewest is how many imports of a profile stay apart, and can be undone.
	keepNewest = 8
	// keepFor is how long an import stays apart.
	keepFor = 30 * 24 * time.Hour
)

// Compactor puts one contribution into the place of those of old imports, so that a profile's size and the time to read it do not grow
// with the number of imports. It holds the domain's turn.
//
// Contributions are compacted that are older than keepFor or than the profile's keepNewest newest, whatever lies between them but a merge:
// values keep their stamps, so the fold replays them where they were. Values keep their expiries; a value that is replaced for all of its
// life goes. A profile is the same before and after.
type Compactor struct {
	*Service
	// Close is told the time of a job before the first of its contributions is compacted; the job can't be undone from then on.
	// It returns false when the job's contributions must stay apart, because an undo of it is waiting.
	Close func(ctx context.Context, rec *domain.Record, jobTime int64) (bool, error)
}

// Run implements job.Handler.
func (c Compactor) Run(ctx context.Context, t *job.Task) error {
	rec, at, err := c.begin(ctx, t)
	if rec == nil || err != nil {
		return err
	}
	return (&compaction{Compactor: c, rec: rec, at: at, now: c.Now().UnixMicro(), closed: map[int64]bool{}}).run(ctx)
}

// GiveUp implements job.Handler: the next compaction goes on.
func (c Compactor) GiveUp(context.Context, *job.Task, error) error { return nil }

// compaction is one run over a domain.
type compaction struct {
	Compactor
	rec     *domain.Record
	at, now int64 // the time it writes with; the time it is
	closed  map[int64]bool
}

func (c *compaction) run(ctx context.Context) error {
	w := c.newRewrite(c.rec, c.at)
	r := NewReader(c.now)
	settle := func(id ID) error {
		p := &r.p.stored
		if len(p.Parts) < 2 || p.links != nil && p.links.Deleted != nil {
			return nil
		}
		if err := c.compact(ctx, w, p); err != nil {
			return fmt.Errorf("profile %s: %w", id, err)
		}
		return nil
	}
	if err := eachProfile(c.Store.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: c.rec.Incarnation}), r, settle); err != nil {
		return err
	}
	return w.flush(ctx)
}

// compact compacts what may be of one profile.
func (c *compaction) compact(ctx context.Context, w *rewrite, p *stored) error {
	old, err := c.old(ctx, p)
	if err != nil || len(old) < 2 {
		return err
	}
	merges, err := c.mergeTimes(ctx, p)
	if err != nil {
		return err
	}
	times := map[string]int64{}
	for i, part := range p.Parts {
		times[part.Source] = p.times[i]
	}
	after := p.Member.Alone()
	after.Parts = slices.DeleteFunc(slices.Clone(p.Parts), func(part fold.Part) bool { return slices.Contains(old, part.Source) })
	var rows []store.RunRow
	var parts []fold.Part
	for _, part := range p.Parts {
		if slices.Contains(old, part.Source) {
			parts = append(parts, part)
		}
	}
	var goes []string
	for n, group := range fold.BetweenMerges(parts, merges) {
		if len(group) < 2 {
			after.Parts = append(after.Parts, group...)
			continue
		}
		made := fold.Part{Source: compactedSource(c.at, n), Contribution: fold.CompactImports(group, c.now)}
		after.Parts = append(after.Parts, made)
		for _, part := range group {
			goes = append(goes, part.Source)
			rows = append(rows, contributionRow(c.rec.Incarnation, p.ID, part.Source, store.Mutation{Delete: true, Time: max(times[part.Source], c.at)}))
		}
		rows = append(rows, contributionRow(c.rec.Incarnation, p.ID, made.Source, store.Mutation{Value: made.Append(nil), Time: c.at}))
	}
	if goes == nil {
		return nil
	}
	staying := after.Parts
	if p.expired > 0 { // until they are swept, these may repeat what goes, too
		all, err := c.readAll(ctx, c.rec.Incarnation, []ID{p.ID}, 0)
		if err != nil {
			return err
		}
		for _, part := range all[p.ID].Parts {
			if part.Expires <= c.now {
				staying = append(slices.Clip(staying), part)
			}
		}
	}
	w.complete(p.ID, staying, func(source string) bool { return slices.Contains(goes, source) })
	// The reader's memory is used again before the rows are written: index keys are taken now, and the new contribution is encoded.
	return w.replace(ctx, p.Member.Alone(), after, rows)
}

// old lists the sources of contributions that may be compacted.
func (c *compaction) old(ctx context.Context, p *stored) (sources []string, err error) {
	parts := slices.Clone(p.Parts)
	slices.SortFunc(parts, fold.ComparePartTimes)
	for i, part := range parts {
		if newer := len(parts) - 1 - i; newer < keepNewest && part.Stamp.Time >= c.now-keepFor.Microseconds() {
			continue
		}
		may, err := c.close(ctx, part.Source)
		if err != nil {
			return nil, err
		}
		if may {
			sources = append(sources, part.Source)
		}
	}
	return sources, nil
}

// mergeTimes lists the times of the merges that a profile takes part in, its own and those of its main profiles.
func (c *compaction) mergeTimes(ctx context.Context, p *stored) (times []int64, err error) {
	for p != nil && p.links != nil {
		st := p.links.Clone()
		if err := st.Believe(c.holds(ctx, c.rec.Incarnation)); err != nil {
			return nil, err
		}
		for _, m := range st.Merges {
			times = append(times, m.At)
		}
		if st.Into == nil {
			break
		}
		times = append(times, st.Into.At)
		all, err := c.readAll(ctx, c.rec.Incarnation, []ID{st.Into.Main}, c.now)
		if err != nil {
			return nil, err
		}
		p = all[st.Into.Main]
	}
	slices.Sort(times)
	return times, nil
}

// close says whether a contribution may be compacted.
func (c *compaction) close(ctx context.Context, source string) (bool, error) {
	if isCompacted(source) {
		return true, nil
	}
	at, ok := ImportTime(source)
	if !ok {
		return false, nil
	}
	may, known := c.closed[at]
	if known {
		return may, nil
	}
	may, err := c.Close(ctx, c.rec, at)
	if err == nil {
		c.closed[at] = may
	}
	return may, err
}
