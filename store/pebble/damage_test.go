package pebble_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/store"
	"kith/store/pebble"
)

// marker is a customer's e-mail. It stands in keys and values, and nothing that is logged or returned may hold it.
const marker = "jane.roe@example.org"

func markedPartition(i int) store.Partition {
	return store.Partition{Table: store.Index, Incarnation: 7, Key: fmt.Sprintf("mail\x01%s/%06d", marker, i)}
}

// writeMarked does n acknowledged writes, one partition each.
func writeMarked(t *testing.T, s store.Store, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		m := store.Mutation{Key: []byte("row " + marker), Value: bytes.Repeat([]byte(marker), 5), Time: 1}
		if err := s.Write(t.Context(), markedPartition(i), []store.Mutation{m}); err != nil {
			t.Fatal(err)
		}
	}
}

// present counts the rows that are there, and fails when there is a gap.
func present(t *testing.T, s store.Store) int {
	t.Helper()
	n := 0
	for row, err := range s.Sweep(t.Context(), store.SweepRange{Table: store.Index}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := markedPartition(n); row.Partition != want {
			t.Fatalf("row %d is missing", n)
		}
		n++
	}
	return n
}

// killed returns a data folder as a kill leaves it: the writes are in the log only.
func killed(t *testing.T, writes int) (dir, log string) {
	t.Helper()
	live := filepath.Join(t.TempDir(), "live")
	s, err := pebble.Open(live, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	writeMarked(t, s, 0, writes)
	dir = filepath.Join(t.TempDir(), "killed")
	copyDir(t, live, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, newest(t, dir, "*.log")
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// newest returns the last file of a pattern that has bytes.
func newest(t *testing.T, dir, pattern string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for _, path := range all {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			last = path
		}
	}
	if last == "" {
		t.Fatalf("no file %s", pattern)
	}
	return last
}

// damage changes a file.
func damage(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func flip(at int, mask byte) func([]byte) []byte {
	return func(b []byte) []byte { b[at] ^= mask; return b }
}

// journal is a log that fails the test when it holds the marker.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func newJournal(t *testing.T) (*journal, *slog.Logger) {
	j := &journal{}
	t.Cleanup(func() { j.check(t) })
	return j, slog.New(slog.NewTextHandler(j, nil))
}

func (j *journal) check(t *testing.T) {
	t.Helper()
	if text := j.String(); leaks(text) {
		t.Errorf("the log holds a customer's data:\n%s", text)
	}
}

// leaks looks for pieces of the marker, plain and in hexadecimal: damage may have changed some of its bytes.
func leaks(text string) bool {
	for _, piece := range []string{"jane", "roe@", "example"} {
		if strings.Contains(text, piece) || strings.Contains(text, fmt.Sprintf("%x", piece)) {
			return true
		}
	}
	return false
}

// One flipped bit anywhere in the log of a killed server is never taken for the log's end: the server refuses to start and says how
// to go on, or nothing is lost. When the damage is accepted, a flipped bit is put right.
func TestFlippedBitInTheLog(t *testing.T) {
	const writes = 200
	dir, log := killed(t, writes)
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	size := len(bytes.TrimRight(whole, "\x00"))
	if size < 40_000 {
		t.Fatalf("the log has %d bytes, too few for two blocks", size)
	}
	positions := []int{0, 4, 6, 7, 11, 32<<10 - 1, 32<<10 + 7, size - 1, size - 140}
	for at := 101; at < size; at += size / 11 {
		positions = append(positions, at)
	}
	refused := 0
	for _, at := range positions {
		for _, mask := range []byte{byte(1 << (at % 8))} {
			broken := filepath.Join(t.TempDir(), "db")
			copyDir(t, dir, broken)
			damage(t, filepath.Join(broken, filepath.Base(log)), flip(at, mask))
			_, logger := newJournal(t)
			s, err := pebble.Open(broken, pebble.Options{Log: logger})
			if err != nil {
				refused++
				d, ok := errors.AsType[*pebble.LogDamage](err)
				if !ok || !errors.Is(err, store.ErrDamaged) || leaks(err.Error()) || d.File != filepath.Base(log) {
					t.Fatalf("bit %#x of byte %d: %v", mask, at, err)
				}
				if s, err = pebble.Open(broken, pebble.Options{Log: logger, AcceptDamage: true}); err != nil {
					t.Fatalf("bit %#x of byte %d, accepted: %v", mask, at, err)
				}
				if accepted := s.LogDamage(); len(accepted) != 1 || !accepted[0].Flipped {
					t.Errorf("bit %#x of byte %d: %v", mask, at, accepted)
				}
			}
			if got := present(t, s); got != writes {
				t.Errorf("bit %#x of byte %d: %d of %d acknowledged writes are there, opened without a word: %t", mask, at, got, writes, err == nil)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if refused < len(positions)-1 { // what is left of a block may hold nothing
		t.Errorf("%d of %d flips were refused", refused, len(positions))
	}
}

// A sector of the log that is overwritten is told as what it is, with what goes with it; when that is accepted, what was written before
// it is there, the damaged file is kept, and the next start is an ordinary one.
func TestOverwrittenSectorOfTheLog(t *testing.T) {
	const writes = 200
	dir, log := killed(t, writes)
	damage(t, log, func(b []byte) []byte {
		copy(b[8192:8192+512], bytes.Repeat([]byte{0xa5}, 512))
		return b
	})
	_, logger := newJournal(t)
	_, err := pebble.Open(dir, pebble.Options{Log: logger})
	d, ok := errors.AsType[*pebble.LogDamage](err)
	if !ok || d.Flipped || d.Writes == 0 || len(d.Lost) != 1 || d.Lost[0].Table != store.Index || d.Lost[0].Incarnation != 7 {
		t.Fatalf("%v, want damage with what is lost", err)
	}
	if text := err.Error(); leaks(text) || !strings.Contains(text, "later writes with") || !strings.Contains(text, "key_index") {
		t.Errorf("the refusal says %q", text)
	}
	s, err := pebble.Open(dir, pebble.Options{Log: logger, AcceptDamage: true})
	if err != nil {
		t.Fatal(err)
	}
	left := present(t, s)
	accepted := s.LogDamage()
	if len(accepted) != 1 || left == 0 || accepted[0].Writes != d.Writes {
		t.Fatalf("%d rows are left, told is %v", left, accepted)
	}
	// The sector holds at least one write and at most five of about 280 bytes.
	if gone := writes - left - d.Writes; gone < 1 || gone > 5 {
		t.Errorf("%d rows are left and %d later writes are told of %d", left, d.Writes, writes)
	}
	if _, err := os.Stat(accepted[0].Kept); err != nil {
		t.Errorf("the damaged log was not kept: %v", err)
	}
	writeMarked(t, s, left, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = pebble.Open(dir, pebble.Options{Log: logger}); err != nil {
		t.Fatal(err)
	}
	if got := present(t, s); got != left+3 {
		t.Errorf("%d rows at the next start, want %d", got, left+3)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A write that was under way when the power failed is no damage, wherever it was cut, whatever an older file left behind it.
func TestTornTailIsNoDamage(t *testing.T) {
	const writes = 40
	dir, log := killed(t, writes)
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(whole, "\x00"))
	for name, rest := range map[string][]byte{
		"the file ends": nil, "zeros": make([]byte, 5000), "an older file": bytes.Repeat([]byte("\x0b\x03\x00\x00\x00older"), 500),
	} {
		for _, cut := range []int{1, 7, 18, 60, 130} {
			broken := filepath.Join(t.TempDir(), "db")
			copyDir(t, dir, broken)
			damage(t, filepath.Join(broken, filepath.Base(log)), func(b []byte) []byte { return append(b[:end-cut:end-cut], rest...) })
			s, err := pebble.Open(broken, pebble.Options{})
			if err != nil {
				t.Fatalf("%s, the last %d bytes cut: %v", name, cut, err)
			}
			if got := present(t, s); got != writes-1 {
				t.Errorf("%s, the last %d bytes cut: %d writes of %d", name, cut, got, writes)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// One flipped bit in the list of tables is never taken for its end either: tables would be removed.
func TestFlippedBitInTheManifest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "live")
	s, err := pebble.Open(dir, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		writeMarked(t, s, 20*i, 20)
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	manifest := newest(t, dir, "MANIFEST-*")
	info, err := os.Stat(manifest)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < int(info.Size()); at += 61 {
		broken := filepath.Join(t.TempDir(), "db")
		copyDir(t, dir, broken)
		damage(t, filepath.Join(broken, filepath.Base(manifest)), flip(at, 4))
		_, logger := newJournal(t)
		_, err := pebble.Open(broken, pebble.Options{Log: logger})
		if d, ok := errors.AsType[*pebble.LogDamage](err); !ok || !d.Manifest || leaks(err.Error()) {
			t.Fatalf("byte %d: %v, want damage of the manifest", at, err)
		}
		s, err := pebble.Open(broken, pebble.Options{Log: logger, AcceptDamage: true})
		if err != nil {
			t.Fatalf("byte %d, accepted: %v", at, err)
		}
		if got := present(t, s); got != 100 {
			t.Errorf("byte %d: %d rows of 100", at, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	damage(t, manifest, func(b []byte) []byte { copy(b[100:], make([]byte, 64)); return b })
	for _, accept := range []bool{false, true} {
		if _, err := pebble.Open(dir, pebble.Options{AcceptDamage: accept}); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("an overwritten manifest, accepted %t: %v, want ErrDamaged", accept, err)
		}
	}
}

// tables returns a data folder with five tables of twenty marked rows each.
func tables(t *testing.T) (dir string, files []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "db")
	s, err := pebble.Open(dir, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		writeMarked(t, s, 20*i, 20)
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if files, err = filepath.Glob(filepath.Join(dir, "*.sst")); err != nil || len(files) < 2 {
		t.Fatalf("%d tables, %v", len(files), err)
	}
	return dir, files
}

// A damaged or missing table fails the calls that need it, and no others; the process lives, and nothing that it says holds a key.
func TestDamagedTable(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"a flipped bit": func(t *testing.T, path string) { damage(t, path, flip(150, 1)) },
		"a flipped bit in each block": func(t *testing.T, path string) {
			damage(t, path, func(b []byte) []byte {
				for at := 10; at < len(b); at += 200 {
					b[at] ^= 4
				}
				return b
			})
		},
		"the end overwritten": func(t *testing.T, path string) {
			damage(t, path, func(b []byte) []byte { return append(b[:len(b)-60], make([]byte, 60)...) })
		},
		"cut in the middle": func(t *testing.T, path string) { damage(t, path, func(b []byte) []byte { return b[:len(b)/2] }) },
		"missing": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { testDamagedTable(t, spoil) })
	}
}

func testDamagedTable(t *testing.T, spoil func(*testing.T, string)) {
	defer pebble.SetExit(func() { panic("the process would have ended") })()
	dir, files := tables(t)
	spoil(t, files[1])
	j, logger := newJournal(t)
	s, err := pebble.Open(dir, pebble.Options{Log: logger})
	if err != nil { // a missing table is found at once
		if leaks(err.Error()) || !errors.Is(err, store.ErrDamaged) {
			t.Fatalf("Open: %v", err)
		}
		return
	}
	bad, well := 0, 0
	check := func(err error) {
		switch {
		case err == nil:
			well++
		case errors.Is(err, store.ErrDamaged) && !leaks(err.Error()):
			bad++
		default:
			t.Errorf("%v, want ErrDamaged without a customer's data", err)
		}
	}
	for i := range 100 {
		_, err := s.Get(t.Context(), markedPartition(i), []byte("row "+marker))
		check(err)
	}
	if bad == 0 || well == 0 {
		t.Errorf("%d rows could not be read and %d could", bad, well)
	}
	for _, err := range s.Sweep(t.Context(), store.SweepRange{Table: store.Index}) {
		check(err)
	}
	for _, err := range s.Scan(t.Context(), markedPartition(25), store.Range{}) {
		check(err)
	}
	check(s.Compact())
	writeMarked(t, s, 200, 5)
	if d := s.Damage(); len(d) != 1 || d[0].File != filepath.Base(files[1]) || d[0].From.Table != store.Index || d[0].From.Incarnation != 7 || leaks(d[0].String()) {
		t.Errorf("Damage: %v, want one of %s", d, filepath.Base(files[1]))
	}
	if n := strings.Count(j.String(), "stored data is damaged"); n != 1 {
		t.Errorf("the damage was logged %d times:\n%s", n, j)
	}
	if err := s.Close(); err != nil && leaks(err.Error()) {
		t.Error(err)
	}
}

// A power failure keeps what was synced and any blocks of what was not: never is that taken for damage, and what was acknowledged is there.
func TestPowerFailureIsNoDamage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 11))
	for round := range 60 {
		fs := vfs.NewCrashableMem()
		s, err := pebble.Open("db", pebble.Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		acknowledged := 0
		value := make([]byte, rng.IntN(3000))
		for n := range 20 + rng.IntN(100) {
			g := store.Group{
				Before: []store.PartitionWrite{{Partition: markedPartition(n), Mutations: []store.Mutation{{Key: []byte("row"), Value: value, Time: 1}}}},
				Lazy:   rng.IntN(3) > 0,
			}
			if _, err := s.Commit(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			if !g.Lazy {
				acknowledged = n + 1
			}
		}
		disk := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = pebble.Open("db", pebble.Options{FS: disk}); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got := present(t, s); got < acknowledged {
			t.Errorf("round %d: %d rows of %d that were acknowledged", round, got, acknowledged)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
