package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"kith/internal/people"
	"kith/profile/fold"
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

// People of six countries are found again, and those who live together, twins among them, are kept apart.
func TestPeopleAreFoundAgain(t *testing.T) {
	for _, c := range []struct {
		name              string
		o                 people.Options
		precision, recall float64
	}{
		{"people", people.Options{Records: 1800, Repeats: 0.3, Seed: 31}, 0.98, 0.9},
		{"households", people.Options{Records: 1800, Repeats: 0.3, Seed: 32, Households: true}, 0.97, 0.75},
		{"dirty", people.Options{Records: 1800, Repeats: 0.3, Seed: 33, Dirt: 2.5}, 0.93, 0.6},
	} {
		l := generated(t, c.o)
		groups, _, _ := l.find(t, Options{random: randomPairs})
		o := l.evaluate(groups, 0.9)
		t.Logf("%s: precision %.4f, recall %.4f", c.name, o.precision(), o.recall())
		if o.precision() < c.precision || o.recall() < c.recall {
			t.Errorf("%s: precision %.4f, recall %.4f, want %.2f and %.2f at least", c.name, o.precision(), o.recall(), c.precision, c.recall)
		}
		for _, g := range groups {
			if len(g.Members) > 2 && g.Score < 0.9 || g.Score < 0.5 || g.Score > 1 || !slices.IsSortedFunc(g.Members, fold.ID.Compare) {
				t.Fatalf("%+v", g)
			}
		}
	}
}

// sorted are groups in the order of their first members.
func sorted(groups []*Group) []*Group {
	slices.SortFunc(groups, func(a, b *Group) int { return a.Members[0].Compare(b.Members[0]) })
	return groups
}

// Neither the order of profiles nor the number of workers matters, nor how much is spilled: with a memory of 64 KiB that is all, in chunks, and the groups, their scores and the
// model are the same to the last bit.
func TestOutcomeIsTheSame(t *testing.T) {
	for name, o := range map[string]people.Options{
		"all compared": {Records: 700, Repeats: 0.3, Seed: 5},
		"by keys":      {Records: 1800, Repeats: 0.3, Seed: 6},
	} {
		l := generated(t, o)
		var equal []fold.ID
		for range 20 { // copies, and answers about some of them
			values := map[string]string{"FirstName": "Ann", "LastName": "Smith", "BirthDate": "1970-01-02", "EmailAddress": "ann.smith@example.com", "PhoneNumber": "5550123456"}
			l.add("Ann", values)
			equal = append(equal, numberedID(len(l.profiles)-1))
		}
		answers := []Answer{{A: equal[0], B: equal[1]}, {A: equal[2], B: l.profiles[0].ID}, {A: l.profiles[1].ID, B: l.profiles[2].ID, Same: true}, {A: testID("nobody"), B: equal[3], Same: true}}
		want, m, report := l.find(t, Options{Workers: 1, Answers: answers})
		slices.SortFunc(report.Glued, fold.ID.Compare)
		for _, other := range []Options{{Workers: 3}, {Workers: 2, Memory: 2 << 20}, {Workers: 2, Memory: 64 << 10}, {Workers: 2, Memory: 64 << 10, sorted: 100}} {
			other.Answers, other.Dir = answers, t.TempDir()
			var chunks int64
			other.spilled = &chunks
			slices.Reverse(l.profiles)
			got, m2, again := (&labelled{profiles: l.profiles, truth: l.truth}).find(t, other)
			if digest(got) != digest(want) || len(want) < 100 {
				t.Errorf("%s, memory %d: %d other groups, %d before", name, other.Memory, len(got), len(want))
			}
			if !bytes.Equal(m.Marshal(), m2.Marshal()) {
				t.Errorf("%s, memory %d: the models differ", name, other.Memory)
			}
			if slices.SortFunc(again.Glued, fold.ID.Compare); !reflect.DeepEqual(report, again) {
				t.Errorf("%s, memory %d: report %+v, before %+v", name, other.Memory, again, report)
			}
			if all := int64(len(l.profiles)*entrySize) / leastChunk * 15; other.Memory == 64<<10 && other.sorted == 0 && chunks < all || other.Memory == 0 && chunks > 0 { // 15 keys for each at least
				t.Errorf("%s, memory %d: %d chunks were spilled, of keys alone there are %d", name, other.Memory, chunks, all)
			}
		}
	}
}

