package link

import (
	"math"
)

// What is believed before anything is seen: how two records of one person agree, and how two people do. They are what counts while there
// are few pairs.
var (
	believedM = [maxFields][]float64{
		fGiven: {0, .77, .03, .03, .06, .02, .04, .02, .03}, fMiddle: {0, .70, .15, .05, .10}, fFamily: {0, .80, .02, .06, .02, .06, .01, .03},
		fBirth: {0, .86, .07, .02, .01, .01, .03}, fGender: {0, .97, .03}, fEmail: {0, .70, .06, .04, .001, .199}, fPhone: {0, .72, .04, .24},
		fBusiness: {0, .70, .10, .05, .15}, fAccount: {0, .80, .04, .01, .15},
	}
	believedU = [maxFields][]float64{
		fGiven: {0, .006, .003, .004, .006, .03, .93, 1e-5, .02}, fMiddle: {0, .01, .05, .05, .89}, fFamily: {0, .001, .001, .002, .01, .965, 1e-4, .02},
		fBirth: {0, 5e-5, 5e-4, .01, .02, .02, .949}, fGender: {0, .5, .5}, fEmail: {0, 1e-6, 1e-6, 2e-5, 1e-4, .9999}, fPhone: {0, 1e-6, 1e-6, .9999},
		fBusiness: {0, .001, .001, .01, .988}, fAccount: {0, 1e-5, 1e-5, .001, .9989},
	}
	believedText  = [2][]float64{{0, .70, .08, .04, .18}, {0, .001, .002, .02, .977}}
	believedParts = [2][addressParts][4]float64{
		{{0, .74, .10, .16}, {0, .78, .04, .18}, {0, .70, .10, .20}, {0, .78, .07, .15}, {0, .78, .05, .17}, {0, .90, .02, .08}},
		{{0, .001, .002, .997}, {0, .02, .03, .95}, {0, .01, .02, .97}, {0, .01, .01, .98}, {0, .002, .006, .992}, {0, .15, .02, .83}},
	}
	// believedShared is what those who live together have in common. A given name tells them apart, but for fathers and sons, and
	// but for names that are more frequent among those who speak one language.
	believedShared = [maxFields]float64{fGiven: .01, fFamily: .75, fBirth: .02, fEmail: .25, fPhone: .5, fAddress: .75, fBusiness: .2, fAccount: .02}
)

// belief is how many pairs a belief counts for.
const (
	beliefM     = 20
	beliefBirth = 150 // the same for birth dates, for few pairs are left that they are learned from where there are households
	beliefHome  = 30

	maxTwins    = 0.25 // of those who live together, how many are born on one day, at most
	maxShared   = 0.97
	startCopies = 0.1
	// beliefCopies are the pairs of one person that are believed in, for each profile.
	beliefCopies = 0.001
)

func believed(of *[maxFields][]float64, side, f int) []float64 {
	if f >= fCustom {
		return believedText[side]
	}
	return of[f]
}

// believe sets a model to what is believed.
func (m *Model) believe() {
	for f := range m.fields() {
		m.logM[f], m.logU[f] = make([]float32, levelsOf(f)), make([]float32, levelsOf(f))
		if f == fAddress {
			continue
		}
		for l, p := range believed(&believedM, 0, f) {
			if l > 0 {
				m.logM[f][l] = float32(math.Log(p))
			}
		}
		for l, p := range believed(&believedU, 1, f) {
			if l > 0 {
				m.logU[f][l] = float32(math.Log(p))
			}
		}
		m.shared[f] = float32(believedShared[f])
		if f >= fCustom {
			m.shared[f] = 0.05
		}
	}
	m.shared[fAddress] = float32(believedShared[fAddress])
	for p := range addressParts {
		for l := 1; l < 4; l++ {
			m.partM[p][l] = float32(math.Log(believedParts[0][p][l]))
			m.partU[p][l] = float32(math.Log(believedParts[1][p][l]))
		}
	}
	m.independent()
	m.mixHouseholds()
	m.bound()
}

// independent sets all patterns of addresses to what their parts say.
func (m *Model) independent() {
	for n := range addressPatterns {
		m.logM[fAddress][n], m.logU[fAddress][n] = m.patternLogs(n)
	}
}

func (m *Model) patternLogs(n int) (one, two float32) {
	for p, l := range partsOfPattern(n) {
		one += m.partM[p][l]
		two += m.partU[p][l]
	}
	return one, two
}

