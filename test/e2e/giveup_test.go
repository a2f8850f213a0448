package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/blob/disk"
	"kith/job"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/upload"
)

// flip flips a bit in the middle of every blob whose name begins so.
func flip(t *testing.T, dir, name string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), name) {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		b[len(b)/2] ^= 1
		return os.WriteFile(path, b, 0o600)
	})
	if err != nil || n == 0 {
		t.Fatalf("%d blobs were damaged, %v", n, err)
	}
}

// until waits for a condition.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s did not come\n%s", what, r.logText())
		}
	}
}

func (r *rig) undoStatus(domain, id string) api.UndoStatus {
	r.t.Helper()
	return api.Val(r.details(domain, id).UndoStatus)
}

// An undo whose run is damaged ends, says why, and lets the next import have its turn. When the damage is mended it goes on.
func TestUndoOfDamagedRunEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blobs, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := newRigWith(t, mem.New(), blobs, upload.Config{}, nil)
	r.domain("d")
	a := r.run("d", undoSpec, "id,first,last,mail,tier\n1,Ann,Lee,ann@x.com,gold\n2,Bob,,bob@x.com,\n")
	flip(t, dir, "run-")
	if _, err := r.undo("d", *a.JobId); err != nil {
		t.Fatal(err)
	}
	next := r.run("d", undoSpec, "id,first,last,mail,tier\n3,Cid,,,\n")
	r.expect(next, "SUCCEEDED 1/0/0")
	if got := r.undoStatus("d", *a.JobId); got != api.UndoStatusFailed {
		t.Fatalf("the undo is %s\n%s", got, r.logText())
	}
	if reason := api.Val(r.details("d", *a.JobId).UndoReason); !strings.Contains(reason, "damaged") || !strings.Contains(reason, "ask for the undo again") {
		t.Errorf("the reason is %q", reason)
	}
	for range 3 { // the clean-up leaves it alone, and what it needs
		if err := r.CleanUp(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if queued, err := job.Queued(ctx, r.store, r.incarnation("d"), *a.JobId); err != nil || queued {
		t.Fatalf("the undo is queued again: %t, %v", queued, err)
	}
	flip(t, dir, "run-")
	r.undone("d", *a.JobId)
	if got := len(r.dump("d")); got != 1 {
		t.Errorf("%d profiles, want 1", got)
	}
	if reason := r.details("d", *a.JobId).UndoReason; reason != nil {
		t.Errorf("an undo that went on has the reason %q", *reason)
	}
}

// risingTimes is a store that complains of a mutation of an index row that is older than the one before: a cluster would lose it.
type risingTimes struct {
	store.Store
	t    *testing.T
	mu   sync.Mutex
	last map[string]int64
}

func (s *risingTimes) WriteRun(ctx context.Context, runs ...store.Run) error {
	runs = slices.Clone(runs)
	for i := range runs {
		if rows := runs[i].Rows; runs[i].Table == store.Index {
			runs[i].Rows = func(yield func(store.RunRow, error) bool) {
				for row, err := range rows {
					if err == nil {
						s.look(row)
					}
					if !yield(row, err) {
						return
					}
				}
			}
		}
	}
	return s.Store.WriteRun(ctx, runs...)
}

func (s *risingTimes) look(row store.RunRow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fmt.Sprintf("%d %q %q", row.Incarnation, row.Partition, row.Mutation.Key)
	if row.Mutation.Time < s.last[key] {
		s.t.Errorf("a mutation of index row %s is older than the one before, deletes: %t", key, row.Mutation.Delete)
	}
	s.last[key] = max(s.last[key], row.Mutation.Time)
}

// An undo that has failed and is asked for again writes later than all that imports have written meanwhile.
func TestUndoThatIsAskedForAgainIsLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blobs, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := newRigWith(t, &risingTimes{Store: mem.New(), t: t, last: map[string]int64{}}, blobs, upload.Config{}, nil)
	r.domain("d")
	a := r.run("d", undoSpec, "id,first,last,mail,tier\n1,Ann,Lee,ann@x.com,gold\n")
	flip(t, dir, "run-")
	if _, err := r.undo("d", *a.JobId); err != nil {
		t.Fatal(err)
	}
	b := r.run("d", undoSpec, "id,first,last,mail,tier\n1,Bea,Lee,ann@x.com,gold\n") // another name: all rows are put again
	if got := r.undoStatus("d", *a.JobId); got != api.UndoStatusFailed {
		t.Fatalf("the undo is %s\n%s", got, r.logText())
	}
	r.undone("d", *b.JobId)
	flip(t, dir, "run-")
	r.undone("d", *a.JobId)
	if got := len(r.dump("d")); got != 0 {
		t.Errorf("%d profiles are left", got)
	}
}

func (r *rig) incarnation(domain string) store.Incarnation {
	r.t.Helper()
	rec, err := r.Domains.Lookup(ctx, domain)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec.Incarnation
}

