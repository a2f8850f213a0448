package index

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kith/domain"
	"kith/profile/fold"
	"kith/schema"
)

// ownKeys are keys of a domain: of one attribute, of two, and of one that is custom.
var ownKeys = []domain.Key{
	{Name: "loyalty", Parts: []domain.KeyPart{{Attribute: "Attributes.loyalty", ContentType: "STRING"}}},
	{Name: "who", Parts: []domain.KeyPart{{Attribute: "LastName", ContentType: "NAME"}, {Attribute: "Attributes.loyalty", ContentType: "STRING"}}},
	{Name: "broken", Parts: []domain.KeyPart{{Attribute: "NoSuchThing"}}},
}

var some = []struct {
	attr  schema.Attr
	texts []string
}{
	{schema.Attr{ID: schema.AccountNumber}, []string{"A1", "a1", "B2"}},
	{schema.Attr{ID: schema.FirstName}, []string{"Ann", "anna"}},
	{schema.Attr{ID: schema.MiddleName}, []string{"Q"}},
	{schema.Attr{ID: schema.LastName}, []string{"Lee", "LEE", "Ray"}},
	{schema.Attr{ID: schema.PhoneNumber}, []string{"+1 206 555 0100", "206-555-0101"}},
	{schema.Attr{ID: schema.MobilePhoneNumber}, []string{"206 555 0100", "x"}},
	{schema.Attr{ID: schema.EmailAddress}, []string{"a@X.com", "b@x.com"}},
	{schema.Attr{Custom: "loyalty"}, []string{"gold", "Gold ", strings.Repeat("long", 200)}},
}

// values returns some values in order.
func values(rng *rand.Rand, kind fold.Kind, stamp fold.Stamp, expires int64) (vs []fold.Value) {
	for _, s := range some {
		if rng.IntN(2) == 0 {
			vs = append(vs, fold.Value{Attr: s.attr, Text: s.texts[rng.IntN(len(s.texts))], Kind: kind, Stamp: stamp, Expires: expires})
		}
	}
	return vs
}

func keysOf(vs []fold.Value) (keys []Key) {
	Keys(vs, ownKeys, func(name, value string) { keys = append(keys, Key{Name: name, Value: value}) })
	return keys
}

func TestKeys(t *testing.T) {
	v := func(id uint16, custom, text string) fold.Value {
		return fold.Value{Attr: schema.Attr{ID: id, Custom: custom}, Text: text}
	}
	got := keysOf([]fold.Value{v(schema.FirstName, "", "Ann"), v(schema.LastName, "", "Lee"), v(schema.EmailAddress, "", "A@x.com"), v(0, "loyalty", "gold")})
	for _, want := range []Key{{Name: schema.KeyEmail, Value: schema.Normalize("EMAIL_ADDRESS", "A@x.com")}, {Name: "loyalty", Value: "gold"}} {
		if !slices.Contains(got, want) {
			t.Errorf("%v is missing in %v", want, got)
		}
	}
	names := map[string]int{}
	for _, k := range got {
		names[k.Name]++
	}
	if names[schema.KeyFullName] == 0 || names["who"] != 1 || names["broken"] != 0 {
		t.Errorf("%v", got)
	}
	if got := keysOf([]fold.Value{v(0, "loyalty", "gold")}); !slices.Equal(got, []Key{{Name: "loyalty", Value: "gold"}}) {
		t.Errorf("a key needs all its parts: %v", got)
	}
}

