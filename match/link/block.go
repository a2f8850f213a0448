package link

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"
)

// component is a part of a blocking key.
type component uint8

const (
	kGiven    component = iota // sound of the first given name
	kFamily                    // sound of the family name
	kNames                     // both, in either order
	kGivenIs                   // the given name itself
	kFamilyIs                  // the family name itself
	kBirth                     // the date
	kYear
	kDay // month and day, in either order
	kEmail
	kLocal // local part of an e-mail
	kPhone
	kStreet // the first letters
	kNumber
	kUnit
	kCity
	kPostcode
	kBusiness
	kAccount
	kCustom
	components = kCustom + maxCustom
)

// componentNames are what components are called; custom attributes have their own names.
var componentNames = [kCustom]string{"sound of the given name", "sound of the family name", "names in any order", "given name", "family name", "birth date", "year of birth",
	"day of birth", "e-mail", "local part of the e-mail", "phone", "street", "house number", "further address line", "city", "postal code", "business name", "account number"}

// passes are the keys that candidates may share: those of one component, or of two.
func passes(m *Model) (all [][]component) {
	all = [][]component{
		{kEmail}, {kPhone}, {kNames}, {kBirth}, {kLocal}, {kStreet, kNumber}, {kFamily, kPostcode}, {kGiven, kPostcode}, {kFamily, kYear}, {kGiven, kYear},
		{kFamily, kDay}, {kGiven, kDay}, {kFamilyIs, kCity}, {kGivenIs, kCity}, {kGiven, kStreet}, {kFamily, kStreet}, {kStreet, kPostcode}, {kStreet, kCity}, {kUnit, kPostcode}, {kUnit, kStreet},
		{kCity, kYear}, {kPostcode, kYear}, {kPostcode, kDay}, {kBusiness}, {kFamilyIs}, {kGivenIs},
	}
	if m.account {
		all = append(all, []component{kAccount})
	}
	for i := range m.custom {
		all = append(all, []component{kCustom + component(i)})
	}
	return all
}

// refiners are the components that oversized blocks are refined by.
var refiners = [...]component{kBirth, kGiven, kFamily, kPostcode, kCity, kStreet, kNumber, kYear, kDay, kEmail, kPhone}

// maxKeys are how many keys of one pass a record has at most.
const maxKeys = 8

// hashes appends the hashes of a record's values of a component; none is 0.
func (c component) hashes(dst []uint64, v *view) []uint64 {
	put := func(b []byte) {
		if len(b) > 0 && len(dst) < maxKeys {
			dst = append(dst, max(1, xxh3.HashSeed(b, uint64(c))))
		}
	}
	each := func(slot int, do func(part []byte)) {
		eachPart(v.slot(slot), valueEnd, func(part []byte) bool {
			do(part)
			return true
		})
	}
	var buf [16]byte
	switch c {
	case kGiven:
		put(sound(buf[:0], firstWord(v.slot(sGiven))))
	case kFamily:
		put(sound(buf[:0], v.slot(sFamily)))
		if w := firstWord(v.slot(sFamily)); len(w) < len(v.slot(sFamily)) && len(w) > 2 { // one of two family names may be missing
			put(sound(buf[:0], w))
		}
	case kNames:
		a, b := sound(buf[:0], firstWord(v.slot(sGiven))), sound(nil, v.slot(sFamily))
		if len(a) > 0 && len(b) > 0 {
			if bytes.Compare(a, b) > 0 {
				a, b = b, a
			}
			put(append(append(append([]byte(nil), a...), ' '), b...))
		}
	case kGivenIs:
		put(firstWord(v.slot(sGiven)))
	case kFamilyIs:
		put(v.slot(sFamily))
	case kBirth:
		put(v.slot(sBirth))
	case kYear:
		if y, _, _ := v.birth().parts(); y > 0 {
			put([]byte{byte(y >> 8), byte(y)})
		}
	case kDay:
		if _, m, d := v.birth().parts(); d > 0 {
			put([]byte{byte(min(m, d)), byte(max(m, d))})
		}
	case kEmail:
		each(sEmail, put)
	case kLocal:
		each(sEmail, func(part []byte) { put(part[:bytes.IndexByte(part, '@')]) })
	case kPhone:
		each(sPhone, put)
	case kStreet:
		each(sStreet, func(part []byte) { put(part[:min(len(part), 5)]) })
	case kNumber:
		each(sNumber, put)
	case kUnit:
		each(sUnit, put)
	case kCity:
		each(sCity, func(part []byte) { put(part[:min(len(part), 6)]) })
	case kPostcode:
		each(sPostcode, put)
	case kBusiness:
		each(sBusiness, put)
	case kAccount:
		each(sAccount, put)
	default:
		each(sCustom+int(c-kCustom), put)
	}
	return dst
}

