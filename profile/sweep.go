package profile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"kith/domain"
	"kith/job"
	"kith/profile/change"
	"kith/profile/fingerprint"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// SweepKind is the kind of background work that removes what has expired.
const SweepKind = "expiry"

const (
	// staleMerge is how old an open merge is of which nobody has heard any more.
	staleMerge = 10 * time.Minute
	// keepEnded is how long the records of merges that do not hold are kept.
	keepEnded = 31 * 24 * time.Hour
	// runChunk is how many rows background work writes together.
	runChunk = 20_000
)

// Sweeper removes expired contributions and what deleted profiles left behind. It holds the domain's turn, so that no import
// matches a profile while it goes.
type Sweeper struct{ *Service }

// Run implements job.Handler.
func (s Sweeper) Run(ctx context.Context, t *job.Task) error {
	rec, at, err := s.begin(ctx, t)
	if rec == nil || err != nil {
		return err
	}
	return s.sweep(ctx, rec, at)
}

// begin gives work under the turn its time. The record is nil when the domain is gone.
func (s *Service) begin(ctx context.Context, t *job.Task) (*domain.Record, int64, error) {
	rec, err := s.live(ctx, t.Incarnation)
	if rec == nil || err != nil {
		return nil, 0, err
	}
	at, rec, err := s.Domains.TakeJobTime(ctx, rec.Name, t.Incarnation, nil, "")
	if errors.Is(err, domain.ErrGone) {
		return nil, 0, job.ErrLost
	}
	return rec, at, err
}

// live returns the living domain of an incarnation, or nil.
func (s *Service) live(ctx context.Context, inc store.Incarnation) (*domain.Record, error) {
	all, err := s.Domains.Live(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(rec *domain.Record) bool { return rec.Incarnation == inc }); i >= 0 {
		return all[i], nil
	}
	return nil, nil
}

// GiveUp implements job.Handler: the next sweep goes on.
func (s Sweeper) GiveUp(context.Context, *job.Task, error) error { return nil }

// sweep clears the profiles in which it meets something that is gone. A tombstone stays: its id is dead for good.
func (s *Service) sweep(ctx context.Context, rec *domain.Record, at int64) error {
	now := s.Now().UnixMicro()
	r := NewReader(now)
	r.sweeps = true
	w := &sweeping{s: s, rec: rec, now: now, rewrite: s.newRewrite(rec, at)}
	err := eachProfile(s.Store.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: rec.Incarnation}), r, func(id ID) error {
		return w.visit(ctx, id, &r.p.stored)
	})
	if err == nil {
		err = w.flush(ctx)
	}
	if err == nil {
		err = s.sweepPrints(ctx, rec, at, now)
	}
	if err != nil {
		return err
	}
	for _, t := range rec.DeadTypes { // whose removal was given up
		if err := s.EndType(ctx, rec, t.Name, t.Incarnation); err != nil {
			return err
		}
	}
	return s.sweepMerges(ctx, rec, now)
}

// sweepPrints removes the prints that tell nothing any more.
func (s *Service) sweepPrints(ctx context.Context, rec *domain.Record, at, now int64) error {
	imports, err := s.Feed.Imports(ctx, rec.Incarnation)
	if err != nil {
		return err
	}
	there := map[int64]bool{}
	for _, im := range imports {
		there[im.Time] = im.UndoneAt == 0
	}
	var rows []store.RunRow
	write := func() error {
		err := s.Store.WriteRun(ctx, store.Run{Table: store.Fingerprint, Rows: store.SortRows(rows)})
		rows = rows[:0]
		return err
	}
	for row, err := range s.Store.Sweep(ctx, store.SweepRange{Table: store.Fingerprint, Incarnation: rec.Incarnation}) {
		if err != nil {
			return fmt.Errorf("sweep the fingerprints: %w", err)
		}
		if !bytes.Equal(row.Row.Key, fingerprint.PrintKey) {
			continue
		}
		if p, ok := fingerprint.Parse(row.Row.Value); ok && p.Expires > now && there[p.Time] {
			continue
		}
		rows = append(rows, fingerprint.Row(rec.Incarnation, ID([]byte(row.Partition.Key)), store.Mutation{Delete: true, Time: at}))
		if len(rows) == runChunk {
			if err := write(); err != nil {
				return err
			}
		}
	}
	return write()
}

