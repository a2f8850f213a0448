package e2e

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"kith/api"
	"kith/fault"
	"kith/job"
	"kith/store"
	"kith/store/mem"
	"kith/upload"
)

// kept counts the blobs of a job whose names begin with kind.
func (r *rig) kept(id, kind string) (n int) {
	r.t.Helper()
	for info, err := range r.blobs.List(ctx, "") {
		if err != nil {
			r.t.Fatal(err)
		}
		if strings.Contains(info.Name, id+"/"+kind) {
			n++
		}
	}
	return n
}

// later lets time pass and cleans up.
func (r *rig) later(d time.Duration) {
	r.t.Helper()
	r.clock.add(d)
	if err := r.CleanUp(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// Files of jobs that nobody starts go, whole or in parts, when their URL's life and a day are over; the job takes another file.
func TestFilesOfUnstartedJobsGo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config upload.Config
		keep   time.Duration
	}{
		"default":    {upload.Config{}, 24*time.Hour + 15*time.Minute},
		"URL's life": {upload.Config{URLLife: 3 * time.Hour}, 27 * time.Hour},
		"configured": {upload.Config{KeepUnstarted: time.Hour}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, mem.New(), c.config)
			r.domain("d")
			s := spec{key: "id", fields: []string{"id:id:AccountNumber"}}
			whole, parts := r.uploaded("d", s, strings.NewReader("id\n1\nx\"y\n")), r.created("d", s)
			path, err := r.Uploads.GetUploadJobPath(upload.WithBaseURL(ctx, "https://h"), &api.GetUploadJobPathRequest{DomainName: api.Ptr("d"), JobId: &parts})
			if err != nil {
				t.Fatal(err)
			}
			key := decodeKey(t, *path.ClientToken)
			if _, err := r.Uploads.ReceivePart(ctx, "d", parts, key, 0, 1000, io.MultiReader(strings.NewReader("id\n1\n"), iotest.ErrReader(io.ErrUnexpectedEOF)), nil); err == nil {
				t.Fatal("a part that was cut off is no error")
			}
			dry := func() {
				t.Helper()
				for {
					out, err := r.Uploads.DryRunUploadJob(ctx, &api.DryRunUploadJobRequest{DomainName: api.Ptr("d"), JobId: &whole})
					if err != nil {
						t.Fatal(err)
					}
					if *out.Status != api.DryRunStatusRunning {
						return
					}
					time.Sleep(time.Millisecond)
				}
			}
			dry()
			r.later(c.keep - time.Minute)
			late := r.uploaded("d", s, strings.NewReader("id\n2\n"))
			if n, m := r.kept(whole, "file-"), r.kept(parts, "file-"); n != 1 || m != 1 {
				t.Fatalf("%d files and %d parts are left before their time", n, m)
			}
			r.later(2 * time.Minute)
			for _, id := range []string{whole, parts} {
				if n := r.kept(id, ""); n != 0 {
					t.Errorf("%d blobs are left", n)
				}
			}
			if r.kept(late, "file-") != 1 {
				t.Error("a file that came later is gone too")
			}
			if d := r.details("d", whole); d.FileDeletedAt == nil || *d.Stage != "waiting for the file" || d.FileBytes != nil {
				t.Errorf("%v, %q", d.FileDeletedAt, *d.Stage)
			}
			if err := r.startJob("d", whole); err == nil || !strings.Contains(err.Error(), "was deleted") {
				t.Errorf("started without a file: %v", err)
			}
			if p, err := r.Uploads.PartialFile(ctx, "d", parts); p != nil || err != nil {
				t.Errorf("%+v, %v", p, err)
			}
			// The next file is there to stay for its time.
			r.put("d", whole, strings.NewReader("id\n3\n"))
			r.later(c.keep / 2)
			if d := r.details("d", whole); d.FileDeletedAt != nil || r.kept(whole, "file-") != 1 {
				t.Errorf("%v, %d files", d.FileDeletedAt, r.kept(whole, "file-"))
			}
			if err := r.startJob("d", whole); err != nil {
				t.Fatal(err)
			}
			r.expect(r.wait("d", whole), "SUCCEEDED 1/0/0")
		})
	}
}

// A job that has ended leaves no rows that nobody asks for any more. What is half uploaded for it is given up before.
func TestEndedJobsLeaveLittle(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{BucketBytes: 64, MemoryBytes: 1})
	r.domain("d")
	s := spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber"}}
	id := r.uploaded("d", s, strings.NewReader("id\n"+strings.Repeat("3\n4\n", 100)))
	path, err := r.Uploads.GetUploadJobPath(upload.WithBaseURL(ctx, "https://h"), &api.GetUploadJobPathRequest{DomainName: api.Ptr("d"), JobId: &id})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Uploads.ReceivePart(ctx, "d", id, decodeKey(t, *path.ClientToken), 0, 1000, io.MultiReader(strings.NewReader("id\n1\n"), iotest.ErrReader(io.ErrUnexpectedEOF)), nil)
	if err == nil || r.kept(id, "file-") != 2 {
		t.Fatalf("%v, %d files", err, r.kept(id, "file-"))
	}
	if err := r.startJob("d", id); !errors.Is(err, fault.BadRequest) {
		t.Fatalf("started while a newer file is half uploaded: %v", err)
	}
	if err := r.Uploads.DropPart(ctx, "d", id); err != nil || r.kept(id, "file-") != 1 {
		t.Fatalf("%v, %d files", err, r.kept(id, "file-"))
	}
	if err := r.startJob("d", id); err != nil {
		t.Fatal(err)
	}
	r.expect(r.wait("d", id), "SUCCEEDED 2/198/0")
	rec, err := r.Domains.Lookup(ctx, "d")
	if err != nil {
		t.Fatal(err)
	}
	p := job.Partition(rec.Incarnation, id)
	rows := func() (keys []string) {
		for row, err := range r.store.Scan(ctx, p, store.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			key, _, _ := strings.Cut(string(row.Key), "/")
			if len(keys) == 0 || keys[len(keys)-1] != key {
				keys = append(keys, key)
			}
		}
		return keys
	}
	// Counters stand a moment before who ran the job lets go of it.
	r.until("nobody has the job any more", func() bool { return !slices.Contains(rows(), "lease") && !slices.Contains(rows(), "attempts") })
	// What an owner and a helper that died would have left.
	for _, key := range []string{"applied/00001", job.PartPrefix + "apply/00001", "lease", "attempts"} {
		if _, err := r.store.Swap(ctx, p, []store.Swap{{Key: []byte(key), Value: []byte("{}")}}); err != nil {
			t.Fatal(err)
		}
	}
	r.later(time.Minute)
	if got := strings.Join(rows(), " "); got != "read run state" || r.kept(id, "file-") != 1 {
		t.Errorf("left are %s, and %d files", got, r.kept(id, "file-"))
	}
	r.later(31 * 24 * time.Hour)
	if got := strings.Join(rows(), " "); got != "read state" || r.kept(id, "") != 0 {
		t.Errorf("left at last are %s, and %d blobs", got, r.kept(id, ""))
	}
	r.expect(r.get("d", id), "SUCCEEDED 2/198/0")
	if d := r.details("d", id); *d.RowsRead != 200 || *d.Stage != "finished" {
		t.Errorf("%+v", d)
	}
}
