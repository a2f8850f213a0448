package e2e

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"kith/api"
)

// This file is what a query means, as simply as can be said: docs/operations.md, "Searching". It shares no code with package query.

func unaccented(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		return strings.ToLower(s)
	}
	out, _, err := transform.String(transform.Chain(norm.NFKD, runes.Remove(runes.In(unicode.Mn)), norm.NFC), s)
	if err != nil {
		panic(err)
	}
	return strings.ToLower(out)
}

func lettersOf(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), "")
}

// wordsOf returns the words of a value, and the parts of those that signs divide.
func wordsOf(s string) (all []string) {
	for _, w := range strings.Fields(unaccented(s)) {
		all = append(all, lettersOf(w))
		w = strings.NewReplacer("'", "", "’", "").Replace(w)
		all = append(all, strings.FieldsFunc(w, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })...)
	}
	return all
}

func onlyDigits(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' }), "")
}

func phoneLike(s string) bool { return strings.Trim(s, "+()-./0123456789 ") == "" }

// edits is the textbook's distance, with swaps.
func edits(a, b []rune) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0:
				d[i][j] = j
			case j == 0:
				d[i][j] = i
			default:
				cost := 1
				if a[i-1] == b[j-1] {
					cost = 0
				}
				d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					d[i][j] = min(d[i][j], d[i-2][j-2]+1)
				}
			}
		}
	}
	return d[len(a)][len(b)]
}

func begins(value, word string) bool {
	return value != "" && (value == word || utf8.RuneCountInString(word) >= 2 && strings.HasPrefix(value, word))
}

func alike(name, word string) bool {
	n := utf8.RuneCountInString(word)
	if n < 3 || phoneLike(word) && n >= 4 || utf8.RuneCountInString(name) < 3 {
		return false
	}
	limit := 1
	if n >= 5 {
		limit = 2
	}
	return edits([]rune(word), []rune(name)) <= limit
}

// matches says whether every word of a text matches a profile.
func matches(p *api.Profile, text string) bool {
	for _, word := range queryWords(text) {
		if !wordMatches(p, word) {
			return false
		}
	}
	return true
}

// queryWords joins the groups of a phone number.
func queryWords(text string) (all []string) {
	chunks := strings.Fields(text)
	for len(chunks) > 0 {
		n := 0
		for n < len(chunks) && phoneLike(chunks[n]) && (n == 0 || chunks[n][0] != '+') {
			n++
		}
		small := false
		for _, c := range chunks[:n] {
			small = small || len(national(c)) < 4
		}
		if n < 2 || !small {
			n = 1
		}
		all = append(all, strings.Join(chunks[:n], " "))
		chunks = chunks[n:]
	}
	return all
}

// national leaves out 00 and North America's 1.
func national(s string) string {
	d := onlyDigits(s)
	if len(d) >= 10 {
		d = strings.TrimPrefix(d, "00")
	}
	if strings.HasPrefix(s, "+1") || len(d) == 11 && d[0] == '1' {
		return strings.TrimPrefix(d, "1")
	}
	return d
}

func wordMatches(p *api.Profile, word string) bool {
	var mails, phones, places []string
	for _, s := range []*string{p.EmailAddress, p.PersonalEmailAddress, p.BusinessEmailAddress} {
		mails = append(mails, unaccented(strings.TrimSpace(api.Val(s))))
	}
	raw := unaccented(word)
	if slices.ContainsFunc(mails, func(m string) bool { return begins(m, raw) }) {
		return true
	}
	if strings.Contains(word, "@") {
		return false
	}
	for _, s := range []*string{p.PhoneNumber, p.MobilePhoneNumber, p.HomePhoneNumber, p.BusinessPhoneNumber} {
		phones = append(phones, national(api.Val(s)))
	}
	if d := national(word); phoneLike(word) && len(d) >= 4 && slices.ContainsFunc(phones, func(n string) bool { return strings.Contains(n, d) }) {
		return true
	}
	for _, a := range []*api.Address{p.Address, p.ShippingAddress, p.MailingAddress, p.BillingAddress} {
		if a != nil {
			places = append(append(places, wordsOf(api.Val(a.City))...), wordsOf(api.Val(a.PostalCode))...)
			places = append(places, lettersOf(unaccented(api.Val(a.PostalCode))))
		}
	}
	w := lettersOf(raw)
	if w == "" {
		return true // signs alone are passed over
	}
	places = append(places, lettersOf(unaccented(api.Val(p.AccountNumber))))
	names := slices.Concat(wordsOf(api.Val(p.LastName)), wordsOf(api.Val(p.BusinessName)), wordsOf(api.Val(p.FirstName)), wordsOf(api.Val(p.MiddleName)))
	return slices.ContainsFunc(append(places, names...), func(v string) bool { return begins(v, w) }) ||
		slices.ContainsFunc(names, func(n string) bool { return alike(n, w) })
}
