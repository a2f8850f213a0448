package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// raw is what no message may hold: what libraries and the system say in their own words.
var raw = regexp.MustCompile(`(?i)operation error|https? response error|RequestID|StatusCode|dial tcp|connect: |no such file|permission denied|is a directory|not a directory|` +
	`deserialization|invalid character|goroutine|runtime error|panic|context canceled|exceeded maximum number|IMDS|SDK \d|lookup |protocol scheme|accepts \d|\bEOF\b|0x[0-9a-f]{4}|%!`)

// plainly checks the form of what a command that failed has told: one sentence on one line.
func plainly(t *testing.T, what, told string) {
	t.Helper()
	if m := raw.FindString(told); m != "" || strings.TrimSpace(told) == "" || strings.Contains(strings.TrimSpace(told), "\n") {
		t.Errorf("%s says %q (%q)", what, told, m)
	}
}

// commands calls do for every command that can be run, with arguments that it takes: files that there are, in a folder of its own. Those that make
// things without being asked for data are left out.
func commands(t *testing.T, do func(cmd *cobra.Command, args []string)) {
	t.Helper()
	each(newRoot(), func(cmd *cobra.Command) {
		args := strings.Fields(cmd.CommandPath())[1:]
		if cmd.HasSubCommands() && !cmd.HasParent() || cmd.HasSubCommands() && cmd.Name() != "jobs" && cmd.Name() != "domains" {
			return
		}
		switch cmd.Name() {
		case "serve", "demo", "sample", "version", "man", "restore", "copy", "migrate":
			return
		case "export-person", "forget":
			args = append(args, "--key", "_email=a@example.com")
			if cmd.Name() == "forget" {
				args = append(args, "--yes")
			}
		case "replay", "delete":
			switch cmd.Parent().Name() {
			case "dead-letters":
				args = append(args, "--all")
			case "domains":
				args = append(args, "--yes")
			}
		case "import":
			args = append(args, "people.csv")
		case "search":
			args = append(args, "word")
		case "answer":
			args = append(args, "--same")
		case "preview":
			args = append(args, "--merge", "LastName")
		case "undo":
			if cmd.Parent().Name() == "match" {
				args = append(args, "000000000000000000000000")
			}
		}
		if cmd.Name() != "import" {
			for range minArgs(cmd) {
				args = append(args, "last")
			}
		}
		do(cmd, args)
	})
}

func has(cmd *cobra.Command, flag string) bool { return cmd.Flags().Lookup(flag) != nil }

