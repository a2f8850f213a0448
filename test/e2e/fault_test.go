package e2e

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"kith/api"
	"kith/blob/disk"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/store/pebble"
	"kith/upload"
)

var errDisk = errors.New("injected: input/output error")

// undisturbed is what comes out on a disk on which nothing fails, by rows of the file.
var undisturbed = struct {
	sync.Mutex
	of map[int][]string
}{of: map[int][]string{}}

// disturbed imports a file, and the same again, on a disk whose operations op fails as it likes, and compares what comes out
// with an undisturbed run.
func disturbed(t *testing.T, st store.Store, rows int, op func(op, path string) error) {
	t.Helper()
	file := sampleFile(t, rows, 11) + ",no key\n"
	config := upload.Config{BucketBytes: 32 << 10, MemoryBytes: 1}
	result := func(r *rig, j *api.GetUploadJobResponse) string {
		rej := r.rejects("d", *j.JobId, 100)
		return fmt.Sprint(outcome(j), hash(r.dump("d")), len(rej), *rej[0].LineNumber, rej[0].Cells)
	}
	want := func() []string {
		undisturbed.Lock()
		defer undisturbed.Unlock()
		if undisturbed.of[rows] == nil {
			calm := newRig(t, mem.New(), config)
			calm.domain("d")
			undisturbed.of[rows] = []string{result(calm, calm.run("d", sampleSpec, file)), result(calm, calm.run("d", sampleSpec, file))}
		}
		return undisturbed.of[rows]
	}()

	var armed atomic.Bool
	r := newRigOn(t, st, config, func(name, path string) error {
		if !armed.Load() {
			return nil
		}
		return op(name, path)
	}, nil)
	r.domain("d")
	var got []string
	for range 2 {
		id := r.uploaded("d", sampleSpec, strings.NewReader(file))
		armed.Store(true)
		before := hash(r.dump("d"))
		if err := r.startJob("d", id); err != nil {
			t.Fatal(err)
		}
		j := r.wait("d", id)
		armed.Store(false)
		if j.StatusReason != nil && *j.StatusReason == api.StatusReasonInternalFailure {
			if hash(r.dump("d")) != before || api.Val(r.details("d", id).Reason) == "" {
				t.Fatal("a failed job changed profiles, or does not say why it failed")
			}
			return
		}
		got = append(got, result(r, j))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%v, undisturbed %v", got, want)
	}
}

// Each kind of operation below the blobs fails once, at several moments.
func TestDiskFaultsBelowBlobs(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"create", "write", "sync", "rename", "sync folder"} {
		for _, at := range []int64{1, 2, 3, 5, 8, 13} {
			t.Run(fmt.Sprintf("%s %d", kind, at), func(t *testing.T) {
				var n atomic.Int64
				disturbed(t, mem.New(), 1500, func(op, _ string) error {
					if op == kind && n.Add(1) == at {
						return errDisk
					}
					return nil
				})
				if n.Load() < at {
					t.Fatalf("nothing was injected: there were %d", n.Load())
				}
			})
		}
	}
	t.Run("for good", func(t *testing.T) {
		disturbed(t, mem.New(), 1500, func(op, _ string) error {
			if op == "sync" {
				return errDisk
			}
			return nil
		})
	})
}

// Tables of the embedded store fail to be written or synced once. The log is left alone: when that fails the process ends, which
// the kill tests cover.
func TestDiskFaultsBelowPebble(t *testing.T) {
	t.Parallel()
	for _, kind := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpLink} {
		for _, at := range []int64{1, 2} {
			t.Run(fmt.Sprintf("%d at %d", kind, at), func(t *testing.T) {
				var n atomic.Int64
				var armed atomic.Bool
				inj := errorfs.InjectorFunc(func(op errorfs.Op) error {
					if armed.Load() && op.Kind == kind && strings.Contains(op.Path, "/ingest/") && n.Add(1) == at {
						return errDisk
					}
					return nil
				})
				st, err := pebble.Open(t.TempDir()+"/db", pebble.Options{FS: errorfs.Wrap(vfs.Default, inj)})
				if err != nil {
					t.Fatal(err)
				}
				armed.Store(true)
				disturbed(t, st, 3000, func(string, string) error { return nil })
				if n.Load() < at {
					t.Fatal("nothing was injected")
				}
			})
		}
	}
}

