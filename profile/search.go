package profile

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
)

// pair is one key of a search with its alternatives.
type pair struct {
	name   string
	values []string // as the caller wrote them
	forms  []form
	index  string       // whose rows are looked at: of the key, or of one that has all values of an attribute
	own    []domain.Key // what confirms it besides the predefined keys
}

// form is a normalised value of a key that a value of a pair stands for.
type form struct {
	text string
	of   int // the value's number
}

// lookahead is how many candidates are read together, at most.
const lookahead = 64

// search is one page of SearchProfiles.
//
// The index names profiles, and profiles lead to persons: a person is an item if it confirms the pairs, whichever of its members an
// index row names. It is answered once, at the smallest id among those that the rows looked at name; so pages need to know no more than
// the last id that was looked at. With AND, the rows of one pair are looked at, and the persons confirm the others.
type search struct {
	s     *Service
	rec   *domain.Record
	pairs []pair
	// driver is the pair whose rows are looked at; -1: those of all pairs.
	driver int
	searchRoom
}

// searchRoom is what a search of one value that has few holders needs memory for, in one piece: most are such.
type searchRoom struct {
	pair  [1]pair
	form  [1]form
	few   [4]ID
	last  ID // that was looked at
	index holderReader
	rows  plainReader
	found [4]*stored
	fold  fold.Memory // of the first item
}

// found is an answer, with room for one item and what that was found by.
type found struct {
	api.SearchProfilesResponse
	item [1]api.Profile
	by   [1]api.FoundByKeyValue
}

// SearchProfiles finds profiles by exact values of keys, in the order of their ids. AND wants all pairs, OR any of them; the
// values within a pair are alternatives in both. Behaviour: docs/spec/core.md 5.2.
func (s *Service) SearchProfiles(ctx context.Context, in *api.SearchProfilesRequest) (*api.SearchProfilesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	limit := 20
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	q := &search{s: s, rec: rec, driver: -1}
	if err := q.read(ctx, in); err != nil {
		return nil, err
	}
	and := api.Val(in.LogicalOperator) == api.LogicalOperatorAnd && len(q.pairs) > 1
	var after *ID
	if in.NextToken != nil {
		if q.driver, after, err = parseToken(*in.NextToken, len(q.pairs)); err != nil {
			return nil, err
		}
	} else if and {
		if q.driver, err = q.rarest(ctx); err != nil {
			return nil, err
		}
	}
	return q.page(ctx, limit, and, after)
}

// page answers the items behind an id.
func (q *search) page(ctx context.Context, limit int, and bool, after *ID) (*api.SearchProfilesResponse, error) {
	out := &found{}
	out.Items = out.item[:0]
	wanted := 1
	if and {
		wanted = len(q.pairs)
	}
	for size := min(limit+1, lookahead); ; size = lookahead {
		ids, err := q.next(ctx, after, size)
		if err != nil {
			return nil, err
		}
		people, err := q.people(ctx, ids)
		if err != nil {
			return nil, err
		}
		for i, id := range ids {
			by, mem := out.by[:0], &q.fold
			if len(out.Items) > 0 {
				by, mem = nil, &fold.Memory{}
			}
			p, by, err := q.item(ctx, people[i], id, wanted, by, mem)
			if err != nil {
				return nil, err
			}
			if p == nil {
				q.last = id
				continue
			}
			if len(out.Items) == limit {
				out.NextToken = api.Ptr(token(q.driver, q.last))
				return &out.SearchProfilesResponse, nil
			}
			out.Items = append(out.Items, api.Profile{FoundByItems: by})
			fill(&out.Items[len(out.Items)-1], p)
			q.last = id
		}
		if len(ids) < size {
			return &out.SearchProfilesResponse, nil
		}
		after = &q.last
	}
}

