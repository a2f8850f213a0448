package e2e

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/profile/fingerprint"
	"kith/profile/fold"
	"kith/schema"
	"kith/store"
	"kith/upload"
)

// glances counts the rows of profiles that probes find: an import looks at the customers that it knows by probes.
type glances struct {
	store.Store
	found atomic.Int64
}

func (s *glances) Probe(ctx context.Context, t store.Table, inc store.Incarnation, probes iter.Seq[store.Probe]) iter.Seq2[store.Hit, error] {
	all := s.Store.Probe(ctx, t, inc, probes)
	if t != store.Profile {
		return all
	}
	return func(yield func(store.Hit, error) bool) {
		for hit, err := range all {
			s.found.Add(1)
			if !yield(hit, err) {
				return
			}
		}
	}
}

// AsStager implements what store.StagerOf asks for.
func (s *glances) AsStager() store.Stager { return store.StagerOf(s.Store) }

// daily is a domain into which the same file is imported every day.
type daily struct {
	*rig
	store *glances
	jobs  []string
}

// customers of the file; the mail of some is another one.
const dailyCustomers = 500

func (d *daily) day(changed map[int]string) (read int64) {
	d.t.Helper()
	var file strings.Builder
	file.WriteString("id,first,last,mail,tier\n")
	for c := range dailyCustomers {
		mail := fmt.Sprintf("m%d@x.com", c)
		if to, ok := changed[c]; ok {
			mail = to
		}
		fmt.Fprintf(&file, "%d,F%d,L%d,%s,\n", c, c, c, mail)
	}
	before := d.store.found.Load()
	j := d.run("d", undoSpec, file.String())
	d.jobs = append(d.jobs, *j.JobId)
	return d.store.found.Load() - before
}

// mails returns the addresses that some customers show.
func (d *daily) mails(of ...int) (mails []string) {
	d.t.Helper()
	for _, c := range of {
		out, err := d.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: api.Ptr("d"), KeyName: api.Ptr(schema.KeyAccount), Values: []string{fmt.Sprint(c)}})
		if err != nil {
			d.t.Fatal(err)
		}
		found := []string{}
		for _, p := range out.Items {
			found = append(found, api.Val(p.EmailAddress))
		}
		mails = append(mails, strings.Join(found, " "))
	}
	return mails
}

func newDaily(t *testing.T) *daily {
	st := &glances{Store: newPebble(t)}
	d := &daily{rig: newRig(t, st, upload.Config{BucketBytes: 4 << 10}), store: st}
	d.domain("d")
	return d
}

// fewRead is more than a customer here and there, and fewer than all.
const fewRead = dailyCustomers / 4

// From the third day on only those customers of a daily file are read that have changed, and a few more; the days before, and whatever happens to the
// import whose values they show, all of them.
func TestKnownCustomersAreNotRead(t *testing.T) {
	t.Parallel()
	d := newDaily(t)
	few := func(when string, changed map[int]string) {
		t.Helper()
		if n := d.day(changed); n > fewRead {
			t.Fatalf("%s %d rows of customers are read", when, n)
		}
	}
	all := func(when string, changed map[int]string) {
		t.Helper()
		if n := d.day(changed); n < dailyCustomers/2 {
			t.Fatalf("%s only %d rows of customers are read", when, n)
		}
	}
	d.day(nil)
	all("on the second day", nil)
	few("on the third day", nil)
	few("on the fourth day", map[int]string{7: "other@x.com"})
	few("on the fifth day", map[int]string{8: "new@x.com"}) // the seventh is what it was
	few("on the sixth day", map[int]string{8: "newer@x.com"})
	for day, want := range []int64{0, dailyCustomers, dailyCustomers, dailyCustomers - 1, dailyCustomers - 2, dailyCustomers - 1} {
		if got := api.Val(d.details("d", d.jobs[day]).UnchangedRecords); got != want {
			t.Fatalf("on day %d nothing changed of %d customers, want %d", day+1, got, want)
		}
	}
	if got, want := d.mails(7, 8, 9), []string{"m7@x.com", "newer@x.com", "m9@x.com"}; !slices.Equal(got, want) {
		t.Fatalf("customers show %q, want %q", got, want)
	}
	d.undone("d", d.jobs[4]) // nobody was recognised by it but the eighth
	few("behind the undo of another import", nil)
	d.undone("d", d.jobs[1])
	all("behind the undo of the import that prints name", nil)
	few("on the next day", nil)
	if got, want := d.mails(7, 8), []string{"m7@x.com", "m8@x.com"}; !slices.Equal(got, want) {
		t.Fatalf("customers show %q, want %q", got, want)
	}
}

