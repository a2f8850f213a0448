package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/fault"
	"kith/job"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/upload"
)

func (r *rig) undo(domain, id string) (*api.UndoUploadJobResponse, error) {
	return r.Uploads.UndoUploadJob(ctx, &api.UndoUploadJobRequest{DomainName: &domain, JobId: &id})
}

// undone undoes a job and waits for the end.
func (r *rig) undone(domain, id string) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		out, err := r.undo(domain, id)
		if errors.Is(err, fault.ErrUnavailable) { // clients ask again
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		if *out.UndoStatus == api.UndoStatusUndone {
			return
		}
	}
	r.t.Fatalf("job %s was not undone\n%s", id, r.logText())
}

// rows counts the rows of a table.
func (r *rig) rows(table store.Table) (n int) {
	r.t.Helper()
	for _, err := range r.store.Sweep(ctx, store.SweepRange{Table: table}) {
		if err != nil {
			r.t.Fatal(err)
		}
		n++
	}
	return n
}

var undoSpec = spec{key: "id", fields: []string{"id:id:AccountNumber", "f:first:FirstName", "l:last:LastName", "m:mail:EmailAddress:EMAIL_ADDRESS", "t:tier:Attributes.tier"}}

func TestUndo(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 256, MemoryBytes: 1})
		r.domain("d")
		r.expect(r.run("d", undoSpec, "id,first,last,mail,tier\n1,Ann,Lee,ann@x.com,gold\n2,Bob,,bob@x.com,\n"), "SUCCEEDED 2/0/0")
		before := r.dump("d")
		profiles, index := r.rows(store.Profile), r.rows(store.Index)

		second := r.run("d", undoSpec, "id,first,last,mail,tier\n2,Robert,Ray,bob@y.com,silver\n3,Cy,Doe,cy@x.com,\n3,Cyrus,,,\n")
		r.expect(second, "SUCCEEDED 1/2/0")
		if got := r.search("d", "_fullName", "Robert Ray"); !slices.Equal(got, []string{"2"}) {
			t.Fatalf("%v", got)
		}
		r.undone("d", *second.JobId)
		r.undone("d", *second.JobId) // again changes nothing
		if after := r.dump("d"); !slices.Equal(after, before) {
			t.Fatalf("after the undo\n%s\nbefore\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
		}
		if p, i := r.rows(store.Profile), r.rows(store.Index); p != profiles || i != index {
			t.Fatalf("%d profile rows and %d index rows are left, there were %d and %d", p, i, profiles, index)
		}
		if got := r.search("d", "_email", "bob@x.com", "bob@y.com"); !slices.Equal(got, []string{"2"}) {
			t.Fatalf("%v", got)
		}
		j := r.get("d", *second.JobId)
		r.expect(j, "SUCCEEDED 1/2/0") // the API's status and counters stay
		if d := r.details("d", *second.JobId); *d.UndoStatus != api.UndoStatusUndone || d.UndoneAt == nil {
			t.Fatalf("%+v", d)
		}
		// The same file again is imported as if it had never been.
		r.expect(r.run("d", undoSpec, "id,first,last,mail,tier\n2,Robert,Ray,bob@y.com,silver\n3,Cy,Doe,cy@x.com,\n"), "SUCCEEDED 1/1/0")
	})
}

// What was written later stays, whatever was undone below it.
func TestUndoInTheMiddle(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		r.domain("want")
		file := func(n int) string { return fmt.Sprintf("id,tier\n1,v%d\nonly%d,x\n", n, n) }
		s := spec{key: "id", fields: []string{"id:id:AccountNumber", "t:tier:Attributes.tier"}}
		var ids []string
		for n := range 5 {
			ids = append(ids, *r.run("d", s, file(n)).JobId)
		}
		for _, n := range []int{1, 4, 2} {
			r.undone("d", ids[n])
		}
		for _, n := range []int{0, 3} {
			r.run("want", s, file(n))
		}
		if got, want := r.dump("d"), r.dump("want"); !slices.Equal(got, want) {
			t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// Where later imports wrote to a few of its profiles only, the others go as the import's runs name them. What is left, index rows too, is what the
// later imports would have made alone.
func TestUndoBelowImportsOfAFew(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 2048})
		r.domain("d")
		r.domain("want")
		file := func(tag string, customers ...int) string {
			var b strings.Builder
			b.WriteString("id,first,last,mail,tier\n")
			for _, n := range customers { // every other one keeps its address
				fmt.Fprintf(&b, "%d,%s,Lee,%s%d@x.com,%s\n", n, tag, []string{"same", tag}[n%2], n, tag)
			}
			return b.String()
		}
		var everybody []int
		for n := range 200 {
			everybody = append(everybody, n)
		}
		first := *r.run("d", undoSpec, file("first", everybody...)).JobId
		later := []string{file("second", 4, 5, 50, 51, 199, 300, 301), file("third", 5, 50, 100, 301)}
		for _, f := range later {
			r.run("d", undoSpec, f)
		}
		r.undone("d", first)
		index := r.rows(store.Index)
		for _, f := range later {
			r.run("want", undoSpec, f)
		}
		if got, want := r.dump("d"), r.dump("want"); !slices.Equal(got, want) {
			t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if want := r.rows(store.Index) - index; index != want {
			t.Fatalf("%d index rows are left, want %d", index, want)
		}
		for _, mail := range []string{"same4@x.com", "second5@x.com", "third5@x.com", "same50@x.com", "second51@x.com", "same100@x.com", "second199@x.com", "same300@x.com", "third301@x.com", "same6@x.com", "first5@x.com"} {
			if got, want := r.search("d", "_email", mail), r.search("want", "_email", mail); !slices.Equal(got, want) {
				t.Errorf("%s finds %v, want %v", mail, got, want)
			}
		}
	})
}