// item returns the person that a candidate leads to, folded in mem, and what it was found by, in by, or nil when it is none of the answer's or was
// answered at a smaller id.
func (q *search) item(ctx context.Context, person *stored, id ID, wanted int, by []api.FoundByKeyValue, mem *fold.Memory) (*fold.Profile, []api.FoundByKeyValue, error) {
	if person == nil {
		return nil, nil, nil
	}
	p := person.ProfileIn(mem)
	found := q.foundBy(by, person, p)
	if len(found) < wanted {
		return nil, nil, nil
	}
	if len(person.Of) > 0 || person.ID != id {
		if before, err := q.hitsBefore(ctx, person, id); before || err != nil {
			return nil, nil, err
		}
	}
	return p, found, nil
}

// A token is the driver and the last id that was looked at.
func token(driver int, last ID) string { return strconv.Itoa(driver) + ":" + last.String() }

func parseToken(text string, pairs int) (driver int, after *ID, err error) {
	d, rest, _ := strings.Cut(text, ":")
	id, ok := fold.ParseID(rest)
	driver, err = strconv.Atoi(d)
	if err != nil || !ok || driver < -1 || driver >= pairs {
		return 0, nil, fault.BadRequestf("NextToken is not valid.")
	}
	return driver, &id, nil
}

// read reads the pairs of a request.
func (q *search) read(ctx context.Context, in *api.SearchProfilesRequest) error {
	types, err := q.s.keyTypes(ctx, q.rec)
	if err != nil {
		return err
	}
	q.pairs = q.pair[:0]
	if err := q.add(types, *in.KeyName, in.Values); err != nil {
		return err
	}
	for _, k := range in.AdditionalSearchKeys {
		if err := q.add(types, *k.KeyName, k.Values); err != nil {
			return err
		}
	}
	return nil
}

// add reads one key of a search. A name that is no key of the domain, but an attribute whose values a predefined key has, stands for
// that attribute: programs search for EmailAddress, and would take an empty answer for a reason to create the customer again.
func (q *search) add(types objecttype.Keys, name string, values []string) error {
	if len(values) == 0 {
		return fault.BadRequestf("1 validation error detected: Value at 'values' failed to satisfy constraint: Member must have length greater than or equal to 1 (key %s)", name)
	}
	p := pair{name: name, values: values, index: name, own: q.rec.Keys}
	if len(q.pairs) == 0 {
		p.forms = q.form[:0]
	}
	var one [1]schema.ContentType
	parts, known := types[name]
	if !known {
		one[0] = schema.KeyContentType(name)
		parts = one[:]
		if a, ok := attributeKey(name); ok {
			key, ct := schema.PredefinedKey(a)
			if key == "" {
				return fault.BadRequestf("Profiles are not found by the attribute %s. Search by a key: _profileId, _account, _email, _phone, _fullName, "+
					"or one that an object type of the domain defines; or by an attribute that these hold, such as EmailAddress or PhoneNumber.", name)
			}
			one[0], p.index = ct, key
			p.own = []domain.Key{{Name: name, Parts: []domain.KeyPart{{Attribute: name, ContentType: string(ct)}}}}
		}
	}
	for i, v := range values {
		var room [1]string
		forms, err := keyForms(room[:0], parts, v, phoneReader{q.rec, true})
		if err != nil {
			return fault.BadRequestf("Value %d of key %s: %s.", i+1, name, err)
		}
		for _, n := range forms {
			p.forms = append(p.forms, form{n, i})
		}
	}
	q.pairs = append(q.pairs, p)
	return nil
}

// foundBy appends the pairs that a person confirms, each with the values that hit, in the caller's spelling. p is the person's fold.
func (q *search) foundBy(found []api.FoundByKeyValue, person *stored, p *fold.Profile) []api.FoundByKeyValue {
	for i := range q.pairs {
		pr := &q.pairs[i]
		var hits []string
		for _, f := range pr.forms {
			v := pr.values[f.of : f.of+1 : f.of+1]
			switch {
			case slices.Contains(hits, v[0]) || !index.Confirms(&person.Member, p, index.Key{Name: pr.name, Value: f.text}, pr.own, q.rec.Dead(), q.rows.now):
			case hits == nil:
				hits = v
			default:
				hits = append(hits, v[0])
			}
		}
		if hits != nil {
			found = append(found, api.FoundByKeyValue{KeyName: &pr.name, Values: hits})
		}
	}
	return found
}

