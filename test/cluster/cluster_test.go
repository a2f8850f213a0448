package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kith/domain"
	"kith/internal/dump"
	"kith/internal/sample"
	"kith/job"
	"kith/store"
	"kith/store/cql"
	"kith/store/pebble"
)

// These tests start a cluster of their own, because they kill it: KITH_TEST_CLUSTER is the number of its Cassandra nodes.
// Nothing else may use the addresses meanwhile.

// patience is how long a test waits for what must come, however busy the machine is.
const patience = 10 * time.Minute

// dir is where all tests have their cluster and the program.
var dir string

// shared is the cluster of the tests that need no passwords, started by the first of them: to start one takes longer than most of the tests. Each has
// a keyspace and a bucket of its own, and leaves all processes running.
var shared struct {
	*Cluster
	worlds int // that have been on it
}

// binary is the program.
var binary = sync.OnceValues(func() (string, error) { return Build(context.Background(), dir) })

func TestMain(m *testing.M) {
	var err error
	if dir, err = os.MkdirTemp("", "kith-cluster-"); err != nil {
		panic(err)
	}
	code := m.Run()
	stopShared()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func stopShared() {
	if shared.Cluster != nil {
		shared.Stop()
		shared.Cluster = nil
	}
}

type world struct {
	*Cluster
	t   *testing.T
	bin string
}

func start(t *testing.T) *world {
	var nodes int
	if n, _ := fmt.Sscan(os.Getenv("KITH_TEST_CLUSTER"), &nodes); n != 1 || nodes < 1 {
		t.Skip("no cluster to kill: KITH_TEST_CLUSTER=3 starts one of three nodes; make test-cluster does")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	if shared.Cluster == nil {
		if shared.Cluster, err = Start(ctx, filepath.Join(dir, "shared"), nodes, CassandraOptions{}, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	shared.worlds++
	c := *shared.Cluster
	c.Dir, c.Name = t.TempDir(), fmt.Sprint("kith", shared.worlds)
	if err := c.Migrate(ctx, bin); err != nil {
		t.Fatal(err)
	}
	return &world{Cluster: &c, t: t, bin: bin}
}

// kith starts a node.
func (w *world) kith(name, store string, args ...string) (*Process, string) {
	w.t.Helper()
	listen, err := FreeAddress()
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := w.Kith(w.bin, name, listen, store, args...)
	if err == nil {
		ctx, cancel := context.WithTimeout(w.t.Context(), patience)
		defer cancel()
		err = p.Start(ctx)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.Kill)
	return p, filepath.Join(p.Dir, "data")
}

// run runs a command of the program against the node of a data folder. data "" is a folder of its own: the embedded engines.
func (w *world) run(data string, args ...string) (string, error) {
	cmd := exec.Command(w.bin, append(args, "--data", data)...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && !strings.Contains(out.String(), "PARTIALLY_SUCCEEDED") {
		return out.String(), fmt.Errorf("kith %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

func (w *world) must(data string, args ...string) string {
	w.t.Helper()
	out, err := w.run(data, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// customers writes n customers with bad rows among them, and returns the file's path.
func customers(t *testing.T, n int) string {
	t.Helper()
	var b bytes.Buffer
	if err := sample.Write(&b, n, 7); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "customers.csv")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, line := range bytes.SplitAfter(b.Bytes(), []byte("\n")) {
		if i > 0 && i%5000 == 0 {
			line = append([]byte(",no key\n"), line...)
		}
		if _, err := f.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// rows is how many customers the tests import: 200,000, or what KITH_TEST_ROWS says.
func rows(t *testing.T) int {
	n := 200_000
	if text := os.Getenv("KITH_TEST_ROWS"); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// embedded imports a file into a data folder of its own and returns counters, profiles and rejects.
func (w *world) embedded(file string) string {
	w.t.Helper()
	data := filepath.Join(w.t.TempDir(), "data")
	out := w.must(data, "import", file, "--rejects", file+".rejects")
	st, err := pebble.Open(filepath.Join(data, "store"), pebble.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer st.Close()
	rejects, err := os.ReadFile(file + ".rejects")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.outcome(st, out, string(rejects), "customers")
}

func (w *world) outcome(st store.Store, result, rejects, domain string) string {
	w.t.Helper()
	profiles, err := dump.Hash(w.t.Context(), st, domain)
	if err != nil {
		w.t.Fatal(err)
	}
	counts, _, _ := strings.Cut(result, "\n")
	counts, _, _ = strings.Cut(counts, " in ") // an import that was interrupted has no time
	return fmt.Sprintf("%s\n%s\nrejects %x", counts, profiles, sha256.Sum256([]byte(rejects)))
}

// open opens the cluster's rows.
func (w *world) open() store.Store {
	w.t.Helper()
	o, err := cql.ParseAddress(w.StoreAddress())
	if err != nil {
		w.t.Fatal(err)
	}
	st, err := cql.Open(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := st.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return st
}

var jobID = regexp.MustCompile(`Upload job ([0-9a-f]{32})`)

// begin starts an import through the node of a data folder and returns its job's id once it is in progress.
func (w *world) begin(data, file, domain string) string {
	w.t.Helper()
	cmd := exec.Command(w.bin, "import", file, "--domain", domain, "--data", data)
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }() // it may well end with its node
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if id := jobID.FindStringSubmatch(log.String()); id != nil {
			if state := w.state(data, id[1], domain); state != "" && state != "CREATED" {
				return id[1]
			}
		}
	}
	w.t.Fatalf("the import did not start\n%s", log.String())
	return ""
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// end follows a job to its end, asking again while its node is away, and returns counters, profiles and rejects.
func (w *world) end(st store.Store, data, id, domain string) string {
	w.t.Helper()
	var out string
	var err error
	for deadline := time.Now().Add(3 * patience); ; time.Sleep(500 * time.Millisecond) {
		if out, err = w.run(data, "jobs", id, "--domain", domain); strings.Contains(out, "SUCCEEDED") {
			break
		}
		if strings.Contains(out, "FAILED") || strings.Contains(out, "STOPPED") || time.Now().After(deadline) {
			w.t.Fatalf("the import ended as %q: %v", out, err)
		}
	}
	return w.outcome(st, out, w.must(data, "rejects", id, "--domain", domain), domain)
}

func ended(state string) bool { return state != "" && state != "IN_PROGRESS" && state != "CREATED" }

// state returns the status of a job, or "" when its node can't be asked.
func (w *world) state(data, id, domain string) string {
	out, _ := w.run(data, "jobs", "--domain", domain)
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(id, f[0]) {
			return f[1]
		}
	}
	return ""
}

// Each process in turn is killed during an import and started again: the job ends by itself, with the counters, profiles and
// rejects of an undisturbed import on the embedded engines. An import that ends before all had their turn is followed by
// another one.
func TestKillEachProcess(t *testing.T) {
	w := start(t)
	file := customers(t, rows(t))
	want := w.embedded(file)
	t.Log(want)
	a, dataA := w.kith("kith-a", w.StoreAddress())
	b, dataB := w.kith("kith-b", w.StoreAddress())
	st := w.open()
	victims := []*Process{a, b, w.S3}
	if len(w.Cassandra) > 2 { // else one copy of a row has no quorum without its node
		victims = append(victims, w.Cassandra...)
	}
	for round := 0; len(victims) > 0; round++ {
		domain := fmt.Sprintf("d%d", round)
		began := time.Now()
		id := w.begin(dataA, file, domain)
		var killed []string
		for len(victims) > 0 && !ended(w.state(dataB, id, domain)) {
			victim := victims[0]
			victims = victims[1:]
			killed = append(killed, victim.Name)
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
			victim.Kill()
			if victim == w.S3 {
				time.Sleep(10 * time.Second)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if err := victim.Start(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		if got := w.end(st, dataB, id, domain); got != want {
			t.Fatalf("%v were killed\n%s\nundisturbed\n%s", killed, got, want)
		}
		t.Logf("%v were killed: equal after %s", killed, time.Since(began).Round(time.Second))
	}
	helped := 0
	for _, node := range []*Process{a, b} {
		log, err := os.ReadFile(node.LogFile())
		if err != nil {
			t.Fatal(err)
		}
		helped += bytes.Count(log, []byte("helped with an upload job"))
	}
	t.Logf("nodes helped each other %d times", helped)
	if helped == 0 {
		t.Error("no node helped the one that had the import")
	}
}

// A node that is paused for longer than its lease finds, when it wakes up, that another one has taken the import over, and
// publishes nothing: the import ends as an undisturbed one.
func TestPausedNodePublishesNothing(t *testing.T) {
	w := start(t)
	file := customers(t, rows(t))
	want := w.embedded(file)
	a, dataA := w.kith("kith-a", w.StoreAddress())
	st := w.open()
	id := w.begin(dataA, file, "paused")
	for deadline := time.Now().Add(patience); !hasRead(t, st, "paused", id); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the import does not read its file")
		}
	}
	if err := a.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	was := owner(t, st, "paused", id)
	if was == "" {
		t.Fatal("the import had ended before its node was paused; it needs more rows")
	}
	_, dataB := w.kith("kith-b", w.StoreAddress())
	for deadline := time.Now().Add(patience); owner(t, st, "paused", id) == was; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the other node does not take over")
		}
	}
	if err := a.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := w.end(st, dataB, id, "paused"); got != want {
		t.Fatalf("%s\nundisturbed\n%s", got, want)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		log, err := os.ReadFile(a.LogFile())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(log), "lost its lease") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the paused node did not notice that it lost the import:\n%s", log)
		}
	}
}

// hasRead says whether an import has published what it has read, so that its node is at work.
func hasRead(t *testing.T, st store.Store, name, id string) bool {
	t.Helper()
	rec, err := (&domain.Service{Store: st}).Read(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = st.Get(t.Context(), job.Partition(rec.Incarnation, id), []byte("read"))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// owner returns the node that has the lease of a job, "" if nobody has.
func owner(t *testing.T, st store.Store, name, id string) string {
	t.Helper()
	rec, err := (&domain.Service{Store: st}).Read(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	all, err := job.List(t.Context(), st, rec.Incarnation)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.ID == id {
			return s.Owner
		}
	}
	return ""
}

// A backup of a data folder, loaded into the cluster, is the same data, and goes on there.
func TestCopyOfABackup(t *testing.T) {
	w := start(t)
	file := customers(t, min(rows(t), 5000))
	folder := filepath.Join(t.TempDir(), "folder")
	w.must(folder, "import", file)
	backup := filepath.Join(t.TempDir(), "backup")
	w.must(folder, "backup", backup)
	src, err := pebble.Open(filepath.Join(backup, "store"), pebble.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	want, err := dump.Hash(t.Context(), src, "customers")
	if err := errors.Join(err, src.Close()); err != nil {
		t.Fatal(err)
	}
	env, err := w.Env()
	if err != nil {
		t.Fatal(err)
	}
	loaded := func(more ...string) (string, error) {
		cmd := exec.Command(w.bin, append([]string{"copy", "--from", backup, "--to", w.StoreAddress(), "--blob", w.BlobAddress()}, more...)...)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := loaded(); err == nil || !strings.Contains(out, "master key is not the one") {
		t.Fatalf("a copy under another master key: %v: %s", err, out)
	}
	key, err := os.ReadFile(filepath.Join(backup, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.Dir, "master.key"), bytes.TrimSpace(key), 0o600); err != nil {
		t.Fatal(err)
	}
	if env, err = w.Env(); err != nil {
		t.Fatal(err)
	}
	out, err := loaded()
	if err != nil || strings.Count(out, "verified") != len(store.Tables) {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := loaded(); err == nil || !strings.Contains(out, "holds data already") {
		t.Fatalf("a copy over data: %v: %s", err, out)
	}
	if out, err := loaded("--again"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := dump.Hash(t.Context(), w.open(), "customers"); err != nil || got != want {
		t.Fatalf("%s, %v; want %s", got, err, want)
	}
	_, data := w.kith("kith-a", w.StoreAddress())
	if out := w.must(data, "import", file); !strings.Contains(out, " 0 created") {
		t.Fatalf("the same file again: %s", out)
	}
}

// What is wrong with a node's configuration ends it with one sentence and an exit code.
func TestServeExplains(t *testing.T) {
	var nodes int
	if n, _ := fmt.Sscan(os.Getenv("KITH_TEST_CLUSTER"), &nodes); n != 1 {
		t.Skip("no cluster: make test-cluster starts one")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	stopShared() // its addresses are used again
	c, err := Start(ctx, t.TempDir(), 1, CassandraOptions{Passwords: true}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	bin, err := binary()
	if err == nil {
		err = MakeBucket(ctx, "127.0.0.1:"+S3Port, c.Name)
	}
	if err != nil {
		t.Fatal(err)
	}
	env, err := c.Env()
	if err != nil {
		t.Fatal(err)
	}
	super := []string{"KITH_CQL_USER=cassandra", "KITH_CQL_PASSWORD=cassandra"}
	run := func(extra []string, args ...string) (string, int) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, bin, args...)
		for _, kv := range os.Environ() {
			if !strings.HasPrefix(kv, "KITH_") { // those of the test are a warning
				cmd.Env = append(cmd.Env, kv)
			}
		}
		cmd.Env = append(append(cmd.Env, env...), extra...)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	serve := func(extra []string, store, blob string) (string, int) {
		return run(extra, "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"), "--store", store, "--blob", blob)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Second) { // its first user is made a while after the start
		out, code := run(super, "migrate", "--store", c.StoreAddress(), "--replication", "1")
		if code == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(out)
		}
	}
	o, err := cql.ParseAddress(c.StoreAddress())
	if err != nil {
		t.Fatal(err)
	}
	o.User, o.Password = "cassandra", "cassandra"
	if err := cql.Exec(ctx, o, "CREATE ROLE poor WITH PASSWORD = 'poor' AND LOGIN = true"); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(c.Dir, "foreign")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := makeKeystore(ctx, foreign); err != nil {
		t.Fatal(err)
	}
	secure := c.StoreAddress() + "?tls=on&dc=datacenter1&ca=" + AuthorityFile(c.Dir)
	for name, test := range map[string]struct {
		env         []string
		store, blob string
		want        string
		code        int
	}{
		"wrong keyspace":      {super, "cql://" + c.Hosts() + "/nothing", c.BlobAddress(), `the cluster has no keyspace "nothing": make it with kith migrate`, 1},
		"unreachable hosts":   {super, "cql://127.0.0.77/kith", c.BlobAddress(), "no node of the cluster answers at [127.0.0.77]: check", 1},
		"wrong password":      {[]string{"KITH_CQL_USER=cassandra", "KITH_CQL_PASSWORD=x"}, c.StoreAddress(), c.BlobAddress(), "refuses the user or the password", 1},
		"missing rights":      {[]string{"KITH_CQL_USER=poor", "KITH_CQL_PASSWORD=poor"}, c.StoreAddress(), c.BlobAddress(), `user "poor" lacks a right`, 1},
		"no bucket":           {super, c.StoreAddress(), strings.Replace(c.BlobAddress(), "s3://kith", "s3://nothing", 1), `there is no bucket "nothing"`, 1},
		"wrong bucket secret": {append([]string{"KITH_S3_SECRET_KEY=x"}, super...), c.StoreAddress(), c.BlobAddress(), "refuses the access key or its secret", 1},
		"untrusted cluster":   {super, c.StoreAddress() + "?tls=on&ca=" + AuthorityFile(foreign), c.BlobAddress(), "has a certificate that is not trusted here: give its authority as ca=FILE", 1},
		"wrong data center":   {super, c.StoreAddress() + "?dc=nowhere", c.BlobAddress(), `has no data center "nowhere": it has datacenter1`, 1},
		"no master key":       {append([]string{"KITH_MASTER_KEY="}, super...), c.StoreAddress(), c.BlobAddress(), "give all of them the same KITH_MASTER_KEY", 2},
		"only one of the two": {super, c.StoreAddress(), "", "--store and --blob belong together", 2},
	} {
		t.Run(name, func(t *testing.T) {
			out, code := serve(test.env, test.store, test.blob)
			if !strings.Contains(out, test.want) || code != test.code {
				t.Errorf("exit code %d, want %d; want %q in:\n%s", code, test.code, test.want, out)
			}
			if n := strings.Count(strings.TrimSpace(out), "\n"); n > 0 {
				t.Errorf("%d lines, want one:\n%s", n+1, out)
			}
		})
	}
	t.Run("another master key", func(t *testing.T) { // of a node that speaks TLS to the cluster, within a data center
		p, err := c.Kith(bin, "kith-a", "127.0.0.1:8399", secure)
		if err != nil {
			t.Fatal(err)
		}
		p.Env = append(p.Env, super...)
		if err := p.Start(ctx); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		other := append([]string{"KITH_MASTER_KEY=" + strings.Repeat("A", 43) + "="}, super...)
		if out, code := serve(other, c.StoreAddress(), c.BlobAddress()); code != 1 || !strings.Contains(out, "the master key is not the one") {
			t.Errorf("exit code %d: %s", code, out)
		}
		// At run time: a 500 with a hint to come again, and the reason in the log.
		c.Cassandra[0].Kill()
		res, err := http.Get("http://127.0.0.1:8399/healthz")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		t.Logf("while the cluster is away: %s %q", res.Status, body)
		if res.StatusCode < 500 || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s %v", res.Status, res.Header)
		}
	})
}
