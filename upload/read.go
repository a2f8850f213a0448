package upload

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/zeebo/xxh3"

	"kith/blob"
	"kith/objecttype"
	"kith/profile"
	"kith/store"
)

// bucketRow is a row on its way to its bucket. Frame: lengths and numbers as uvarints,
//
//	length, index value of the unique key | row | line | offset in the file | length in the file | length, encoded values
type bucketRow struct {
	key       []byte
	row, line int64
	offset    int64
	length    int64
	body      []byte
}

func appendBucketRow(dst []byte, r bucketRow) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(len(r.key))), r.key...)
	for _, n := range [...]int64{r.row, r.line, r.offset, r.length} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return append(binary.AppendUvarint(dst, uint64(len(r.body))), r.body...)
}

// batch is a number of whole records, the unit of parallel reading.
type batch struct {
	data     []byte
	recs     []batchRecord
	firstRow int64
	end      int64 // offset in the file behind it

	done    chan struct{}
	buckets [][]byte
	rejects []reject
	err     error
}

type batchRecord struct {
	from, to int // in data
	offset   int64
	line     int64
	fault    textFault
}

// memoryBucket is a bucket that is not spilled.
type memoryBucket struct{ bytes.Buffer }

// read is the first stage. It publishes its result, or returns the one that another run published before.
// prior is what an earlier run published and kept in memory, or nil.
func (w *work) read(ctx context.Context, prior *readResult) (*readResult, error) {
	stream := io.Reader(blob.NewStream(w.file))
	skipped, stream, err := skipBOM(stream)
	if err != nil {
		return nil, err
	}
	sp := newSplitter(stream, ',')
	sp.offset = skipped
	b, header, err := w.readHeader(sp)
	if err != nil {
		return nil, err
	}
	out, err := w.newSinks(prior)
	if err != nil {
		return nil, err
	}
	defer out.abort()
	rows, err := w.pump(ctx, sp, b, out)
	if err != nil {
		return nil, err
	}
	if prior != nil {
		w.memory = out.memory
		return prior, nil
	}
	w.logRejects(out.rejects)
	res := &readResult{Rows: rows, Buckets: len(out.sinks), Header: header, Delimiter: string(rune(sp.delim)), Failed: out.rejects.n}
	if res.Spills, err = out.commit(); err != nil {
		return nil, err
	}
	if res.Rejects, err = out.rejects.commit(); err != nil {
		return nil, err
	}
	value, err := encode(res)
	if err != nil {
		return nil, err
	}
	if err := w.publish(ctx, store.Swap{Key: readKey, Value: value}); err != nil {
		return nil, err
	}
	// Whoever published first decides.
	published, _, err := w.published(ctx, w.task.Incarnation, w.job.ID)
	if err != nil {
		return nil, err
	}
	w.memory = out.memory
	return published, nil
}