// A customer who was edited, merged or deleted is read, and is never taken for what its print says.
func TestOthersThanImportsHaveASay(t *testing.T) {
	t.Parallel()
	d := newDaily(t)
	for range 3 {
		d.day(nil)
	}
	id := func(c int) string {
		found, _ := fold.ParseID(d.id("d", fmt.Sprint(c)))
		return found.String()
	}
	edited, deleted, main, merged := id(1), id(2), id(3), id(4)
	if err := d.edit("d", edited, fold.Value{Attr: schema.Attr{ID: schema.AccountNumber}, Text: "moved", Kind: fold.Manual}); err != nil {
		t.Fatal(err)
	}
	if err := d.remove("d", deleted); err != nil {
		t.Fatal(err)
	}
	d.merge("d", "3", "4")
	marks := 0
	for row, err := range d.store.Sweep(ctx, store.SweepRange{Table: store.Fingerprint}) {
		if err != nil {
			t.Fatal(err)
		}
		if string(row.Row.Key) == string(fingerprint.MarkKey) {
			marks++
		}
	}
	if marks != 4 {
		t.Fatalf("%d of four customers are marked", marks)
	}
	for day := range 3 {
		d.day(nil)
		if e, r := id(1), id(2); e == edited || r == deleted {
			t.Fatalf("on day %d the customer whose number was moved, or the deleted one, is still the same", day)
		}
		if m, o := id(3), id(4); m != main || o != main || m == merged {
			t.Fatalf("on day %d the merged customers are %s and %s", day, m, o)
		}
	}
	if err := d.remove("d", main); err != nil {
		t.Fatal(err)
	}
	d.day(nil)
	if m, o := id(3), id(4); m == main || o == main || m == merged || o == merged || m == o {
		t.Fatalf("behind the deletion of the merged customer %s and %s are there", m, o)
	}
}

// Two rows of a file that come to one profile leave no print: nobody can tell by one which of them it shows.
func TestTwoRowsOfOneProfile(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 64})
		r.domain("d")
		s := spec{key: "mail", fields: []string{"mail:mail:EmailAddress:EMAIL_ADDRESS", "work:work:BusinessEmailAddress:EMAIL_ADDRESS", "tier:tier:Attributes.tier"}}
		r.run("d", s, "mail,work,tier\na@x.com,b@x.com,1\n")
		both := "mail,work,tier\na@x.com,b@x.com,1\nb@x.com,a@x.com,2\n"
		first := r.run("d", s, both)
		want := r.dump("d")
		for range 4 {
			j := r.run("d", s, both)
			if got, want := outcome(j), outcome(first); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
			if got := r.dump("d"); !slices.Equal(got, want) {
				t.Fatalf("shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if n := api.Val(r.details("d", *j.JobId).UnchangedRecords); n != 1 { // the second row
				t.Fatalf("nothing changed by %d rows, want one", n)
			}
		}
	})
}

// Prints go with what they name: the sweep removes those of imports that have expired or were undone, and a deleted profile has none.
func TestPrintsGo(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		file := "id,first,last,mail,tier\n1,Ann,Lee,ann@x.com,gold\n2,Bob,,bob@x.com,\n3,Cy,Doe,,\n"
		short := undoSpec
		short.expiry = 5
		first := r.run("d", undoSpec, file)
		second := r.run("d", undoSpec, file)
		if store.StagerOf(st) == nil {
			if n := r.rows(store.Fingerprint); n != 0 {
				t.Fatalf("an engine without tables has %d prints", n)
			}
			return
		}
		if n := r.rows(store.Fingerprint); n != 3 {
			t.Fatalf("%d prints, want 3", n)
		}
		if err := r.remove("d", r.id("d", "1")); err != nil {
			t.Fatal(err)
		}
		if n := r.rows(store.Fingerprint); n != 3 { // one is a mark
			t.Fatalf("%d prints and marks behind a deletion, want 3", n)
		}
		r.undone("d", *second.JobId)
		r.sweep()
		if n := r.rows(store.Fingerprint); n != 1 {
			t.Fatalf("%d prints and marks behind the undo, want the mark", n)
		}
		r.run("d", short, strings.Replace(file, "1,Ann,Lee,ann@x.com,gold\n", "", 1))
		if n := r.rows(store.Fingerprint); n != 3 {
			t.Fatalf("%d prints and marks, want 3", n)
		}
		r.later(7 * 24 * time.Hour)
		r.sweep()
		if n := r.rows(store.Fingerprint); n != 1 {
			t.Fatalf("%d prints and marks behind the expiry, want the mark", n)
		}
		r.undone("d", *first.JobId)
	})
}

// What an import by single rows changes, an import by tables does not take for what it was; nor what has expired, though nobody has swept it yet.
func TestPrintsThatHoldNoMore(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{TableRows: 3})
		r.domain("d")
		unchanged := func(want int64, outcome, file string) {
			t.Helper()
			j := r.run("d", spec{key: "id", expiry: 5, fields: undoSpec.fields}, "id,first,last,mail,tier\n"+file)
			r.expect(j, outcome)
			if got := api.Val(r.details("d", *j.JobId).UnchangedRecords); got != want {
				t.Fatalf("nothing changed by %d rows, want %d", got, want)
			}
		}
		file := "1,Ann,Lee,ann@x.com,gold\n2,Bob,,bob@x.com,\n3,Cy,Doe,,\n"
		unchanged(0, "SUCCEEDED 3/0/0", file)
		unchanged(3, "SUCCEEDED 0/3/0", file)
		unchanged(3, "SUCCEEDED 0/3/0", file)
		unchanged(0, "SUCCEEDED 0/1/0", "1,Anna,Lee,ann@x.com,gold\n")
		unchanged(2, "SUCCEEDED 0/3/0", file)
		unchanged(3, "SUCCEEDED 0/3/0", file)
		r.later(6 * 24 * time.Hour)
		unchanged(0, "SUCCEEDED 3/0/0", file)
	})
}
