package link

import (
	"cmp"
	"slices"

	"kith/internal/extsort"
)

// refiners are the components that oversized blocks are refined by.
var refiners = [...]component{kBirth, kGiven, kFamily, kPostcode, kCity, kStreet, kNumber, kYear, kDay, kEmail, kPhone}

// refined are hashes of a record's refiners.
type refined [len(refiners)]uint16

// window is with how many of the next ones each record of a block is compared that nothing refines.
const window = 6

// refinement takes the pairs of a block, and refines it when it is too large.
type refinement struct {
	b    *blocker
	out  *pairWriter
	most int
	*refineMemory
	*bounded
}

// refineMemory is room to refine blocks, for one goroutine: eight bytes for each record of the largest.
type refineMemory struct {
	counts     [1 << 16]uint32 // of the values of a refiner: all 0
	all, spare extsort.Table[uint32]
	keys       []uint64 // of manyRecords at most
}

// copy returns a block of a list without its mark, good until the next one is copied.
func (m *refineMemory) copy(block []uint32) []uint32 {
	if cap(m.all.All) < len(block) {
		m.all.Close()
		m.spare.Close()
		room := len(block) + len(block)/4
		m.all, m.spare = *extsort.NewTable[uint32](room), *extsort.NewTable[uint32](room)
	}
	all := append(m.all.All[:0], block...)
	all[0] &^= begins
	return all
}

// used is which refiners are in a key already.
func (r *refinement) used(p []component) (mask uint32) {
	for k, c := range refiners {
		if slices.Contains(p, c) || c == kYear && slices.Contains(p, kBirth) || c == kDay && slices.Contains(p, kBirth) {
			mask |= 1 << k
		}
	}
	return mask
}

// branches are by how many components apart from each other a block is refined, so that an error in one of them does not hide a pair.
const branches = 3

// block takes all pairs of a block of a list if it is small, or refines it: by several components apart from each other.
func (r *refinement) block(block []uint32, used uint32) {
	all := r.copy(block)
	if len(all) <= r.most {
		r.pairs(all)
		return
	}
	r.blocks++
	r.largest = max(r.largest, len(all))
	best := r.best(all, used, branches)
	if len(best) == 0 {
		r.neighbours(all)
	}
	for n, k := range best {
		if n > 0 {
			all = r.copy(block) // parts are sorted where they are
		}
		r.divide(all, k, used)
	}
}

// divide takes the pairs of those who have one value of a refiner.
func (r *refinement) divide(all []uint32, k int, used uint32) {
	r.sort(all, k)
	refine := r.b.refine.All
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && refine[all[j]][k] == refine[all[i]][k] {
			j++
		}
		r.part(all[i:j], used|1<<k)
		i = j
	}
}

// part takes all pairs of a part of a block, or refines it by one component more.
func (r *refinement) part(all []uint32, used uint32) {
	if len(all) <= r.most {
		r.pairs(all)
		return
	}
	if best := r.best(all, used, 1); len(best) > 0 {
		r.divide(all, best[0], used)
		return
	}
	r.neighbours(all)
}

// pairs takes all pairs.
func (r *refinement) pairs(all []uint32) {
	for i := range all {
		for j := i + 1; j < len(all); j++ {
			r.out.put(all[i], all[j])
		}
	}
}

// neighbours takes the pairs of each with the next ones.
func (r *refinement) neighbours(all []uint32) {
	r.windows++
	for i := range all {
		for j := i + 1; j < min(len(all), i+1+window); j++ {
			r.out.put(all[i], all[j])
		}
	}
}

// manyRecords are from how many on counting the values of a refiner costs less than comparing them.
const manyRecords = 2 << 10

// sort sorts records by a refiner. They are in their order, and of one value they stay so.
func (r *refinement) sort(all []uint32, k int) {
	refine := r.b.refine.All
	if len(all) < manyRecords {
		keys := r.keys[:0] // so that nothing is looked up while they are sorted
		for _, i := range all {
			keys = append(keys, uint64(refine[i][k])<<32|uint64(i))
		}
		slices.Sort(keys)
		for n, key := range keys {
			all[n] = uint32(key)
		}
		r.keys = keys
		return
	}
	at, spare := &r.counts, r.spare.All[:len(all)]
	for _, i := range all {
		at[refine[i][k]]++
	}
	sum := uint32(0)
	for h, n := range at {
		at[h] = sum
		sum += n
	}
	for _, i := range all {
		h := refine[i][k]
		spare[at[h]] = i
		at[h]++
	}
	clear(at[:])
	copy(all, spare)
}

// best returns the refiners that leave the fewest pairs, of those that leave fewer than there are.
func (r *refinement) best(all []uint32, used uint32, n int) []int {
	type candidate struct {
		k     int
		pairs float64
	}
	var good []candidate
	counts, refine := &r.counts, r.b.refine.All
	for k := range refiners {
		if used>>k&1 != 0 {
			continue
		}
		var pairs float64
		for _, i := range all {
			h := refine[i][k]
			pairs += float64(counts[h])
			counts[h]++
		}
		for _, i := range all {
			counts[refine[i][k]] = 0
		}
		if pairs < 0.9*float64(len(all))*float64(len(all)-1)/2 {
			good = append(good, candidate{k, pairs})
		}
	}
	slices.SortStableFunc(good, func(a, b candidate) int { return cmp.Compare(a.pairs, b.pairs) })
	var best []int
	for _, c := range good[:min(n, len(good))] {
		best = append(best, c.k)
	}
	return best
}