// skipBOM passes over a UTF-8 byte-order mark and refuses UTF-16.
func skipBOM(r io.Reader) (int64, io.Reader, error) {
	var mark [3]byte
	n, err := io.ReadFull(r, mark[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, nil, err
	}
	head := mark[:n]
	switch {
	case bytes.Equal(head, []byte("\xef\xbb\xbf")):
		return 3, r, nil
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return 0, nil, &invalid{"header-utf16", "The file is UTF-16; save it as UTF-8."}
	}
	return 0, io.MultiReader(bytes.NewReader(head), r), nil
}

// Delimiters are what may separate cells, in the order in which they are tried.
const Delimiters = ",;\t|"

// readHeader reads the header line and binds the mapping to it. Its faults fail the job. The delimiter is the first one by
// which every mapped column is found; when none is, the faults are told as for commas.
func (w *work) readHeader(sp *splitter) (*bound, []string, error) {
	rec, err := sp.header()
	if errors.Is(err, io.EOF) {
		return nil, nil, &invalid{"empty-file", "The file is empty: it needs a header line with the column names."}
	}
	if err != nil {
		return nil, nil, err
	}
	if rec.fault == faultTooLong {
		return nil, nil, &invalid{"header-too-long", fmt.Sprintf("The header line is longer than %d bytes.", MaxHeader)}
	}
	var first error
	for _, delim := range []byte(Delimiters) {
		b, err := w.bindHeader(rec.text, delim)
		if err == nil {
			return b, b.header, sp.begin(delim)
		}
		if first == nil {
			first = err
		}
	}
	return nil, nil, first
}

// bindHeader binds the mapping to a header line, given a delimiter.
func (w *work) bindHeader(window []byte, delim byte) (*bound, error) {
	n, fault := recordEnd(window, delim)
	if fault != faultNone {
		return nil, &invalid{"header-quotes", "The header line can't be read: its quotes are not balanced."}
	}
	text := trimCR(bytes.TrimSuffix(window[:n], []byte("\n")))
	switch {
	case len(text) > MaxHeader:
		return nil, &invalid{"header-too-long", fmt.Sprintf("The header line is longer than %d bytes.", MaxHeader)}
	case !utf8.Valid(text):
		return nil, &invalid{"header-encoding", "The header line is not valid UTF-8; save the file as UTF-8."}
	case bytes.IndexByte(text, 0) >= 0:
		return nil, &invalid{"header-nul", "The header line holds a NUL byte; the file is no CSV text."}
	}
	var header []string
	names, _ := cells(text, delim, nil, nil)
	for _, n := range names {
		header = append(header, string(n))
	}
	b, err := w.m.bind(header)
	if err != nil {
		text := err.Error()
		return nil, &invalid{"header-columns", strings.ToUpper(text[:1]) + text[1:] + "."}
	}
	return b, nil
}

// pump reads all records: one goroutine cuts batches, several map them, and this one collects them in order.
func (w *work) pump(ctx context.Context, sp *splitter, b *bound, out *sinks) (rows int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)

	workers := w.Workers
	if workers == 0 {
		workers = runtime.NumCPU()
	}
	todo, ordered := make(chan *batch, workers), make(chan *batch, 2*workers)
	var cutErr error
	wg.Go(func() {
		defer close(todo)
		defer close(ordered)
		cutErr = w.cut(ctx, sp, todo, ordered)
	})
	for range workers {
		wg.Go(func() {
			m := &mapper{bound: b, delim: sp.delim, buckets: len(out.sinks)}
			for bt := range todo {
				m.run(bt)
				close(bt.done)
			}
		})
	}
	for bt := range ordered {
		<-bt.done
		if err := errors.Join(bt.err, ctx.Err()); err != nil {
			cancel(err)
			drain(ordered)
			return 0, err
		}
		for _, r := range bt.rejects {
			if err := out.rejects.add(r); err != nil {
				cancel(err)
				drain(ordered)
				return 0, err
			}
		}
		for i, part := range bt.buckets {
			if len(part) == 0 {
				continue
			}
			if _, err := out.sinks[i].Write(part); err != nil {
				cancel(err)
				drain(ordered)
				return 0, err
			}
		}
		rows += int64(len(bt.recs))
		w.progress.rows.Store(rows)
		w.progress.bytes.Store(bt.end)
	}
	return rows, cutErr
}

func drain(c <-chan *batch) {
	for bt := range c {
		<-bt.done
	}
}

