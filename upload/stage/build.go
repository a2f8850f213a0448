package stage

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"kith/blob"
	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fingerprint"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// A run is the immutable outcome of a bucket, in one blob. It says what was decided, so that the rows of the bucket can be made again from the file,
// and what the job did can be taken back. Integers are uvarints. Section "who" has an entry for every profile and key of the bucket that were brought
// together, profiles that were there by id, then created ones:
//
//	counter of a created profile from 1, or 0 and the profile (16) | first row
//
// Section "more" is about those that were there:
//
//	their number | a bit for each, in the order of "who": index rows of the profile stand for those of the row |
//	number of imports { time } | for each of those that were there 0, or the import from 1 whose contribution its own repeats and the row that names it |
//	number of rows that need full names besides their own { first row, number of names { length, index value } } |
//	a bit for each of those that were there: it was recognised by its fingerprint

// section is a part of a blob.
type section struct {
	From, To int64
}

// mark says where an entry of a section begins, so that a reader of a part of it need not begin at its start. The first mark is
// the first entry, the last one the last entry.
type mark struct {
	ID fold.ID
	At int64 // in the blob
}

// markEvery is how many entries lie between two marks.
const markEvery = 4096

// Outcome is what resolving a bucket leaves: blobs and tables to be committed and the result to be published.
type Outcome struct {
	p       *Plan
	Bucket  int
	Result  RunResult
	writers []blob.Writer
	tables  []store.Staged
}

