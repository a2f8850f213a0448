package people

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
)

func make2(t *testing.T, o Options) (file, truth string) {
	t.Helper()
	var f, who bytes.Buffer
	if err := Write(&f, &who, o); err != nil {
		t.Fatal(err)
	}
	return f.String(), who.String()
}

func TestFilesAreTheSameAgain(t *testing.T) {
	o := Options{Records: 500, Seed: 7, Repeats: 0.3}
	a, who := make2(t, o)
	b, again := make2(t, o)
	if a != b || who != again {
		t.Error("the same options made another file")
	}
	o.Seed++
	if c, _ := make2(t, o); c == a {
		t.Error("another seed made the same file")
	}
}

// Each record is somebody, a repeated person is recognisable by some cell, and shares are as asked for.
func TestWhoIsWho(t *testing.T) {
	for _, households := range []bool{false, true} {
		file, truth := make2(t, Options{Records: 5000, Seed: 1, Repeats: 0.3, Households: households})
		rows, err := csv.NewReader(strings.NewReader(file)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		who := strings.Fields(truth)
		if len(rows) != 5001 || len(who) != 5000 {
			t.Fatalf("%d rows, %d persons", len(rows), len(who))
		}
		persons := map[string][]string{}
		ids := map[string]bool{}
		for i, row := range rows[1:] {
			record, person, _ := strings.Cut(who[i], ",")
			if record != row[id] || ids[record] || strings.Contains(strings.Join(row, ""), "=") {
				t.Fatalf("row %d: %q, %s", i, row, who[i])
			}
			ids[record] = true
			if other := persons[person]; other != nil {
				same := 0
				for c := first; c < len(row); c++ {
					if row[c] != "" && row[c] == other[c] {
						same++
					}
				}
				if same == 0 {
					t.Logf("nothing is left: %q, %q", row, other)
				}
			}
			persons[person] = row
		}
		if n := len(persons); n != 3500 {
			t.Errorf("%d persons, want 3500", n)
		}
	}
}

// Households share what they are said to, and their members are told apart by their first names.
func TestHouseholds(t *testing.T) {
	m := maker{Options{Records: 4000, Seed: 3, Households: true, Dirt: 1}, 4000}
	mails, lines, twins := 0, 0, 0
	for h := range 1000 {
		var of [4][]string
		for i := range of {
			if of[i] = m.person(4*h + i); of[i][street] != of[0][street] || of[i][city] != of[0][city] {
				t.Fatalf("%q and %q live together", of[0], of[i])
			}
		}
		if of[0][email] == of[1][email] {
			mails++
		}
		if of[0][phone] == of[1][phone] {
			lines++
		}
		if of[2][birth] == of[3][birth] {
			twins++
		}
		if of[2][first] == of[3][first] {
			t.Errorf("children of one name: %q", of)
		}
	}
	if mails < 450 || mails > 550 || lines < 550 || lines > 650 || twins < 280 || twins > 390 {
		t.Errorf("%d shared e-mail addresses, %d phones, %d twins", mails, lines, twins)
	}
}