// learner estimates a model by expectation and maximisation over three classes of pairs.
type learner struct {
	*Model
	workers int
	// pool are pairs that agree in something, random are pairs by chance, judged are pairs that persons have answered.
	pool, random, judged sample
	total                float64 // pairs there are
	profiles             float64
	iteration            int  // of EM
	again                bool // the model has been learned before, a little less well
	usual                int  // what told returns, once it has counted
	onlyAddresses        bool // of these nothing is of anything else
	named                float64
	// twos are counts of random pairs that were set aside, by field and level.
	twos [][]float64
	// chance are how many random pairs agree nearly by chance at least, by field and level.
	chance [][]float64
}

// learn runs EM. All pairs that might be of one person are in the pool, so it can be taken as all pairs but those that are
// surely of two people: neither is a field that pairs were found by better than it is, nor are the shares of the classes. After some
// iterations those pairs are set aside that are surely of two people. Then many iterations cost little, and many are needed: how often a
// birth date differs is learned slowly where people of one name live together.
func (l *learner) learn() {
	if !l.again {
		l.priorM = float32(math.Log(startCopies * l.profiles / l.total))
		l.priorH = l.priorM - 3
	}
	pool, random := l.pool, l.random
	l.told() // of all random pairs
	l.countNamed()
	l.countChance()
	for i := range iterations {
		if l.iteration = i; i == warm {
			l.setAside()
		}
		before := l.Model.levels(nil)
		l.priorU = float32(math.Log(max(1e-6, 1-math.Exp(float64(l.priorM))-math.Exp(float64(l.priorH)))))
		l.mixHouseholds()
		l.expect(&l.pool)
		l.expect(&l.random)
		l.maximise()
		if i > warm && l.Model.moved(before) < settled {
			break
		}
	}
	l.pool, l.random = pool, random
	l.priorU = float32(math.Log(max(1e-6, 1-math.Exp(float64(l.priorM))-math.Exp(float64(l.priorH)))))
	l.mixHouseholds()
	l.bound()
}

const (
	// warm are the iterations over all pairs. In these, hardly anybody's given name is believed to differ, so that those who live together are
	// found before their names pass for one person's.
	warm      = 8
	warmGiven = 0.03
	// iterations are all, at most; settled is the change of a probability's logarithm below which there are no more.
	iterations = 150
	settled    = 2e-3
)

// levels appends the logarithms of all levels but those of addresses.
func (m *Model) levels(dst []float32) []float32 {
	for f := range m.fields() {
		if f != fAddress {
			dst = append(dst, m.logM[f]...)
		}
	}
	return append(dst, m.priorM, m.priorH)
}

// moved is by how much a level has changed at most.
func (m *Model) moved(before []float32) (most float32) {
	for i, x := range m.levels(nil) {
		most = max(most, abs(x-before[i]))
	}
	return most
}

// setAside leaves of the samples what is not surely of two people, and counts the rest of the random pairs as that.
func (l *learner) setAside() {
	l.twos = make([][]float64, l.fields())
	for f := range l.twos {
		l.twos[f] = make([]float64, levelsOf(f))
	}
	keep := func(s *sample, counted bool) sample {
		out := sample{fields: s.fields, weight: s.weight}
		for i := range s.n {
			levels := s.level[i*s.fields : (i+1)*s.fields]
			if s.one[i] > 0 || s.home[i] > 0 || !counted && agreesInNames(levels) {
				out.n++
				out.level = append(out.level, levels...)
				out.log = append(out.log, s.log[i*s.fields:(i+1)*s.fields]...)
				out.one, out.home, out.gap = append(out.one, s.one[i]), append(out.home, s.home[i]), append(out.gap, s.gap[i])
				continue
			}
			for f, level := range levels {
				if counted {
					l.twos[f][level]++
				}
			}
		}
		return out
	}
	l.pool, l.random = keep(&l.pool, false), keep(&l.random, true)
}

func abs(x float32) float32 { return max(x, -x) }

// unlikely are odds, as a logarithm, of a class that are taken as none.
const unlikely = 14