// sweeping is a sweep on its way. What it finds it gathers, and works on it together.
type sweeping struct {
	s       *Service
	rec     *domain.Record
	now     int64
	rewrite *rewrite
	named   []ID // whose full names may come from several sources
	stale   []ID // whose heads hold what has expired
	imports []change.Import
}

// visit looks at a profile.
func (w *sweeping) visit(ctx context.Context, id ID, p *stored) error {
	switch {
	case p.links != nil && p.links.Deleted != nil:
		if len(p.Parts) > 0 || p.Head != nil || p.expired > 0 {
			return w.s.erase(ctx, w.rec, id)
		}
		return nil
	case len(p.links.OpenMerges()) > 0:
		if err := w.s.SettleLinks(ctx, w.rec, id); err != nil {
			return err
		}
	}
	if p.links != nil && len(p.links.Merges) > 0 || p.Head != nil && index.FillsNames(p.Head.Values) {
		w.named = append(w.named, id)
	}
	if p.expired > 0 || p.stale {
		if err := w.expire(ctx, id, p); err != nil {
			return err
		}
	}
	if len(w.named) < namesChunk && len(w.stale) < namesChunk {
		return nil
	}
	return w.flush(ctx)
}

// flush does what is noted.
func (w *sweeping) flush(ctx context.Context) error {
	err := w.rewrite.flush(ctx)
	for _, id := range w.stale {
		if err == nil {
			err = w.s.Writer.Expire(ctx, w.rec.Name, id)
		}
	}
	if err == nil {
		err = w.s.mendNames(ctx, w.rec, w.named)
	}
	w.named, w.stale = w.named[:0], w.stale[:0]
	return err
}

// namesChunk is how many persons have their full names mended together.
const namesChunk = 500

// mendNames puts the index rows of full names that persons show and that are missing: what an undo or an expiry leaves of several sources
// may combine to a name that no writer has seen.
func (s *Service) mendNames(ctx context.Context, rec *domain.Record, ids []ID) error {
	people, err := s.people(ctx, rec.Incarnation, ids)
	if err != nil {
		return err
	}
	var rows []store.RunRow
	for _, p := range people {
		var keys index.Set
		keys.AddFullName(p.Profile())
		for _, k := range keys.Keys() {
			rows = append(rows, index.Row(rec.Incarnation, k, p.ID, index.ByAPI, fold.WriteTime(s.Now().UnixMicro(), p.Newest(), 0), false))
		}
	}
	slices.SortFunc(rows, func(a, b store.RunRow) int {
		return cmp.Or(bytes.Compare(a.Partition, b.Partition), bytes.Compare(a.Mutation.Key, b.Mutation.Key))
	})
	probes := func(yield func(store.Probe) bool) {
		for _, row := range rows { // of either class
			id := row.Mutation.Key[:len(ID{})]
			if !yield(store.Probe{Partition: string(row.Partition), Range: store.Range{Start: id, End: store.After(id), Limit: 1}}) {
				return
			}
		}
	}
	there := make([]bool, len(rows))
	for hit, err := range s.Store.Probe(ctx, store.Index, rec.Incarnation, probes) {
		if err != nil {
			return fmt.Errorf("read the index: %w", err)
		}
		there[hit.Index] = true
	}
	var missing []store.RunRow
	for i, row := range rows {
		if !there[i] {
			missing = append(missing, row)
		}
	}
	return s.Store.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows(missing)})
}

// sweepMerges ends merges that nobody has finished, and removes the records of those that have not held for long.
func (s *Service) sweepMerges(ctx context.Context, rec *domain.Record, now int64) error {
	for row, err := range s.Store.Sweep(ctx, store.SweepRange{Table: store.Jobs, Incarnation: rec.Incarnation}) {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(row.Partition.Key, mergesPrefix) {
			continue
		}
		m, err := decodeMerge(row.Row)
		if err != nil {
			return err
		}
		if err := s.sweepMerge(ctx, rec, m, now); err != nil && !errors.Is(err, errBusy) {
			return err
		}
	}
	return nil
}