func firstWord(b []byte) []byte {
	if n := bytes.IndexByte(b, ' '); n > 0 {
		return b[:n]
	}
	return b
}

// sounds are the classes of consonants of Soundex (Russell 1918), with the vowels as 0.
var sounds = [26]byte{'0', '1', '2', '3', '0', '1', '2', '0', '0', '2', '2', '4', '5', '5', '0', '1', '2', '6', '2', '3', '0', '1', '0', '2', '0', '2'}

// sound appends the Soundex code of a word, or the first letters of one in other letters.
func sound(dst, word []byte) []byte {
	if len(word) == 0 {
		return dst
	}
	if !ascii(word) {
		return append(dst, word[:min(len(word), 6)]...)
	}
	from := len(dst)
	last := byte('0')
	for _, c := range word {
		if c < 'a' || c > 'z' {
			continue
		}
		code := sounds[c-'a']
		switch {
		case len(dst) == from:
			dst = append(dst, c)
			last = code
		case code == '0':
			if c != 'h' && c != 'w' {
				last = '0'
			}
		case code != last:
			dst = append(dst, code)
			last = code
		}
		if len(dst)-from == 4 {
			break
		}
	}
	if len(dst) == from {
		return append(dst, word[:min(len(word), 6)]...)
	}
	return dst
}

// entry is a record with a key.
type entry struct {
	key uint64
	i   uint32
}

// blocker finds pairs that share a key.
type blocker struct {
	*records
	m     *Model
	o     *Options
	parts *pairParts
	// refine are the hashes of each record's refiners; 0: it has none.
	refine [][len(refiners)]uint16
	budget int64 // pairs of one pass
	most   int   // records of a block
	bound  []bounded

	lock sync.Mutex
	// entries are those of the pass, and spare is room to sort them: the same memory for all passes.
	entries, spare []entry
}

// bounded is what was bounded of a pass.
type bounded struct{ blocks, windows, largest int }

const (
	// passEntries are kept at a time.
	passEntries = 8 << 20
	// entriesAtOnce are how many a worker hands on together.
	entriesAtOnce = 8192
	// window is with how many of the next ones each record of a block is compared that nothing refines.
	window = 6
)

func (b *blocker) prepare() error {
	b.refine = make([][len(refiners)]uint16, b.n)
	return b.each(b.o.Workers, func(_, i int, raw []byte) error {
		var v view
		v.read(raw, b.slots)
		var buf [maxKeys]uint64
		for k, c := range refiners {
			if h := c.hashes(buf[:0], &v); len(h) > 0 {
				b.refine[i][k] = max(1, uint16(h[0]>>7))
			}
		}
		return nil
	})
}

// run finds the pairs of all passes.
func (b *blocker) run(ctx context.Context) error {
	if err := b.prepare(); err != nil {
		return err
	}
	for _, p := range passes(b.m) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rounds := b.n/passEntries + 1
		for round := range rounds {
			if err := b.pass(p, round, rounds); err != nil {
				return err
			}
		}
	}
	return nil
}

