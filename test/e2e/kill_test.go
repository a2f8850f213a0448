package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kith/internal/dump"
	"kith/internal/sample"
	"kith/store"
	"kith/store/pebble"
)

// binDir is where binary has built, if it was called.
var binDir string

// binary builds the program once per run, as it is released: with cgo it would need more address space than some tests leave it.
var binary = sync.OnceValues(func() (string, error) {
	var err error
	if binDir, err = os.MkdirTemp("", "kith-e2e-"); err != nil {
		return "", err
	}
	path := filepath.Join(binDir, "kith")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "kith/cmd/kith")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// TestMain removes what binary built. Tests run side by side, more than there are processors, for many of them wait; those on a cluster share a keyspace, so there they
// follow each other.
func TestMain(m *testing.M) {
	flag.Parse()
	sideBySide := 2 * runtime.GOMAXPROCS(0)
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "test.parallel" { // somebody has said it
			sideBySide, _ = strconv.Atoi(f.Value.String())
		}
	})
	if os.Getenv("KITH_TEST_CQL") != "" {
		sideBySide = 1
	}
	if err := flag.Set("test.parallel", strconv.Itoa(sideBySide)); err != nil {
		panic(err)
	}
	debug.SetGCPercent(400) // the heaps of tests are small, and collecting them was a fourth of the work
	debug.SetMemoryLimit(1 << 30)
	code := m.Run()
	if binDir != "" {
		_ = os.RemoveAll(binDir)
	}
	os.Exit(code)
}

// insecure asks servers whose certificates a test has made.
var insecure = http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // see above

// serve starts the program on a data folder and waits until it answers.
func serve(t *testing.T, data string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(data, "local.json"))
	cmd := exec.Command(path, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, args...)...)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var local struct{ Endpoint string }
		b, err := os.ReadFile(filepath.Join(data, "local.json"))
		if err != nil || json.Unmarshal(b, &local) != nil {
			continue
		}
		if res, err := insecure.Get(local.Endpoint + "/healthz"); err == nil {
			res.Body.Close()
			return cmd
		}
	}
	t.Fatalf("the server did not start: %s", log.String())
	return nil
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

func kith(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	var out, info bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &info
	err = cmd.Run()
	return out.String(), info.String(), err
}

var jobID = regexp.MustCompile(`Upload job ([0-9a-f]{32})`)

// The program is killed with SIGKILL at random moments of an import and started again: the job ends by itself, and counters,
// profiles and rejects are those of an undisturbed run. KITH_TORTURE is how often it is killed in all (make torture).
func TestKillDuringImport(t *testing.T) {
	t.Parallel()
	const rows = 60_000
	want := 3
	if text := os.Getenv("KITH_TORTURE"); text != "" {
		var err error
		if want, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "customers.csv")
	writeTortureFile(t, file, rows)
	calm := filepath.Join(dir, "calm")
	undisturbed := importKilled(t, file, calm, 0)
	for kills, round := 0, 0; kills < want; round++ {
		data := filepath.Join(dir, fmt.Sprint("killed", round))
		got := importKilled(t, file, data, min(want-kills, 1+rand.IntN(12)))
		if got.outcome != undisturbed.outcome {
			t.Fatalf("round %d, %d kills\n%s\nundisturbed\n%s", round, got.kills, got.outcome, undisturbed.outcome)
		}
		kills += got.kills
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
		if want > 100 && round%20 == 0 {
			t.Logf("%d kills", kills)
		}
	}
}

// writeTortureFile writes customers with bad rows among them.
func writeTortureFile(t *testing.T, path string, rows int) {
	t.Helper()
	var b bytes.Buffer
	if err := sample.Write(&b, rows, 7); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(b.Bytes(), []byte("\n"))
	b.Reset()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, line := range lines {
		if i > 0 && i%5000 == 0 {
			line = append([]byte(",no key\n"), line...)
		}
		if _, err := f.Write(line); err != nil {
			t.Fatal(err)
		}
	}
}

type killed struct {
	kills   int
	outcome string
}

