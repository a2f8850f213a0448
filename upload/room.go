package upload

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"
)

// Room tells how much of the disk that holds the data is free, in bytes.
type Room func() (free, total int64, err error)

// minFree is the part of the disk that stays free: below it imports pause and files are refused.
const minFree = 0.05

// ErrNoRoom says that the disk is too full to take a file.
var ErrNoRoom = errors.New("the server's disk is too full")

// roomy says whether there is room. What can't be measured is not held against anybody.
func (s *Service) roomy() bool {
	if s.Room == nil {
		return true
	}
	free, total, err := s.Room()
	return err != nil || float64(free) >= minFree*float64(total)
}

// waitForRoom returns when there is room or ctx ends.
func (w *work) waitForRoom(ctx context.Context) error {
	if w.roomy() {
		return ctx.Err()
	}
	w.paused.Store(true)
	w.Log.Warn("the disk is nearly full: an import pauses until there is room", "job", w.job.ID, "free-percent-needed", 100*minFree)
	w.progress.paused.Store(true)
	defer w.progress.paused.Store(false)
	every := w.RoomPollEvery
	if every == 0 {
		every = time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !w.roomy() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	w.Log.Info("there is room again: an import goes on", "job", w.job.ID)
	return nil
}

// isFull says whether an error is that the disk is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// roomEvery is after how many bytes of a file the room is looked at.
const roomEvery = 16 << 20

// roomReader reads a file that is being uploaded as long as there is room.
type roomReader struct {
	r    io.Reader
	s    *Service
	left int
}

func (r *roomReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		if !r.s.roomy() {
			return 0, ErrNoRoom
		}
		r.left = roomEvery
	}
	n, err := r.r.Read(p)
	r.left -= n
	return n, err
}