// expect computes the classes' probabilities of all pairs of a sample.
func (l *learner) expect(s *sample) {
	const step = 4096
	_ = parallel(l.workers, (s.n+step-1)/step, func(_, t int) error {
		var e evidence
		for i := t * step; i < min(s.n, (t+1)*step); i++ {
			copy(e.level[:s.fields], s.level[i*s.fields:])
			copy(e.log[:s.fields], s.log[i*s.fields:])
			one, home, two := l.logs(&e)
			s.gap[i] = home - one
			most := max(one, home, two)
			if two == most && max(one, home) < two-unlikely {
				s.one[i], s.home[i] = 0, 0
				continue
			}
			a, b, c := math.Exp(float64(one-most)), math.Exp(float64(home-most)), math.Exp(float64(two-most))
			s.one[i], s.home[i] = float32(a/(a+b+c)), float32(b/(a+b+c))
		}
		return nil
	})
}

// maximise sets the model to what fits the classes best. Each field is one task, so that sums are the same for any number of workers.
func (l *learner) maximise() {
	var ones, homes float64
	for i := range l.pool.n {
		ones += float64(l.pool.one[i])
		homes += float64(l.pool.home[i])
	}
	ones, homes = ones*l.pool.weight, homes*l.pool.weight
	seen := beliefCopies*l.profiles + 0.5 // what is believed counts as seen: of few profiles there are no more pairs than that
	l.priorM = float32(math.Log((ones + seen) / (l.total + seen + 1)))
	l.priorH = float32(math.Log((homes + 0.5) / (l.total + seen + 1)))
	l.maximiseTogether()
	_ = parallel(l.workers, l.fields(), func(_, f int) error {
		if f == fAddress {
			l.maximiseAddress()
		} else {
			l.maximiseField(f)
		}
		l.maximiseShared(f)
		return nil
	})
}

// counts sums the classes' probabilities of a field's levels.
func (l *learner) counts(f int, one, two []float64) {
	for _, s := range []*sample{&l.pool, &l.judged} {
		w := s.weight
		if s == &l.pool {
			w = 1 // of a sample as many pairs are as sure as if they were all
		}
		for i := range s.n {
			level := s.level[i*s.fields+f]
			if (f == fBirth || f == fGender) && l.mayLiveTogether(s, i, f) {
				continue
			}
			one[level] += w * float64(s.one[i])
		}
	}
	if l.twos != nil {
		copy(two, l.twos[f])
	}
	for i := range l.random.n {
		two[l.random.level[i*l.random.fields+f]] += float64(max(0, 1-l.random.one[i]-l.random.home[i]))
	}
	for level, least := range l.chance[f] {
		two[level] = max(two[level], least)
	}
}

// maximiseTogether learns by how much more often given and family name are both the same frequent ones, of two people, than either is by itself: both are
// of one language. Of pairs that have nothing but names it can't be told whether they are two people, so others are counted. Of rare names less is
// known than that: they are taken for more frequent than most of them are.
func (l *learner) maximiseTogether() {
	var both float64
	for i := range l.pool.n {
		at := i * l.pool.fields
		if level := l.pool.level[at:]; besidesNames(level) && l.usualNames(level, l.pool.log[at:]) {
			both += float64(max(0, 1-l.pool.one[i]-l.pool.home[i]))
		}
	}
	both *= l.pool.weight
	l.together = max(0, min(maxTogether, float32(math.Log((both+beliefTogether)/(l.named*l.total+beliefTogether)))))
}

// besidesNames says whether a pair has something to compare besides names that tells persons apart.
func besidesNames(level []uint16) bool {
	return level[fBirth] != missing || level[fPhone] != missing || level[fEmail] != missing || level[fAddress] != missing
}

// usualNames says whether two have the same given and family name, and both are frequent ones.
func (m *Model) usualNames(level []uint16, log []float32) bool {
	return m.usualName(fGiven, level, log) && m.usualName(fFamily, level, log)
}

func (m *Model) usualName(f int, level []uint16, log []float32) bool {
	return level[f] == exact && log[f] > m.seldom
}

// countNamed estimates which share of all pairs would have the same frequent names if either was by itself.
func (l *learner) countNamed() {
	var comparable, given, family float64
	for i := range l.random.n {
		at := i * l.random.fields
		level, log := l.random.level[at:], l.random.log[at:]
		if level[fGiven] == missing || level[fFamily] == missing || !besidesNames(level) {
			continue
		}
		comparable++
		if l.usualName(fGiven, level, log) {
			given++
		}
		if l.usualName(fFamily, level, log) {
			family++
		}
	}
	l.named = given * family / max(1, comparable) / float64(max(1, l.random.n))
}

