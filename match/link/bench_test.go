package link

import (
	"testing"

	"kith/internal/people"
	"kith/profile/fold"
)

// BenchmarkRecord makes records of generated people.
func BenchmarkRecord(b *testing.B) {
	var all []*fold.Profile
	l := generated(b, people.Options{Records: 2000, Repeats: 0.2, Seed: 1})
	_ = l.source(1)(b.Context(), func(_ int, p *fold.Profile) error {
		all = append(all, p)
		return nil
	})
	var r reader
	var buf []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		buf = r.append(buf[:0], all[i%len(all)])
	}
}

// BenchmarkCompare compares the pairs that share a key.
func BenchmarkCompare(b *testing.B) {
	l := generated(b, people.Options{Records: 20_000, Repeats: 0.2, Seed: 1})
	o := Options{Workers: 1}
	o.defaults()
	st, err := survey(b.Context(), l.source(1), &o)
	if err != nil {
		b.Fatal(err)
	}
	r, err := gather(b.Context(), l.source(1), &o, st)
	if err != nil {
		b.Fatal(err)
	}
	defer r.close()
	m, _, err := Find(b.Context(), l.source(1), o, func(*Group) error { return nil })
	if err != nil {
		b.Fatal(err)
	}
	o.defaults()
	s := &run{o: &o, r: r, m: m, report: &Report{}}
	parts, err := s.candidates(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer parts.close()
	b.ResetTimer()
	for range b.N {
		kept := 0
		s.compared.Store(0)
		err := s.compareAll(b.Context(), s.every(parts, false), func(_, _, _ int, _ pair, _ *comparer) error {
			kept++
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.compared.Load()), "ns/pair")
		b.ReportMetric(float64(kept), "kept")
		b.ReportMetric(float64(s.compared.Load()), "pairs")
	}
}
