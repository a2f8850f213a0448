package link

import (
	"math"
)

// togetherness is how parts of addresses depend on each other: who lives in one city lives in its state, and perhaps in one of its few postal codes; who
// moves leaves the house with the street. Of patterns that were never seen it is known what any two of these parts do.
type togetherness struct {
	counts [2][len(dependents)][4][4]float64
	// more is by how much more often two parts have their levels together than each by itself, as a logarithm.
	more [2][len(dependents)][4][4]float32
}

// dependents are parts of addresses that depend on another one, the first of each two.
var dependents = [...][2]int{{3, 4}, {3, 5}, {3, 0}, {0, 1}} // city and postal code, city and state, city and street, street and house number

func (t *togetherness) add(pattern int, one, two float64) {
	parts := partsOfPattern(pattern)
	for d, of := range dependents {
		if a, b := parts[of[0]], parts[of[1]]; a > 0 && b > 0 {
			t.counts[0][d][a][b] += one
			t.counts[1][d][a][b] += two
		}
	}
}

// learn computes more, given what the parts do by themselves.
func (t *togetherness) learn(m *Model) {
	for side, parts := range [...]*[addressParts][4]float32{&m.partM, &m.partU} {
		for d, of := range dependents {
			var sum float64
			for a := 1; a < 4; a++ {
				for b := 1; b < 4; b++ {
					sum += t.counts[side][d][a][b]
				}
			}
			for a := 1; a < 4; a++ {
				for b := 1; b < 4; b++ {
					apart := parts[of[0]][a] + parts[of[1]][b]
					t.more[side][d][a][b] = float32(math.Log(posterior(t.counts[side][d][a][b], sum, math.Exp(float64(apart))))) - apart
				}
			}
		}
	}
}

// patternLogs is Model.patternLogs with what parts do together.
func (t *togetherness) patternLogs(m *Model, pattern int) (one, two float32) {
	one, two = m.patternLogs(pattern)
	parts := partsOfPattern(pattern)
	for d, of := range dependents {
		a, b := parts[of[0]], parts[of[1]]
		one += t.more[0][d][a][b]
		two += t.more[1][d][a][b]
	}
	return min(0, one), min(0, two)
}

func (l *learner) maximiseAddress() {
	one, two := make([]float64, addressPatterns), make([]float64, addressPatterns)
	l.counts(fAddress, one, two)
	one[0], two[0] = 0, 0
	var parts [2][addressParts][4]float64
	var sums [2][addressParts]float64
	var masked [2][1 << addressParts]float64
	var together togetherness
	for n := range addressPatterns {
		if one[n] == 0 && two[n] == 0 {
			continue
		}
		mask := 0
		together.add(n, one[n], two[n])
		for p, level := range partsOfPattern(n) {
			if level > 0 {
				parts[0][p][level] += one[n]
				parts[1][p][level] += two[n]
				sums[0][p] += one[n]
				sums[1][p] += two[n]
				mask |= 1 << p
			}
		}
		masked[0][mask] += one[n]
		masked[1][mask] += two[n]
	}
	for p := range addressParts {
		for level := 1; level < 4; level++ {
			l.partM[p][level] = float32(math.Log((parts[0][p][level] + beliefM*believedParts[0][p][level]) / (sums[0][p] + beliefM)))
			l.partU[p][level] = float32(math.Log(posterior(parts[1][p][level], sums[1][p], believedParts[1][p][level])))
		}
	}
	together.learn(l.Model)
	for n := 1; n < addressPatterns; n++ {
		a, b := together.patternLogs(l.Model, n)
		mask := 0
		for p, level := range partsOfPattern(n) {
			if level > 0 {
				mask |= 1 << p
			}
		}
		l.logM[fAddress][n] = float32(math.Log(posterior(one[n], masked[0][mask], math.Exp(float64(a)))))
		l.logU[fAddress][n] = float32(math.Log(posterior(two[n], masked[1][mask], math.Exp(float64(b)))))
	}
	l.lastingHouse()
}

// lastingHouse holds how often the house number or flat of one person differs, in the same street, under what it may be at most: who moves
// seldom stays in the street, and neighbours are many. Where nothing but addresses is known, nobody moves.
func (l *learner) lastingHouse() {
	const street, number, unit = 0, 1, 2
	l.lastingPatterns(mostNextDoor, func(parts *[addressParts]uint8) (may, does bool) {
		may = (parts[street] == exact || parts[street] == partClose) && (parts[number] > 0 || parts[unit] > 0)
		return may, parts[number] == partOther || parts[unit] == partOther
	})
	if l.told(); l.onlyAddresses {
		l.lastingPatterns(mostMoved, func(parts *[addressParts]uint8) (may, does bool) {
			return parts[street] > 0, parts[street] == partOther
		})
	}
}

const (
	// mostNextDoor is how many records of one person in the same street may be of another house or flat, at most.
	mostNextDoor = 0.15
	mostMoved    = 0.02
)

// lastingPatterns holds the share of those addresses of one person that do differ in some way, of those that may, under most, whatever parts of
// them are known.
func (l *learner) lastingPatterns(most float64, differ func(*[addressParts]uint8) (may, does bool)) {
	var sums, others [1 << addressParts]float64
	var masks [addressPatterns]uint8
	const does = 1 << 7
	for n := 1; n < addressPatterns; n++ {
		parts := partsOfPattern(n)
		may, differs := differ(&parts)
		if !may {
			continue
		}
		for p, level := range parts {
			if level > 0 {
				masks[n] |= 1 << p
			}
		}
		p := math.Exp(float64(l.logM[fAddress][n]))
		sums[masks[n]] += p
		if differs {
			others[masks[n]] += p
			masks[n] |= does
		}
	}
	for n, mask := range masks {
		if mask&does == 0 {
			continue
		}
		if mask &^= does; others[mask] > most*sums[mask] {
			l.logM[fAddress][n] += float32(math.Log(most * sums[mask] / others[mask]))
		}
	}
}
