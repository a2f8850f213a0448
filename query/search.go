package query

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"kith/api"
	"kith/fault"
	"kith/profile"
	"kith/profile/fold"
	"kith/store"
)

// The limits of one page. They bound its time, whatever is looked for in however large a domain: a page may have few items, or none, and
// others behind it.
const (
	poolSize    = 100    // items that are ranked together
	poolRows    = 20_000 // postings that are read for them
	poolReads   = 800    // profiles that are read for them
	readChunk   = 64
	peekRows    = 500 // postings of a word that are counted to find the rarest
	maxFuzzy    = 200 // names that a word may mean, the nearest
	maxFuzzyHit = 5000
	maxCuts     = 64 // companions that are looked for
)

// tier is how good a posting is as a match of the driving word. Postings are read tier by tier.
type tier int

const (
	tierBoth   tier = iota // exact, and the companion begins as another word
	tierExact              // exact, or seven digits of a phone number
	tierPrefix             // the beginning of a word, fewer digits
	tierOne                // one typo
	tierTwo                // two
)

// span is a range of postings.
type span struct {
	tier       tier
	partition  string
	start, end string
	before     byte // only those of phone numbers that have this digit before; 0: any
}

func compareSpans(a, b span) int {
	return cmp.Or(cmp.Compare(a.tier, b.tier), strings.Compare(a.partition, b.partition), strings.Compare(a.start, b.start))
}

// placeIn is a place in the order in which postings are read.
type placeIn struct {
	Tier      tier
	Partition []byte
	Key       []byte
}

func (a *placeIn) compare(b *placeIn) int {
	return cmp.Or(cmp.Compare(a.Tier, b.Tier), strings.Compare(string(a.Partition), string(b.Partition)), strings.Compare(string(a.Key), string(b.Key)))
}

// token is where a page begins: behind a posting, the items of whose pool before Skip have been answered. Driver is the driving word.
type token struct {
	Driver int
	Behind placeIn
	Skip   int
}

// search is a query of one page.
//
// One word drives, the one with the fewest postings: these are read in the order of tiers. Where several postings lead to a person, it is
// an item at the first of them that the person as it is now would have. The others exclude by the signature what they can, then the
// person confirms all. Items are ranked in pools of a hundred; pages are cut from pools.
type search struct {
	*Service
	inc   store.Incarnation
	gen   uint32
	words []word
	// meant are the names that each word may mean in spite of typos, by how many.
	meant []map[string]int
	// driver is the driving word, cuts the companions that others stand for, masks the signatures of which a posting must have one bit of
	// each.
	driver int
	cuts   []string
	masks  []uint64
}

