package link

import (
	"math"
)

// livesTogether says whether anything speaks for a household: an address, a phone, an e-mail address or another attribute in common, or the
// family name and the birth date, as twins have. Without it the class would take in whoever has a frequent family name.
func (m *Model) livesTogether(e *evidence) bool {
	switch {
	case e.level[fPhone] == exact, e.level[fPhone] == phoneTypo, e.level[fEmail] == exact, e.level[fEmail] == emailTypo, e.level[fAccount] == exact:
		return true
	case e.level[fBirth] == exact && (e.level[fFamily] == exact || e.level[fFamily] == familyClose): // twins
		return true
	}
	for f := fCustom; f < m.fields(); f++ { // a family's card
		if e.level[f] == exact {
			return true
		}
	}
	const street, city, postcode = 0, 3, 4
	parts := partsOfPattern(int(e.level[fAddress]))
	if parts[street] == missing && parts[postcode] == missing { // no more is known of where they live
		return (parts[city] == exact || parts[city] == missing) && e.level[fFamily] == exact
	}
	return parts[street] == exact || parts[street] == partClose || parts[postcode] == exact
}

// mayLiveTogether says whether, but for a field, a pair could well be two people who live together. How often birth dates of one person
// differ is learned from other pairs alone: else fathers and sons would pass for one person who is often taken down with a
// wrong date, and the more of them did the more would. As the field itself is left out, those others are no worse a sample.
func (l *learner) mayLiveTogether(s *sample, i, f int) bool {
	gap, level := s.gap[i], s.level[i*s.fields+f]
	if level != missing {
		lm, lu := l.logM[f][level], l.logU[f][level]
		if x := s.log[i*s.fields+f]; x != 0 {
			lu = x
		}
		gap += lm - logMix(max(1e-6, l.shared[f]), lm, lu)
	}
	return gap > farFromHome
}

// farFromHome is how much less likely a household must be than one person, as a logarithm.
const farFromHome = -4

// areNeighbours says whether, but for a field, a pair may have no more in common than the house. Of such there are the more the more customers there are:
// if they counted, those who live together would seem to share nothing but the house, and twins would pass for one person.
func (l *learner) areNeighbours(pair, f int) bool {
	level := l.pool.level[pair*l.pool.fields:]
	switch {
	case f == fAddress:
		return false
	case f != fFamily:
		return level[fFamily] == familyOther
	}
	reached := false // there is something to compare by which a household is reached
	for _, other := range [...]int{fPhone, fEmail, fBusiness} {
		if level[other] == exact {
			return false
		}
		reached = reached || level[other] != missing
	}
	for other := fAccount; other < l.pool.fields; other++ {
		if level[other] == exact {
			return false
		}
	}
	return reached
}

// maximiseShared learns how often those who live together share something.
func (l *learner) maximiseShared(f int) {
	s := l.shared[f]
	if s == 0 || f == fGiven { // fathers and sons are too like one person whose birth date is wrong to be learned
		return
	}
	believed := believedShared[f]
	if f >= fCustom {
		believed = 0.05
	}
	var homes, sharing float64
	for i := range l.pool.n {
		home := float64(l.pool.home[i])
		level := l.pool.level[i*l.pool.fields+f]
		if home < 1e-6 || level == missing || l.areNeighbours(i, f) {
			continue
		}
		lu := l.logU[f][level]
		if x := l.pool.log[i*l.pool.fields+f]; x != 0 {
			lu = x
		}
		homes += home
		sharing += home * float64(s) * math.Exp(float64(l.logM[f][level]-logMix(s, l.logM[f][level], lu)))
	}
	s = float32(min(maxShared, (sharing+beliefHome*believed)/(homes+beliefHome)))
	if f == fBirth {
		s = max(float32(believed), min(s, maxTwins)) // the less twins are believed in, the more of them pass for one person
	}
	l.shared[f] = s
}
