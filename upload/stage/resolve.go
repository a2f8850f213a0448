package stage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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

// openFrames returns what is in a bucket as a stream.
func (p *Plan) openFrames(ctx context.Context, all *Buckets, bucket int) (io.Reader, func() error, error) {
	if all.Memory != nil {
		return bytes.NewReader(all.Memory[bucket]), func() error { return nil }, nil
	}
	r, err := p.blobs.Open(ctx, all.Spills[bucket], p.key)
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrSealed) {
		return nil, nil, fmt.Errorf("%w: %w", ErrSpillLost, err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open a spilled bucket: %w", err)
	}
	return r.Stream(0), r.Close, nil
}

// group is all rows of one unique key: the frame at a place of the bucket's buffer, and what was found for it.
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
}

// Resolver resolves one bucket after the other, using its memory again.
type Resolver struct {
	*Plan
	buckets *Buckets
	indexed bool  // the domain has index rows
	dry     Trial // nil in the real run

	bucket int
	loaded *rowGroups
	groups []group // of the frames that are loaded, in the same order
	// names are the full names that come to be from the parts of a group and of its match together, by group.
	names map[uint32][]index.Key
	// last is the newest index row seen of groups that have more of them.
	last map[uint32][]byte
	// merged are candidates that take part in merges, and persons the main profiles of the matches that do, by group.
	merged  []candidate
	persons map[uint32]fold.ID
	// deep counts profiles with many contributions.
	deep int64

	sorter  extsort.Sorter
	refs    []extsort.Ref
	keys    keyList
	values  []fold.Value
	rows    [][]byte // of a profile that is glanced at
	columns []column // by family
	out     []byte
}

func (b *Resolver) frame(g *group) *frame {
	f, _, err := parseFrame(b.loaded.Frame(g.at))
	if err != nil {
		panic(err) // load has parsed it
	}
	return &f
}

