package job

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kith/store"
)

// Stage is a stage of a piece of work in numbered parts.
type Stage struct {
	Name string
	// Row is there when a part is done.
	Row func(part int) []byte
	// Only is what must hold for a part to be worth doing.
	Only []store.Swap
	// Workers do parts side by side. Each gets a function of its own from Worker, which does one part after the other and
	// returns how it is published.
	Workers int
	Worker  func() func(ctx context.Context, part int) (Publisher, error)
	// Together says that helpers, too, go on when all parts are done.
	Together bool
}

// Publisher makes the outcome of a part count.
type Publisher func(ctx context.Context, part *Part) error

// Sharer divides the parts of a stage among its own workers and other nodes.
type Sharer struct {
	Task  *Task
	Store store.Store
	Room  func(context.Context) error // waits for room on the disk; nil: none is needed
	Poll  time.Duration               // how soon it is looked whether other nodes have done their parts
	Done  *atomic.Int64               // parts that were published here
}

// Share does the parts of a stage, as far as no other node has them. It returns when all are done, by whomever; a helper returns
// when none is left to claim, unless nodes go on together.
func (sh *Sharer) Share(ctx context.Context, s Stage, parts []int) error {
	alone := sh.Task.Helping() && !s.Together
	if sh.Task.Helping() && len(parts) > 1 { // nodes that begin at different places meet late
		at := rand.IntN(len(parts))
		parts = slices.Concat(parts[at:], parts[:at])
	}
	for len(parts) > 0 {
		others, err := sh.doParts(ctx, s, parts)
		if err != nil || alone || len(others) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(sh.Poll):
		}
		parts = parts[:0]
		for _, part := range others {
			_, err := sh.Store.Get(ctx, sh.Task.Partition(), s.Row(part))
			if errors.Is(err, store.ErrNotFound) {
				parts = append(parts, part)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// doParts does the parts that this node can claim, and returns the others. What a part leaves is published behind the workers,
// for that waits for the disk.
func (sh *Sharer) doParts(ctx context.Context, s Stage, parts []int) (others []int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	todo := make(chan int)
	slots := make(chan struct{}, 4) // parts that are being published
	var workers, publishers sync.WaitGroup
	ended := func(part int, err error) {
		switch {
		case errors.Is(err, ErrTaken), errors.Is(err, ErrLost) && sh.Task.Shared() && ctx.Err() == nil:
			mu.Lock()
			others = append(others, part)
			mu.Unlock()
		case err != nil:
			cancel(err)
		}
	}
	for range min(s.Workers, len(parts)) {
		workers.Go(func() {
			do := s.Worker()
			for part := range todo {
				if ctx.Err() != nil {
					continue
				}
				claimed, publish, err := sh.doPart(ctx, s, part, do)
				if err != nil {
					ended(part, err)
					continue
				}
				slots <- struct{}{}
				publishers.Go(func() {
					defer func() { <-slots }()
					err := publish(ctx, claimed)
					if err == nil {
						sh.Done.Add(1)
					}
					ended(part, err)
				})
			}
		})
	}
	for _, part := range parts {
		select {
		case todo <- part:
		case <-ctx.Done():
		}
	}
	close(todo)
	workers.Wait()
	publishers.Wait()
	return others, context.Cause(ctx)
}

// doPart claims a part and does it.
func (sh *Sharer) doPart(ctx context.Context, s Stage, part int, do func(context.Context, int) (Publisher, error)) (*Part, Publisher, error) {
	if sh.Room != nil {
		if err := sh.Room(ctx); err != nil {
			return nil, nil, err
		}
	}
	only := append(slices.Clone(s.Only), store.Swap{Key: s.Row(part), Op: store.Check})
	claimed, partCtx, err := sh.Task.Claim(ctx, fmt.Sprintf("%s/%05d", s.Name, part), only...)
	if err != nil {
		return nil, nil, err
	}
	publish, err := do(partCtx, part)
	if err != nil {
		if cause := context.Cause(partCtx); errors.Is(cause, ErrLost) {
			err = cause
		}
		claimed.GiveUp(ctx)
		return nil, nil, err
	}
	return claimed, publish, nil
}
