package query

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
	"golang.org/x/text/unicode/norm"

	"kith/profile/fold"
	"kith/schema"
)

// kind says what a term is of. The kinds are on disk.
type kind byte

const (
	first   kind = 'F' // a word of a first or middle name
	last    kind = 'L' // a word of a last or business name
	email   kind = 'e'
	account kind = 'a'
	phone   kind = 'p'
	place   kind = 'c'
)

// The limits of what is indexed; what is beyond them is cut off.
const (
	maxTerm   = 64 // characters of a term
	maxEmail  = 100
	maxWords  = 12 // words of a value
	maxDigits = 24 // of a phone number
	minPart   = 4  // digits of a part of a phone number
	minPrefix = 2  // characters of the beginning of a word
)

// entry is a term of a profile.
type entry struct {
	kind kind
	term string
	attr schema.Attr // unknown in entries read from disk
}

// fields are the attributes that are indexed, in the order of their entries: the first word of a last and of a first name are companions.
var fields = func() (all []struct {
	id   uint16
	kind kind
}) {
	add := func(k kind, ids ...uint16) {
		for _, id := range ids {
			all = append(all, struct {
				id   uint16
				kind kind
			}{id, k})
		}
	}
	add(last, schema.LastName, schema.BusinessName)
	add(first, schema.FirstName, schema.MiddleName)
	add(email, schema.EmailAddress, schema.PersonalEmailAddress, schema.BusinessEmailAddress)
	add(account, schema.AccountNumber)
	add(phone, schema.PhoneNumber, schema.MobilePhoneNumber, schema.HomePhoneNumber, schema.BusinessPhoneNumber)
	for _, base := range []uint16{schema.Address, schema.ShippingAddress, schema.MailingAddress, schema.BillingAddress} {
		add(place, base+cityPart, base+postalPart)
	}
	return all
}()

// cityPart and postalPart are parts of an address.
const (
	cityPart   = 4
	postalPart = 9
)

// attrs are those of fields, for passes.
var attrs = func() *fold.AttrSet {
	var all []schema.Attr
	for _, f := range fields {
		all = append(all, schema.Attr{ID: f.id})
	}
	return fold.NewAttrSet(all...)
}()

// plain returns a text in lower case and without accents.
func plain(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if ascii {
		return strings.ToLower(s)
	}
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKD.String(s)))
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// strip leaves the letters and digits of a text, as many as a term may have.
func strip(s string) string {
	n := 0
	return strings.Map(func(r rune) rune {
		if !isWordRune(r) || n == maxTerm {
			return -1
		}
		n++
		return r
	}, s)
}

// cut returns the first n characters of a text, or all.
func cut(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// words returns the words of a name or a city, plain: what blanks separate, and, if other signs than apostrophes divide it, its parts.
func words(value string) (all []string) {
	add := func(w string) {
		if w != "" && len(all) < maxWords {
			all = append(all, w)
		}
	}
	for chunk := range strings.FieldsSeq(plain(value)) {
		whole := strip(chunk)
		add(whole)
		for part := range strings.FieldsFuncSeq(chunk, func(r rune) bool { return !isWordRune(r) && r != '\'' && r != '’' }) {
			if part = strip(part); part != whole {
				add(part)
			}
		}
	}
	return all
}

// digits returns the digits of a phone number as they are indexed.
func digits(value string) string {
	d := schema.Normalize(schema.Phone, value)
	return d[:min(len(d), maxDigits)]
}

// abroad returns the digits of a phone number in its international form, "" where that is not known.
func abroad(p *fold.Profile, attr schema.Attr) string {
	for i := range p.Values {
		if v := &p.Values[i]; v.Attr == attr && v.Country != 0 {
			d, _, _ := strings.Cut(v.Indexed(schema.Phone), "x") // before the extension
			return d[:min(len(d), maxDigits)]
		}
	}
	return ""
}

// cleanEmail returns an e-mail address as it is indexed, plain: control characters, which separate what row keys consist of, are no part of one.
func cleanEmail(value string) string {
	return cut(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.TrimSpace(plain(value))), maxEmail)
}

