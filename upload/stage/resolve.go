package stage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"kith/blob"
	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
)

// maxHits is how many index rows of a key are verified in sorted order with those of all other keys. A value that very many
// profiles hold, or held, is followed further one by one, until two profiles confirm it.
const maxHits = 64

// ErrSpillLost says that a spilled bucket can't be read: spills are scratch, and a power failure may take them.
var ErrSpillLost = errors.New("a spilled bucket is lost")

// AnyIndexed says whether the domain has any index row yet; without one nothing needs to be looked up.
func (p *Plan) AnyIndexed(ctx context.Context) (bool, error) {
	for _, err := range p.store.Sweep(ctx, store.SweepRange{Table: store.Index, Incarnation: p.inc}) {
		return err == nil, err
	}
	return false, nil
}

// loadBucket loads the frames of a bucket.
func (p *Plan) loadBucket(ctx context.Context, from *Buckets, bucket int, into *rowSet) error {
	into.reset()
	if from.pieces != nil {
		into.pool = from.pool
		for _, piece := range from.pieces[bucket] {
			if err := into.load(piece, from.Once); err != nil {
				return err
			}
		}
		if from.Once {
			from.pieces[bucket] = nil
		}
		return nil
	}
	r, err := p.blobs.Open(ctx, from.Spills[bucket], p.key)
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrSealed) {
		return fmt.Errorf("%w: %w", ErrSpillLost, err)
	}
	if err != nil {
		return fmt.Errorf("open a spilled bucket: %w", err)
	}
	defer r.Close()
	if err := into.loadStream(ctx, r.Stream(0)); errors.Is(err, blob.ErrSealed) {
		return fmt.Errorf("%w: %w", ErrSpillLost, err)
	} else if err != nil {
		return err
	}
	return nil
}

// group is all rows of one unique key: the place of its frame, and what was found for it.
type group struct {
	at      uint32
	counter uint32 // of a profile to be created, from 1; 0: the match is updated
	rows    int64
	first   int64   // row
	match   fold.ID // the first profile that has the key
	matches uint8   // how many have it, two at most
	hits    uint8   // index rows seen, up to maxHits
	covered bool    // index rows of the match stand for those of the group
	same    bool    // the match shows all of the group already
	several bool    // the index names more than one profile
	known   bool    // the match was recognised by its fingerprint, and its print stays
	repeats source  // of the contribution to the match that says all of the group; none: no other says it
}

// source is where a contribution comes from: the time of an import, 0 for none, and the first row of the unique key.
type source struct{ time, row int64 }

// Resolver resolves one bucket after the other, using its memory again.
type Resolver struct {
	*Plan
	buckets *Buckets
	indexed bool  // the domain has index rows
	dry     Trial // nil in the real run

	bucket int
	loaded *rowSet
	groups []group // of the frames that are loaded, in the same order
	// names are the full names that come to be from the parts of a group and of its match together, by group.
	names map[uint32][][]byte
	// last is the newest index row seen of groups that have more of them.
	last map[uint32][]byte
	// merged are candidates that take part in merges, and persons the main profiles of the matches that do, by group.
	merged  []candidate
	persons map[uint32]fold.ID
	// deep counts profiles with many contributions.
	deep int64

	out    *Output // nil: nothing is handed over
	writer *outputWriter

	keys   keyList
	parts  [][]byte // of a frame, that its keys are made of
	norm   []byte
	values []fold.Value
	// outline is that of a contribution of which a fingerprint is made.
	outline []byte
	// of a profile that is judged:
	repeats fold.Repeats
	whole   [][]byte // its contributions, with their values
	rows    [][]byte // of these those whose values no later one repeats
}

func (b *Resolver) frame(g *group) *frame {
	f := b.loaded.frame(g.at)
	return &f
}

func (b *Resolver) keyOf(g *group) []byte { return b.loaded.key(g.at) }

// To has the rows of what is resolved handed to an output.
func (b *Resolver) To(out *Output) *Resolver {
	b.out, b.writer = out, out.newWriter()
	return b
}

// NewResolver returns what resolves buckets one after the other. indexed says that the domain has index rows; dry is nil in the real run.
func (p *Plan) NewResolver(from *Buckets, indexed bool, dry Trial) *Resolver {
	return &Resolver{Plan: p, buckets: from, indexed: indexed, dry: dry, loaded: p.newRowSet(nil), repeats: fold.Repeats{Reuse: true}}
}

