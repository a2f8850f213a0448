package link

import (
	"math"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	l := somePeople()
	_, m, _ := l.find(t, Options{})
	b := m.Marshal()
	if len(b) > 64<<10 {
		t.Errorf("the model has %d bytes", len(b))
	}
	again, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]int{{0, 1}, {2, 3}, {0, 4}, {8, 9}, {6, 7}} {
		w, w2 := m.Explain(l.profiles[pair[0]], l.profiles[pair[1]]), again.Explain(l.profiles[pair[0]], l.profiles[pair[1]])
		sum := w.Prior
		for _, c := range w.Comparisons {
			sum += c.Weight
			if c.Field == "" || c.Words == "" {
				t.Errorf("%+v", c)
			}
		}
		if math.Abs(sum-w.Sum) > 1e-4 || math.Abs(w.Sum-w2.Sum) > 0.05 || w.Probability != 1/(1+math.Exp2(-w.Sum)) && math.Abs(w.Probability-1/(1+math.Exp2(-w.Sum))) > 1e-6 {
			t.Errorf("%d, %d: the weights are %.3f, the sum is %.3f and of the kept model %.3f, probability %.4f", pair[0], pair[1], sum, w.Sum, w2.Sum, w.Probability)
		}
	}
	for _, m.together = range []float32{0, 0.01, 1} {
		for _, m.seldom = range []float32{-1e9, 0} {
			for i := 1; i < len(l.profiles); i++ {
				w := m.Explain(l.profiles[0], l.profiles[i])
				sum := w.Prior
				for _, c := range w.Comparisons {
					sum += c.Weight
				}
				if math.Abs(sum-w.Sum) > 1e-4 {
					t.Errorf("0, %d: names together say %g, and the weights are %.4f, the sum %.4f", i, m.together, sum, w.Sum)
				}
			}
		}
	}
	text := m.Explain(l.profiles[0], l.profiles[1]).String()
	for _, want := range []string{"given name: one is short for the other: +", "e-mail: the same: +", "phone: the same: +", "street: the same: +", "house number: the same: +", "birth date: the same: +"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// A model of before names in other letters were told apart is read, and explains.
func TestOlderModel(t *testing.T) {
	l := somePeople()
	_, m, _ := l.find(t, Options{})
	for f, levels := range map[int]int{fGiven: givenScript, fFamily: familyScript} {
		m.logM[f], m.logU[f] = m.logM[f][:levels], m.logU[f][:levels]
	}
	old, err := Parse(m.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	a, b := profileOf(numberedID(1), values("FirstName", "Wei", "BirthDate", "1992-01-02")), profileOf(numberedID(2), values("FirstName", "伟", "BirthDate", "1992-01-02"))
	if text := old.Explain(a, b).String(); !strings.Contains(text, "in other letters") {
		t.Error(text)
	}
}

func FuzzParse(f *testing.F) {
	m := &Model{custom: []string{"x"}}
	m.believe()
	f.Add(m.Marshal())
	f.Add([]byte{modelVersion})
	p := somePeople().profiles
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		m.Explain(p[0], p[1])
	})
}
