package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/fault"
	"kith/profile"
	"kith/profile/fold"
	"kith/schema"
	"kith/store"
	"kith/store/faulty"
	"kith/upload"
)

// twins are two domains to which the same happens. Each import of the second one brings a value that no other import brings, so that none of its
// contributions repeats another one.
type twins struct {
	*rig
	faults *faulty.Store
	rng    *rand.Rand
	jobs   [2][]string
	gone   map[int]bool
	merged [2][]string // profiles that were merged into others
	told   []string
}

var twinDomains = [2]string{"repeating", "telling"}

// each does something in both domains, and fails unless the outcome is the same.
func (w *twins) each(what string, do func(i int, domain string) string) {
	w.t.Helper()
	var out [2]string
	for i, domain := range twinDomains {
		out[i] = do(i, domain)
	}
	w.told = append(w.told, what+" "+out[0])
	if out[0] != out[1] {
		w.t.Fatalf("%s\nends otherwise where nothing repeats: %s", strings.Join(w.told, "\n"), out[1])
	}
}

var importNumber = regexp.MustCompile(`,"Attributes":{"n":"\d+"}`)

// equal fails unless both domains show the same.
func (w *twins) equal() {
	w.t.Helper()
	w.each("shows", func(_ int, domain string) string {
		all := w.dump(domain)
		for i, text := range all {
			all[i] = importNumber.ReplaceAllString(text, "")
		}
		slices.Sort(all)
		w.everyKeyFinds(domain)
		return strings.Join(all, "\n")
	})
}

// some rows of customers, most of which say what they have said before.
func (w *twins) rows() (rows []string) {
	for c := range 8 {
		if w.rng.IntN(3) > 0 {
			v := max(0, w.rng.IntN(9)-7)
			rows = append(rows, fmt.Sprintf("%d,F%d,L%d,m%d@%d.com", c, c, v, c, v))
		}
	}
	return rows
}

// begin starts an import, in the second domain with a value of its own. Most customers are told apart by their ids, in some files by their e-mail addresses.
func (w *twins) begin(i int, domain, key string, expiry int32, rows []string) string {
	s, file := spec{key: key, expiry: expiry}, "id,first,last,mail\n"+strings.Join(rows, "\n")+"\n"
	s.fields = []string{"id:id:AccountNumber", "f:first:FirstName", "l:last:LastName", "mail:mail:EmailAddress:EMAIL_ADDRESS"}
	if i == 1 {
		s.fields = append(s.fields, "n:n:Attributes.n")
		file = "id,first,last,mail,n\n"
		for _, row := range rows {
			file += fmt.Sprintf("%s,%d\n", row, len(w.jobs[1]))
		}
	}
	id := w.uploaded(domain, s, strings.NewReader(file))
	if err := w.startJob(domain, id); err != nil {
		w.t.Fatal(err)
	}
	w.jobs[i] = append(w.jobs[i], id)
	return id
}

func (w *twins) importSome() {
	rows, n, key := w.rows(), len(w.jobs[0]), []string{"id", "id", "mail"}[w.rng.IntN(3)]
	expiry := []int32{10, 10, 40, 400}[w.rng.IntN(4)]
	w.each(fmt.Sprintf("import %d by %s for %d days of %s:", n, key, expiry, rows), func(i int, domain string) string {
		id := w.begin(i, domain, key, expiry, rows)
		if n%4 == 3 {
			w.restart()
		}
		return outcome(w.wait(domain, id))
	})
}

// importMany imports the same rows so often that the first imports are compacted, which later ones repeat.
func (w *twins) importMany() {
	rows := w.rows()
	w.each(fmt.Sprintf("import ten times of %s:", rows), func(i int, domain string) (ended string) {
		for range 10 {
			ended += " " + outcome(w.wait(domain, w.begin(i, domain, "id", 400, rows)))
		}
		return ended
	})
	w.sweep()
}

// refuse has the store refuse runs of rows from the n-th on.
func (w *twins) refuse(n int64) {
	var runs atomic.Int64
	w.faults.Before(func(op faulty.Op, _ store.Partition) error {
		if op == faulty.WriteRun && runs.Add(1) > n {
			return errors.New("refused")
		}
		return nil
	})
}

// recent picks one of the last imports, which is not compacted yet; -1: none.
func (w *twins) recent() int {
	n := len(w.jobs[0]) - 1 - w.rng.IntN(6)
	if n < 0 || w.gone[n] {
		return -1
	}
	return n
}