// Every command says in one sentence that a server is away, speaks something else, or needs credentials.
func TestErrorsOfServersAreSentences(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("people.csv", []byte("id,name\n1,Ann\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + l.Addr().String()
	_ = l.Close()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>welcome</html>") }))
	defer web.Close()
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	tried := 0
	commands(t, func(cmd *cobra.Command, args []string) {
		if !has(cmd, "endpoint") {
			return
		}
		tried++
		for endpoint, want := range map[string]string{
			dead:    `can't be reached (nothing listens there); start it, or name the right one with --endpoint`,
			web.URL: "", missing.URL: "",
			"nonsense": "must be the address of a server", "ftp://example.com": "must be the address of a server",
		} {
			t.Setenv("AWS_ACCESS_KEY_ID", "x")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "y")
			code, out, errs := kith(t, append(slices.Clone(args), "--endpoint", endpoint)...)
			if cmd.Name() == "conformance" && endpoint != dead && strings.HasPrefix(endpoint, "http://") {
				continue // it says what differs
			}
			what := fmt.Sprintf("%v --endpoint %s", args, endpoint)
			plainly(t, what, errs)
			if code == exitOK || !strings.Contains(errs, want) || out != "" && cmd.Name() != "conformance" {
				t.Errorf("%s: %d %q %q, want it to say %q", what, code, out, errs, want)
			}
		}
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		_, _, errs := kith(t, append(slices.Clone(args), "--endpoint", dead)...)
		plainly(t, fmt.Sprintf("%v without credentials", args), errs)
		if !strings.Contains(errs, "--endpoint needs credentials") {
			t.Errorf("%v without credentials: %q", args, errs)
		}
	})
	if tried < 20 {
		t.Errorf("only %d commands were tried", tried)
	}
}

// Every command says in one sentence what is wrong with a path, and makes nothing there.
func TestErrorsOfPathsAreSentences(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.WriteFile("people.csv", []byte("id,name\n1,Ann\n"), 0o600), os.WriteFile("file", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	commands(t, func(cmd *cobra.Command, args []string) {
		if !has(cmd, "data") || cmd.Name() == "conformance" {
			return
		}
		for _, data := range []string{"none", "file", "file/below"} {
			if cmd.Name() == "import" && data == "none" {
				continue
			}
			code, out, errs := kith(t, append(slices.Clone(args), "--data", data)...)
			plainly(t, fmt.Sprintf("%v --data %s", args, data), errs)
			if code == exitOK || out != "" {
				t.Errorf("%v --data %s: %d %q", args, data, code, out)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "out" && f.Name != "output" && f.Name != "rejects" && f.Name != "policy" {
				return
			}
			for _, path := range []string{"none/x", ".", "file/x", "file"} {
				if f.Name == "policy" && path == "file" {
					continue
				}
				code, _, errs := kith(t, append(slices.Clone(args), "--data", "none", "--"+f.Name, path)...)
				plainly(t, fmt.Sprintf("%v --%s %s", args, f.Name, path), errs)
				if code == exitOK {
					t.Errorf("%v --%s %s succeeded", args, f.Name, path)
				}
			}
		})
	})
	for _, args := range [][]string{{"import", "gone.csv"}, {"import", "."}, {"import", "file/x"}, {"check", "gone"}, {"check", "file"}, {"restore", "gone"}, {"restore", "file"}, {"serve", "--data", "file"},
		{"serve", "--config", "gone"}, {"serve", "--listen", "192.0.2.1:1", "--insecure-http"}, {"man", "--dir", "file"}, {"migrate"}, {"copy"}} {
		code, out, errs := kith(t, args...)
		plainly(t, fmt.Sprint(args), errs)
		if code == exitOK || out != "" {
			t.Errorf("%v: %d %q", args, code, out)
		}
	}
	left, err := fs.Glob(os.DirFS("."), "*")
	if err != nil || !slices.Equal(slices.DeleteFunc(left, func(s string) bool { return s == "data" }), []string{"file", "people.csv"}) {
		t.Errorf("%v is left, %v", left, err)
	}
}

// Every command says that this user may not use a data folder, and whose it is. Root, who may use every folder, becomes another user; anybody else
// takes the rights to the folders away, and is told nobody's name, for they are the user's own.
func TestFoldersThatThisUserMayNotUse(t *testing.T) {
	dir, err := os.MkdirTemp("", "kith-other-") // not below t.TempDir, which is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = errors.Join(os.Chmod(dir, 0o700), os.Chmod(filepath.Join(dir, "theirs"), 0o700), os.RemoveAll(dir))
	})
	bin, theirs, secret := filepath.Join(dir, "kith"), filepath.Join(dir, "theirs"), filepath.Join(dir, "secret.csv")
	self, err := os.Executable()
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Join(theirs, "store"), 0o700), os.WriteFile(secret, []byte("id\n1\n"), 0o600),
			os.WriteFile(filepath.Join(dir, "people.csv"), []byte("id\n1\n"), 0o600), os.Chmod(filepath.Join(dir, "people.csv"), 0o644), copyFile(self, bin))
	}
	var other syscall.SysProcAttr
	owner := ": it belongs to root"
	if os.Getuid() == 0 {
		other.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	} else {
		owner = ""
		err = errors.Join(err, os.Chmod(theirs, 0), os.Chmod(secret, 0))
	}
	if err = errors.Join(err, os.Chmod(bin, 0o755), os.Chmod(dir, 0o555)); err != nil {
		t.Fatal(err)
	}
	run := func(whose string, args ...string) {
		cmd := exec.Command(bin, args...)
		cmd.Dir = dir
		cmd.SysProcAttr = &other
		cmd.Env = append(os.Environ(), "HOME=/")
		out, err := cmd.CombinedOutput()
		said := strings.Split(strings.TrimSpace(string(out)), "\n")
		plainly(t, fmt.Sprint(args), said[len(said)-1])
		if err == nil || !strings.Contains(string(out), "can't be used by this user"+whose+";") {
			t.Errorf("%v: %v %q", args, err, out)
		}
	}
	commands(t, func(cmd *cobra.Command, args []string) {
		if has(cmd, "data") && cmd.Name() != "import" && cmd.Parent().Name() != "dead-letters" { // one of each kind is enough of the slow ones
			run(owner, append(args, "--data", "theirs")...)
		}
	})
	run(owner, "import", "people.csv", "--data", "theirs")
	run("", "import", "people.csv", "--data", "new")
	run(owner, "import", "secret.csv", "--data", "theirs")
	run(owner, "serve", "--data", "theirs")
}

// What the parts of a chain say is replaced where it stands, and nothing else is.
func TestTold(t *testing.T) {
	path := &fs.PathError{Op: "open", Path: "x.csv", Err: syscall.ENOENT}
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("plain"), "plain"},
		{fmt.Errorf("restore: %w", path), "restore: there is no x.csv; see whether the path is right"},
		{errors.Join(path, path), "there is no x.csv; see whether the path is right"},
		{errors.Join(errors.New("a"), errors.New("b")), "a; b"},
		{fmt.Errorf("%w: %w", errors.New("both"), path), "both: there is no x.csv; see whether the path is right"},
		{&exitErr{code: exitUsage, err: fmt.Errorf("--out: %w", &fs.PathError{Op: "open", Path: "d", Err: syscall.EISDIR})}, "--out: d: it is a folder, not a file"},
		{&fs.PathError{Op: "write", Path: "d", Err: syscall.ENOSPC}, "d: the disk is full"},
	} {
		if got := told(c.err); got != c.want {
			t.Errorf("%v is told as %q, want %q", c.err, got, c.want)
		}
	}
}

// Credentials that a server does not know are told with what to do.
func TestUnknownCredentialsAreTold(t *testing.T) {
	for _, code := range []string{"UnrecognizedClientException", "InvalidSignatureException"} {
		got := told(&smithy.OperationError{OperationName: "ListUploadJobs", Err: &smithy.GenericAPIError{Code: code, Message: "The token is invalid."}})
		if want := "The token is invalid; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to a key of this server"; got != want {
			t.Errorf("%s: %s", code, got)
		}
	}
}