func (s *Service) sweepMerge(ctx context.Context, rec *domain.Record, m *mergeRecord, now int64) error {
	age := func(at int64) time.Duration { return time.Duration(now-at) * time.Microsecond }
	if m.State == mergeOpen && age(m.id.Asked()) > staleMerge { // its caller was told that it failed
		if err := s.swapMerge(ctx, rec.Incarnation, m, func(m *mergeRecord) { m.State = mergeAborted }); err != nil {
			return err
		}
	}
	if m.State == mergeDone || m.State == mergeOpen {
		return nil
	}
	state, err := s.settle(ctx, rec, m.id)
	if err != nil || state != m.State || age(max(m.id.Asked(), m.Ended)) < keepEnded {
		return err
	}
	_, err = s.Store.Swap(ctx, mergesPartition(rec.Incarnation, m.id.Asked()), []store.Swap{{Key: m.id[:], Op: store.Delete, Expect: m.version}})
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) { // the next sweep looks again
		return nil
	}
	return err
}

// rewrite gathers changes of the contributions of many profiles, and the index rows that follow from them. It is used under the
// domain's turn.
//
// What is missing is put first, then contributions change, then what is in excess goes: every prefix leaves all visible profiles found, and no
// contribution goes that another one repeats.
type rewrite struct {
	s   *Service
	rec *domain.Record
	at  int64 // when it writes, by the domain's clock of jobs: index rows of its class are written in the order of their times

	history, missing, completed, contributions, excess []store.RunRow
}

func (s *Service) newRewrite(rec *domain.Record, at int64) *rewrite {
	return &rewrite{s: s, rec: rec, at: at}
}

// replace is note, and writes what is noted when it is much.
func (w *rewrite) replace(ctx context.Context, before, after *fold.Member, rows []store.RunRow) error {
	w.note(before, after, rows)
	return w.flushMuch(ctx)
}

// flushMuch writes what is noted when it is much.
func (w *rewrite) flushMuch(ctx context.Context) error {
	if len(w.history)+len(w.missing)+len(w.completed)+len(w.contributions)+len(w.excess) < runChunk {
		return nil
	}
	return w.flush(ctx)
}

// take takes over what another has noted.
func (w *rewrite) take(o *rewrite) {
	w.missing = append(w.missing, o.missing...)
	w.completed = append(w.completed, o.completed...)
	w.contributions = append(w.contributions, o.contributions...)
	w.excess = append(w.excess, o.excess...)
}

// note notes that the contributions of a profile change from those of before to those of after. The mutations are those of the
// contributions' rows.
func (w *rewrite) note(before, after *fold.Member, rows []store.RunRow) {
	missing, excess := index.Difference(before, after, w.rec.Keys)
	for _, k := range missing {
		w.missing = append(w.missing, index.Row(w.rec.Incarnation, k, before.ID, index.ByImport, w.at, false))
	}
	for _, k := range excess {
		w.excess = append(w.excess, index.Row(w.rec.Incarnation, k, before.ID, index.ByImport, w.at, true))
	}
	if after.Head != nil && len(after.Parts) == 0 { // what imports had masked shows now, and no row of class ByImport stands for it
		var names index.Set
		names.AddFullName(after.Profile())
		for _, k := range names.Keys() {
			w.missing = append(w.missing, index.Row(w.rec.Incarnation, k, before.ID, index.ByAPI, max(w.at, after.Newest()+1), false))
		}
	}
	w.contributions = append(w.contributions, rows...)
}

// complete notes that those contributions of a profile get their own values that repeat one that goes.
func (w *rewrite) complete(id ID, staying []fold.Part, goes func(source string) bool) {
	for _, part := range staying {
		if part.Repeats != "" && goes(part.Repeats) {
			w.completed = append(w.completed, contributionRow(w.rec.Incarnation, id, part.Source, store.Mutation{Value: part.Append(nil), Time: w.at}))
		}
	}
}

// flush writes what is noted.
func (w *rewrite) flush(ctx context.Context) error {
	for _, part := range []struct {
		table store.Table
		rows  []store.RunRow
	}{{store.History, w.history}, {store.Index, w.missing}, {store.Profile, w.completed}, {store.Profile, w.contributions}, {store.Index, w.excess}} {
		if len(part.rows) == 0 {
			continue
		}
		if err := w.s.Store.WriteRun(ctx, store.Run{Table: part.table, Rows: store.SortRows(part.rows)}); err != nil {
			return err
		}
	}
	w.history, w.missing, w.completed, w.contributions, w.excess = nil, nil, nil, nil, nil
	return nil
}

