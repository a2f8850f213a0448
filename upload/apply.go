package upload

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"runtime"
	"slices"

	"kith/blob"
	"kith/job"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// apply is the third stage: it writes all runs. A node alone merges them, so that what it writes is in the order of the keys over
// the whole job; where nodes share the work, they write bucket by bucket. It may be repeated.
func (w *work) apply(ctx context.Context, runs map[int]runResult) error {
	if !w.task.Shared() {
		return w.write(ctx, runs)
	}
	done, err := w.applied(ctx, w.task.Incarnation, w.job.ID)
	if err != nil {
		return err
	}
	var missing []int
	for _, bucket := range slices.Sorted(maps.Keys(runs)) {
		if runs[bucket].Run != "" && !done[string(appliedKey(bucket))] {
			missing = append(missing, bucket)
		}
	}
	return w.share(ctx, stage{
		name: "apply", row: appliedKey, workers: 2,
		worker: func() func(context.Context, int) (publisher, error) {
			return func(ctx context.Context, bucket int) (publisher, error) {
				err := w.write(ctx, map[int]runResult{bucket: runs[bucket]})
				return func(ctx context.Context, part *job.Part) error {
					err := part.Publish(ctx, store.Swap{Key: appliedKey(bucket)})
					if errors.Is(err, store.ErrConflict) { // another node was faster
						return nil
					}
					return err
				}, err
			}
		},
	}, missing)
}

// write merges runs, per key family, and writes them, index rows before the contributions they belong to.
func (w *work) write(ctx context.Context, runs map[int]runResult) error {
	parts, done, err := w.indexRuns(ctx, runs, false)
	defer done()
	if err != nil {
		return err
	}
	rows, err := w.openAll(ctx, runs, func(r *runResult) string { return r.Rows })
	defer rows.close()
	if err != nil {
		return err
	}
	pivots := w.pivots(runs, 2*runtime.NumCPU())
	for i := range len(pivots) + 1 {
		var lo, hi *fold.ID // of the part
		if i > 0 {
			lo = &pivots[i-1]
		}
		if i < len(pivots) {
			hi = &pivots[i]
		}
		var cursors []*rowCursor
		for _, r := range rows {
			run := runs[r.bucket]
			for k, s := range run.RowSections {
				if from, ok := enter(run.RowMarks[k], lo, hi); ok {
					cursors = append(cursors, &rowCursor{who: w.newWho(r, section{from, s.To}), body: true, lo: lo, hi: hi})
				}
			}
		}
		if cursors != nil {
			parts = append(parts, store.Run{Table: store.Profile, Rows: w.contributions(merge(cursors))})
		}
	}
	return w.Store.WriteRun(ctx, parts...)
}

// pivots returns ids that cut the rows of all runs into up to n parts of about the same size: one part alone would keep one core
// busy when the others have nothing left to do.
func (w *work) pivots(runs map[int]runResult, n int) (pivots []fold.ID) {
	var ids []fold.ID
	for _, run := range runs {
		for _, marks := range run.RowMarks {
			for _, f := range marks {
				ids = append(ids, f.ID)
			}
		}
	}
	slices.SortFunc(ids, func(a, b fold.ID) int { return bytes.Compare(a[:], b[:]) })
	for i := 1; i < n && len(ids) > 8*n; i++ {
		id := ids[i*len(ids)/n]
		if len(pivots) == 0 || pivots[len(pivots)-1] != id {
			pivots = append(pivots, id)
		}
	}
	return pivots
}

// enter returns where in a section to begin to read the entries from lo to below hi; false when it has none.
func enter(marks []mark, lo, hi *fold.ID) (from int64, ok bool) {
	if len(marks) == 0 || hi != nil && bytes.Compare(marks[0].ID[:], hi[:]) >= 0 ||
		lo != nil && bytes.Compare(marks[len(marks)-1].ID[:], lo[:]) < 0 {
		return 0, false
	}
	from = marks[0].At
	for _, f := range marks {
		if lo == nil || bytes.Compare(f.ID[:], lo[:]) >= 0 { // a profile may have several entries: begin before the first
			break
		}
		from = f.At
	}
	return from, true
}

