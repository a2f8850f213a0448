package api_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"kith/api"
	"kith/api/apitest"
	"kith/internal/restjson"
)

// Every constraint of the model, at every depth of every operation's input: what is just inside of it is accepted, and what is
// just outside is refused with the sentence that names the member and the constraint.
func TestBoundaries(t *testing.T) {
	m, err := apitest.Load("../model")
	if err != nil {
		t.Fatal(err)
	}
	cases, operations := 0, 0
	for _, op := range api.Operations {
		operations++
		for _, last := range []bool{false, true} {
			err := m.Cases(m.Operations[op.Name], last, func(c apitest.Case) error {
				cases++
				if text := judge(op, c); text != "" {
					t.Errorf("%s, %q, %s: %s", op.Name, c.Where, c.What, text)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d requests of %d operations", cases, operations)
	if operations != len(m.Operations) || cases < 50*operations {
		t.Errorf("%d requests of %d operations; the model has %d operations", cases, operations, len(m.Operations))
	}
}

// judge sends a request through decoding and validation, and says what is wrong with the outcome.
func judge(op api.Operation, c apitest.Case) (wrong string) {
	defer func() {
		if p := recover(); p != nil {
			wrong = fmt.Sprintf("panic: %v", p)
		}
	}()
	r := httptest.NewRequest("POST", "/?"+c.Query.Encode(), nil)
	for label, v := range c.Labels {
		r.SetPathValue(label, v)
	}
	in := op.NewInput()
	if err := new(restjson.Reader).Decode(r, r, c.Body, in); err != nil {
		return "it could not be decoded: " + err.Error()
	}
	var v restjson.Violations
	in.Validate(&v)
	got := v.Message()
	switch {
	case c.Want == "" && got != "":
		return "refused: " + short(got)
	case !strings.Contains(got, c.Want):
		return fmt.Sprintf("got %q, want %q", short(got), c.Want)
	case c.Want != "" && c.Secret && !strings.Contains(got, "Value at '") && !strings.Contains(got, "Value null at '"):
		return "a sensitive value is quoted: " + short(got)
	}
	return ""
}

func short(text string) string {
	if len(text) > 1000 {
		return text[:1000] + "…"
	}
	return text
}
