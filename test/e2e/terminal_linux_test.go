package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal with the program on it.
type terminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	mu     sync.Mutex
	shown  bytes.Buffer
	ended  chan struct{} // nothing more will be shown
}

// onTerminal starts the program on a terminal of its own, as its foreground process.
func onTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no pseudo-terminals here: ", err)
	}
	x := &terminal{t: t, master: master, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = slave, slave, slave
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	t.Cleanup(func() {
		_ = x.cmd.Process.Kill()
		_ = x.cmd.Wait()
		_ = master.Close()
	})
	go x.read()
	return x
}

func (x *terminal) read() {
	defer close(x.ended)
	b := make([]byte, 4096)
	for {
		n, err := x.master.Read(b)
		x.mu.Lock()
		x.shown.Write(b[:n])
		x.mu.Unlock()
		if err != nil { // EIO: the last process has closed it
			return
		}
	}
}

func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.ReplaceAll(x.shown.String(), "\r\n", "\n")
}

// waitFor waits until the terminal shows a text.
func (x *terminal) waitFor(text string) {
	x.t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(x.text(), text); time.Sleep(5 * time.Millisecond) {
		select {
		case <-x.ended:
			if !strings.Contains(x.text(), text) {
				x.t.Fatalf("the program ended without %q:\n%s", text, x.text())
			}
		default:
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("%q is not shown:\n%s", text, x.text())
		}
	}
}

// types sends keystrokes; \x03 is Ctrl-C, \x04 Ctrl-D.
func (x *terminal) types(keys string) {
	x.t.Helper()
	if _, err := io.WriteString(x.master, keys); err != nil {
		x.t.Fatal(err)
	}
}

// end waits for the program and returns its exit code, and all that was shown.
func (x *terminal) end() (int, string) {
	x.t.Helper()
	<-x.ended
	return exitCode(x.t, x.cmd.Wait()), x.text()
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || !exit.Exited() {
		t.Fatalf("the program did not end by itself: %v", err)
	}
	return exit.ExitCode()
}

// Who is asked answers y or yes, and all else is no: another word, nothing, the end of the input, an interrupt. Then nothing was imported, and no domain or job is left.
func TestTheQuestion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, data := filepath.Join(dir, "c.csv"), filepath.Join(dir, "data")
	if err := os.WriteFile(file, []byte("id,phone\n1,yes\n2,no\n3,yes\n"), 0o600); err != nil { // answers in a column of phones are doubtful
		t.Fatal(err)
	}
	serve(t, data)
	c := clientOf(t, data)
	const question = "Import it like this? [y/N] "
	for i, test := range []struct {
		keys string
		yes  bool
	}{{"y\r", true}, {" YES \r", true}, {"n\r", false}, {"\r", false}, {"yesterday\r", false}, {"ja\r", false}, {"\x04", false}, {"y\x04\x04", true}, {"\x03", false}, {"y\x03", false}} {
		t.Run(fmt.Sprintf("%q", test.keys), func(t *testing.T) {
			domain := fmt.Sprint("asked-", i)
			x := onTerminal(t, "import", file, "--data", data, "--domain", domain)
			x.waitFor(question)
			x.types(test.keys)
			code, shown := x.end()
			if n := strings.Count(shown, question); n != 1 {
				t.Errorf("it asks %d times", n)
			}
			_, err := c.GetDomain(t.Context(), &customerprofiles.GetDomainInput{DomainName: &domain})
			if test.yes {
				if code != 0 || err != nil || !strings.Contains(shown, "SUCCEEDED: 3 created") {
					t.Errorf("exit code %d, %v:\n%s", code, err, shown)
				}
				return
			}
			if missing := (*types.ResourceNotFoundException)(nil); code != 1 || !errors.As(err, &missing) || !strings.HasSuffix(shown, "\nkith: nothing was imported\n") {
				t.Errorf("exit code %d, %v:\n%s", code, err, shown)
			}
		})
	}
	t.Run("a dry run, --yes and what is certain ask nothing", func(t *testing.T) {
		for _, flag := range []string{"--dry-run", "--yes", "--map=phone=Attributes.answer"} {
			x := onTerminal(t, "import", file, "--data", data, flag)
			if code, shown := x.end(); code != 0 || strings.Contains(shown, question) {
				t.Errorf("%s: exit code %d\n%s", flag, code, shown)
			}
		}
	})
}