// Where nodes share the work, rows wait in blobs that are scratch: a power failure may take them. They are made again from the uploaded file, while buckets
// are resolved and when they are applied.
func TestLostSpillsAreMadeAgain(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"resolving", "applying"} {
		t.Run(at, func(t *testing.T) {
			var lost atomic.Int64
			var r *rig
			lose := func() {
				for info, err := range r.blobs.List(ctx, "") {
					if err == nil && strings.Contains(info.Name, "/spill-") && r.blobs.Delete(ctx, info.Name) == nil {
						lost.Add(1)
					}
				}
			}
			st := &faulty.Store{Store: mem.New()}
			blobs, err := disk.OpenWith(t.TempDir(), func(op, path string) error {
				if at == "resolving" && op == "rename" && strings.Contains(path, "/run-") && lost.Load() == 0 {
					lose()
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			st.Before(func(op faulty.Op, p store.Partition) error {
				if at == "applying" && op == faulty.WriteRun && lost.Load() == 0 {
					lose()
				}
				return nil
			})
			config := upload.Config{BucketBytes: 32 << 10, CacheWait: time.Millisecond}
			r = &rig{t: t, store: st, blobs: blobs, clock: &clock{}, config: config, log: &strings.Builder{}, shared: true, leaseFor: time.Minute}
			r.start()
			t.Cleanup(r.Stop)
			file := sampleFile(t, 3000, 12)
			r.domain("want")
			lost.Store(1)
			want := r.run("want", sampleSpec, file)
			again := r.run("want", sampleSpec, file)
			r.domain("d")
			lost.Store(0)
			r.expect(r.run("d", sampleSpec, file), outcome(want))
			first := lost.Swap(0)
			r.expect(r.run("d", sampleSpec, file), outcome(again))
			if first == 0 || lost.Load() == 0 || strings.Count(r.logText(), "spilled rows are lost, the file is read again") < 2 {
				t.Fatalf("%d and %d spills were lost", first, lost.Load())
			}
			if hash(r.dump("d")) != hash(r.dump("want")) {
				t.Fatal("the profiles differ")
			}
		})
	}
}

// Below five percent of free space imports pause and files are refused; both go on when there is room.
func TestFullDiskPauses(t *testing.T) {
	t.Parallel()
	var free atomic.Int64
	free.Store(100)
	room := func() (int64, int64, error) { return free.Load(), 100, nil }
	r := newRigOn(t, newPebble(t), upload.Config{BucketBytes: 32 << 10, MemoryBytes: 1, RoomPollEvery: time.Millisecond}, nil, room)
	r.domain("d")
	file := sampleFile(t, 3000, 13)
	id := r.uploaded("d", sampleSpec, strings.NewReader(file))
	free.Store(4)
	other, err := r.Uploads.CreateUploadJob(ctx, sampleSpec.request("d"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.tryPut("d", *other.JobId, strings.NewReader(file)); !errors.Is(err, upload.ErrNoRoom) {
		t.Fatalf("a file was taken on a full disk: %v", err)
	}
	if err := r.startJob("d", id); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(*r.details("d", id).Stage, "paused"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the import does not pause: %s", *r.details("d", id).Stage)
		}
	}
	if got := outcome(r.get("d", id)); got != "IN_PROGRESS 0/0/0" {
		t.Fatal(got)
	}
	free.Store(50)
	if got := outcome(r.wait("d", id)); !strings.HasPrefix(got, "SUCCEEDED") {
		t.Fatal(got)
	}
	if err := r.tryPut("d", *other.JobId, strings.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	// A paused import can be stopped.
	free.Store(1)
	if err := r.startJob("d", *other.JobId); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(*r.details("d", *other.JobId).Stage, "paused") {
		time.Sleep(time.Millisecond)
	}
	if _, err := r.Uploads.StopUploadJob(ctx, &api.StopUploadJobRequest{DomainName: api.Ptr("d"), JobId: other.JobId}); err != nil {
		t.Fatal(err)
	}
	free.Store(90)
	r.expect(r.wait("d", *other.JobId), "STOPPED 0/0/0")
}

// A write that the system refuses for want of space is no failure: the import waits and ends as if nothing had been.
func TestNoSpaceIsNoFailure(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	disturbed(t, mem.New(), 3000, func(op, _ string) error {
		if k := n.Add(1); op == "write" && k > 20 && k < 24 {
			return &wrapped{syscall.ENOSPC}
		}
		return nil
	})
}

type wrapped struct{ err error }

func (w *wrapped) Error() string { return "injected: " + w.err.Error() }
func (w *wrapped) Unwrap() error { return w.err }