// Index rows that came to be because a later job made an attribute a key go too.
func TestUndoForgetsKeysThatCameLater(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		byID := spec{key: "id", fields: []string{"id:id:AccountNumber", "t:tier:Attributes.tier"}}
		first := r.run("d", byID, "id,tier\n1,gold\n2,tin\n")
		byTier := spec{key: "tier", fields: []string{"tier:tier:Attributes.tier", "n:name:LastName"}}
		second := r.run("d", byTier, "tier,name\ngold,Lee\n")
		r.expect(second, "SUCCEEDED 0/1/0")
		r.undone("d", *second.JobId)
		r.undone("d", *first.JobId)
		r.nothingLeft()
	})
}

func TestUndoIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPebble(t), upload.Config{})
	r.domain("d")
	s := spec{key: "id", fields: []string{"id:id:AccountNumber"}}
	refused := func(id, want string) {
		t.Helper()
		if _, err := r.undo("d", id); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("%v, want it to say %q", err, want)
		}
	}
	refused(r.uploaded("d", s, strings.NewReader("id\n1\n")), "was not started")
	old := *r.run("d", s, "id\n1\n").JobId
	r.clock.add(31 * 24 * time.Hour)
	if err := r.CleanUp(ctx); err != nil {
		t.Fatal(err)
	}
	refused(old, "retention ended")
	// A failed and a stopped job have nothing or little to take back, and may be undone all the same.
	r.undone("d", *r.run("d", s, "no\n1\n").JobId)
	stopped := r.uploaded("d", s, strings.NewReader("id\n1\n"))
	if _, err := r.Uploads.StopUploadJob(ctx, &api.StopUploadJobRequest{DomainName: api.Ptr("d"), JobId: &stopped}); err != nil {
		t.Fatal(err)
	}
	r.undone("d", stopped)
}

// An undo goes on after a restart, from wherever it was.
func TestUndoSurvivesRestarts(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPebble(t), upload.Config{BucketBytes: 64 << 10, MemoryBytes: 1})
	r.domain("d")
	var file strings.Builder
	file.WriteString("id,first,last,mail,tier\n")
	for i := range 20_000 {
		fmt.Fprintf(&file, "%d,First%d,Last,m%d@x.com,t\n", i, i, i)
	}
	job := *r.run("d", undoSpec, file.String()).JobId
	if _, err := r.undo("d", job); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		time.Sleep(3 * time.Millisecond)
		r.restart()
	}
	r.undone("d", job)
	if p, i := r.rows(store.Profile), r.rows(store.Index); p+i != 0 {
		t.Fatalf("%d profile rows and %d index rows are left", p, i)
	}
}

func (r *rig) dryRun(domain, id string) *api.DryRunUploadJobResponse {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		out, err := r.Uploads.DryRunUploadJob(ctx, &api.DryRunUploadJobRequest{DomainName: &domain, JobId: &id})
		if err != nil {
			r.t.Fatal(err)
		}
		if *out.Status != api.DryRunStatusRunning {
			return out
		}
	}
	r.t.Fatalf("the dry run did not end\n%s", r.logText())
	return nil
}

