package upload

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"kith/blob"
	"kith/objecttype"
	"kith/profile"
	"kith/store"
)

// batch is a number of whole records, the unit of parallel reading.
type batch struct {
	data     []byte
	recs     []batchRecord
	firstRow int64

	done    chan struct{}
	buckets [][]byte // frames
	rejects []reject
}

type batchRecord struct {
	from, to int // in data
	line     int64
	fault    textFault
}

// buckets are where the rows of a file wait to be resolved: in memory, or spilled to scratch blobs.
type buckets struct {
	memory [][]byte
	spills []string
}

// read is the first stage: it fills w.buckets. It publishes its result, or returns the one that another run published before,
// which is prior, or nil when there is none.
func (w *work) read(ctx context.Context, prior *readResult) (*readResult, error) {
	start := time.Now()
	defer func() { w.took.read = time.Since(start) }()
	n, ranges := w.bucketCount(), true
	for {
		res, out, err := w.readInto(ctx, n, ranges, prior)
		switch {
		case errors.Is(err, errMoreBuckets):
			n = min(8*n, profile.MaxBuckets)
			continue
		case errors.Is(err, errSkewed):
			ranges = false
			continue
		}
		if err != nil {
			return nil, err
		}
		defer out.abort()
		if prior != nil {
			if res.Rows != prior.Rows {
				return nil, fmt.Errorf("the file has %d rows now and had %d", res.Rows, prior.Rows)
			}
			return prior, w.keep(out)
		}
		w.logRejects(out.rejects)
		if err := w.keep(out); err != nil {
			return nil, err
		}
		res.Spills = w.buckets.spills
		if res.Rejects, err = out.rejects.commit(); err != nil {
			return nil, err
		}
		if w.dry != nil {
			return res, nil
		}
		value, err := encode(res)
		if err != nil {
			return nil, err
		}
		if err := w.publish(ctx, store.Swap{Key: readKey, Value: value}); err != nil {
			return nil, err
		}
		// Whoever published first decides, but what both read is the same.
		published, _, err := w.published(ctx, w.task.Incarnation, w.job.ID)
		return published, err
	}
}

// keep makes what was read the buckets of this run.
func (w *work) keep(out *sinks) (err error) {
	w.buckets = &buckets{memory: out.memory}
	w.buckets.spills, err = out.commit()
	w.scratch = append(w.scratch, w.buckets.spills...)
	return err
}

// readInto reads the file into n buckets, by ranges of keys if it can be sampled, or into those of a prior result.
func (w *work) readInto(ctx context.Context, n int, ranges bool, prior *readResult) (*readResult, *sinks, error) {
	raw := &countingReader{r: w.file.Stream(0), n: &w.progress.bytes}
	raw.n.Store(0)
	text, err := OpenText(raw, w.StrictAWS)
	if err != nil {
		return nil, nil, err
	}
	defer text.Close()
	sp := newSplitter(text, ',')
	b, header, err := w.readHeader(sp)
	if err != nil {
		return nil, nil, err
	}
	var bounds [][]byte
	if prior != nil {
		n, bounds = prior.Buckets, prior.Bounds
	} else if ranges && text.Compression == "" && text.Encoding == "UTF-8" {
		if bounds, err = w.sample(ctx, w.newMapper(b, sp, text.Encoding), n); err != nil {
			return nil, nil, err
		}
		if bounds != nil {
			n = len(bounds) + 1
		}
	}
	out := w.newSinks(newPartition(n, bounds), prior != nil)
	if text.Compression != "" && n < profile.MaxBuckets {
		out.most = 2 * int64(n) * w.bucketBytes() // how large the text is shows only now
	}
	rows, err := w.pump(ctx, sp, b, text.Encoding, out)
	if err == nil && prior == nil && bounds != nil && out.skewed() {
		err = errSkewed
	}
	if err != nil {
		out.abort()
		return nil, nil, err
	}
	return &readResult{
		Rows: rows, Buckets: n, Bounds: bounds, Header: header, Delimiter: string(rune(sp.delim)), Failed: out.rejects.n, Format: text.Format,
	}, out, nil
}

