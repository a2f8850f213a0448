package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kith/profile/fold"
	"kith/store"
	"kith/upload/table"
)

// batch is a number of whole records, the unit of parallel reading.
type batch struct {
	data     []byte
	recs     []batchRecord
	firstRow int64

	done    chan struct{}
	buckets [][]byte // frames
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
			n = min(8*n, fold.MaxBuckets)
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
	w.buckets = &buckets{memory: out.buckets.Memory()}
	w.buckets.spills, err = out.commit()
	w.scratch = append(w.scratch, w.buckets.spills...)
	return err
}

// readInto reads the file into n buckets, by ranges of keys if it can be sampled, or into those of a prior result.
func (w *work) readInto(ctx context.Context, n int, ranges bool, prior *readResult) (*readResult, *sinks, error) {
	raw := &countingReader{r: w.file.Stream(0), n: &w.progress.bytes}
	raw.n.Store(0)
	text, err := table.Open(ctx, raw, w.StrictAWS)
	if err != nil {
		return nil, nil, err
	}
	defer text.Close()
	sc := table.NewScanner(text)
	b, err := w.readHeader(sc)
	if err != nil {
		return nil, nil, err
	}
	var bounds [][]byte
	if prior != nil {
		n, bounds = prior.Buckets, prior.Bounds
	} else if ranges && text.Compression == "" && text.Encoding == "UTF-8" {
		if bounds, err = w.sample(ctx, w.newMapper(b, sc.Delimiter(), text.Encoding), n); err != nil {
			return nil, nil, err
		}
		if bounds != nil {
			n = len(bounds) + 1
		}
	}
	out := w.newSinks(w.partition(n, bounds), prior != nil)
	if text.Compression != "" && n < fold.MaxBuckets {
		out.most = 2 * int64(n) * w.bucketBytes() // how large the text is shows only now
	}
	rows, err := w.pump(ctx, sc, b, text.Encoding, out)
	if err == nil && prior == nil && bounds != nil && out.skewed() {
		err = errSkewed
	}
	if err != nil {
		out.abort()
		return nil, nil, err
	}
	return &readResult{
		Rows: rows, Buckets: n, Bounds: bounds, Header: b.header, Delimiter: string(rune(sc.Delimiter())), Failed: out.rejects.n, KeptRejects: out.rejects.kept, Format: text.Format, Shared: w.task.Shared(),
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

// Buckets are of this many bytes of the file. Where nodes share the work they are smaller for smaller files, so that there is
// something for everybody.
const (
	largeBucket = 8 << 20
	smallBucket = 256 << 10
	fairBuckets = 64
)

func (w *work) bucketBytes() int64 {
	switch {
	case w.BucketBytes > 0:
		return w.BucketBytes
	case w.task.Shared():
		return min(max(smallBucket, w.file.Size()/fairBuckets), largeBucket)
	}
	return largeBucket
}

// memoryBytes is how much of what was read is kept in memory. What stays in a node's memory, others can't help with.
func (w *work) memoryBytes() int64 {
	switch {
	case w.MemoryBytes > 0:
		return w.MemoryBytes
	case w.task.Shared():
		return smallBucket
	}
	return 32 << 20
}

// bucketCount guesses how many buckets the file needs.
func (w *work) bucketCount() int {
	return int(min(max(1, (w.file.Size()+w.bucketBytes()-1)/w.bucketBytes()), fold.MaxBuckets))
}

// errMoreBuckets says that a compressed file turned out to be much larger than its buckets.
var errMoreBuckets = errors.New("the file needs more buckets")

// readHeader reads the header line and binds the mapping to it. Its faults fail the job. The delimiter is the first one by
// which every mapped column is found; when none is, the faults are told as for commas.
func (w *work) readHeader(sc *table.Scanner) (b *bound, err error) {
	delims := table.Delimiters
	if w.StrictAWS {
		delims = delims[:1]
	}
	err = sc.Header(delims, func(names []string) error {
		if b, err = w.m.bind(names, w.StrictAWS); err != nil {
			text := err.Error()
			return &table.FileError{Code: "header-columns", Reason: strings.ToUpper(text[:1]) + text[1:] + "."}
		}
		return nil
	})
	return b, err
}

// pump reads all records: one goroutine cuts batches, several map them, and this one collects them in order.
func (w *work) pump(ctx context.Context, sc *table.Scanner, b *bound, encoding string, out *sinks) (rows int64, err error) {
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
		cutErr = w.cut(ctx, sc, free, todo, ordered)
	})
	for range workers {
		wg.Go(func() {
			m := w.newMapper(b, sc.Delimiter(), encoding)
			m.part, m.rejects = out.part, out.rejects
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
		w.progress.rows.Store(rows)
		select {
		case free <- bt:
		default:
		}
	}
	return rows, cutErr
}

// cut reads batches until the file ends.
func (w *work) cut(ctx context.Context, sc *table.Scanner, free <-chan *batch, todo, ordered chan<- *batch) error {
	size := w.BatchBytes
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