// Whatever key values yield, a profile that shows them has it; and what it has, it yields.
func TestHasIsWhatKeysYield(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		p := &fold.Profile{ID: fold.ID{9}, Values: values(rng, fold.Import, fold.Stamp{Time: 1}, 0), Private: []Key{{Name: "upload:x", Value: "1"}},
			Branches: [][]fold.Value{values(rng, fold.Import, fold.Stamp{Time: 1}, 0)}}
		yielded := append(append(keysOf(p.Values), keysOf(p.Branches[0])...), p.Private...)
		asked := append(slices.Clone(yielded), keysOf(values(rng, fold.Import, fold.Stamp{}, 0))...)
		for _, k := range append(asked, Key{Name: "upload:x", Value: "2"}, Key{Name: "none", Value: "1"}) {
			if got, want := Has(p, k.Name, schema.IndexValue(k.Value), ownKeys), slices.Contains(yielded, k); got != want {
				t.Fatalf("%v: %t, want %t\n%+v", k, got, want, p)
			}
		}
		if !Has(p, schema.KeyProfileID, p.ID.String(), nil) || Has(p, schema.KeyProfileID, fold.ID{}.String(), nil) {
			t.Fatal("a profile is found by its id")
		}
		for _, k := range OwnKeys(p, ownKeys) {
			if !slices.Contains(yielded, k) {
				t.Fatalf("%v is no key", k)
			}
		}
	}
}

func TestSet(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var a, b Set
		is, other := map[Key]bool{}, map[Key]bool{}
		for range rng.IntN(3 * manyKeys) {
			k := Key{Name: "k", Value: fmt.Sprint(rng.IntN(2 * manyKeys))}
			a.Add(k)
			is[k] = true
			k.Value = fmt.Sprint(rng.IntN(2 * manyKeys))
			b.Add(k)
			other[k] = true
		}
		if len(a.Keys()) != len(is) {
			t.Fatalf("%d keys, want %d", len(a.Keys()), len(is))
		}
		for n := range 2 * manyKeys {
			k := Key{Name: "k", Value: fmt.Sprint(n)}
			if a.Has(k) != is[k] || slices.Contains(a.Without(&b), k) != (is[k] && !other[k]) {
				t.Fatalf("%v", k)
			}
		}
		if a.Reset(); len(a.Keys()) > 0 || a.Has(Key{Name: "k", Value: "1"}) {
			t.Fatal("a set that was emptied")
		}
	}
}

func TestRowKeys(t *testing.T) {
	id := fold.ID{1, 15: 2}
	b := AppendRowKey(nil, id, ByAPI)
	if got, c, ok := ParseRowKey(b); !ok || got != id || c != ByAPI || len(b) != RowKeySize {
		t.Errorf("%v %c %t", got, c, ok)
	}
	if _, _, ok := ParseRowKey(b[1:]); ok {
		t.Error("a short key was accepted")
	}
	k := Key{Name: "k", Value: strings.Repeat("x", 5000)}
	if got := ParsePartitionKey(PartitionKey(k)); got.Name != "k" || got.Value != schema.IndexValue(k.Value) {
		t.Errorf("%v", got)
	}
	if r := Row(3, k, id, ByImport, 7, true); r.Incarnation != 3 || string(r.Partition) != PartitionKey(k) || !r.Mutation.Delete || r.Mutation.Time != 7 {
		t.Errorf("%+v", r)
	}
}

// said returns a contribution of an import.
func said(rng *rand.Rand, at int64) fold.Part {
	stamp := fold.Stamp{Time: at, Row: 1}
	c := &fold.Contribution{Expires: at + 10 + rng.Int64N(40), Stamp: stamp, Values: values(rng, fold.Import, stamp, 0)}
	if rng.IntN(6) == 0 {
		c.Private = []Key{{Name: "upload:x", Value: fmt.Sprint(rng.IntN(3))}}
	}
	return fold.Part{Source: fmt.Sprint(at), Contribution: c}
}

// part returns a contribution of an import; some are compacted.
func part(rng *rand.Rand, at int64) fold.Part {
	c := said(rng, at).Contribution
	if rng.IntN(3) == 0 {
		older := fold.Stamp{Time: at - 1, Row: 1}
		c = fold.CompactImports([]fold.Part{
			{Contribution: &fold.Contribution{Expires: at + 10 + rng.Int64N(40), Stamp: older, Values: values(rng, fold.Import, older, 0)}}, {Contribution: c},
		}, 0)
	}
	return fold.Part{Source: fmt.Sprint(at), Contribution: c}
}

