package link

import (
	"cmp"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"

	"kith/internal/extsort"
)

// manySame is from how many profiles on that say the same one stands for all of them.
const manySame = 9

// copies are records that say the same as another, which stands for them: however many there are, they cost no more than one.
type copies struct {
	heads   extsort.Table[copyHead] // in the order of records
	members extsort.Table[uint32]
	is      []uint64 // a bit for each record that is a copy
}

// copyHead is a record that stands for others.
type copyHead struct{ i, from, to uint32 }

// copy says whether a record is a copy.
func (c *copies) copy(i int) bool { return c.is != nil && c.is[i/64]>>(i%64)&1 != 0 }

// of is which of the heads a record is.
func (c *copies) of(i uint32) (n int, stands bool) {
	return slices.BinarySearchFunc(c.heads.All, i, func(h copyHead, i uint32) int { return cmp.Compare(h.i, i) })
}

// those are the copies of the n-th head.
func (c *copies) those(n int) []uint32 { return c.members.All[c.heads.All[n].from:c.heads.All[n].to] }

func (c *copies) close() {
	c.heads.Close()
	c.members.Close()
}

// findCopies finds records that say the same; those that a person has answered for stand for themselves.
func (r *records) findCopies(o *Options, asked map[pair]bool) error {
	all := newEntries(o, 1, r.n, r.share(entriesShare))
	defer all.close()
	out := all.writers(o.Workers)
	err := r.each(o.Workers, func(w, i int, b []byte) error {
		return out[w].put(0, xxh3.Hash(b[:recordLen(b, r.slots)]), uint32(i))
	})
	if err == nil {
		err = flush(out)
	}
	if err != nil {
		return err
	}
	own := map[uint32]bool{}
	for p := range asked {
		i, j := p.ends()
		own[uint32(i)], own[uint32(j)] = true, true
	}
	ms, lists := make([]sortMemory, o.Workers), make([]extsort.Table[uint32], o.Workers)
	defer closeAll(ms)
	defer func() {
		for w := range lists {
			lists[w].Close()
		}
	}()
	var lock sync.Mutex
	err = parallel(o.Workers, all.ranges, func(w, n int) error {
		if count := all.count(0, n); cap(lists[w].All) < count {
			lists[w].Close()
			lists[w] = *extsort.NewTable[uint32](count + count/8)
		}
		list, err := all.blocks(0, n, &ms[w], lists[w].All[:0])
		eachBlock(list, func(same []uint32) {
			if len(same) < manySame {
				return
			}
			same[0] &^= begins
			same = slices.DeleteFunc(same, func(i uint32) bool { return own[i] })
			if len(same) > 1 {
				lock.Lock()
				defer lock.Unlock()
				r.mark(same)
			}
		})
		return err
	})
	slices.SortFunc(r.heads.All, func(a, b copyHead) int { return cmp.Compare(a.i, b.i) })
	return err
}

// mark lets the first of some records stand for the others.
func (r *records) mark(same []uint32) {
	if r.is == nil {
		r.is = make([]uint64, (r.n+63)/64)
	}
	from := len(r.members.All)
	r.members.Append(same[1:]...)
	r.heads.Append(copyHead{same[0], uint32(from), uint32(len(r.members.All))})
	for _, i := range same[1:] {
		r.is[i/64] |= 1 << (i % 64)
	}
}

// keeper keeps clusters with the copies of their members.
type keeper struct {
	*run
	found *clusters
	self  []float32 // the odds of each of those that stand for others with their copies
	done  []bool    // whose copies are in a cluster
}

// keeper returns one that keeps clusters in found instead of what is there.
func (s *run) keeper(found *clusters) (*keeper, error) {
	self, err := s.selfOdds()
	found.close()
	return &keeper{s, found, self, make([]bool, len(self))}, err
}

// keep keeps clusters.
func (k *keeper) keep(all []cluster) {
	for n := range all {
		c := &all[n]
		if len(k.self) > 0 {
			k.withCopies(c)
		}
		k.found.add(c)
	}
}

// withCopies gives a cluster the copies of its members, where these are surely of one person.
func (k *keeper) withCopies(c *cluster) {
	size, sum := float64(len(c.members)), c.score*pairsOf(len(c.members))
	for _, i := range slices.Clone(c.members) {
		if at, stands := k.r.of(i); stands && k.self[at] >= logit(k.o.Threshold) {
			k.done[at] = true
			more := k.r.those(at)
			n := float64(len(more))
			sum += probability(k.self[at])*(n+pairsOf(len(more))) + c.score*n*(size-1)
			size += n
			c.members = append(c.members, more...)
		}
	}
	c.score = sum / (size * (size - 1) / 2)
	slices.Sort(c.members)
}

// rest makes clusters of those who are in none but with their copies, if they say enough for that. Else they are left alone, which it returns a sentence about.
func (k *keeper) rest() string {
	kept, silent := 0, 0
	for at, odds := range k.self {
		if k.done[at] {
			continue
		}
		more := k.r.those(at)
		if odds >= logit(k.o.Threshold) {
			members := append([]uint32{k.r.heads.All[at].i}, more...)
			slices.Sort(members)
			k.found.add(&cluster{members: members, score: probability(odds), weakest: [2]uint32{members[0], members[1]}})
			continue
		}
		kept++
		silent = max(silent, len(more)+1)
	}
	if kept == 0 {
		return ""
	}
	return sayTooLittle(kept, silent)
}

// selfOdds are the odds of two records that say the same, by the record that stands for them.
func (s *run) selfOdds() ([]float32, error) {
	odds := make([]float32, len(s.r.heads.All))
	if len(odds) == 0 {
		return nil, nil
	}
	c := &comparer{Model: s.m}
	err := s.r.each(1, func(_, i int, b []byte) error {
		if at, stands := s.r.of(uint32(i)); stands {
			c.a.read(b, s.r.slots)
			c.b.read(b, s.r.slots)
			c.compare(true)
			odds[at] = s.m.odds(&c.evidence)
		}
		return nil
	})
	return odds, err
}
