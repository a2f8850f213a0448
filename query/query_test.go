package query

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"kith/profile/fold"
	"kith/schema"
)

// Two words with up to two typos between them have a variant in common, wherever the typos are.
func TestVariantsMeet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	letters := []rune("abcdé")
	for n := range 20_000 {
		word := make([]rune, 5+rnd.IntN(10))
		for i := range word {
			word[i] = letters[rnd.IntN(len(letters))]
		}
		name := slices.Clone(word)
		for range 1 + rnd.IntN(2) {
			switch i := rnd.IntN(len(name)); rnd.IntN(4) {
			case 0:
				name = slices.Delete(name, i, i+1)
			case 1:
				name = slices.Insert(name, i, letters[rnd.IntN(len(letters))])
			case 2:
				name[i] = letters[rnd.IntN(len(letters))]
			default:
				if i > 0 {
					name[i], name[i-1] = name[i-1], name[i]
				}
			}
		}
		a, b := string(word), string(name)
		d := distance(a, b, 2)
		if d > 2 { // a change of what was swapped is more than two
			continue
		}
		if d != distance(b, a, 2) {
			t.Fatalf("round %d: %s and %s are %d apart, %d the other way", n, a, b, d, distance(b, a, 2))
		}
		of := variants(b, 2)
		if !slices.ContainsFunc(variants(a, 2), func(v string) bool { return slices.Contains(of, v) }) {
			t.Fatalf("round %d: %s and %s, %d apart, do not meet", n, a, b, d)
		}
	}
	if n := len(variants("abcdefghijkl", 2)); n != 1+8+28 {
		t.Errorf("a long name has %d variants", n)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"smith", "smith", 0}, {"smith", "smiht", 1}, {"smith", "smth", 1}, {"smith", "smyth", 1}, {"smith", "smythe", 2}, {"smith", "htims", 3}, {"ca", "abc", 3}, {"", "ab", 2}, {"müller", "muller", 1}, {"a", "abcd", 3}} {
		if got := distance(c.a, c.b, 2); got != c.want {
			t.Errorf("%s and %s are %d apart, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"Maria  Wong":         "maria/maria/ wong/wong/",
		"+1 (206) 555-0100":   "12065550100/+1 (206) 555-0100/2065550100",
		"206 555 0100 O'Neil": "2065550100/206 555 0100/2065550100 oneil/o'neil/",
		"98101 5550100":       "98101/98101/98101 5550100/5550100/5550100",
		"Ann@X.com ann":       "/ann@x.com/ ann/ann/",
		"- ann ...":           "ann/ann/",
		"100":                 "100/100/",
		"José 李":              "jose/jose/ 李/李/",
		"ann Ann":             "ann/ann/ ann/ann/",
	} {
		words, err := parse(text)
		var got []string
		for _, w := range words {
			got = append(got, w.text+"/"+w.raw+"/"+w.digits)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q is %q, want %q: %v", text, strings.Join(got, " "), want, err)
		}
	}
	for _, text := range []string{"...", "a b c d e f g h i"} {
		if words, err := parse(text); err == nil {
			t.Errorf("%q is accepted: %v", text, words)
		}
	}
}

// TestPartsOfPhones: every part of at least four digits is found by a posting, and none that is no part.
func TestPartsOfPhones(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	number := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte(byte('0' + rnd.IntN(3)))
		}
		return b.String()
	}
	for range 5000 {
		d := &doc{entries: []entry{{kind: phone, term: number(4 + rnd.IntN(6))}, {kind: phone, term: number(4 + rnd.IntN(12))}}}
		w := newWord(number(4 + rnd.IntN(3)))
		q := &search{gen: 1, words: []word{w}, meant: make([]map[string]int, 1)}
		found := false
		for _, p := range d.postings(1, fold.ID{}) {
			_, ok := q.tierOf(&p)
			in := slices.ContainsFunc(q.spans(0), func(s span) bool {
				return s.partition == p.partition && s.start <= p.key && p.key < s.end && (s.before == 0 || strings.IndexByte(p.before, s.before) >= 0)
			})
			if ok != in {
				t.Fatalf("%s in %v: the posting %q is in the spans: %v, has a tier: %v", w.digits, d.entries, p.key, in, ok)
			}
			found = found || ok
		}
		want := strings.Contains(d.entries[0].term, w.digits) || strings.Contains(d.entries[1].term, w.digits)
		if found != want {
			t.Fatalf("%s in %v: %v", w.digits, d.entries, found)
		}
	}
}

