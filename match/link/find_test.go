package link

import (
	"testing"
)

// somePeople are a few persons with two profiles each, and strangers.
func somePeople() *labelled {
	l := &labelled{}
	add := func(truth, first, last, birth, email, phone, street, city, code string) {
		l.add(truth, map[string]string{"FirstName": first, "LastName": last, "BirthDate": birth, "EmailAddress": email, "PhoneNumber": phone,
			"Address.Address1": street, "Address.City": city, "Address.PostalCode": code})
	}
	add("1", "Robert", "Fischer", "1971-06-24", "rob.fischer@example.com", "+49 30 1234567", "Hauptstraße 12", "Berlin", "10115")
	add("1", "Rob", "Fischer", "24.06.1971", "ROBFISCHER@example.com", "030 1234567", "Hauptstr. 12", "Berlin", "10115")
	add("2", "Мария", "Иванова", "1985-02-07", "m.ivanova@example.com", "", "Lenina 5", "Kazan", "420000")
	add("2", "Mariya", "Ivanova", "1985-07-02", "m.ivanova@example.com", "", "", "Kazan", "")
	add("3", "José", "García López", "1990-11-30", "", "611 222 333", "Calle Mayor 3", "Madrid", "28013")
	add("3", "Jose", "Garcia", "1990-11-30", "", "+34611222333", "C. Mayor 3", "Madrid", "28013")
	add("4", "Wei", "Zhang", "1992-01-02", "zw92@example.com", "", "", "Chengdu", "")
	add("4", "Zhang", "Wei", "1992-01-02", "zw92@example.com", "", "", "Chengdu", "")
	add("5", "Anna", "Kowalska", "1960-03-03", "anna@example.org", "", "Polna 7", "Kraków", "30-001")
	add("6", "Piotr", "Nowak", "1975-08-19", "piotr@example.org", "", "Długa 9", "Gdańsk", "80-001")
	return l
}

func TestFewPeople(t *testing.T) {
	l := somePeople()
	groups, _, report := l.find(t, Options{})
	if o := l.evaluate(groups, 0.9); o.wrong > 0 || o.missed > 0 {
		t.Errorf("%d groups: %.0f pairs are right, %.0f wrong, %.0f are missed", len(groups), o.right, o.wrong, o.missed)
	}
	if report.Reviewed != 10 || report.Groups != 4 || report.Pairs != 4 {
		t.Errorf("%+v", report)
	}
}
