package link

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/zeebo/xxh3"

	"kith/internal/extsort"
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

// blocker finds pairs that share a key.
//
// Records are read once for as many passes as there is room for, and all their keys made then; where records are aside, for all passes, since to put keys aside
// is much cheaper than to read records 26 times. Of a pass the keys are sorted part by part (entries.go), and what stays of it are its
// blocks of two and more: four bytes for each record in one. All blocks of a pass are there before the first pair is taken, for how large they may be depends
// on all of them.
type blocker struct {
	*records
	m     *Model
	o     *Options
	parts *pairParts
	// refine are the hashes of each record's refiners; 0: it has none.
	refine *extsort.Table[refined]
	budget int64 // pairs of one pass
	bound  []bounded
	outs   []*pairWriter // of each worker
}

// refined are hashes of a record's refiners.
type refined [len(refiners)]uint16

// bounded is what was bounded of a pass.
type bounded struct{ blocks, windows, largest int }

// window is with how many of the next ones each record of a block is compared that nothing refines.
const window = 6

// run finds the pairs of all passes.
func (b *blocker) run(ctx context.Context) error {
	b.refine = extsort.NewTable[refined](b.n)
	defer b.refine.Close()
	for range b.o.Workers {
		b.outs = append(b.outs, b.parts.writer())
	}
	all := passes(b.m)
	atOnce := len(all)
	if b.aside == nil { // so many that nothing is spilled, if possible
		atOnce = int(max(1, min(int64(atOnce), b.o.Memory/entriesShare/(entrySize*int64(b.n)*5/4))))
	}
	for i := 0; i < len(all); i += atOnce {
		if err := b.some(ctx, all[i:min(len(all), i+atOnce)], i == 0); err != nil {
			return err
		}
	}
	return nil
}

