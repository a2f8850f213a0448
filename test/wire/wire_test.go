// Package wire plays recorded requests and compares the answers byte by byte: status, headers and body.
//
// A script in testdata is a txtar archive: a file "name.request" holds the request line, headers, an empty line and the body;
// "name.response" the answer. `go test ./test/wire -update` records the answers anew; the difference is what to review.
// Ids, times and tokens are written as <id>, <time> and <token>. {job} in a request is the last id of an upload job,
// {profile} that of a profile.
package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/rogpeppe/go-internal/txtar"

	"kith/access"
	"kith/api"
	"kith/api/apitest"
	"kith/blob/disk"
	"kith/match"
	"kith/node"
	"kith/server"
	"kith/store/mem"
)

var update = flag.Bool("update", false, "record the answers anew")

var volatile = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`"NextToken":"[A-Za-z0-9_-]+"`), `"NextToken":"<token>"`},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "<id>"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "<id>"},
	{regexp.MustCompile(`\b1[0-9]{9}\.[0-9]{3}\b`), "<time>"},
	{regexp.MustCompile(`\b20[0-9]{6}T[0-9]{6}Z\b`), "<time>"},
	{regexp.MustCompile(`KITH[A-Z2-7]{16}`), "<key>"},
	{regexp.MustCompile(`\]\}\],"Status":"(PENDING|IN_PROGRESS|ACTIVE)"`), `]}],"Status":"<status>"`}, // of matching rules: they are evaluated meanwhile
	{regexp.MustCompile(`"SecretAccessKey":"[^"]+"`), `"SecretAccessKey":"<secret>"`},
}

var shownHeaders = []string{"Allow", "Content-Type", "X-Amzn-Errortype"}

var (
	jobID     = regexp.MustCompile(`"JobId":"([0-9a-f]{32})"`)
	profileID = regexp.MustCompile(`"ProfileId":"([0-9a-f]{32})"`)
)

func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, path := range scripts {
		t.Run(filepath.Base(path), func(t *testing.T) { play(t, path) })
	}
}

// startNode starts a node on empty engines.
func startNode(t *testing.T) *node.Node {
	t.Helper()
	return startNodeWith(t, server.Config{Local: &access.Key{ID: "WIRE", Secret: "secret"}})
}

// startNodeWith is startNode with another edge.
func startNodeWith(t *testing.T, c server.Config) *node.Node {
	t.Helper()
	blobs, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(node.Config{
		Store: mem.New(), Blobs: blobs, Master: make([]byte, 32), Owner: "wire", Exports: match.Folder{Dir: t.TempDir()}, Server: c,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	return n
}

// serve starts a node on empty engines and returns its URL.
func serve(t *testing.T) string {
	t.Helper()
	web := httptest.NewServer(startNode(t).Handler)
	t.Cleanup(web.Close)
	return web.URL
}

func play(t *testing.T, path string) {
	base := serve(t)
	script, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var recorded []txtar.File
	job, profile := "", ""
	for i, f := range script.Files {
		name, ok := strings.CutSuffix(f.Name, ".request")
		if !ok {
			continue
		}
		got, body := send(t, base, strings.NewReplacer("{job}", job, "{profile}", profile).Replace(string(f.Data)))
		if m := jobID.FindStringSubmatch(body); m != nil {
			job = m[1]
		}
		if m := profileID.FindStringSubmatch(body); m != nil {
			profile = m[1]
		}
		recorded = append(recorded, f, txtar.File{Name: name + ".response", Data: []byte(got)})
		if *update {
			continue
		}
		if i+1 >= len(script.Files) || script.Files[i+1].Name != name+".response" {
			t.Errorf("%s has no recorded answer", name)
		} else if want := string(script.Files[i+1].Data); want != got {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", name, got, want)
		}
	}
	if *update {
		script.Files = recorded
		if err := os.WriteFile(path, txtar.Format(script), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// An operation that is built answers a valid request by itself; all others say that they are not built, and only after the request
// was found valid.
func TestOperationsNotBuilt(t *testing.T) {
	base := serve(t)
	m, err := apitest.Load("../../model")
	if err != nil {
		t.Fatal(err)
	}
	edge := server.New(server.Config{Log: slog.New(slog.DiscardHandler), Admin: &server.Admin{}})
	for _, op := range api.Operations {
		r, err := m.Minimal(m.Operations[op.Name])
		if err != nil {
			t.Fatal(err)
		}
		path := op.Path
		for label, v := range r.Labels {
			path = strings.ReplaceAll(path, "{"+label+"}", url.PathEscape(v))
		}
		text := op.Method + " " + path + "?" + r.Query.Encode() + "\n\n"
		if op.Method != http.MethodGet {
			text += string(r.Body)
		}
		answer, _ := send(t, base, text)
		if status, _, _ := strings.Cut(answer, "\n"); edge.Implemented(op.Name) == (status == "501") {
			t.Errorf("%s: built is %t, and it answers %s", op.Name, edge.Implemented(op.Name), answer)
		}
	}
}

// send plays one request and returns the answer as it is recorded, and its body as it came.
func send(t *testing.T, base, text string) (recorded, raw string) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	body = strings.TrimSuffix(body, "\n")
	r, err := http.NewRequestWithContext(context.Background(), method, base+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sign, service := true, "profile"
	for _, line := range lines[1:] {
		k, v, _ := strings.Cut(line, ": ")
		if k == "Unsigned" {
			sign = false
			continue
		}
		if k == "Signed-For" {
			service = v
			continue
		}
		r.Header.Set(k, v)
	}
	if sign {
		sum := sha256.Sum256([]byte(body))
		creds := aws.Credentials{AccessKeyID: "WIRE", SecretAccessKey: "secret"}
		if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hex.EncodeToString(sum[:]), service, "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	res, err := http.DefaultTransport.RoundTrip(r) // no redirects, no retries
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(bufio.NewReader(res.Body))
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("X-Amzn-Requestid") == "" {
		t.Errorf("%s: no request id", lines[0])
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d\n", res.StatusCode)
	for _, h := range shownHeaders {
		if v := res.Header.Get(h); v != "" {
			fmt.Fprintf(&out, "%s: %s\n", h, v)
		}
	}
	fmt.Fprintf(&out, "\n%s\n", b)
	recorded = out.String()
	for _, v := range volatile {
		recorded = v.pattern.ReplaceAllString(recorded, v.name)
	}
	return recorded, string(b)
}