// NewResolver returns what resolves buckets one after the other. indexed says that the domain has index rows; dry is nil in the real run.
func (p *Plan) NewResolver(from *Buckets, indexed bool, dry Trial) *Resolver {
	return &Resolver{Plan: p, buckets: from, indexed: indexed, dry: dry, loaded: p.newRowGroups()}
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

// load reads the bucket and merges the rows of equal keys; b.groups is sorted by key.
func (b *Resolver) load(ctx context.Context) error {
	r, done, err := b.openFrames(ctx, b.buckets, b.bucket)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	if err := b.loaded.Load(ctx, r); errors.Is(err, blob.ErrSealed) {
		return fmt.Errorf("%w: %w", ErrSpillLost, err)
	} else if err != nil {
		return err
	}
	b.groups = b.groups[:0]
	for i := range b.loaded.Len() {
		g := group{at: b.loaded.At(i)}
		g.rows, g.first = frameRow(b.loaded.Frame(g.at))
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
	if b.m.private {
		c.Private = append(c.Private, fold.Key{Name: b.m.index, Value: string(f.key)})
	}
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
	return nil
}

// hits lists the profiles that the index names for the groups' keys.
func (b *Resolver) hits(ctx context.Context) (all []candidate, err error) {
	part := []byte(b.m.index + "\x01")
	name := len(part)
	probes := func(yield func(store.Probe) bool) {
		for i := range b.groups {
			part = append(part[:name], frameKey(b.loaded.Frame(b.groups[i].at))...)
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
			all = append(all, c)
		}
	}
	return b.otherHits(ctx, all)
}

// otherForms returns the other index values by which profiles with the key of a group are found: phone numbers that came without a country.
func (b *Resolver) otherForms(key []byte) []string {
	if b.country == 0 || b.m.index != schema.KeyPhone {
		return nil
	}
	return schema.NationalForms(string(key), b.country)
}

// otherHits adds the profiles that the index names for other forms of the groups' keys.
func (b *Resolver) otherHits(ctx context.Context, all []candidate) ([]candidate, error) {
	type form struct {
		part  string
		group uint32
	}
	var forms []form
	for i := range b.groups {
		for _, text := range b.otherForms(frameKey(b.loaded.Frame(b.groups[i].at))) {
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
		}
	}
	return all, nil
}

// verifyAll judges candidates, which are sorted, by their rows.
func (b *Resolver) verifyAll(ctx context.Context, all []candidate) error {
	probes := func(yield func(store.Probe) bool) {
		for _, c := range all {
			id := c.id()
			if !yield(store.Probe{Partition: string(id[:])}) {
				return
			}
		}
	}
	j := &judge{b: b, r: profile.NewReader(b.time)}
	open := -1
	for hit, err := range b.store.Probe(ctx, store.Profile, b.inc, probes) {
		if err != nil {
			return fmt.Errorf("verify matches: %w", err)
		}
		if hit.Index != open {
			if open >= 0 {
				if err := j.settle(all[open]); err != nil {
					return err
				}
			}
			open = hit.Index
			j.begin(all[open].id())
		}
		if err := j.add(hit.Row); err != nil {
			return err
		}
	}
	if open < 0 {
		return nil
	}
	return j.settle(all[open])
}

// judge gathers the rows of a candidate: as they are, as long as they are few contributions, else decoded.
type judge struct {
	b    *Resolver
	r    *profile.Reader
	held []store.Row // the first n
	n    int
	raw  bool // all rows are held
}

func (j *judge) begin(id fold.ID) {
	j.r.Reset(id)
	j.n, j.raw = 0, true
}

func (j *judge) add(row store.Row) error {
	if j.raw && j.n < profile.DeepAt && profile.IsContribution(row.Key) {
		if j.n == len(j.held) {
			j.held = append(j.held, store.Row{})
		}
		h := &j.held[j.n]
		h.Key, h.Value, h.Time = append(h.Key[:0], row.Key...), append(h.Value[:0], row.Value...), row.Time
		j.n++
		return nil
	}
	if err := j.decode(); err != nil {
		return err
	}
	return j.r.Add(row)
}

// decode hands the held rows to the reader.
func (j *judge) decode() error {
	if !j.raw {
		return nil
	}
	j.raw = false
	for _, row := range j.held[:j.n] {
		if err := j.r.Add(row); err != nil {
			return err
		}
	}
	return nil
}

// settle judges the candidate whose rows were gathered.
func (j *judge) settle(c candidate) error {
	if j.raw {
		if done, err := j.b.glance(j.held[:j.n], c); done || err != nil {
			return err
		}
		if err := j.decode(); err != nil {
			return err
		}
	}
	if !j.r.Alone() {
		j.b.merged = append(j.b.merged, c)
		return nil
	}
	return j.b.verify(j.r.Member(), c.id(), c.group, j.r.Depth())
}

// glance settles a candidate by its rows as they are, if that is enough.
func (b *Resolver) glance(rows []store.Row, c candidate) (done bool, err error) {
	if b.dry != nil {
		return false, nil
	}
	g := &b.groups[c.group]
	if g.matches > 1 {
		return true, nil
	}
	b.rows = b.rows[:0]
	for _, row := range rows {
		b.rows = append(b.rows, row.Value)
	}
	f := b.frame(g)
	has, combine, known := index.Glance(b.rows, b.time, b.m.index, f.key, f.body)
	for _, form := range b.otherForms(f.key) {
		if known && !has {
			has, combine, known = index.Glance(b.rows, b.time, b.m.index, []byte(form), f.body)
		}
	}
	if !known || combine {
		return false, nil
	}
	if has {
		if g.matches++; g.matches == 1 {
			g.match = c.id()
			g.covered = slices.ContainsFunc(b.rows, func(row []byte) bool { return b.keyed.Covers(row, f.body) })
			g.same = index.Shows(b.rows, b.time, f.body)
		}
	}
	return true, nil
}

// verify notes a profile that takes part in no merge as a match of the group if it confirms the group's key.
func (b *Resolver) verify(m *fold.Member, id fold.ID, i uint32, depth int) error {
	g := &b.groups[i]
	if g.matches > 1 {
		return nil
	}
	p := m.Profile()
	f := b.frame(g)
	if p == nil || !b.confirms(m, p, f) {
		return nil
	}
	if g.matches++; g.matches > 1 {
		return nil
	}
	g.match, g.same = id, index.Keeps(p, f.body)
	if depth >= profile.DeepAt {
		b.deep++
	}
	return b.combineNames(i, f, p, m, m)
}

// verifyMerged judges the candidates that take part in merges: they count as the persons they belong to.
func (b *Resolver) verifyMerged(ctx context.Context) error {
	for all := range slices.Chunk(b.merged, maxHits) {
		var ids []fold.ID
		for _, c := range all {
			ids = append(ids, c.id())
		}
		people, err := b.profiles.People(ctx, b.inc, ids)
		if err != nil {
			return fmt.Errorf("verify matches: %w", err)
		}
		for _, c := range all {
			if person := people[c.id()]; person != nil {
				if err := b.verifyPerson(person, c.id(), c.group); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// verifyPerson notes a person, to whom a candidate leads, as a match of the group. The group's contribution goes to the member that
// holds the key by itself, to the main profile if it does: so a merge that is taken back leaves no two profiles with the key. One that has
// the key by objects only comes behind one that has it otherwise: when the merge is taken back objects go where their keys are.
func (b *Resolver) verifyPerson(person *fold.Member, id fold.ID, i uint32) error {
	g := &b.groups[i]
	if g.matches > 1 {
		return nil
	}
	p := person.Profile()
	f := b.frame(g)
	if p == nil || !b.confirms(person, p, f) {
		return nil
	}
	g.same = index.Keeps(p, f.body)
	main, known := b.persons[i]
	if known && main != person.ID || !known && g.matches > 0 {
		g.matches = 2
		return nil
	}
	var member *fold.Member
	person.Walk(func(m *fold.Member) {
		if m.ID == id {
			member = m
		}
	})
	if !known {
		if b.persons == nil {
			b.persons = map[uint32]fold.ID{}
		}
		b.persons[i] = person.ID
		g.matches, g.match = 1, person.ID
	}
	var match *fold.Member
	person.Walk(func(m *fold.Member) {
		if m.ID == g.match {
			match = m
		}
	})
	if is, was := b.holdsItself(member, f), b.holdsItself(match, f); is > was || is == was && is > 0 && id == person.ID {
		g.match = id
	}
	if known {
		return nil
	}
	return b.combineNames(i, f, p, person, person)
}

// confirms says whether a person, whose fold p is, has the key of a frame.
func (b *Resolver) confirms(m *fold.Member, p *fold.Profile, f *frame) bool {
	confirms := func(value string) bool {
		return index.Confirms(m, p, index.Key{Name: b.m.index, Value: value}, b.own, b.dead, b.time)
	}
	return confirms(string(f.key)) || slices.ContainsFunc(b.otherForms(f.key), confirms)
}

// holdsItself says whether a profile has the key of a frame without those that were merged into it: 0 no, 1 by objects only, 2 otherwise.
func (b *Resolver) holdsItself(m *fold.Member, f *frame) int {
	if m == nil {
		return 0
	}
	own := m.Alone()
	if p := own.Profile(); p == nil || !b.confirms(own, p, f) {
		return 0
	}
	if own.Head == nil {
		return 2
	}
	own.Head = own.Head.WithoutObjects()
	if p := own.Profile(); p == nil || !b.confirms(own, p, f) {
		return 1
	}
	return 2
}

// combineNames notes the full names that a person will show when a group's contribution has come to one of its members, and that the
// contribution has not alone: they need index rows of their own.
func (b *Resolver) combineNames(i uint32, f *frame, p *fold.Profile, person, member *fold.Member) error {
	if b.dry != nil || !b.fillsNames || !index.MayCombineNames(p.Values, f.body) {
		return nil
	}
	part, err := b.part(f)
	if err != nil {
		return err
	}
	var own, shown index.Set
	own.AddContribution(part.Contribution, b.own)
	shown.AddFullName(profile.With(person, member.ID, part).Profile())
	names := shown.Without(&own)
	if names == nil {
		return nil
	}
	if b.names == nil {
		b.names = map[uint32][]index.Key{}
	}
	b.names[i] = names
	return nil
}

// matchRest goes on behind the first maxHits index rows of a key.
func (b *Resolver) matchRest(ctx context.Context, i uint32) error {
	g := &b.groups[i]
	part := store.Partition{Table: store.Index, Incarnation: b.inc, Key: b.m.index + "\x01" + string(frameKey(b.loaded.Frame(g.at)))}
	previous, _, _ := index.ParseRowKey(b.last[i])
	var ids []fold.ID
	judge := func() error {
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
		ids = ids[:0]
		return nil
	}
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
		if err := judge(); err != nil || g.matches > 1 {
			return err
		}
	}
	return judge()
}
