package link

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"kith/blob"
)

// parted keeps bytes by part: in memory up to a limit, then in sealed temporary files whose key only this process has. Within a part they
// are in no order.
type parted struct {
	limit int64
	dir   string

	mu    sync.Mutex
	parts [][][]byte // blocks
	size  int64
	sizes []int64
	runs  []*partedRun
}

// partedRun is what was in memory when it was full.
type partedRun struct {
	*blob.Spill
	from []int64 // where each part begins, and the end
}

func newParted(parts int, limit int64, dir string) *parted {
	return &parted{limit: limit, dir: dir, parts: make([][][]byte, parts), sizes: make([]int64, parts)}
}

// add appends to a part.
func (p *parted) add(part int, b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.parts[part]) - 1; n >= 0 && cap(p.parts[part][n])-len(p.parts[part][n]) >= len(b) {
		p.parts[part][n] = append(p.parts[part][n], b...)
	} else if len(b) > 0 {
		p.parts[part] = append(p.parts[part], append(make([]byte, 0, max(len(b), partedBlock)), b...))
	}
	p.size += int64(len(b))
	p.sizes[part] += int64(len(b))
	if p.size < p.limit {
		return nil
	}
	return p.flush()
}

func (p *parted) flush() error {
	run := &partedRun{from: make([]int64, len(p.parts)+1)}
	var err error
	run.Spill, err = blob.NewSpill(p.dir, "match", 1<<20, func(w io.Writer) error {
		at := int64(0)
		for i, blocks := range p.parts {
			for _, b := range blocks {
				if _, err := w.Write(b); err != nil {
					return err
				}
				at += int64(len(b))
			}
			run.from[i+1] = at
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("match profiles: %w", err)
	}
	p.runs = append(p.runs, run)
	p.parts, p.size = make([][][]byte, len(p.parts)), 0
	return nil
}

// partedBlock is the least size of a block, for a part that is not tiny.
const partedBlock = 64 << 10

// bytes returns a copy of what is in a part.
func (p *parted) bytes(part int) ([]byte, error) {
	out := make([]byte, 0, p.sizes[part])
	for _, r := range p.runs {
		n := r.from[part+1] - r.from[part]
		if n == 0 {
			continue
		}
		at := len(out)
		out = out[:at+int(n)]
		if _, err := io.ReadFull(r.Stream(r.from[part]), out[at:]); err != nil {
			return nil, fmt.Errorf("match profiles: read what was spilled: %w", err)
		}
	}
	for _, b := range p.parts[part] {
		out = append(out, b...)
	}
	return out, nil
}

// drop forgets a part in memory.
func (p *parted) drop(part int) { p.parts[part] = nil }

func (p *parted) close() {
	for _, r := range p.runs {
		r.Close()
	}
	p.runs, p.parts = nil, nil
}

// spilled says whether not all is in memory.
func (p *parted) spilled() bool { return len(p.runs) > 0 }

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