// A dry run tells what the real run will do, and writes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]spec{
		"by account":           undoSpec,
		"by e-mail":            {key: "m", fields: undoSpec.fields},
		"by an attribute":      {key: "t", fields: undoSpec.fields}, // which is no key yet
		"by a private key":     {key: "id", fields: []string{"id:id", "f:first:FirstName", "t:tier:Attributes.tier"}},
		"by an attribute, big": {key: "t", fields: undoSpec.fields},
	} {
		t.Run(name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, st store.Store) {
				config := upload.Config{}
				if strings.Contains(name, "big") {
					config = upload.Config{BucketBytes: 40, MemoryBytes: 1}
				}
				r := newRig(t, st, config)
				r.domain("d")
				r.run("d", spec{key: "id", fields: undoSpec.fields}, "id,first,last,mail,tier\n1,Ann,Lee,ann@x.com,gold\n2,Bob,,bob@x.com,tin\n3,Eve,,ann@x.com,lead\n4,Dee,,dee@x.com,lead\n")
				before, index := r.dump("d"), r.rows(store.Index)
				id := r.uploaded("d", s, strings.NewReader("id,first,last,mail,tier\n1,Anna,Lee,ann@x.com,gold\n2,Bob,Ray,bob@x.com,tin\n9,New,,new@x.com,zinc\n9,Newer,,new@x.com,zinc\n,x,y,,\n8,L,,l@x.com,lead\n\"bad\"x,,,,\n"))
				dry := r.dryRun("d", id)
				if *dry.Status != api.DryRunStatusSucceeded {
					t.Fatalf("%s %s", *dry.Status, api.Val(dry.Reason))
				}
				if !slices.Equal(r.dump("d"), before) || r.rows(store.Index) != index {
					t.Fatal("the dry run wrote something")
				}
				if *r.get("d", id).Status != api.UploadJobStatusCreated {
					t.Fatal("the job is not CREATED any more")
				}
				var dryRejects []api.Reject
				page, err := r.Uploads.ListUploadJobRejects(ctx, &api.ListUploadJobRejectsRequest{DomainName: api.Ptr("d"), JobId: &id, DryRun: api.Ptr(true)})
				if err != nil {
					t.Fatal(err)
				}
				dryRejects = page.Items
				if err := r.startJob("d", id); err != nil {
					t.Fatal(err)
				}
				j := r.wait("d", id)
				sum := *j.ResultsSummary
				if *dry.WouldCreate != *sum.CreatedRecords || *dry.WouldUpdate != *sum.UpdatedRecords || *dry.WouldFail != *sum.FailedRecords || *dry.RowsRead != 7 {
					t.Fatalf("the dry run said %d/%d/%d of %d, the real run %s", *dry.WouldCreate, *dry.WouldUpdate, *dry.WouldFail, *dry.RowsRead, outcome(j))
				}
				real := r.rejects("d", id, 100)
				if fmt.Sprint(len(real)) != fmt.Sprint(len(dryRejects)) || len(real) == 0 {
					t.Fatalf("%d rejects, the dry run had %d", len(real), len(dryRejects))
				}
				for i := range real {
					if *real[i].LineNumber != *dryRejects[i].LineNumber || *real[i].ReasonCode != *dryRejects[i].ReasonCode {
						t.Fatalf("reject %d differs", i)
					}
				}
				if name == "by account" {
					changes := map[string]string{}
					for _, c := range dry.Changes {
						changes[*c.Field] = api.Val(c.OldValue) + "→" + api.Val(c.NewValue)
					}
					if len(changes) != 2 || changes["FirstName"] != "Ann→Anna" || changes["LastName"] != "→Ray" {
						t.Fatalf("%v", changes)
					}
				}
				if _, err := r.Uploads.DryRunUploadJob(ctx, &api.DryRunUploadJobRequest{DomainName: api.Ptr("d"), JobId: &id}); err == nil {
					t.Fatal("a started job took a dry run")
				}
				scratch := 0
				for info, err := range r.blobs.List(ctx, "") {
					if err != nil {
						t.Fatal(err)
					}
					if strings.Contains(info.Name, "dry") {
						scratch++
					}
				}
				if scratch != 0 {
					t.Fatalf("%d blobs of the dry run are left", scratch)
				}
			})
		})
	}
}

