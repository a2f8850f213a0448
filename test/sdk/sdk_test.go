// Package sdk runs the vendors' SDKs against Kith. The servers are started in process: one on the embedded engines or on a
// cluster and a bucket, one with a rate limit, and one whose store fails.
package sdk

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kith/access"
	"kith/api"
	"kith/blob"
	"kith/blob/disk"
	"kith/match"
	"kith/node"
	"kith/server"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/store/pebble"
	"kith/test/cluster"
)

// start runs a node on an engine and returns its URL.
func start(t *testing.T, st store.Store, sc server.Config) (*node.Node, string) {
	t.Helper()
	blobs, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, st, blobs, sc)
}

func startOn(t *testing.T, st store.Store, blobs blob.Store, sc server.Config) (*node.Node, string) {
	t.Helper()
	n, err := node.Start(node.Config{
		Store: st, Blobs: blobs, Master: make([]byte, 32), Owner: "test", Exports: match.Folder{Dir: t.TempDir()}, Server: sc,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(n.Handler)
	t.Cleanup(func() {
		web.Close()
		n.Stop()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return n, web.URL
}

func newKey(t *testing.T, n *node.Node, policy string) (id, secret string) {
	t.Helper()
	key, err := n.Access.CreateAccessKey(access.With(t.Context(), access.Identity{Root: true}), &api.CreateAccessKeyRequest{Policy: &policy})
	if err != nil {
		t.Fatal(err)
	}
	return *key.AccessKeyId, *key.SecretAccessKey
}

// limitedPolicy allows everything but asking for upload paths and removing tags.
const limitedPolicy = `{"Statement": [
	{"Effect": "Allow", "Action": "profile:*", "Resource": "*"},
	{"Effect": "Deny", "Action": ["profile:GetUploadJobPath", "profile:UntagResource"], "Resource": "arn:aws:profile:*:*:domains/*"}]}`

func TestPython(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(root, ".venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Skip("no Python environment: `make venv` makes it, `make test` does so by itself")
	}
	t.Run("embedded", func(t *testing.T) {
		db, err := pebble.Open(filepath.Join(t.TempDir(), "store"), pebble.Options{})
		if err != nil {
			t.Fatal(err)
		}
		n, endpoint := start(t, db, server.Config{})
		pytest(t, root, python, n, endpoint)
	})
	t.Run("cluster", func(t *testing.T) {
		st, blobs := cluster.Engines(t)
		n, endpoint := startOn(t, st, blobs, server.Config{})
		pytest(t, root, python, n, endpoint)
	})
}

// environment starts the servers that a client's tests need beside endpoint, and says where they are.
func environment(t *testing.T, n *node.Node, endpoint string) []string {
	t.Helper()
	id, secret := newKey(t, n, access.Everything)
	limitedID, limitedSecret := newKey(t, n, limitedPolicy)

	// The throttled and the faulty server know the same key.
	local := &access.Key{ID: id, Secret: secret}
	_, throttled := start(t, mem.New(), server.Config{Local: local, Limits: server.Limits{PerOperation: map[string]float64{"GetUploadJobPath": 1}}})
	broken := &faulty.Store{Store: mem.New()}
	_, faultyURL := start(t, broken, server.Config{Local: local})
	broken.Before(func(op faulty.Op, p store.Partition) error {
		if op == faulty.Get {
			return errors.New("injected: the disk is gone")
		}
		return nil
	})
	return []string{"KITH_TEST_ENDPOINT=" + endpoint, "KITH_TEST_KEY=" + id, "KITH_TEST_SECRET=" + secret,
		"KITH_TEST_LIMITED_KEY=" + limitedID, "KITH_TEST_LIMITED_SECRET=" + limitedSecret,
		"KITH_TEST_THROTTLED_ENDPOINT=" + throttled, "KITH_TEST_FAULTY_ENDPOINT=" + faultyURL}
}

// pytest runs the tests of test/sdk/python.
func pytest(t *testing.T, root, python string, n *node.Node, endpoint string) {
	args := []string{"-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", filepath.Join(root, "test", "sdk", "python")}
	if only := os.Getenv("KITH_PYTEST"); only != "" { // part of a name of a file or test
		args = append(args, "-k", only)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), python, args...)
	cmd.Env = append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), environment(t, n, endpoint)...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