// restore makes the rows blobs of all runs again, from the uploaded file.
func (w *work) restore(ctx context.Context, read *readResult, runs map[int]runResult) error {
	var err error
	if w.file, err = w.openFile(ctx, w.job, w.key); err != nil {
		return err
	}
	defer w.file.Close()
	if _, err := w.read(ctx, read); err != nil {
		return err
	}
	b := &bucketWork{work: w}
	for bucket, run := range runs {
		if run.Rows == "" {
			continue
		}
		if err := b.rebuild(ctx, bucket, &run); err != nil {
			return err
		}
	}
	return nil
}

// indexRuns returns the index rows of all runs, a store.Run per family, the smallest first. gone makes them deletions, of the profiles
// that the job has created.
func (w *work) indexRuns(ctx context.Context, runs map[int]runResult, gone bool) (parts []store.Run, done func(), err error) {
	all, err := w.openAll(ctx, runs, func(r *runResult) string { return r.Run })
	if err != nil {
		return nil, all.close, err
	}
	sizes := make([]int64, len(w.families))
	for _, r := range all {
		for family, s := range runs[r.bucket].Families {
			sizes[family] += s.To - s.From
		}
	}
	order := make([]int, 0, len(sizes))
	for family, size := range sizes {
		if size > 0 {
			order = append(order, family)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return int(sizes[a] - sizes[b]) })
	for _, family := range order {
		var cursors []*indexCursor
		for _, r := range all {
			if sections := runs[r.bucket].Families; family < len(sections) {
				cursors = append(cursors, &indexCursor{who: w.newWho(r, sections[family])})
			}
		}
		entries := merge(cursors)
		if gone {
			entries = created(entries)
		}
		parts = append(parts, store.Run{Table: store.Index, Rows: w.indexRows(w.families[family], entries, gone)})
	}
	return parts, all.close, nil
}

// indexRows turns the entries of a family into rows of the store.
func (w *work) indexRows(name string, entries iter.Seq2[*indexCursor, error], gone bool) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: w.task.Incarnation, Mutation: store.Mutation{Time: w.job.Time, Delete: gone}}
		if gone {
			row.Mutation.Time = w.job.UndoTime
		}
		part := []byte(name + "\x01")
		prefix := len(part)
		var key []byte
		var last fold.ID
		begun := false
		for c, err := range entries {
			if err != nil {
				yield(row, err)
				return
			}
			if begun && c.id == last && bytes.Equal(part[prefix:], c.value) { // several rows of the file bring one profile the same key
				continue
			}
			begun, last = true, c.id
			part = append(part[:prefix], c.value...)
			key = index.AppendRowKey(key[:0], c.id, index.ByImport)
			row.Partition, row.Mutation.Key = part, key
			if !yield(row, nil) {
				return
			}
		}
	}
}

// contributions turns the entries of row sections into rows of the store.
func (w *work) contributions(entries iter.Seq2[*rowCursor, error]) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: w.task.Incarnation, Mutation: store.Mutation{Time: w.job.Time}}
		head := fold.Contribution{Expires: w.job.expires()}
		var key, value []byte
		for c, err := range entries {
			if err != nil {
				yield(row, err)
				return
			}
			head.Stamp = w.stamp(c.row)
			key = profile.AppendContributionKey(key[:0], w.job.Time, c.row)
			value = append(head.AppendStamped(value[:0]), c.tail...)
			row.Partition, row.Mutation.Key, row.Mutation.Value = c.id[:], key, value
			if !yield(row, nil) {
				return
			}
		}
	}
}

// runBlob is an open blob of a run.
type runBlob struct {
	blob.Reader
	bucket int
}

type runBlobs []runBlob

func (all runBlobs) close() {
	for _, r := range all {
		_ = r.Close()
	}
}

