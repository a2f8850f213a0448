package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/parquet-go/parquet-go"

	"kith/api"
	"kith/schema"
)

// anyProfile is a profile with some of its members, and texts that formats have trouble with.
func anyProfile(rnd *rand.Rand, n int) *api.Profile {
	texts := []string{"plain", "comma, \"quoted\"", "two\nlines", " blanks ", "李明", "=1+1", "null", "\u202eright-to-left", "a\x00b"}
	text := func() *string {
		if rnd.IntN(3) == 0 {
			return nil
		}
		return &texts[rnd.IntN(len(texts))]
	}
	p := &api.Profile{ProfileId: api.Ptr(fmt.Sprintf("%032x", n)), AccountNumber: text(), FirstName: text(), LastName: text(), EmailAddress: text(), GenderString: text()}
	if rnd.IntN(2) == 0 {
		p.Address = &api.Address{City: text(), PostalCode: text()}
		p.BillingAddress = &api.Address{Address1: text()}
	}
	for i := range rnd.IntN(3) {
		if p.Attributes == nil {
			p.Attributes = map[string]string{}
		}
		p.Attributes[fmt.Sprint("a.", i)] = texts[rnd.IntN(len(texts))]
	}
	return p
}

// What is exported comes back, from every format, over several row groups.
func TestExportsComeBack(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 9))
	columns := append([]string{"ProfileId"}, schema.StandardPaths()...)
	columns = append(columns, customColumn+"a.0", customColumn+"a.1")
	var all []map[string]string
	var profiles []*api.Profile
	for n := range rowGroup + 100 {
		p := anyProfile(rnd, n)
		profiles, all = append(profiles, p), append(all, cells(p))
	}
	back := map[string]func([]byte) []map[string]string{"ndjson": fromNDJSON, "csv": fromCSV, "parquet": fromParquet}
	for _, format := range formats {
		var buf bytes.Buffer
		enc, err := newEncoder(format, &buf, columns, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range profiles {
			if err := enc.write(p); err != nil {
				t.Fatal(err)
			}
		}
		if err := enc.close(); err != nil {
			t.Fatal(err)
		}
		got := back[format](buf.Bytes())
		if len(got) != len(all) {
			t.Fatalf("%s: %d profiles of %d", format, len(got), len(all))
		}
		for i := range all {
			if !maps.Equal(got[i], all[i]) {
				t.Fatalf("%s: profile %d is\n%q, want\n%q", format, i, got[i], all[i])
			}
		}
	}
}

func fromNDJSON(b []byte) (all []map[string]string) {
	for line := range bytes.Lines(b) {
		var p api.Profile
		if err := json.Unmarshal(line, &p); err != nil {
			panic(err)
		}
		all = append(all, cells(&p))
	}
	return all
}

func fromCSV(b []byte) (all []map[string]string) {
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		panic(err)
	}
	for _, row := range rows[1:] {
		p := map[string]string{}
		for i, cell := range row {
			if cell != "" { // the API has no empty values
				p[rows[0][i]] = cell
			}
		}
		all = append(all, p)
	}
	return all
}

func fromParquet(b []byte) (all []map[string]string) {
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		panic(err)
	}
	if len(f.RowGroups()) < 2 {
		panic("one row group")
	}
	columns := f.Schema().Columns()
	r := parquet.NewReader(f)
	defer r.Close()
	rows := make([]parquet.Row, 1000)
	for {
		n, err := r.ReadRows(rows)
		for _, row := range rows[:n] {
			p := map[string]string{}
			for _, v := range row {
				if !v.IsNull() {
					p[columns[v.Column()][0]] = string(v.ByteArray())
				}
			}
			all = append(all, p)
		}
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			panic(err)
		}
	}
}
