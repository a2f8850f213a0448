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
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"kith/api"
	"kith/api/apitest"
	"kith/server"
)

// bounds sends the requests of the model's constraints to a whole server, signed, as a client would.
type bounds struct {
	handler http.Handler
	signer  *v4.Signer
}

// send returns the answer to a request of an operation.
func (b *bounds) send(t *testing.T, op api.Operation, r apitest.Request) *httptest.ResponseRecorder {
	t.Helper()
	path := op.Path
	for label, v := range r.Labels {
		path = strings.ReplaceAll(path, "{"+label+"}", url.PathEscape(v))
	}
	body := r.Body
	if op.Method == http.MethodGet {
		body = nil
	}
	req, err := http.NewRequestWithContext(t.Context(), op.Method, "http://localhost"+path+"?"+r.Query.Encode(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	creds, query := aws.Credentials{AccessKeyID: "WIRE", SecretAccessKey: "secret"}, req.URL.RawQuery
	if err := b.signer.SignHTTP(t.Context(), creds, req, hex.EncodeToString(sum[:]), "profile", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	req.URL.RawQuery = query // in its own order: the signer sorts the values of a parameter
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, req)
	return w
}

// renew makes the domain that minimal requests are about, if the last operation removed it or if there was none.
func (b *bounds) renew(t *testing.T, m *apitest.Model) {
	t.Helper()
	for _, op := range api.Operations {
		if op.Name == "CreateDomain" {
			r, err := m.Minimal(m.Operations[op.Name])
			if err != nil {
				t.Fatal(err)
			}
			r.Body = []byte(`{"DefaultExpirationDays": 30, "DataStore": {"Enabled": true}}`)
			if w := b.send(t, op, r); w.Code != 200 && !strings.Contains(w.Body.String(), "already exists") {
				t.Fatal(w.Code, w.Body)
			}
		}
	}
}

// refusal says what is wrong with an answer that must be a refusal of the request's form.
func refusal(w *httptest.ResponseRecorder, code, want string) string {
	var e struct{ Message string }
	switch err := json.Unmarshal(w.Body.Bytes(), &e); {
	case w.Code != http.StatusBadRequest, w.Header().Get("X-Amzn-Errortype") != code:
		return fmt.Sprintf("want 400 %s, got %s", code, shown(w))
	case err != nil:
		return fmt.Sprintf("the answer is no JSON: %s", shown(w))
	case !strings.Contains(e.Message, want):
		return fmt.Sprintf("want a sentence with %q, got %s", want, shown(w))
	}
	return ""
}

func shown(w *httptest.ResponseRecorder) string {
	text := w.Body.String()
	if len(text) > 400 {
		text = text[:400] + "…"
	}
	return fmt.Sprintf("%d %s %s", w.Code, w.Header().Get("X-Amzn-Errortype"), text)
}

// judge says what is wrong with the answer to a case: what breaks a constraint is refused by that constraint, and what keeps all of
// them is not; it may be refused for what is there, such as an unknown id, but never with a 500.
func judge(built bool, c apitest.Case, w *httptest.ResponseRecorder) string {
	const constraint = "failed to satisfy constraint"
	empty := false // a path with an empty label is that of another operation, or of none
	for _, v := range c.Labels {
		empty = empty || v == ""
	}
	switch {
	case c.Want != "" && empty:
		if w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusBadRequest {
			return "an empty label is answered " + shown(w)
		}
	case c.Want != "":
		return refusal(w, "BadRequestException", c.Want)
	case !built:
		if w.Code != http.StatusNotImplemented {
			return "it is not built, and answers " + shown(w)
		}
	case w.Code >= 500:
		return "a valid request is answered " + shown(w)
	case w.Code == http.StatusBadRequest && strings.Contains(w.Body.String(), constraint):
		return "a valid request is refused by a constraint: " + shown(w)
	case w.Code != 200 && w.Code != 400 && w.Code != 403 && w.Code != 404:
		return "a valid request is answered " + shown(w)
	}
	return ""
}

// Every constraint of the model, at every depth of every operation's input, on a whole server: what breaks it is a 400 of the right
// exception whose sentence names the member and the constraint, before the operation is looked for; what keeps it is never a 500.
func TestConstraintsEndToEnd(t *testing.T) {
	m, err := apitest.Load("../../model")
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t)
	edge := server.New(server.Config{Admin: &server.Admin{}})
	b := &bounds{handler: n.Handler, signer: v4.NewSigner()}
	requests, refused := 0, 0
	for _, op := range api.Operations {
		b.renew(t, m)
		built := edge.Implemented(op.Name)
		each := func(c apitest.Case) error {
			requests++
			if c.Want != "" {
				refused++
			}
			if wrong := judge(built, c, b.send(t, op, c.Request)); wrong != "" {
				t.Errorf("%s, %q, %s: %s", op.Name, c.Where, c.What, wrong)
			}
			return nil
		}
		if err := m.Cases(m.Operations[op.Name], false, each); err != nil {
			t.Fatal(err)
		}
		err := m.Mistyped(m.Operations[op.Name], func(c apitest.Case) error {
			requests++
			refused++
			if wrong := refusal(b.send(t, op, c.Request), "SerializationException", c.Want); wrong != "" {
				t.Errorf("%s, %q, %s: %s", op.Name, c.Where, c.What, wrong)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d requests, %d of them refused", requests, refused)
	if refused < 20*len(api.Operations) {
		t.Errorf("only %d requests that must be refused", refused)
	}
}