// errSkewed says that the sample of keys was no good.
var errSkewed = errors.New("the buckets differ too much in size")

// countingReader counts what was read.
type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (w *work) bucketBytes() int64 {
	if w.BucketBytes == 0 {
		return 8 << 20
	}
	return w.BucketBytes
}

// bucketCount guesses how many buckets the file needs.
func (w *work) bucketCount() int {
	return int(min(max(1, (w.file.Size()+w.bucketBytes()-1)/w.bucketBytes()), profile.MaxBuckets))
}

// errMoreBuckets says that a compressed file turned out to be much larger than its buckets.
var errMoreBuckets = errors.New("the file needs more buckets")

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
	delims := []byte(Delimiters)
	if w.StrictAWS {
		delims = delims[:1]
	}
	for _, delim := range delims {
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
	b, err := w.m.bind(header, w.StrictAWS)
	if err != nil {
		text := err.Error()
		return nil, &invalid{"header-columns", strings.ToUpper(text[:1]) + text[1:] + "."}
	}
	return b, nil
}

// pump reads all records: one goroutine cuts batches, several map them, and this one collects them in order.
func (w *work) pump(ctx context.Context, sp *splitter, b *bound, encoding string, out *sinks) (rows int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)

	workers := w.Workers
	if workers == 0 {
		workers = runtime.NumCPU()
	}
	todo, ordered := make(chan *batch, workers), make(chan *batch, 2*workers)
	free := make(chan *batch, 4*workers)
	var cutErr error
	wg.Go(func() {
		defer close(todo)
		defer close(ordered)
		cutErr = w.cut(ctx, sp, free, todo, ordered)
	})
	for range workers {
		wg.Go(func() {
			m := w.newMapper(b, sp, encoding)
			m.part = out.part
			for bt := range todo {
				m.run(bt)
				close(bt.done)
			}
		})
	}
	for bt := range ordered {
		<-bt.done
		err := ctx.Err()
		if err == nil {
			err = out.take(ctx, bt)
		}
		if err != nil {
			cancel(err)
			for bt := range ordered {
				<-bt.done
			}
			return 0, err
		}
		rows += int64(len(bt.recs))
		w.progress.rows.Store(rows)
		select {
		case free <- bt:
		default:
		}
	}
	return rows, cutErr
}

