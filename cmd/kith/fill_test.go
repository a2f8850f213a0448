package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kith/access"
	"kith/api"
)

// open starts a server on a data folder.
func open(t *testing.T, data string) *program {
	t.Helper()
	p, err := startProgram(t.Context(), &Config{Listen: ownServer, Data: data, URLLife: duration(1e9), quiet: true}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func closeProgram(t *testing.T, p *program) {
	t.Helper()
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
}

// othersMay lists what below a folder is open to other users, the folder included.
func othersMay(t *testing.T, dir string) (all []string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if n++; err == nil && info.Mode().Perm()&0o077 != 0 {
			all = append(all, info.Mode().String()+" "+path)
		}
		return err
	})
	if err != nil || n < 5 {
		t.Fatal(n, err)
	}
	return all
}

// Whatever the user's umask, nothing that the program writes can be read by others: rows are not encrypted in the store. A folder that was
// there before is closed when it is filled.
func TestWhatIsWrittenIsPrivate(t *testing.T) {
	old := unix.Umask(0o022)
	defer unix.Umask(old)
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"backup", "restored"} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("customers.csv", []byte("id,email\n1,ann@example.com\n2,,x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	do := func(want int, args ...string) {
		t.Helper()
		if code := run(context.Background(), args); code != want {
			t.Fatalf("%v: exit code %d", args, code)
		}
	}
	do(exitPartial, "import", "customers.csv", "--rejects", "rejects.csv", "--cpu-profile", "cpu.out")
	p := open(t, "data") // with local.json
	do(exitOK, "backup", "backup")
	do(exitOK, "backup", "another")
	for _, name := range []string{"data", "backup", "another"} {
		if open := othersMay(t, name); open != nil {
			t.Errorf("others may read\n%s", strings.Join(open, "\n"))
		}
	}
	closeProgram(t, p)
	do(exitOK, "restore", "backup", "--data", "restored")
	do(exitOK, "restore", "backup", "--data", "fresh/data")
	if open := append(othersMay(t, "restored"), othersMay(t, "fresh")...); open != nil {
		t.Errorf("others may read\n%s", strings.Join(open, "\n"))
	}
	for _, name := range []string{"rejects.csv", "cpu.out"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	do(exitOK, "jobs", "--data", "restored")
}

// A folder that can't take a backup is told in a sentence, and nothing is left in it.
func TestBackupsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	p := open(t, data)
	defer closeProgram(t, p)
	c := p.local.client()
	if err := os.Symlink(filepath.Join(data, "blob"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"full", "empty"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "full", "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	for target, words := range map[string]string{
		"data": "in the data folder itself", "data/backup": "in the data folder itself", "data/blob/x": "in the data folder itself", "data/none/x": "in the data folder itself",
		"data/../data/store/x": "in the data folder itself", "link": "in the data folder itself", "link/x": "in the data folder itself",
		"full": "is not empty", "none/x": "its parent must exist", "full/file": "is no directory", "full/file/x": "is no directory", strings.Repeat("x", 300): "too long a name",
	} {
		dirname := filepath.Join(dir, target)
		err := c.call(t.Context(), http.MethodPost, "/kith/backups", nil, api.CreateBackupRequest{Directory: &dirname}, nil)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", target, err, words)
		}
	}
	// What fails in the middle leaves nothing, and an empty folder stays.
	for _, name := range []string{"empty", "new"} {
		err := fillFolder(filepath.Join(dir, name), func() error {
			if err := os.MkdirAll(filepath.Join(dir, name, "store", "x"), 0o700); err != nil {
				return err
			}
			return unix.ENOSPC
		})
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	if after := tree(t, dir); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	// Beside the data folder, with a name that begins like it, is outside.
	dirname := filepath.Join(dir, "data2")
	if err := c.call(t.Context(), http.MethodPost, "/kith/backups", nil, api.CreateBackupRequest{Directory: &dirname}, nil); err != nil {
		t.Fatal(err)
	}
}

// tree lists the names below a folder, but the store's, which change as it works.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "store" {
			return fs.SkipDir
		}
		b.WriteString(path + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What was cut off by a power failure is neither served nor restored nor copied.
func TestUnfinishedFoldersAreRefused(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	closeProgram(t, open(t, "data"))
	if code := run(context.Background(), []string{"backup", "backup"}); code != exitOK {
		t.Fatal(code)
	}
	if err := os.WriteFile("backup/"+unfinishedFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"restore", "backup", "--data", "new"}, {"jobs", "--data", "backup"}, {"copy", "--from", "backup", "--to", "cql://127.0.0.1/x", "--blob", "s3://x?endpoint=http://127.0.0.1"}} {
		if code := run(context.Background(), args); code != exitUsage {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
	if code := run(context.Background(), []string{"restore", "data", "--data", "data/x"}); code != exitUsage {
		t.Errorf("a restore into its own backup: exit code %d", code)
	}
}

// A folder that has lost its master key says so and is given no other.
func TestALostMasterKeyIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	path := filepath.Join(data, access.MasterKeyFile)
	closeProgram(t, open(t, data))
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := startProgram(t.Context(), &Config{Listen: ownServer, Data: data, URLLife: duration(1e9), quiet: true}, io.Discard); err == nil || !strings.Contains(err.Error(), "has lost its master key") {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal("a key was written")
		}
	}
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	closeProgram(t, open(t, data))
}
