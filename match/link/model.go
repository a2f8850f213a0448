package link

import (
	"math"
)

// Model is what a run has learned. Explain needs nothing else.
type Model struct {
	custom []string
	habits
	account bool // whether account numbers are compared

	// logM and logU are, by field and level, the logarithms of the probabilities that two records of one person, or of two people, agree
	// like that, given that both have something to compare. Those of level 0 are 0.
	logM, logU [maxFields][]float32
	// partM and partU are the same for the parts of addresses alone: where a pattern was never seen, they stand in for it.
	partM, partU [addressParts][4]float32
	// shared is, by field, how many of those who live together, but are two people, have the same.
	shared [maxFields]float32
	// The logarithms of the shares of all pairs: of one person, of two who live together, of any other two.
	priorM, priorH, priorU float32
	// together is by how much more often two people agree in given and family name than in each by itself, as a logarithm.
	together float32
	// seldom is how frequent a term is that one other person may have, as a logarithm: of how frequent such a one is not much is known.
	seldom float32
	// terms are how frequent the frequent terms are, and tail how frequent any other is, by slot.
	terms terms
	tail  [maxSlots]float32

	// What follows is derived.
	most   [maxFields]float32 // the most evidence for one person that a field can give
	differ [maxFields]float32 // the same where the values are not the same, byte by byte
	// addressMost is the most that addresses can give which agree like that, by addressClass.
	addressMost [addressClasses]float32
	logH        [maxFields][]float32 // as logM, of two who live together
}

// terms is a table of hashes of terms and logarithms of their frequencies: open addressing, 0 is empty.
type terms struct {
	hash []uint32
	log  []float32
}

func newTerms(n int) terms {
	size := 16
	for size < 2*n {
		size *= 2
	}
	return terms{make([]uint32, size), make([]float32, size)}
}

func (t *terms) put(h uint32, log float32) {
	mask := uint32(len(t.hash) - 1)
	i := h & mask
	for t.hash[i] != 0 && t.hash[i] != h {
		i = (i + 1) & mask
	}
	t.hash[i], t.log[i] = h, log
}

func (t *terms) get(h uint32) (float32, bool) {
	if len(t.hash) == 0 {
		return 0, false
	}
	mask := uint32(len(t.hash) - 1)
	for i := h & mask; t.hash[i] != 0; i = (i + 1) & mask {
		if t.hash[i] == h {
			return t.log[i], true
		}
	}
	return 0, false
}

// frequency is the logarithm of the probability that someone else has this term too. It is never 0.
func (m *Model) frequency(slot int, term []byte) float32 {
	if f, ok := m.terms.get(termHash(slot, term)); ok {
		return f
	}
	return m.tail[slot]
}

func (m *Model) slots() int { return sCustom + len(m.custom) }

func (m *Model) fields() int { return fCustom + len(m.custom) }

// bound computes what is derived.
func (m *Model) bound() {
	for f := range m.fields() {
		best := float32(0)
		for l := len(m.logM[f]) - 1; l > 0; l-- {
			if l == exact {
				m.differ[f] = best
			}
			best = max(best, m.logM[f][l]-m.logU[f][l])
		}
		switch f {
		case fMiddle, fGender: // it does not count which one it is
		case fAddress:
			best += mostRarity
		default:
			best = max(best, m.logM[f][exact]-m.tail[slotOf(f)])
		}
		m.most[f] = best
	}
	m.boundAddress()
}

// other returns the logarithm of the probability of a field's agreement among two people.
func (m *Model) other(e *evidence, f int) float32 {
	if e.log[f] != 0 {
		return e.log[f]
	}
	return m.logU[f][e.level[f]]
}

// odds are the logarithm of the odds that a pair that compares like this is of one person.
func (m *Model) odds(e *evidence) float32 {
	one, home, two := m.logs(e)
	return one - logSum(home, two)
}

// mixHouseholds computes logH of logM, logU and shared.
func (m *Model) mixHouseholds() {
	for f := range m.fields() {
		if len(m.logH[f]) == 0 {
			m.logH[f] = make([]float32, len(m.logM[f]))
		}
		same := m.sameScript(f)
		for l := 1; l < len(m.logM[f]); l++ {
			two := m.logU[f][l] + same
			switch s := m.shared[f]; {
			case inOtherScript(f, uint16(l)):
				m.logH[f][l] = m.logM[f][l]
			case s > 0:
				m.logH[f][l] = logMix(s, m.logM[f][l], two)
			default:
				m.logH[f][l] = two
			}
		}
	}
}

// sameScript is by how much more often names of those who live together can be compared than names of any two, as a logarithm: a household writes in
// one script, as one person does.
func (m *Model) sameScript(f int) float32 {
	for l := 1; l < len(m.logM[f]) && f <= fFamily; l++ {
		if inOtherScript(f, uint16(l)) {
			return float32(math.Log1p(-math.Exp(float64(m.logM[f][l]))) - math.Log1p(-math.Exp(float64(m.logU[f][l]))))
		}
	}
	return 0
}

// impossible is the logarithm of the probability of what is ruled out.
const impossible = -200

// logs are the logarithms of the probabilities of the pair as of one person, of two who live together, and of any other two.
func (m *Model) logs(e *evidence) (one, home, two float32) {
	one, home, two = m.priorM, m.priorH, m.priorU
	if m.usualNames(e.level[:], e.log[:]) {
		two += m.together
	}
	together := m.livesTogether(e)
	for f := range m.fields() {
		l := e.level[f]
		if l == missing {
			continue
		}
		lm, lu := m.logM[f][l], m.logU[f][l]
		x := e.log[f]
		if x != 0 {
			lu = x
		}
		one += lm
		two += lu
		switch {
		case !together:
		case x == 0:
			home += m.logH[f][l]
		case m.shared[f] > 0:
			home += logMix(m.shared[f], lm, lu)
		default:
			home += lu
		}
	}
	if !together {
		home = impossible
	}
	return one, home, two
}

// logMix is log(s·e^a + (1−s)·e^b).
func logMix(s, a, b float32) float32 {
	return a + float32(math.Log(float64(s)+float64(1-s)*math.Exp(float64(b-a))))
}

// logSum is log(e^a + e^b).
func logSum(a, b float32) float32 {
	if a < b {
		a, b = b, a
	}
	if a-b > 20 {
		return a
	}
	return a + float32(math.Log1p(math.Exp(float64(b-a))))
}

// probability is that of odds given as a logarithm.
func probability(odds float32) float64 { return 1 / (1 + math.Exp(-float64(odds))) }
