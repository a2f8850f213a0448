package stage

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"kith/api"
	"kith/blob"
	"kith/domain"
	"kith/internal/extsort"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/upload/table"
)

// A frame that is damaged in any way is refused, and one that is sound comes back as it was.
func FuzzFrame(f *testing.F) {
	var keys keyList
	keys.add(0, []byte("k"))
	keys.add(3, []byte("value"))
	f.Add(appendRich(nil, &frame{rows: 1, first: 7, key: []byte("k"), keys: keys.appendTo(nil), body: []byte("body")}))
	f.Add(appendRich(nil, &frame{rows: 3, first: 300, more: []byte{1, 2}, key: []byte("k"), keys: keys.appendTo(nil)}))
	f.Add(frameFor(nil, 1<<35, "key"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := frameSize(b)
		if n < frameHead || n > len(b) || !soundFrame(b[:n], 1) {
			return
		}
		fr := frameOf(b, 1)
		if frameRow(b) != fr.first || !bytes.Equal(frameKey(b), fr.key) || isRich(b) != fr.rich {
			t.Fatal("the short cuts read something else")
		}
		fr.eachRow(func(int64) {})
		if !fr.rich {
			if v := fr.part(0); len(v) > len(fr.body) {
				t.Fatal("a value is larger than all values")
			}
			return
		}
		if again := frameOf(appendRich(nil, &fr), 1); !reflect.DeepEqual(again, fr) {
			t.Fatalf("%+v came back as %+v", fr, again)
		}
		var keys keyList
		keys.read(fr.keys)
	})
}

type plainBlob struct{ *bytes.Reader }

func (p plainBlob) Close() error { return nil }
func (p plainBlob) Stream(off int64) io.Reader {
	return io.NewSectionReader(p.Reader, off, p.Size()-off)
}

var _ blob.Reader = plainBlob{}

// Damaged runs end in an error, never in a panic or without end.
func FuzzRun(f *testing.F) {
	f.Add([]byte("\x01\x05\x00abcdefghijklmnop\x06"), []byte("\x01\x01\x01\x06\x01\x03abc"))
	f.Fuzz(func(t *testing.T, who, more []byte) {
		p := &Plan{time: 1}
		r := runBlob{plainBlob{bytes.NewReader(who)}, 3}
		n := 0
		for _, err := range extsort.Merge([]*rowCursor{p.newRowCursor(r, section{0, int64(len(who))})}) {
			if n++; err != nil || n > len(who) {
				break
			}
		}
		if n > len(who) {
			t.Fatal("more entries than bytes")
		}
		b := &Resolver{Plan: p}
		in := extsort.NewWindow(func() io.Reader { return bytes.NewReader(more) })
		_ = b.recallMore(&in, []*group{{}}, func(row int64) (uint32, error) { return uint32(row), nil })
	})
}

// The keys that reading computes from a row are those that the profile computes from the values.
func FuzzKeyPlanAgainstProfile(f *testing.F) {
	f.Add("Ann", "Q", "Lee", "a@X.com", "+1 206 555 0100", "gold")
	f.Add(" ", "", "Łoś", " ", "x", "\u2003")
	f.Add("Jo", "", "Ek", "", "0171 1234567", "")
	f.Add("Jo", "", "Ek", "", "+49 (0)171 1234567 ext. 12", "")
	own := []domain.Key{{Name: "attribute:Attributes.tier:STRING", Parts: []domain.KeyPart{{Attribute: "Attributes.tier", ContentType: "STRING"}}},
		{Name: "two", Parts: []domain.KeyPart{{Attribute: "LastName", ContentType: "NAME"}, {Attribute: "PhoneNumber", ContentType: "PHONE_NUMBER"}}}}
	fields := map[string]api.ObjectTypeField{}
	for label, target := range map[string]string{"f": "FirstName", "m": "MiddleName", "l": "LastName", "e": "EmailAddress", "p": "PhoneNumber", "h": "HomePhoneNumber", "t": "Attributes.tier", "id": "AccountNumber"} {
		fields[label] = api.ObjectTypeField{Source: api.Ptr("_source." + label), Target: api.Ptr("_profile." + target)}
	}
	m, err := Compile(fields, "id")
	if err != nil {
		f.Fatal(err)
	}
	b, err := m.bind([]string{"f", "m", "l", "e", "p", "h", "t", "id"}, false)
	if err != nil {
		f.Fatal(err)
	}
	de, _ := schema.ParseCountry("DE")
	p := NewPlan(Facts{Arena: &extsort.Arena{}, Mapping: m, Keys: own, Time: 1, Country: de})
	b.readIn(de, own, p.keyed)
	f.Fuzz(func(t *testing.T, first, middle, last, mail, phone, tier string) {
		row := []string{first, middle, last, mail, phone, phone, tier, "id1"}
		for _, c := range row {
			if strings.ContainsAny(c, ",\"\r\n\x00") || !utf8.ValidString(c) || len(c) > 200 {
				return
			}
		}
		out := testReader(p, 0).newSinks(extsort.ByHash(1, 0), true)
		defer out.abort()
		mp := &mapper{readAs: func() string { return "UTF-8" }, bound: b, plan: p.keyPlan, tooLong: make([]int64, len(b.fields)), as: table.Split{Delim: ','}, to: out.newWriter()}
		if rej := mp.record(batchRecord{}, []byte(strings.Join(row, ",")), 1); rej != nil {
			t.Fatalf("%+v", rej)
		}
		if err := mp.to.put(mp); err != nil {
			t.Fatal(err)
		}
		fr := frameOf(mp.to.local[0], len(p.keyPlan.lean))
		reads := p.NewResolver(nil, false, nil)
		reads.collectKeys(&fr)
		got, want := map[string]bool{}, map[string]bool{}
		reads.keys.each(func(family int, value []byte) { got[p.families[family]+"="+string(value)] = true })
		values, err := fold.DecodeValues(fr.body, fold.Stamp{})
		if err != nil {
			t.Fatal(err)
		}
		index.Keys(values, own, func(name, value string) { want[name+"="+value] = true })
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("reading found %v, the profile has %v", got, want)
		}
	})
}
