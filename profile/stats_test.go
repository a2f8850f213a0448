package profile

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"kith/job"
	"kith/profile/fold"
	"kith/store"
	"kith/store/mem"
)

// Counting makes way for an import that runs when it is to begin, and for one that begins while it counts; but no longer than for countPatience.
func TestCountingMakesWayForImports(t *testing.T) {
	ctx := t.Context()
	w := newTown(t, mem.New(), 1, 0)
	for n := range 2 * countStride {
		stamp := fold.Stamp{Time: 100, Row: int64(n)}
		c := &fold.Contribution{Stamp: stamp, Expires: 1 << 60, Values: w.values(fold.Import, stamp, 0)}
		w.must(w.s.Store.Write(ctx, Partition(townInc, fold.ImportID(100, 0, uint32(n), w.rng.Uint64())),
			[]store.Mutation{{Key: AppendContributionKey(nil, stamp.Time, stamp.Row), Value: c.Append(nil), Time: 5}}))
	}
	var runs, asked, from atomic.Int64 // an import runs from the call on
	w.s.Importing = func() bool { return runs.Load() > 0 && asked.Add(1) > from.Load() }
	var at atomic.Int64 // the time of day
	at.Store(time.Hour.Microseconds())
	w.s.Now = func() time.Time { return time.UnixMicro(at.Load()) }

	results := make(chan time.Duration)
	r := &job.Runner{Store: w.s.Store, Now: w.s.Now, Log: slog.New(slog.DiscardHandler), Owner: "n", Poll: time.Hour,
		Domains: func(context.Context) ([]job.Domain, error) { return []job.Domain{{Incarnation: townInc}}, nil },
		Standing: []job.Standing{{Name: Statistics, Every: time.Hour, Run: func(ctx context.Context, t *job.Task) (time.Duration, error) {
			again, err := w.s.CountProfiles(ctx, t)
			if err != nil {
				return 0, err
			}
			select {
			case results <- again:
			case <-ctx.Done():
			}
			return 0, nil
		}}}}
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(running) }()
	defer func() { stop(); <-ended }()

	for _, step := range []struct {
		name    string
		passes  time.Duration // since the last figure no longer stands
		imports bool
		calls   int64 // of Importing, before the import begins
		again   time.Duration
		counted bool
	}{
		{"an import runs", 0, true, 0, countYield, false},
		{"an import begins soon", time.Second, true, 1, countYield, false},
		{"it runs for long", countPatience, true, 0, 0, true},
		{"the figure is new", -time.Microsecond, false, 0, time.Microsecond, true},
		{"the figure is old, and an import runs", time.Second, true, 0, countYield, true},
		{"it runs no more", time.Second, false, 0, 0, true},
	} {
		t.Run(step.name, func(t *testing.T) {
			before, _, err := w.s.kept(ctx, townInc)
			if err != nil {
				t.Fatal(err)
			}
			runs.Store(0)
			asked.Store(0)
			from.Store(step.calls)
			if step.imports {
				runs.Store(1)
			}
			at.Store(max(at.Load(), before.At+countShare*before.Took+step.passes.Microseconds()))
			r.WakeStanding(townInc, Statistics)
			if again := <-results; again != step.again {
				t.Errorf("it comes back after %v, want %v", again, step.again)
			}
			c, _, err := w.s.kept(ctx, townInc)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int64{true: 2 * countStride}[step.counted]; c.Profiles != want {
				t.Errorf("%d profiles are counted, want %d", c.Profiles, want)
			}
			if step.again == countYield && before.At != 0 && c != before {
				t.Errorf("the figure was %+v and is %+v", before, c)
			}
		})
	}
}