// Resolve resolves a bucket.
func (b *Resolver) Resolve(ctx context.Context, bucket int) (*Outcome, error) {
	b.bucket = bucket
	b.names, b.last, b.deep, b.merged, b.persons = nil, nil, 0, b.merged[:0], nil
	if err := b.load(ctx); err != nil {
		return nil, err
	}
	if b.dry != nil && b.dry.Joined() != nil {
		if err := b.matchJoined(ctx); err != nil {
			return nil, err
		}
	} else if b.indexed {
		if err := b.match(ctx); err != nil {
			return nil, err
		}
	}
	if b.dry != nil {
		return b.try(ctx)
	}
	return b.build(ctx)
}

// load loads the bucket; b.groups is sorted by key.
func (b *Resolver) load(ctx context.Context) error {
	if err := b.loadBucket(ctx, b.buckets, b.bucket, b.loaded); err != nil {
		return err
	}
	if err := b.loaded.merge(); err != nil {
		return err
	}
	b.groups = b.groups[:0]
	for i, r := range b.loaded.refs {
		if i+ahead < len(b.loaded.refs) {
			extsort.Prefetch(b.loaded.at(b.loaded.refs[i+ahead].At))
		}
		frame := b.loaded.at(r.At)
		g := group{at: r.At, rows: 1, first: frameRow(frame)}
		if isRich(frame) {
			g.rows = b.loaded.frame(r.At).rows
		}
		b.groups = append(b.groups, g)
	}
	return nil
}

// contribution returns what a group says, in full.
func (b *Resolver) contribution(f *frame) (*fold.Contribution, error) {
	c := &fold.Contribution{Expires: b.expires, Stamp: b.stamp(f.first)}
	var err error
	if b.values, err = fold.AppendValues(b.values[:0], f.body, c.Stamp); err != nil {
		return nil, err
	}
	c.Values = b.values
	c.Private = b.private(f.key)
	return c, nil
}

// part is contribution with its source.
func (b *Resolver) part(f *frame) (fold.Part, error) {
	c, err := b.contribution(f)
	return fold.Part{Source: string(profile.AppendImportSource(nil, b.time, f.first)), Contribution: c}, err
}

// candidate is a profile that the index names for a group.
type candidate struct {
	hi, lo uint64 // of the profile's id
	group  uint32
}

func (c candidate) id() (id fold.ID) {
	binary.BigEndian.PutUint64(id[:8], c.hi)
	binary.BigEndian.PutUint64(id[8:], c.lo)
	return id
}