// importKilled imports a file while the server is killed up to so many times, and returns counters, profiles and rejects.
func importKilled(t *testing.T, file, data string, kills int) (res killed) {
	t.Helper()
	server := serve(t, data)
	done := make(chan string)
	go func() {
		_, stderr, _ := kith(t, "import", file, "--data", data) // dies with the server
		done <- stderr
	}()
	waitForStart(t, data)
	for range kills {
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
		kill(t, server)
		res.kills++
		server = serve(t, data)
	}
	id := jobID.FindStringSubmatch(<-done)
	if id == nil {
		t.Fatal("no job id was printed")
	}
	stdout, stderr, err := kith(t, "jobs", id[1], "--data", data)
	if err != nil && !strings.Contains(stdout, "PARTIALLY_SUCCEEDED") {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	rejects, stderr, err := kith(t, "rejects", id[1], "--data", data)
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	stop(t, server)
	if left, _ := filepath.Glob(filepath.Join(data, "store", "ingest", "*")); len(left) > 0 {
		t.Fatalf("%d tables of killed attempts are left aside", len(left))
	}
	res.outcome = fmt.Sprintf("%s\n%s\nrejects %x", counts(stdout), dumpFolder(t, data), sha256.Sum256([]byte(rejects)))
	return res
}

// counts is the result line without the time, which an import that was interrupted does not have.
func counts(stdout string) string {
	line, _, _ := strings.Cut(stdout, "\n")
	line, _, _ = strings.Cut(line, " in ")
	return line
}

// waitForStart waits until a job was started; it may have ended by then.
func waitForStart(t *testing.T, data string) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		out, _, err := kith(t, "jobs", "--data", data)
		if err == nil && (strings.Contains(out, "IN_PROGRESS") || strings.Contains(out, "SUCCEEDED")) {
			return
		}
	}
	t.Fatal("the job did not start")
}

// dumpFolder hashes all profiles of the domain "customers" in a data folder.
func dumpFolder(t *testing.T, data string) (text string) {
	t.Helper()
	withFolder(t, data, func(st store.Store) (err error) {
		text, err = dump.Hash(ctx, st, "customers")
		return err
	})
	return text
}

// withFolder opens the store of a data folder that no server has.
func withFolder(t *testing.T, data string, do func(store.Store) error) {
	t.Helper()
	st, err := pebble.Open(filepath.Join(data, "store"), pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(do(st), st.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestBackupWhileServingAndRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, copied, restored := filepath.Join(dir, "data"), filepath.Join(dir, "backup"), filepath.Join(dir, "restored")
	file := filepath.Join(dir, "customers.csv")
	var b bytes.Buffer
	if err := sample.Write(&b, 20_000, 8); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	server := serve(t, data)
	if _, stderr, err := kith(t, "import", file, "--data", data); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	// A second import is under way while the backup is made.
	second := make(chan error)
	go func() {
		_, _, err := kith(t, "import", file, "--data", data, "--domain", "other")
		second <- err
	}()
	time.Sleep(50 * time.Millisecond)
	if stdout, stderr, err := kith(t, "backup", copied, "--data", data); err != nil || !strings.Contains(stdout, "Backup of") {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	if _, stderr, err := kith(t, "backup", copied, "--data", data); err == nil || !strings.Contains(stderr, "not empty") {
		t.Fatalf("a backup over a backup: %v: %s", err, stderr)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	keys, _, err := kith(t, "keys", "list", "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	kill(t, server)
	want := dumpFolder(t, data)

	if _, stderr, err := kith(t, "restore", copied, "--data", restored); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	if got := dumpFolder(t, restored); got != want {
		t.Fatalf("restored %s, had %s", got, want)
	}
	serve(t, restored)
	if got, _, err := kith(t, "keys", "list", "--data", restored); err != nil || got != keys {
		t.Fatalf("%v: restored keys\n%s\nwant\n%s", err, got, keys)
	}
	// What was under way in the backup goes on; the same file again then updates everybody.
	stdout, stderr, err := kith(t, "import", file, "--data", restored, "--domain", "other")
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	if !strings.HasPrefix(stdout, "SUCCEEDED") {
		t.Fatal(stdout)
	}
	if _, stderr, err := kith(t, "restore", copied, "--data", restored); err == nil || !strings.Contains(stderr, "not empty") {
		t.Fatalf("a restore over data: %v: %s", err, stderr)
	}
}

// With a certificate the server may listen everywhere; commands on its machine trust the certificate it wrote down.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(crand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, private := write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER)
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "c.csv")
	if err := os.WriteFile(file, []byte("id\n1\n2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, data, "--listen", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", private)
	stdout, stderr, err := kith(t, "import", file, "--data", data)
	if err != nil || !strings.HasPrefix(stdout, "SUCCEEDED: 2 created") {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	if _, stderr, err := kith(t, "serve", "--data", data, "--listen", "127.0.0.1:0"); err == nil || !strings.Contains(stderr, "is in use by another kith process") {
		t.Fatalf("two servers on one folder: %v: %s", err, stderr)
	}
}

// stop ends a server as its operator would.
func stop(t *testing.T, server *exec.Cmd) {
	t.Helper()
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Fatalf("the server did not end cleanly: %v\n%s", err, server.Stderr)
	}
}
