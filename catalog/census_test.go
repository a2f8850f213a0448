package catalog

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestLeaves(t *testing.T) {
	for object, want := range map[string]string{
		`{}`: "",
		`{"a":"x","b":1.50,"c":true,"d":null,"e":""}`:   "a=x b=1.50 c=true",
		`{"a":{"b":{"c":"x"}},"d":["y",["z",{"e":1}]]}`: "a.b.c=x d=y d=z d.e=1",
		`{"a.b":"1","a":{"b":"2"}}`:                     "a.b=1 a.b=2",
		`{"":{"x":"y"},"ü \" b":"😀"}`:                   `x=y ü " b=😀`,
		`["a",{"b":"c"}]`:                               "b=c",
		`"a"`:                                           "",
	} {
		var got []string
		err := leaves([]byte(object), func(path, text string) error {
			got = append(got, path+"="+text)
			return nil
		})
		if strings.Join(got, " ") != want || err != nil {
			t.Errorf("%s: %q, %v", object, got, err)
		}
	}
	for _, object := range []string{`{`, `{"a"}`, `{} {}`, ``, `{"a":[}`} {
		if err := leaves([]byte(object), func(string, string) error { return nil }); err == nil {
			t.Errorf("%s was read", object)
		}
	}
}

func TestParseNumber(t *testing.T) {
	for text, want := range map[string]float64{"1": 1, "-1.5": -1.5, "+2": 2, "1e3": 1000, ".5": 0.5, "007": 7} {
		if got, ok := parseNumber(text); got != want || !ok {
			t.Errorf("%s: %g, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "x", "1,5", "NaN", "Inf", "0x10", "1_000", "1e999", "1 ", "true", "-"} {
		if got, ok := parseNumber(text); ok {
			t.Errorf("%q is %g", text, got)
		}
	}
}

// naive computes statistics from all values at once, as they are defined.
func naive(all []float64) *stats {
	sorted := slices.Sorted(slices.Values(all))
	s := &stats{Least: sorted[0], Most: sorted[len(sorted)-1]}
	for _, f := range all {
		s.Mean += f / float64(len(all))
	}
	for _, f := range all {
		s.Deviation += (f - s.Mean) * (f - s.Mean) / float64(len(all))
	}
	s.Deviation = math.Sqrt(s.Deviation)
	for i, p := range percents {
		at := float64(p) / 100 * float64(len(sorted)-1)
		below, above := int(math.Floor(at)), int(math.Ceil(at))
		s.Percentiles[i] = sorted[below] + (sorted[above]-sorted[below])*(at-math.Floor(at))
	}
	return s
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

// Statistics are those of the definition, however many numbers there is memory for.
func TestStatistics(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		c := newCensus(false, true)
		c.numbers.most, c.numbers.dir = 1+rng.IntN(200), t.TempDir()
		want := map[of][]float64{}
		for range 1 + rng.IntN(1000) {
			name := of{"T", fmt.Sprint("a", rng.IntN(4))}
			f := math.Round(rng.NormFloat64()*1e4) / 100
			if round%3 == 0 {
				f = float64(rng.IntN(5)) // many of the same
			}
			want[name] = append(want[name], f)
			if err := c.add(name, fmt.Sprint(f), 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.add(of{"T", "text"}, "1", 1); err != nil {
			t.Fatal(err)
		}
		if err := c.add(of{"T", "text"}, "n/a", 1); err != nil {
			t.Fatal(err)
		}
		got, err := c.statsOf()
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d attributes have statistics, want %d", len(got), len(want))
		}
		for name, all := range want {
			w, g := naive(all), got[name]
			ok := g.Least == w.Least && g.Most == w.Most && near(g.Mean, w.Mean) && near(g.Deviation, w.Deviation)
			for i := range percents {
				ok = ok && near(g.Percentiles[i], w.Percentiles[i])
			}
			if !ok {
				t.Fatalf("round %d, %v of %d\ngot  %+v\nwant %+v", round, name, len(all), g, w)
			}
		}
		c.close()
	}
}

func TestStatisticsBeyondWhatCanBeTold(t *testing.T) {
	c := newCensus(false, true)
	defer c.close()
	for _, text := range []string{"1e308", "-1e308", "1e308"} {
		if err := c.add(of{"T", "a"}, text, 1); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := c.statsOf(); len(got) != 0 || err != nil {
		t.Fatal(got, err)
	}
}

// What is told of values are the newest, exactly, whatever order they come in and however often some are dropped on the way.
func TestNewestValues(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		c := newCensus(true, false)
		c.most = 20 * (entrySize + 4)
		last := map[string]int64{}
		for range 2000 {
			v, at := fmt.Sprintf("%04d", rng.IntN(300)), int64(rng.IntN(1_000_000))
			last[v] = max(last[v], at)
			if err := c.add(of{"T", "a"}, v, at); err != nil {
				t.Fatal(err)
			}
		}
		var want []valueAt
		for v, at := range last {
			want = append(want, valueAt{v, at})
		}
		slices.SortFunc(want, valueAt.compare)
		if got := c.attrs[of{"T", "a"}].newest(c.most); !slices.Equal(got, want[:20]) {
			t.Fatalf("got  %v\nwant %v", got, want[:20])
		}
		c.close()
	}
}

// A census stays within its memory, whatever it is fed.
func TestCensusIsBounded(t *testing.T) {
	c := newCensus(true, false)
	defer c.close()
	c.memory = 1 << 20
	for i := range 100_000 {
		if err := c.add(of{"T", fmt.Sprint("a", i%100)}, strings.Repeat("x", 50)+fmt.Sprint(i), int64(i)); err != nil {
			t.Fatal(err)
		}
		if c.size > c.memory+c.memory/2+100 {
			t.Fatalf("%d bytes are kept", c.size)
		}
	}
	if c.attrs[of{"T", "a7"}].at != 99_907 {
		t.Error(c.attrs[of{"T", "a7"}].at)
	}
	for i := range 2 * maxNames {
		if err := c.add(of{"T", fmt.Sprint("b", i)}, "x", 1); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.attrs) != maxNames {
		t.Errorf("%d names", len(c.attrs))
	}
	if err := c.add(of{"T", "long"}, strings.Repeat("ü", maxValue+1), 1); err != nil {
		t.Fatal(err)
	}
}

// Pages of any size add up to the list, also where values have the same time.
func TestPagesOfValues(t *testing.T) {
	var all []valueAt
	for i := range 30 {
		all = append(all, valueAt{fmt.Sprint("v", i), int64(i / 7)})
	}
	slices.SortFunc(all, valueAt.compare)
	for size := 1; size <= len(all); size++ {
		var got []valueAt
		var token *string
		for {
			at, err := parseToken(token)
			if err != nil {
				t.Fatal(err)
			}
			rest := at.behind(all)
			page := rest[:min(size, len(rest))]
			got = append(got, page...)
			if len(page) == len(rest) {
				break
			}
			next := at.next(page)
			token = &next
		}
		if !slices.Equal(got, all) {
			t.Fatalf("pages of %d: %v", size, got)
		}
	}
}
