package link

import (
	"cmp"
	"math"
	"slices"

	"kith/internal/extsort"
)

const (
	// strongest is the most that one pair counts: beyond it a pair is sure.
	strongest = 9
	// maxDense are the most profiles whose pairs are all looked at together. Larger components come apart at their weakest pairs first.
	maxDense = 200
	// sure is the probability from which on profiles are in a group for sure: a group is not weakened by members that are less so.
	sure = 0.9
)

// vector is what the fields of a pair say.
type vector struct {
	i, j   uint32
	fields [maxFields]int8 // evidence in parts of vectorScale, or vectorMissing
	rest   int8            // what the pair's odds have besides: that households share what its fields agree in
}

const (
	vectorScale   = 4
	vectorMissing = -128
)

// vector returns the evidence of a pair, by field.
func (m *Model) vector(i, j uint32, e *evidence) vector {
	v := vector{i: i, j: j}
	rest := m.odds(e) - m.priorM + m.priorU
	for f := range v.fields {
		v.fields[f] = vectorMissing
		if f < m.fields() && e.level[f] != missing && !inOtherScript(f, e.level[f]) { // names in other letters say nothing of which names they are
			w := m.logM[f][e.level[f]] - m.other(e, f)
			v.fields[f] = quarters(w)
			rest -= w
		}
	}
	v.rest = quarters(rest)
	return v
}

func quarters(x float32) int8 {
	return int8(max(-120, min(120, math.Round(float64(x)*vectorScale))))
}

// answer odds are beyond all others.
const (
	answeredSame = 100
	answeredNot  = -100
)

// cluster is records of one group.
type cluster struct {
	members []uint32
	score   float64
	weakest [2]uint32
	glued   uint32 // and 1; 0: none
}

// clusters are many, outside of the heap: 24 bytes each and four for each member.
type clusters struct {
	heads   extsort.Table[clusterHead]
	members extsort.Table[uint32] // of one after the other
}

type clusterHead struct {
	score   float64
	weakest [2]uint32
	glued   uint32
	end     uint32 // of its members
}

func (l *clusters) add(c *cluster) {
	l.members.Append(c.members...)
	l.heads.Append(clusterHead{c.score, c.weakest, c.glued, uint32(len(l.members.All))})
}

// at returns the n-th cluster.
func (l *clusters) at(n int) cluster {
	from, h := uint32(0), &l.heads.All[n]
	if n > 0 {
		from = l.heads.All[n-1].end
	}
	return cluster{members: l.members.All[from:h.end], score: h.score, weakest: h.weakest, glued: h.glued}
}

func (l *clusters) close() {
	l.heads.Close()
	l.members.Close()
}

// persons are which of n records are of one person: the first of their cluster, or each its own.
func (l *clusters) persons(n int) *extsort.Table[uint32] {
	person := extsort.NewTable[uint32](n)
	for i := range person.All {
		person.All[i] = uint32(i)
	}
	for k := range l.heads.All {
		c := l.at(k)
		for _, i := range c.members {
			person.All[i] = c.members[0]
		}
	}
	return person
}

// logit is the logarithm of the odds of a probability.
func logit(p float64) float32 { return float32(math.Log(p / (1 - p))) }

// clusterer makes clusters of a component: profiles that edges hold together.
type clusterer struct {
	m       *Model
	least   float32   // odds of a match
	odds    []float32 // of pairs that edges have; 0: none
	vectors []*vector
	n       int
}

// clusters makes the clusters of a bunch, given the vectors of all its pairs. It joins what belongs together most, as long as that is likely.
// How two clusters belong together is told field by field: of all pairs between them that have something to compare there, the mean counts,
// and the best a little; and no more than their best pair says. So one likely pair between two clusters that else disagree, a weak bridge, joins nothing; a record without
// a first name does not hide that others have different ones; and one with little in it belongs where all that is known fits.
func (k *clusterer) clusters(b bunch, vectors []vector) []cluster {
	n := len(b.members)
	if n > maxDense {
		return wholes(b)
	}
	k.n = n
	k.vectors = slices.Grow(k.vectors[:0], n*n)[:n*n]
	k.odds = slices.Grow(k.odds[:0], n*n)[:n*n]
	clear(k.odds)
	for x := range vectors {
		v := &vectors[x]
		i, _ := slices.BinarySearch(b.members, v.i)
		j, _ := slices.BinarySearch(b.members, v.j)
		k.vectors[i*n+j], k.vectors[j*n+i] = v, v
	}
	for _, e := range b.edges {
		i, _ := slices.BinarySearch(b.members, e.i)
		j, _ := slices.BinarySearch(b.members, e.j)
		k.odds[i*n+j], k.odds[j*n+i] = e.odds, e.odds
	}
	return k.agglomerate(b.members)
}

