package resource

import (
	"cmp"
	"context"
	"sync"
	"time"

	"kith/fault"
)

const (
	// DefaultTextMemory is how many bytes the texts that requests have read may take at a time.
	DefaultTextMemory = 128 << 20
	// roomTime is how long a request waits for room, unless a Room says otherwise.
	roomTime = 5 * time.Second
)

// Room bounds the memory of texts that have been read, in bytes. The zero value has DefaultTextMemory.
type Room struct {
	Max  int           // 0 is DefaultTextMemory
	Wait time.Duration // how long a request waits for room; 0 is some seconds

	mu    sync.Mutex
	used  int
	freed chan struct{} // closed when somebody gives back
}

// take reserves n bytes until ctx ends, which for a request is when its answer has been sent. A text that is larger than the room has
// it alone. Who finds none for a while gets fault.Throttled. A context that never ends, as in tests, reserves nothing.
func (r *Room) take(ctx context.Context, n int) error {
	if ctx.Done() == nil {
		return nil
	}
	late := time.NewTimer(cmp.Or(r.Wait, roomTime))
	defer late.Stop()
	for {
		freed := r.try(n)
		if freed == nil {
			context.AfterFunc(ctx, func() { r.give(n) })
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fault.Throttledf("More large texts are being read than there is memory for. Call again in a few seconds.")
		}
	}
}

// try reserves n bytes, or returns what is closed when it is worth another try.
func (r *Room) try(n int) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used > 0 && r.used+n > cmp.Or(r.Max, DefaultTextMemory) {
		if r.freed == nil {
			r.freed = make(chan struct{})
		}
		return r.freed
	}
	r.used += n
	return nil
}

func (r *Room) give(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= n
	if r.freed != nil {
		close(r.freed)
		r.freed = nil
	}
}
