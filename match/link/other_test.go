package link

import (
	"bytes"
	"encoding/csv"
	"math"
	"os"
	"strconv"
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
	measureOthers(t, people.Others(), os.Getenv("KITH_OTHER"), map[string]floor{
		"addresses only":    {0.87, 0.9},
		"e-mails only":      {0.97, 0.88},
		"patients":          {0.96, 0.95},
		"shared cards":      {0.95, 0.87},
		"many sources":      {0.98, 0.92},
		"contacts at firms": {0.95, 0.9},
	})
}

// More such files, of which nobody had looked at any while matching was made.
func TestStrangeFiles(t *testing.T) {
	measureOthers(t, people.Strangers(), os.Getenv("KITH_STRANGE"), map[string]floor{
		"addresses in one cell":      {0.95, 0.93},
		"many scripts":               {0.95, 0.88},
		"nearly empty rows":          {0.96, 0.78},
		"twins, seniors and juniors": {0.9, 0.92},
		"shifted columns":            {0.96, 0.89},
	})
}

type floor struct{ precision, f1 float64 }

// measureOthers holds files to floors. only measures those whose names have it in them, or all of them, larger, to be read; KITH_SEED makes other files of
// the same kinds, and KITH_RECORDS larger ones.
func measureOthers(t *testing.T, kinds []people.Other, only string, floors map[string]floor) {
	records, seed := 600, uint64(4)
	if only != "" {
		records = 3000
		if n, err := strconv.Atoi(os.Getenv("KITH_RECORDS")); err == nil {
			records = n
		}
		if n, err := strconv.ParseUint(os.Getenv("KITH_SEED"), 10, 64); err == nil {
			seed = n
		}
	}
	var sum bins
	for _, k := range kinds {
		floor, ok := floors[k.Name]
		if only == "" && !ok || only != "" && only != "all" && !strings.Contains(k.Name, only) {
			continue
		}
		l := others(t, &k, records, seed)
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
