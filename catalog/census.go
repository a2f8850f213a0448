package catalog

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxNames is how many attributes a census takes in.
	maxNames = 10_000
	// maxValue is the longest value that is told, in characters.
	maxValue = 1000
	// valuesSize bounds the values of an attribute, in bytes; entrySize is what each takes besides its text.
	valuesSize = 350_000
	entrySize  = 16
	// censusMemory bounds the values of all attributes together, in bytes; it may be exceeded by a half.
	censusMemory = 64 << 20
	// numbersMemory is how many numbers a census keeps in memory.
	numbersMemory = 1 << 20
	// fewestBytes is the least that is kept of an attribute's values.
	fewestBytes = 4 << 10
)

// of names an attribute of a type.
type of struct{ objectType, path string }

// census takes in what objects hold, in bounded memory. Make it with newCensus, and close it.
type census struct {
	// values and statistics say what is gathered besides names.
	values, statistics bool

	attrs   map[of]*attribute
	size    int // of all values
	most    int // of the values of an attribute
	memory  int
	numbers numbers
}

// attribute is what is gathered of one.
type attribute struct {
	id     uint32
	at     int64 // when it was last written, in microseconds
	values map[string]int64
	size   int
	// text says that a value is no number.
	text        bool
	n           int64
	sum, rest   float64 // rest is what rounding took from the sum (Neumaier)
	least, most float64
}

func newCensus(values, statistics bool) *census {
	return &census{values: values, statistics: statistics, attrs: map[of]*attribute{}, most: valuesSize, memory: censusMemory, numbers: numbers{most: numbersMemory}}
}

func (c *census) close() { c.numbers.close() }

// add takes in a value of an attribute, written at a time.
func (c *census) add(name of, text string, at int64) error {
	a := c.attrs[name]
	if a == nil {
		if len(c.attrs) == maxNames {
			return nil
		}
		a = &attribute{id: uint32(len(c.attrs)), values: map[string]int64{}}
		c.attrs[of{strings.Clone(name.objectType), strings.Clone(name.path)}] = a
	}
	a.at = max(a.at, at)
	if c.values {
		c.addValue(a, text, at)
	}
	if c.statistics {
		return c.addNumber(a, text)
	}
	return nil
}

func (c *census) addValue(a *attribute, text string, at int64) {
	if utf8.RuneCountInString(text) > maxValue {
		return
	}
	was, known := a.values[text]
	if !known {
		a.size += len(text) + entrySize
		c.size += len(text) + entrySize
		text = strings.Clone(text)
	}
	a.values[text] = max(was, at)
	if a.size > 2*c.most {
		c.trim(a)
	}
	for c.size > c.memory+c.memory/2 && c.most > fewestBytes {
		c.most /= 2
		for _, a := range c.attrs {
			c.trim(a)
		}
	}
}

// trim leaves the newest values of an attribute.
func (c *census) trim(a *attribute) {
	kept := a.newest(c.most)
	c.size -= a.size
	a.size = 0
	clear(a.values)
	for _, v := range kept {
		a.values[v.Value] = v.At
		a.size += len(v.Value) + entrySize
	}
	c.size += a.size
}

// valueAt is a value, and when it was last written.
type valueAt struct {
	Value string
	At    int64
}

// compare is the order in which values are told: the newest first, then by text.
func (v valueAt) compare(o valueAt) int {
	return cmp.Or(cmp.Compare(o.At, v.At), strings.Compare(v.Value, o.Value))
}

// newest returns the newest values, so many bytes of them.
func (a *attribute) newest(most int) (kept []valueAt) {
	for value, at := range a.values {
		kept = append(kept, valueAt{value, at})
	}
	slices.SortFunc(kept, valueAt.compare)
	size := 0
	for i, v := range kept {
		if size += len(v.Value) + entrySize; size > most {
			return kept[:i]
		}
	}
	return kept
}

func (c *census) addNumber(a *attribute, text string) error {
	f, ok := parseNumber(text)
	if !ok {
		a.text = true
	}
	if a.text { // it has no statistics any more
		return nil
	}
	if a.n == 0 {
		a.least, a.most = f, f
	}
	a.n++
	a.least, a.most = min(a.least, f), max(a.most, f)
	sum := a.sum + f
	if math.Abs(a.sum) >= math.Abs(f) {
		a.rest += a.sum - sum + f
	} else {
		a.rest += f - sum + a.sum
	}
	a.sum = sum
	return c.numbers.add(a.id, f)
}

// stats are the statistics of an attribute whose values are numbers.
type stats struct {
	Least, Most, Mean, Deviation float64
	Percentiles                  [5]float64
}

// statsOf returns the statistics of all attributes that have some. It is called once, when all has been taken in.
func (c *census) statsOf() (map[of]*stats, error) {
	orders := map[uint32]*ordered{}
	for a := range maps.Values(c.attrs) {
		if a.n > 0 && !a.text {
			orders[a.id] = &ordered{n: a.n, mean: (a.sum + a.rest) / float64(a.n)}
		}
	}
	if err := c.numbers.run(orders); err != nil {
		return nil, err
	}
	out := map[of]*stats{}
	for name, a := range c.attrs {
		o := orders[a.id]
		if o == nil {
			continue
		}
		s := &stats{Least: a.least, Most: a.most, Mean: o.mean, Deviation: math.Sqrt(o.square / float64(a.n)), Percentiles: o.percentiles}
		if sum := s.Mean + s.Deviation; !math.IsInf(sum, 0) && !math.IsNaN(sum) { // else they are beyond what can be told
			out[name] = s
		}
	}
	return out, nil
}