// A new file makes the dry run of the old one void.
func TestDryRunIsOfTheFileThereIs(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPebble(t), upload.Config{})
	r.domain("d")
	s := spec{key: "id", fields: []string{"id:id:AccountNumber"}}
	id := r.uploaded("d", s, strings.NewReader("id\n1\n2\n"))
	if got := *r.dryRun("d", id).WouldCreate; got != 2 {
		t.Fatal(got)
	}
	r.put("d", id, strings.NewReader("id\n1\n2\n3\n"))
	if got := *r.dryRun("d", id).WouldCreate; got != 3 {
		t.Fatal(got)
	}
	r.put("d", id, strings.NewReader("no\n"))
	if got := r.dryRun("d", id); *got.Status != api.DryRunStatusFailed || !strings.Contains(*got.Reason, "lacks") {
		t.Fatalf("%+v", got)
	}
	bare, err := r.Uploads.CreateUploadJob(ctx, s.request("d"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Uploads.DryRunUploadJob(context.Background(), &api.DryRunUploadJobRequest{DomainName: api.Ptr("d"), JobId: bare.JobId}); err == nil {
		t.Fatal("a job without a file took a dry run")
	}
}

// Import, undo, compaction and sweep that wait for one domain take turns: what they leave is what they leave one after another.
func TestWorkOfADomainTakesTurns(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 16 << 10, MemoryBytes: 1})
		files := []string{sampleFile(t, 1000, 21), sampleFile(t, 1500, 22), sampleFile(t, 1200, 23)}
		work := func(domain string, all bool) {
			r.domain(domain)
			settle := func(id string) {
				if !all {
					r.wait(domain, id)
					r.idle()
				}
			}
			first := *r.run(domain, sampleSpec, files[0]).JobId
			var ids []string
			for _, file := range files[1:] {
				id := r.uploaded(domain, sampleSpec, strings.NewReader(file))
				ids = append(ids, id)
				if err := r.startJob(domain, id); err != nil {
					t.Fatal(err)
				}
				settle(id)
			}
			if _, err := r.undo(domain, first); err != nil {
				t.Fatal(err)
			}
			if err := r.QueueSweeps(ctx); err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				r.wait(domain, id)
			}
			r.undone(domain, first)
			r.idle()
		}
		work("one", false)
		work("all", true)
		if hash(r.dump("one")) != hash(r.dump("all")) {
			t.Fatal("work that waited together left something else than work one after another")
		}
	})
}

// A name whose parts come from different imports is found whichever import between them is taken back.
func TestUndoLeavesNamesFound(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		files := []string{"1,Ann,Q,Lee", "1,,,Ray", "1,Anna,,", "1,,,Ray", "1,Annie,,Roe"}
		step := 1
		if strings.HasSuffix(t.Name(), "/pebble") {
			step = 7 // what is left is no matter of the engine
		}
		for gone := 1; gone < 1<<len(files)-1; gone += step { // a bit for each
			domain := fmt.Sprint("d", gone)
			r.domain(domain)
			var ids []string
			for _, line := range files {
				s := spec{key: "id", fields: []string{"id:id:AccountNumber", "f:first:FirstName", "m:middle:MiddleName", "l:last:LastName"}}
				ids = append(ids, *r.run(domain, s, "id,first,middle,last\n"+line+"\n").JobId)
			}
			for i, id := range ids {
				if gone&(1<<i) != 0 {
					r.undone(domain, id)
				}
			}
			p := r.find(domain, "_account", "1")
			name := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", api.Val(p.FirstName), api.Val(p.MiddleName), api.Val(p.LastName))), " ")
			if name != "" && !slices.Equal(r.search(domain, "_fullName", name), []string{"1"}) {
				t.Fatalf("without imports %b, %s is not found", gone, name)
			}
			for _, id := range ids {
				r.undone(domain, id)
			}
		}
		r.nothingLeft()
	})
}

// An undo that is asked for while a clean-up is about to let go of the job's runs keeps them.
func TestUndoKeepsTheRunsThatItNeeds(t *testing.T) {
	t.Parallel()
	st := &faulty.Store{Store: mem.New()}
	r := newRig(t, st, upload.Config{})
	r.domain("d")
	id := *r.run("d", spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber"}}, "id\n1\n").JobId
	rec, err := r.Domains.Lookup(ctx, "d")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Bool
	st.Before(func(op faulty.Op, p store.Partition) error {
		if op == faulty.Swap && p == job.Partition(rec.Incarnation, id) && asked.CompareAndSwap(false, true) {
			_, err := r.undo("d", id)
			return err
		}
		return nil
	})
	r.later(31 * 24 * time.Hour)
	if !asked.Load() {
		t.Fatal("the clean-up did nothing")
	}
	r.undone("d", id)
	r.nothingLeft()
}

// What an import has masked or completed of a name that was set by hand is found by what is left of it.
func TestUndoLeavesNamesThatAreFound(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{})
	r.domain("d")
	s := spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber", "f:first:FirstName", "l:last:LastName"}}
	job := *r.run("d", s, "id,first,last\n1,Ann,Lee\n").JobId
	id := r.id("d", "1")
	if _, err := r.Profiles.UpdateProfile(ctx, &api.UpdateProfileRequest{DomainName: api.Ptr("d"), ProfileId: &id, FirstName: api.Ptr("Anna")}); err != nil {
		t.Fatal(err)
	}
	r.undone("d", job)
	if got := *r.find("d", "_fullName", "Anna").ProfileId; got != id {
		t.Errorf("the name finds %s, want %s", got, id)
	}
}
