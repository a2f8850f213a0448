package profile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"kith/domain"
	"kith/job"
	"kith/objecttype"
	"kith/store"
)

// FoldKind is the kind of background work that folds old imports.
const FoldKind = "fold"

const (
	// DeepAt is how many contributions of a profile make folding them worth the work.
	DeepAt = 16
	// keepNewest is how many imports of a profile stay apart, and can be undone.
	keepNewest = 8
	// keepFor is how long an import stays apart.
	keepFor = 30 * 24 * time.Hour
	// foldChunk is how many rows are written together.
	foldChunk = 50_000
)

// Folder folds the contributions of old imports into one, so that a profile's size and the time to read it do not grow with the
// number of imports. It holds the domain's turn.
//
// Contributions are folded that are older than keepFor or than the profile's keepNewest newest, if nothing of another kind
// lies between them in the order of the fold. Values keep their stamps and their expiries; a value that is replaced for all of
// its life goes. A profile is the same before and after.
type Folder struct {
	*Service
	// Close is told the time of a job before the first of its contributions is folded; the job can't be undone from then on.
	// It returns false when the job's contributions must stay apart, because an undo of it is waiting.
	Close func(ctx context.Context, rec *domain.Record, jobTime int64) (bool, error)
}

// Run implements job.Handler.
func (f Folder) Run(ctx context.Context, t *job.Task) error {
	rec, err := f.live(ctx, t.Incarnation)
	if rec == nil || err != nil {
		return err
	}
	at, rec, err := f.Domains.TakeJobTime(ctx, rec.Name, t.Incarnation, nil)
	if errors.Is(err, domain.ErrGone) {
		return job.ErrLost
	}
	if err != nil {
		return err
	}
	return (&folding{Folder: f, rec: rec, at: at, now: f.Now().UnixMicro(), closed: map[int64]bool{}}).run(ctx)
}

// GiveUp implements job.Handler: the next folding goes on.
func (f Folder) GiveUp(context.Context, *job.Task, error) error { return nil }

// folding is one run over a domain.
type folding struct {
	Folder
	rec     *domain.Record
	at, now int64 // the time it writes with; the time it is
	closed  map[int64]bool

	index, profiles []store.RunRow
}

func (f *folding) run(ctx context.Context) error {
	var parts []storedPart
	rest := NewReader(ctx, f.Store, f.rec.Incarnation) // for what is no contribution
	add := func(row store.Row) error {
		if !IsContribution(row.Key) {
			return rest.Add(row, f.now)
		}
		p, err := decodePart(row)
		if err == nil && rest.ties.knows(p.source) {
			parts = append(parts, p)
		}
		return err
	}
	settle := func(id ID) error {
		defer func() { parts = parts[:0]; rest.Reset() }()
		if rest.dead {
			return nil
		}
		if err := f.fold(ctx, id, parts, rest.ties); err != nil {
			return fmt.Errorf("profile %s: %w", id, err)
		}
		if len(f.index)+len(f.profiles) >= foldChunk {
			return f.flush(ctx)
		}
		return nil
	}
	if err := eachProfile(f.Store.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: f.rec.Incarnation}), add, settle); err != nil {
		return err
	}
	return f.flush(ctx)
}

// fold folds what may be of one profile: what is its own, and what each profile had that has come into it.
func (f *folding) fold(ctx context.Context, id ID, all []storedPart, t *ties) (err error) {
	all = slices.DeleteFunc(all, func(p storedPart) bool { return p.Expires <= f.now }) // the sweep's
	if len(all) < 2 {
		return nil
	}
	var whole *Profile
	fold := func() *Profile {
		if whole == nil {
			var parts []sourced
			for _, p := range all {
				parts = append(parts, p.sourced)
			}
			whole = foldAll(id, parts, t)
		}
		return whole
	}
	t.eachBranch(func(path string, of []merged) {
		var parts []storedPart
		for _, p := range all {
			if at, _ := splitSource(p.source); at == path {
				parts = append(parts, p)
			}
		}
		if err == nil && len(parts) > 1 {
			err = f.foldPath(ctx, id, path, parts, of, fold)
		}
	})
	return err
}

// foldPath folds what came into a profile by one path.
func (f *folding) foldPath(ctx context.Context, id ID, path string, parts []storedPart, of []merged, whole func() *Profile) error {
	slices.SortFunc(parts, func(a, b storedPart) int {
		return cmp.Or(cmp.Compare(a.Stamp.Time, b.Stamp.Time), cmp.Compare(a.Stamp.Row, b.Stamp.Row), cmp.Compare(a.source, b.source))
	})
	imports := 0
	for _, p := range parts {
		if p.Kind == Import {
			imports++
		}
	}
	var groups [][]storedPart
	var group, stay []storedPart
	end := func() {
		if len(group) > 1 {
			groups = append(groups, group)
		} else {
			stay = append(stay, group...)
		}
		group = nil
	}
	for _, p := range parts {
		for len(of) > 0 && of[0].Merge.at() < p.Stamp.Time { // what a merge had before it
			of = of[1:]
			end()
		}
		if p.Kind != Import {
			end()
			stay = append(stay, p)
			continue
		}
		imports--
		old := imports >= keepNewest || p.Stamp.Time < f.now-keepFor.Microseconds()
		may := old && p.version == 0
		if may {
			var err error
			if may, err = f.close(ctx, p.source); err != nil {
				return err
			}
		}
		if may {
			group = append(group, p)
		} else {
			stay = append(stay, p)
		}
	}
	end()
	for n, group := range groups {
		if err := f.replace(ctx, id, whole(), group, stay, string(appendFoldedSource([]byte(path), f.at, n))); err != nil {
			return err
		}
	}
	return nil
}

