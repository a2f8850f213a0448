package query

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"unicode/utf8"

	"kith/profile/change"
	"kith/profile/fold"
	"kith/store"
)

// pass is the indexer at work in a domain, under one taking of its lease.
type pass struct {
	*Service
	inc store.Incarnation
	st  *state
	// force says that rows that seem to be there may not be: what wrote them may have failed, or been another node.
	force bool
	// known are names whose letters are in the index for sure, by their generation.
	known map[knownName]bool

	place    change.Place
	follower change.Follower
}

type knownName struct {
	gen  uint32
	term string
}

// maxKnown bounds the names that are remembered; forgetting one costs writing its letters again.
const maxKnown = 200_000

// at returns the time of the next writes: the rows have one writer, whose times rise.
func (x *pass) at() int64 {
	x.st.Time = max(x.Now().UnixMicro(), x.st.Time+1)
	return x.st.Time
}

// apply makes the rows of a generation say what profiles are indexed with now; nil: with nothing. Repeatable, and done again when it was
// cut off; see the package documentation for the order.
func (x *pass) apply(ctx context.Context, gen uint32, now map[fold.ID]*doc) error {
	ids := slices.SortedFunc(maps.Keys(now), func(a, b fold.ID) int { return bytes.Compare(a[:], b[:]) })
	before, err := x.indexed(ctx, gen, ids)
	if err != nil {
		return err
	}
	w := &changes{pass: x, gen: gen, at: x.at()}
	for _, id := range ids {
		w.profile(id, before[id], now[id])
	}
	if err := w.write(ctx); err != nil {
		return fmt.Errorf("write the query index: %w", err)
	}
	x.count(gen, w.profiles, w.terms)
	return nil
}

// count notes how many profiles and terms a generation has more.
func (x *pass) count(gen uint32, profiles, terms int64) {
	if gen == x.st.Serving {
		x.st.Profiles, x.st.Terms = x.st.Profiles+profiles, x.st.Terms+terms
	} else {
		x.st.NewProfiles, x.st.NewTerms = x.st.NewProfiles+profiles, x.st.NewTerms+terms
	}
}

// indexed returns what profiles have been indexed with. Ids ascend.
func (x *pass) indexed(ctx context.Context, gen uint32, ids []fold.ID) (map[fold.ID][]*doc, error) {
	found := map[fold.ID][]*doc{}
	probes := func(yield func(store.Probe) bool) {
		for _, id := range ids {
			if !yield(store.Probe{Partition: docPartition(gen, id), Range: store.Range{Start: docKey, End: store.After(docKey)}}) {
				return
			}
		}
	}
	for hit, err := range x.Store.Probe(ctx, store.Query, x.inc, probes) {
		if err != nil {
			return nil, fmt.Errorf("read the query index: %w", err)
		}
		docs, ok := decodeDocs(hit.Row.Value)
		if !ok {
			return nil, fmt.Errorf("%w: what profile %s is indexed with", fold.ErrCorrupt, ids[hit.Index])
		}
		found[ids[hit.Index]] = docs
	}
	return found, nil
}

// changes gathers the rows of a step of the indexer.
type changes struct {
	*pass
	gen uint32
	at  int64

	docs, letters, puts []store.RunRow // first
	gone                []store.RunRow // then
	goneNames           []posting
	final               []store.RunRow // in the end

	profiles, terms int64
}

func (w *changes) row(partition string, m store.Mutation) store.RunRow {
	m.Time = w.at
	return store.RunRow{Incarnation: w.inc, Partition: []byte(partition), Mutation: m}
}

// profile notes what changes for a profile.
func (w *changes) profile(id fold.ID, before []*doc, now *doc) {
	if now != nil && len(now.entries) == 0 {
		now = nil
	}
	if now == nil && before == nil {
		return
	}
	home := docPartition(w.gen, id)
	if now == nil {
		w.remove(id, before, nil)
		w.final = append(w.final, w.row(home, store.Mutation{Key: docKey, Delete: true}))
		w.profiles--
		return
	}
	value := appendDocs(nil, now)
	if len(before) == 1 && bytes.Equal(appendDocs(nil, before...), value) && !w.force {
		return
	}
	if before == nil {
		w.profiles++
	}
	expiry := &w.st.NewExpiry
	if w.gen == w.st.Serving {
		expiry = &w.st.FirstExpiry
	}
	if *expiry == 0 || now.expires < *expiry {
		*expiry = now.expires
	}
	postings, signature := now.postings(w.gen, id), now.signature()
	w.terms += int64(len(postings))
	for i := range postings {
		p := &postings[i]
		w.puts = append(w.puts, w.row(p.partition, store.Mutation{Key: []byte(p.key), Value: p.value(signature)}))
		w.name(p)
	}
	if w.remove(id, before, postings) {
		w.docs = append(w.docs, w.row(home, store.Mutation{Key: docKey, Value: appendDocs(nil, append(slices.Clone(before), now)...)}))
		w.final = append(w.final, w.row(home, store.Mutation{Key: docKey, Value: value}))
		return
	}
	w.docs = append(w.docs, w.row(home, store.Mutation{Key: docKey, Value: value}))
}

