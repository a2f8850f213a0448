package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/blob"
	"kith/node"
	"kith/upload"
)

// What a process died of is told from what the runtime wrote, without any of a panic's message.
func TestCauseOfDeath(t *testing.T) {
	const trace = "\n\ngoroutine 7 [running]:\npanic({0x1, 0x2})\n\t/go/src/runtime/panic.go:1 +0x1\nruntime.gopanic(0x1)\n\t/go/src/runtime/x.go:1 +0x1\n" +
		"kith/upload/stage.(*Reader).Read(0xc000, {0x6b, 0x69})\n\t/src/kith/upload/stage/read.go:1 +0x1\ncreated by kith/x in goroutine 1\n\t/src/x.go:1\n"
	for text, want := range map[string]string{
		"": "",
		"panic: ann@example.com\n\tfatal error: out of memory\n\tmain.leak(1)" + trace: "a panic in kith/upload/stage.(*Reader).Read",
		"panic: runtime error: index out of range [5] with length 3" + trace:           "a panic in kith/upload/stage.(*Reader).Read",
		"panic: cut off": "a panic",
		"runtime: out of memory: cannot allocate 4194304-byte block\nfatal error: out of memory" + trace: "it ran out of memory",
		"fatal error: runtime: cannot allocate memory" + trace:                                           "it ran out of memory",
		"fatal error: concurrent map writes" + trace:                                                     "a fatal error, concurrent map writes",
		"fatal error: ann@example.com" + trace:                                                           "a fatal error",
		"SIGQUIT: quit\nPC=0x1 m=0" + trace:                                                              "",
		"SIGABRT: abort\nPC=0x1 m=0" + trace:                                                             "",
	} {
		if got := causeOfDeath(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// An orderly end leaves no word, and a death without a word none of an earlier one.
func TestWatchDeath(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, crashFile)
	log := slog.New(slog.DiscardHandler)
	if err := os.WriteFile(path, []byte("panic: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"a panic", "", ""} {
		if got := watchDeath(dir, log); got != want {
			t.Fatalf("start %d: %q, want %q", i, got, want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 0 {
			t.Fatalf("%v, %v", info, err)
		}
	}
	for range 2 {
		if err := unwatchDeath(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// deadly are blobs that kill the process when an import writes its decisions, in a goroutine whose panic nothing catches.
type deadly struct{ blob.Store }

func (d deadly) Create(ctx context.Context, name string, key blob.Key) (blob.Writer, error) {
	if strings.Contains(name, "/run-") {
		go panic("ann@example.com")
		select {}
	}
	return d.Store.Create(ctx, name, key)
}

// dieImporting runs a node of the program's own folder on deadly blobs, with an import. If it gets to the import's end it prints why that failed.
func dieImporting(dir string) error {
	ctx, domain := context.Background(), api.Ptr("d")
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	f, err := openFolder(dir, log, false)
	if err != nil {
		return err
	}
	e := f.engines()
	n, err := node.Start(node.Config{Store: e.store, Blobs: deadly{e.blobs}, Master: e.master, Owner: e.owner, Died: e.died, Log: log})
	if err != nil {
		return err
	}
	if _, err := n.Domains.Lookup(ctx, "d"); err != nil {
		if _, err := n.Domains.CreateDomain(ctx, &api.CreateDomainRequest{DomainName: domain, DefaultExpirationDays: api.Ptr(int32(366))}); err != nil {
			return err
		}
		id, err := uploadOne(ctx, n, domain)
		if err != nil {
			return err
		}
		if _, err := n.Uploads.StartUploadJob(ctx, &api.StartUploadJobRequest{DomainName: domain, JobId: id}); err != nil {
			return err
		}
	}
	for ; ; time.Sleep(10 * time.Millisecond) {
		list, err := n.Uploads.ListUploadJobs(ctx, &api.ListUploadJobsRequest{DomainName: domain})
		if err != nil {
			return err
		}
		if *list.Items[0].Status != api.UploadJobStatusInProgress {
			details, err := n.Uploads.GetUploadJobDetails(ctx, &api.GetUploadJobDetailsRequest{DomainName: domain, JobId: list.Items[0].JobId})
			if err == nil {
				fmt.Println(*details.Status, api.Val(details.Reason))
			}
			n.Stop()
			return errors.Join(err, e.close())
		}
	}
}

// uploadOne makes a job with a file of one row.
func uploadOne(ctx context.Context, n *node.Node, domain *string) (*string, error) {
	job, err := n.Uploads.CreateUploadJob(ctx, &api.CreateUploadJobRequest{
		DomainName: domain, DisplayName: api.Ptr("x"), UniqueKey: api.Ptr("id"),
		Fields: map[string]api.ObjectTypeField{"id": {Source: api.Ptr("_source.id"), Target: api.Ptr("_profile.AccountNumber")}},
	})
	if err != nil {
		return nil, err
	}
	path, err := n.Uploads.GetUploadJobPath(upload.WithBaseURL(ctx, "http://h"), &api.GetUploadJobPathRequest{DomainName: domain, JobId: job.JobId})
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(*path.ClientToken)
	if err != nil {
		return nil, err
	}
	_, err = n.Uploads.ReceiveFile(ctx, *domain, *job.JobId, blob.Key(key), strings.NewReader("id\n1\n"), func() error { return nil })
	return job.JobId, err
}

// Work that crashes the process again and again is given up after three deaths, for their cause is known, and says what it was.
func TestWorkThatCrashesTheProcessIsGivenUp(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for deaths := range 13 {
		var out, log bytes.Buffer
		cmd := exec.Cmd{Path: program, Args: []string{"kith-dies-importing", dir}, Stdout: &out, Stderr: &log}
		err := cmd.Run()
		if err != nil {
			if b, err := os.ReadFile(filepath.Join(dir, crashFile)); err != nil || !strings.HasPrefix(string(b), "panic: ") {
				t.Fatalf("%q, %v\n%s", b, err, log.Bytes())
			}
			continue
		}
		const want = "FAILED The server's process died 3 times while it did this: a panic in kith/cmd/kith.deadly.Create"
		// Four: in the first attempt the work got on, for what it read stays.
		if deaths != 4 || !strings.HasPrefix(out.String(), want) {
			t.Fatalf("after %d deaths: %s\n%s", deaths, out.Bytes(), log.Bytes())
		}
		if _, err := os.Stat(filepath.Join(dir, crashFile)); !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if bytes.Contains(log.Bytes(), []byte("ann@example.com")) {
			t.Fatalf("the log has the message of the panic\n%s", log.Bytes())
		}
		return
	}
	t.Fatal("it was not given up")
}