// close says whether a contribution may be folded.
func (f *folding) close(ctx context.Context, source string) (bool, error) {
	_, source = splitSource(source)
	if isFolded(source) {
		return true, nil
	}
	at, ok := ImportTime(source)
	if !ok {
		return false, nil
	}
	may, known := f.closed[at]
	if known {
		return may, nil
	}
	may, err := f.Close(ctx, f.rec, at)
	if err == nil {
		f.closed[at] = may
	}
	return may, err
}

// replace notes the rows that put one contribution into the place of a group; others of the same path stay.
func (f *folding) replace(ctx context.Context, id ID, whole *Profile, group, stay []storedPart, source string) error {
	newest := group[len(group)-1]
	c := &Contribution{Kind: Import, Stamp: newest.Stamp}
	own := whole.OwnKeys(f.rec.Keys) // which the parts were indexed by together
	row := func(k IndexKey, source string, m store.Mutation) {
		f.index = append(f.index, indexRunRow(f.rec.Incarnation, k, id, source, m))
	}
	extra := own
	var values []Value
	for _, p := range group {
		c.Expires = max(c.Expires, p.Expires)
		extra = append(extra, p.Extra...)
		for _, v := range p.Values {
			if v.Expires == 0 {
				v.Expires = p.Expires
			}
			if v.Expires > f.now {
				values = append(values, v)
			}
		}
		for _, k := range append(p.IndexKeys(f.rec.Keys), own...) {
			row(k, p.source, store.Mutation{Delete: true, Time: f.at})
		}
		f.profiles = append(f.profiles, contributionRunRow(f.rec.Incarnation, id, p.source, store.Mutation{Delete: true, Time: f.at}))
	}
	c.Values = outliving(values)
	c.Extra = distinct(append(extra, laterKeys(c.Values, f.rec.Keys)...))
	keys := c.IndexKeys(f.rec.Keys)
	for _, k := range keys {
		row(k, source, store.Mutation{Time: f.at})
	}
	var err error
	heirs(group, stay, f.rec.Keys, func(k IndexKey, heir storedPart) {
		if slices.Contains(keys, k) { // the new one stands for it
			return
		}
		if err == nil {
			err = f.markHeir(ctx, f.rec, heir)
		}
		row(k, heir.source, store.Mutation{Time: heir.time})
	})
	f.profiles = append(f.profiles, contributionRunRow(f.rec.Incarnation, id, source, store.Mutation{Value: c.Append(nil), Time: f.at}))
	return err
}

// outliving leaves of the values of imports, attribute by attribute, the newest and those older ones that expire later than all
// newer ones. The result is in order; values of one attribute are from old to new.
func outliving(values []Value) []Value {
	slices.SortStableFunc(values, func(a, b Value) int {
		if a.Attr != b.Attr {
			if a.Attr.Less(b.Attr) {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Stamp.Time, a.Stamp.Time), cmp.Compare(b.Stamp.Row, a.Stamp.Row)) // newest first
	})
	var kept []Value
	for i := 0; i < len(values); {
		first := len(kept)
		until := int64(0)
		attr := values[i].Attr
		for ; i < len(values) && values[i].Attr == attr; i++ {
			if values[i].Expires > until {
				until = values[i].Expires
				kept = append(kept, values[i])
			}
		}
		slices.Reverse(kept[first:])
	}
	return kept
}

// laterKeys returns the keys that values yield when the newer ones have expired.
func laterKeys(values []Value, own []domain.Key) (keys []IndexKey) {
	var ends []int64
	for _, v := range values {
		ends = append(ends, v.Expires)
	}
	slices.Sort(ends)
	ends = slices.Compact(ends)
	if len(ends) < 2 {
		return nil
	}
	for _, end := range append([]int64{0}, ends[:len(ends)-1]...) {
		newest := map[objecttype.Attr]Value{}
		for _, v := range values {
			if v.Expires > end {
				newest[v.Attr] = v
			}
		}
		var visible []Value
		for _, v := range newest {
			visible = append(visible, v)
		}
		Keys(visible, own, func(name, value string) { keys = append(keys, IndexKey{name, value}) })
	}
	return keys
}

func distinct(keys []IndexKey) (all []IndexKey) {
	for _, k := range keys {
		if !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all
}

// flush writes what is noted: first the index rows, those of a folded contribution in the place of its parts', which name the
// same profile for every key it has; then the contributions, a profile's at once. Every prefix of it leaves all profiles found
// and unchanged, and no index row is forgotten: the parts from which they are known go last.
func (f *folding) flush(ctx context.Context) error {
	err := f.Store.WriteRun(ctx,
		store.Run{Table: store.Index, Rows: store.SortRows(f.index)},
		store.Run{Table: store.Profile, Rows: store.SortRows(f.profiles)})
	f.index, f.profiles = nil, nil
	return err
}
