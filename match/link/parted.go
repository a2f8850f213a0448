package link

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"kith/internal/extsort"
)

// parted keeps bytes by part: outside of the heap up to a limit, then in a sealed temporary file whose key only this process has. What is added at
// once stays together; within a part such pieces are in no order.
type parted struct {
	pool  *extsort.Pool
	count *int64 // Options.spilled
	mu    sync.Mutex
	open  [][]byte // the chunk of each part that is being filled
	parts [][]extsort.Piece
	sizes []int64
}

// newParted returns an empty one that takes so much memory at most: half of it for the chunks that are being filled, one for each part, or more if these
// are so many that it is not enough for the smallest.
func newParted(o *Options, parts int, limit int64) *parted {
	size := extsort.ChunkSize(parts)
	for size > leastChunk && int64(size*parts) > limit/2 {
		size /= 2
	}
	return &parted{
		count: o.spilled, pool: extsort.NewPool(o.arena, size, max(1, limit-int64(size*parts)), o.Dir),
		open: make([][]byte, parts), parts: make([][]extsort.Piece, parts), sizes: make([]int64, parts),
	}
}

const leastChunk = 4 << 10

// bufferSize is how much a goroutine adds to a part at once: its buffers take some MiB together.
func (p *parted) bufferSize() int { return max(512, min(8<<10, p.pool.Size(), (4<<20)/len(p.parts))) }

// add appends to a part.
func (p *parted) add(part int, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	p.mu.Lock()
	room, full := p.pool.Room(p.open[part], len(b))
	var last []byte
	if full {
		last = p.open[part]
	}
	p.open[part] = append(room, b...)
	p.sizes[part] += int64(len(b))
	p.mu.Unlock()
	if full {
		return p.keep(part, last)
	}
	return nil
}

// keep puts a chunk of a part aside, without the lock while it is sealed and written.
func (p *parted) keep(part int, c []byte) error {
	piece, err := p.pool.Keep(c)
	if err != nil {
		return fmt.Errorf("match profiles: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts[part] = append(p.parts[part], piece)
	return nil
}

// read appends what is in a part to dst. Nothing may be added to that part meanwhile. A part that one goroutine filled is in the order in which it did.
func (p *parted) read(part int, dst []byte) ([]byte, error) {
	dst = slices.Grow(dst, int(p.sizes[part]))
	for _, piece := range p.parts[part] {
		var err error
		if dst, err = p.pool.Append(dst, piece); err != nil {
			return nil, fmt.Errorf("match profiles: read what was spilled: %w", err)
		}
	}
	return append(dst, p.open[part]...), nil
}

// each calls do with the bytes of a part, which are good until it returns, piece by piece. Nothing may be added to that part meanwhile.
func (p *parted) each(part int, do func(b []byte) error) error {
	return p.visit(p.parts[part], p.open[part], p.pool.Unload, do)
}

// take is each, and forgets the part. A part is for one goroutine, different ones are for several.
func (p *parted) take(part int, do func(b []byte) error) error {
	p.mu.Lock()
	pieces, open := p.parts[part], p.open[part]
	p.parts[part], p.open[part], p.sizes[part] = nil, nil, 0
	p.mu.Unlock()
	err := p.visit(pieces, open, p.pool.Drop, do)
	if open != nil {
		p.pool.Free(open)
	}
	return err
}

// visit calls do with the bytes of pieces, each of which is let go when do returns, and of a chunk that is still open.
func (p *parted) visit(pieces []extsort.Piece, open []byte, letGo func(extsort.Piece, []byte), do func(b []byte) error) error {
	for _, piece := range pieces {
		b, err := p.pool.Load(piece)
		if err != nil {
			return fmt.Errorf("match profiles: read what was spilled: %w", err)
		}
		err = do(b)
		letGo(piece, b)
		if err != nil {
			return err
		}
	}
	if open == nil {
		return nil
	}
	return do(open)
}

func (p *parted) close() {
	if p != nil && p.pool != nil {
		if p.count != nil {
			*p.count += int64(p.pool.Spilled())
		}
		p.pool.Close()
		p.pool, p.open, p.parts = nil, nil, nil
	}
}

// spilled says whether not all is in memory.
func (p *parted) spilled() bool { return p.pool.Spilled() > 0 }

// parallel lets workers do n tasks, each worker one at a time. It returns the first error.
func parallel(workers, n int, task func(worker, i int) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs error
	next := 0
	for w := range min(workers, n) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				stop := errs != nil || i >= n
				mu.Unlock()
				if stop {
					return
				}
				if err := task(w, i); err != nil {
					mu.Lock()
					errs = errors.Join(errs, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return errs
}
