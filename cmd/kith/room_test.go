package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A start needs room for what it writes: the rows in the log, and a little.
func TestRoomToStart(t *testing.T) {
	dir := t.TempDir()
	free := func(n int64) func(string) (int64, error) { return func(string) (int64, error) { return n, nil } }
	if err := roomToStart(dir, free(startRoom)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"000004.log": 100 << 10, "000005.log": 200 << 10, "000006.sst": 400 << 10} {
		if err := os.WriteFile(filepath.Join(dir, "store", name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := roomToStart(dir, free(startRoom+300<<10)); err != nil {
		t.Fatal(err)
	}
	if err := roomToStart(dir, free(startRoom+300<<10-1)); err == nil || !strings.Contains(err.Error(), "is full: starting needs 4396 KiB and 4395 KiB are free") {
		t.Fatal(err)
	}
	if n, err := freeBytes(dir); err != nil || n <= 0 {
		t.Fatal(n, err)
	}
}