// cut reads batches until the file ends.
func (w *work) cut(ctx context.Context, sp *splitter, free <-chan *batch, todo, ordered chan<- *batch) error {
	size := w.BatchBytes
	if size == 0 {
		size = 256 << 10
	}
	row := int64(1)
	for {
		var bt *batch
		select {
		case bt = <-free:
			bt.data, bt.recs, bt.rejects = bt.data[:0], bt.recs[:0], nil
		default:
			bt = &batch{data: make([]byte, 0, size+size/8)}
		}
		bt.firstRow, bt.done = row, make(chan struct{})
		var end error
		for len(bt.data) < size {
			rec, err := sp.next()
			if err != nil {
				end = err
				break
			}
			from := len(bt.data)
			bt.data = append(bt.data, rec.text...)
			bt.recs = append(bt.recs, batchRecord{from, len(bt.data), rec.line, rec.fault})
			row++
		}
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

// mapper turns records into frames.
type mapper struct {
	*bound
	plan  *keyPlan
	delim byte
	part  *partition
	// decoded says that the text was in another encoding than UTF-8.
	decoded  bool
	encoding string

	cells   [][]byte
	scratch []byte
	vals    [][]byte // of the attributes' fields, nil where empty
	key     []byte
	body    []byte
	list    []byte
	keys    keyList
	norm    []byte

	line, row int64 // of the current record
}

func (w *work) newMapper(b *bound, sp *splitter, encoding string) *mapper {
	return &mapper{bound: b, plan: newKeyPlan(b, w.rec.Keys), delim: sp.delim, decoded: encoding != "UTF-8", encoding: encoding}
}

// refuse returns the reject of the current record.
func (m *mapper) refuse(column, code, format string, args ...any) *reject {
	r := newReject(m.line, m.row, column, code, fmt.Sprintf(format, args...), m.cells)
	return &r
}

func (m *mapper) run(bt *batch) {
	if bt.buckets == nil {
		bt.buckets = make([][]byte, m.part.n)
	}
	for i := range bt.buckets {
		bt.buckets[i] = bt.buckets[i][:0]
	}
	for i, rec := range bt.recs {
		rej := m.record(bt, rec, bt.data[rec.from:rec.to], bt.firstRow+int64(i))
		if rej != nil {
			bt.rejects = append(bt.rejects, *rej)
		}
	}
}

// record maps one record into its bucket, or returns why not.
func (m *mapper) record(bt *batch, rec batchRecord, text []byte, row int64) *reject {
	m.line, m.row = rec.line, row
	if rej := m.split(rec, text); rej != nil {
		return rej
	}
	m.body = m.body[:0]
	m.vals = m.vals[:0]
	for i := range m.fields {
		f := &m.fields[i]
		v := m.value(f)
		if v != nil {
			if rej := f.check(&v, m); rej != nil {
				return rej
			}
			m.body = append(m.body, f.prefix...)
			m.body = append(binary.AppendUvarint(m.body, uint64(len(v))), v...)
		}
		m.vals = append(m.vals, v)
	}
	m.key = m.key[:0]
	for i := range m.unique {
		f := &m.unique[i]
		v := m.uniqueValue(f)
		if v == nil {
			return m.refuse(m.columnOf(f), reasonEmptyKey, "The unique key is empty. Fill it; a row without it can't be matched.")
		}
		if i > 0 {
			m.key = append(m.key, objecttype.TupleSep...)
		}
		from := len(m.key)
		if m.key = objecttype.AppendNormalized(m.key, f.ct, v); len(m.key) == from {
			return m.refuse(m.columnOf(f), reasonBadKey, "The unique key can't be used as a %s: nothing comparable is left of it. Correct it.", f.ct)
		}
	}
	key := objecttype.IndexBytes(m.key)
	m.keys.reset()
	m.keys.add(matchFamily, key)
	m.norm = m.plan.collect(m.vals, &m.keys, m.norm)
	m.list = m.keys.appendTo(m.list[:0])
	bucket := m.part.bucket(key)
	bt.buckets[bucket] = appendFrame(bt.buckets[bucket], &frame{rows: 1, first: row, key: key, keys: m.list, body: m.body})
	return nil
}

// split splits a record into m.cells, or returns why it is no sound row.
func (m *mapper) split(rec batchRecord, text []byte) *reject {
	if rec.fault != faultNone {
		m.cells = append(m.cells[:0], text)
		r := newReject(rec.line, m.row, "", string(rec.fault), rec.fault.sentence(), m.cells)
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
	if m.decoded && bytes.Contains(text, replacement) {
		column := m.columnWith(func(c []byte) bool { return bytes.Contains(c, replacement) })
		return m.refuse(column, reasonBadUTF8, "The row holds bytes that are not valid in %s, which is how the file was read. Save the file as UTF-8.", m.encoding)
	}
	if len(m.cells) != len(m.header) {
		return m.refuse("", reasonCellCount, "The row has %d cells and the header %d. Add or remove cells; put quotes around values that hold commas.", len(m.cells), len(m.header))
	}
	return nil
}

// replacement is what decoders put in the place of bytes that mean nothing.
var replacement = []byte("\uFFFD")

// uniqueValue returns the value of a part of the unique key: as its attribute holds it, or as it is in the file.
func (m *mapper) uniqueValue(f *boundField) []byte {
	if f.place >= 0 {
		return m.vals[f.place]
	}
	return m.value(f)
}

// value returns a field's value in the current record, nil where it is empty; only blanks count as empty.
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
	if len(v) > 0 && v[0] > ' ' && v[0] < utf8.RuneSelf || len(bytes.TrimSpace(v)) > 0 {
		return v
	}
	return nil
}

// check refuses a value that the attribute can't hold, and puts enumerated values into their form.
func (f *boundField) check(v *[]byte, m *mapper) *reject {
	if len(*v) > f.limit {
		if n := utf8.RuneCount(*v); n > f.limit {
			return m.refuse(m.columnOf(f), reasonTooLong, "The value has %d characters; _profile.%s holds at most %d. Shorten it.", n, f.attr.Path(), f.limit)
		}
	}
	if f.enum != nil {
		up := strings.ToUpper(strings.TrimSpace(string(*v)))
		for _, e := range f.enum {
			if e == up {
				*v = []byte(e)
				return nil
			}
		}
		return m.refuse(m.columnOf(f), reasonEnum, "_profile.%s allows only %s. Use one of these, or map the column to _profile.%sString.", f.attr.Path(), strings.Join(f.enum, ", "), f.attr.Path())
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

// sinks are where frames and rejects of the read stage go: to memory as long as there are few, then to blobs.
type sinks struct {
	w     *work
	part  *partition
	size  int64
	sizes []int64 // by bucket
	limit int64   // bytes of frames in memory
	most  int64   // bytes of frames before there must be more buckets

	memory  [][]byte
	blobs   []blob.Writer
	names   []string
	rejects *rejectWriter
	quiet   bool
	// untilRoom is how many bytes may be taken before the room is looked at again.
	untilRoom int
}

func (w *work) newSinks(p *partition, quiet bool) *sinks {
	s := &sinks{w: w, part: p, limit: w.MemoryBytes, most: math.MaxInt64, sizes: make([]int64, p.n), memory: make([][]byte, p.n), rejects: w.newRejects("read"), quiet: quiet}
	if s.limit == 0 {
		s.limit = 32 << 20
	}
	return s
}

// take takes in a batch.
func (s *sinks) take(ctx context.Context, bt *batch) error {
	if s.untilRoom -= len(bt.data); s.untilRoom <= 0 && s.blobs != nil {
		if err := s.w.waitForRoom(ctx); err != nil {
			return err
		}
		s.untilRoom = roomEvery
	}
	if !s.quiet {
		for i := range bt.rejects {
			r := &bt.rejects[i]
			if s.w.StrictAWS && aboutText(r.Code) {
				return &invalid{"strict-row", fmt.Sprintf("Line %d is no valid CSV in UTF-8, which fails the file because the server runs with --strict-aws. %s", r.Line, r.Message)}
			}
			if err := s.rejects.add(r); err != nil {
				return err
			}
		}
	}
	for i, part := range bt.buckets {
		s.size += int64(len(part))
		s.sizes[i] += int64(len(part))
	}
	if s.size > s.most {
		return errMoreBuckets
	}
	if s.blobs == nil && s.size > s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	for i, part := range bt.buckets {
		if s.blobs == nil {
			s.memory[i] = append(s.memory[i], part...)
		} else if len(part) > 0 {
			if _, err := s.blobs[i].Write(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// skewed says whether a bucket has become much larger than it should be.
func (s *sinks) skewed() bool {
	return slices.Max(s.sizes) > skewFactor*max(s.size/int64(s.part.n), s.w.bucketBytes())
}

// spill moves what is in memory to blobs.
func (s *sinks) spill() error {
	s.w.spilled++
	for i, part := range s.memory {
		name := fmt.Sprintf("%sspill-%s-%d-%05d", s.w.dir(), s.w.attempt, s.w.spilled, i)
		b, err := s.w.Blobs.CreateScratch(context.Background(), name, s.w.key)
		if err != nil {
			return err
		}
		s.blobs, s.names = append(s.blobs, b), append(s.names, name)
		if _, err := b.Write(part); err != nil {
			return err
		}
	}
	s.memory = nil
	return nil
}

func (w *work) newRejects(stage string) *rejectWriter {
	return &rejectWriter{create: func() (blob.Writer, string, error) {
		name := fmt.Sprintf("%srejects-%s-%s", w.dir(), w.attempt, stage)
		b, err := w.Blobs.Create(context.Background(), name, w.key)
		return b, name, err
	}}
}

// commit returns the names of the spills, none when all is in memory.
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