// driving lists the pairs whose rows are looked at.
func (q *search) driving() []pair {
	if q.driver < 0 {
		return q.pairs
	}
	return q.pairs[q.driver : q.driver+1]
}

// next returns the next n ids that the index names, ascending, each once, behind after; fewer when there are no more. They are good until the
// next call.
func (q *search) next(ctx context.Context, after *ID, n int) ([]ID, error) {
	driving := q.driving()
	if len(driving) == 1 && len(driving[0].forms) == 1 {
		q.index = holderReader{ids: q.few[:0], n: n}
		q.s.readHolders(ctx, q.rec.Incarnation, driving[0].index, driving[0].forms[0].text, after, &q.index)
		return q.index.ids, q.index.err
	}
	return q.union(ctx, driving, after, n)
}

// union is next for several values.
func (q *search) union(ctx context.Context, driving []pair, after *ID, n int) ([]ID, error) {
	var streams []iter.Seq2[ID, error]
	for _, p := range driving {
		streams = append(streams, q.holders(ctx, p, after)...)
	}
	ids := q.few[:0]
	for id, err := range union(streams) {
		if err != nil {
			return nil, err
		}
		if ids = append(ids, id); len(ids) == n {
			break
		}
	}
	return ids, nil
}

// people returns the persons that ids lead to.
func (q *search) people(ctx context.Context, ids []ID) ([]*stored, error) {
	q.rows = plainReader{ids: ids, found: q.found[:0]}
	return q.s.peopleOf(ctx, q.rec.Incarnation, &q.rows)
}

// holderReader takes ids from index rows, each once: to where it is told, or up to n of them itself.
type holderReader struct {
	yield func(ID, error) bool
	ids   []ID
	n     int
	err   error
	last  ID
}

// row takes an index row. It is a method, not the body of a loop, whose variables would be allocated one by one.
func (h *holderReader) row(row store.Row, err error) bool {
	id, _, ok := index.ParseRowKey(row.Key)
	if err == nil && (!ok || id == h.last) {
		return true
	}
	h.last = id
	return h.take(id, err)
}

func (h *holderReader) take(id ID, err error) bool {
	if h.yield != nil {
		return h.yield(id, err) && err == nil
	}
	if h.err = err; err != nil {
		return false
	}
	h.ids = append(h.ids, id)
	return len(h.ids) < h.n
}

// holders streams the profiles that rows of a pair's values name, a stream for each value.
func (q *search) holders(ctx context.Context, p pair, after *ID) (streams []iter.Seq2[ID, error]) {
	for _, f := range p.forms {
		streams = append(streams, q.s.holders(ctx, q.rec.Incarnation, p.index, f.text, after))
	}
	return streams
}

// maxPeek is how many rows of each pair are counted to find the rarest.
const maxPeek = 20_000

// rarest returns the pair with the fewest rows: all pairs are read side by side, and the one that ends first is it.
func (q *search) rarest(ctx context.Context) (int, error) {
	type counted struct {
		next func() (ID, error, bool)
		stop func()
	}
	var all []counted
	defer func() {
		for _, c := range all {
			c.stop()
		}
	}()
	for _, p := range q.pairs {
		next, stop := iter.Pull2(union(q.holders(ctx, p, nil)))
		all = append(all, counted{next, stop})
	}
	for range maxPeek {
		for i, c := range all {
			_, err, ok := c.next()
			if err != nil {
				return 0, err
			}
			if !ok {
				return i, nil
			}
		}
	}
	return 0, nil
}