// remove notes the postings of docs that are not among those to stay, and says whether there are any.
func (w *changes) remove(id fold.ID, before []*doc, stay []posting) (any bool) {
	for _, d := range before {
		for _, p := range d.postings(w.gen, id) {
			w.terms--
			if slices.ContainsFunc(stay, func(s posting) bool { return s.key == p.key && s.partition == p.partition }) {
				continue
			}
			any = true
			w.gone = append(w.gone, w.row(p.partition, store.Mutation{Key: []byte(p.key), Delete: true}))
			if isFuzzy(&p) {
				w.goneNames = append(w.goneNames, p)
			}
		}
	}
	return any
}

// isFuzzy says whether a posting is one of a name that is found in spite of typos.
func isFuzzy(p *posting) bool {
	return p.kind.letter() == nameLetter && utf8.RuneCountInString(p.term) >= minFuzzy
}

// name notes the letters of a posting's name.
func (w *changes) name(p *posting) {
	k := knownName{w.gen, p.term}
	if !isFuzzy(p) || w.known[k] {
		return
	}
	if len(w.known) >= maxKnown {
		clear(w.known)
	}
	w.known[k] = true
	w.letters = append(w.letters, w.dict(p.term, false)...)
}

// dict returns the rows by which a name is found.
func (w *changes) dict(term string, remove bool) (rows []store.RunRow) {
	for _, v := range variants(term, 2) {
		partition, key := dictRow(w.gen, v)
		rows = append(rows, w.row(partition, store.Mutation{Key: append(key, term...), Delete: remove}))
	}
	return rows
}

func (w *changes) write(ctx context.Context) error {
	err := w.Store.WriteRun(ctx, run(w.docs), run(w.letters), run(w.puts))
	if err == nil && len(w.gone) > 0 {
		if err = w.Store.WriteRun(ctx, run(w.gone)); err == nil {
			err = w.forget(ctx)
		}
	}
	if err == nil && len(w.final) > 0 {
		w.at = w.pass.at() // later than the doc that names both
		for i := range w.final {
			w.final[i].Mutation.Time = w.at
		}
		err = w.Store.WriteRun(ctx, run(w.final))
	}
	return err
}

func run(rows []store.RunRow) store.Run {
	return store.Run{Table: store.Query, Rows: store.SortRows(rows)}
}

// forget removes the letters of names that nobody has any more.
func (w *changes) forget(ctx context.Context) error {
	var rows []store.RunRow
	seen := map[string]bool{}
	for _, p := range w.goneNames {
		if seen[p.term] {
			continue
		}
		seen[p.term] = true
		at := store.Partition{Table: store.Query, Incarnation: w.inc, Key: p.partition}
		held, err := anyRow(w.Store.Scan(ctx, at, store.Range{Start: []byte(p.term + "\x00"), End: []byte(p.term + "\x01"), Limit: 1}))
		if err != nil {
			return err
		}
		if !held {
			delete(w.known, knownName{w.gen, p.term})
			rows = append(rows, w.dict(p.term, true)...)
		}
	}
	if rows == nil {
		return nil
	}
	return w.Store.WriteRun(ctx, run(rows))
}

func anyRow(rows iter.Seq2[store.Row, error]) (bool, error) {
	for _, err := range rows {
		return err == nil, err
	}
	return false, nil
}

// dropGeneration removes all rows of a generation.
func (x *pass) dropGeneration(ctx context.Context, gen uint32) error {
	from, to := generation(gen)
	if err := store.DropListed(ctx, x.Store, store.Query, x.inc, from, to); err != nil {
		return fmt.Errorf("remove an old query index: %w", err)
	}
	return nil
}