// entriesOf lists the terms of a profile.
func entriesOf(p *fold.Profile) (all []entry) {
	add := func(e entry) {
		if e.term == "" {
			return
		}
		e.term = strings.Clone(e.term) // it may be a part of the profile's memory
		for _, o := range all {
			if o == e {
				return
			}
		}
		all = append(all, e)
	}
	for _, f := range fields {
		attr := schema.Attr{ID: f.id}
		value := p.Get(attr)
		if value == "" {
			continue
		}
		switch f.kind {
		case email:
			add(entry{f.kind, cleanEmail(value), attr})
		case account:
			add(entry{f.kind, strip(plain(value)), attr})
		case phone:
			if d := digits(value); len(d) >= minPart {
				add(entry{f.kind, d, attr})
				add(entry{f.kind, abroad(p, attr), attr})
			}
		default:
			if _, part := attr.AddressPart(); part == postalPart {
				add(entry{f.kind, strip(plain(value)), attr})
			}
			for _, w := range words(value) {
				add(entry{f.kind, w, attr})
			}
		}
	}
	return all
}

// doc is what a profile is indexed with.
type doc struct {
	entries []entry
	expires int64 // microseconds
}

func docOf(p *fold.Profile) *doc { return &doc{entriesOf(p), p.Expires} }

// companions returns the first word of the last and of the first names.
func (d *doc) companions() (ofLast, ofFirst string) {
	for _, e := range d.entries {
		switch {
		case e.kind == last && ofLast == "":
			ofLast = e.term
		case e.kind == first && ofFirst == "":
			ofFirst = e.term
		}
	}
	return cut(ofLast, companionLen), cut(ofFirst, companionLen)
}

const (
	companionLen = 4 // characters of the other name in a posting
	beginningLen = 3 // characters of a term that its signature is of
)

// beginning is the bit of a signature that stands for how a term begins.
func beginning(term string) uint64 {
	return 1 << (xxh3.HashString(cut(term, beginningLen)) & 63)
}

// signature says how the terms of a profile begin.
func (d *doc) signature() (s uint64) {
	for _, e := range d.entries {
		if e.kind != phone {
			s |= beginning(e.term)
		}
	}
	return s
}

// Encoding, version 1, of one doc or of several that postings may stem from: version | number, for each doc: expiry (8) | number of
// entries | for each kind (1), length of the term, term. Numbers and lengths are uvarints.
const docV1 = 1

func appendDocs(dst []byte, docs ...*doc) []byte {
	dst = append(dst, docV1, byte(len(docs)))
	for _, d := range docs {
		dst = binary.BigEndian.AppendUint64(dst, uint64(d.expires))
		dst = binary.AppendUvarint(dst, uint64(len(d.entries)))
		for _, e := range d.entries {
			dst = append(dst, byte(e.kind))
			dst = append(binary.AppendUvarint(dst, uint64(len(e.term))), e.term...)
		}
	}
	return dst
}

// decodeDocs is the reverse of appendDocs.
func decodeDocs(b []byte) ([]*doc, bool) {
	if len(b) < 2 || b[0] != docV1 {
		return nil, false
	}
	docs := make([]*doc, b[1])
	b = b[2:]
	number := func() int {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)) {
			b = nil
			return -1
		}
		b = b[size:]
		return int(n)
	}
	for i := range docs {
		if len(b) < 8 {
			return nil, false
		}
		d := &doc{expires: int64(binary.BigEndian.Uint64(b))}
		b = b[8:]
		n := number()
		if n < 0 {
			return nil, false
		}
		for range n {
			if len(b) == 0 {
				return nil, false
			}
			k := kind(b[0])
			b = b[1:]
			size := number()
			if size < 0 || size > len(b) {
				return nil, false
			}
			d.entries = append(d.entries, entry{kind: k, term: string(b[:size])})
			b = b[size:]
		}
		docs[i] = d
	}
	return docs, len(b) == 0
}
