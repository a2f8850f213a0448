package link

import (
	"fmt"
	"strings"
	"testing"

	"kith/internal/people"
)

// What stands with persons of all kinds is no value, whatever it says; what one person has 300 times, with errors, is one.
func TestVoid(t *testing.T) {
	l := generated(t, people.Options{Records: 1900, Repeats: 0.3, Seed: 41})
	set := func(i int, of ...string) {
		values := values(of...)
		for _, v := range l.profiles[i].Values {
			if values[v.Attr.Path()] == "" {
				values[v.Attr.Path()] = v.Text
			}
		}
		l.profiles[i] = profileOf(l.profiles[i].ID, values)
	}
	for i := range 60 {
		set(i, "PhoneNumber", "0800 1234567", "EmailAddress", "noreply@shop.example", "BirthDate", "01.01.1900")
	}
	for i := range 300 {
		name := []string{"Johanna", "Johana", "J.", "Hanna", "Kowalska"}[i%5]
		l.profiles = append(l.profiles, profileOf(numberedID(1900+i), values("FirstName", name, "LastName", []string{"Kowalska", "Kowalksa", "Johanna"}[i%3], "PhoneNumber", "601 234 567",
			"EmailAddress", "johanna@example.org", "BirthDate", "1980-02-03")))
		l.truth = append(l.truth, "Johanna")
	}
	groups, m, report := l.find(t, Options{})
	for slot, terms := range map[int][2]string{sPhone: {"001234567", "601234567"}, sEmail: {"noreply@shop.example", "johanna@example.org"}} {
		for k, term := range terms {
			if got := m.void[termHash(slot, []byte(term))]; got != (k == 0) {
				t.Errorf("%q is void: %v", term, got)
			}
		}
	}
	if len(m.void) != 3 || !strings.Contains(strings.Join(report.Refined, " "), "count as empty") {
		t.Errorf("%d terms are void, %q", len(m.void), report.Refined)
	}
	if o := l.evaluate(groups, 0.9); o.precision() < 0.98 || o.recall() < 0.9 {
		t.Errorf("precision %.4f, recall %.4f", o.precision(), o.recall())
	}
	again, err := Parse(m.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range again.Explain(l.profiles[0], l.profiles[1]).Comparisons {
		if c.Field == "phone" || c.Field == "birth date" || c.Field == "e-mail" {
			t.Errorf("%s", c)
		}
	}
}

// Where given names of two words are usual, the second is no family name when that is missing.
func TestSecondNames(t *testing.T) {
	l := &labelled{}
	for i := range 40 {
		first := []string{"José Luis", "Ana María", "Luis", "Anna"}[i%4]
		l.add(fmt.Sprint(i), values("FirstName", first, "LastName", fmt.Sprintf("Family%d", i), "BirthDate", fmt.Sprintf("1970-01-%02d", 1+i%28)))
	}
	_, m, _ := l.find(t, Options{})
	for text, want := range map[string]string{"José Luis": "jose luis||", "Ana María": "ana maria||", "Anna Kowalska": "anna||kowalska", "Luis": "luis||"} {
		if got := nameOf(text, "", "", m.second).String(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestNothingIsKnown(t *testing.T) {
	for text, want := range map[string]string{"unknown": "", "N/A": "", "- n/a -": "", "Unbekannt": "", "неизвестно": "", "Na": "Na", "Nullmann": "Nullmann", "Test Person": "Test Person"} {
		if got := known(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for _, code := range []string{"00000", "99999", "0000"} {
		if got := postcodeOf(code); got != "" {
			t.Errorf("%q: %q", code, got)
		}
	}
}
