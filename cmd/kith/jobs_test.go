package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"kith/api"
	"kith/blob"
)

// still are blobs in which an import stands still when it writes its decisions, until it is ended.
type still struct {
	blob.Store
	once    *sync.Once
	arrived chan struct{}
}

func (s still) Create(ctx context.Context, name string, key blob.Key) (blob.Writer, error) {
	if strings.Contains(name, "/run-") {
		s.once.Do(func() { close(s.arrived) })
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return s.Store.Create(ctx, name, key)
}

// kith runs a command as a user does, and returns its exit code and what it wrote.
func kith(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	err := root.ExecuteContext(t.Context())
	if err != nil {
		return exitError, out.String(), told(err)
	}
	return exitOK, out.String(), errs.String()
}

// Background work is listed and cancelled from the command line, on a server that runs.
func TestJobsWorkAndCancel(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	f, err := openFolder(dir, log, false)
	if err != nil {
		t.Fatal(err)
	}
	blobs := still{f.blobs, &sync.Once{}, make(chan struct{})}
	p := &program{engines: f.engines(), data: dir, failed: make(chan error, 1)}
	p.engines.blobs = blobs
	if err := p.start(&Config{Listen: ownServer, Data: dir, URLLife: duration(time.Hour), quiet: true}, log, io.Discard); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	ctx, n, domain := t.Context(), p.node, api.Ptr("d")
	if _, err := n.Domains.CreateDomain(ctx, &api.CreateDomainRequest{DomainName: domain, DefaultExpirationDays: api.Ptr(int32(366))}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for range 2 {
		id, err := uploadOne(ctx, n, domain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Uploads.StartUploadJob(ctx, &api.StartUploadJobRequest{DomainName: domain, JobId: id}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, *id)
	}
	<-blobs.arrived

	work := func() []string {
		t.Helper()
		code, out, errs := kith(t, "jobs", "work", "--data", dir, "--domain", "d")
		if code != exitOK {
			t.Fatal(errs)
		}
		return strings.Split(strings.TrimRight(out, "\n"), "\n")
	}
	got := work()
	const row = ` +upload +turn +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +0 *`
	want := []string{`^WORK +KIND +LANE +ARRIVED +FAILED +NODE$`, "^" + ids[0] + row + `node-[0-9a-f]+$`, "^" + ids[1] + row + "$"}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if !regexp.MustCompile(want[i]).MatchString(got[i]) {
			t.Errorf("%q, want %s", got[i], want[i])
		}
	}
	for i, id := range ids { // the one that runs, then the one that runs next
		code, out, errs := kith(t, "jobs", "cancel", id, "--data", dir, "--domain", "d")
		if code != exitOK || out != "CANCELLED: upload "+id+"\n" {
			t.Fatalf("%d %q %q", code, out, errs)
		}
		if left := len(work()) - 1; left != 1-i {
			t.Errorf("%d pieces of work are left, want %d", left, 1-i)
		}
		details, err := n.Uploads.GetUploadJobDetails(ctx, &api.GetUploadJobDetailsRequest{DomainName: domain, JobId: &id})
		if err != nil || *details.Status != string(api.UploadJobStatusFailed) || !strings.Contains(api.Val(details.Reason), "cancelled by an operator") {
			t.Errorf("%+v, %v", details, err)
		}
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"No work " + ids[0] + " runs or waits in domain d", []string{"cancel", ids[0], "--domain", "d"}},
		{"DomainName none is not found in account 000000000000; --domain names the right one: d", []string{"cancel", ids[0], "--domain", "none"}},
		{"DomainName none is not found in account 000000000000; --domain names the right one: d", []string{"work", "--domain", "none"}},
		{"DomainName none is not found in account 000000000000; --domain names the right one: d", []string{"--domain", "none"}}, // a call of the SDK
		{"kith jobs cancel takes JOB, and 0 arguments were given", []string{"cancel"}},
		{"kith jobs work takes no arguments, and one was given", []string{"work", "all"}},
	} {
		if code, _, errs := kith(t, append(append([]string{"jobs"}, c.args...), "--data", dir)...); code == exitOK || !strings.Contains(errs, c.want) {
			t.Errorf("%v: %d %q, want it to say %q", c.args, code, errs, c.want)
		}
	}
}

// A job whose file is uploaded before it is looked at, and that the server can't do what the flags say with, is given up.
func TestJobsOfFilesThatAreNotImportedAreGivenUp(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "people.xlsx")
	if err := os.WriteFile(file, append([]byte("PK\x03\x04"), make([]byte, headBytes)...), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	for _, flags := range [][]string{{}, {"--encoding", "nonsense"}} { // no workbook; options that are refused
		if code, _, errs := kith(t, append([]string{"import", file, "--data", data}, flags...)...); code == exitOK {
			t.Errorf("%v: %s", flags, errs)
		}
	}
	_, out, errs := kith(t, "jobs", "--json", "--data", data)
	if n := strings.Count(out, `"State":"STOPPED"`); n != 2 || strings.Count(out, "\n") != 2 {
		t.Errorf("%s%s", out, errs)
	}
}

// What jobs are is told where they are completed, too, and what an undo took back.
func TestCompletedJobsSayWhatTheyAre(t *testing.T) {
	dir := t.TempDir()
	file, data := filepath.Join(dir, "people.csv"), filepath.Join(dir, "data")
	if err := os.WriteFile(file, []byte("id,first name\n1,Ann\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"import", file}, "SUCCEEDED: 1 created"},
		{[]string{"undo", "last"}, "1 customer that it had created, unless something else speaks of them, and the values of 0 rows"},
		{[]string{"import", file, "--dry-run"}, "Dry run"},
	} {
		if code, out, errs := kith(t, append(c.args[:len(c.args):len(c.args)], "--data", data)...); code != exitOK || !strings.Contains(out+errs, c.says) {
			t.Errorf("%v: %d %s%s", c.args, code, out, errs)
		}
	}
	_, out, errs := kith(t, "__complete", "jobs", "--data", data, "")
	if !strings.Contains(out, "DRY RUN people.csv") || !strings.Contains(out, "UNDONE people.csv") {
		t.Errorf("completed are %s%s", out, errs)
	}
}
