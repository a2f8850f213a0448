package pebble_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"kith/store"
	"kith/store/pebble"
)

// mix is a store, and what it must hold: partition, a slash and row key of each row.
type mix struct {
	t    *testing.T
	r    *rand.Rand
	s    *pebble.Store
	o    pebble.Options
	dir  string
	time int64
	rows map[string]string
}

// key makes a key of few enough that they meet again; partitions have zero bytes.
func (m *mix) key() (partition, key string) {
	return fmt.Sprintf("p%c%02d", []byte{0, 1, 'x'}[m.r.IntN(3)], m.r.IntN(40)), fmt.Sprintf("%02d", m.r.IntN(20))
}

func (m *mix) value() string {
	if m.r.IntN(50) == 0 {
		return strings.Repeat("long", 1+m.r.IntN(30_000))
	}
	return fmt.Sprint("value ", m.r.IntN(1000))
}

// change is some rows, ascending: puts, deletions or both; empty values are deletions.
func (m *mix) change(n int) (keys [][2]string, values []string) {
	chosen := map[[2]string]bool{}
	for range n {
		p, k := m.key()
		chosen[[2]string{p, k}] = true
	}
	keys = slices.SortedFunc(maps.Keys(chosen), func(a, b [2]string) int {
		x := store.AppendKey(nil, store.Partition{Key: a[0]}, []byte(a[1]))
		return bytes.Compare(x, store.AppendKey(nil, store.Partition{Key: b[0]}, []byte(b[1])))
	})
	what := m.r.IntN(3)
	for range keys {
		if what == 0 || what == 1 && m.r.IntN(2) == 0 {
			values = append(values, "")
		} else {
			values = append(values, m.value())
		}
	}
	return keys, values
}

func (m *mix) note(keys [][2]string, values []string) {
	for i, k := range keys {
		if values[i] == "" {
			delete(m.rows, k[0]+"/"+k[1])
		} else {
			m.rows[k[0]+"/"+k[1]] = values[i]
		}
	}
}