// Commit makes the blobs durable, and the tables. All wait for the disk at once.
func (o *Outcome) Commit() error {
	errs := make([]error, len(o.tables)+len(o.writers))
	var all sync.WaitGroup
	for i, t := range o.tables {
		all.Go(func() { errs[i] = t.Close() })
	}
	for i, b := range o.writers {
		all.Go(func() { _, errs[len(o.tables)+i] = b.Commit() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Abort gives up what was not committed.
func (o *Outcome) Abort() {
	for _, b := range o.writers {
		b.Abort()
	}
}

// create starts a blob of the Outcome.
func (o *Outcome) create(ctx context.Context, what string) (*blobOut, error) {
	name := fmt.Sprintf("%s%s-%s-%05d", o.p.dir, what, o.p.attempt, o.Bucket)
	b, err := o.p.blobs.Create(ctx, name, o.p.key)
	if err != nil {
		return nil, err
	}
	o.writers = append(o.writers, b)
	return &blobOut{name: name, w: bufio.NewWriterSize(b, 64<<10)}, nil
}

// blobOut writes sections into a blob.
type blobOut struct {
	name string
	w    *bufio.Writer
	n    int64
	buf  []byte
}

func (o *blobOut) flush() error {
	_, err := o.w.Write(o.buf)
	o.n += int64(len(o.buf))
	o.buf = o.buf[:0]
	return err
}

// build decides what becomes of every group, writes the run, and hands the rows to the output if there is one.
func (b *Resolver) build(ctx context.Context) (_ *Outcome, err error) {
	o := &Outcome{p: b.Plan, Bucket: b.bucket}
	defer func() {
		if err != nil {
			o.Abort()
		}
	}()
	if err := b.decide(ctx, o); err != nil {
		return nil, err
	}
	if o.Result.Created+o.Result.Updated == 0 {
		return o, nil
	}
	if err := b.writeRun(ctx, o); err != nil || b.out == nil {
		return o, err
	}
	o.tables, err = b.emit()
	return o, err
}

// Again hands the rows of a bucket whose run is published to the output.
func (b *Resolver) Again(ctx context.Context, bucket int, run *RunResult) error {
	if err := b.recall(ctx, bucket, run); err != nil {
		return err
	}
	tables, err := b.emit()
	for _, t := range tables {
		err = errors.Join(err, t.Close())
	}
	return err
}

// recall loads a bucket and reads from its run what was decided about its groups.
func (b *Resolver) recall(ctx context.Context, bucket int, run *RunResult) error {
	b.bucket, b.names = bucket, nil
	if err := b.load(ctx); err != nil {
		return err
	}
	byRow := make(map[int64]uint32, len(b.groups))
	for i := range b.groups {
		b.groups[i].matches = 2 // unless the run names it
		byRow[b.groups[i].first] = uint32(i)
	}
	if run.Run == "" {
		return nil
	}
	r, err := b.blobs.Open(ctx, run.Run, b.key)
	if err != nil {
		return fmt.Errorf("open a run: %w", err)
	}
	defer r.Close()
	lost := func(row int64) error {
		return fmt.Errorf("bucket %d can't be made again, it lacks row %d: the file or the program has changed", b.bucket, row)
	}
	var matched []*group
	for c, err := range extsort.Merge([]*rowCursor{b.newRowCursor(runBlob{r, b.bucket}, run.Who)}) {
		if err != nil {
			return err
		}
		i, ok := byRow[c.row]
		if !ok {
			return lost(c.row)
		}
		g := &b.groups[i]
		if g.matches, g.counter = 0, c.counter; c.counter == 0 {
			g.matches, g.match = 1, c.id
			matched = append(matched, g)
		}
	}
	in := extsort.NewWindow(func() io.Reader { return io.LimitReader(r.Stream(run.More.From), run.More.To-run.More.From) })
	return b.recallMore(&in, matched, func(row int64) (uint32, error) {
		i, ok := byRow[row]
		if !ok {
			return 0, lost(row)
		}
		return i, nil
	})
}

// recallMore reads the section "more" of a run, given the groups of the profiles that were there.
func (b *Resolver) recallMore(in *extsort.Window, matched []*group, find func(row int64) (uint32, error)) error {
	if n, err := in.Uvarint(); err != nil || n != uint64(len(matched)) {
		return errors.Join(err, in.Damaged())
	}
	if err := recallBits(in, matched, func(g *group) *bool { return &g.covered }); err != nil {
		return err
	}
	if err := recallRepeats(in, matched); err != nil {
		return err
	}
	rows, err := in.Uvarint()
	for range rows {
		row, err := in.Uvarint()
		if err != nil {
			return err
		}
		i, err := find(int64(row))
		if err != nil {
			return err
		}
		names, err := in.Uvarint()
		if err != nil {
			return err
		}
		for range names {
			n, err := in.Uvarint()
			if err != nil {
				return err
			}
			name, err := in.Bytes(n)
			if err != nil {
				return err
			}
			b.noteName(i, bytes.Clone(name))
		}
	}
	if err != nil {
		return err
	}
	return recallBits(in, matched, func(g *group) *bool { return &g.known })
}

// recallBits reads a bit for each group.
func recallBits(in *extsort.Window, matched []*group, of func(*group) *bool) error {
	bits, err := in.Bytes(uint64(len(matched)+7) / 8)
	if err != nil {
		return err
	}
	for n, g := range matched {
		*of(g) = bits[n/8]&(1<<(n%8)) != 0
	}
	return nil
}

// recallRepeats reads which contributions the groups repeat.
func recallRepeats(in *extsort.Window, matched []*group) error {
	n, err := in.Uvarint()
	if err != nil || n > uint64(len(matched)) {
		return errors.Join(err, in.Damaged())
	}
	times := make([]int64, n)
	for i := range times {
		t, err := in.Uvarint()
		if err != nil {
			return err
		}
		times[i] = int64(t)
	}
	for _, g := range matched {
		i, err := in.Uvarint()
		if err != nil || i > n {
			return errors.Join(err, in.Damaged())
		}
		if i == 0 {
			continue
		}
		row, err := in.Uvarint()
		if err != nil {
			return err
		}
		g.repeats = source{times[i-1], int64(row)}
	}
	return nil
}

// noteName notes a full name that a group's match needs an index row for, besides the group's own.
func (b *Resolver) noteName(i uint32, value []byte) {
	if b.names == nil {
		b.names = map[uint32][][]byte{}
	}
	b.names[i] = append(b.names[i], value)
}

// decide counts, gives created profiles their counters, and writes down the rows of ambiguous groups.
func (b *Resolver) decide(ctx context.Context, o *Outcome) error {
	var minted uint32
	var ambiguous []int64
	for i := range b.groups {
		g := &b.groups[i]
		switch g.matches {
		case 0:
			minted++
			g.counter = minted
			o.Result.Created++
			o.Result.Updated += g.rows - 1
			o.Result.Repeated += g.rows - 1
		case 1:
			o.Result.Updated += g.rows
			o.Result.Repeated += g.rows - 1
			if g.same {
				o.Result.Unchanged += g.rows
			}
		default:
			o.Result.Failed += g.rows
			b.frame(g).eachRow(func(row int64) { ambiguous = append(ambiguous, row) })
			if len(ambiguous) > 2*keptRejects { // the others are only counted
				slices.Sort(ambiguous)
				ambiguous = ambiguous[:keptRejects]
			}
		}
	}
	o.Result.Deep = b.deep
	if ambiguous == nil {
		return nil
	}
	slices.Sort(ambiguous)
	out, err := o.create(ctx, "ambiguous")
	if err != nil {
		return err
	}
	last := int64(0)
	for _, row := range ambiguous {
		out.buf = binary.AppendUvarint(out.buf, uint64(row-last))
		last = row
		if len(out.buf) > 64<<10 {
			if err := out.flush(); err != nil {
				return err
			}
		}
	}
	o.Result.Ambiguous = out.name
	return errors.Join(out.flush(), out.w.Flush())
}

// writeRun writes what was decided.
func (b *Resolver) writeRun(ctx context.Context, o *Outcome) error {
	out, err := o.create(ctx, "run")
	if err != nil {
		return err
	}
	var matched, created []uint32
	for i := range b.groups {
		switch b.groups[i].matches {
		case 0:
			created = append(created, uint32(i)) // counters ascend with the groups
		case 1:
			matched = append(matched, uint32(i))
		}
	}
	slices.SortFunc(matched, func(x, y uint32) int {
		return cmp.Or(bytes.Compare(b.groups[x].match[:], b.groups[y].match[:]), cmp.Compare(b.groups[x].first, b.groups[y].first))
	})
	left := len(matched) + len(created)
	for _, groups := range [][]uint32{matched, created} {
		for n, i := range groups {
			g := &b.groups[i]
			if left--; n%markEvery == 0 || left == 0 {
				o.Result.WhoMarks = append(o.Result.WhoMarks, mark{b.idOf(g), out.n + int64(len(out.buf))})
			}
			out.buf = binary.AppendUvarint(out.buf, uint64(g.counter))
			if g.counter == 0 {
				out.buf = append(out.buf, g.match[:]...)
			}
			out.buf = binary.AppendUvarint(out.buf, uint64(g.first))
		}
	}
	if err := out.flush(); err != nil {
		return err
	}
	o.Result.Run, o.Result.Who = out.name, section{0, out.n}
	b.appendMore(out, matched)
	if err := out.flush(); err != nil {
		return err
	}
	o.Result.More = section{o.Result.Who.To, out.n}
	return out.w.Flush()
}

// appendMore appends the section "more".
func (b *Resolver) appendMore(out *blobOut, matched []uint32) {
	out.buf = binary.AppendUvarint(out.buf, uint64(len(matched)))
	b.appendBits(out, matched, func(g *group) bool { return g.covered })
	b.appendRepeats(out, matched)
	out.buf = binary.AppendUvarint(out.buf, uint64(len(b.names)))
	for i, names := range b.names {
		out.buf = binary.AppendUvarint(out.buf, uint64(b.groups[i].first))
		out.buf = binary.AppendUvarint(out.buf, uint64(len(names)))
		for _, name := range names {
			out.buf = append(binary.AppendUvarint(out.buf, uint64(len(name))), name...)
		}
	}
	b.appendBits(out, matched, func(g *group) bool { return g.known })
}

// appendBits appends a bit for each group.
func (b *Resolver) appendBits(out *blobOut, matched []uint32, of func(*group) bool) {
	bits := make([]byte, (len(matched)+7)/8)
	for n, i := range matched {
		if of(&b.groups[i]) {
			bits[n/8] |= 1 << (n % 8)
		}
	}
	out.buf = append(out.buf, bits...)
}

// appendRepeats appends which contributions the groups repeat.
func (b *Resolver) appendRepeats(out *blobOut, matched []uint32) {
	var times []int64 // few: those of earlier imports
	for _, i := range matched {
		if t := b.groups[i].repeats.time; t != 0 && !slices.Contains(times, t) {
			times = append(times, t)
		}
	}
	out.buf = binary.AppendUvarint(out.buf, uint64(len(times)))
	for _, t := range times {
		out.buf = binary.AppendUvarint(out.buf, uint64(t))
	}
	for _, i := range matched {
		of := b.groups[i].repeats
		if of.time == 0 {
			out.buf = append(out.buf, 0)
			continue
		}
		out.buf = binary.AppendUvarint(out.buf, uint64(slices.Index(times, of.time))+1)
		out.buf = binary.AppendUvarint(out.buf, uint64(of.row))
	}
}

// emit hands the rows of all groups that were decided to the output, and returns the tables that were built of the bucket, which are not closed yet.
func (b *Resolver) emit() (tables []store.Staged, err error) {
	e := &emitter{Resolver: b, head: fold.Contribution{Expires: b.expires}, part: []byte(b.m.index + "\x01")}
	e.name = len(e.part)
	defer func() {
		if err != nil {
			for _, t := range tables {
				t.Discard()
			}
		}
	}()
	if b.out.engine != nil {
		profiles, err := b.out.stage(store.Profile, b.bucket)
		if err != nil {
			return nil, err
		}
		tables = append(tables, profiles)
		e.profiles = profiles
		if b.out.direct {
			if e.unique, err = b.out.stage(store.Index, b.bucket); err != nil {
				return tables, err
			}
			tables = append(tables, e.unique)
		}
	}
	for i := range b.groups {
		if i+ahead < len(b.groups) {
			extsort.Prefetch(b.loaded.at(b.groups[i+ahead].at))
		}
		if g := &b.groups[i]; g.matches < 2 {
			if err := e.group(uint32(i), g); err != nil {
				return tables, err
			}
		}
	}
	return tables, nil
}

// emitter hands the rows of groups to an output.
type emitter struct {
	*Resolver
	profiles, unique store.Staged // nil: over the shelves
	head             fold.Contribution
	part             []byte // partition of the unique key
	name             int    // length of its name in part
	key, value       []byte
}

// group hands over the rows of one group, its contribution and then its index rows.
func (e *emitter) group(i uint32, g *group) error {
	b := e.Resolver
	f := b.loaded.frame(g.at)
	id := b.idOf(g)
	if err := e.contribution(id, g, &f); err != nil {
		return err
	}
	if g.covered {
		return nil
	}
	b.collectKeys(&f)
	for _, s := range b.keys.spans {
		value := b.keys.b[s.from:s.to]
		if s.family != matchFamily || e.unique == nil {
			if err := b.writer.addKey(s.family, value, b.bucket, g.counter, &id); err != nil {
				return err
			}
			continue
		}
		if !bytes.Equal(value, f.key) {
			return fmt.Errorf("row %d has two values of the key that it is matched by", g.first)
		}
		e.part = append(e.part[:e.name], value...)
		e.key = index.AppendRowKey(e.key[:0], id, index.ByImport)
		if err := e.unique.Add(e.part, e.key, nil, nil); err != nil {
			return err
		}
	}
	for _, name := range b.names[i] {
		if err := b.writer.addKey(b.keyPlan.fullName, name, b.bucket, g.counter, &id); err != nil {
			return err
		}
	}
	return nil
}

// contribution hands over the contribution of a group.
func (e *emitter) contribution(id fold.ID, g *group, f *frame) error {
	b := e.Resolver
	if g.known {
		e.value = profile.AppendImportSource(e.value[:0], g.repeats.time, g.repeats.row)
		return b.writer.addSaid(id, b.bucket, g.first, entryKnown, e.value, nil)
	}
	if g.matches > 0 || e.profiles == nil {
		says, kind := b.says(f), entrySays
		var hash fingerprint.Hash
		if e.profiles != nil { // only tables have prints
			var err error
			if hash, err = b.hash(g, says); err != nil {
				return err
			}
		}
		if of := g.repeats; of.time != 0 {
			e.value = profile.AppendImportSource(e.value[:0], of.time, of.row)
			says, kind = e.value, entryRepeats
		}
		return b.writer.addSaid(id, b.bucket, g.first, kind, says, hash[:])
	}
	e.head.Stamp = b.stamp(g.first)
	e.key = profile.AppendContributionKey(e.key[:0], b.time, g.first)
	e.value = fold.AppendPrivate(e.head.AppendStamped(e.value[:0]), b.private(f.key))
	return e.profiles.Add(id[:], e.key, e.value, f.body)
}

// private returns the key that no attribute holds of a row with a unique key.
func (p *Plan) private(key []byte) []fold.Key {
	if !p.m.private {
		return nil
	}
	return []fold.Key{{Name: p.m.index, Value: string(key)}}
}

// collectKeys leaves the keys of a frame in b.keys.
func (b *Resolver) collectKeys(f *frame) {
	if f.rich {
		b.keys.read(f.keys)
		return
	}
	b.keys.reset()
	b.keys.add(matchFamily, f.key)
	b.parts = b.parts[:0]
	for i := range b.keyPlan.lean {
		b.parts = append(b.parts, f.part(i))
	}
	b.norm = b.keyPlan.collect(b.parts, &b.keys, b.norm)
}

// idOf returns the id of the profile of a group.
func (b *Resolver) idOf(g *group) fold.ID {
	if g.counter == 0 {
		return g.match
	}
	return b.mint(b.bucket, g.counter)
}

// mint returns the id of a created profile.
func (p *Plan) mint(bucket int, counter uint32) fold.ID {
	return fold.ImportID(p.time, bucket, counter-1, p.seed)
}

// Minted says whether the job may have minted an id.
func (p *Plan) Minted(id fold.ID) bool {
	bucket, counter, ok := fold.ParseImportID(id)
	return ok && p.mint(bucket, counter+1) == id
}
