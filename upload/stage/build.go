package stage

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"kith/blob"
	"kith/internal/extsort"
	"kith/profile/fold"
	"kith/schema"
)

// A run is the immutable Outcome of a bucket, in two blobs. Integers are uvarints.
//
// The index blob says what the job writes. It has a section per key family, sorted by index value, then
// profile and row:
//
//	bytes shared with the value before | length, the rest of the value | profile | first row
//
// a section "who", sorted by profile and row, which undoing and the history of profiles need:
//
//	profile | first row
//
// The rows blob has the contributions. It is scratch: the index blob and the uploaded file make it again, so nothing waits for
// the disk to keep it, and it is deleted when it has been applied. Its two sections, profiles that were there and profiles that
// are created, are sorted by profile and row:
//
//	profile | first row | length, contribution behind its stamp
//
// A profile is the counter of a created one, from 1, or 0 and 16 bytes of id.

// section is a part of a blob.
type section struct {
	From, To int64
}

// column is the index values of a family on their way into a section. Everything that sorting and writing touch lies close
// together: far jumps through memory were the largest cost of resolving.
type column struct {
	values []byte
	refs   []indexRef
}

// mark says where an entry of a section begins, so that a reader of a part of it need not begin at its start. The first mark is
// the first entry, the last one the last entry.
type mark struct {
	ID fold.ID
	At int64 // in the blob
}

// markEvery is how many entries lie between two marks.
const markEvery = 4096

// indexRef is an index value of a group.
type indexRef struct {
	at, len uint32 // in values
	counter uint32 // of a created profile, or 0
	group   uint32
	first   int64 // row
}

func (c *column) value(i uint32) []byte {
	r := &c.refs[i]
	return c.values[r.at : r.at+r.len]
}

func (c *column) add(value []byte, group uint32, g *group) {
	c.refs = append(c.refs, indexRef{uint32(len(c.values)), uint32(len(value)), g.counter, group, g.first})
	c.values = append(c.values, value...)
}

// Outcome is what resolving a bucket leaves: blobs to be committed and the result to be published.
type Outcome struct {
	p       *Plan
	Bucket  int
	Result  RunResult
	writers []blob.Writer
}

