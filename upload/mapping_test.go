package upload

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"kith/api"
	"kith/fault"
	"kith/internal/restjson"
	"kith/schema"
	"kith/upload/stage"
)

// pieces of which random names of columns are made: words that mean something, and what may go wrong.
var pieces = []string{
	"id", "Customer ID", "E-Mail", "email", "Name", "Nom", "Vorname", "Phone", "billing", "City", "Address 1", "Gender", "Geschlecht", "PartyType", "AccountNumber", "Attributes", "Attributes.x",
	"FirstName", "MailingAddress.City", " ", "  ", "_", ".", ",", ";", "\t", "\n", "\"", "'", "{{", "}}", "{{_source.a}}", "{", "_source.", "_profile.", "\u200b", "\ufeff", "\u00a0", "\x01", "é", "e\u0301", "名前", "電話", "İ", "ß", "#", "/", "()", "[]",
	"[", "(", "【必須】", "kith_line", "kith_reason", "x", "Y", "9", "2024", "ProfileId", "password", strings.Repeat("long ", 60), strings.Repeat("界", 300), "😀",
}

// wished are targets that a person may have for a column.
var wished = []string{"", "FirstName", "LastName", "EmailAddress", "Attributes.x"}

// What is suggested for a file is always accepted as a job, whatever its columns are called: limits of the API, rules of mappings, and columns
// that are there once.
func TestSuggestedMappingsAreAccepted(t *testing.T) {
	accepted, files := uint64(0), uint64(300)
	if testing.Short() {
		files = 30
	}
	for seed := range files {
		rng := rand.New(rand.NewPCG(seed, 1))
		text, header := randomTable(rng)
		in := &api.SuggestUploadMappingRequest{DomainName: api.Ptr("d"), Head: text}
		for range rng.IntN(3) {
			if name := header[rng.IntN(len(header))]; name != "" && len(name) <= 512 {
				in.Columns = append(in.Columns, api.ColumnTarget{Column: &name, Target: &wished[rng.IntN(len(wished))]})
			}
		}
		out, err := (&Service{}).SuggestUploadMapping(context.Background(), in)
		if err == nil && out.UniqueKey == nil { // a person has to say it
			in.KeyColumn = api.Ptr(header[rng.IntN(len(header))])
			if *in.KeyColumn == "" || len(*in.KeyColumn) > 512 {
				continue
			}
			out, err = (&Service{}).SuggestUploadMapping(context.Background(), in)
		}
		if errors.Is(err, fault.BadRequest) {
			continue // the table has no columns, or the one that was asked for can't be a key
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		job := &api.CreateUploadJobRequest{DomainName: api.Ptr("d"), DisplayName: api.Ptr("x"), Fields: out.Fields, UniqueKey: out.UniqueKey}
		var v restjson.Violations
		job.Validate(&v)
		if v.Message() != "" {
			t.Errorf("seed %d: %s", seed, v.Message())
		}
		if _, err := stage.Compile(job.Fields, *job.UniqueKey); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		checkSources(t, seed, out)
		accepted++
	}
	if accepted < files/2 {
		t.Errorf("only %d of %d tables have a mapping", accepted, files)
	}
}

// checkSources reports fields that read a column that is not there once, and columns that are left out without a reason.
func checkSources(t *testing.T, seed uint64, out *api.SuggestUploadMappingResponse) {
	t.Helper()
	times := map[string]int{}
	for _, c := range out.Columns {
		times[*c.Name]++
		if len(c.FieldNames) == 0 && *c.Reason == "" {
			t.Errorf("seed %d: column %q is left out without a reason", seed, *c.Name)
		}
	}
	for label, f := range out.Fields {
		s, err := schema.ParseSource(*f.Source)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		for _, p := range s.Paths() {
			if times[schema.ColumnName(p)] != 1 {
				t.Errorf("seed %d: field %q reads column %q, which is there %d times", seed, label, p, times[schema.ColumnName(p)])
			}
		}
	}
}

// A column of whole names gives only the half of them that no other column is asked to fill, and says which.
func TestHalfOfWholeNames(t *testing.T) {
	for _, c := range []struct{ wish, half, reason string }{{"FirstName", "LastName", "a whole name, split"}, {"LastName", "FirstName", "a whole name, split"}} {
		out, err := (&Service{}).SuggestUploadMapping(context.Background(), &api.SuggestUploadMappingRequest{
			DomainName: api.Ptr("d"), Head: []byte("id,Name,X\n1,Ann Lee,Anna\n2,Bob Ray,Robert\n"), Columns: []api.ColumnTarget{{Column: api.Ptr("X"), Target: &c.wish}},
		})
		if err != nil {
			t.Fatal(err)
		}
		name := out.Columns[1]
		if api.Val(name.Target) != "_profile."+c.half || len(name.FieldNames) != 1 || *name.Reason != c.reason {
			t.Errorf("with X for %s, Name fills %s by %q: %s", c.wish, api.Val(name.Target), name.FieldNames, *name.Reason)
		}
		for _, w := range out.Warnings {
			if *w.Code == "left-out" {
				t.Errorf("with X for %s: %s", c.wish, *w.Message)
			}
		}
	}
}

func randomTable(rng *rand.Rand) (text []byte, header []string) {
	for range 1 + rng.IntN(12) {
		name := ""
		for range rng.IntN(4) {
			name += pieces[rng.IntN(len(pieces))]
		}
		header = append(header, name)
	}
	if rng.IntN(20) == 0 {
		for i := range 300 {
			header = append(header, fmt.Sprintf("q%d", i))
		}
	}
	values := []string{"", "", "7", "Ann Lee", "Lee, Ann", "a@x.example", "+49 171 1234567", "n/a", "4.47911E+11", "active", "'007", "Müller GmbH", "1979-01-02", strings.Repeat("x", 300)}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(header)
	for range rng.IntN(6) {
		row := make([]string, len(header))
		for i := range row {
			row[i] = values[rng.IntN(len(values))]
		}
		_ = w.Write(row)
	}
	w.Flush()
	return b.Bytes(), header
}

// A file whose rows are all rejected has rows: it is said why they are, and not that there is none.
func TestRowsThatAreAllRejected(t *testing.T) {
	for text, want := range map[string]string{
		"id,email\n":                 "no-rows",
		"id,email\n1,a@x.example,\n": "",
		"id,email\n1,,2\n":           "rows-wide",
		"id,email\n1,\"a\"b\n":       "rows-unsound",
	} {
		out, err := (&Service{}).SuggestUploadMapping(context.Background(), &api.SuggestUploadMappingRequest{DomainName: api.Ptr("d"), Head: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range out.Warnings {
			if *w.Code == "no-rows" || strings.HasPrefix(*w.Code, "rows-") {
				got = append(got, *w.Code)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q is told of by %q, not by %q", text, got, want)
		}
	}
}
