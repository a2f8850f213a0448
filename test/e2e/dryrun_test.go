package e2e

import (
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

const (
	dryFirst = "id,first,last,mail,tier\n1,Ann,Lee,ann@x.com,gold\n2,Bob,,bob@x.com,tin\n"
	dryNext  = "id,first,last,mail,tier\n1,Anna,Lee,ann@x.com,gold\n3,Cid,,,\n"
)

func arrived(t *testing.T, r *rig, stall *faulty.Stall) {
	t.Helper()
	select {
	case <-stall.Arrived():
	case <-time.After(patience):
		t.Fatalf("the call that is to be stopped did not come\n%s", r.logText())
	}
}

func (r *rig) askDry(domain, id string) *api.DryRunUploadJobResponse {
	r.t.Helper()
	out, err := r.Uploads.DryRunUploadJob(ctx, &api.DryRunUploadJobRequest{DomainName: &domain, JobId: &id})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// Dry runs wait neither for an import of their domain nor for each other.
func TestDryRunsRunBesideAnImport(t *testing.T) {
	t.Parallel()
	st := &faulty.Store{Store: mem.New()}
	r := newRig(t, st, upload.Config{})
	r.domain("d")
	r.expect(r.run("d", undoSpec, dryFirst), "SUCCEEDED 2/0/0")

	applying := st.Stall(faulty.On(faulty.WriteRun, store.Profile))
	t.Cleanup(applying.Release)
	imported := r.uploaded("d", undoSpec, strings.NewReader("id,first,last,mail,tier\n9,Zoe,,,\n"))
	if err := r.startJob("d", imported); err != nil {
		t.Fatal(err)
	}
	arrived(t, r, applying)

	stuck := st.Stall(faulty.On(faulty.Probe, store.Index))
	t.Cleanup(stuck.Release)
	first, second := r.uploaded("d", undoSpec, strings.NewReader(dryNext)), r.uploaded("d", undoSpec, strings.NewReader(dryNext))
	if got := r.askDry("d", first); *got.Status != api.DryRunStatusRunning || got.StartedAt == nil {
		t.Fatalf("%+v", got)
	}
	arrived(t, r, stuck)
	if got := r.dryRun("d", second); *got.Status != api.DryRunStatusSucceeded || *got.WouldCreate != 1 || *got.WouldUpdate != 1 {
		t.Fatalf("%+v", got)
	}
	if got := r.askDry("d", first); *got.Status != api.DryRunStatusRunning {
		t.Fatalf("the dry run that stands still is %s", *got.Status)
	}
	stuck.Release()
	if got := r.dryRun("d", first); *got.Status != api.DryRunStatusSucceeded || *got.WouldCreate != 1 {
		t.Fatalf("%+v", got)
	}
	if got := r.get("d", imported); *got.Status != api.UploadJobStatusInProgress {
		t.Fatalf("the import is %s: the dry runs did not run beside it", *got.Status)
	}
	applying.Release()
	r.expect(r.wait("d", imported), "SUCCEEDED 1/0/0")
}

// A dry run begins anew after a restart, and at another node when its own has died.
func TestDryRunSurvivesItsNode(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		name := map[bool]string{false: "a restart", true: "another node"}[shared]
		t.Run(name, func(t *testing.T) {
			engine := mem.New()
			st := &faulty.Store{Store: engine}
			r := newRig(t, st, upload.Config{})
			r.domain("d")
			r.expect(r.run("d", undoSpec, dryFirst), "SUCCEEDED 2/0/0")
			r.Stop()
			r.shared, r.leaseFor = shared, 300*time.Millisecond
			r.start()
			stuck := st.Stall(faulty.On(faulty.Probe, store.Index))
			t.Cleanup(stuck.Release)
			id := r.uploaded("d", undoSpec, strings.NewReader(dryNext))
			r.askDry("d", id)
			arrived(t, r, stuck)
			if !shared {
				r.restart() // nobody asks for it again: it goes on by itself
				r.until("the end of the dry run", func() bool {
					queued, err := job.Queued(ctx, r.store, r.incarnation("d"), "dry-"+id)
					return err == nil && !queued
				})
			} else {
				var dead atomic.Bool
				dead.Store(true)
				t.Cleanup(func() { dead.Store(false) })
				st.Before(func(faulty.Op, store.Partition) error {
					if dead.Load() {
						return fault.ErrUnavailable
					}
					return nil
				})
				other := r.startNode("node-2", engine)
				t.Cleanup(other.Stop)
				first := r.Node
				r.Node = other
				t.Cleanup(func() { r.Node = first })
			}
			if got := r.dryRun("d", id); *got.Status != api.DryRunStatusSucceeded || *got.WouldCreate != 1 || *got.WouldUpdate != 1 {
				t.Fatalf("%+v\n%s", got, r.logText())
			}
		})
	}
}

// The start of the job, its stop and a new file end a dry run; an operator's cancel does too, and says so.
func TestDryRunIsEnded(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(r *rig, id string) error{
		"start":    func(r *rig, id string) error { return r.startJob("d", id) },
		"new file": func(r *rig, id string) error { return r.tryPut("d", id, strings.NewReader(dryFirst)) },
		"stop": func(r *rig, id string) error {
			_, err := r.Uploads.StopUploadJob(ctx, &api.StopUploadJobRequest{DomainName: api.Ptr("d"), JobId: &id})
			return err
		},
		"cancel": func(r *rig, id string) error {
			_, err := r.Domains.CancelBackgroundWork(ctx, &api.CancelBackgroundWorkRequest{DomainName: api.Ptr("d"), WorkId: api.Ptr("dry-" + id)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := &faulty.Store{Store: mem.New()}
			r := newRig(t, st, upload.Config{})
			r.domain("d")
			r.expect(r.run("d", undoSpec, dryFirst), "SUCCEEDED 2/0/0")
			stuck := st.Stall(faulty.On(faulty.Probe, store.Index)) // until its context ends
			t.Cleanup(stuck.Release)
			id := r.uploaded("d", undoSpec, strings.NewReader(dryNext))
			r.askDry("d", id)
			arrived(t, r, stuck)
			if err := end(r, id); err != nil {
				t.Fatal(err)
			}
			r.until("the end of the dry run", func() bool {
				queued, err := job.Queued(ctx, r.store, r.incarnation("d"), "dry-"+id)
				return err == nil && !queued
			})
			switch name {
			case "start":
				r.expect(r.wait("d", id), "SUCCEEDED 1/1/0")
			case "new file":
				if got := r.dryRun("d", id); *got.WouldCreate != 0 || *got.WouldUpdate != 2 {
					t.Fatalf("%+v", got)
				}
			case "cancel":
				if got := r.askDry("d", id); *got.Status != api.DryRunStatusFailed || !strings.Contains(*got.Reason, "cancelled by an operator") {
					t.Fatalf("%+v", got)
				}
				return
			}
			if name != "new file" {
				for row, err := range r.store.Scan(ctx, job.Partition(r.incarnation("d"), "dry-"+id), store.Range{}) {
					t.Fatalf("the dry run has left row %q, %v", row.Key, err)
				}
			}
		})
	}
}