// Whatever a profile of imports shows by keys of one contribution, now or when some of it has expired, it has rows for.
func TestRequiredByImportsCoversWhatIsShown(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		m := &fold.Member{ID: fold.ID{1}}
		for n := range 1 + rng.IntN(3) {
			m.Parts = append(m.Parts, part(rng, int64(10*n+5)))
		}
		var required Set
		required.RequiredByImports(m, m.Profile(), ownKeys)
		for now := int64(0); now < 80; now += 5 {
			for _, p := range m.Parts { // what is left of each by then, alone
				c := &fold.Contribution{}
				if err := c.Decode(p.Append(nil), now); err != nil {
					t.Fatal(err)
				}
				if c.Expires <= now {
					continue
				}
				alone := &fold.Member{Parts: []fold.Part{{Contribution: c}}}
				for _, k := range append(keysOf(alone.Profile().Values), c.Private...) {
					if !required.Has(k) {
						t.Fatalf("at %d: no row for %v of %+v", now, k, c)
					}
				}
			}
		}
		for _, k := range m.Profile().Values {
			if name, ct := schema.PredefinedKey(k.Attr); name != "" {
				if n := schema.Normalize(ct, k.Text); n != "" && !required.Has(Key{Name: name, Value: n}) {
					t.Fatalf("no row for %v", k)
				}
			}
		}
		after := &fold.Member{ID: m.ID, Parts: m.Parts[:len(m.Parts)-1]}
		missing, excess := Difference(m, after, ownKeys)
		var rest Set
		rest.RequiredByImports(after, after.Profile(), ownKeys)
		if !slices.Equal(missing, rest.Without(&required)) || !slices.Equal(excess, required.Without(&rest)) {
			t.Fatalf("%v and %v", missing, excess)
		}
	}
}

// A head's rows are those of each value, each object, and each hand; a person confirms what is visible of them.
func TestRequiredByAPI(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 2000 {
		h := &fold.Head{Time: 9, Expires: 100, Keys: []Key{{Name: "pin", Value: "1"}}}
		for n := range 1 + rng.IntN(3) {
			h.Write(values(rng, fold.Manual, fold.Stamp{Time: int64(n)}, 60-int64(20*n)), fold.Barriers{})
		}
		object := Key{Name: "_orderId", Value: fmt.Sprint(rng.IntN(3))}
		h.PutObject(fold.ObjectRef{Type: "Order", Expires: 50, Keys: []uint64{fold.KeyHash(object)}})
		required := RequiredByAPI(h, (&fold.Member{Head: h}).Profile(), ownKeys)
		for now := int64(1); now < 100; now += 12 {
			view, err := fold.DecodeHeadView(h.Append(nil), now)
			if err != nil {
				t.Fatal(err)
			}
			m := &fold.Member{Head: view}
			p := m.Profile()
			keys := append(keysOf(p.Values), h.Keys...)
			for _, k := range keys {
				if k.Name != schema.KeyFullName && !required.Has(PartitionKey(k)) || !Confirms(m, p, k, ownKeys, nil, now) {
					t.Fatalf("at %d: %v of %+v", now, k, h.Values)
				}
			}
			if got := Confirms(m, p, object, ownKeys, nil, now); got != (now < 50) || !required.Has(PartitionKey(object)) {
				t.Fatalf("at %d: the object's key is confirmed: %t", now, got)
			}
			if Confirms(m, p, Key{Name: "pin", Value: "2"}, ownKeys, nil, now) || Confirms(m, nil, h.Keys[0], ownKeys, nil, now) {
				t.Fatal("a key that nobody has")
			}
		}
		for _, part := range required.Partitions() {
			if !required.Has(part) {
				t.Fatal(part)
			}
		}
		if required.Has(PartitionKey(Key{Name: "_orderId", Value: "9"})) || RequiredByAPI(nil, nil, ownKeys).Has("x") {
			t.Fatal("a row that nothing calls for")
		}
	}
}

