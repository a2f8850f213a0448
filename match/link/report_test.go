package link

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What is said of bounds is good English for one and for many, in whole sentences: a job's message is made of them.
func TestSentences(t *testing.T) {
	for want, got := range map[string]string{
		"One birth date, e-mail address or phone number stands with 20 and more persons of different names: it counts as empty.":                                                                                                                            countAsEmpty(1),
		"3 birth dates, e-mail addresses and phone numbers stand with 20 and more persons of different names: they count as empty.":                                                                                                                         countAsEmpty(3),
		"There are more than 1024 custom attributes: those that were met first were looked at.":                                                                                                                                                             attributesBounded(),
		"25 profiles say the same, and too little to tell whether they are of one person: they are in no group.":                                                                                                                                            sayTooLittle(1, 25),
		"3 times several profiles, up to 25, say the same, and too little to tell whether they are of one person: they are in no group.":                                                                                                                    sayTooLittle(3, 25),
		"One group of 900 profiles with the same family name was too large to compare everybody in it: it was divided by further attributes.":                                                                                                               bounded{1, 0, 900}.sentence("family name"),
		"One group of 900 profiles with the same phone was too large to compare everybody in it: it was divided by further attributes. In one part nothing more tells profiles apart: there each was compared with 12 others at most.":                      bounded{1, 1, 900}.sentence("phone"),
		"20 groups of profiles with the same city, the largest of 900, were too large to compare everybody in them: they were divided by further attributes. In 2 parts nothing more tells profiles apart: there each was compared with 12 others at most.": bounded{20, 2, 900}.sentence("city"),
		"2 groups of profiles with the same Attributes.plan, the largest of 150, were too large to compare everybody in them: they were divided by further attributes.":                                                                                     (&blocker{m: &Model{custom: []string{"plan"}}, bound: append(make([]bounded, len(passes(&Model{}))), bounded{2, 0, 150})}).words()[0],
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if slices.Contains(componentNames[:], "") {
		t.Errorf("a component has no name: %q", componentNames)
	}
	for i, p := range passes(&Model{account: true, custom: []string{"plan"}}) {
		b := &blocker{m: &Model{account: true, custom: []string{"plan"}}, bound: append(make([]bounded, i), bounded{1, 1, 200})}
		if text := b.words(); len(text) != 1 || !regexp.MustCompile(`^[A-Z].*\.$`).MatchString(text[0]) || strings.Contains(text[0], "  ") {
			t.Errorf("pass %v: %q", p, text)
		}
	}
}