// expire removes the contributions of a profile that have expired, and returns them.
func (w *rewrite) expire(ctx context.Context, id ID, now int64) (gone []fold.Part, err error) {
	all, err := w.s.readAll(ctx, w.rec.Incarnation, []ID{id}, 0) // with what has expired
	if err != nil || all[id] == nil {
		return nil, err
	}
	p := all[id]
	before, after := p.Member.Alone(), p.Member.Alone()
	after.Parts = nil
	var rows []store.RunRow
	for i, part := range p.Parts {
		if part.Expires > now {
			after.Parts = append(after.Parts, part)
		} else {
			gone = append(gone, part)
			rows = append(rows, contributionRow(w.rec.Incarnation, id, part.Source, store.Mutation{Delete: true, Time: p.times[i]}))
		}
	}
	if rows != nil {
		expired := func(source string) bool {
			return slices.ContainsFunc(gone, func(part fold.Part) bool { return part.Source == source })
		}
		w.complete(id, after.Parts, expired)
		w.note(before, after, rows)
	}
	return gone, nil
}

// eachProfile walks a sweep of table profile: r gathers the rows of a profile, then settle is called.
func eachProfile(rows iter.Seq2[store.SweepRow, error], r *Reader, settle func(ID) error) error {
	var id ID
	open := false
	for row, err := range rows {
		if err != nil {
			return err
		}
		if !open || row.Partition.Key != string(id[:]) {
			if open {
				if err := settle(id); err != nil {
					return fmt.Errorf("profile %s: %w", id, err)
				}
			}
			open = true
			copy(id[:], row.Partition.Key)
			r.Reset(id)
		}
		if err := r.Add(row.Row); err != nil {
			return err
		}
	}
	if !open {
		return nil
	}
	return settle(id)
}

// EachWithKey calls do for every visible profile that has one of the domain's own keys, with the normalised value.
func (s *Service) EachWithKey(ctx context.Context, inc store.Incarnation, key domain.Key, now int64, do func(ID, string) error) error {
	return s.eachMain(ctx, inc, now, func(p *stored) error {
		var keys index.Set
		add := func(shown *fold.Profile) bool {
			for _, k := range index.OwnKeys(shown, []domain.Key{key}) {
				keys.Add(k)
			}
			return true
		}
		if shown := p.Profile(); shown != nil {
			add(shown)
		}
		index.EachHidden(&p.Member, add)
		for _, k := range keys.Keys() {
			if err := do(p.ID, k.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachMain calls do for every visible profile, with its members.
func (s *Service) eachMain(ctx context.Context, inc store.Incarnation, now int64, do func(*stored) error) error {
	r := NewReader(now)
	settle := func(id ID) error {
		p := &r.p.stored
		if p.links != nil {
			all, err := s.loadMains(ctx, inc, []ID{id})
			if err != nil || all[id] == nil {
				return err
			}
			p = all[id]
		}
		if !p.Visible() {
			return nil
		}
		return do(p)
	}
	return eachProfile(s.Store.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: inc}), r, settle)
}

// keyChunk is how many index rows IndexKeyOfAll sorts at a time.
const keyChunk = 100_000

// IndexKeyOfAll writes the index rows of a new key for all profiles of a domain, with the time of the job that makes it one. It may be
// repeated.
func (s *Service) IndexKeyOfAll(ctx context.Context, inc store.Incarnation, key domain.Key, at int64) error {
	var chunk []store.RunRow
	flush := func() error {
		err := s.Store.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows(chunk)})
		chunk = chunk[:0]
		return err
	}
	r := NewReader(0)
	settle := func(id ID) error {
		add := func(values []fold.Value, class index.Class) {
			if n := index.OwnKey(values, key); n != "" {
				chunk = append(chunk, index.Row(inc, index.Key{Name: key.Name, Value: n}, id, class, at, false))
			}
		}
		for _, part := range r.p.Parts {
			index.Versions(part.Values, func(shown []fold.Value) { add(shown, index.ByImport) })
		}
		if r.p.Head != nil {
			add(r.p.Head.Values, index.ByAPI)
		}
		if len(chunk) >= keyChunk {
			return flush()
		}
		return nil
	}
	if err := eachProfile(s.Store.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: inc}), r, settle); err != nil {
		return err
	}
	return flush()
}