// openAll opens one of the blobs of each run that has it.
func (w *work) openAll(ctx context.Context, runs map[int]runResult, name func(*runResult) string) (all runBlobs, err error) {
	for _, bucket := range slices.Sorted(maps.Keys(runs)) {
		run := runs[bucket]
		if name(&run) == "" {
			continue
		}
		r, err := w.Blobs.Open(ctx, name(&run), w.key)
		if err != nil {
			return all, fmt.Errorf("open a run: %w", err)
		}
		all = append(all, runBlob{r, bucket})
	}
	return all, nil
}

// cursor is a position in a sorted section.
type cursor interface {
	// next moves on and reports whether there is an entry.
	next() (bool, error)
	// prefix is a number that sorts like the beginning of the entry's key.
	prefix() uint64
}

// ordered is a cursor that can be compared with others of its kind.
type ordered[C any] interface {
	cursor
	compare(C) int
}

// cursorBuffer is what a cursor reads at a time.
const cursorBuffer = 32 << 10

// window is a stream of which the next bytes lie in memory. It is what bufio.Reader is, for entries that are parsed in place.
type window struct {
	open func() io.Reader
	r    io.Reader
	buf  []byte // all of it
	b    []byte // the part that is not read yet
	err  error
}

// need makes n bytes visible in b, or as many as there are.
func (s *window) need(n int) {
	if len(s.b) >= n || s.err != nil {
		return
	}
	if s.r == nil {
		s.r = s.open()
	}
	if n > len(s.buf) {
		grown := make([]byte, max(n, cursorBuffer))
		copy(grown, s.b)
		s.buf = grown
	} else {
		copy(s.buf, s.b)
	}
	have := len(s.b)
	for have < n && s.err == nil {
		var k int
		k, s.err = s.r.Read(s.buf[have:])
		have += k
	}
	s.b = s.buf[:have]
}

func (s *window) uvarint() (uint64, error) {
	if len(s.b) > 0 && s.b[0] < 0x80 {
		n := uint64(s.b[0])
		s.b = s.b[1:]
		return n, nil
	}
	s.need(binary.MaxVarintLen64)
	n, k := binary.Uvarint(s.b)
	if k <= 0 {
		return 0, s.damaged()
	}
	s.b = s.b[k:]
	return n, nil
}

// bytes returns the next n bytes, valid until the next call.
func (s *window) bytes(n uint64) ([]byte, error) {
	if n > store.MaxBatch {
		return nil, s.damaged()
	}
	s.need(int(n))
	if uint64(len(s.b)) < n {
		return nil, s.damaged()
	}
	b := s.b[:n]
	s.b = s.b[n:]
	return b, nil
}

// damaged is the error of an entry that can't be read.
func (s *window) damaged() error { return damagedRun(s.err) }

func damagedRun(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("a run is damaged: %w", err)
}

// who reads the part that all entries share: a profile and a row.
type who struct {
	w      *work
	bucket int
	window

	counter uint32 // of a created profile, or 0
	id      fold.ID
	row     int64
}

func (w *work) newWho(r runBlob, s section) who {
	return who{w: w, bucket: r.bucket, window: window{open: func() io.Reader { return io.LimitReader(r.Stream(s.From), s.To-s.From) }}}
}

// begin reports whether an entry is left.
func (c *who) begin() (bool, error) {
	c.need(1)
	if len(c.b) == 0 && !errors.Is(c.err, io.EOF) {
		return false, c.err
	}
	return len(c.b) > 0, nil
}

// isCreated says that the job has created the profile of the entry.
func (c *who) isCreated() bool { return c.counter != 0 }

// readWho reads the profile and the row of an entry.
func (c *who) readWho() error {
	n, err := c.uvarint()
	if err != nil {
		return err
	}
	if n == 0 {
		id, err := c.bytes(uint64(len(c.id)))
		if err != nil {
			return err
		}
		copy(c.id[:], id)
	} else {
		c.id = c.w.mint(c.bucket, uint32(n))
	}
	c.counter = uint32(n)
	row, err := c.uvarint()
	c.row = int64(row)
	return err
}

