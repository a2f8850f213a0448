package resource

import (
	"context"
	"errors"
	"testing"
	"time"

	"kith/fault"
)

func TestRoom(t *testing.T) {
	r := &Room{Max: 10, Wait: time.Hour}
	first, sent := context.WithCancel(context.Background())
	if err := r.take(first, 7); err != nil {
		t.Fatal(err)
	}
	second, cancel := context.WithCancel(context.Background())
	defer cancel()
	got := make(chan error)
	go func() { got <- r.take(second, 4) }()
	for waits := false; !waits; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		waits = r.freed != nil
		r.mu.Unlock()
	}
	gone, leave := context.WithCancel(context.Background())
	leave()
	if err := r.take(gone, 4); !errors.Is(err, context.Canceled) {
		t.Fatal("who has gone does not wait:", err)
	}
	sent()
	if err := <-got; err != nil || r.used != 4 {
		t.Fatal(err, r.used)
	}
	r.Wait = time.Nanosecond
	if err := r.take(second, 11); !errors.Is(err, fault.Throttled) {
		t.Fatal(err)
	}
	cancel()
	r.Wait = time.Hour
	alone, end := context.WithCancel(context.Background())
	defer end()
	if err := r.take(alone, 11); err != nil { // larger than the room
		t.Fatal(err)
	}
	if err := r.take(context.Background(), 1<<40); err != nil || r.used != 11 {
		t.Fatal(err, r.used)
	}
}
