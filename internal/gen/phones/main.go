// Command phones writes schema/phones.txt: how phone numbers of all countries are written at home and abroad. Its source is the metadata of
// libphonenumber (Apache License 2.0), as github.com/nyaruka/phonenumbers has it. Usage, in the project's folder: go run ./internal/gen/phones
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

const head = `# Phone numbers of all countries, written by internal/gen/phones from the metadata of libphonenumber. A line is a country:
#   code, calling code, international prefixes, trunk prefixes (~: none), local numbers {area code:first digits:digits} (~: none),
#   lengths that national numbers may have {first two digits:length.length}
# Code 001 is of no country. The first line of a calling code is its main country.
`

func main() {
	if err := run("schema/phones.txt"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string) error {
	all, err := phonenumbers.MetadataCollection()
	if err != nil {
		return err
	}
	countries := slices.Clone(all.GetMetadata())
	slices.SortStableFunc(countries, func(a, b *phonenumbers.PhoneMetadata) int {
		return cmp.Or(cmp.Compare(a.GetCountryCode(), b.GetCountryCode()), order(a)-order(b), cmp.Compare(a.GetId(), b.GetId()))
	})
	var out bytes.Buffer
	out.WriteString(head)
	for _, c := range countries {
		lengths, err := lengthsOf(c.GetGeneralDesc().GetNationalNumberPattern())
		if err != nil {
			return fmt.Errorf("%s: %w", c.GetId(), err)
		}
		fmt.Fprintf(&out, "%s %d %s %s %s %s\n", c.GetId(), c.GetCountryCode(), listOf(words(c.GetInternationalPrefix(), 8)), listOf(trunks(c)), local(c), lengths)
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// order puts the main country of a calling code first.
func order(c *phonenumbers.PhoneMetadata) int {
	return slices.Index(phonenumbers.GetRegionCodesForCountryCode(int(c.GetCountryCode())), c.GetId())
}

func listOf(all []string) string {
	if len(all) == 0 {
		return "~"
	}
	return strings.Join(all, ",")
}

// localNumbers is how the metadata says that numbers of a length get the area code by themselves.
var localNumbers = regexp.MustCompile(`^\(\[([-0-9]+)\]\\d\{(\d)\}\)\$(?:\||$)`)

// local returns the local numbers of a country: the area code that they get, their first digits, and how many digits they have.
func local(c *phonenumbers.PhoneMetadata) string {
	m := localNumbers.FindStringSubmatch(c.GetNationalPrefixForParsing())
	if m == nil {
		return "~"
	}
	var first []byte
	for d := byte('0'); d <= '9'; d++ {
		if regexp.MustCompile("[" + m[1] + "]").Match([]byte{d}) {
			first = append(first, d)
		}
	}
	return fmt.Sprintf("%s:%s:%d", strings.TrimSuffix(c.GetNationalPrefixTransformRule(), "$1"), first, m[2][0]-'0'+1)
}

// maxTrunks is how many trunk prefixes a country may have: more are codes of carriers that nobody writes into a list of customers.
const maxTrunks = 20

// trunks lists the prefixes that stand before a number at home and not abroad, the longest first.
func trunks(c *phonenumbers.PhoneMetadata) (all []string) {
	pattern := c.GetNationalPrefixForParsing()
	if found := words(pattern, 5); len(found) > 0 && len(found) <= maxTrunks && c.GetNationalPrefixTransformRule() == "" {
		all = found
	}
	if np := c.GetNationalPrefix(); np != "" && len(all) == 0 {
		all = append(all, np)
	}
	switch c.GetId() {
	case "MX": // until 2019, and in many lists still
		all = append(all, "01", "044", "045")
	case "BR": // calls that the called person pays
		all = []string{"90", "0"}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(all)
}

// machine steps through the states of an expression over digits.
type machine struct{ prog *syntax.Prog }

func newMachine(pattern string) (*machine, error) {
	re, err := syntax.Parse("(?:"+pattern+")", syntax.Perl)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(re.Simplify())
	return &machine{prog}, err
}

// closure adds a state and what it leads to without a digit.
func (m *machine) closure(states map[uint32]bool, pc uint32) {
	if states[pc] {
		return
	}
	states[pc] = true
	switch i := &m.prog.Inst[pc]; i.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		m.closure(states, i.Out)
		m.closure(states, i.Arg)
	case syntax.InstCapture, syntax.InstNop, syntax.InstEmptyWidth:
		m.closure(states, i.Out)
	}
}

func (m *machine) start() map[uint32]bool {
	states := map[uint32]bool{}
	m.closure(states, uint32(m.prog.Start))
	return states
}

// step returns the states behind one of some digits.
func (m *machine) step(states map[uint32]bool, digits string) map[uint32]bool {
	next := map[uint32]bool{}
	for pc := range states {
		i := &m.prog.Inst[pc]
		switch i.Op {
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			if strings.ContainsFunc(digits, i.MatchRune) {
				m.closure(next, i.Out)
			}
		}
	}
	return next
}

func (m *machine) matches(states map[uint32]bool) bool {
	for pc := range states {
		if m.prog.Inst[pc].Op == syntax.InstMatch {
			return true
		}
	}
	return false
}

// words lists the texts that an expression matches, none if one may be longer than most; the longest first.
func words(pattern string, most int) (all []string) {
	if pattern == "" {
		return nil
	}
	m, err := newMachine(pattern)
	if err != nil {
		panic(err)
	}
	var walk func(states map[uint32]bool, word string)
	walk = func(states map[uint32]bool, word string) {
		if m.matches(states) && word != "" {
			all = append(all, word)
		}
		if len(word) == most {
			return
		}
		for d := '0'; d <= '9'; d++ {
			if next := m.step(states, string(d)); len(next) > 0 {
				walk(next, word+string(d))
			}
		}
	}
	walk(m.start(), "")
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return all
}

// maxLength is how long a national number is at most.
const maxLength = 17

// lengthsOf tells which lengths the numbers have that begin with two digits.
func lengthsOf(pattern string) (string, error) {
	m, err := newMachine(pattern)
	if err != nil {
		return "", err
	}
	var parts []string
	for i := range 100 {
		states := m.start()
		for _, d := range fmt.Sprintf("%02d", i) {
			states = m.step(states, string(d))
		}
		var lengths []string
		for n := 2; n <= maxLength; n++ {
			if m.matches(states) {
				lengths = append(lengths, fmt.Sprint(n))
			}
			states = m.step(states, "0123456789")
		}
		if lengths != nil {
			parts = append(parts, fmt.Sprintf("%02d:%s", i, strings.Join(lengths, ".")))
		}
	}
	return joined(parts), nil
}

// joined puts runs of two digits with the same lengths together: 20-24:9.10.
func joined(parts []string) string {
	var out []string
	for i := 0; i < len(parts); {
		first, lengths, _ := strings.Cut(parts[i], ":")
		last := first
		for i++; i < len(parts); i++ {
			next, same, _ := strings.Cut(parts[i], ":")
			if same != lengths || number(next) != number(last)+1 {
				break
			}
			last = next
		}
		if last != first {
			first += "-" + last
		}
		out = append(out, first+":"+lengths)
	}
	return strings.Join(out, ",")
}

func number(twoDigits string) int { return int(twoDigits[0]-'0')*10 + int(twoDigits[1]-'0') }
