package link

import (
	"os"
	"strconv"
	"testing"

	"kith/internal/people"
)

// Files that are dirty, each in its own way: of the pairs that are told hardly any are wrong, and few are missed that could be found. A floor is a little
// below what is measured; where half of the cells are empty, most pairs have nothing left that tells.
func TestDirtyFiles(t *testing.T) {
	floors := map[string]struct{ precision, f1 float64 }{
		"a third of the cells empty":    {0.96, 0.76},
		"names, cities and birth dates": {0.96, 0.93},
		"cells in wrong columns":        {0.97, 0.94},
		"placeholders":                  {0.94, 0.88},
		"two sources":                   {0.94, 0.81},
		"a little of everything":        {0.93, 0.86},
	}
	records, _ := strconv.Atoi(os.Getenv("KITH_DIRTY")) // so many of every kind are measured, to be read
	all := records > 0
	if !all {
		records = 2000
	}
	var sum bins
	kinds := append(people.Kinds(records, 301), people.Kind{Name: "people", Options: people.Options{Records: records, Repeats: 0.3, Seed: 71}},
		people.Kind{Name: "households", Options: people.Options{Records: records, Repeats: 0.3, Seed: 72, Households: true}})
	for _, k := range kinds {
		floor, ok := floors[k.Name]
		if !ok && !all {
			continue
		}
		l := generated(t, k.Options)
		o := Options{}
		if all {
			o.random = randomPairs
		}
		groups, _, _ := l.find(t, o)
		got, b := l.evaluate(groups, 0.9), l.reliability(groups)
		sum.add(&b)
		t.Logf("%s: precision %.4f, recall %.4f, F1 %.4f\n%s", k.Name, got.precision(), got.recall(), got.f1(), &b)
		if got.precision() < floor.precision || got.f1() < floor.f1 {
			t.Errorf("%s: precision %.4f, F1 %.4f, want %.2f and %.2f at least", k.Name, got.precision(), got.f1(), floor.precision, floor.f1)
		}
	}
	t.Logf("all of them\n%s", &sum)
}
