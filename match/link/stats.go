package link

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"kith/profile/fold"
	"kith/schema"
)

// stats are what a first pass learns of a domain: how much there is, and which attributes could tell persons apart.
type stats struct {
	profiles int64
	bytes    int64    // of records, about
	custom   []string // the custom attributes to compare
	account  bool     // whether account numbers repeat
	habits
	// more says that there were more custom attributes than were looked at.
	more bool
}

// maxNames is how many custom attributes are looked at.
const maxNames = 1024

// sketch counts values: the k smallest hashes with how often each came tell how many there are and how many repeat (Bar-Yossef et al.,
// Counting distinct elements in a data stream, 2002). A hash that is among the smallest in the end always was, so its count is exact,
// and sketches of parts make the sketch of the whole.
type sketch struct {
	N     int64
	Bytes int64
	// Named are how many contain the profile's given and family name: they say again what these say.
	Named  int64
	Counts map[uint64]int64
	Limit  uint64 // hashes above it are out
}

const sketchSize = 1024

func (s *sketch) add(value string) {
	s.N++
	s.Bytes += int64(len(value))
	s.put(xxh3.HashString(value), 1)
}

func (s *sketch) put(h uint64, n int64) {
	if s.Counts == nil {
		s.Counts, s.Limit = map[uint64]int64{}, 1<<64-1
	}
	if h > s.Limit {
		return
	}
	s.Counts[h] += n
	if len(s.Counts) >= 2*sketchSize {
		s.shrink()
	}
}

func (s *sketch) shrink() {
	if len(s.Counts) <= sketchSize {
		return
	}
	all := slices.Sorted(maps.Keys(s.Counts))
	s.cut(all[sketchSize-1])
}

// cut leaves hashes above a limit out.
func (s *sketch) cut(limit uint64) {
	s.Limit = limit
	maps.DeleteFunc(s.Counts, func(h uint64, _ int64) bool { return h > limit })
}

// merge makes a sketch that of its own values and another's. In whatever order some are merged, the outcome is the same.
func (s *sketch) merge(o *sketch) {
	s.N += o.N
	s.Named += o.Named
	s.Bytes += o.Bytes
	for h, n := range o.Counts {
		s.put(h, n)
	}
	if len(o.Counts) > 0 && o.Limit < s.Limit { // the other has not counted what is above
		s.cut(o.Limit)
	}
}

// distinct estimates how many values there are, and repeated which share of them came more than once.
func (s *sketch) distinct() (values float64, repeated float64) {
	if s.N == 0 {
		return 0, 0
	}
	s.shrink()
	again := 0
	for _, n := range s.Counts {
		if n > 1 {
			again++
		}
	}
	values = float64(len(s.Counts))
	if len(s.Counts) == sketchSize && s.Limit < 1<<64-1 {
		values = float64(sketchSize-1) / (float64(s.Limit) / (1 << 64))
	}
	return values, float64(again) / float64(len(s.Counts))
}

// identifies says whether an attribute with these values may tell persons apart: it has many values, and some of them come again.
func (s *sketch) identifies(profiles int64) bool {
	values, repeated := s.distinct()
	return s.N*100 >= profiles && values >= 20 && repeated > 0 && s.Bytes/s.N <= 2*maxValue && 2*s.Named < s.N
}

// repeats says whether a text has a given and a family name in it.
func repeats(text, first, last string) bool {
	if first == "" || last == "" || len(text) < len(first)+len(last) {
		return false
	}
	text = strings.ToLower(text)
	return strings.Contains(text, strings.ToLower(first)) && strings.Contains(text, strings.ToLower(last))
}

// surveyed is what some of the profiles, or all, have shown to the first pass.
type surveyed struct {
	Profiles, Bytes int64
	Custom          map[string]*sketch
	Account         sketch
	Order           dateOrder
	Taste           taste
	More            bool
}

func newSurveyed() *surveyed { return &surveyed{Custom: map[string]*sketch{}} }

// see notes what a profile shows.
func (k *surveyed) see(p *fold.Profile) {
	k.Profiles++
	k.Bytes += int64(idSize + sCustom)
	first, last := p.Get(schema.Attr{ID: schema.FirstName}), p.Get(schema.Attr{ID: schema.LastName})
	k.Taste.add(p, last)
	for i := range p.Values {
		v := &p.Values[i]
		k.Bytes += int64(min(len(v.Text), maxValue))
		switch v.Attr.ID {
		case schema.AccountNumber:
			k.Account.add(v.Text)
		case schema.BirthDate:
			k.Order.look(v.Text)
		case 0:
			s := k.Custom[v.Attr.Custom]
			if s == nil {
				if len(k.Custom) == maxNames {
					k.More = true
					continue
				}
				s = &sketch{}
				k.Custom[v.Attr.Custom] = s
			}
			s.add(v.Text)
			if repeats(v.Text, first, last) {
				s.Named++
			}
		}
	}
}

// merge adds what others have shown. In whatever order some are merged, the outcome is the same.
func (k *surveyed) merge(o *surveyed) {
	k.Profiles += o.Profiles
	k.Bytes += o.Bytes
	k.More = k.More || o.More
	k.Account.merge(&o.Account)
	k.Taste.merge(&o.Taste)
	k.Order.DayFirst += o.Order.DayFirst
	k.Order.MonthFirst += o.Order.MonthFirst
	for name, s := range o.Custom {
		if k.Custom[name] == nil {
			k.Custom[name] = &sketch{}
		}
		k.Custom[name].merge(s)
	}
	if len(k.Custom) > maxNames {
		k.More = true
		for _, name := range slices.Sorted(maps.Keys(k.Custom))[maxNames:] {
			delete(k.Custom, name)
		}
	}
}

// learn returns what follows.
func (k *surveyed) learn() *stats {
	st := &stats{profiles: k.Profiles, bytes: k.Bytes, more: k.More}
	st.dayFirst = k.Order.DayFirst > k.Order.MonthFirst
	k.Taste.learn(&st.habits)
	_, repeated := k.Account.distinct()
	st.account = repeated > 0
	st.choose(k.Custom)
	return st
}

// look looks at the profiles of a source.
func look(ctx context.Context, src Source, workers int) (*surveyed, error) {
	all := make([]*surveyed, workers)
	for i := range all {
		all[i] = newSurveyed()
	}
	err := src(ctx, func(w int, p *fold.Profile) error {
		all[w].see(p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, k := range all[1:] {
		all[0].merge(k)
		all[i+1] = nil
	}
	return all[0], nil
}

// survey is the first pass.
func survey(ctx context.Context, src Source, o *Options) (*stats, error) {
	read := func() (*surveyed, error) { return look(ctx, src, o.Workers) }
	if o.Team != nil {
		read = func() (*surveyed, error) { return o.Team.survey(ctx, o) }
	}
	all, err := read()
	if err != nil {
		return nil, err
	}
	return all.learn(), nil
}

// choose chooses the custom attributes that tell most.
func (st *stats) choose(all map[string]*sketch) {
	type candidate struct {
		name string
		sum  float64
	}
	var good []candidate
	for name, s := range all {
		if name != "" && s.identifies(st.profiles) {
			values, _ := s.distinct()
			good = append(good, candidate{name, values})
		}
	}
	slices.SortFunc(good, func(a, b candidate) int { return cmp.Or(cmp.Compare(b.sum, a.sum), cmp.Compare(a.name, b.name)) })
	for _, c := range good[:min(len(good), maxCustom)] {
		st.custom = append(st.custom, c.name)
	}
	slices.Sort(st.custom)
}