// hitsBefore says whether the rows looked at name a member of a person with a smaller id: the person is answered there.
func (q *search) hitsBefore(ctx context.Context, person *stored, id ID) (bool, error) {
	var before []ID
	person.Walk(func(m *fold.Member) {
		if m.ID.Compare(id) < 0 {
			before = append(before, m.ID)
		}
	})
	slices.SortFunc(before, ID.Compare)
	var parts []string
	for _, p := range q.driving() {
		for _, f := range p.forms {
			if p.index != schema.KeyProfileID {
				parts = append(parts, index.PartitionKey(index.Key{Name: p.index, Value: f.text}))
			} else if of, ok := fold.ParseID(f.text); ok && slices.Contains(before, of) { // a candidate, though it may not confirm the id
				return true, nil
			}
		}
	}
	slices.Sort(parts)
	probes := func(yield func(store.Probe) bool) {
		for _, part := range slices.Compact(parts) {
			for _, m := range before {
				if !yield(store.Probe{Partition: part, Range: store.Range{Start: m[:], End: store.After(m[:]), Limit: 1}}) {
					return
				}
			}
		}
	}
	for _, err := range q.s.Store.Probe(ctx, store.Index, q.rec.Incarnation, probes) {
		return err == nil, err
	}
	return false, nil
}

// holders streams the profiles that hold a key value, by the index alone.
func (s *Service) holders(ctx context.Context, inc store.Incarnation, name, normalized string, after *ID) iter.Seq2[ID, error] {
	return func(yield func(ID, error) bool) {
		s.readHolders(ctx, inc, name, normalized, after, &holderReader{yield: yield})
	}
}

// readHolders is holders as a call.
func (s *Service) readHolders(ctx context.Context, inc store.Incarnation, name, normalized string, after *ID, to *holderReader) {
	if name == schema.KeyProfileID {
		if id, ok := fold.ParseID(normalized); ok && (after == nil || id.Compare(*after) > 0) {
			to.take(id, nil)
		}
		return
	}
	r := store.Range{}
	if after != nil {
		r.Start = store.After(after[:])
	}
	part := index.PartitionKey(index.Key{Name: name, Value: normalized})
	s.Store.Scan(ctx, store.Partition{Table: store.Index, Incarnation: inc, Key: part}, r)(to.row)
}

// stream is a sequence with its next id.
type stream struct {
	id   ID
	next func() (ID, error, bool)
	stop func()
}

func open(seqs []iter.Seq2[ID, error]) (streams []*stream, closeAll func(), err error) {
	var all []*stream
	closeAll = func() {
		for _, h := range all {
			h.stop()
		}
	}
	for _, s := range seqs {
		h := &stream{}
		h.next, h.stop = iter.Pull2(s)
		all = append(all, h)
		id, err, ok := h.next()
		if err != nil {
			return nil, closeAll, err
		}
		h.id = id
		if ok {
			streams = append(streams, h)
		}
	}
	return streams, closeAll, nil
}

// union merges ascending streams; an id of several comes once.
func union(seqs []iter.Seq2[ID, error]) iter.Seq2[ID, error] {
	if len(seqs) == 1 {
		return seqs[0]
	}
	return func(yield func(ID, error) bool) {
		streams, closeAll, err := open(seqs)
		defer closeAll()
		if err != nil {
			yield(ID{}, err)
			return
		}
		for len(streams) > 0 {
			least := slices.MinFunc(streams, func(a, b *stream) int { return a.id.Compare(b.id) }).id
			if !yield(least, nil) {
				return
			}
			if streams, err = advance(streams, least); err != nil {
				yield(ID{}, err)
				return
			}
		}
	}
}

// advance moves the streams that stand at id, and drops those that end.
func advance(streams []*stream, id ID) ([]*stream, error) {
	var failed error
	streams = slices.DeleteFunc(streams, func(h *stream) bool {
		if h.id != id || failed != nil {
			return false
		}
		next, err, ok := h.next()
		if err != nil {
			failed = err
		}
		h.id = next
		return !ok
	})
	return streams, failed
}