// gate is a way to a server on which the first request of some kind is held until its sender goes away or it is let go: before the server has it, or before its
// answer is told.
type gate struct {
	url   string
	held  chan struct{} // closed when it is held
	letGo chan struct{}
	once  sync.Once
}

func newGate(t *testing.T, endpoint string, before, after func(r *http.Request) bool) *gate {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{held: make(chan struct{}), letGo: make(chan struct{})}
	way := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host }, // the Host that was signed stays
		ModifyResponse: func(res *http.Response) error {
			g.hold(res.Request, after)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }, // who has gone away hears nothing
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.hold(r, before) {
			way.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

// hold says whether the sender of a request has gone away while it was held.
func (g *gate) hold(r *http.Request, which func(r *http.Request) bool) (gone bool) {
	if which == nil || !which(r) {
		return false
	}
	g.once.Do(func() {
		if r.Body != nil { // only behind the body it is seen that somebody has gone away
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		close(g.held)
		select {
		case <-r.Context().Done():
			gone = true
		case <-g.letGo:
		}
	})
	return gone
}

func isRequest(method, path string) func(r *http.Request) bool {
	form := regexp.MustCompile(path)
	return func(r *http.Request) bool { return r.Method == method && form.MatchString(r.URL.Path) }
}

// Who interrupts kith import is told what becomes of the import, and it is so: what was started goes on, unharmed, and can be watched with the command that is
// named; of what was not, nothing is left.
func TestInterruptedImport(t *testing.T) {
	dir := t.TempDir()
	file, data := filepath.Join(dir, "c.csv"), filepath.Join(dir, "data")
	if err := os.WriteFile(file, []byte("id,email\n1,a@x.example\n2,b@x.example\n3,c@x.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, data)
	c, l := clientOf(t, data), localOf(t, data)
	t.Setenv("AWS_ACCESS_KEY_ID", l.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", l.SecretAccessKey)
	for i, test := range []struct {
		name          string
		before, after func(r *http.Request) bool
		letGo, goesOn bool
		says          string
	}{
		{name: "while the job is followed", before: isRequest(http.MethodGet, "/details$"), goesOn: true},
		{name: "while its state is told", after: isRequest(http.MethodGet, "/details$"), goesOn: true},
		{name: "while it starts", before: isRequest(http.MethodPut, "/upload-jobs/[0-9a-f]{32}$"), letGo: true, goesOn: true},
		{name: "while it was started", after: isRequest(http.MethodPut, "/upload-jobs/[0-9a-f]{32}$"), letGo: true, goesOn: true},
		{name: "while the file arrives", before: isRequest(http.MethodPatch, "^/upload/"), says: "kith: interrupted before the whole file had arrived; nothing was imported\n"},
		{name: "while the file is looked at", after: isRequest(http.MethodPost, "/upload-mapping$"), says: ": interrupted\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			domain := fmt.Sprint("interrupted-", i)
			g := newGate(t, l.Endpoint, test.before, test.after)
			code, shown := interruptAt(t, g, test.letGo, "import", file, "--endpoint", g.url, "--domain", domain, "--rejects", filepath.Join(dir, domain))
			if code != 1 || strings.Count(shown, "kith: ") != 1 || !strings.Contains(shown, test.says) {
				t.Errorf("exit code %d:\n%s", code, shown)
			}
			list, err := c.ListUploadJobs(t.Context(), &customerprofiles.ListUploadJobsInput{DomainName: &domain})
			if !test.goesOn {
				if err == nil && slices.ContainsFunc(list.Items, func(j types.UploadJobItem) bool { return j.Status != types.UploadJobStatusStopped }) {
					t.Errorf("there are jobs: %+v", list.Items)
				}
				return
			}
			if err != nil || len(list.Items) != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
			id := *list.Items[0].JobId
			where := fmt.Sprintf("%s --domain %s --endpoint %s", id, domain, g.url)
			want := fmt.Sprintf("\nkith: interrupted; the import goes on at the server at %s\n  watch it with  kith jobs %s\n  end it with    kith stop %s\n", g.url, where, where) +
				"  the rejected rows are not written yet; later, with  kith rejects " + where + "\n"
			if !strings.HasSuffix(shown, want) {
				t.Errorf("%s\nwant %s", shown, want)
			}
			if job := jobEnd(t, c, domain, id); job.Status != types.UploadJobStatusSucceeded || *job.ResultsSummary.CreatedRecords != 3 {
				t.Errorf("it ends %s", job.Status)
			}
			if out, info, err := kith(t, append([]string{"jobs"}, strings.Fields(where)...)...); err != nil || !strings.Contains(out, "SUCCEEDED") {
				t.Errorf("kith jobs: %v\n%s%s", err, out, info)
			}
		})
	}
}

// interruptAt runs the program and sends it SIGINT once its request is held, which then may be let go.
func interruptAt(t *testing.T, g *gate, letGo bool, args ...string) (code int, shown string) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		t.Fatalf("it ended before: %v\n%s", err, out.String())
	case <-g.held:
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if letGo {
		close(g.letGo)
	}
	return exitCode(t, <-ended), out.String()
}

// jobEnd waits for the end of an upload job.
func jobEnd(t *testing.T, c *customerprofiles.Client, domain, id string) *customerprofiles.GetUploadJobOutput {
	t.Helper()
	for {
		job, err := c.GetUploadJob(t.Context(), &customerprofiles.GetUploadJobInput{DomainName: &domain, JobId: &id})
		if err != nil {
			t.Fatal(err)
		}
		if job.Status != types.UploadJobStatusCreated && job.Status != types.UploadJobStatusInProgress {
			return job
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Ctrl-C on an import that serves the data folder itself: it says that the import stands still, and the next command on the folder ends it. Where it came too early
// or too late for that, what it says is as true.
func TestCtrlCWithoutServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, data := filepath.Join(dir, "c.csv"), filepath.Join(dir, "data")
	const rows = 300_000
	var b bytes.Buffer
	b.WriteString("id,email\n")
	for i := range rows {
		fmt.Fprintf(&b, "%d,person%d@x.example\n", i, i)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	x := onTerminal(t, "import", file, "--data", data)
	x.waitFor("Importing:") // the bar
	x.types("\x03")
	code, shown := x.end()
	id := jobID.FindStringSubmatch(shown)
	if id == nil {
		t.Fatal(shown)
	}
	where := id[1] + " --data " + data
	if code == 1 {
		if !strings.HasSuffix(shown, fmt.Sprintf("\n  watch it with  kith jobs %s\n  end it with    kith stop %s\n", where, where)) || !strings.Contains(shown, "kith: interrupted; the import stands still, and goes on with the next kith serve\nor other command on ") {
			t.Errorf("it says:\n%s", shown)
		}
	} else if code != 0 || !strings.Contains(shown, "SUCCEEDED") {
		t.Errorf("exit code %d:\n%s", code, shown)
	}
	serve(t, data)
	if job := jobEnd(t, clientOf(t, data), "customers", id[1]); job.Status != types.UploadJobStatusSucceeded || *job.ResultsSummary.CreatedRecords != rows {
		t.Errorf("it ends %s, %d created", job.Status, aws.ToInt64(job.ResultsSummary.CreatedRecords))
	}
}
