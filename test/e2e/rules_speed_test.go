package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kith/api"
	"kith/store"
	"kith/store/pebble"
	"kith/upload"
)

// townsfolk writes customers of whom a fifth stand in it twice, with another number, and another case of letters.
func townsfolk(w io.Writer, n, from int) error {
	rnd := rand.New(rand.NewPCG(uint64(n), uint64(from)))
	if _, err := io.WriteString(w, mergeHead); err != nil {
		return err
	}
	for i := range n {
		who, mail := from+i, "p%d@example.com"
		if i >= n*4/5 {
			who, mail = from+rnd.IntN(n*4/5), "P%d@Example.com"
		}
		mail = fmt.Sprintf(mail, who)
		if rnd.IntN(10) == 0 {
			mail = ""
		}
		if _, err := fmt.Fprintf(w, "N-%d,First%d,Last%d,%s,+1206%07d,Town%d,%d Main St,,\n", from+i, who%5000, who%70001, mail, who, who%3000, who%977); err != nil {
			return err
		}
	}
	return nil
}

// cpu is how much of the processors this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measured is the embedded engine where it is measured: on the disk, with the usual collection of garbage.
func measured(t *testing.T) store.Store {
	t.Helper()
	debug.SetGCPercent(100)
	st, err := pebble.Open(t.TempDir()+"/db", pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestRulesKeepUp measures how long a domain with three rules takes to match an import, beside the import itself, and how long all there is takes
// when the rules change: with KITH_TEST_RULES customers, on Pebble on the disk. It says figures and judges none, for they are the machine's: so it runs only where somebody asks. That what it matches
// is right, at a small size, TestRulesAtRandom checks every day.
func TestRulesKeepUp(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("KITH_TEST_RULES"))
	if err != nil {
		t.Skip("KITH_TEST_RULES is not set: the number of customers")
	}
	st := measured(t)
	r := newRig(t, st, upload.Config{})
	r.Stop()
	r.store = st // without the census of rows, which costs more than writing them
	r.start()
	r.domain("d")
	x := newMatcher(r, "d", 0, 0)
	x.chunk = 0
	x.reborn()
	three := ruleSet{rules: [][]string{{"EmailAddress"}, {"PhoneNumber", "LastName"}, {"FirstName", "LastName", "Address.City"}}}
	x.turn(&three)
	x.settle()
	imported := func(what string, n, from int) {
		in, out := io.Pipe()
		go func() { out.CloseWithError(townsfolk(out, n, from)) }()
		id := r.uploaded("d", mergeSpec, in)
		a := took(t, "import of "+what, func() {
			if err := r.startJob("d", id); err != nil {
				t.Fatal(err)
			}
			r.expect(r.wait("d", id), fmt.Sprintf("SUCCEEDED %d/0/0", n))
		})
		x.clock.add(2 * time.Second)
		b := took(t, "its matches", func() {
			for x.unmatched() {
			}
		})
		t.Logf("matching takes %.2f times the processors that the import takes", b.Seconds()/a.Seconds())
	}
	imported(fmt.Sprint(n, " customers"), n, 0)
	imported(fmt.Sprint(n/10, " more, into these"), n/10, n)
	imported("1000 more", 1000, 2*n)
	three.rules[2] = []string{"FirstName", "LastName"}
	x.turn(&three)
	took(t, "all there is, by other rules", func() {
		for x.unmatched() {
		}
	})
	matches := 0
	in := &api.ListRuleBasedMatchesRequest{DomainName: &x.rec.Name}
	for {
		out, err := x.rules.ListRuleBasedMatches(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		matches += len(out.MatchIds)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	t.Logf("%d matches", matches)
	if matches < n/10 {
		t.Errorf("%d matches", matches)
	}
	if n > 100_000 { // a merge takes some milliseconds
		return
	}
	three.merging = 1
	x.turn(&three)
	took(t, "merging by the first rule", func() {
		for x.unmatched() {
		}
	})
}

// unmatched runs the matcher once, and says whether there is more to do.
func (x *matcher) unmatched() bool {
	again, err := x.match()
	if err != nil {
		x.t.Fatal(err)
	}
	return again > 0 && again < time.Second
}

// took measures what something takes, and returns what of that the processors did.
func took(t *testing.T, what string, do func()) time.Duration {
	t.Helper()
	runtime.GC()
	peak, end := make(chan uint64), make(chan bool)
	go func() {
		most := uint64(0)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			select {
			case <-end:
				peak <- most
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	began, used := time.Now(), cpu()
	do()
	d := time.Since(began)
	used = cpu() - used
	close(end)
	t.Logf("%s: %.2f s, %.2f s of the processors, heap at most %d MB", what, d.Seconds(), used.Seconds(), <-peak>>20)
	return used
}

// TestRulesOfEqualProfiles: KITH_TEST_RULES profiles that are all alike, before the rules are turned on and as many behind that, are in no match, in bounded
// memory, and the log says so. The memory is told, not judged; the rest TestCommonValues checks every day, with small limits.
func TestRulesOfEqualProfiles(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("KITH_TEST_RULES"))
	if err != nil {
		t.Skip("KITH_TEST_RULES is not set: the number of customers")
	}
	r := newRig(t, measured(t), upload.Config{})
	r.domain("d")
	x := newMatcher(r, "d", 0, 0)
	x.chunk = 0
	x.reborn()
	imported := func(from, n int) {
		in, out := io.Pipe()
		go func() {
			w := bufio.NewWriter(out)
			_, err := io.WriteString(w, mergeHead)
			for i := range n {
				fmt.Fprintf(w, "%d,Ann,Lee,ann@x.com,+12065550100,Oslo,1 Main St,,\n", from+i)
			}
			out.CloseWithError(errors.Join(err, w.Flush()))
		}()
		id := r.uploaded("d", mergeSpec, in)
		if err := r.startJob("d", id); err != nil {
			t.Fatal(err)
		}
		r.expect(r.wait("d", id), fmt.Sprintf("SUCCEEDED %d/0/0", n))
		x.clock.add(2 * time.Second)
	}
	match := func() {
		for x.unmatched() {
		}
	}
	imported(0, n)
	x.turn(&ruleSet{rules: [][]string{{"EmailAddress"}, {"PhoneNumber", "LastName"}, {"FirstName", "LastName", "Address.City"}}})
	took(t, fmt.Sprint(n, " equal profiles"), match)
	imported(n, n/20)
	took(t, fmt.Sprint(n/20, " more"), match)
	imported(2*n, n)
	took(t, fmt.Sprint(n, " more"), match)
	if got, _ := x.matches(); len(got) != 0 {
		t.Errorf("%d matches", len(got))
	}
	if log := r.logText(); strings.Count(log, "more profiles share the values") < 3 {
		t.Errorf("the log says %s", log)
	}
}
