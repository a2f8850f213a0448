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

const dailyCustomers = 500

// dailyRow is a row of the file.
type dailyRow struct{ first, last, mail, tier string }

// mailed changes the mail of a customer.
func mailed(c int, to string) func(int, *dailyRow) {
	return func(n int, r *dailyRow) {
		if n == c {
			r.mail = to
		}
	}
}

// day imports the file, with what is changed, and returns how many rows of profiles were read to know the customers.
func (d *daily) day(change func(int, *dailyRow)) (read int64) {
	d.t.Helper()
	var file strings.Builder
	file.WriteString("id,first,last,mail,tier\n")
	for c := range dailyCustomers {
		r := dailyRow{fmt.Sprintf("F%d", c), fmt.Sprintf("L%d", c), fmt.Sprintf("m%d@x.com", c), "1"}
		if change != nil {
			change(c, &r)
		}
		fmt.Fprintf(&file, "%d,%s,%s,%s,%s\n", c, r.first, r.last, r.mail, r.tier)
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

// few imports the file, and fails if more than a few customers are read; all, if they are not read.
func (d *daily) few(when string, change func(int, *dailyRow)) {
	d.t.Helper()
	if n := d.day(change); n > fewRead {
		d.t.Fatalf("%s %d rows of customers are read", when, n)
	}
}

func (d *daily) all(when string, change func(int, *dailyRow)) {
	d.t.Helper()
	if n := d.day(change); n < dailyCustomers/2 {
		d.t.Fatalf("%s only %d rows of customers are read", when, n)
	}
}

// From the third day on only those customers of a daily file are read that have changed, and a few more; the days before, and whatever happens to the
// import whose values they show, all of them.
func TestKnownCustomersAreNotRead(t *testing.T) {
	t.Parallel()
	d := newDaily(t)
	few, all := d.few, d.all
	d.day(nil)
	all("on the second day", nil)
	few("on the third day", nil)
	few("on the fourth day", mailed(7, "other@x.com"))
	few("on the fifth day", mailed(8, "new@x.com")) // the seventh is what it was
	few("on the sixth day", mailed(8, "newer@x.com"))
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

// Customers who have changed are read only where their name has, or what is said of them at all: every import has the counters that it has when they are read,
// finds customers by what they show then, and is taken back to what there was.
func TestChangedCustomersAreNotRead(t *testing.T) {
	t.Parallel()
	d := newDaily(t)
	d.day(nil)
	d.all("on the second day", nil)
	day := 2
	changed := func(read func(string, func(int, *dailyRow)), what string, change func(int, *dailyRow)) {
		t.Helper()
		day++
		read(fmt.Sprintf("on day %d, on which %s,", day, what), func(c int, r *dailyRow) {
			if c%5 != 0 {
				change(c, r)
			}
		})
		want := int64(dailyCustomers / 5) // those who are what they were
		if got := api.Val(d.details("d", d.jobs[day-1]).UnchangedRecords); got != want {
			t.Fatalf("on day %d, on which %s, nothing changed of %d customers, want %d", day, what, got, want)
		}
	}
	changed(d.few, "tiers change", func(_ int, r *dailyRow) { r.tier = "2" })
	changed(d.few, "tiers change again", func(_ int, r *dailyRow) { r.tier = "3" })
	shows := d.dump("d")
	changed(d.few, "tiers change back", func(_ int, r *dailyRow) { r.tier = "1" })
	changed(d.all, "first names change", func(_ int, r *dailyRow) { r.first = "Ann" })
	changed(d.all, "last names change", func(_ int, r *dailyRow) { r.last = "Lee" })
	changed(d.all, "names are as they were and mails change", func(c int, r *dailyRow) { r.mail = fmt.Sprintf("o%d@x.com", c) })
	changed(d.few, "mails change", func(c int, r *dailyRow) { r.mail = fmt.Sprintf("n%d@x.com", c) })
	if got, want := d.mails(6, 10), []string{"n6@x.com", "m10@x.com"}; !slices.Equal(got, want) {
		t.Fatalf("customers show %q, want %q", got, want)
	}
	if got, former := d.search("d", schema.KeyEmail, "n6@x.com"), d.search("d", schema.KeyEmail, "o6@x.com", "m6@x.com"); !slices.Equal(got, []string{"6"}) || len(former) > 0 {
		t.Fatalf("by an address that is new %v are found, by those before %v", got, former)
	}
	d.all("on a day without mails", func(_ int, r *dailyRow) { r.mail = "" })
	if got := api.Val(d.details("d", d.jobs[day]).UnchangedRecords); got != dailyCustomers {
		t.Fatalf("a file that says less than customers show changes nothing of %d, want %d", got, dailyCustomers)
	}
	for n := day; n >= 4; n-- {
		d.undone("d", d.jobs[n])
	}
	if got := d.dump("d"); !slices.Equal(got, shows) {
		t.Fatalf("behind undos customers show\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(shows, "\n"))
	}
}

// An index row of what a customer showed once does not make a row theirs that has that value now, however much else is the same.
func TestFormerKeysAreNotBelieved(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{TableRows: 1})
		r.domain("d")
		byMail := spec{key: "mail", fields: undoSpec.fields}
		rows := func(s spec, want, mail, tier string) {
			t.Helper()
			r.expect(r.run("d", s, "id,first,last,mail,tier\n1,Ann,Lee,"+mail+","+tier+"\n"), want)
		}
		rows(undoSpec, "SUCCEEDED 1/0/0", "a@x.com", "1")
		rows(undoSpec, "SUCCEEDED 0/1/0", "b@x.com", "1")
		for _, tier := range []string{"1", "1", "2"} {
			rows(byMail, "SUCCEEDED 0/1/0", "b@x.com", tier)
		}
		rows(byMail, "SUCCEEDED 1/0/0", "a@x.com", "2")
		if got := r.search("d", schema.KeyEmail, "a@x.com", "b@x.com"); len(got) != 2 {
			t.Fatalf("%v are found, want two customers", got)
		}
	})
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

// moved is an engine that builds tables until all that it has is moved to one that does not: kith copy takes prints along.
type moved struct {
	store.Store
	over   atomic.Bool
	prints atomic.Int64 // how often they were asked for since
}

// AsStager implements what store.StagerOf asks for.
func (s *moved) AsStager() store.Stager {
	if s.over.Load() {
		return nil
	}
	return store.StagerOf(s.Store)
}

func (s *moved) Probe(ctx context.Context, t store.Table, inc store.Incarnation, probes iter.Seq[store.Probe]) iter.Seq2[store.Hit, error] {
	if t == store.Fingerprint && s.over.Load() {
		s.prints.Add(1)
	}
	return s.Store.Probe(ctx, t, inc, probes)
}

// Where no imports put prints, nothing keeps those true that came with a copy: nobody is recognised by them, and nobody asks for them.
func TestCopiedPrintsAreNotBelieved(t *testing.T) {
	t.Parallel()
	st := &moved{Store: newPebble(t)}
	r := newRig(t, st, upload.Config{})
	r.domain("d")
	byMail := spec{key: "mail", fields: undoSpec.fields}
	rows := func(s spec, want, mail, tier string) {
		t.Helper()
		r.expect(r.run("d", s, "id,first,last,mail,tier\n1,Ann,Lee,"+mail+","+tier+"\n"), want)
	}
	rows(byMail, "SUCCEEDED 1/0/0", "a@x.com", "1")
	rows(byMail, "SUCCEEDED 0/1/0", "a@x.com", "1")
	if n := r.rows(store.Fingerprint); n != 1 {
		t.Fatalf("%d prints, want one", n)
	}
	st.over.Store(true)
	rows(undoSpec, "SUCCEEDED 0/1/0", "b@x.com", "1")
	rows(byMail, "SUCCEEDED 1/0/0", "a@x.com", "2")
	if got := r.search("d", schema.KeyEmail, "a@x.com", "b@x.com"); len(got) != 2 {
		t.Fatalf("%v are found, want two customers", got)
	}
	if n := st.prints.Load(); n > 0 {
		t.Fatalf("prints were asked for %d times", n)
	}
}

// A customer of several rows with one unique key has the times of these in what is said of them: nobody takes that for another outline with other values.
func TestSeveralRowsOfOneKey(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		for n, want := range []int64{0, 2, 2, 2, 0, 2} {
			file := "id,first,last,mail,tier\n1,Ann,Lee,a@x.com,1\n1,Ann,Lee,b@x.com,2\n"
			if n > 3 {
				file = strings.Replace(file, ",2", ",3", 1)
			}
			j := r.run("d", undoSpec, file)
			if got := api.Val(r.details("d", *j.JobId).UnchangedRecords); got != want {
				t.Fatalf("nothing changed by %d rows of import %d, want %d", got, n, want)
			}
		}
	})
}
