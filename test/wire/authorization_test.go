package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"kith/access"
	"kith/api"
	"kith/api/apitest"
	"kith/blob/disk"
	"kith/node"
	"kith/server"
	"kith/store/mem"
)

const (
	authDomain = "d0main"
	authName   = "n4me"
)

// authRequest is a request of an operation that names authDomain and, where the operation names something in a domain, authName.
type authRequest struct {
	op     api.Operation
	target string
	body   []byte
}

func newAuthRequest(t *testing.T, m *apitest.Model, op api.Operation, tagged string) authRequest {
	t.Helper()
	r, err := m.Minimal(m.Operations[op.Name])
	if err != nil {
		t.Fatal(err)
	}
	path := op.Path
	for label := range r.Labels {
		v := map[string]string{"DomainName": authDomain, "resourceArn": tagged}[label]
		if v == "" {
			v = authName
		}
		path = strings.ReplaceAll(path, "{"+label+"}", url.PathEscape(v))
	}
	a := authRequest{op: op, target: path + "?" + r.Query.Encode()}
	if op.Method == http.MethodGet || op.Method == http.MethodDelete {
		return a
	}
	body := map[string]any{}
	if len(r.Body) > 0 {
		if err := json.Unmarshal(r.Body, &body); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ObjectTypeName", "Uri", "RecommenderName"} {
		if body[name] != nil || op.Name == "PutIntegration" && name == "Uri" {
			body[name] = authName
		}
	}
	if recommender, ok := body["Recommender"].(map[string]any); ok {
		recommender["Name"] = authName
	}
	a.body, err = json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// send signs the request with a key that has only the given policy, for a region that is not the server's. It returns the type of the
// error, "" for none.
func (a authRequest) send(t *testing.T, n *node.Node, policy string) (errorType string) {
	t.Helper()
	root := access.With(t.Context(), access.Identity{Root: true})
	key, err := n.Access.CreateAccessKey(root, &api.CreateAccessKeyRequest{Policy: &policy})
	if err != nil {
		t.Fatalf("%s: %v", policy, err)
	}
	r := httptest.NewRequestWithContext(t.Context(), a.op.Method, "http://kith.example.com"+a.target, bytes.NewReader(a.body))
	sum := sha256.Sum256(a.body)
	creds := aws.Credentials{AccessKeyID: *key.AccessKeyId, SecretAccessKey: *key.SecretAccessKey}
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), "profile", "eu-central-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	n.Handler.ServeHTTP(w, r)
	return w.Header().Get("X-Amzn-Errortype")
}

// Every operation is authorised against exactly what testdata/authorization.list says it acts on, which is what AWS's Service Authorization
// Reference says: a domain, and something in it. It is allowed by a policy that names just these, and by none that leaves one of
// them out or denies one; and whatever region the caller signs for.
func TestAuthorization(t *testing.T) {
	list, err := os.ReadFile("testdata/authorization.list")
	if err != nil {
		t.Fatal(err)
	}
	acts := map[string]string{}
	for line := range strings.Lines(string(list)) {
		action, on, _ := strings.Cut(strings.TrimSpace(line), " ")
		acts[action] = on
	}
	m, err := apitest.Load("../../model")
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t)
	for _, op := range api.Operations {
		on, ok := acts[op.Action]
		delete(acts, op.Action)
		if !ok {
			t.Errorf("testdata/authorization.list does not say what %s acts on", op.Action)
			continue
		}
		domain := access.ARN("domains/" + authDomain)
		tagged := ""
		var resources []string
		switch kind := strings.TrimPrefix(on, "domains "); {
		case on == "*":
			resources = []string{"*"}
		case on == "TAGGED": // the region and account of the ARN that a client sends say nothing
			tagged = "arn:aws-cn:profile:eu-west-1:1:domains/" + authDomain + "/layouts/" + authName
			resources = []string{domain + "/layouts/" + authName}
		case on == "domains":
			resources = []string{domain}
		case op.Name == "CreateIntegrationWorkflow": // makes the URI
			resources = []string{domain, domain + "/" + kind + "/*"}
		default:
			resources = []string{domain, domain + "/" + kind + "/" + authName}
		}
		r := newAuthRequest(t, m, op, tagged)
		policy := func(effect, action string, resources ...string) string {
			b, err := json.Marshal(map[string]any{"Effect": effect, "Action": action, "Resource": resources})
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		one := func(statements ...string) string {
			return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
		}
		const denied = "AccessDeniedException"
		if e := r.send(t, n, one(policy("Allow", op.Action, resources...))); e == denied {
			t.Errorf("%s is denied to who may do it on %s", op.Name, resources)
		}
		other := "profile:GetDomain"
		if op.Action == other {
			other = "profile:UpdateDomain"
		}
		if e := r.send(t, n, one(policy("Allow", other, "*"))); e != denied {
			t.Errorf("%s is allowed to who may %s: %s", op.Name, other, e)
		}
		for i, resource := range resources {
			if e := r.send(t, n, one(policy("Allow", "*", "*"), policy("Deny", strings.ToUpper(op.Action), resource))); e != denied {
				t.Errorf("%s is allowed although it is denied on %s: %s", op.Name, resource, e)
			}
			rest := append(append([]string(nil), resources[:i]...), resources[i+1:]...)
			if len(rest) == 0 {
				rest = []string{"arn:aws:profile:*:*:domains/another", "arn:aws:profile:*:*:domains/another/layouts/*"}
				if resource == "*" {
					continue // no policy can name anything else
				}
			}
			if e := r.send(t, n, one(policy("Allow", op.Action, rest...))); e != denied {
				t.Errorf("%s is allowed on %s alone, and acts on %s, too: %s", op.Name, rest, resource, e)
			}
		}
	}
	for action := range acts {
		t.Errorf("testdata/authorization.list speaks of %s, which does not exist", action)
	}
}