// What a person has answered is obeyed, whatever the profiles say; in a chain too.
func TestAnswersAreObeyed(t *testing.T) {
	l := generated(t, people.Options{Records: 300, Repeats: 0.5, Seed: 8})
	groups, _, _ := l.find(t, Options{})
	in := func(groups []*Group) map[fold.ID]int {
		of := map[fold.ID]int{}
		for n, g := range groups {
			for _, id := range g.Members {
				of[id] = n + 1
			}
		}
		return of
	}
	of := in(groups)
	var answers []Answer
	for _, g := range groups[:20] {
		answers = append(answers, Answer{A: g.Members[0], B: g.Members[1]})
	}
	var alone []fold.ID
	for _, p := range l.profiles {
		if of[p.ID] == 0 {
			alone = append(alone, p.ID)
		}
	}
	for i := 0; i+1 < 40; i += 2 {
		answers = append(answers, Answer{A: alone[i], B: alone[i+1], Same: true})
	}
	answers = append(answers, Answer{A: testID("nobody"), B: alone[0], Same: true}, Answer{A: alone[0], B: alone[0], Same: true})
	groups, _, _ = l.find(t, Options{Answers: answers})
	of = in(groups)
	for _, a := range answers[:len(answers)-2] {
		if together := of[a.A] != 0 && of[a.A] == of[a.B]; together != a.Same {
			t.Errorf("%v: together is %v", a, together)
		}
	}
}

// Five thousand profiles that say the same end quickly: as one group if they say enough, as none and with a word about it if not.
func TestEqualProfiles(t *testing.T) {
	for name, values := range map[string]map[string]string{
		"enough": {"FirstName": "Ann", "LastName": "Smith", "BirthDate": "1970-01-02", "EmailAddress": "ann.smith@example.com", "PhoneNumber": "5550123456"},
		"little": {"FirstName": "Ann"},
		"empty":  {},
	} {
		l := &labelled{}
		for i := range 5_000 {
			if l.profiles = append(l.profiles, profileOf(numberedID(i), values)); i == 0 {
				continue
			}
			l.profiles[i].Values = l.profiles[0].Values
		}
		groups, _, report := l.find(t, Options{})
		if report.Reviewed != 5_000 || report.Compared > 1000 {
			t.Errorf("%s: %+v", name, report)
		}
		if name == "enough" && (len(groups) != 1 || len(groups[0].Members) != 5_000) || name != "enough" && (len(groups) > 0 || len(report.Refined) == 0) {
			t.Errorf("%s: %d groups, %q", name, len(groups), report.Refined)
		}
		t.Logf("%s: %d groups, %q", name, len(groups), report.Refined)
	}
}

func TestFindEndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	_, _, err := Find(t.Context(), func(context.Context, func(int, *fold.Profile) error) error { return broken }, Options{}, nil)
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	l := somePeople()
	if _, _, err := Find(t.Context(), l.source(1), Options{Workers: 1}, func(*Group) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	stop(broken)
	if _, _, err := Find(ctx, l.source(1), Options{Workers: 1}, func(*Group) error { return nil }); !errors.Is(err, broken) {
		t.Error(err)
	}
	for n := range 3 { // hardly anybody
		few := &labelled{profiles: l.profiles[:n], truth: l.truth[:n]}
		few.find(t, Options{})
	}
}

// The number of an import that never comes again does not hurt, and one that identifies helps.
func TestNumbers(t *testing.T) {
	persons := people.Options{Records: 300, Repeats: 0.3, Seed: 9, Dirt: 2}
	plain := generated(t, persons)
	before, _, _ := plain.find(t, Options{})
	for name, number := range map[string]func(l *labelled, i int) string{
		"its own":    func(_ *labelled, i int) string { return fmt.Sprintf("R%05d", i) },
		"the person": func(l *labelled, i int) string { return "P" + l.truth[i] },
	} {
		l := generated(t, persons)
		for i, p := range l.profiles {
			values := map[string]string{"Attributes.loyalty": number(l, i), "AccountNumber": number(l, i)}
			p.Values = append(p.Values, profileOf(p.ID, values).Values...)
			slices.SortFunc(p.Values, func(a, b fold.Value) int { return a.Attr.Compare(b.Attr) })
		}
		after, _, _ := l.find(t, Options{})
		a, b := l.evaluate(before, 0.9), l.evaluate(after, 0.9)
		if b.f1() < a.f1()-0.002 || name == "the person" && b.f1() < 0.999 {
			t.Errorf("%s: F1 is %.4f, and was %.4f without", name, b.f1(), a.f1())
		}
	}
}