// pass finds the pairs of one key, of those blocks whose turn it is.
func (b *blocker) pass(p []component, round, rounds int) error {
	b.entries = slices.Grow(b.entries[:0], b.n/rounds+b.n/8)
	lists := make([][]entry, b.o.Workers)
	err := b.each(b.o.Workers, func(w, i int, raw []byte) error {
		if b.copy(i) {
			return nil
		}
		if len(lists[w]) > entriesAtOnce {
			lists[w] = b.hand(lists[w])
		}
		var v view
		v.read(raw, b.slots)
		var one, two [maxKeys]uint64
		first := p[0].hashes(one[:0], &v)
		if len(p) == 1 {
			for _, h := range first {
				if h%uint64(rounds) == uint64(round) {
					lists[w] = append(lists[w], entry{h, uint32(i)})
				}
			}
			return nil
		}
		if len(first) == 0 {
			return nil
		}
		for n, h2 := range p[1].hashes(two[:0], &v) {
			for m, h1 := range first {
				if p[0] == kStreet && p[1] == kNumber && n != m {
					continue
				}
				h := h1*0x9e3779b97f4a7c15 ^ h2
				if h%uint64(rounds) == uint64(round) {
					lists[w] = append(lists[w], entry{h, uint32(i)})
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, list := range lists {
		b.hand(list)
	}
	return b.blocks(p, b.entries)
}

// hand puts a worker's entries with those of the others, and returns room for more. They are in no order.
func (b *blocker) hand(list []entry) []entry {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.entries = append(b.entries, list...)
	return list[:0]
}

// blocks sorts entries and takes the pairs of each block.
func (b *blocker) blocks(p []component, all []entry) error {
	b.spare = slices.Grow(b.spare[:0], len(all))[:len(all)]
	sortEntries(all, b.spare)
	most := b.fit(all)
	const step = 16384
	tasks := (len(all) + step - 1) / step
	outs := make([]*pairWriter, b.o.Workers)
	for i := range outs {
		outs[i] = b.parts.writer()
	}
	bounds := make([]bounded, tasks)
	counts := make([][1 << 16]uint32, b.o.Workers)
	err := parallel(b.o.Workers, tasks, func(w, t int) error {
		from, to := t*step, min(len(all), (t+1)*step)
		for from < to && from > 0 && all[from].key == all[from-1].key { // the task before has it
			from++
		}
		for from < to {
			end := from + 1
			for end < len(all) && all[end].key == all[from].key {
				end++
			}
			if end-from > 1 {
				r := refinement{b: b, out: outs[w], most: most, counts: &counts[w], bounded: &bounds[t]}
				r.block(all[from:end], r.used(p), true)
			}
			from = end
		}
		return outs[w].err
	})
	for _, out := range outs {
		if err == nil {
			err = out.flush()
		}
	}
	var sum bounded
	for _, x := range bounds {
		sum.blocks += x.blocks
		sum.windows += x.windows
		sum.largest = max(sum.largest, x.largest)
	}
	b.bound = append(b.bound, sum)
	return err
}

// fit returns how large blocks may be so that a pass does not have more pairs than its budget.
func (b *blocker) fit(all []entry) int {
	var sizes []int
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && all[j].key == all[i].key {
			j++
		}
		if j-i > 1 {
			sizes = append(sizes, j-i)
		}
		i = j
	}
	for most := b.most; ; most = most * 2 / 3 {
		var pairs int64
		for _, n := range sizes {
			pairs += int64(n) * int64(min(n, most)) / 2
		}
		if pairs <= b.budget || most < 12 {
			return most
		}
	}
}

// refinement takes the pairs of a block, and refines it when it is too large.
type refinement struct {
	b    *blocker
	out  *pairWriter
	most int
	// counts is memory for best: all 0.
	counts *[1 << 16]uint32
	*bounded
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

// block takes all pairs of a block if it is small, or refines it: first by several components apart from each other, then by one.
func (r *refinement) block(all []entry, used uint32, top bool) {
	if len(all) <= r.most {
		for i := range all {
			for j := i + 1; j < len(all); j++ {
				r.out.put(all[i].i, all[j].i)
			}
		}
		return
	}
	if top {
		r.blocks++
		r.largest = max(r.largest, len(all))
	}
	n := 1
	if top {
		n = branches
	}
	best := r.best(all, used, n)
	if len(best) == 0 {
		r.windows++
		for i := range all {
			for j := i + 1; j < min(len(all), i+1+window); j++ {
				r.out.put(all[i].i, all[j].i)
			}
		}
		return
	}
	for _, k := range best {
		part := slices.Clone(all)
		slices.SortFunc(part, func(x, y entry) int {
			return cmp.Or(cmp.Compare(r.b.refine[x.i][k], r.b.refine[y.i][k]), cmp.Compare(x.i, y.i))
		})
		for i := 0; i < len(part); {
			j := i + 1
			for j < len(part) && r.b.refine[part[j].i][k] == r.b.refine[part[i].i][k] {
				j++
			}
			if j-i > 1 {
				r.block(part[i:j], used|1<<k, false)
			}
			i = j
		}
	}
}

// best returns the refiners that leave the fewest pairs, of those that leave fewer than there are.
func (r *refinement) best(all []entry, used uint32, n int) []int {
	type candidate struct {
		k     int
		pairs float64
	}
	var good []candidate
	counts := r.counts
	for k := range refiners {
		if used>>k&1 != 0 {
			continue
		}
		var pairs float64
		for _, e := range all {
			h := r.b.refine[e.i][k]
			pairs += float64(counts[h])
			counts[h]++
		}
		for _, e := range all {
			counts[r.b.refine[e.i][k]] = 0
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

// words says what was bounded, by pass.
func (b *blocker) words() (all []string) {
	for i, p := range passes(b.m) {
		if i >= len(b.bound) || b.bound[i].blocks == 0 {
			continue
		}
		var key string
		for k, c := range p {
			if k > 0 {
				key += " and "
			}
			if c >= kCustom {
				key += b.m.fieldName(fCustom + int(c-kCustom))
			} else {
				key += componentNames[c]
			}
		}
		all = append(all, b.bound[i].sentence(key))
	}
	return all
}

// sortEntries sorts by key, then by record. It is a radix sort, on the records' numbers first, that needs as much room again.
func sortEntries(all, spare []entry) {
	if len(all) < 512 {
		slices.SortFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.i, b.i)) })
		return
	}
	from, to := all, spare
	for pass := range 6 { // eleven bits at a time: three of the number, three of the key's upper half
		digit := func(e *entry) uint32 {
			if pass < 3 {
				return e.i >> (11 * pass) & 2047
			}
			return uint32(e.key>>(31+11*(pass-3))) & 2047
		}
		var counts [2048]uint32
		for k := range from {
			counts[digit(&from[k])]++
		}
		if counts[digit(&from[0])] == uint32(len(from)) {
			continue
		}
		sum := uint32(0)
		for k, n := range counts {
			counts[k] = sum
			sum += n
		}
		for k := range from {
			d := digit(&from[k])
			to[counts[d]] = from[k]
			counts[d]++
		}
		from, to = to, from
	}
	for k := 1; k < len(from); k++ { // keys that agree in their upper halves are few
		if from[k].key>>31 == from[k-1].key>>31 && from[k].key < from[k-1].key {
			n := k - 1
			for n > 0 && from[n-1].key>>31 == from[k].key>>31 {
				n--
			}
			slices.SortFunc(from[n:k+1], func(a, b entry) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.i, b.i)) })
		}
	}
	if &from[0] != &all[0] {
		copy(all, from)
	}
}

// allPairs takes all pairs there are.
func (b *blocker) allPairs() error {
	out := b.parts.writer()
	for i := range b.n {
		for j := i + 1; j < b.n && !b.copy(i); j++ {
			if !b.copy(j) {
				out.put(uint32(i), uint32(j))
			}
		}
	}
	return out.flush()
}

// pairsOf is how many pairs n records have.
func pairsOf(n int) float64 { return float64(n) * float64(n-1) / 2 }