func (w *twins) undoOne() {
	if n := w.recent(); n >= 0 {
		w.each(fmt.Sprint("undo of import ", n), func(i int, domain string) string { return w.takeBack(i, domain, n) })
	}
}

func (w *twins) takeBack(i int, domain string, n int) string {
	if _, err := w.rig.undo(domain, w.jobs[i][n]); err != nil {
		return "is refused"
	}
	w.undone(domain, w.jobs[i][n])
	w.gone[n] = true
	return ""
}

// halves has an undo, or an import, fail half done. Another import is taken back meanwhile, or what has expired goes, and then the half one.
func (w *twins) halves() {
	n, other, sweeps, runs := w.recent(), w.recent(), w.rng.IntN(2) == 0, w.rng.Int64N(6)
	rows := w.rows()
	if w.rng.IntN(2) == 0 {
		n = len(w.jobs[0])
	}
	if n < 0 || n == other {
		return
	}
	w.each(fmt.Sprintf("half of %d, after %d runs, %d between, sweeps %t, of %s", n, runs, other, sweeps, rows), func(i int, domain string) string {
		w.refuse(runs)
		if n == len(w.jobs[i]) {
			w.wait(domain, w.begin(i, domain, "id", 40, rows))
		} else if _, err := w.rig.undo(domain, w.jobs[i][n]); err == nil {
			w.idle()
		}
		w.faults.Before(nil)
		if other >= 0 {
			w.takeBack(i, domain, other)
		}
		if sweeps {
			w.sweep()
		}
		return w.takeBack(i, domain, n)
	})
}

// only returns the id of the profile that has an account, empty when there is none, or there are several.
func (w *twins) only(domain, account string) string {
	w.t.Helper()
	out, err := w.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &domain, KeyName: api.Ptr(schema.KeyAccount), Values: []string{account}})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(out.Items) != 1 {
		return ""
	}
	return *out.Items[0].ProfileId
}

// some does something with a customer that both domains have.
func (w *twins) some(what string, do func(i int, domain, id string) error) {
	account := fmt.Sprint(w.rng.IntN(8))
	w.each(what+" of "+account, func(i int, domain string) string {
		id := w.only(domain, account)
		if id == "" {
			return "finds nobody"
		}
		if err := do(i, domain, id); err != nil {
			w.t.Fatal(err)
		}
		return ""
	})
}

// unmerge takes a profile out of the one that it was merged into.
func (w *twins) unmerge() {
	if len(w.merged[0]) == 0 {
		return
	}
	n := w.rng.IntN(len(w.merged[0]))
	w.each(fmt.Sprint("end of merge ", n), func(i int, domain string) string {
		_, err := w.Profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: &domain, ProfileIds: []string{w.merged[i][n]}})
		if err != nil && !errors.Is(err, fault.BadRequest) && !errors.Is(err, fault.NotFound) {
			w.t.Fatal(err)
		}
		return fmt.Sprint(err == nil)
	})
}

func (w *twins) step() {
	switch w.rng.IntN(15) {
	default:
		w.importSome()
	case 0, 1, 2:
		w.undoOne()
	case 3, 4:
		w.later(time.Duration(5+w.rng.IntN(15)) * 24 * time.Hour)
		w.told = append(w.told, "later")
		w.sweep()
	case 5:
		w.some("edit", func(_ int, domain, id string) error {
			return w.edit(domain, id, fold.Value{Attr: schema.Attr{ID: schema.LastName}, Text: "Edited", Kind: fold.Manual})
		})
	case 6:
		if w.rng.IntN(2) == 0 {
			w.some("deletion", func(_ int, domain, id string) error { return w.remove(domain, id) })
			return
		}
		other := fmt.Sprint(w.rng.IntN(8))
		w.some("merge with "+other, func(i int, domain, id string) error {
			of := w.only(domain, other)
			if of == "" || of == id {
				return nil
			}
			w.merged[i] = append(w.merged[i], of)
			_, err := w.Profiles.MergeProfiles(ctx, &api.MergeProfilesRequest{DomainName: &domain, MainProfileId: &id, ProfileIdsToBeMerged: []string{of}})
			return err
		})
	case 7:
		w.unmerge()
	case 8, 9:
		w.halves()
	case 10:
		w.importMany()
	}
}