// cut reads batches until the file ends.
func (w *work) cut(ctx context.Context, sp *splitter, todo, ordered chan<- *batch) error {
	size := w.BatchBytes
	if size == 0 {
		size = 256 << 10
	}
	row := int64(1)
	for {
		bt := &batch{firstRow: row, done: make(chan struct{}), data: make([]byte, 0, size+size/8)}
		var end error
		for len(bt.data) < size {
			rec, err := sp.next()
			if err != nil {
				end = err
				break
			}
			from := len(bt.data)
			bt.data = append(bt.data, rec.text...)
			bt.recs = append(bt.recs, batchRecord{from, len(bt.data), rec.offset, rec.line, rec.fault})
			row++
		}
		bt.end = sp.offset
		if len(bt.recs) > 0 {
			// todo first: a batch that is waited for must be worked on.
			select {
			case todo <- bt:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case ordered <- bt:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return fmt.Errorf("read the uploaded file: %w", end)
		}
	}
}

// mapper turns records into bucket rows.
type mapper struct {
	*bound
	delim   byte
	buckets int

	cells   [][]byte
	scratch []byte
	body    []byte
	parts   []string

	line, row int64 // of the current record
}

// refuse returns the reject of the current record.
func (m *mapper) refuse(column, code, format string, args ...any) *reject {
	r := newReject(m.line, m.row, column, code, fmt.Sprintf(format, args...), m.cells)
	return &r
}

func (m *mapper) run(bt *batch) {
	bt.buckets = make([][]byte, m.buckets)
	for i, rec := range bt.recs {
		row := bt.firstRow + int64(i)
		text := bt.data[rec.from:rec.to]
		rej := m.record(bt, rec, text, row)
		if rej != nil {
			bt.rejects = append(bt.rejects, *rej)
		}
	}
}

// record maps one record into its bucket, or returns why not.
func (m *mapper) record(bt *batch, rec batchRecord, text []byte, row int64) *reject {
	m.line, m.row = rec.line, row
	if rec.fault != faultNone {
		m.cells = append(m.cells[:0], text)
		r := newReject(rec.line, row, "", string(rec.fault), rec.fault.sentence(), m.cells)
		r.Truncated = r.Truncated || rec.fault == faultTooLong
		return &r
	}
	m.cells, m.scratch = cells(text, m.delim, m.cells, m.scratch)
	if bytes.IndexByte(text, 0) >= 0 {
		column := m.columnWith(func(c []byte) bool { return bytes.IndexByte(c, 0) >= 0 })
		return m.refuse(column, reasonNUL, "The row holds a NUL byte. Remove it.")
	}
	if !utf8.Valid(text) {
		column := m.columnWith(func(c []byte) bool { return !utf8.Valid(c) })
		return m.refuse(column, reasonBadUTF8, "The row is not valid UTF-8. Save the file as UTF-8.")
	}
	if len(m.cells) != len(m.header) {
		return m.refuse("", reasonCellCount, "The row has %d cells and the header %d. Add or remove cells; put quotes around values that hold commas.", len(m.cells), len(m.header))
	}
	m.body = m.body[:0]
	for i := range m.fields {
		f := &m.fields[i]
		v := m.value(f)
		if len(v) == 0 {
			continue
		}
		if rej := f.check(&v, m); rej != nil {
			return rej
		}
		m.body = append(m.body, f.prefix...)
		m.body = append(binary.AppendUvarint(m.body, uint64(len(v))), v...)
	}
	m.parts = m.parts[:0]
	for i := range m.unique {
		f := &m.unique[i]
		v := m.value(f)
		if len(v) == 0 {
			return m.refuse(m.columnOf(f), reasonEmptyKey, "The unique key is empty. Fill it; a row without it can't be matched.")
		}
		n := objecttype.Normalize(f.ct, string(v))
		if n == "" {
			return m.refuse(m.columnOf(f), reasonBadKey, "The unique key can't be used as a %s: nothing comparable is left of it. Correct it.", f.ct)
		}
		m.parts = append(m.parts, n)
	}
	key := indexValueOf(m.parts)
	bucket := 0
	if m.buckets > 1 {
		bucket = int(xxh3.HashString(key) % uint64(m.buckets))
	}
	bt.buckets[bucket] = appendBucketRow(bt.buckets[bucket], bucketRow{
		key: []byte(key), row: row, line: rec.line, offset: rec.offset, length: int64(len(text)), body: m.body,
	})
	return nil
}

// value returns a field's value in the current record; only blanks count as empty.
func (m *mapper) value(f *boundField) []byte {
	var v []byte
	if f.column >= 0 {
		v = m.cells[f.column]
	} else {
		v = []byte(f.source.Eval(func(path string) any {
			if i, ok := m.columns[path]; ok {
				return string(m.cells[i])
			}
			return nil
		}))
	}
	if len(bytes.TrimSpace(v)) == 0 {
		return nil
	}
	return v
}

// check refuses a value that the attribute can't hold, and puts enumerated values into their form.
func (f *boundField) check(v *[]byte, m *mapper) *reject {
	if limit := f.attr.MaxLen(); len(*v) > limit {
		if n := utf8.RuneCount(*v); n > limit {
			return m.refuse(m.columnOf(f), reasonTooLong, "The value has %d characters; _profile.%s holds at most %d. Shorten it.", n, f.attr.Path(), limit)
		}
	}
	if enum := f.attr.Enum(); enum != nil {
		up := strings.ToUpper(strings.TrimSpace(string(*v)))
		for _, e := range enum {
			if e == up {
				*v = []byte(e)
				return nil
			}
		}
		return m.refuse(m.columnOf(f), reasonEnum, "_profile.%s allows only %s. Use one of these, or map the column to _profile.%sString.", f.attr.Path(), strings.Join(enum, ", "), f.attr.Path())
	}
	return nil
}

// columnOf names the column of a field, or its template.
func (m *mapper) columnOf(f *boundField) string {
	if f.column >= 0 {
		return m.header[f.column]
	}
	return strings.Join(f.source.Paths(), ", ")
}

func (m *mapper) columnWith(bad func([]byte) bool) string {
	for i, c := range m.cells {
		if i < len(m.header) && bad(c) {
			return m.header[i]
		}
	}
	return ""
}

// sinks are where bucket rows and rejects of the read stage go.
type sinks struct {
	sinks   []io.Writer
	memory  []*memoryBucket
	blobs   []blob.Writer
	names   []string
	rejects *rejectWriter
}

// newSinks decides how many buckets there are and whether they stay in memory. What is published already decides first.
func (w *work) newSinks(prior *readResult) (*sinks, error) {
	per, inMemory := w.BucketBytes, w.MemoryBytes
	if per == 0 {
		per = 8 << 20
	}
	if inMemory == 0 {
		inMemory = 32 << 20
	}
	n := min(max(1, (w.file.Size()+per-1)/per), profile.MaxBuckets)
	small := w.file.Size() <= inMemory
	if prior != nil {
		n, small = int64(prior.Buckets), true
	}
	out := &sinks{rejects: w.newRejects("read")}
	for i := range int(n) {
		if small {
			m := &memoryBucket{}
			out.memory = append(out.memory, m)
			out.sinks = append(out.sinks, m)
			continue
		}
		name := fmt.Sprintf("%sspill-%s-%05d", blobDir(w.task.Incarnation, w.job.ID), w.attempt, i)
		b, err := w.Blobs.Create(context.Background(), name, w.key)
		if err != nil {
			out.abort()
			return nil, err
		}
		out.blobs, out.names = append(out.blobs, b), append(out.names, name)
		out.sinks = append(out.sinks, b)
	}
	return out, nil
}

func (w *work) newRejects(stage string) *rejectWriter {
	return &rejectWriter{create: func() (blob.Writer, string, error) {
		name := fmt.Sprintf("%srejects-%s-%s", blobDir(w.task.Incarnation, w.job.ID), w.attempt, stage)
		b, err := w.Blobs.Create(context.Background(), name, w.key)
		return b, name, err
	}}
}

func (s *sinks) commit() ([]string, error) {
	for _, b := range s.blobs {
		if _, err := b.Commit(); err != nil {
			return nil, err
		}
	}
	return s.names, nil
}

func (s *sinks) abort() {
	for _, b := range s.blobs {
		b.Abort()
	}
	s.rejects.abort()
}
