package link

import (
	"cmp"
	"context"
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
	n     int64
	bytes int64
	// named are how many contain the profile's given and family name: they say again what these say.
	named  int64
	counts map[uint64]int64
	limit  uint64 // hashes above it are out
}

const sketchSize = 1024

func (s *sketch) add(value string) {
	s.n++
	s.bytes += int64(len(value))
	s.put(xxh3.HashString(value), 1)
}

func (s *sketch) put(h uint64, n int64) {
	if s.counts == nil {
		s.counts, s.limit = map[uint64]int64{}, 1<<64-1
	}
	if h > s.limit {
		return
	}
	s.counts[h] += n
	if len(s.counts) >= 2*sketchSize {
		s.shrink()
	}
}

func (s *sketch) shrink() {
	if len(s.counts) <= sketchSize {
		return
	}
	all := make([]uint64, 0, len(s.counts))
	for h := range s.counts {
		all = append(all, h)
	}
	slices.Sort(all)
	s.limit = all[sketchSize-1]
	for _, h := range all[sketchSize:] {
		delete(s.counts, h)
	}
}

func (s *sketch) merge(o *sketch) {
	s.n += o.n
	s.named += o.named
	s.bytes += o.bytes
	for h, n := range o.counts {
		s.put(h, n)
	}
}

// distinct estimates how many values there are, and repeated which share of them came more than once.
func (s *sketch) distinct() (values float64, repeated float64) {
	if s.n == 0 {
		return 0, 0
	}
	s.shrink()
	again := 0
	for _, n := range s.counts {
		if n > 1 {
			again++
		}
	}
	values = float64(len(s.counts))
	if len(s.counts) == sketchSize && s.limit < 1<<64-1 {
		values = float64(sketchSize-1) / (float64(s.limit) / (1 << 64))
	}
	return values, float64(again) / float64(len(s.counts))
}

// identifies says whether an attribute with these values may tell persons apart: it has many values, and some of them come again.
func (s *sketch) identifies(profiles int64) bool {
	values, repeated := s.distinct()
	return s.n*100 >= profiles && values >= 20 && repeated > 0 && s.bytes/s.n <= 2*maxValue && 2*s.named < s.n
}

// repeats says whether a text has a given and a family name in it.
func repeats(text, first, last string) bool {
	if first == "" || last == "" || len(text) < len(first)+len(last) {
		return false
	}
	text = strings.ToLower(text)
	return strings.Contains(text, strings.ToLower(first)) && strings.Contains(text, strings.ToLower(last))
}

// survey is the first pass.
func survey(ctx context.Context, src Source, o *Options) (*stats, error) {
	type worker struct {
		profiles, bytes int64
		custom          map[string]*sketch
		account         sketch
		order           dateOrder
		taste           taste
		more            bool
	}
	all := make([]*worker, o.Workers)
	for i := range all {
		all[i] = &worker{custom: map[string]*sketch{}}
	}
	err := src(ctx, func(w int, p *fold.Profile) error {
		k := all[w]
		k.profiles++
		k.bytes += int64(idSize + sCustom)
		first, last := p.Get(schema.Attr{ID: schema.FirstName}), p.Get(schema.Attr{ID: schema.LastName})
		k.taste.add(p, last)
		for i := range p.Values {
			v := &p.Values[i]
			k.bytes += int64(min(len(v.Text), maxValue))
			switch v.Attr.ID {
			case schema.AccountNumber:
				k.account.add(v.Text)
			case schema.BirthDate:
				k.order.look(v.Text)
			case 0:
				s := k.custom[v.Attr.Custom]
				if s == nil {
					if len(k.custom) == maxNames {
						k.more = true
						continue
					}
					s = &sketch{}
					k.custom[v.Attr.Custom] = s
				}
				s.add(v.Text)
				if repeats(v.Text, first, last) {
					s.named++
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	first := all[0]
	st := &stats{}
	for i, k := range all {
		st.profiles += k.profiles
		st.bytes += k.bytes
		st.more = st.more || k.more
		if i == 0 {
			continue
		}
		first.account.merge(&k.account)
		first.taste.all = append(first.taste.all, k.taste.all...)
		k.taste.all = nil
		first.order.dayFirst += k.order.dayFirst
		first.order.monthFirst += k.order.monthFirst
		for name, s := range k.custom {
			if first.custom[name] == nil {
				first.custom[name] = &sketch{}
			}
			first.custom[name].merge(s)
		}
	}
	st.dayFirst = first.order.dayFirst > first.order.monthFirst
	first.taste.learn(&st.habits)
	_, repeated := first.account.distinct()
	st.account = repeated > 0
	st.choose(first.custom)
	return st, nil
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
