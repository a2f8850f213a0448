package query

import (
	"slices"
	"strings"
	"unicode/utf8"

	"kith/api"
	"kith/fault"
	"kith/profile/fold"
)

// maxQueryWords bounds what one text asks for.
const maxQueryWords = 8

// word is a word of a text, in the forms in which terms are compared with it.
type word struct {
	shown  string
	text   string // letters and digits, plain; empty for an e-mail address
	raw    string // as e-mail addresses are compared
	digits string // of a part of a phone number; empty: it is none
}

// parse returns the words of a text. What blanks separate is a word, but digits of which some group is too short to be looked for alone are
// one phone number.
func parse(text string) ([]word, error) {
	chunks := strings.Fields(text)
	var all []word
	for len(chunks) > 0 {
		n := 1
		if run := phoneRun(chunks); run > 1 && slices.ContainsFunc(chunks[:run], func(c string) bool { return len(digitsOf(c)) < minPart }) {
			n = run
		}
		w := newWord(strings.Join(chunks[:n], " "))
		chunks = chunks[n:]
		if w.text == "" && w.raw == "" || slices.Contains(all, w) {
			continue
		}
		all = append(all, w)
	}
	if len(all) == 0 {
		return nil, fault.BadRequestf("Text has no letter or digit to look for.")
	}
	if len(all) > maxQueryWords {
		return nil, fault.BadRequestf("Text has %d words; at most %d are looked for.", len(all), maxQueryWords)
	}
	return all, nil
}

func newWord(chunk string) word {
	w := word{shown: chunk, raw: cleanEmail(chunk)}
	if strings.Contains(chunk, "@") {
		return w
	}
	if w.text = strip(plain(chunk)); w.text == "" { // signs alone
		return word{shown: chunk}
	}
	if d := digitsOf(chunk); isPhone(chunk) && len(d) >= minPart {
		w.digits = d[:min(len(d), maxDigits)]
	}
	return w
}

// isPhone says whether a text has only what phone numbers are written with.
func isPhone(s string) bool { return strings.Trim(s, "+0123456789()-./ ") == "" }

// phoneRun counts the chunks ahead that may be groups of one phone number.
func phoneRun(chunks []string) (n int) {
	for n < len(chunks) && isPhone(chunks[n]) && (n == 0 || !strings.HasPrefix(chunks[n], "+")) {
		n++
	}
	return n
}

// minInternational is how many digits a number has that 00 may begin.
const minInternational = 10

// digitsOf returns the digits of a part of a phone number, without what the indexed form leaves out: 00, and the 1 of North America.
func digitsOf(s string) string {
	d := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
	if len(d) >= minInternational { // fewer digits may be a part that begins so
		d = strings.TrimPrefix(d, "00")
	}
	if len(d) == 11 || strings.HasPrefix(strings.TrimSpace(s), "+") {
		d = strings.TrimPrefix(d, "1")
	}
	return d
}

// how says how a word matches a term, from not at all to exactly.
type how int

const (
	not how = iota
	twoTypos
	oneTypo
	part
	prefix
	exact
)

// wire returns the API's word for it, and what it is worth.
func (h how) wire() (api.QueryHow, int32) {
	switch h {
	case exact:
		return api.QueryHowExact, 100
	case prefix:
		return api.QueryHowPrefix, 60
	case part:
		return api.QueryHowPart, 50
	case oneTypo:
		return api.QueryHowFuzzy, 40
	}
	return api.QueryHowFuzzy, 20
}

// match says how the word matches a term.
func (w *word) match(e *entry) how {
	switch e.kind {
	case email:
		return compare(w.raw, e.term)
	case phone:
		switch {
		case w.digits == "":
			return not
		case w.digits == e.term:
			return exact
		case strings.Contains(e.term, w.digits):
			return part
		}
		return not
	}
	if h := compare(w.text, e.term); h != not || e.kind != first && e.kind != last {
		return h
	}
	limit := typos(w.text)
	if limit == 0 || w.digits != "" || utf8.RuneCountInString(e.term) < minFuzzy {
		return not
	}
	switch distance(w.text, e.term, limit) {
	case 1:
		return oneTypo
	case 2:
		if limit == 2 {
			return twoTypos
		}
	}
	return not
}

func compare(w, term string) how {
	switch {
	case w == "":
		return not
	case w == term:
		return exact
	case strings.HasPrefix(term, w) && utf8.RuneCountInString(w) >= minPrefix:
		return prefix
	}
	return not
}

// item is an item of an answer.
type item struct {
	id      fold.ID
	profile *fold.Profile
	score   int32
	matches []api.QueryMatch
}

// judge returns the item that a profile is, or nil: every word has to match a term. The best match of a word counts, and a little each
// field beyond the first in which words match.
func judge(words []word, p *fold.Profile, entries []entry) *item {
	it := &item{id: p.ID, profile: p}
	fields := map[string]bool{}
	for i := range words {
		best, field := not, ""
		for j := range entries {
			if h := words[i].match(&entries[j]); h > best {
				best, field = h, entries[j].attr.Path()
			}
		}
		if best == not {
			return nil
		}
		name, worth := best.wire()
		it.score += worth
		fields[field] = true
		it.matches = append(it.matches, api.QueryMatch{Word: &words[i].shown, Field: &field, How: &name})
	}
	it.score += 5 * int32(len(fields)-1)
	return it
}