// A contribution that repeats another one counts like one that says the same itself, whatever becomes of the one that it names.
func TestRepeatsCountLikeOthers(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		repeats := 0
		for seed := range seeds(t, 4) {
			t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
				config := upload.Config{}
				if seed%2 == 1 {
					config = upload.Config{BucketBytes: 1 << 10, MemoryBytes: 1}
				}
				config.TableRows = []int64{1, 5}[seed/2%2] // below, rows are written one by one
				faults := &faulty.Store{Store: st}
				w := &twins{rig: newRig(t, &shared{Store: faults}, config), faults: faults, rng: rand.New(rand.NewPCG(seed, 15)), gone: map[int]bool{}}
				for _, domain := range twinDomains {
					w.domain(domain)
				}
				defer func() {
					for _, domain := range twinDomains {
						_, _ = w.Domains.DeleteDomain(ctx, &api.DeleteDomainRequest{DomainName: &domain})
					}
				}()
				for range 30 {
					w.step()
					w.equal()
				}
				for row, err := range st.Sweep(ctx, store.SweepRange{Table: store.Profile}) {
					if err != nil {
						t.Fatal(err)
					}
					if _, ok := fold.RepeatOf(row.Row.Value); ok {
						repeats++
					}
				}
			})
		}
		if repeats < min(10, 4*int(seeds(t, 4))) {
			t.Errorf("%d contributions repeat another one: too few to tell", repeats)
		}
	})
}

// The same file is imported some times, and each import is taken back, in any order: customers stay as they are until the last one goes, and then
// nothing is left.
func TestUndosOfTheSameFile(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 256, MemoryBytes: 1})
		for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {0, 2, 1, 3}} {
			domain := fmt.Sprint("d", order)
			domain = strings.NewReplacer("[", "", "]", "", " ", "").Replace(domain)
			r.domain(domain)
			file := "id,first,last,mail,tier\n1,Ann,Lee,ann@x.com,gold\n2,Bob,,bob@x.com,\n3,Cy,Doe,,\n"
			var ids []string
			for range order {
				ids = append(ids, *r.run(domain, undoSpec, file).JobId)
			}
			want := r.dump(domain)
			for i, n := range order {
				r.undone(domain, ids[n])
				got := r.dump(domain)
				if i == len(order)-1 {
					want = nil
				}
				if !slices.Equal(got, want) {
					t.Fatalf("undos in the order %v: after the undo of %d\n%s\nwant\n%s", order, n, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			if p, i := r.rows(store.Profile), r.rows(store.Index); p+i != 0 {
				t.Fatalf("undos in the order %v leave %d rows of profiles and %d of the index", order, p, i)
			}
		}
	})
}

