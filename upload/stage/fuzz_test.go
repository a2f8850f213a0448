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
	f.Add(appendFrame(nil, &frame{rows: 1, first: 7, key: []byte("k"), keys: keys.appendTo(nil), body: []byte("body")}))
	f.Add(appendFrame(nil, &frame{rows: 3, first: 300, more: []byte{1, 2}, key: []byte("k"), keys: keys.appendTo(nil)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, n, err := parseFrame(b)
		if err != nil {
			return
		}
		again, _, err := parseFrame(appendFrame(nil, &fr))
		if err != nil || !reflect.DeepEqual(again, fr) {
			t.Fatalf("%+v came back as %+v, %v", fr, again, err)
		}
		if rows, first := frameRow(b[:n]); rows != fr.rows || first != fr.first || !bytes.Equal(frameKey(b[:n]), fr.key) {
			t.Fatal("the short cuts read something else")
		}
		fr.eachRow(func(int64) {})
		fr.eachKey(func(int, []byte) {})
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
	f.Add([]byte("\x00\x03abc\x01\x05\x02\x01d\x02\x06"), false)
	f.Add([]byte("\x01\x05\x03xyz\x02\x09\x00"), true)
	f.Fuzz(func(t *testing.T, b []byte, rows bool) {
		p := &Plan{time: 1}
		r := runBlob{plainBlob{bytes.NewReader(b)}, 3}
		n := 0
		if rows {
			for _, err := range extsort.Merge([]*rowCursor{{who: p.newWho(r, section{0, int64(len(b))}), body: true}}) {
				if n++; err != nil || n > len(b) {
					break
				}
			}
		} else {
			for _, err := range extsort.Merge([]*indexCursor{{who: p.newWho(r, section{0, int64(len(b))})}}) {
				if n++; err != nil || n > len(b) {
					break
				}
			}
		}
		if n > len(b) {
			t.Fatal("more entries than bytes")
		}
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
	p := NewPlan(Facts{Mapping: m, Keys: own, Time: 1, Country: de})
	b.readIn(de, own, p.keyed)
	f.Fuzz(func(t *testing.T, first, middle, last, mail, phone, tier string) {
		row := []string{first, middle, last, mail, phone, phone, tier, "id1"}
		for _, c := range row {
			if strings.ContainsAny(c, ",\"\r\n\x00") || !utf8.ValidString(c) || len(c) > 200 {
				return
			}
		}
		mp := &mapper{readAs: func() string { return "UTF-8" }, bound: b, plan: newKeyPlan(b, own, de), tooLong: make([]int64, len(b.fields)), as: table.Split{Delim: ','}, part: extsort.ByHash(1, 0)}
		bt := &batch{buckets: make([][]byte, 1)}
		if rej := mp.record(bt, batchRecord{}, []byte(strings.Join(row, ",")), 1); rej != nil {
			t.Fatalf("%+v", rej)
		}
		fr, _, err := parseFrame(bt.buckets[0])
		if err != nil {
			t.Fatal(err)
		}
		got, want := map[string]bool{}, map[string]bool{}
		fr.eachKey(func(family int, value []byte) { got[p.families[family]+"="+string(value)] = true })
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