func (c *who) compareWho(o *who) int {
	if d := bytes.Compare(c.id[:], o.id[:]); d != 0 {
		return d
	}
	return int(c.row - o.row)
}

// indexCursor reads a section of a family.
type indexCursor struct {
	who
	value []byte
}

func (c *indexCursor) next() (bool, error) {
	if ok, err := c.begin(); !ok {
		return false, err
	}
	shared, err := c.uvarint()
	if err != nil {
		return false, err
	}
	n, err := c.uvarint()
	if err != nil {
		return false, err
	}
	rest, err := c.bytes(n)
	if err != nil {
		return false, err
	}
	if shared > uint64(len(c.value)) {
		return false, c.damaged()
	}
	c.value = append(c.value[:shared], rest...)
	return true, c.readWho()
}

func (c *indexCursor) prefix() uint64 { return prefixOf(c.value) }

func (c *indexCursor) compare(o *indexCursor) int {
	if d := bytes.Compare(c.value, o.value); d != 0 {
		return d
	}
	return c.compareWho(&o.who)
}

// rowCursor reads a section of profiles and rows, with or without what was said about them.
type rowCursor struct {
	who
	body   bool
	lo, hi *fold.ID // profiles from lo to below hi; nil is open
	tail   []byte   // valid until the next entry
}

func (c *rowCursor) next() (bool, error) {
	for {
		if ok, err := c.begin(); !ok {
			return false, err
		}
		if err := c.readWho(); err != nil {
			return false, err
		}
		if c.hi != nil && bytes.Compare(c.id[:], c.hi[:]) >= 0 {
			return false, nil
		}
		if c.body {
			n, err := c.uvarint()
			if err != nil {
				return false, err
			}
			if c.tail, err = c.bytes(n); err != nil {
				return false, err
			}
		}
		if c.lo == nil || bytes.Compare(c.id[:], c.lo[:]) >= 0 {
			return true, nil
		}
	}
}

func (c *rowCursor) prefix() uint64           { return binary.BigEndian.Uint64(c.id[:]) }
func (c *rowCursor) compare(o *rowCursor) int { return c.compareWho(&o.who) }

// merge streams the entries of all cursors in order. The cursor it yields stands at the entry.
func merge[C ordered[C]](cursors []C) iter.Seq2[C, error] {
	return func(yield func(C, error) bool) {
		var h mergeHeap[C]
		for _, c := range cursors {
			ok, err := c.next()
			if err != nil {
				yield(c, err)
				return
			}
			if ok {
				h = append(h, head[C]{c.prefix(), c})
			}
		}
		for i := len(h)/2 - 1; i >= 0; i-- {
			h.down(i)
		}
		for len(h) > 0 {
			c := h[0].cursor
			if !yield(c, nil) {
				return
			}
			ok, err := c.next()
			if err != nil {
				yield(c, err)
				return
			}
			if ok {
				h[0].prefix = c.prefix()
			} else {
				h[0] = h[len(h)-1]
				h = h[:len(h)-1]
			}
			h.down(0)
		}
	}
}

type head[C any] struct {
	prefix uint64
	cursor C
}

// mergeHeap is a binary heap of cursors by their entries. It is what container/heap does, without a call per comparison.
type mergeHeap[C ordered[C]] []head[C]

func (h mergeHeap[C]) less(i, j int) bool {
	if h[i].prefix != h[j].prefix {
		return h[i].prefix < h[j].prefix
	}
	return h[i].cursor.compare(h[j].cursor) < 0
}

func (h mergeHeap[C]) down(i int) {
	for {
		least := 2*i + 1
		if least >= len(h) {
			return
		}
		if right := least + 1; right < len(h) && h.less(right, least) {
			least = right
		}
		if !h.less(least, i) {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