// What an object's value hides stays a key; what a later import's or a hand's hides does not, nor what an object says and another value hides.
func TestHiddenKeysAreConfirmed(t *testing.T) {
	account := func(text string, kind fold.Kind, at int64) fold.Value {
		return fold.Value{Attr: schema.Attr{ID: schema.AccountNumber}, Text: text, Kind: kind, Stamp: fold.Stamp{Time: at}, Expires: 100}
	}
	imported := func(text string, at int64) fold.Part {
		return fold.Part{Source: fmt.Sprint("i", at), Contribution: &fold.Contribution{Expires: 100, Stamp: fold.Stamp{Time: at}, Values: []fold.Value{account(text, 0, at)}}}
	}
	head := func(values ...fold.Value) *fold.Head {
		h := &fold.Head{Time: 9, Expires: 100}
		for _, v := range values {
			h.Write([]fold.Value{v}, fold.Barriers{})
		}
		return h
	}
	for name, c := range map[string]struct {
		m      fold.Member
		has    []string
		hasNot []string
	}{
		"import, then an object":         {fold.Member{Parts: []fold.Part{imported("1", 1)}, Head: head(account("2", fold.Object, 2))}, []string{"1", "2"}, []string{"3"}},
		"two imports, then an object":    {fold.Member{Parts: []fold.Part{imported("1", 1), imported("2", 2)}, Head: head(account("3", fold.Object, 3))}, []string{"2", "3"}, []string{"1"}},
		"an object, then an import":      {fold.Member{Parts: []fold.Part{imported("1", 2)}, Head: head(account("2", fold.Object, 1))}, []string{"1"}, []string{"2"}},
		"import, then a hand":            {fold.Member{Parts: []fold.Part{imported("1", 1)}, Head: head(account("2", fold.Manual, 2))}, []string{"2"}, []string{"1"}},
		"import, an object, then a hand": {fold.Member{Parts: []fold.Part{imported("1", 1)}, Head: head(account("2", fold.Object, 2), account("3", fold.Manual, 3))}, []string{"3"}, []string{"1", "2"}},
	} {
		c.m.ID = fold.ID{1}
		p := c.m.Profile()
		for _, text := range append(slices.Clone(c.has), c.hasNot...) {
			if got := Confirms(&c.m, p, Key{Name: schema.KeyAccount, Value: text}, nil, nil, 5); got != slices.Contains(c.has, text) {
				t.Errorf("%s: the key %s is confirmed: %t", name, text, got)
			}
		}
	}
}

func encoded(vs []fold.Value, base fold.Stamp) (b []byte) {
	for _, v := range vs {
		b = fold.AppendValue(b, v, base)
	}
	return b
}

// When a contribution covers values, all their keys are among its own.
func TestCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	attrs := NewAttrs(ownKeys)
	covered := 0
	for range 20_000 {
		have := part(rng, 20)
		add := values(rng, fold.Import, have.Stamp, 0)
		switch rng.IntN(4) {
		case 0:
			add = slices.Clone(have.Values)
		case 1: // a few of them
			add = slices.DeleteFunc(slices.Clone(have.Values), func(fold.Value) bool { return rng.IntN(3) == 0 })
		}
		if !attrs.Covers(have.Append(nil), encoded(add, have.Stamp)) {
			continue
		}
		covered++
		var yields Set
		yields.AddContribution(have.Contribution, ownKeys)
		for _, k := range keysOf(add) {
			if !yields.Has(k) {
				t.Fatalf("%v of %+v is missing in %+v", k, add, have)
			}
		}
	}
	if covered < 2000 {
		t.Errorf("only %d were covered: this test shows little", covered)
	}
	if attrs.Covers([]byte{0}, nil) {
		t.Error("damage covers nothing")
	}
}

