package link

import (
	"context"
	"math/rand/v2"
	"testing"

	"kith/internal/people"
	"kith/profile/fold"
)

// What is left alone at a glance is what would be left alone when all has been compared.
func TestGlance(t *testing.T) {
	files := map[string]*labelled{
		"people":     generated(t, people.Options{Records: 250, Repeats: 0.4, Seed: 1, Dirt: 2}),
		"households": generated(t, people.Options{Records: 250, Repeats: 0.3, Seed: 2, Households: true}),
	}
	for _, k := range people.Others() {
		files[k.Name] = others(t, &k, 150, 3)
	}
	left := 0
	for name, l := range files {
		l := withBranches(l)
		o := Options{Workers: 1, random: 20_000}
		m, _, err := Find(t.Context(), l.source(1), o, func(*Group) error { return nil })
		if err != nil {
			t.Fatal(name, err)
		}
		o.defaults()
		st, err := survey(t.Context(), l.source(1), &o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := gather(t.Context(), l.source(1), &o, st)
		if err != nil {
			t.Fatal(err)
		}
		c := &comparer{Model: m}
		all := r.kept[0]
		for i := range all.len() {
			for j := range i {
				c.a.read(all.record(i), r.slots)
				c.b.read(all.record(j), r.slots)
				c.compare(true)
				most := m.most
				c.glance(&most)
				most[fAddress] = c.mostOfAddress()
				sum := m.priorM - m.priorU
				for f := range m.fields() {
					if c.level[f] == missing {
						continue
					}
					says := m.logM[f][c.level[f]] - m.other(&c.evidence, f)
					if says > most[f]+0.001 && f != fGiven {
						t.Fatalf("%s: %s of %d and %d says %v, and %v at most at a glance", name, m.fieldName(f), i, j, says, most[f])
					}
					sum += says
				}
				whole := c.evidence
				switch short := c.compare(false); {
				case short && c.evidence != whole:
					t.Fatalf("%s: %d and %d: what is kept is compared otherwise", name, i, j)
				case short != (sum > far) && abs(sum-far) > 0.001:
					t.Fatalf("%s: the evidence for %d and %d is %v: it must be kept if that is more than %v, and kept is %v", name, i, j, sum, far, short)
				case !short:
					left++
				}
			}
		}
		r.close()
	}
	if left == 0 {
		t.Fatal("nothing was left alone")
	}
}

// withBranches lets some profiles have what another has as well, so that there are several of everything.
func withBranches(l *labelled) *labelled {
	var all []*fold.Profile
	_ = l.source(1)(context.Background(), func(_ int, p *fold.Profile) error {
		all = append(all, p)
		return nil
	})
	rng := rand.New(rand.NewPCG(1, 2))
	for _, p := range all {
		if rng.IntN(8) == 0 {
			p.Branches = append(p.Branches, all[rng.IntN(len(all))].Values)
		}
	}
	return &labelled{profiles: all, truth: l.truth}
}
