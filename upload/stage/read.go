package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"kith/api"
	"kith/blob"
	"kith/internal/extsort"
	"kith/profile/fold"
	"kith/upload/table"
	"kith/upload/table/xlsx"
)

// batch is a number of whole records, the unit of parallel reading.
type batch struct {
	data     []byte
	recs     []batchRecord
	firstRow int64

	done    chan struct{}
	rejects rejectList
	err     error // ends the job
}

// Bounds of a batch. Very short records cost more in memory than in the file.
const (
	batchBytes   = 256 << 10
	batchRecords = 8192
)

type batchRecord struct {
	from, to int // in data
	line     int64
	fault    table.Fault
}

// Reader is the first stage: it reads a file into buckets.
type Reader struct {
	*Plan
	Reading
}

// Reading is how a file is read. Zero values are replaced by the defaults in brackets.
type Reading struct {
	File      blob.Reader
	StrictAWS bool
	TooLong   api.TooLongValues // what becomes of values that are longer than their attributes [they reject their rows]
	// Encoding is how the file is to be read, and Layout what is known of its header; what they leave open is found out.
	Encoding    string
	Layout      table.Layout
	Sheet       string                      // of a workbook, by its name or number; "" is the first one with something in it
	BucketBytes int64                       // of the file per bucket [8 MiB; less where nodes share the work]
	MemoryBytes int64                       // bytes of rows that wait in memory [what the arena's budget allows]
	Workers     int                         // [number of cores]
	BatchBytes  int                         // of the file per unit of parallel reading [256 KiB]
	Shared      bool                        // other nodes help to resolve
	Secret      uint64                      // seed of the hash that divides keys; the same whenever the file is read
	Rows, Bytes *atomic.Int64               // what has been read
	Room        func(context.Context) error // waits for room on the disk
}

// NewReader returns what reads the file of the plan's job.
func (p *Plan) NewReader(how Reading) *Reader { return &Reader{p, how} }

// Read reads the file into as many buckets as it needs. With a prior result of the same file the buckets are those of that, and
// rejects are left out.
func (r *Reader) Read(ctx context.Context, prior *ReadResult) (*ReadResult, *Buckets, error) {
	n, ranges := r.bucketCount(), true
	for {
		res, out, err := r.readInto(ctx, n, ranges, prior)
		switch {
		case errors.Is(err, errMoreBuckets):
			n = min(8*n, fold.MaxBuckets)
			continue
		case errors.Is(err, errSkewed):
			ranges = false
			continue
		case err != nil:
			return nil, nil, err
		}
		defer out.abort()
		if prior != nil && res.Rows != prior.Rows {
			return nil, nil, fmt.Errorf("the file has %d rows now and had %d", res.Rows, prior.Rows)
		}
		found, err := out.commit()
		if err != nil || prior != nil {
			return prior, found, err
		}
		res.Spills = found.Spills
		r.logRejects(out.rejects)
		res.Rejects, err = out.rejects.commit()
		return res, found, err
	}
}

// partition divides the keys of a file into buckets, by ranges where there are bounds. The seed of the hash is the same whenever the
// file is read, and not known to who has made the file.
func (r *Reader) partition(n int, bounds [][]byte) *extsort.Partition {
	if bounds != nil {
		return extsort.ByRange(bounds)
	}
	return extsort.ByHash(n, r.Secret)
}

