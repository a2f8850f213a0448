package conformance

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"

	"kith/access"
	"kith/api"
	"kith/blob/disk"
	"kith/match"
	"kith/node"
	"kith/server"
	"kith/store/mem"
)

// serve starts a server behind a middleware and returns how it is reached.
func serve(t *testing.T, around func(http.Handler) http.Handler) Config {
	t.Helper()
	blobs, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(node.Config{
		Store: mem.New(), Blobs: blobs, Master: make([]byte, 32), Owner: "test",
		Exports: match.Folder{Dir: t.TempDir()}, Server: server.Config{Local: &access.Key{ID: "TEST", Secret: "secret"}},
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := http.Handler(n.Handler)
	if around != nil {
		handler = around(handler)
	}
	web := httptest.NewServer(handler)
	t.Cleanup(func() { web.Close(); n.Stop() })
	return Config{
		Account: "000000000000",
		Options: cp.Options{BaseEndpoint: &web.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("TEST", "secret", "")},
	}
}

// domains are the names of the server's domains.
func domains(t *testing.T, c Config) (names []string) {
	t.Helper()
	out, err := cp.New(c.Options).ListDomains(t.Context(), &cp.ListDomainsInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range out.Items {
		names = append(names, *d.DomainName)
	}
	return names
}

// Kith shows every behaviour, with reads that see each write at once; what is skipped is not built; nothing is left behind. Every
// operation that is built has a check.
func TestKithConforms(t *testing.T) {
	c := serve(t, nil)
	edge := server.New(server.Config{Admin: &server.Admin{}})
	skipped := map[string]bool{}
	c.Done = func(r Result) {
		switch r.Outcome {
		case Differs:
			t.Errorf("%s: %s (%s, %s)\n\t%s", r.Operation, r.Behaviour, r.Section, r.Confidence, strings.Join(r.Differences, "\n\t"))
		case Skipped:
			skipped[strings.TrimSuffix(r.Reason, " is not built")] = true
		}
	}
	results, err := Run(t.Context(), c)
	if err != nil || len(results) < 100 {
		t.Errorf("%d results: %v", len(results), err)
	}
	for op := range skipped {
		if edge.Implemented(op) {
			t.Errorf("checks were skipped because %s is not built, and it is", op)
		}
	}
	for _, op := range api.Operations {
		if !op.Addition && edge.Implemented(op.Name) && !slices.ContainsFunc(all, func(c Check) bool { return c.Operation == op.Name }) {
			t.Errorf("%s is built and has no check", op.Name)
		}
	}
	if left := domains(t, c); len(left) > 0 {
		t.Errorf("domains are left: %v", left)
	}
}

// rewrite answers in the place of the server where do says so, and else lets it answer.
func rewrite(do func(w http.ResponseWriter, r *http.Request, next http.Handler) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !do(w, r, next) {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// A server that differs in one behaviour is told so, by the check of that behaviour.
func TestDifferencesAreTold(t *testing.T) {
	answer := func(w http.ResponseWriter, status int, kind, body string) bool {
		w.Header().Set("X-Amzn-Requestid", "1")
		w.Header().Set("X-Amzn-Errortype", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
	for name, c := range map[string]struct {
		operation, behaviour, told string
		broken                     func(w http.ResponseWriter, r *http.Request, next http.Handler) bool
	}{
		"another exception": {"GetDomain", "an unknown domain is not found", "got BadRequestException", func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			return r.Method == "GET" && strings.HasPrefix(r.URL.Path, "/domains/kith-conformance-unknown") && answer(w, 400, "BadRequestException", `{"Message": "no"}`)
		}},
		"a refusal that is missing": {"ListUploadJobs", "pages may have 500 jobs, not 501", "it is accepted, want BadRequestException", func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			return r.URL.Query().Get("max-results") == "501" && answer(w, 200, "", `{"Items": []}`)
		}},
		"a write without effect": {"TagResource", "tags are added to those there are, and those of the same key replaced", "the tag", func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			return r.Method == "POST" && strings.HasPrefix(r.URL.Path, "/tags/") && answer(w, 200, "", `{}`)
		}},
		"an error of the server": {"DeleteDomain", "no call is answered with an error of the server", ": 500, ", func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			return r.Method == "DELETE" && strings.HasPrefix(r.URL.Path, "/domains/kith-conformance-unknown") && answer(w, 500, "InternalServerException", `{}`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // a retry waits
			conf := serve(t, rewrite(c.broken))
			conf.Operations = []string{c.operation}
			results, err := Run(t.Context(), conf)
			if err != nil {
				t.Fatal(err)
			}
			told := false
			for _, r := range results {
				told = told || r.Behaviour == c.behaviour && r.Outcome == Differs && strings.Contains(strings.Join(r.Differences, "\n"), c.told)
			}
			if !told {
				t.Errorf("%q with %q is not told: %+v", c.behaviour, c.told, results)
			}
		})
	}
}

// A server whose lists see a layout only the third time they are asked differs without patience, and conforms with some.
func TestPatience(t *testing.T) {
	for _, patience := range []time.Duration{0, time.Minute} {
		asked := 0
		c := serve(t, rewrite(func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
			if r.Method != "GET" || !strings.HasSuffix(r.URL.Path, "/layouts") {
				return false
			}
			if asked++; asked > 2 {
				return false
			}
			_, _ = io.WriteString(w, `{"Items": []}`)
			return true
		}))
		c.Operations, c.Patience = []string{"ListDomainLayouts"}, patience
		results, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]Outcome{true: Differs, false: OK}[patience == 0]; results[0].Outcome != want {
			t.Errorf("with a patience of %s: %+v", patience, results[0])
		}
	}
}

// A run that is interrupted, and one whose first call fails after it had its effect, leave nothing, and touch nothing of others.
func TestNothingIsLeft(t *testing.T) {
	lost := false
	c := serve(t, rewrite(func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if lost && r.Method == "POST" && strings.HasPrefix(r.URL.Path, "/domains/kith-conformance-") {
			next.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	}))
	if _, err := cp.New(c.Options).CreateDomain(t.Context(), &cp.CreateDomainInput{DomainName: new("kith-conformance"), DefaultExpirationDays: new(int32(1))}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	results := 0
	c.Operations = []string{"ListDomains", "DeleteDomain"} // which make domains of their own
	c.Done = func(Result) {
		if results++; results == 2 {
			cancel()
		}
	}
	if got, err := Run(ctx, c); !errors.Is(err, context.Canceled) || len(got) != 2 {
		t.Errorf("%d results: %v", len(got), err)
	}
	lost = true
	if _, err := Run(t.Context(), c); err == nil {
		t.Error("the checks were made without their domain")
	}
	lost = false
	if got := domains(t, c); len(got) != 1 || got[0] != "kith-conformance" {
		t.Errorf("the domains are %v", got)
	}
}

// Each check names its section in docs/spec and its confidence; no two have the same name.
func TestChecksAreNamed(t *testing.T) {
	text := map[string][]byte{}
	for _, name := range []string{"core.md", "advanced.md", "newer.md"} {
		b, err := os.ReadFile("../docs/spec/" + name)
		if err != nil {
			t.Fatal(err)
		}
		text[name] = b
	}
	seen := map[string]bool{}
	for _, c := range all {
		file, section, _ := strings.Cut(c.Section, " ")
		if !bytes.Contains(text[file], []byte("\n## "+section+". ")) && !bytes.Contains(text[file], []byte("\n### "+section+" ")) {
			t.Errorf("%s: %s: there is no section %s", c.Operation, c.Behaviour, c.Section)
		}
		if !slices.Contains(Confidences, c.Confidence) || seen[c.Operation+c.Behaviour] {
			t.Errorf("%s: %s: confidence %s, or twice", c.Operation, c.Behaviour, c.Confidence)
		}
		seen[c.Operation+c.Behaviour] = true
		if !slices.ContainsFunc(api.Operations, func(op api.Operation) bool { return op.Name == c.Operation }) {
			t.Errorf("there is no operation %s", c.Operation)
		}
	}
	if _, err := Checks(Config{Operations: []string{"Nobody"}}); err == nil || !strings.Contains(err.Error(), "Nobody") {
		t.Errorf("an unknown operation: %v", err)
	}
	sure, err := Checks(Config{Confidence: Model})
	if err != nil || len(sure) == 0 || slices.ContainsFunc(sure, func(c Check) bool { return c.Confidence != Model }) {
		t.Errorf("the checks of the model are %d: %v", len(sure), err)
	}
}