// group is a cluster under way, by places in the bunch.
type group struct {
	at      []int
	sum     float64 // of the probabilities of its pairs
	weak    float32 // of its weakest joint
	weakest [2]int
}

// joint is how two groups belong together.
type joint struct {
	odds float32
	best [2]int // the pair with the best odds
}

// pairOdds are the odds of two places.
func (k *clusterer) pairOdds(x, y int) float32 {
	if o := k.odds[x*k.n+y]; o != 0 {
		return o
	}
	sum := float32(0)
	v := k.vectors[x*k.n+y]
	if v == nil {
		return far
	}
	for _, w := range v.fields {
		if w != vectorMissing {
			sum += float32(w)
		}
	}
	return k.m.priorM - k.m.priorU + (sum+float32(v.rest))/vectorScale
}

func (k *clusterer) joint(a, b *group) joint {
	j := joint{best: [2]int{a.at[0], b.at[0]}}
	var sum, n, most [maxFields]int
	for f := range most {
		most[f] = vectorMissing
	}
	best := float32(math.Inf(-1))
	rest := 0
	for _, x := range a.at {
		for _, y := range b.at {
			o := k.pairOdds(x, y)
			switch {
			case o == answeredNot:
				return joint{odds: answeredNot, best: j.best}
			case o > best:
				best, j.best = o, [2]int{x, y}
			}
			v := k.vectors[x*k.n+y]
			if v == nil {
				continue
			}
			rest += int(v.rest)
			for f, w := range v.fields {
				if w != vectorMissing {
					sum[f] += int(w)
					n[f]++
					most[f] = max(most[f], int(w))
				}
			}
		}
	}
	if best == answeredSame || len(a.at)+len(b.at) == 2 {
		j.odds = best
		return j
	}
	j.odds = float32(rest) / float32(len(a.at)*len(b.at))
	for f := range sum {
		if n[f] > 0 {
			j.odds += bestShare*float32(most[f]) + (1-bestShare)*float32(sum[f])/float32(n[f])
		}
	}
	j.odds = min(best, k.m.priorM-k.m.priorU+j.odds/vectorScale)
	return j
}

// bestShare is how much the best pair of a field counts between two groups; the rest is the mean's.
const bestShare = 0.2

func (k *clusterer) agglomerate(members []uint32) []cluster {
	groups := make([]*group, k.n)
	joints := make([][]joint, k.n) // of each with those before it
	for i := range groups {
		groups[i] = &group{at: []int{i}, weak: float32(math.Inf(1))}
		joints[i] = make([]joint, i)
		for j := range i {
			joints[i][j] = k.joint(groups[i], groups[j])
		}
	}
	firm := max(k.least, logit(sure))
	var loose []edge // between groups, less than sure
	for {
		bi, bj := -1, -1
		for i := range groups {
			for j := range i {
				if groups[i] != nil && groups[j] != nil && (bi < 0 || joints[i][j].odds > joints[bi][bj].odds) {
					bi, bj = i, j
				}
			}
		}
		if bi < 0 || joints[bi][bj].odds < k.least {
			break
		}
		j := joints[bi][bj]
		if j.odds < firm && len(groups[bi].at)+len(groups[bj].at) > 2 {
			loose = append(loose, edge{uint32(bi), uint32(bj), j.odds})
			joints[bi][bj].odds = float32(math.Inf(-1))
			continue
		}
		k.merge(groups, joints, bi, bj)
	}
	var all []cluster
	for _, g := range groups {
		if g != nil && len(g.at) > 1 {
			all = append(all, k.finish(g, members))
		}
	}
	k.glued(all, members)
	return all
}