func outline(t *testing.T, p fold.Part) []byte {
	t.Helper()
	b, err := AppendOutline(nil, append(fold.AppendPrivate(nil, p.Private), encoded(p.Values, p.Stamp)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A contribution with the outline of the newest one of a profile calls for no index row that is not there, but for those of its own values; the profile shows
// something else where it says something else; and a key that both yield the profile confirms.
func TestOutlines(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	german, _ := schema.ParseCountry("DE")
	same, changed, kept := 0, 0, 0
	for range 20_000 {
		before := &fold.Member{}
		for n := range rng.IntN(3) {
			before.Parts = append(before.Parts, part(rng, int64(10+n)))
		}
		newest, next := said(rng, 20), said(rng, 30)
		for _, p := range []fold.Part{newest, next} {
			if rng.IntN(2) == 0 { // no key is made of it
				p.Values = append(p.Values, fold.Value{Attr: schema.Attr{Custom: "tier"}, Text: fmt.Sprint(rng.IntN(3)), Kind: fold.Import, Stamp: p.Stamp})
			}
		}
		if rng.IntN(4) > 0 {
			next.Values = slices.Clone(newest.Values)
			if rng.IntN(4) > 0 {
				next.Private = newest.Private
			}
			if n := len(next.Values); n > 0 && rng.IntN(4) == 0 {
				next.Values = next.Values[:n-1]
			}
			for range rng.IntN(3) {
				if len(next.Values) > 0 {
					next.Values[rng.IntN(len(next.Values))].Text += "1"
				}
			}
		}
		for i := range next.Values {
			next.Values[i].Stamp = next.Stamp
		}
		for _, p := range []fold.Part{newest, next} {
			if rng.IntN(4) == 0 {
				ReadIn(p.Values, german, ownKeys)
			}
		}
		if !bytes.Equal(outline(t, newest), outline(t, next)) {
			continue
		}
		same++
		before.Parts = append(before.Parts, newest)
		after := &fold.Member{Parts: append(slices.Clone(before.Parts), next)}
		missing, excess := Difference(before, after, ownKeys)
		var own Set
		own.AddContribution(next.Contribution, ownKeys)
		for _, k := range missing {
			if !own.Has(k) || k.Name == schema.KeyFullName {
				t.Fatalf("%v is missing when %+v comes behind %+v", k, next, newest)
			}
		}
		if len(excess) > 0 {
			t.Fatalf("%v are in excess when %+v comes behind %+v", excess, next, newest)
		}
		shown := before.Profile()
		yields := append(keysOf(newest.Values), newest.Private...)
		for _, k := range append(keysOf(next.Values), next.Private...) {
			if slices.Contains(yields, k) && k.Name != schema.KeyFullName {
				if kept++; !Confirms(before, shown, k, ownKeys, nil, 1) {
					t.Fatalf("%v is not confirmed by %+v", k, newest)
				}
			}
		}
		if !bytes.Equal(encoded(newest.Values, newest.Stamp), encoded(next.Values, next.Stamp)) {
			changed++
			if Keeps(shown, encoded(next.Values, next.Stamp)) {
				t.Fatalf("%+v shows all of %+v", newest, next)
			}
		}
	}
	if same < 2000 || changed < 200 || kept < 2000 {
		t.Errorf("only %d were the same, %d of them with other values, with %d keys in all: this test shows little", same, changed, kept)
	}
	merged := func(at int64) fold.Part { // of two rows
		p := said(rng, at)
		p.Values = []fold.Value{{Attr: schema.Attr{ID: schema.EmailAddress}, Text: "a@x.com", Kind: fold.Import, Stamp: fold.Stamp{Time: at, Row: p.Stamp.Row + 1}}}
		p.Private = nil
		return p
	}
	if bytes.Equal(outline(t, merged(20)), outline(t, merged(30))) {
		t.Error("contributions of several rows have the outline of another import's")
	}
	if _, err := AppendOutline(nil, []byte{1}); err == nil {
		t.Error("damage has an outline")
	}
}

// Whenever it is known from two contributions as they are which keys go with one of them, these are those of the fold.
func TestLost(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	attrs := NewAttrs(ownKeys)
	known, some := 0, 0
	for range 20_000 {
		goes := part(rng, 20)
		stays := part(rng, 30)
		switch rng.IntN(4) {
		case 0:
			stays.Values = slices.Clone(goes.Values)
		case 1, 2: // all of them but one
			if stays.Values = slices.Clone(goes.Values); len(stays.Values) > 0 {
				stays.Values[rng.IntN(len(stays.Values))].Text += "1"
			}
		}
		for i := range goes.Values { // one of the files was written elsewhere
			goes.Values[i].Text = strings.Replace(goes.Values[i].Text, "206-555-0101", "030 555 0101", 1)
		}
		german, _ := schema.ParseCountry("DE")
		for _, p := range []fold.Part{goes, stays} {
			if rng.IntN(2) == 0 {
				p.Values = slices.Clone(p.Values)
				ReadIn(p.Values, german, ownKeys)
			}
		}
		keys, ok := attrs.Lost(goes.Append(nil), stays.Append(nil))
		if !ok {
			continue
		}
		known++
		missing, excess := Difference(&fold.Member{Parts: []fold.Part{goes, stays}}, &fold.Member{Parts: []fold.Part{stays}}, ownKeys)
		var lost, want Set
		for _, k := range keys {
			lost.Add(k)
		}
		for _, k := range excess {
			want.Add(k)
		}
		if len(missing) > 0 || len(want.Without(&lost))+len(lost.Without(&want)) > 0 {
			t.Fatalf("%v go, and %v are missing, not %v, with %+v of %+v", excess, missing, keys, goes, stays)
		}
		some += min(1, len(keys))
	}
	if known < 2000 || some < 200 {
		t.Errorf("%d were known, of which %d lose keys: this test shows little", known, some)
	}
	if _, ok := attrs.Lost([]byte{0}, nil); ok {
		t.Error("damage tells nothing")
	}
}

// Whenever a glance knows an answer, it is that of the fold; that names combine it may say without need.
func TestGlanceAgainstTheFold(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	known := 0
	const rounds = 20_000
	for range rounds {
		const now = 12
		var rows [][]byte
		m := &fold.Member{}
		for n := range 1 + rng.IntN(4) {
			p := part(rng, int64(2*n+2-min(1, rng.IntN(12))))
			if len(m.Parts) > 0 && p.Contribution.Append(nil)[0] != m.Parts[len(m.Parts)-1].Append(nil)[0] && rng.IntN(2) == 0 {
				continue
			}
			rows = append(rows, p.Append(nil))
			c := &fold.Contribution{}
			if err := c.Decode(p.Append(nil), now); err != nil {
				t.Fatal(err)
			}
			if c.Expires > now {
				m.Parts = append(m.Parts, fold.Part{Contribution: c})
			}
		}
		p := m.Profile()
		added := values(rng, fold.Import, fold.Stamp{Time: 99}, 0)
		add := encoded(added, fold.Stamp{Time: 99})
		combines := false
		if p != nil {
			combines = MayCombineNames(p.Values, add)
		}
		for _, k := range append(keysOf(values(rng, fold.Import, fold.Stamp{}, 0)), Key{Name: "loyalty", Value: "gold"}) {
			has, combine, ok := Glance(rows, now, k.Name, schema.IndexBytes([]byte(k.Value)), add)
			if !ok {
				continue
			}
			known++
			if want := p != nil && Has(p, k.Name, schema.IndexValue(k.Value), nil); has != want {
				t.Fatalf("%v: %t, the fold has %t", k, has, want)
			}
			if has && combines && !combine {
				t.Fatalf("names combine, and a glance did not see it: %+v and %+v", p.Values, added)
			}
		}
	}
	if known < rounds/4 {
		t.Errorf("only %d answers were known", known)
	}
}

func TestMayCombineNames(t *testing.T) {
	v := func(id uint16, s string, priority int64) fold.Value {
		return fold.Value{Attr: schema.Attr{ID: id}, Text: s, Stamp: fold.Stamp{Priority: priority}}
	}
	ann, lee, q := v(schema.FirstName, "Ann", 0), v(schema.LastName, "Lee", 0), v(schema.MiddleName, "Q", 0)
	for name, c := range map[string]struct {
		have, add []fold.Value
		want      bool
	}{
		"nothing there":       {nil, []fold.Value{ann, lee}, false},
		"all replaced":        {[]fold.Value{ann, lee}, []fold.Value{ann, lee}, false},
		"none brought":        {[]fold.Value{ann, lee}, nil, false},
		"one of two":          {[]fold.Value{ann}, []fold.Value{lee}, true},
		"middle stays":        {[]fold.Value{ann, q, lee}, []fold.Value{ann, lee}, true},
		"a priority may stay": {[]fold.Value{v(schema.FirstName, "Anna", 1), lee}, []fold.Value{ann, lee}, true},
	} {
		if got := MayCombineNames(c.have, encoded(c.add, fold.Stamp{})); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
