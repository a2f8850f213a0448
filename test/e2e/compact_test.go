package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kith/domain"
	"kith/job"
	"kith/profile"
	"kith/store"
	"kith/upload"
)

// deepest returns the most contributions a profile has.
func (r *rig) deepest() int {
	r.t.Helper()
	counts := map[string]int{}
	most := 0
	for row, err := range r.store.Sweep(ctx, store.SweepRange{Table: store.Profile}) {
		if err != nil {
			r.t.Fatal(err)
		}
		counts[row.Partition.Key]++
		most = max(most, counts[row.Partition.Key])
	}
	return most
}

// idle waits until no background work is queued.
func (r *rig) idle() {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		waiting := 0
		for _, rec := range r.live() {
			n, err := job.Waiting(ctx, r.store, rec.Incarnation)
			if err != nil {
				r.t.Fatal(err)
			}
			waiting += n
		}
		if waiting == 0 {
			return
		}
	}
	r.t.Fatalf("background work did not end\n%s", r.logText())
}

// sweep removes what has expired, compacts what is old, and waits for the end of it.
func (r *rig) sweep() {
	r.t.Helper()
	if err := r.QueueSweeps(ctx); err != nil {
		r.t.Fatal(err)
	}
	r.sweepIndex()
}

// sweepIndex removes index rows that nothing requires, and waits for the end of it.
func (r *rig) sweepIndex() {
	r.t.Helper()
	r.clock.add(2 * time.Minute) // those of names must be a minute old
	for _, rec := range r.live() {
		if err := r.Profiles.QueueIndexSweep(ctx, rec); err != nil {
			r.t.Fatal(err)
		}
	}
	r.idle()
}

// nothingLeft checks that there are no rows of profiles and none of the index.
func (r *rig) nothingLeft() {
	r.t.Helper()
	r.sweepIndex()
	if p, i := r.rows(store.Profile), r.rows(store.Index); p+i != 0 {
		r.t.Fatalf("%d profile rows and %d index rows are left", p, i)
	}
}

func (r *rig) live() []*domain.Record {
	r.t.Helper()
	live, err := r.Domains.Live(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return live
}

// Many imports of the same customers keep profiles small: old imports are compacted, nothing that can be seen changes, the newest
// imports can be undone and the compacted ones say why not.
func TestCompactionOfManyImports(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		const imports = 40
		r := newRig(t, st, upload.Config{BucketBytes: 2 << 10, MemoryBytes: 1})
		r.domain("d")
		s := spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber", "f:first:FirstName", "l:last:LastName", "m:mail:EmailAddress:EMAIL_ADDRESS", "t:tier:Attributes.tier", "o:old:Attributes.old"}}
		file := func(n int) string {
			var b strings.Builder
			b.WriteString("id,first,last,mail,tier,old\n")
			for c := range 50 {
				old := ""
				if n == c%7 {
					old = fmt.Sprint("only", n)
				}
				fmt.Fprintf(&b, "%d,F%d,L%d,m%d@%d.com,t%d,%s\n", c, c, n%3, c, n%5, n, old)
			}
			return b.String()
		}
		var ids []string
		for n := range imports {
			j := r.run("d", s, file(n))
			ids = append(ids, *j.JobId)
			if n > 0 {
				r.expect(j, "SUCCEEDED 0/50/0")
			}
		}
		r.idle()
		if got := r.deepest(); got > profile.DeepAt+1 {
			t.Fatalf("a profile has %d contributions", got)
		}
		if n := r.rows(store.Index); n > 50*4*(profile.DeepAt+2) {
			t.Fatalf("%d index rows", n)
		}
		dump := strings.Join(r.dump("d"), "\n")
		for c := range 50 {
			want := fmt.Sprintf(`"old":"only%d"`, c%7)
			if !strings.Contains(dump, want) || !strings.Contains(dump, `"tier":"t39"`) {
				t.Fatalf("a value is lost: %s", dump)
			}
		}
		if got := r.search("d", "_email", "m7@4.com"); !slices.Equal(got, []string{"7"}) {
			t.Fatalf("%v", got)
		}
		if got := r.search("d", "_fullName", "f7 l0"); !slices.Equal(got, []string{"7"}) {
			t.Fatalf("%v", got)
		}
		if got := r.search("d", "_email", "m7@3.com"); len(got) != 0 {
			t.Fatalf("a value that lost is found: %v", got)
		}
		if _, err := r.undo("d", ids[0]); err == nil || !strings.Contains(err.Error(), "compacted") {
			t.Fatalf("%v", err)
		}
		if r.details("d", ids[0]).CompactedAt == nil {
			t.Fatal("the details do not say that the job is compacted")
		}
		for _, id := range ids[imports-8:] {
			if r.details("d", id).CompactedAt != nil {
				t.Fatal("one of the newest imports is compacted")
			}
		}
		r.undone("d", ids[imports-1])
		if got := strings.Join(r.dump("d"), "\n"); !strings.Contains(got, `"tier":"t38"`) || strings.Contains(got, `"tier":"t39"`) {
			t.Fatal("the newest import was not undone")
		}
		// All that is left is one contribution, when all are old.
		r.clock.add(60 * 24 * time.Hour)
		r.sweep()
		if got := r.deepest(); got != 1 {
			t.Fatalf("a profile has %d contributions", got)
		}
		if got := r.search("d", "_email", "m7@3.com"); !slices.Equal(got, []string{"7"}) {
			t.Fatalf("%v", got)
		}
		// And it goes without a trace when its time has come.
		r.clock.add(1000 * 24 * time.Hour)
		r.sweep()
		r.nothingLeft()
	})
}

// A newer value that expires first gives way to the older one, compacted or not.
func TestCompactionKeepsWhatOutlives(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPebble(t), upload.Config{})
	for _, domain := range []string{"plain", "compacted"} {
		r.domain(domain)
		s := func(days int32) spec {
			return spec{key: "id", expiry: days, fields: []string{"id:id:AccountNumber", "m:mail:EmailAddress:EMAIL_ADDRESS", "f:first:FirstName", "l:last:LastName"}}
		}
		r.run(domain, s(500), "id,mail,first,last\n1,long@x.com,Ann,Old\n")
		r.run(domain, s(100), "id,mail,first,last\n1,short@x.com,,New\n")
		r.run(domain, s(50), "id,mail,first,last\n1,,Anna,\n")
	}
	check := func(mail, name string) {
		t.Helper()
		if a, b := r.dump("plain"), r.dump("compacted"); !slices.Equal(a, b) {
			t.Fatalf("%v and compacted %v", a, b)
		}
		for _, domain := range []string{"plain", "compacted"} {
			if got := r.search(domain, "_email", mail); len(got) != 1 {
				t.Fatalf("%s: nobody has %s: %v", domain, mail, r.dump(domain))
			}
			if got := r.search(domain, "_fullName", name); len(got) != 1 {
				t.Fatalf("%s: nobody is %s: %v", domain, name, r.dump(domain))
			}
		}
	}
	check("short@x.com", "anna new")
	r.clock.add(40 * 24 * time.Hour)
	rec, err := r.Domains.Lookup(ctx, "compacted")
	if err != nil {
		t.Fatal(err)
	}
	r.compactNow(rec.Incarnation)
	if got := r.deepest(); got != 3 { // that of the other domain
		t.Fatal(got)
	}
	check("short@x.com", "anna new")
	r.clock.add(20 * 24 * time.Hour)
	check("short@x.com", "ann new")
	r.clock.add(50 * 24 * time.Hour)
	check("long@x.com", "ann old")
}
