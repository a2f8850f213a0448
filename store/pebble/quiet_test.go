package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"kith/store"
	"kith/store/pebble"
)

// What the engine says of its own troubles is printed without what customers gave it, and still says what it is about.
func TestEngineMessagesHoldNoKey(t *testing.T) {
	exited := 0
	defer pebble.SetExit(func() { exited++ })()
	j, logger := newJournal(t)
	l := pebble.Logger(logger)
	key := []byte(marker)
	l.Errorf("background error: %s", fmt.Errorf("a row %s is out of order", marker))
	l.Errorf("mergingIter: prefix violation: returning key %q without prefix %q\n%s", key, key, debug.Stack())
	l.Errorf("%s", pebbledb.DiskSlowInfo{Path: "000012.log"})
	l.Fatalf("%s", pebbledb.DataCorruptionInfo{Path: "000012.sst", Details: fmt.Errorf("bad block after %s", marker)})
	l.Fatalf("pebble: fatal commit error: %v", fmt.Errorf("%s: %w", marker, syscall.ENOSPC))
	l.Fatalf("mergingIter: lower bound violation: %s < %s", key, key)
	if exited != 3 {
		t.Errorf("the process ended %d times, want 3", exited)
	}
	text := j.String()
	for _, want := range []string{"prefix violation", "background error", "000012.sst", "no space left", "lower bound violation"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q:\n%s", want, text)
		}
	}
	for _, err := range []error{
		fmt.Errorf("keys must be added in order: %s, %s", marker, marker),
		fmt.Errorf("%s: %w", marker, syscall.EIO),
		fmt.Errorf("%s: %w", marker, pebbledb.ErrCorruption),
		fmt.Errorf("%s: %w", marker, context.Canceled),
	} {
		if got := pebble.Convert(err); got == nil || leaks(got.Error()) || leaks(fmt.Sprint(got)) {
			t.Errorf("%v", got)
		}
	}
	if err := pebble.Convert(fmt.Errorf("x: %w", syscall.ENOSPC)); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a full disk: %v", err)
	}
}

// A disk that fails while tables are written, and then for the log, is told without what was to be written.
func TestFailingDiskIsToldWithoutKeys(t *testing.T) {
	j, logger := newJournal(t)
	for _, what := range []string{".sst", ".log"} {
		fails := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
			if strings.HasSuffix(op.Path, what) && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				return fmt.Errorf("%s: %w", marker, syscall.EIO)
			}
			return nil
		})}
		s, err := pebble.Open("db", pebble.Options{FS: errorfs.Wrap(vfs.NewMem(), &fails), Log: logger})
		if err != nil {
			t.Fatal(err)
		}
		writeMarked(t, s, 0, 50)
		ended := make(chan struct{})
		restore := pebble.SetExit(func() { runtime.Goexit() })
		fails.On()
		go func() {
			defer close(ended)
			if what == ".sst" {
				rows := func(yield func(store.RunRow, error) bool) {
					for i := range 40_000 {
						p := markedPartition(i)
						if !yield(store.RunRow{Incarnation: p.Incarnation, Partition: []byte(p.Key), Mutation: store.Mutation{Key: []byte(marker), Value: []byte(marker), Time: 2}}, nil) {
							return
						}
					}
				}
				if err := s.WriteRun(context.Background(), store.Run{Table: store.Index, Rows: rows}); err == nil || leaks(err.Error()) || !errors.Is(err, syscall.EIO) {
					t.Errorf("a run on a failing disk: %v", err)
				}
				return
			}
			err := s.Write(context.Background(), markedPartition(60), []store.Mutation{{Key: []byte(marker), Time: 1}})
			t.Errorf("a write on a failing disk: %v, want the end of the process", err)
		}()
		<-ended
		fails.Off()
		restore()
		if what == ".sst" {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if text := j.String(); !strings.Contains(text, "ending the process") || !strings.Contains(text, "input/output error") {
		t.Errorf("the log does not tell the failure:\n%s", text)
	}
}
