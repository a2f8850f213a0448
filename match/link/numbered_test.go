package link

import (
	"fmt"
	"testing"
)

// What is numbered is several: customers whose names, addresses and numbers were counted up are two people, however much they look like each other's typing
// errors, and those who stand twice are found among them. People who try out the program make such customers first.
func TestNumberedPeople(t *testing.T) {
	for kind, of := range map[string]func(i int) map[string]string{
		"names": func(i int) map[string]string {
			return map[string]string{"FirstName": fmt.Sprint("First", i), "LastName": fmt.Sprint("Last", i), "EmailAddress": fmt.Sprintf("user%d@example.com", i)}
		},
		"one family name": func(i int) map[string]string {
			return map[string]string{"FirstName": fmt.Sprint("Test", i), "LastName": "User", "EmailAddress": fmt.Sprintf("test%d@example.com", i), "PhoneNumber": fmt.Sprintf("+1206555%04d", i)}
		},
		"one name": func(i int) map[string]string {
			return map[string]string{"FirstName": "User", "LastName": fmt.Sprint(i), "PhoneNumber": fmt.Sprintf("+1206555%04d", i)}
		},
		"everything": func(i int) map[string]string {
			return map[string]string{"AccountNumber": fmt.Sprint("ACC", i), "FirstName": fmt.Sprintf("First%05d", i), "LastName": fmt.Sprintf("Last%05d", i),
				"EmailAddress": fmt.Sprintf("user%d@example.com", i), "PhoneNumber": fmt.Sprintf("+1206555%04d", i), "BirthDate": fmt.Sprintf("19%02d-%02d-%02d", 50+i%50, 1+i%12, 1+i%28),
				"Address.Address1": fmt.Sprint(i, " Main Street"), "Address.City": "Seattle", "Address.PostalCode": fmt.Sprint(98000 + i%100)}
		},
	} {
		for _, n := range []int{5, 10, 40} {
			for _, every := range []int{1, 5, 2 * n} {
				l := &labelled{}
				for i := range n {
					l.add(fmt.Sprint(i), of(i))
					if i%every == 1 || every == 1 {
						l.add(fmt.Sprint(i), of(i))
					}
				}
				groups, _, _ := l.find(t, Options{})
				if o := l.evaluate(groups, 0.5); o.wrong > 0 || o.missed > 0 {
					t.Errorf("%s, %d of whom every %d-th stands twice: %.0f pairs are right, %.0f wrong, %.0f are missed", kind, n, every, o.right, o.wrong, o.missed)
				}
			}
		}
	}
}

// Two profiles that have nothing in common, and nothing that tells them apart, are no match, though there are no others.
func TestTwoProfiles(t *testing.T) {
	l := &labelled{}
	l.add("1", map[string]string{"EmailAddress": "user1@example.com"})
	l.add("2", map[string]string{"EmailAddress": "user2@example.com"})
	if groups, _, _ := l.find(t, Options{}); len(groups) > 0 {
		t.Errorf("%+v", groups)
	}
}