// An ARN in a request is authorised as what the operation takes it for, however it is written.
func TestTaggedResourcesAreReadOneWay(t *testing.T) {
	n := startNode(t)
	op := api.Operations[0]
	for _, o := range api.Operations {
		if o.Name == "TagResource" {
			op = o
		}
	}
	root := access.With(t.Context(), access.Identity{Root: true})
	if _, err := n.Domains.CreateDomain(root, &api.CreateDomainRequest{DomainName: api.Ptr(authDomain), DefaultExpirationDays: api.Ptr(int32(1))}); err != nil {
		t.Fatal(err)
	}
	deny := `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"arn:aws:profile:*:*:domains/` + authDomain + `"}]}`
	for _, arn := range []string{
		"arn:aws:profile:us-east-1:000000000000:domains/" + authDomain, "arn:aws:profile:eu-west-1:1:domains/" + authDomain, "arn:x:profile:::domains/" + authDomain,
		"arn:aws:profile:us-east-1:000000000000:domains/" + authDomain + "/", "arn:aws:profile:us-east-1:000000000000:domains//" + authDomain,
		"arn:aws:profile:us-east-1:000000000000:/domains/" + authDomain, "ARN:aws:profile:us-east-1:000000000000:domains/" + authDomain,
	} {
		r := authRequest{op: op, target: "/tags/" + url.PathEscape(arn), body: []byte(`{"tags":{"a":"b"}}`)}
		if e := r.send(t, n, deny); e == "" {
			t.Errorf("tagged through %s", arn)
		}
	}
	got, err := n.Domains.GetDomain(root, &api.GetDomainRequest{DomainName: api.Ptr(authDomain)})
	if err != nil || len(got.Tags) > 0 {
		t.Fatal(fmt.Sprint(got, err))
	}
}

// A key made in development mode is nobody's when the same data is served without it, and the data's first start has still to come.
func TestKeysOfDevelopmentModeEndWithIt(t *testing.T) {
	st := mem.New()
	start := func(dev bool) *node.Node {
		blobs, err := disk.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		n, err := node.Start(node.Config{Store: st, Blobs: blobs, Master: make([]byte, 32), Owner: "wire", Server: server.Config{AnyKey: dev}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Stop)
		return n
	}
	list := func(n *node.Node, key *api.CreateAccessKeyResponse) string {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/domains", nil)
		sum := sha256.Sum256(nil)
		creds := aws.Credentials{AccessKeyID: *key.AccessKeyId, SecretAccessKey: *key.SecretAccessKey}
		if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), "profile", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		n.Handler.ServeHTTP(w, r)
		return w.Header().Get("X-Amzn-Errortype")
	}
	dev := start(true)
	root := access.With(t.Context(), access.Identity{Root: true})
	key, err := dev.Access.CreateAccessKey(root, &api.CreateAccessKeyRequest{Policy: api.Ptr(access.Everything)})
	if err != nil {
		t.Fatal(err)
	}
	if e := list(dev, key); e != "" {
		t.Fatal(e)
	}
	dev.Stop()
	real := start(false)
	if e := list(real, key); e != "UnrecognizedClientException" {
		t.Fatalf("the key is answered with %q", e)
	}
	if empty, err := real.Access.Empty(t.Context()); err != nil || !empty {
		t.Fatal("no root key would be made", err)
	}
}

// Who may not tag can't do it by making things with tags.
func TestTagsFromTheStartAreTagging(t *testing.T) {
	n := startNode(t)
	byName := map[string]api.Operation{}
	for _, op := range api.Operations {
		byName[op.Name] = op
	}
	noTags := `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"profile:TagResource","Resource":"*"}]}`
	for _, c := range []struct {
		op, target, body, want string
	}{
		{"CreateDomain", "/domains/a", `{"DefaultExpirationDays":1}`, ""},
		{"CreateDomain", "/domains/b", `{"DefaultExpirationDays":1,"Tags":{}}`, "BadRequestException"},
		{"CreateDomain", "/domains/c", `{"DefaultExpirationDays":1,"Tags":{"a":"b"}}`, "AccessDeniedException"},
		{"UpdateDomain", "/domains/a", `{"Tags":{"a":"b"}}`, ""}, // ignores them
	} {
		if e := (authRequest{op: byName[c.op], target: c.target, body: []byte(c.body)}).send(t, n, noTags); e != c.want {
			t.Errorf("%s %s: %q, want %q", c.op, c.body, e, c.want)
		}
	}
}