// A customer who is deleted, or merged away and deleted, while an import is about to repeat what an earlier one said of it stays dead; what the import leaves there, which
// repeats nothing any more, is in nobody's way, and goes with the next sweep.
func TestDeletionBesideARepeat(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, base store.Store) {
		st := &faulty.Store{Store: base}
		r := newRig(t, st, upload.Config{})
		for _, merged := range []bool{false, true} {
			domain := fmt.Sprint("merged-", merged)
			r.domain(domain)
			file := "id,first,last,mail,tier\n1,Ann,Lee,ann@x.com,gold\n2,Bob,,bob@x.com,\n3,Cy,Doe,,\n"
			first := *r.run(domain, undoSpec, file).JobId
			ann := r.id(domain, "1")
			landing := st.Stall(faulty.On(faulty.WriteRun, store.Profile))
			t.Cleanup(landing.Release)
			second := r.uploaded(domain, undoSpec, strings.NewReader(file))
			if err := r.startJob(domain, second); err != nil {
				t.Fatal(err)
			}
			arrived(t, r, landing)
			if merged {
				r.merge(domain, "1", "3")
			}
			if err := r.remove(domain, ann); err != nil {
				t.Fatal(err)
			}
			landing.Release()
			r.expect(r.wait(domain, second), "SUCCEEDED 0/3/0")
			dangling := func() (n int) {
				for row, err := range base.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: r.incarnation(domain)}) {
					if err != nil {
						t.Fatal(err)
					}
					if id, _ := fold.ParseID(ann); row.Partition.Key == string(id[:]) {
						if _, ok := fold.RepeatOf(row.Row.Value); ok {
							n++
						}
					}
				}
				return n
			}
			if n := dangling(); n != 1 {
				t.Fatalf("%d contributions were left to the deleted customer", n)
			}
			alive := func(want ...string) {
				t.Helper()
				r.everyKeyFinds(domain)
				var found []string
				for _, p := range r.all(domain, 100) { // by pages
					found = append(found, api.Val(p.FirstName))
				}
				err := r.Profiles.Each(ctx, profile.Pass{Incarnation: r.incarnation(domain), Now: r.clock.now().UnixMicro()}, func(_ int, p *fold.Profile) error { return nil })
				if err != nil {
					t.Fatal(err)
				}
				if slices.Sort(found); !slices.Equal(found, want) {
					t.Fatalf("alive are %q, want %q", found, want)
				}
			}
			others := []string{"Bob", "Cy"}
			if merged {
				others = others[:1] // Cy is dead with Ann
			}
			alive(others...)
			err := r.edit(domain, ann, fold.Value{Attr: schema.Attr{ID: schema.FirstName}, Text: "Ann", Kind: fold.Manual})
			if !errors.Is(err, fault.NotFound) {
				t.Fatalf("an edit of the deleted customer: %v", err)
			}
			r.compactNow(r.incarnation(domain))
			third := r.run(domain, undoSpec, file)
			r.expect(third, fmt.Sprintf("SUCCEEDED %d/%d/0", 3-len(others), len(others)))
			alive("Ann", "Bob", "Cy")
			r.undone(domain, *third.JobId)
			alive(others...)
			r.undone(domain, first)
			alive(others...)
			r.sweep()
			if n := dangling(); n != 0 {
				t.Fatalf("%d contributions of the deleted customer are left behind the sweep", n)
			}
			r.undone(domain, second)
			alive()
		}
	})
}

// A customer whose newest values were compacted shows these, and not what an older import says that could not be compacted, because an undo of it
// has failed: nobody is found by that.
func TestWhatIsCompactedIsNewer(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, base store.Store) {
		st := &faulty.Store{Store: base}
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		by := func(key string) spec {
			return spec{key: key, expiry: 400, fields: []string{"id:id:AccountNumber", "mail:mail:EmailAddress:EMAIL_ADDRESS"}}
		}
		old := r.run("d", by("id"), "id,mail\n1,old@x.com\n")
		st.Before(func(op faulty.Op, _ store.Partition) error {
			if op == faulty.WriteRun {
				return errors.New("refused")
			}
			return nil
		})
		if _, err := r.undo("d", *old.JobId); err != nil {
			t.Fatal(err)
		}
		r.idle()
		st.Before(nil)
		if got := r.undoStatus("d", *old.JobId); got != api.UndoStatusFailed {
			t.Fatalf("the undo is %s", got)
		}
		for range 2 {
			r.expect(r.run("d", by("id"), "id,mail\n1,new@x.com\n"), "SUCCEEDED 0/1/0")
		}
		r.later(31 * 24 * time.Hour)
		r.sweep()
		if got := r.rows(store.Profile); got != 2 {
			t.Fatalf("%d rows of the customer, want the old contribution and the compacted one", got)
		}
		r.expect(r.run("d", by("mail"), "id,mail\n1,old@x.com\n"), "SUCCEEDED 1/0/0")
	})
}

// What an expired contribution repeats, which nobody has swept yet, is compacted: customers can be read all the same, and imported and swept.
func TestCompactionBeforeAnExpiredRepeatIsSwept(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		short, long := undoSpec, undoSpec
		short.expiry, long.expiry = 5, 1000
		file := "id,first,last,mail,tier\n1,Ann,Lee,ann@x.com,gold\n"
		r.run("d", long, file)
		r.run("d", short, file)
		r.run("d", long, strings.Replace(file, "gold", "tin", 1))
		want := r.dump("d")
		r.clock.add(31 * day)
		r.compactNow(r.incarnation("d"))
		if n := r.rows(store.Profile); n != 2 {
			t.Fatalf("%d contributions are left, want the compacted and the expired one", n)
		}
		if got := r.dump("d"); !slices.Equal(got, want) {
			t.Fatalf("shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		r.sweep()
		r.expect(r.run("d", long, file), "SUCCEEDED 0/1/0")
		r.everyKeyFinds("d")
	})
}
