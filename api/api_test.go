package api_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/internal/restjson"
)

func decode(t *testing.T, in restjson.Input, target, body string, labels map[string]string) (string, error) {
	t.Helper()
	r := httptest.NewRequest("POST", target, nil)
	for k, v := range labels {
		r.SetPathValue(k, v)
	}
	if err := new(restjson.Reader).Decode(r, r, []byte(body), in); err != nil {
		return "", err
	}
	var v restjson.Violations
	in.Validate(&v)
	return v.Message(), nil
}

// TestConstraints checks one request per kind of constraint, at its bounds.
func TestConstraints(t *testing.T) {
	d := map[string]string{"DomainName": "d"}
	create := func() restjson.Input { return &api.CreateDomainRequest{} }
	job := func() restjson.Input { return &api.CreateUploadJobRequest{} }
	for name, c := range map[string]struct {
		in     restjson.Input
		target string
		body   string
		labels map[string]string
		want   string
	}{
		"fine":           {create(), "/", `{"DefaultExpirationDays":1}`, d, ""},
		"max":            {create(), "/", `{"DefaultExpirationDays":1098}`, d, ""},
		"unknown member": {create(), "/", `{"DefaultExpirationDays":1,"Nope":{"x":[1]}}`, d, ""},
		"null is absent": {create(), "/", `{"DefaultExpirationDays":1,"DefaultEncryptionKey":null,"Tags":null}`, d, ""},
		"required": {create(), "/", ``, d,
			"1 validation error detected: Value null at 'defaultExpirationDays' failed to satisfy constraint: Member must not be null"},
		"case matters": {create(), "/", `{"defaultexpirationdays":1}`, d,
			"1 validation error detected: Value null at 'defaultExpirationDays' failed to satisfy constraint: Member must not be null"},
		"too small": {create(), "/", `{"DefaultExpirationDays":0}`, d,
			"1 validation error detected: Value '0' at 'defaultExpirationDays' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		"several": {create(), "/", `{"DefaultExpirationDays":1099}`, map[string]string{"DomainName": strings.Repeat("ü", 65)},
			"3 validation errors detected: Value '" + strings.Repeat("ü", 65) + "' at 'domainName' failed to satisfy constraint: Member must have length less than or equal to 64; " +
				"Value '" + strings.Repeat("ü", 65) + "' at 'domainName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9_-]+$; " +
				"Value '1099' at 'defaultExpirationDays' failed to satisfy constraint: Member must have value less than or equal to 1098"},
		"tag keys": {create(), "/", `{"DefaultExpirationDays":1,"Tags":{"aws:x":"v"}}`, d,
			"1 validation error detected: Value 'aws:x' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: ^(?!aws:)[a-zA-Z+-=._:/]+$]"},
		"tag size": {create(), "/", `{"DefaultExpirationDays":1,"Tags":{}}`, d,
			"1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"nested enum": {create(), "/", `{"DefaultExpirationDays":1,"Matching":{"Enabled":true,"JobSchedule":{"DayOfTheWeek":"FUNDAY","Time":"9:00"}}}`, d,
			"1 validation error detected: Value 'FUNDAY' at 'matching.jobSchedule.dayOfTheWeek' failed to satisfy constraint: Member must satisfy enum value set: [SUNDAY, MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY]"},
		"sensitive map": {job(), "/", `{"DisplayName":"x","UniqueKey":"id","Fields":{"secret-label":{"Source":"","Target":"_profile.X"}}}`, d,
			"1 validation error detected: Value at 'fields.value.member.source' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"list": {&api.BatchGetProfileRequest{}, "/", `{"ProfileIds":["` + strings.Repeat("a", 32) + `","ABC"]}`, d,
			"1 validation error detected: Value 'ABC' at 'profileIds.2.member' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-f0-9]{32}"},
		"whole match": {&api.BatchGetProfileRequest{}, "/", `{"ProfileIds":["` + strings.Repeat("a", 33) + `"]}`, d,
			"1 validation error detected: Value '" + strings.Repeat("a", 33) + "' at 'profileIds.1.member' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-f0-9]{32}"},
		"query": {&api.ListUploadJobsRequest{}, "/?max-results=501", ``, d,
			"1 validation error detected: Value '501' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 500"},
		"union": {&api.CreateSegmentDefinitionRequest{}, "/", `{"DisplayName":"x","SegmentGroups":{"Groups":[{"Dimensions":[{}]}]}}`, map[string]string{"DomainName": "d", "SegmentDefinitionName": "s"},
			"1 validation error detected: Value at 'segmentGroups.groups.1.member.dimensions.1.member' failed to satisfy constraint: Member must have exactly one of its members set, not 0"},
		"begins with": {&api.ListTagsForResourceRequest{}, "/", ``, map[string]string{"resourceArn": "arn:aws:profile:us-east-1:0:domains/d"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decode(t, c.in, c.target, c.body, c.labels)
			if err != nil || got != c.want {
				t.Fatalf("%v\ngot  %s\nwant %s", err, got, c.want)
			}
		})
	}
}