// land lands up to four tables that lie beside each other.
func (m *mix) land() {
	keys, values := m.change(1 + m.r.IntN(400))
	var tables []store.Staged
	for from := 0; from < len(keys); {
		to := min(len(keys), from+1+m.r.IntN(len(keys)))
		w, err := m.s.Stage(store.StageOptions{Table: store.Profile, Incarnation: 7, Time: m.time})
		if err != nil {
			m.t.Fatal(err)
		}
		for i := from; i < to; i++ {
			cut := m.r.IntN(len(values[i]) + 1)
			add := func() error {
				return w.Add([]byte(keys[i][0]), []byte(keys[i][1]), []byte(values[i][:cut]), []byte(values[i][cut:]))
			}
			if values[i] == "" {
				add = func() error { return w.Delete([]byte(keys[i][0]), []byte(keys[i][1])) }
			}
			if err := add(); err != nil {
				m.t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			m.t.Fatal(err)
		}
		tables = append(tables, w)
		from = to
	}
	if m.r.IntN(5) == 0 { // given up
		for _, w := range tables {
			w.Discard()
		}
		return
	}
	if err := m.s.Land(m.t.Context(), tables...); err != nil {
		m.t.Fatal(err)
	}
	m.note(keys, values)
}

// write writes as others do: some partitions by Write, or all by WriteRun.
func (m *mix) write(run bool) {
	keys, values := m.change(1 + m.r.IntN(200))
	rows := func(yield func(store.RunRow, error) bool) {
		for i, k := range keys {
			mu := store.Mutation{Key: []byte(k[1]), Value: []byte(values[i]), Delete: values[i] == "", Time: m.time}
			if !yield(store.RunRow{Incarnation: 7, Partition: []byte(k[0]), Mutation: mu}, nil) {
				return
			}
		}
	}
	if run {
		if err := m.s.WriteRun(m.t.Context(), store.Run{Table: store.Profile, Rows: rows}); err != nil {
			m.t.Fatal(err)
		}
	} else {
		for r := range rows {
			if err := m.s.Write(m.t.Context(), store.Partition{Table: store.Profile, Incarnation: 7, Key: string(r.Partition)}, []store.Mutation{r.Mutation}); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	m.note(keys, values)
}

// reopen goes on with the store itself, or with a checkpoint of it.
func (m *mix) reopen(copied bool) {
	if copied {
		dir := filepath.Join(m.t.TempDir(), "copy")
		if err := m.s.Checkpoint(m.t.Context(), dir); err != nil {
			m.t.Fatal(err)
		}
		m.dir = dir
	}
	if err := m.s.Close(); err != nil {
		m.t.Fatal(err)
	}
	var err error
	if m.s, err = pebble.Open(m.dir, m.o); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mix) check(step int) {
	m.t.Helper()
	if err := m.s.CheckLevels(); err != nil {
		m.t.Fatalf("step %d: %v", step, err)
	}
	n := 0
	for row, err := range m.s.Sweep(m.t.Context(), store.SweepRange{Table: store.Profile}) {
		if err != nil {
			m.t.Fatal(err)
		}
		if want, ok := m.rows[row.Partition.Key+"/"+string(row.Row.Key)]; !ok || want != string(row.Row.Value) {
			m.t.Fatalf("step %d: row %q/%q: there %t, %d bytes instead of %d", step, row.Partition.Key, row.Row.Key, ok, len(row.Row.Value), len(want))
		}
		n++
	}
	if n != len(m.rows) {
		m.t.Fatalf("step %d: %d rows of %d", step, n, len(m.rows))
	}
	for range 20 {
		p, k := m.key()
		row, err := m.s.Get(m.t.Context(), store.Partition{Table: store.Profile, Incarnation: 7, Key: p}, []byte(k))
		if want, ok := m.rows[p+"/"+k]; ok != (err == nil) || want != string(row.Value) {
			m.t.Fatalf("step %d: Get of %q/%q: %v", step, p, k, err)
		}
	}
}

// Landed tables live together with all else there is: writes, runs, flushes, compactions, restarts and checkpoints, in any order.
func TestLandedTablesAmongAllElse(t *testing.T) {
	steps := 120
	if testing.Short() {
		steps = 40
	}
	for name, o := range map[string]pebble.Options{"ours": {FS: vfs.NewMem()}, "stock": pebble.Options{FS: vfs.NewMem()}.Stock()} {
		t.Run(name, func(t *testing.T) {
			s, err := pebble.Open("db", o)
			if err != nil {
				t.Fatal(err)
			}
			m := &mix{t: t, r: rand.New(rand.NewPCG(7, 8)), s: s, o: o, dir: "db", rows: map[string]string{}}
			for step := range steps {
				m.time++
				switch m.r.IntN(12) {
				case 0:
					err = m.s.Flush()
				case 1:
					err = m.s.Compact()
				case 2:
					m.reopen(false)
				case 3:
					m.reopen(true)
				case 4, 5:
					m.write(false)
				case 6, 7:
					m.write(true)
				default:
					m.land()
				}
				if err != nil {
					t.Fatal(err)
				}
				m.check(step)
			}
			if len(m.rows) == 0 {
				t.Error("no rows are left: this has tested nothing")
			}
			if err := m.s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// stageFew stages a table of n rows, not yet closed.
func stageFew(t *testing.T, s *pebble.Store, n int) store.Staged {
	t.Helper()
	w, err := s.Stage(store.StageOptions{Table: store.Index, Incarnation: 7, Time: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.Add([]byte(markedPartition(i).Key), []byte("row "+marker), bytes.Repeat([]byte(marker), 5), nil); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// Files of tables are there until they are landed, discarded, or left behind: then the next start removes them.
func TestStagedFilesAreRemoved(t *testing.T) {
	fs := vfs.NewMem()
	open := func() *pebble.Store {
		s, err := pebble.Open("db", pebble.Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	want := func(when string, n int) {
		t.Helper()
		if files, err := s.Staging(); err != nil || len(files) != n {
			t.Errorf("%s: files %v, %v; want %d", when, files, err, n)
		}
	}
	a, b, c, d := stageFew(t, s, 10), stageFew(t, s, 10), stageFew(t, s, 10), stageFew(t, s, 0)
	want("staged", 4)
	for _, w := range []store.Staged{a, b, d} {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Land(t.Context(), a, d); err != nil {
		t.Fatal(err)
	}
	want("landed", 2)
	b.Discard()
	want("discarded", 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	want("left behind", 0)
	c.Discard()
	if n := present(t, s); n != 10 {
		t.Errorf("%d rows", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A disk that is full, or fails, is told as such by Add, Close or Land, without keys; no row is seen, and the store goes on.
func TestAFullDiskWhileStaging(t *testing.T) {
	_, logger := newJournal(t)
	for _, kind := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpLink} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			fails := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
				// A link that fails is followed by a copy.
				ours := strings.Contains(op.Path, "ingest")
				if op.Kind == kind && ours || kind == errorfs.OpLink && op.Kind == errorfs.OpCreate && !ours {
					return fmt.Errorf("%s: %w", marker, syscall.ENOSPC)
				}
				return nil
			})}
			s, err := pebble.Open("db", pebble.Options{FS: errorfs.Wrap(vfs.NewMem(), &fails), Log: logger})
			if err != nil {
				t.Fatal(err)
			}
			try := func() error {
				w, err := s.Stage(store.StageOptions{Table: store.Index, Incarnation: 7, Time: 1})
				if err != nil {
					return err
				}
				defer w.Discard()
				for i := range 20_000 {
					if err := w.Add([]byte(markedPartition(i).Key), fmt.Appendf(nil, "%x", rand.Uint64()), nil, nil); err != nil {
						return err
					}
				}
				if err := w.Close(); err != nil {
					return err
				}
				return s.Land(t.Context(), w)
			}
			fails.On()
			if err := try(); !errors.Is(err, syscall.ENOSPC) || leaks(err.Error()) {
				t.Errorf("a full disk: %v", err)
			}
			fails.Off()
			if n := present(t, s); n != 0 {
				t.Errorf("%d rows are seen", n)
			}
			if files, err := s.Staging(); err != nil || len(files) != 0 {
				t.Errorf("files are left: %v, %v", files, err)
			}
			if err := try(); err != nil {
				t.Errorf("with room again: %v", err)
			}
			if n := present(t, s); n != 20_000 {
				t.Errorf("%d rows", n)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A table that was damaged before or after it landed is told as damage, and its rows are not taken for others.
func TestADamagedStagedTableIsTold(t *testing.T) {
	for _, landed := range []bool{false, true} {
		for _, part := range []float64{0, 0.3, 0.6, 0.9, 1} {
			dir := filepath.Join(t.TempDir(), "db")
			s, err := pebble.Open(dir, pebble.Options{})
			if err != nil {
				t.Fatal(err)
			}
			w := stageFew(t, s, 20_000)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			hurt := func(pattern string) {
				damage(t, newest(t, dir, pattern), func(b []byte) []byte { return flip(int(part*float64(len(b)-1)), 4)(b) })
			}
			if !landed {
				hurt("ingest/*.sst")
			}
			err = s.Land(t.Context(), w)
			if landed { // and what the landing has read is not in memory any more
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				hurt("*.sst")
				if s, err = pebble.Open(dir, pebble.Options{}); err != nil {
					t.Fatal(err)
				}
			}
			for _, e := range s.Sweep(t.Context(), store.SweepRange{Table: store.Index}) {
				err = errors.Join(err, e)
			}
			if !errors.Is(err, store.ErrDamaged) || leaks(err.Error()) {
				t.Errorf("landed %t, damaged at %.1f: %v", landed, part, err)
			}
			_ = s.Close() // may fail, since the damage was met
		}
	}
}

// Tables are staged side by side, while others land and are discarded.
func TestStagingSideBySide(t *testing.T) {
	s, err := pebble.Open("db", pebble.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	const workers, rounds, rows = 6, 8, 500
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			for round := range rounds {
				w, err := s.Stage(store.StageOptions{Table: store.Index, Incarnation: 7, Time: 1})
				for i := 0; i < rows && err == nil; i++ {
					err = w.Add(fmt.Appendf(nil, "%d/%d/%04d", n, round, i), []byte("k"), bytes.Repeat([]byte{byte('a' + n)}, 100), nil)
				}
				if err == nil {
					err = w.Close()
				}
				if err == nil && round%2 == 0 {
					err = s.Land(t.Context(), w)
				} else {
					w.Discard()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := 0
	for row, err := range s.Sweep(t.Context(), store.SweepRange{Table: store.Index}) {
		if err != nil || len(row.Row.Value) != 100 || int(row.Row.Value[99]-'a') != int(row.Partition.Key[0]-'0') {
			t.Fatalf("a row of %q is another's: %v", row.Partition.Key, err)
		}
		seen++
	}
	if want := workers * rounds / 2 * rows; seen != want {
		t.Errorf("%d rows of %d", seen, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A row out of order is refused where one table of a run ends and the next one begins, too.
func TestDisorderBetweenTablesOfARun(t *testing.T) {
	s, err := pebble.Open("db", pebble.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	value := make([]byte, store.MaxValue)
	for n := 14; n <= 18; n++ { // a table ends after 16 rows
		rows := func(yield func(store.RunRow, error) bool) {
			for i := range n + 1 {
				if !yield(store.RunRow{Incarnation: 7, Partition: fmt.Appendf(nil, "%02d", i%n), Mutation: store.Mutation{Value: value, Time: 1}}, nil) {
					return
				}
			}
		}
		if err := s.WriteRun(t.Context(), store.Run{Table: store.Profile, Rows: rows}); !errors.Is(err, store.ErrOrder) {
			t.Errorf("after %d rows: %v", n, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// BenchmarkStage writes tables of rows like those of the index, as an import does, with the files and their syncs.
func BenchmarkStage(b *testing.B) {
	s, err := pebble.Open(filepath.Join(b.TempDir(), "db"), pebble.Options{})
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	const rows = 200_000
	parts, keys := make([][]byte, rows), make([][]byte, rows)
	var all []byte
	for i := range rows {
		all = fmt.Appendf(all, "e%06dname.surname@example.org"[:8+r.IntN(20)], i)
		parts[i], all = all[:len(all):len(all)], all[len(all):]
		for range 17 {
			all = append(all, byte(r.Uint32()))
		}
		keys[i], all = all[:len(all):len(all)], all[len(all):]
	}
	began := processor()
	for b.Loop() {
		w, err := s.Stage(store.StageOptions{Table: store.Index, Incarnation: 7, Time: 1})
		if err != nil {
			b.Fatal(err)
		}
		for i := range parts {
			if err := w.Add(parts[i], keys[i], nil, nil); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		w.Discard()
	}
	b.ReportMetric(float64(processor()-began)/float64(b.N*rows), "cpu-ns/row")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// processor returns the time that all threads of the process have used.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