// countChance counts the random pairs that agree nearly, but are more than one person's can be: whoever errs is right more often, or there are few of them.
// Where numbers are given out one after the other, all that begin alike are one digit apart, and would be taken for errors of each other.
func (l *learner) countChance() {
	l.chance = make([][]float64, l.fields())
	few := (fewErrors + errorsEach*l.profiles) * float64(l.random.n) / max(1, l.total)
	for f := range l.fields() {
		l.chance[f] = make([]float64, levelsOf(f))
		if f == fAddress {
			continue
		}
		for i := range l.random.n {
			l.chance[f][l.random.level[i*l.random.fields+f]]++
		}
		right := l.chance[f][exact]
		for level := range l.chance[f] {
			l.chance[f][level] = max(0, l.chance[f][level]-right-few)
		}
		l.chance[f][missing], l.chance[f][exact] = 0, 0
	}
}

const (
	// fewErrors, and errorsEach for each profile, are of how many pairs of one person's records a field has an error, if it is right of none.
	fewErrors  = 2
	errorsEach = 0.2

	maxTogether    = 3
	beliefTogether = 5
)

// agreesInNames says whether given and family name agree.
func agreesInNames(level []uint16) bool {
	g, f := level[fGiven], level[fFamily]
	return (g == exact || g == givenNick || g == givenClose) && (f == exact || f == familyClose)
}

func (l *learner) maximiseField(f int) {
	var one, two [16]float64
	l.counts(f, one[:], two[:])
	var ones, twos float64
	believeM, believeU := believed(&believedM, 0, f), believed(&believedU, 1, f)
	for level := 1; level < len(believeM); level++ {
		ones += one[level]
		twos += two[level]
	}
	belief := float64(beliefM)
	if f == fBirth {
		belief = beliefBirth
	}
	for level := 1; level < len(believeM); level++ {
		l.logM[f][level] = float32(math.Log((one[level] + belief*believeM[level]) / (ones + belief)))
		l.logU[f][level] = float32(math.Log(posterior(two[level], twos, believeU[level])))
	}
	if differ := lastingFields[f]; differ.level > 0 {
		most := differ.most
		if l.told() <= fewFields {
			most = differ.few
		}
		if l.iteration < warm && f == fGiven {
			most = min(most, warmGiven)
		}
		lasting(l.logM[f], differ.level, most)
	}
}

// lastingFields are what people and firms keep, the level of those that differ in it, and how many records of one person that may be at most: more
// would be other people taken in. Where there are no more than a few fields, the others can't tell that.
var lastingFields = [maxFields]struct {
	level     int
	most, few float64
}{
	fGiven:    {givenOther, 0.15, 0.01},
	fFamily:   {familyOther, 0.3, 0.3},
	fBirth:    {birthOther, 0.15, 0.03},
	fBusiness: {textOther, 0.3, 0.3},
}

const fewFields = 4

// lasting holds the level of those that differ under most.
func lasting(logs []float32, differ int, most float64) {
	p := math.Exp(float64(logs[differ]))
	if p <= most {
		return
	}
	for l := 1; l < len(logs); l++ {
		if l != differ {
			logs[l] += float32(math.Log((1 - most) / (1 - p)))
		}
	}
	logs[differ] = float32(math.Log(most))
}

// told is how many things profiles usually tell, parts of addresses one by one; gender and further names are no more than a hint.
func (l *learner) told() int {
	if l.usual > 0 {
		return l.usual
	}
	counts := make([]int, l.fields()+addressParts)
	for i := range l.random.n {
		for f, level := range l.random.level[i*l.random.fields : (i+1)*l.random.fields] {
			switch {
			case level == missing || f == fMiddle || f == fGender:
			case f == fAddress:
				for p, part := range partsOfPattern(int(level)) {
					if part != missing {
						counts[l.fields()+p]++
					}
				}
			default:
				counts[f]++
			}
		}
	}
	l.onlyAddresses = true
	for f, n := range counts {
		if n*10 > l.random.n {
			l.usual++
			l.onlyAddresses = l.onlyAddresses && f >= l.fields()
		}
	}
	l.usual = max(1, l.usual)
	return l.usual
}

// posterior is the probability of what was seen count times of n, given what is expected: one that is expected to be rare, and was not seen, is
// as rare as expected; one that was seen is as often as that.
func posterior(count, n, expected float64) float64 {
	expected = max(expected, 1e-12)
	w := max(1, min(1/expected, n))
	return (count + w*expected) / (n + w)
}