// Commit makes the blobs durable.
func (o *Outcome) Commit() error {
	for _, b := range o.writers {
		if _, err := b.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// Abort gives up what was not committed.
func (o *Outcome) Abort() {
	for _, b := range o.writers {
		b.Abort()
	}
}

// create starts a blob of the Outcome.
func (o *Outcome) create(ctx context.Context, what string) (*blobOut, error) {
	return o.start(ctx, fmt.Sprintf("%s%s-%s-%05d", o.p.dir, what, o.p.attempt, o.Bucket), o.p.blobs.Create)
}

func (o *Outcome) start(ctx context.Context, name string, create func(context.Context, string, blob.Key) (blob.Writer, error)) (*blobOut, error) {
	b, err := create(ctx, name, o.p.key)
	if err != nil {
		return nil, err
	}
	o.writers = append(o.writers, b)
	return &blobOut{name: name, w: bufio.NewWriterSize(b, 256<<10)}, nil
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

// build decides what becomes of every group and writes the run.
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
	o.Result.Rows = fmt.Sprintf("%srows-%s-%05d", b.dir, b.attempt, b.bucket)
	if err := b.writeRows(ctx, o); err != nil {
		return nil, err
	}
	return o, b.writeIndex(ctx, o)
}

// Rebuild writes the rows blob of a published run again.
func (b *Resolver) Rebuild(ctx context.Context, bucket int, run *RunResult) error {
	b.bucket, b.names = bucket, nil
	if err := b.load(ctx); err != nil {
		return err
	}
	if err := b.recall(ctx, run); err != nil {
		return err
	}
	o := &Outcome{p: b.Plan, Bucket: bucket, Result: *run}
	defer o.Abort()
	if err := b.writeRows(ctx, o); err != nil {
		return err
	}
	if o.Result.RowSections != run.RowSections {
		return fmt.Errorf("bucket %d can't be rebuilt: the file or the program has changed", bucket)
	}
	_, err := o.writers[0].Commit()
	return err
}

// recall reads from the index blob what was decided about the groups.
func (b *Resolver) recall(ctx context.Context, run *RunResult) error {
	r, err := b.blobs.Open(ctx, run.Run, b.key)
	if err != nil {
		return fmt.Errorf("open a run: %w", err)
	}
	defer r.Close()
	byRow := make(map[int64]uint32, len(b.groups))
	for i := range b.groups {
		b.groups[i].matches = 2 // unless the run names it
		byRow[b.groups[i].first] = uint32(i)
	}
	for c, err := range extsort.Merge([]*rowCursor{{who: b.newWho(runBlob{r, b.bucket}, run.Who)}}) {
		if err != nil {
			return err
		}
		i, ok := byRow[c.row]
		if !ok {
			return fmt.Errorf("bucket %d can't be rebuilt: it lacks row %d", b.bucket, c.row)
		}
		g := &b.groups[i]
		if g.matches, g.counter = 0, c.counter; c.counter == 0 {
			g.matches, g.match = 1, c.id
		}
	}
	return nil
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

// order lists the groups that are written, by profile and row: those that were there, then the created ones.
func (b *Resolver) order() (matched, created []uint32) {
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
	return matched, created
}

// appendWho appends the profile and the first row of a group.
func (b *Resolver) appendWho(dst []byte, counter, group uint32, row int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(counter))
	if counter == 0 {
		dst = append(dst, b.groups[group].match[:]...)
	}
	return binary.AppendUvarint(dst, uint64(row))
}

func (b *Resolver) writeRows(ctx context.Context, o *Outcome) error {
	out, err := o.start(ctx, o.Result.Rows, b.blobs.CreateScratch)
	if err != nil {
		return err
	}
	matched, created := b.order()
	for s, groups := range [][]uint32{matched, created} {
		from := out.n
		var marks []mark
		for n, i := range groups {
			g := &b.groups[i]
			f := b.frame(g)
			if n%markEvery == 0 || n == len(groups)-1 {
				marks = append(marks, mark{b.idOf(&indexRef{counter: g.counter, group: i}), out.n + int64(len(out.buf))})
			}
			out.buf = b.appendWho(out.buf, g.counter, i, g.first)
			var private []fold.Key
			if b.m.private {
				private = []fold.Key{{Name: b.m.index, Value: string(f.key)}}
			}
			b.out = fold.AppendPrivate(b.out[:0], private)
			out.buf = binary.AppendUvarint(out.buf, uint64(len(b.out)+len(f.body)))
			out.buf = append(append(out.buf, b.out...), f.body...)
			if len(out.buf) > 64<<10 {
				if err := out.flush(); err != nil {
					return err
				}
			}
		}
		if err := out.flush(); err != nil {
			return err
		}
		o.Result.RowSections[s], o.Result.RowMarks[s] = section{from, out.n}, marks
	}
	return out.w.Flush()
}

func (b *Resolver) writeIndex(ctx context.Context, o *Outcome) error {
	out, err := o.create(ctx, "run")
	if err != nil {
		return err
	}
	matched, created := b.order()
	left := len(matched) + len(created)
	for _, groups := range [][]uint32{matched, created} {
		for n, i := range groups {
			if left--; n%markEvery == 0 || left == 0 {
				o.Result.WhoMarks = append(o.Result.WhoMarks, mark{b.idOf(&indexRef{counter: b.groups[i].counter, group: i}), out.n + int64(len(out.buf))})
			}
			out.buf = b.appendWho(out.buf, b.groups[i].counter, i, b.groups[i].first)
		}
	}
	if err := out.flush(); err != nil {
		return err
	}
	o.Result.Who = section{0, out.n}
	b.collectIndex()
	for i := range b.columns {
		from := out.n
		if err := b.writeFamily(out, &b.columns[i]); err != nil {
			return err
		}
		o.Result.Families = append(o.Result.Families, section{from, out.n})
	}
	o.Result.Run = out.name
	return out.w.Flush()
}

// collectIndex sorts the index values of all groups into families.
func (b *Resolver) collectIndex() {
	for len(b.columns) < len(b.family) {
		b.columns = append(b.columns, column{})
	}
	for i := range b.columns {
		c := &b.columns[i]
		c.values, c.refs = c.values[:0], c.refs[:0]
	}
	for i := range b.groups {
		g := &b.groups[i]
		if g.matches > 1 || g.covered {
			continue
		}
		b.frame(g).eachKey(func(family int, value []byte) { b.columns[family].add(value, uint32(i), g) })
		for _, k := range b.names[uint32(i)] {
			b.columns[b.family[k.Name]].add([]byte(schema.IndexValue(k.Value)), uint32(i), g)
		}
	}
}

// writeFamily sorts and writes the section of a family.
func (b *Resolver) writeFamily(out *blobOut, c *column) error {
	b.sorter.Key = c.value
	b.sorter.Compare = func(x, y uint32) int {
		if d := bytes.Compare(c.value(x), c.value(y)); d != 0 {
			return d
		}
		idx, idy := b.idOf(&c.refs[x]), b.idOf(&c.refs[y])
		return cmp.Or(bytes.Compare(idx[:], idy[:]), cmp.Compare(c.refs[x].first, c.refs[y].first))
	}
	b.refs = b.refs[:0]
	for i := range c.refs {
		b.refs = append(b.refs, extsort.Ref{Prefix: extsort.Prefix(c.value(uint32(i))), At: uint32(i)})
	}
	b.sorter.Sort(b.refs)
	var last []byte
	for _, r := range b.refs {
		v := c.value(r.At)
		shared := 0
		for shared < len(v) && shared < len(last) && v[shared] == last[shared] {
			shared++
		}
		last = v
		out.buf = binary.AppendUvarint(out.buf, uint64(shared))
		out.buf = append(binary.AppendUvarint(out.buf, uint64(len(v)-shared)), v[shared:]...)
		who := &c.refs[r.At]
		out.buf = b.appendWho(out.buf, who.counter, who.group, who.first)
		if len(out.buf) > 64<<10 {
			if err := out.flush(); err != nil {
				return err
			}
		}
	}
	return out.flush()
}

// idOf returns the id of the profile that holds an index value.
func (b *Resolver) idOf(r *indexRef) fold.ID {
	if r.counter == 0 {
		return b.groups[r.group].match
	}
	return b.mint(b.bucket, r.counter)
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
