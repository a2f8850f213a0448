package upload

import (
	"bufio"
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/s2"

	"kith/blob"
	"kith/store"
)

// apply is the third stage: it merges all runs and writes them, index rows before the contributions they belong to. It may
// be repeated.
func (w *work) apply(ctx context.Context, runs map[int]runResult) error {
	for _, table := range []store.Table{store.Index, store.Profile} {
		if err := w.applyTable(ctx, table, runs); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) applyTable(ctx context.Context, table store.Table, runs map[int]runResult) error {
	var cursors cursorHeap
	defer func() {
		for _, c := range cursors {
			c.close()
		}
	}()
	for _, n := range slices.Sorted(maps.Keys(runs)) {
		if runs[n].Run == "" {
			continue
		}
		r, err := w.Blobs.Open(ctx, runs[n].Run, w.key)
		if err != nil {
			return fmt.Errorf("open a run: %w", err)
		}
		from, to := int64(0), runs[n].IndexFrom
		if table == store.Index {
			from, to = runs[n].IndexFrom, r.Size()
		}
		section := bufio.NewReaderSize(io.NewSectionReader(r, from, to-from), runBlock)
		c := &cursor{blob: r, r: bufio.NewReaderSize(s2.NewReader(section, s2.ReaderMaxBlockSize(runBlock)), 4<<10)}
		ok, err := c.next()
		if err != nil || !ok {
			c.close()
			if err != nil {
				return err
			}
			continue
		}
		cursors = append(cursors, c)
	}
	return w.Store.WriteRun(ctx, table, ahead(w.merged(&cursors)))
}

// aheadRows is how many rows ahead moves at a time.
const aheadRows = 1024

// aheadBatch is rows whose bytes lie in one arena.
type aheadBatch struct {
	rows  []store.RunRow
	arena []byte
	err   error
}

// ahead reads a sequence in a goroutine of its own, so that merging runs and building tables go side by side.
func ahead(rows iter.Seq2[store.RunRow, error]) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		full, free := make(chan *aheadBatch, 6), make(chan *aheadBatch, 6)
		for range cap(free) {
			free <- &aheadBatch{}
		}
		quit := make(chan struct{})
		var wg sync.WaitGroup
		defer wg.Wait()
		defer close(quit)
		wg.Go(func() {
			defer close(full)
			b := <-free
			flush := func() bool {
				full <- b // never blocks: it has room for all batches there are
				select {
				case b = <-free:
					b.rows, b.arena = b.rows[:0], b.arena[:0]
					return true
				case <-quit:
					return false
				}
			}
			for row, err := range rows {
				if err != nil {
					b.err = err
					flush()
					return
				}
				m := &row.Mutation
				from := len(b.arena)
				b.arena = append(append(b.arena, m.Key...), m.Value...)
				mid := from + len(m.Key)
				m.Key, m.Value = b.arena[from:mid:mid], b.arena[mid:len(b.arena):len(b.arena)]
				if b.rows = append(b.rows, row); len(b.rows) == aheadRows && !flush() {
					return
				}
			}
			flush()
		})
		for b := range full {
			for _, row := range b.rows {
				if !yield(row, nil) {
					return
				}
			}
			if b.err != nil {
				yield(store.RunRow{}, b.err)
				return
			}
			free <- b
		}
	}
}

// merged streams the rows of all cursors in order.
func (w *work) merged(cursors *cursorHeap) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		heap.Init(cursors)
		for cursors.Len() > 0 {
			c := (*cursors)[0]
			row := store.RunRow{Incarnation: w.task.Incarnation, Partition: c.partition, Mutation: store.Mutation{Key: c.key, Value: c.value, Time: w.job.Time}}
			if !yield(row, nil) {
				return
			}
			ok, err := c.next()
			if err != nil {
				yield(store.RunRow{}, err)
				return
			}
			if ok {
				heap.Fix(cursors, 0)
				continue
			}
			c.close()
			heap.Pop(cursors)
		}
	}
}

// cursor reads a section of a run.
type cursor struct {
	blob       blob.Reader
	r          *bufio.Reader
	partition  string
	part       []byte // the same, as it was read
	key, value []byte
}

func (c *cursor) close() { _ = c.blob.Close() }

// next moves to the next row and reports whether there is one.
func (c *cursor) next() (bool, error) {
	if _, err := c.r.Peek(1); errors.Is(err, io.EOF) {
		return false, nil
	}
	for i, dst := range [...]*[]byte{&c.part, &c.key, &c.value} {
		n, err := binary.ReadUvarint(c.r)
		if err != nil || n > store.MaxBatch {
			return false, fmt.Errorf("a run is damaged: %w", errors.Join(err, io.ErrUnexpectedEOF))
		}
		if uint64(cap(*dst)) < n {
			*dst = make([]byte, n, 2*n)
		}
		*dst = (*dst)[:n]
		if _, err := io.ReadFull(c.r, *dst); err != nil {
			return false, fmt.Errorf("a run is damaged: %w", err)
		}
		if i == 0 && c.partition != string(c.part) {
			c.partition = string(c.part)
		}
	}
	return true, nil
}

// cursorHeap orders cursors by their current rows.
type cursorHeap []*cursor

func (h cursorHeap) Len() int { return len(h) }
func (h cursorHeap) Less(i, j int) bool {
	if c := strings.Compare(h[i].partition, h[j].partition); c != 0 {
		return c < 0
	}
	return bytes.Compare(h[i].key, h[j].key) < 0
}
func (h cursorHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *cursorHeap) Push(x any) { *h = append(*h, x.(*cursor)) }

// Pop implements heap.Interface.
func (h *cursorHeap) Pop() any {
	old := *h
	c := old[len(old)-1]
	*h = old[:len(old)-1]
	return c
}
