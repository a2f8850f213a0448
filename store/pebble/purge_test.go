package pebble

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kith/store"
)

// traces returns the files below a folder that hold a text, or the half of it: what begins like its neighbour is shortened in tables.
func traces(t *testing.T, dir string, text string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text[:len(text)/2])) || bytes.Contains(b, []byte(text[len(text)/2:])) {
			names = append(names, filepath.Base(path))
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) { // a compaction in the background moved what it holds to another one
		return traces(t, dir, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func secretText(rng *rand.Rand) string {
	var b [12]byte
	for i := range b {
		b[i] = byte(rng.UintN(256))
	}
	return hex.EncodeToString(b[:])
}

// What was deleted is in no file after a purge: neither as a value nor as a key, whichever way it was written and deleted, and wherever it
// lay; readers and writers go on meanwhile.
func TestPurge(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "db")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	rng := rand.New(rand.NewPCG(1, 2))
	part := func(table store.Table, key string) store.Partition {
		return store.Partition{Table: table, Incarnation: 7, Key: key}
	}
	write := func(p store.Partition, ms ...store.Mutation) {
		t.Helper()
		if err := s.Write(ctx, p, ms); err != nil {
			t.Fatal(err)
		}
	}
	run := func(table store.Table, partition string, m store.Mutation) {
		t.Helper()
		rows := store.SortRows([]store.RunRow{{Incarnation: 7, Partition: []byte(partition), Mutation: m}})
		if err := s.WriteRun(ctx, store.Run{Table: table, Rows: rows}); err != nil {
			t.Fatal(err)
		}
	}
	var gone []string
	secret := func() string {
		gone = append(gone, secretText(rng))
		return gone[len(gone)-1]
	}
	var later []func()
	for i := range 3 { // some lies in the lowest level already when it is deleted, some in the log
		for n := range 200 {
			write(part(store.Body, fmt.Sprint("stays", n)), store.Mutation{Key: []byte("k"), Value: []byte(secretText(rng)), Time: 1})
		}
		key, value := secret(), secret()
		write(part(store.Body, key), store.Mutation{Key: []byte("k"), Value: []byte(value), Time: 1})
		later = append(later, func() { write(part(store.Body, key), store.Mutation{Key: []byte("k"), Delete: true, Time: 2}) })
		email := secret()
		write(part(store.Index, "_email\x01"+email), store.Mutation{Key: []byte("id"), Time: 1})
		later = append(later, func() {
			write(part(store.Index, "_email\x01"+email), store.Mutation{Key: []byte("id"), Delete: true, Time: 2})
		})
		phone := secret()
		run(store.Index, "_phone\x01"+phone, store.Mutation{Key: []byte("id"), Time: 1})
		later = append(later, func() { run(store.Index, "_phone\x01"+phone, store.Mutation{Key: []byte("id"), Delete: true, Time: 2}) })
		head, name := part(store.Profile, "head"), secret()
		old, err := s.Get(ctx, head, []byte("h"))
		version, serr := s.Swap(ctx, head, []store.Swap{{Key: []byte("h"), Value: []byte(name), Expect: old.Version}})
		if serr != nil {
			t.Fatal(err, serr)
		}
		if i == 2 {
			later = append(later, func() {
				if _, err := s.Swap(ctx, head, []store.Swap{{Key: []byte("h"), Op: store.Delete, Expect: version}}); err != nil {
					t.Fatal(err)
				}
			})
		}
		dropped := secret()
		write(store.Partition{Table: store.History, Incarnation: 8, Key: dropped}, store.Mutation{Key: []byte("k"), Time: 1})
		if i == 0 {
			if err := s.db.Compact(ctx, []byte{0}, []byte{0xff}, false); err != nil {
				t.Fatal(err)
			}
		}
		if i == 1 {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	kept := secretText(rng)
	write(part(store.Body, "kept"), store.Mutation{Key: []byte("k"), Value: []byte(kept), Time: 1})
	for _, text := range gone {
		if len(traces(t, dir, text)) == 0 {
			t.Fatalf("%s can't be found before it is deleted: the test sees nothing", text)
		}
	}
	for _, do := range later {
		do()
	}
	if err := s.DropRange(ctx, store.History, 8); err != nil {
		t.Fatal(err)
	}
	for range s.Scan(ctx, part(store.Body, "stays1"), store.Range{}) { // leaves an iterator behind
	}
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			case <-time.After(time.Millisecond):
			}
			if err := s.Write(ctx, part(store.Jobs, "meanwhile"), []store.Mutation{{Key: []byte("k"), Time: int64(n + 1)}}); err != nil {
				stopped <- err
				return
			}
		}
	}()
	p, err := s.Purge(ctx)
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if err != nil || p.Deletions != 0 || p.After == 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	for i, text := range gone {
		if names := traces(t, dir, text); names != nil {
			t.Errorf("deleted text %d is still in %v", i, names)
		}
	}
	if row, err := s.Get(ctx, part(store.Body, "kept"), []byte("k")); err != nil || string(row.Value) != kept {
		t.Errorf("what was kept is %q, %v", row.Value, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if row, err := s.Get(ctx, part(store.Body, "kept"), []byte("k")); err != nil || string(row.Value) != kept {
		t.Errorf("after a restart what was kept is %q, %v", row.Value, err)
	}
}

func TestPurgeIsDue(t *testing.T) {
	ctx := context.Background()
	s, err := Open(filepath.Join(t.TempDir(), "db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	due := func(after time.Duration, want bool) {
		t.Helper()
		if got, err := s.PurgeDue(ctx, 7*24*time.Hour, time.Now().Add(after)); err != nil || got != want {
			t.Fatalf("due after %s: %v, %v", after, got, err)
		}
	}
	due(0, false)
	due(6*24*time.Hour, false)
	due(8*24*time.Hour, true)
	if _, err := s.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	due(time.Hour, false)
}