// merge joins the groups of two places, at the lower one.
func (k *clusterer) merge(groups []*group, joints [][]joint, bi, bj int) {
	a, b, j := groups[bj], groups[bi], joints[bi][bj]
	m := &group{at: append(slices.Clone(a.at), b.at...), sum: a.sum + b.sum + float64(len(a.at)*len(b.at))*probability(j.odds)}
	m.weak, m.weakest = a.weak, a.weakest
	if b.weak < m.weak {
		m.weak, m.weakest = b.weak, b.weakest
	}
	if j.odds < m.weak {
		m.weak, m.weakest = j.odds, j.best
	}
	groups[bj], groups[bi] = m, nil
	for i := range groups {
		if i == bj || groups[i] == nil {
			continue
		}
		joints[max(i, bj)][min(i, bj)] = k.joint(groups[max(i, bj)], groups[min(i, bj)])
	}
}

func (k *clusterer) finish(g *group, members []uint32) cluster {
	c := cluster{score: g.sum / pairsOf(len(g.at)), weakest: [2]uint32{members[g.weakest[0]], members[g.weakest[1]]}}
	for _, at := range g.at {
		c.members = append(c.members, members[at])
	}
	slices.Sort(c.members)
	slices.Sort(c.weakest[:])
	return c
}

// bridge is the odds from which on a profile belongs to a group that the rest of its own group surely does not belong to.
const bridge = 3

// glued finds profiles that belong to two clusters which do not belong together.
func (k *clusterer) glued(all []cluster, members []uint32) {
	place := make([]int, k.n) // the cluster of each member, and 1
	for n := range all {
		for _, r := range all[n].members {
			at, _ := slices.BinarySearch(members, r)
			place[at] = n + 1
		}
	}
	for v := range k.n {
		own := place[v]
		if own == 0 || all[own-1].glued != 0 {
			continue
		}
		for w := range k.n {
			if w == v || place[w] == own || k.pairOdds(v, w) < bridge {
				continue
			}
			// w is of another cluster, or alone: do all others of v's cluster say that it is someone else?
			apart, others := true, 0
			for x := range k.n {
				if place[x] == own && x != v {
					others++
					apart = apart && k.pairOdds(x, w) < -bridge
				}
			}
			if apart && others > 0 {
				all[own-1].glued = members[v] + 1
				break
			}
		}
	}
}

// wholes makes clusters of a component that is too large to look at all its pairs, and sure throughout: one, unless persons have kept some of
// its profiles apart. Then it is joined by its best edges first, without those that would join who is to be apart.
func wholes(b bunch) (all []cluster) {
	var apart []edge
	for _, e := range b.edges {
		if e.odds == answeredNot {
			apart = append(apart, e)
		}
	}
	if len(apart) == 0 {
		return []cluster{whole(b)}
	}
	f := newForest(len(b.members))
	root := func(r uint32) uint32 {
		n, _ := slices.BinarySearch(b.members, r)
		return f.find(uint32(n))
	}
	edges := slices.Clone(b.edges)
	slices.SortStableFunc(edges, func(x, y edge) int { return cmp.Compare(y.odds, x.odds) })
	for _, e := range edges {
		if e.odds < strongest-1 { // split leaves whole what stronger ones hold together
			break
		}
		i, j := root(e.i), root(e.j)
		if !slices.ContainsFunc(apart, func(e edge) bool {
			x, y := root(e.i), root(e.j)
			return x == i && y == j || x == j && y == i
		}) {
			f.join(i, j)
		}
	}
	edges = slices.DeleteFunc(edges, func(e edge) bool { return root(e.i) != root(e.j) })
	sortEdges(edges)
	for _, p := range pieces(bunch{b.members, edges}, answeredNot) {
		all = append(all, whole(p))
	}
	return all
}

// whole makes one cluster of a component that is too large to look at all its pairs, and sure throughout.
func whole(c bunch) cluster {
	out := cluster{members: c.members}
	sum, weakest := 0.0, edge{odds: float32(math.Inf(1))}
	for _, e := range c.edges {
		sum += probability(e.odds)
		if e.odds < weakest.odds {
			weakest = e
		}
	}
	out.score = sum / float64(len(c.edges))
	out.weakest = [2]uint32{weakest.i, weakest.j}
	return out
}
