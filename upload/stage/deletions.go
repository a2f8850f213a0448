package stage

import (
	"context"
	"runtime"
	"sync"

	"kith/store"
)

const (
	// manyDeletions is from how many profiles on deletions are written as tables, where the engine builds some aside.
	manyDeletions = 20_000
	// deletionsTable is about how many bytes of them are one table.
	deletionsTable = 32 << 20
)

// delete writes runs of deletions of some profiles and what belongs to them; those of one run have the same time. An engine that builds tables aside gets tables
// from all cores.
func (p *Plan) delete(ctx context.Context, profiles int, runs []store.Run) error {
	engine := store.StagerOf(p.store)
	if engine == nil || profiles < manyDeletions {
		return p.store.WriteRun(ctx, runs...)
	}
	s := &deletions{inc: p.inc, engine: engine}
	defer func() {
		for _, t := range s.tables {
			t.Discard()
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan store.Run, len(runs))
	for _, r := range runs {
		queue <- r
	}
	close(queue)
	var workers sync.WaitGroup
	for range 2 * runtime.NumCPU() { // closing a table waits for the disk
		workers.Go(func() {
			for r := range queue {
				if err := s.write(ctx, r); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return engine.Land(ctx, s.tables...)
}

// deletions are tables of them.
type deletions struct {
	inc    store.Incarnation
	engine store.Stager
	mu     sync.Mutex
	tables []store.Staged
}

// write writes a run, and returns when it is on the disk.
func (s *deletions) write(ctx context.Context, r store.Run) (err error) {
	var t store.Staged
	n := 0
	for row, err := range r.Rows {
		if n++; err == nil && n%1024 == 0 {
			err = ctx.Err()
		}
		if err == nil && (t == nil || n%1024 == 0 && t.Size() >= deletionsTable) {
			if t != nil {
				err = t.Close()
			}
			if err == nil {
				t, err = s.begin(store.StageOptions{Table: r.Table, Incarnation: s.inc, Time: row.Mutation.Time})
			}
		}
		if err == nil {
			err = t.Delete(row.Partition, row.Mutation.Key)
		}
		if err != nil {
			return err
		}
	}
	if t == nil {
		return nil
	}
	return t.Close()
}

// begin begins a table.
func (s *deletions) begin(o store.StageOptions) (store.Staged, error) {
	t, err := s.engine.Stage(o)
	if err == nil {
		s.mu.Lock()
		s.tables = append(s.tables, t)
		s.mu.Unlock()
	}
	return t, err
}