// An import that can't be applied ends as FAILED, says that it is half done, and gives its turn on; an undo takes back what there is.
func TestImportThatCantBeAppliedEnds(t *testing.T) {
	t.Parallel()
	st := &faulty.Store{Store: mem.New()}
	r := newRig(t, st, upload.Config{})
	r.domain("d")
	r.expect(r.run("d", undoSpec, "id,first,last,mail,tier\n1,Ann,Lee,ann@x.com,gold\n"), "SUCCEEDED 1/0/0")
	before := hash(r.dump("d"))
	const file = "id,first,last,mail,tier\n1,Ann,Low,ann@x.com,gold\n2,Bob,,bob@x.com,\n"
	st.After(func(op faulty.Op, p store.Partition) error {
		if op == faulty.WriteRun && p.Table == store.Profile {
			return errors.New("injected: disk error")
		}
		return nil
	})
	j := r.run("d", undoSpec, file)
	st.After(nil)
	r.expect(j, "FAILED 1/1/0 INTERNAL_FAILURE")
	if reason := api.Val(r.details("d", *j.JobId).Reason); !strings.Contains(reason, "UndoUploadJob takes back what was written") {
		t.Errorf("the reason is %q", reason)
	}
	if hash(r.dump("d")) == before {
		t.Fatal("nothing was written: the test tests nothing")
	}
	r.undone("d", *j.JobId)
	if hash(r.dump("d")) != before {
		t.Error("the undo did not take back what was written")
	}
	r.expect(r.run("d", undoSpec, file), "SUCCEEDED 1/1/0")
}

// An operator cancels an import that reads, one that waits, and an undo that hangs; each says so, and the rest goes on.
func TestCancelBackgroundWork(t *testing.T) {
	t.Parallel()
	st := &faulty.Store{Store: mem.New()}
	var hang atomic.Pointer[chan struct{}]
	var once sync.Once
	reached := make(chan struct{}, 1)
	st.Before(func(op faulty.Op, p store.Partition) error {
		if c := hang.Load(); c != nil && (op == faulty.Probe || op == faulty.WriteRun) {
			select {
			case reached <- struct{}{}:
			default:
			}
			<-*c
		}
		return nil
	})
	r := newRig(t, st, upload.Config{})
	t.Cleanup(func() {
		once.Do(func() {
			if c := hang.Load(); c != nil {
				close(*c)
			}
		})
	})
	r.domain("d")
	a := r.run("d", undoSpec, "id,first,last,mail,tier\n1,Ann,Lee,ann@x.com,gold\n")
	r.expect(a, "SUCCEEDED 1/0/0")
	hold := func() (release func()) {
		c := make(chan struct{})
		select {
		case <-reached:
		default:
		}
		hang.Store(&c)
		return func() { hang.Store(nil); close(c) }
	}
	cancel := func(id string) {
		t.Helper()
		out, err := r.Domains.CancelBackgroundWork(ctx, &api.CancelBackgroundWorkRequest{DomainName: api.Ptr("d"), WorkId: &id})
		if err != nil || *out.WorkId != id {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	begin := func(file string) string {
		id := r.uploaded("d", undoSpec, strings.NewReader(file))
		if err := r.startJob("d", id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	release := hold()
	running := begin("id,first,last,mail,tier\n1,Ann,Low,ann@x.com,gold\n")
	<-reached
	waiting := begin("id,first,last,mail,tier\n5,Eve,,,\n")
	list, err := r.Domains.ListBackgroundWork(ctx, &api.ListBackgroundWorkRequest{DomainName: api.Ptr("d")})
	if err != nil || len(list.Items) != 2 || *list.Items[0].WorkId != running || api.Val(list.Items[0].Node) != "node-1" || list.Items[1].Node != nil {
		t.Fatalf("%+v, %v", list, err)
	}
	cancel(waiting)
	cancel(running)
	release()
	for _, id := range []string{running, waiting} {
		r.expect(r.wait("d", id), "FAILED 0/0/0 INTERNAL_FAILURE")
		if reason := api.Val(r.details("d", id).Reason); !strings.Contains(reason, "cancelled by an operator. Nothing was written") {
			t.Errorf("the reason is %q", reason)
		}
	}
	release = hold()
	if _, err := r.undo("d", *a.JobId); err != nil {
		t.Fatal(err)
	}
	<-reached
	cancel(*a.JobId)
	release()
	r.until("the end of the undo", func() bool { return r.undoStatus("d", *a.JobId) != api.UndoStatusRunning })
	if got := r.undoStatus("d", *a.JobId); got == api.UndoStatusFailed { // else it was faster
		r.undone("d", *a.JobId)
	}
	if got := len(r.dump("d")); got != 0 {
		t.Errorf("%d profiles, want none", got)
	}
	if _, err := r.Domains.CancelBackgroundWork(context.Background(), &api.CancelBackgroundWorkRequest{DomainName: api.Ptr("d"), WorkId: &waiting}); err == nil {
		t.Error("work that has ended was cancelled")
	}
}