func TestScores(t *testing.T) {
	values := func(pairs ...any) *fold.Profile {
		p := &fold.Profile{}
		for i := 0; i < len(pairs); i += 2 {
			p.Values = append(p.Values, fold.Value{Attr: schema.Attr{ID: uint16(pairs[i].(int))}, Text: pairs[i+1].(string)})
		}
		return p
	}
	p := values(schema.FirstName, "Maria", schema.LastName, "Smith", schema.EmailAddress, "maria@x.com", schema.PhoneNumber, "+12065550100", schema.Address+cityPart, "Smithfield")
	last := int32(1 << 30)
	for _, text := range []string{"maria smith", "maria smit", "maria 0100", "maria smiht", "mari smit", "mria smtih", "mria smtihh"} {
		words, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		it := judge(words, p, entriesOf(p))
		if it == nil || it.score > last {
			t.Fatalf("%q: %+v after %d", text, it, last)
		}
		last = it.score
	}
	words, _ := parse("maria oslo")
	if it := judge(words, p, entriesOf(p)); it != nil {
		t.Errorf("a word that matches nothing: %+v", it)
	}
}

func FuzzDocs(f *testing.F) {
	f.Add(appendDocs(nil, &doc{entries: []entry{{kind: first, term: "ann"}}, expires: 7}))
	f.Add(appendDocs(nil, &doc{}, &doc{entries: []entry{{kind: phone, term: "12345"}, {kind: email, term: "a@x.com"}}}))
	f.Add([]byte{1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		docs, ok := decodeDocs(b)
		if !ok {
			return
		}
		again, ok := decodeDocs(appendDocs(nil, docs...))
		if !ok || !reflect.DeepEqual(docs, again) {
			t.Fatal("docs do not come back")
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add((&token{Driver: 1, Behind: placeIn{tierPrefix, []byte("part"), []byte("key")}, Skip: 300}).String())
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := parseToken(text, 3)
		if err != nil {
			return
		}
		again, err := parseToken(tok.String(), 3)
		if err != nil || again.Driver != tok.Driver || again.Skip != tok.Skip || again.Behind.Tier != tok.Behind.Tier ||
			!bytes.Equal(again.Behind.Partition, tok.Behind.Partition) || !bytes.Equal(again.Behind.Key, tok.Behind.Key) {
			t.Fatalf("%+v, %+v: %v", tok, again, err)
		}
	})
}

// Words of any text make terms that fit into rows.
func FuzzEntries(f *testing.F) {
	for _, s := range []string{"Maria", "O'Brien-Smith", "\x00\x01", strings.Repeat("ab-", 200), strings.Repeat("李", 300), "İstanbul ǅ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := &fold.Profile{}
		for _, f := range fields {
			p.Values = append(p.Values, fold.Value{Attr: schema.Attr{ID: f.id}, Text: s})
		}
		d := docOf(p)
		for _, p := range d.postings(1<<32-1, fold.ID{1}) {
			if len(p.partition)+len(p.key) > 1000 || strings.ContainsAny(p.term, "\x00\x01") {
				t.Fatalf("%q", p.key)
			}
		}
		for _, e := range d.entries {
			if w := newWord(e.term); e.kind != email && e.kind != phone && w.match(&e) != exact && !strings.Contains(e.term, "@") {
				t.Fatalf("%q does not match itself: %+v", e.term, w)
			}
		}
		if _, err := parse(s); err != nil && !strings.Contains(fmt.Sprint(err), "Text") {
			t.Fatal(err)
		}
	})
}