func TestSyntaxErrorsQuoteNothing(t *testing.T) {
	for _, body := range []string{`{`, `[]`, `"x"`, `{"DefaultExpirationDays":"secret"}`, `{"DefaultExpirationDays":1.5}`,
		`{"DefaultExpirationDays":99999999999}`, `{"Tags":"secret"}`, `{"Tags":{"a":1}}`, `{"a":1,"a":2}`, "\xff", `{"DefaultExpirationDays":1} x`} {
		_, err := decode(t, &api.CreateDomainRequest{}, "/", body, map[string]string{"DomainName": "d"})
		if _, ok := err.(*restjson.SyntaxError); !ok || strings.Contains(err.Error(), "secret") { // the type itself is the promise
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, err := decode(t, &api.ListUploadJobsRequest{}, "/?max-results=x", "", map[string]string{"DomainName": "d"}); err == nil {
		t.Error("a number that is none was accepted")
	}
}

func TestTimestampsAreSecondsWithThreeDecimals(t *testing.T) {
	b, err := restjson.Encode(api.GetUploadJobPathResponse{Url: api.Ptr("u"), ValidUntil: restjson.At(time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC))})
	if err != nil || string(b) != `{"Url":"u","ValidUntil":1795435200.123}` {
		t.Fatalf("%s, %v", b, err)
	}
}

func TestSensitiveTypesPrintNothing(t *testing.T) {
	in := api.CreateUploadJobRequest{UniqueKey: api.Ptr("k"), Fields: map[string]api.ObjectTypeField{"a": {Source: api.Ptr("secret")}}}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "in", in, "ptr", &in)
	if text := fmt.Sprintf("%v %+v %s", in, &in, in) + log.String(); strings.Contains(text, "secret") || !strings.Contains(text, "redacted") {
		t.Fatal(text)
	}
}

// The table must hold what the model says, in every detail the router uses.
func TestOperationTable(t *testing.T) {
	b, err := os.ReadFile("../model/customer-profiles-2020-08-15.json")
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Operations map[string]struct {
			HTTP struct{ Method, RequestURI string }
		}
	}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, op := range api.Operations {
		if op.Addition {
			if !strings.HasPrefix(op.Path, "/kith/") || !strings.HasPrefix(op.Action, "kith:") {
				t.Errorf("addition %s is at %s with action %s", op.Name, op.Path, op.Action)
			}
			continue
		}
		n++
		if want := m.Operations[op.Name].HTTP; want.Method != op.Method || want.RequestURI != op.Path || op.Action != "profile:"+op.Name {
			t.Errorf("%+v, the model says %+v", op, want)
		}
	}
	if n != 115 {
		t.Errorf("%d operations", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(0, `{"DefaultExpirationDays":1}`, "max-results=1")
	f.Add(20, `{"Tags":{"a":"b"}}`, "next-token=%20")
	f.Fuzz(func(t *testing.T, n int, body, query string) {
		op := api.Operations[uint(n)%uint(len(api.Operations))]
		r := httptest.NewRequest("POST", "/", nil)
		r.URL.RawQuery = query
		in := op.NewInput()
		if new(restjson.Reader).Decode(r, r, []byte(body), in) != nil {
			return
		}
		var v restjson.Violations
		in.Validate(&v)
		if _, err := restjson.Encode(in); err != nil {
			t.Fatalf("%s: what was decoded can't be encoded: %v", op.Name, err)
		}
	})
}
