package link

import (
	"slices"

	"github.com/zeebo/xxh3"
)

// manySame is from how many profiles on that say the same one stands for all of them.
const manySame = 9

// copies are records that say the same as another, which stands for them: however many there are, they cost no more than one.
type copies struct {
	of map[uint32][]uint32 // the copies of those that stand for others
	is []uint64            // a bit for each record that is a copy
}

// copy says whether a record is a copy.
func (c *copies) copy(i int) bool { return c.is != nil && c.is[i/64]>>(i%64)&1 != 0 }

// findCopies finds records that say the same; those that a person has answered for stand for themselves.
func (r *records) findCopies(workers int, asked map[pair]bool) error {
	lists := make([][]entry, workers)
	err := r.each(workers, func(w, i int, b []byte) error {
		lists[w] = append(lists[w], entry{xxh3.Hash(b[:recordLen(b, r.slots)]), uint32(i)})
		return nil
	})
	if err != nil {
		return err
	}
	all := slices.Concat(lists...)
	sortEntries(all, make([]entry, len(all)))
	own := map[uint32]bool{}
	for p := range asked {
		i, j := p.ends()
		own[uint32(i)], own[uint32(j)] = true, true
	}
	r.copies = copies{of: map[uint32][]uint32{}}
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && all[j].key == all[i].key {
			j++
		}
		if j-i >= manySame {
			var same []uint32
			for _, e := range all[i:j] {
				if !own[e.i] {
					same = append(same, e.i)
				}
			}
			if len(same) > 1 {
				r.mark(same)
			}
		}
		i = j
	}
	return nil
}

// mark lets the first of some records stand for the others.
func (r *records) mark(same []uint32) {
	if r.is == nil {
		r.is = make([]uint64, (r.n+63)/64)
	}
	r.of[same[0]] = same[1:]
	for _, i := range same[1:] {
		r.is[i/64] |= 1 << (i % 64)
	}
}

// withCopies gives the copies of their members to the clusters. A record whose copies are surely of one person makes a cluster with them; where they say too
// little for that, they are left alone.
func (s *run) withCopies(all []cluster) ([]cluster, error) {
	if len(s.r.of) == 0 {
		return all, nil
	}
	self, err := s.selfOdds()
	if err != nil {
		return nil, err
	}
	done := map[uint32]bool{}
	for n := range all {
		c := &all[n]
		size, sum := float64(len(c.members)), c.score*pairsOf(len(c.members))
		for _, i := range slices.Clone(c.members) {
			if more := s.r.of[i]; len(more) > 0 && self[i] >= logit(s.o.Threshold) {
				done[i] = true
				k := float64(len(more))
				sum += probability(self[i])*(k+pairsOf(len(more))) + c.score*k*(size-1)
				size += k
				c.members = append(c.members, more...)
			}
		}
		c.score = sum / (size * (size - 1) / 2)
		slices.Sort(c.members)
	}
	kept, silent := 0, 0
	for i := range s.r.n {
		more := s.r.of[uint32(i)]
		if len(more) == 0 || done[uint32(i)] {
			continue
		}
		if odds := self[uint32(i)]; odds >= logit(s.o.Threshold) {
			members := append([]uint32{uint32(i)}, more...)
			slices.Sort(members)
			all = append(all, cluster{members: members, score: probability(odds), weakest: [2]uint32{members[0], members[1]}})
			continue
		}
		kept++
		silent = max(silent, len(more)+1)
	}
	if kept > 0 {
		s.silent = sayTooLittle(kept, silent)
	}
	return all, nil
}

// selfOdds are the odds of two records that say the same, by the record that stands for them.
func (s *run) selfOdds() (map[uint32]float32, error) {
	odds := map[uint32]float32{}
	for k := range s.r.chunks {
		c, err := s.r.chunk(k)
		if err != nil {
			return nil, err
		}
		cmp := &comparer{Model: s.m}
		for i := range s.r.of {
			if at := int(i) - s.r.first[k]; at >= 0 && at < len(c.off) {
				cmp.a.read(c.arena[c.off[at]:], s.r.slots)
				cmp.b.read(c.arena[c.off[at]:], s.r.slots)
				cmp.compare(true)
				odds[i] = s.m.odds(&cmp.evidence)
			}
		}
	}
	return odds, nil
}