// some finds the pairs of some passes.
func (b *blocker) some(ctx context.Context, all [][]component, first bool) error {
	e := newEntries(b.o, len(all), b.n, b.share(entriesShare))
	defer e.close()
	out := e.writers(b.o.Workers)
	keyers := make([]keyer, b.o.Workers)
	for w := range keyers {
		keyers[w].need(all, first)
	}
	err := b.each(b.o.Workers, func(w, i int, raw []byte) error {
		k := &keyers[w]
		k.read(raw, b.slots)
		if first {
			k.refined(&b.refine.All[i])
		}
		if b.copy(i) {
			return nil
		}
		for n, p := range all {
			if err := k.keys(p, func(key uint64) error { return out[w].put(n, key, uint32(i)) }); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = flush(out)
	}
	for n := 0; n < len(all) && err == nil; n++ {
		if err = context.Cause(ctx); err == nil {
			err = b.pass(e, n, all[n])
		}
	}
	return err
}

// keyer makes the keys of a record. It is for one goroutine.
type keyer struct {
	wanted []component
	hashes [components][]uint64
	v      view
}

// need says for which passes keys are made.
func (k *keyer) need(all [][]component, refining bool) {
	k.wanted = slices.Concat(all...)
	if refining {
		k.wanted = append(k.wanted, refiners[:]...)
	}
	slices.Sort(k.wanted)
	k.wanted = slices.Compact(k.wanted)
}

func (k *keyer) read(raw []byte, slots int) {
	k.v.read(raw, slots)
	for _, c := range k.wanted {
		k.hashes[c] = c.hashes(k.hashes[c][:0], &k.v)
	}
}

func (k *keyer) refined(to *refined) {
	for n, c := range refiners {
		if h := k.hashes[c]; len(h) > 0 {
			to[n] = max(1, uint16(h[0]>>7))
		}
	}
}

// keys calls do for each key that the record has of a pass.
func (k *keyer) keys(p []component, do func(key uint64) error) error {
	first := k.hashes[p[0]]
	if len(p) == 1 {
		for _, h := range first {
			if err := do(h); err != nil {
				return err
			}
		}
		return nil
	}
	for n, h2 := range k.hashes[p[1]] {
		for m, h1 := range first {
			if p[0] == kStreet && p[1] == kNumber && n != m {
				continue
			}
			if err := do(h1*0x9e3779b97f4a7c15 ^ h2); err != nil {
				return err
			}
		}
	}
	return nil
}

// pass takes the pairs of all blocks of a pass.
func (b *blocker) pass(e *entries, kind int, p []component) error {
	blocks, sizes, err := b.blocks(e, kind)
	if err != nil {
		return err
	}
	defer blocks.Close()
	most := b.fit(sizes)
	all := blocks.All
	const step = 16384
	tasks := (len(all) + step - 1) / step
	outs := b.outs
	bounds := make([]bounded, tasks)
	ms := make([]refineMemory, b.o.Workers)
	defer func() {
		for w := range ms {
			ms[w].all.Close()
			ms[w].spare.Close()
		}
	}()
	err = parallel(b.o.Workers, tasks, func(w, t int) error {
		from, to := t*step, min(len(all), (t+1)*step)
		for from < to && all[from]&begins == 0 { // the task before has it
			from++
		}
		r := refinement{b: b, out: outs[w], most: most, refineMemory: &ms[w], bounded: &bounds[t]}
		for from < to {
			n := blockLen(all[from:])
			r.block(all[from:from+n], r.used(p))
			from += n
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

// blocks returns the blocks of a pass that have two records at least, one after the other, each with its first record marked. Parts are sorted by several goroutines; each
// has a place of its own in the list, which is closed up behind them.
func (b *blocker) blocks(e *entries, kind int) (*extsort.Table[uint32], *blockSizes, error) {
	from := make([]int, e.ranges+1)
	for n := range e.ranges {
		from[n+1] = from[n] + e.count(kind, n)
	}
	list := extsort.NewTable[uint32](from[e.ranges])
	lens, sizes := make([]int, e.ranges), make([]blockSizes, b.o.Workers)
	ms := make([]sortMemory, b.o.Workers)
	defer closeAll(ms)
	err := parallel(b.o.Workers, e.ranges, func(w, n int) error {
		out, err := e.blocks(kind, n, &ms[w], list.All[from[n]:from[n]:from[n+1]])
		eachBlock(out, func(block []uint32) { sizes[w].add(len(block)) })
		lens[n] = len(out)
		return err
	})
	if err != nil {
		list.Close()
		return nil, nil, err
	}
	end := 0
	for n, size := range lens {
		end += copy(list.All[end:], list.All[from[n]:from[n]+size])
	}
	list.All = list.All[:end]
	for w := range sizes[1:] {
		sizes[0].merge(&sizes[w+1])
	}
	return list, &sizes[0], nil
}

// blockSizes are how many blocks there are by size: all that fit asks.
type blockSizes struct {
	small [mostOfBlock + 1]int64
	// large are the records of the larger ones, and odd how many of these blocks have an odd number.
	large, odd int64
}

// mostOfBlock is how many records a block has at most whose pairs are all taken.
const mostOfBlock = 100

func (s *blockSizes) add(n int) {
	if n <= mostOfBlock {
		s.small[n]++
		return
	}
	s.large += int64(n)
	s.odd += int64(n & 1)
}

func (s *blockSizes) merge(o *blockSizes) {
	for n, k := range o.small {
		s.small[n] += k
	}
	s.large += o.large
	s.odd += o.odd
}

// pairs are about how many pairs are taken if blocks have so many records at most: half of the records times that, of each rounded down.
func (s *blockSizes) pairs(most int) (sum int64) {
	for n, k := range s.small {
		sum += k * (int64(n) * int64(min(n, most)) / 2)
	}
	return sum + (s.large*int64(most)-s.odd*int64(most&1))/2
}

// fit returns how large blocks may be so that a pass does not have more pairs than its budget.
func (b *blocker) fit(sizes *blockSizes) int {
	for most := mostOfBlock; ; most = most * 2 / 3 {
		if sizes.pairs(most) <= b.budget || most < 12 {
			return most
		}
	}
}

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
const manyRecords = 16 << 10

// sort sorts records by a refiner. They are in their order, and of one value they stay so.
func (r *refinement) sort(all []uint32, k int) {
	refine := r.b.refine.All
	if len(all) < manyRecords {
		slices.SortFunc(all, func(x, y uint32) int { return cmp.Or(cmp.Compare(refine[x][k], refine[y][k]), cmp.Compare(x, y)) })
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
