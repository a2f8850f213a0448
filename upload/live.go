package upload

import (
	"context"
	"errors"
	"sync"

	"kith/fault"
)

// live returns what tells of the import that wrote with a time whether its contributions count as it left them. What it has found it remembers: who holds the
// turn keeps imports from being taken back or compacted meanwhile.
func (w *work) live() func(ctx context.Context, jobTime int64) (bool, error) {
	var mu sync.Mutex
	var jobs map[int64]string // of all imports, by their times
	known := map[int64]bool{}
	return func(ctx context.Context, jobTime int64) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if live, ok := known[jobTime]; ok {
			return live, nil
		}
		if jobs == nil {
			imports, err := w.Feed.Imports(ctx, w.task.Incarnation)
			if err != nil {
				return false, err
			}
			jobs = map[int64]string{}
			for _, im := range imports {
				jobs[im.Time] = im.Job
			}
		}
		live := false
		if id, ok := jobs[jobTime]; ok {
			j, err := w.load(ctx, w.rec, id)
			if err != nil && !errors.Is(err, fault.NotFound) {
				return false, err
			}
			live = err == nil && j.counts()
		}
		known[jobTime] = live
		return live, nil
	}
}

// counts says that everything which the job decided is there, and that nothing of it has gone but with its expiry.
func (j *Job) counts() bool {
	return j.Final && j.AppliedAt != 0 && !j.Incomplete && j.UndoAt == 0 && j.CompactedAt == 0
}
