package link

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	"kith/internal/people"
	"kith/profile/fold"
)

// generated are profiles of people of six countries.
func generated(t testing.TB, o people.Options) *labelled {
	t.Helper()
	var file, who bytes.Buffer
	if err := people.Write(&file, &who, o); err != nil {
		t.Fatal(err)
	}
	l := &labelled{}
	r := csv.NewReader(&file)
	head, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(who.String()) {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		values := map[string]string{}
		for i, name := range head {
			values[standardColumns[name]] = row[i]
		}
		_, person, _ := strings.Cut(strings.TrimSpace(line), ",")
		l.add(person, values)
	}
	return l
}

// streamed are the same, read from a file each time, as a store would.
func streamed(t testing.TB, o people.Options) *labelled {
	t.Helper()
	var who bytes.Buffer
	path := filepath.Join(t.TempDir(), "people.csv")
	file, err := os.Create(path)
	if err == nil {
		err = people.Write(file, &who, o)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	l := &labelled{}
	for line := range strings.Lines(who.String()) {
		_, person, _ := strings.Cut(strings.TrimSpace(line), ",")
		l.truth = append(l.truth, strings.Clone(person))
	}
	l.stream = func(_ context.Context, do func(int, *fold.Profile) error) error {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		r := csv.NewReader(file)
		r.ReuseRecord = true
		head, err := r.Read()
		if err != nil {
			return err
		}
		head = slices.Clone(head)
		for n := 0; ; n++ {
			row, err := r.Read()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			values := map[string]string{}
			for i, name := range head {
				values[standardColumns[name]] = row[i]
			}
			if err := do(0, profileOf(numberedID(n), values)); err != nil {
				return err
			}
		}
	}
	return l
}

// heap watches how much memory is in use at most.
func heap(do func()) (most uint64) {
	var stop atomic.Bool
	done := make(chan uint64)
	go func() {
		var most uint64
		for !stop.Load() {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			time.Sleep(50 * time.Millisecond)
		}
		done <- most
	}()
	do()
	stop.Store(true)
	return <-done
}

// digest is the same where groups, scores and all are.
func digest(groups []*Group) uint64 {
	var text bytes.Buffer
	for _, g := range sorted(groups) {
		fmt.Fprintf(&text, "%v %v %v %v\n", g.Score, g.Members, g.Weakest, g.Glued)
	}
	return xxh3.Hash(text.Bytes())
}

// TestScale measures time and memory with as many generated profiles as KITH_SCALE says. Nobody but who asks for it runs it: with the numbers that matter,
// a million and more, it takes minutes, and what it measures depends on the machine, so it can't fail. TestSpilled and TestEqualProfiles hold every change to the bounds.
func TestScale(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("KITH_SCALE"))
	if n == 0 {
		t.Skip("KITH_SCALE says no number of profiles")
	}
	memory, _ := strconv.ParseInt(os.Getenv("KITH_MEMORY"), 10, 64)
	l := streamed(t, people.Options{Records: n, Repeats: 0.2, Seed: 5})
	debug.FreeOSMemory()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var groups []*Group
	var report *Report
	var model *Model
	start, busy := time.Now(), cpu()
	most := heap(func() {
		groups, model, report = l.find(t, Options{Memory: memory, Dir: t.TempDir(), random: randomPairs})
	})
	t.Logf("groups and scores %016x", digest(groups))
	t.Logf("%d profiles: %v, %v of a processor, %d MiB beyond the profiles, %d pairs compared, %d groups, model %d bytes", n, time.Since(start).Round(time.Millisecond), cpu()-busy,
		(int64(most)-int64(before.HeapInuse))>>20, report.Compared, report.Groups, len(model.Marshal()))
	for _, line := range report.Refined {
		t.Log(line)
	}
	o := l.evaluate(groups, 0.9)
	t.Logf("at 0.9: precision %.4f, recall %.4f, F1 %.4f", o.precision(), o.recall(), o.f1())
}