// readInto reads the file into n buckets, by ranges of keys if it can be sampled, or into those of a prior result.
func (r *Reader) readInto(ctx context.Context, n int, ranges bool, prior *ReadResult) (*ReadResult, *sinks, error) {
	raw := &countingReader{r: r.File.Stream(0), n: r.Bytes}
	raw.n.Store(0)
	o := table.Options{Strict: r.StrictAWS, Encoding: r.Encoding, File: countedFile{r.File, r.Bytes}, Sheet: r.Sheet, Spill: SpillTexts}
	if !o.Strict && o.Encoding == "" {
		o.Evidence = table.Evidence(ctx, r.File)
	}
	text, err := table.Open(ctx, raw, o)
	if err != nil {
		return nil, nil, err
	}
	defer text.Close()
	sc := table.NewScanner(text)
	b, err := r.readHeader(sc)
	if err != nil {
		return nil, nil, err
	}
	var bounds [][]byte
	if prior != nil {
		n, bounds = prior.Buckets, prior.Bounds
	} else if ranges && !text.Packed() && text.Encoding == "UTF-8" {
		if bounds, err = r.sample(ctx, r.newMapper(b, sc, text.ReadAs), n); err != nil {
			return nil, nil, err
		}
		if bounds != nil {
			n = len(bounds) + 1
		}
	}
	out := r.newSinks(r.partition(n, bounds), prior != nil)
	if text.Packed() && n < fold.MaxBuckets {
		out.most = 2 * int64(n) * r.bucketBytes() // how large the text is shows only now
	}
	rows, err := r.pump(ctx, sc, b, text.ReadAs, out)
	if err == nil && prior == nil && bounds != nil && out.skewed() {
		err = errSkewed
	}
	if err != nil {
		out.abort()
		return nil, nil, err
	}
	return &ReadResult{
		Rows: rows, Buckets: n, Bounds: bounds, Header: b.header, Delimiter: string(rune(sc.Delimiter())), Failed: out.rejects.n, KeptRejects: out.rejects.kept, HeaderLine: sc.HeaderLine, Passed: sc.Passed, Repeated: sc.Repeated, Short: out.short.Load(),
		TooLong: b.tooLong(out.tooLong),
		Format:  text.Found(), Shared: r.Shared,
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

// countedFile counts what is read of a file by its streams.
type countedFile struct {
	blob.Reader
	n *atomic.Int64
}

// Stream implements table.File.
func (f countedFile) Stream(off int64) io.Reader { return &countingReader{f.Reader.Stream(off), f.n} }

// SpillTexts keeps the texts of a workbook that memory is not to hold, sealed: table.Options.Spill.
func SpillTexts(write func(io.Writer) error) (xlsx.Spill, error) {
	s, err := blob.NewSpill("", "texts", 1<<20, write)
	if err != nil {
		return nil, err // and no Spill that holds a nil
	}
	return s, nil
}

// Buckets are of this many bytes of the file. Where nodes share the work they are smaller for smaller files, so that there is
// something for everybody.
const (
	largeBucket = 8 << 20
	smallBucket = 256 << 10
	fairBuckets = 64
)

func (r *Reader) bucketBytes() int64 {
	switch {
	case r.BucketBytes > 0:
		return r.BucketBytes
	case r.Shared:
		return min(max(smallBucket, r.File.Size()/fairBuckets), largeBucket)
	}
	return largeBucket
}

// workers is how many goroutines map rows.
func (r *Reader) workers() int {
	if r.Workers > 0 {
		return r.Workers
	}
	return runtime.NumCPU()
}

// bucketCount guesses how many buckets the file needs.
func (r *Reader) bucketCount() int {
	return int(min(max(1, (r.File.Size()+r.bucketBytes()-1)/r.bucketBytes()), fold.MaxBuckets))
}

// errMoreBuckets says that a compressed file turned out to be much larger than its buckets.
var errMoreBuckets = errors.New("the file needs more buckets")

// readHeader finds the header and binds the mapping to it: the first record that has every mapped column. Its faults fail the job.
func (r *Reader) readHeader(sc *table.Scanner) (b *bound, err error) {
	layout := r.Layout
	layout.Strict = r.StrictAWS
	err = sc.Header(layout, func(names []string) error {
		if b, err = r.m.bind(names, r.StrictAWS); err != nil {
			text := err.Error()
			return &table.FileError{Code: "header-columns", Reason: strings.ToUpper(text[:1]) + text[1:] + "."}
		}
		return nil
	})
	if err == nil {
		b.readIn(r.country, r.own, r.keyed)
	}
	return b, err
}

// pump reads all records: one goroutine cuts batches, several map them, and this one collects them in order.
func (r *Reader) pump(ctx context.Context, sc *table.Scanner, b *bound, readAs func() string, out *sinks) (rows int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)

	workers := r.workers()
	todo, ordered := make(chan *batch, workers), make(chan *batch, 2*workers)
	free := make(chan *batch, 4*workers)
	var cutErr error
	wg.Go(func() {
		defer close(todo)
		defer close(ordered)
		cutErr = r.cut(ctx, sc, free, todo, ordered)
	})
	flushed := make(chan error, workers)
	for range workers {
		wg.Go(func() {
			m := r.newMapper(b, sc, readAs)
			if m.to = out.newWriter(); !out.quiet {
				m.rejects = out.rejects
			}
			for bt := range todo {
				m.run(bt)
				close(bt.done)
			}
			out.short.Add(m.short)
			out.addTooLong(m.tooLong)
			flushed <- m.to.flush()
		})
	}
	for bt := range ordered {
		<-bt.done
		err := ctx.Err()
		if err == nil {
			err = bt.err
		}
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
		r.Rows.Store(rows)
		select {
		case free <- bt:
		default:
		}
	}
	wg.Wait()
	for range workers {
		if err := <-flushed; err != nil {
			return 0, err
		}
	}
	return rows, cutErr
}

// cut reads batches until the file ends.
func (r *Reader) cut(ctx context.Context, sc *table.Scanner, free <-chan *batch, todo, ordered chan<- *batch) error {
	size := r.BatchBytes
	if size == 0 {
		size = batchBytes
	}
	row := int64(1)
	for {
		var bt *batch
		select {
		case bt = <-free:
			bt.data, bt.recs = bt.data[:0], bt.recs[:0]
		default:
			bt = &batch{data: make([]byte, 0, size+size/8)}
		}
		bt.firstRow, bt.done = row, make(chan struct{})
		var end error
		for len(bt.data) < size && len(bt.recs) < batchRecords {
			rec, err := sc.Next()
			if err != nil {
				end = err
				break
			}
			from := len(bt.data)
			bt.data = append(bt.data, rec.Text...)
			bt.recs = append(bt.recs, batchRecord{from, len(bt.data), rec.Line, rec.Fault})
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
