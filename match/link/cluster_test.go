package link

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"kith/profile/fold"
)

// Of more than maxDense profiles that are alike throughout, those are apart that a person has kept apart. There are others in the file, too: what all of a file have
// tells nobody apart.
func TestAnswersHoldInLargeGroups(t *testing.T) {
	const large = maxDense + 50
	l := &labelled{}
	for i := range large {
		l.add("1", map[string]string{"FirstName": "Ann", "LastName": "Smith", "BirthDate": "1970-01-02", "EmailAddress": "ann.smith@example.com", "PhoneNumber": "5550123456",
			"Address.Address1": "High Street 5", "Address.Address2": fmt.Sprint("Room ", i)})
	}
	given, family := []string{"Bob", "Carl", "Dora", "Eve", "Finn"}, []string{"Jones", "Miller", "Baker", "Young", "Hall", "Walker", "King"}
	for i := range 2 * large {
		l.add(fmt.Sprint("other", i), map[string]string{"FirstName": given[i%5], "LastName": family[i%7], "BirthDate": fmt.Sprintf("%d-0%d-1%d", 1940+i%50, 1+i%9, i%7),
			"EmailAddress": fmt.Sprintf("p%dx%d@example.org", i*37%101, i), "PhoneNumber": fmt.Sprintf("555%07d", i*7919%9999991)})
	}
	groups, _, _ := l.find(t, Options{})
	if len(groups) != 1 || len(groups[0].Members) != large {
		t.Fatalf("%d groups", len(groups))
	}
	answers := []Answer{{A: numberedID(0), B: numberedID(1)}, {A: numberedID(0), B: numberedID(2)}}
	groups, _, _ = l.find(t, Options{Answers: answers})
	members := 0
	for _, g := range groups {
		members += len(g.Members)
		for _, a := range answers {
			if slices.Contains(g.Members, a.A) && slices.Contains(g.Members, a.B) {
				t.Errorf("a group of %d has two who are not the same", len(g.Members))
			}
		}
	}
	if members < large-1 {
		t.Errorf("%d groups have %d of %d profiles", len(groups), members, large)
	}
}

// A profile that has taken in what two people say is reported: it belongs to both, and they do not belong together.
func TestGluedIsReported(t *testing.T) {
	l := somePeople()
	one := map[string]string{"FirstName": "Maria", "LastName": "Lindqvist", "BirthDate": "1968-04-17", "EmailAddress": "marialq68@example.com", "PhoneNumber": "+46 70 123 45 67",
		"Address.Address1": "Storgatan 4", "Address.City": "Uppsala", "Address.PostalCode": "75331"}
	two := map[string]string{"FirstName": "Maria", "LastName": "Wrona", "BirthDate": "1993-12-05", "EmailAddress": "wrona.m@example.org", "PhoneNumber": "+48 601 777 888",
		"Address.Address1": "Lipowa 31", "Address.City": "Lublin", "Address.PostalCode": "20-020"}
	l.add("a", one)
	l.add("a", one)
	l.add("b", two)
	l.add("b", two)
	both := map[string]string{"FirstName": "Maria", "EmailAddress": one["EmailAddress"], "PersonalEmailAddress": two["EmailAddress"], "PhoneNumber": one["PhoneNumber"], "MobilePhoneNumber": two["PhoneNumber"]}
	for path, text := range one {
		if rest, ok := strings.CutPrefix(path, "Address."); ok {
			both[path], both["MailingAddress."+rest] = text, two[path]
		}
	}
	l.add("a", both)
	glued := numberedID(len(l.profiles) - 1)
	groups, _, report := l.find(t, Options{})
	if !slices.Equal(report.Glued, []fold.ID{glued}) {
		t.Errorf("%d profiles are reported as glued, want the one that is", len(report.Glued))
	}
	for _, g := range groups {
		if slices.Contains(g.Members, glued) != (g.Glued == glued) {
			t.Errorf("%d members, glued: %v", len(g.Members), g.Glued)
		}
	}
}

// Nothing that a profile may have in its values ends the process.
func TestOddValues(t *testing.T) {
	l := somePeople()
	for _, email := range []string{strings.Repeat("x", 100) + "@example.com", strings.Repeat("x", 64) + "@example.com", "a@b\x00c", "a\x00b@c", "@", "a@", "@a", "\x00@\x00", strings.Repeat("@", 200), "..@..", "\xff@\xfe"} {
		for range 2 {
			l.add("odd", map[string]string{"EmailAddress": email, "FirstName": "\x00", "LastName": ",", "BirthDate": "T", "PhoneNumber": "x", "Address.Address1": ", ,"})
		}
	}
	l.find(t, Options{})
}
