package link

import (
	"bytes"
	"encoding/csv"
	"math"
	"os"
	"strings"
	"testing"

	"kith/internal/people"
)

// others are records of a kind.
func others(t testing.TB, k *people.Other, records int, seed uint64) *labelled {
	t.Helper()
	var file, who bytes.Buffer
	if err := k.Write(&file, &who, records, seed); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	l := &labelled{}
	n := 0
	for line := range strings.Lines(who.String()) {
		n++
		values := map[string]string{}
		for i, name := range rows[0] {
			target := standardColumns[name]
			if target == "" {
				target = "Attributes." + name
			}
			values[target] = rows[n][i]
		}
		_, entity, _ := strings.Cut(strings.TrimSpace(line), ",")
		l.add(entity, values)
	}
	return l
}

// Files that matching was not made for: other columns, names of other countries, firms, houses, families that share a card. A floor is a little
// below what is measured.
func TestOtherFiles(t *testing.T) {
	floors := map[string]struct{ precision, f1 float64 }{
		"addresses only":    {0.87, 0.9},
		"e-mails only":      {0.97, 0.88},
		"patients":          {0.96, 0.95},
		"shared cards":      {0.95, 0.87},
		"many sources":      {0.98, 0.92},
		"contacts at firms": {0.95, 0.9},
	}
	only, records := os.Getenv("KITH_OTHER"), 600 // measures those whose names have it in them, or all of them, larger, to be read
	if only != "" {
		records = 3000
	}
	var sum bins
	for _, k := range people.Others() {
		floor, ok := floors[k.Name]
		if only == "" && !ok || only != "" && only != "all" && !strings.Contains(k.Name, only) {
			continue
		}
		l := others(t, &k, records, 4)
		o := Options{}
		if only != "" {
			o.random = randomPairs
		}
		groups, m, _ := l.find(t, o)
		got, b := l.evaluate(groups, 0.9), l.reliability(groups)
		sum.add(&b)
		t.Logf("%-24s P %.4f R %.4f F1 %.4f custom %v prior %.2f home %.2f given other %.3f\n%s", k.Name, got.precision(), got.recall(), got.f1(), m.custom, m.priorM, m.priorH,
			math.Exp(float64(m.logM[fGiven][givenOther])), &b)
		if got.precision() < floor.precision || got.f1() < floor.f1 {
			t.Errorf("%s: precision %.4f, F1 %.4f, want %.2f and %.2f at least", k.Name, got.precision(), got.f1(), floor.precision, floor.f1)
		}
	}
	t.Logf("all of them\n%s", &sum)
}