// match finds the persons that have the groups' keys: it probes the index in sorted order, and verifies the hits against their
// profiles, in sorted order too. Most profiles take part in no merge and hold contributions of imports only: a glance at their rows is
// enough (index.Glance). Others are decoded, and those of merges are looked at last, with everything that belongs to them.
func (b *Resolver) match(ctx context.Context) error {
	all, err := b.hits(ctx)
	if err != nil || len(all) == 0 {
		return err
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo), cmp.Compare(a.group, b.group))
	})
	all = slices.Compact(all) // a profile may have the key in several forms
	if all, err = b.recognise(ctx, all); err != nil {
		return err
	}
	if err := b.verifyAll(ctx, all); err != nil {
		return err
	}
	if err := b.verifyMerged(ctx); err != nil {
		return err
	}
	for _, i := range slices.Sorted(maps.Keys(b.last)) {
		if b.groups[i].matches < 2 {
			if err := b.matchRest(ctx, i); err != nil {
				return err
			}
		}
	}
	for i := range b.groups {
		if b.groups[i].matches > 1 {
			if err := b.matchAgain(ctx, uint32(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// matchAgain judges a group once more whose key has seemed to lead to several persons. Its candidates were read one after another, so a person that was merged
// into another meanwhile looked like two; now they are read together. A key that very many profiles have is left as it is.
func (b *Resolver) matchAgain(ctx context.Context, i uint32) error {
	g := &b.groups[i]
	var ids []fold.ID
	for _, text := range append(b.otherForms(b.keyOf(g)), string(b.keyOf(g))) {
		part := store.Partition{Table: store.Index, Incarnation: b.inc, Key: index.PartitionKey(index.Key{Name: b.m.index, Value: text})}
		seen := 0
		for row, err := range b.store.Scan(ctx, part, store.Range{Limit: maxHits}) {
			if err != nil {
				return fmt.Errorf("look at an ambiguous key again: %w", err)
			}
			if seen++; seen == maxHits {
				return nil
			}
			if id, _, ok := index.ParseRowKey(row.Key); ok && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	delete(b.persons, i)
	delete(b.names, i)
	g.match, g.matches, g.covered, g.same, g.repeats = fold.ID{}, 0, false, false, source{}
	return b.judgeAll(ctx, i, ids)
}

// hits lists the profiles that the index names for the groups' keys.
func (b *Resolver) hits(ctx context.Context) (all []candidate, err error) {
	part := []byte(b.m.index + "\x01")
	name := len(part)
	probes := func(yield func(store.Probe) bool) {
		for i := range b.groups {
			if i+ahead < len(b.groups) {
				extsort.Prefetch(b.loaded.at(b.groups[i+ahead].at))
			}
			part = append(part[:name], b.keyOf(&b.groups[i])...)
			if !yield(store.Probe{Partition: string(part), Range: store.Range{Limit: maxHits}}) {
				return
			}
		}
	}
	for hit, err := range b.store.Probe(ctx, store.Index, b.inc, probes) {
		if err != nil {
			return nil, fmt.Errorf("probe the index: %w", err)
		}
		id, _, ok := index.ParseRowKey(hit.Row.Key)
		if !ok {
			continue
		}
		g := &b.groups[hit.Index]
		if g.hits++; g.hits == maxHits {
			if b.last == nil {
				b.last = map[uint32][]byte{}
			}
			b.last[uint32(hit.Index)] = bytes.Clone(hit.Row.Key)
		}
		c := candidate{binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:]), uint32(hit.Index)}
		if n := len(all); n == 0 || all[n-1] != c { // a profile may have a row of each class
			g.several = n > 0 && all[n-1].group == c.group
			all = append(all, c)
		}
	}
	return b.otherHits(ctx, all)
}

// otherForms returns the other index values by which profiles with the key of a group are found: phone numbers that came without a country.
func (b *Resolver) otherForms(key []byte) []string {
	if !b.hasOtherForms() {
		return nil
	}
	return schema.NationalForms(string(key), b.country)
}

func (b *Resolver) hasOtherForms() bool { return b.country != 0 && b.m.index == schema.KeyPhone }

// otherHits adds the profiles that the index names for other forms of the groups' keys.
func (b *Resolver) otherHits(ctx context.Context, all []candidate) ([]candidate, error) {
	if !b.hasOtherForms() {
		return all, nil
	}
	type form struct {
		part  string
		group uint32
	}
	var forms []form
	for i := range b.groups {
		for _, text := range b.otherForms(b.keyOf(&b.groups[i])) {
			forms = append(forms, form{index.PartitionKey(index.Key{Name: b.m.index, Value: text}), uint32(i)})
		}
	}
	if len(forms) == 0 {
		return all, nil
	}
	slices.SortFunc(forms, func(x, y form) int { return cmp.Or(cmp.Compare(x.part, y.part), cmp.Compare(x.group, y.group)) })
	probes := func(yield func(store.Probe) bool) {
		for _, f := range forms {
			if !yield(store.Probe{Partition: f.part, Range: store.Range{Limit: maxHits}}) {
				return
			}
		}
	}
	for hit, err := range b.store.Probe(ctx, store.Index, b.inc, probes) {
		if err != nil {
			return nil, fmt.Errorf("probe the index: %w", err)
		}
		if id, _, ok := index.ParseRowKey(hit.Row.Key); ok {
			all = append(all, candidate{binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:]), forms[hit.Index].group})
			b.groups[forms[hit.Index].group].several = true
		}
	}
	return all, nil
}

// matchRest goes on behind the first maxHits index rows of a key.
func (b *Resolver) matchRest(ctx context.Context, i uint32) error {
	g := &b.groups[i]
	part := store.Partition{Table: store.Index, Incarnation: b.inc, Key: b.m.index + "\x01" + string(b.keyOf(g))}
	previous, _, _ := index.ParseRowKey(b.last[i])
	var ids []fold.ID
	for row, err := range b.store.Scan(ctx, part, store.Range{Start: append(bytes.Clone(b.last[i]), 0)}) {
		if err != nil {
			return fmt.Errorf("follow a popular key: %w", err)
		}
		id, _, ok := index.ParseRowKey(row.Key)
		if !ok || id == previous {
			continue
		}
		previous = id
		if ids = append(ids, id); len(ids) < maxHits {
			continue
		}
		if err := b.judgeAll(ctx, i, ids); err != nil || g.matches > 1 {
			return err
		}
		ids = ids[:0]
	}
	return b.judgeAll(ctx, i, ids)
}

// judgeAll judges profiles that the index names for a group by the persons they belong to, who are read together.
func (b *Resolver) judgeAll(ctx context.Context, i uint32, ids []fold.ID) error {
	people, err := b.profiles.People(ctx, b.inc, ids)
	if err != nil {
		return fmt.Errorf("verify matches: %w", err)
	}
	for _, id := range ids {
		person := people[id]
		switch {
		case person == nil:
		case person.State != nil:
			err = b.verifyPerson(person, id, i)
		default:
			err = b.verify(person, id, i, len(person.Parts))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