// QueryProfiles finds profiles in which every word of a text matches: exactly, by its beginning, as a part of a phone number, or, in
// names, with up to two typos. The best come first.
func (s *Service) QueryProfiles(ctx context.Context, in *api.QueryProfilesRequest) (*api.QueryProfilesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	q := &search{Service: s, inc: rec.Incarnation}
	if q.words, err = parse(*in.Text); err != nil {
		return nil, err
	}
	sw, st, err := s.read(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	if !sw.On {
		return nil, off(rec.Name)
	}
	out := &api.QueryProfilesResponse{Items: []api.QueryItem{}, Status: api.Ptr(statusOf(sw, st))}
	if q.gen = st.searched(); q.gen == 0 {
		return out, nil
	}
	at := &token{Driver: -1, Behind: placeIn{Tier: -1}}
	if in.NextToken != nil {
		if at, err = parseToken(*in.NextToken, len(q.words)); err != nil {
			return nil, err
		}
	}
	if err := q.prepare(ctx, at.Driver); err != nil {
		return nil, err
	}
	limit := 20
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	items, end, err := q.pool(ctx, &at.Behind)
	if err != nil {
		return nil, err
	}
	items = items[min(at.Skip, len(items)):]
	next := &token{Driver: q.driver, Behind: at.Behind, Skip: at.Skip + limit}
	if len(items) <= limit {
		next = nil
		if end != nil {
			next = &token{Driver: q.driver, Behind: *end}
		}
	}
	for _, it := range items[:min(limit, len(items))] {
		out.Items = append(out.Items, api.QueryItem{Profile: profile.Wire(it.profile), Score: &it.score, Matches: it.matches})
	}
	if next != nil {
		out.NextToken = api.Ptr(next.String())
	}
	return out, nil
}

// String encodes a token: driver (1) | tier (1) | skip (2) | length of the partition (1) | partition | key, in base64.
func (t *token) String() string {
	b := []byte{byte(t.Driver), byte(t.Behind.Tier + 1), byte(t.Skip >> 8), byte(t.Skip), byte(len(t.Behind.Partition))}
	return base64.RawURLEncoding.EncodeToString(append(append(b, t.Behind.Partition...), t.Behind.Key...))
}

// parseToken is the reverse of token.String, for a text of so many words.
func parseToken(text string, words int) (*token, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 5 || len(b) < 5+int(b[4]) || int(b[0]) >= words {
		return nil, fault.BadRequestf("NextToken is not valid.")
	}
	n := 5 + int(b[4])
	return &token{int(b[0]), placeIn{tier(b[1]) - 1, b[5:n], b[n:]}, int(b[2])<<8 | int(b[3])}, nil
}

// prepare chooses the driving word, unless a page before has, and what the other words exclude.
func (q *search) prepare(ctx context.Context, driver int) error {
	for i := range q.words {
		meant, err := q.meaning(ctx, &q.words[i])
		if err != nil {
			return err
		}
		q.meant = append(q.meant, meant)
	}
	if q.driver = driver; driver < 0 {
		var err error
		if q.driver, err = q.rarest(ctx); err != nil {
			return err
		}
	}
	for i := range q.words {
		if i != q.driver {
			q.exclude(i)
		}
	}
	slices.Sort(q.cuts)
	kept := q.cuts[:0]
	for _, c := range q.cuts { // one that begins as the one before it is covered by it
		if len(kept) == 0 || !strings.HasPrefix(c, kept[len(kept)-1]) {
			kept = append(kept, c)
		}
	}
	if q.cuts = kept; len(q.cuts) > maxCuts {
		q.cuts = nil
	}
	return nil
}

// exclude notes what postings look like whose person may have another word.
func (q *search) exclude(i int) {
	w := &q.words[i]
	mask, open := uint64(0), w.digits != ""
	add := func(form string) {
		if form == "" {
			return
		}
		mask |= beginning(form)
		open = open || utf8.RuneCountInString(form) < beginningLen // longer terms have other bits
	}
	add(w.text)
	add(w.raw)
	if w.text != "" {
		q.cuts = append(q.cuts, cut(w.text, companionLen))
	}
	for name := range q.meant[i] {
		mask |= beginning(name)
		q.cuts = append(q.cuts, cut(name, companionLen))
	}
	if !open {
		q.masks = append(q.masks, mask)
	}
}

// meaning lists the names that a word may mean in spite of typos.
func (q *search) meaning(ctx context.Context, w *word) (map[string]int, error) {
	limit := typos(w.text)
	if limit == 0 || w.digits != "" {
		return nil, nil
	}
	type at struct {
		partition string
		prefix    []byte
	}
	var rows []at
	for _, v := range variants(w.text, limit) {
		partition, prefix := dictRow(q.gen, v)
		rows = append(rows, at{partition, prefix})
	}
	slices.SortFunc(rows, func(a, b at) int {
		return cmp.Or(strings.Compare(a.partition, b.partition), strings.Compare(string(a.prefix), string(b.prefix)))
	})
	probes := func(yield func(store.Probe) bool) {
		for _, r := range rows {
			if !yield(store.Probe{Partition: r.partition, Range: store.Range{Start: r.prefix, End: store.After(r.prefix), Limit: maxFuzzyHit}}) {
				return
			}
		}
	}
	found := map[string]int{}
	for hit, err := range q.Store.Probe(ctx, store.Query, q.inc, probes) {
		if err != nil {
			return nil, fmt.Errorf("read names of the query index: %w", err)
		}
		name := hit.Row.Key[len(rows[hit.Index].prefix):]
		if _, seen := found[string(name)]; seen {
			continue
		}
		if d := distance(w.text, string(name), limit); d > 0 && d <= limit && compare(w.text, string(name)) == not {
			found[string(name)] = d
		}
	}
	return nearest(found), nil
}

// nearest keeps the names with the fewest typos, if they are too many.
func nearest(found map[string]int) map[string]int {
	if len(found) <= maxFuzzy {
		return found
	}
	names := slices.SortedFunc(maps.Keys(found), func(a, b string) int { return cmp.Or(cmp.Compare(found[a], found[b]), strings.Compare(a, b)) })
	for _, n := range names[maxFuzzy:] {
		delete(found, n)
	}
	return found
}

// rarest returns the word with the fewest postings, as far as they are counted.
func (q *search) rarest(ctx context.Context) (int, error) {
	best, least := 0, -1
	for i := range q.words {
		if len(q.words) == 1 {
			return 0, nil
		}
		n := 0
		for _, sp := range q.spans(i) {
			at := store.Partition{Table: store.Query, Incarnation: q.inc, Key: sp.partition}
			for _, err := range q.Store.Scan(ctx, at, store.Range{Start: []byte(sp.start), End: []byte(sp.end), Limit: peekRows - n}) {
				if err != nil {
					return 0, err
				}
				n++
			}
			if n >= peekRows {
				break
			}
		}
		if least < 0 || n < least || n == least && len(q.words[i].raw) > len(q.words[best].raw) {
			best, least = i, n
		}
	}
	return best, nil
}

// pool reads the next postings in order and returns the items they lead to, ranked, and where it ended; nil: at the end of all.
func (q *search) pool(ctx context.Context, behind *placeIn) (items []*item, end *placeIn, err error) {
	rows, reads := 0, 0
	var chunk []candidate
	seen := map[fold.ID]bool{} // a posting that is to go may lead to a person once more
	look := func() error {
		found, err := q.look(ctx, chunk)
		for _, it := range found {
			if !seen[it.id] {
				seen[it.id] = true
				items = append(items, it)
			}
		}
		reads, chunk = reads+len(chunk), chunk[:0]
		return err
	}
	var at placeIn
	for c, err := range q.candidates(ctx, behind) {
		if err != nil {
			return nil, nil, err
		}
		rows++
		at = c.at
		if c.fits {
			chunk = append(chunk, c)
		}
		full := rows >= poolRows || reads+len(chunk) >= poolReads
		if len(chunk) == readChunk || full && len(chunk) > 0 {
			if err := look(); err != nil {
				return nil, nil, err
			}
		}
		if full || len(items) >= poolSize {
			end = &at
			break
		}
	}
	if err := look(); err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(items, func(a, b *item) int {
		return cmp.Or(cmp.Compare(b.score, a.score), strings.Compare(string(a.id[:]), string(b.id[:])))
	})
	return items, end, nil
}

// candidate is a posting that was read.
type candidate struct {
	at   placeIn
	id   fold.ID
	fits bool // as far as the posting tells
}

// candidates streams the postings of the driving word, behind a place.
func (q *search) candidates(ctx context.Context, behind *placeIn) iter.Seq2[candidate, error] {
	return func(yield func(candidate, error) bool) {
		spans := q.spans(q.driver)
		if q.cuts != nil {
			spans = append(spans, q.narrowed(spans)...)
		}
		slices.SortFunc(spans, compareSpans)
		for _, sp := range spans {
			start := sp.start
			if c := cmp.Or(cmp.Compare(sp.tier, behind.Tier), strings.Compare(sp.partition, string(behind.Partition))); c < 0 {
				continue
			} else if c == 0 {
				if start = max(start, string(behind.Key)+"\x00"); start >= sp.end {
					continue
				}
			}
			at := store.Partition{Table: store.Query, Incarnation: q.inc, Key: sp.partition}
			for row, err := range q.Store.Scan(ctx, at, store.Range{Start: []byte(start), End: []byte(sp.end)}) {
				if err != nil {
					yield(candidate{}, fmt.Errorf("read the query index: %w", err))
					return
				}
				id, signature, before, ok := parsePosting(row)
				fits := ok && (sp.before == 0 || strings.IndexByte(string(before), sp.before) >= 0)
				for _, mask := range q.masks {
					fits = fits && signature&mask != 0
				}
				c := candidate{placeIn{Tier: sp.tier, Partition: []byte(sp.partition), Key: slices.Clone(row.Key)}, id, fits}
				if !yield(c, nil) {
					return
				}
			}
		}
	}
}

// spans lists where the postings of a word are.
func (q *search) spans(i int) (all []span) {
	w := &q.words[i]
	add := func(t tier, k kind, term, start, end string, before byte) {
		shards := 1
		if k == place {
			shards = placeShards
		}
		for shard := range shards {
			all = append(all, span{t, partition(q.gen, k, term, byte(shard)), start, end, before})
		}
	}
	whole := func(k kind, term string) { // exactly, and as a beginning
		if term == "" {
			return
		}
		add(tierExact, k, term, term+"\x00", term+"\x01", 0)
		if utf8.RuneCountInString(term) >= minPrefix {
			add(tierPrefix, k, term, term+"\x01", string(store.After([]byte(term))), 0)
		}
	}
	whole(last, w.text)
	whole(account, w.text)
	whole(place, w.text)
	whole(email, w.raw)
	if d := w.digits; d != "" {
		t := digitsTier(d)
		add(t, phone, d, d, string(store.After([]byte(d))), 0)
		add(t, phone, d[1:], d[1:], string(store.After([]byte(d[1:]))), d[0])
	}
	for name, n := range q.meant[i] {
		add(fuzzyTier(n), last, name, name+"\x00", name+"\x01", 0)
	}
	slices.SortFunc(all, compareSpans)
	return all
}

func digitsTier(d string) tier {
	if len(d) >= 7 {
		return tierExact
	}
	return tierPrefix
}

func fuzzyTier(typos int) tier {
	if typos == 1 {
		return tierOne
	}
	return tierTwo
}

// narrowed lists the parts of exact spans whose companions others stand for.
func (q *search) narrowed(spans []span) (all []span) {
	for _, sp := range spans {
		if sp.tier != tierExact || !strings.HasSuffix(sp.start, "\x00") { // a part of a phone number is followed by digits
			continue
		}
		for _, c := range q.cuts {
			all = append(all, span{tierBoth, sp.partition, sp.start + c, string(store.After([]byte(sp.start + c))), sp.before})
		}
	}
	return all
}

// look returns the items that candidates lead to.
func (q *search) look(ctx context.Context, chunk []candidate) (items []*item, err error) {
	if len(chunk) == 0 {
		return nil, nil
	}
	ids := make([]fold.ID, len(chunk))
	for i, c := range chunk {
		ids[i] = c.id
	}
	slices.SortFunc(ids, func(a, b fold.ID) int { return strings.Compare(string(a[:]), string(b[:])) })
	people, err := q.Profiles.PeopleOf(ctx, q.inc, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	for _, c := range chunk {
		p := people[c.id]
		if p == nil {
			continue
		}
		entries := entriesOf(p)
		if it := judge(q.words, p, entries); it != nil && q.isFirst(&doc{entries: entries}, &c) {
			items = append(items, it)
		}
	}
	return items, nil
}

// isFirst says whether a candidate is the first by which the profile as it is now would be read.
func (q *search) isFirst(d *doc, c *candidate) bool {
	for _, p := range d.postings(q.gen, c.id) {
		t, ok := q.tierOf(&p)
		if !ok {
			continue
		}
		at := placeIn{t, []byte(p.partition), []byte(p.key)}
		if at.compare(&c.at) < 0 {
			return false
		}
	}
	return true
}

// tierOf says in which tier a posting is read first, if it is.
func (q *search) tierOf(p *posting) (tier, bool) {
	w := &q.words[q.driver]
	form := w.text
	switch p.kind {
	case phone:
		d := w.digits
		if d == "" || !strings.HasPrefix(p.term, d) && !(strings.HasPrefix(p.term, d[1:]) && strings.IndexByte(p.before, d[0]) >= 0) {
			return 0, false
		}
		return digitsTier(d), true
	case email:
		form = w.raw
	}
	switch compare(form, p.term) {
	case exact:
		if slices.ContainsFunc(q.cuts, func(c string) bool { return strings.HasPrefix(p.companion, c) }) {
			return tierBoth, true
		}
		return tierExact, true
	case prefix:
		return tierPrefix, true
	}
	n, ok := q.meant[q.driver][p.term]
	if !ok || p.kind.letter() != nameLetter {
		return 0, false
	}
	return fuzzyTier(n), true
}
