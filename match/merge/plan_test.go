package merge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kith/api"
	"kith/profile/fold"
	"kith/schema"
)

// person makes a person of "path=text@time", with "!" behind the time if it was set by hand, and "<source" if it comes from one.
func person(t *testing.T, n byte, fields ...string) *Person {
	t.Helper()
	p := &Person{ID: fold.ID{n}, Sources: map[schema.Attr]string{}}
	for _, f := range fields {
		path, said, _ := strings.Cut(f, "=")
		a, ok := schema.ParsePath(path)
		if !ok {
			t.Fatalf("no attribute %s", path)
		}
		text, when, _ := strings.Cut(said, "@@")
		v := fold.Value{Attr: a, Text: text, Kind: fold.Object}
		when, source, has := strings.Cut(when, "<")
		if has {
			p.Sources[a] = source
		}
		if when, ok = strings.CutSuffix(when, "!"); ok {
			v.Kind = fold.Manual
		}
		if _, err := fmt.Sscan(when, &v.Stamp.Time); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		p.Values = append(p.Values, v)
	}
	slices.SortFunc(p.Values, func(a, b fold.Value) int { return a.Attr.Compare(b.Attr) })
	return p
}

func shown(p *Person) string {
	var all []string
	for _, v := range p.Values {
		all = append(all, v.Attr.Path()+"="+v.Text)
	}
	return fmt.Sprintf("%d: %s", p.ID[0], strings.Join(all, " "))
}

func criteria(t *testing.T, list ...[]string) []Criterion {
	t.Helper()
	all, err := Criteria(list)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func told(steps []Step) string {
	var all []string
	for _, s := range steps {
		one := fmt.Sprint(s.Criterion+1, ":")
		for _, id := range s.IDs {
			one += fmt.Sprint(" ", id[0])
		}
		all = append(all, one)
	}
	return strings.Join(all, ", ")
}

// What AWS's guide tells of John and Jane Doe: docs/spec/advanced.md 1.4.
func TestWorkedExample(t *testing.T) {
	a := person(t, 1, "FirstName=John@@1", "LastName=Doe@@1", "EmailAddress=fam@x.com@@1", "PhoneNumber=5555@@9")
	b := person(t, 2, "FirstName=John@@2", "LastName=Doe@@2", "EmailAddress=fam@x.com@@2", "PhoneNumber=5556@@8")
	c := person(t, 3, "FirstName=Jane@@3", "LastName=Doe@@3", "EmailAddress=fam@x.com@@3", "PhoneNumber=5555@@3")
	steps := Plan(criteria(t, []string{"FirstName", "LastName", "EmailAddress"}, []string{"PhoneNumber"}), []*Person{c, b, a}, Resolution{}, Said{})
	if got := told(steps); got != "1: 1 2, 2: 1 3" {
		t.Fatal(got)
	}
	ab := combine([]*Person{a, b}, Resolution{})
	if got := shown(ab); got != "1: FirstName=John LastName=Doe PhoneNumber=5555 EmailAddress=fam@x.com" {
		t.Error(got)
	}
	if got := shown(combine([]*Person{ab, c}, Resolution{})); got != "1: FirstName=Jane LastName=Doe PhoneNumber=5555 EmailAddress=fam@x.com" {
		t.Error(got)
	}
	if n := Touched(steps); n != 3 {
		t.Error(n, "profiles take part")
	}
}

func TestPlan(t *testing.T) {
	people := []*Person{
		person(t, 1, "FirstName=Ann@@1", "EmailAddress=a@x.com@@1", "Address.City=Oslo@@1", "Attributes.tier=gold@@1"),
		person(t, 2, "FirstName=ann@@2", "EmailAddress=a@x.com@@2", "Address.City=Oslo@@2", "Address.PostalCode=0150@@2", "Attributes.tier=gold@@1"),
		person(t, 3, "FirstName=Ann@@3", "Address.City=Oslo@@3"),
		person(t, 4, "FirstName=Bo@@4", "EmailAddress=b@x.com@@4"),
		person(t, 5, "FirstName=Bo@@4", "EmailAddress=b@x.com@@4"),
	}
	for _, c := range []struct {
		name string
		list [][]string
		want string
	}{
		{"a value", [][]string{{"EmailAddress"}}, "1: 1 2, 1: 4 5"},
		{"case counts", [][]string{{"FirstName", "EmailAddress"}}, "1: 4 5"},
		{"who lacks one has no key", [][]string{{"FirstName", "Address.City", "EmailAddress"}}, ""},
		{"several attributes", [][]string{{"FirstName", "Address.City"}}, "1: 1 3"},
		{"an address as a whole", [][]string{{"Address"}}, "1: 1 3"},
		{"custom attributes", [][]string{{"Attributes.tier"}}, "1: 1 2"},
		{"the next criterion is asked when the first merged nobody", [][]string{{"AccountNumber"}, {"Attributes.tier"}}, "2: 1 2"},
		{"the next criterion sees what the first merged", [][]string{{"EmailAddress"}, {"FirstName"}}, "1: 1 2, 1: 4 5"},
		{"a value that lost is no key any more", [][]string{{"EmailAddress"}, {"Address.City", "FirstName"}}, "1: 1 2, 1: 4 5"},
		{"a third joins by what it shares with the merged ones", [][]string{{"EmailAddress"}, {"Address.City"}}, "1: 1 2, 1: 4 5, 2: 1 3"},
		{"nobody has it", [][]string{{"BirthDate"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 20 { // in whatever order they come
				rand.Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] })
				if got := told(Plan(criteria(t, c.list...), people, Resolution{}, Said{})); got != c.want {
					t.Fatalf("%q, want %q", got, c.want)
				}
			}
		})
	}
	if _, err := Criteria([][]string{{"FirstName"}, {"FirstNam"}}); err == nil || !strings.Contains(err.Error(), `MatchingAttributesList[1] has "FirstNam"`) {
		t.Error(err)
	}
}

// What people said goes before criteria: who is the same is merged, who is not never is.
func TestPlanObeysAnswers(t *testing.T) {
	people := []*Person{
		person(t, 1, "EmailAddress=a@@1", "PhoneNumber=1@@1"), person(t, 2, "EmailAddress=a@@2", "PhoneNumber=2@@1"), person(t, 3, "EmailAddress=a@@3"),
		person(t, 4, "PhoneNumber=1@@1"), person(t, 5, "LastName=Lee@@1"),
	}
	pair := func(a, b byte) [2]fold.ID { return [2]fold.ID{{a}, {b}} }
	for _, c := range []struct {
		name string
		said Said
		want string
	}{
		{"nothing", Said{}, "1: 1 2 3, 2: 1 4"},
		{"the same, without a key", Said{Same: [][2]fold.ID{pair(5, 4)}}, "0: 4 5, 1: 1 2 3, 2: 1 4"},
		{"two the same as a third", Said{Same: [][2]fold.ID{pair(3, 5), pair(2, 3)}}, "0: 3 5, 0: 2 3, 1: 1 2, 2: 1 4"},
		{"not the same", Said{Apart: [][2]fold.ID{pair(2, 1)}}, "1: 1 3, 2: 1 4"},
		{"two not the same as a third", Said{Apart: [][2]fold.ID{pair(1, 2), pair(1, 3)}}, "1: 2 3, 2: 1 4"},
		{"not the same as one that was merged", Said{Apart: [][2]fold.ID{pair(4, 3)}}, "1: 1 2 3"},
		{"of nobody here", Said{Same: [][2]fold.ID{pair(1, 9)}, Apart: [][2]fold.ID{pair(2, 9)}}, "1: 1 2 3, 2: 1 4"},
	} {
		if got := told(Plan(criteria(t, []string{"EmailAddress"}, []string{"PhoneNumber"}), people, Resolution{}, c.said)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		name   string
		source string
		a, b   []string
		want   string // what profiles 1 and 2 show as one
	}{
		{"the newest wins", "", []string{"FirstName=Ann@@5"}, []string{"FirstName=Anna@@6"}, "FirstName=Anna"},
		{"whichever it is", "", []string{"FirstName=Ann@@6"}, []string{"FirstName=Anna@@5"}, "FirstName=Ann"},
		{"the lower id at the same time", "", []string{"FirstName=Ann@@5"}, []string{"FirstName=Anna@@5"}, "FirstName=Ann"},
		{"the only one", "", nil, []string{"FirstName=Anna@@1"}, "FirstName=Anna"},
		{"by hand before newer", "", []string{"FirstName=Ann@@1!"}, []string{"FirstName=Anna@@6"}, "FirstName=Ann"},
		{"the newer by hand", "", []string{"FirstName=Ann@@1!"}, []string{"FirstName=Anna@@2!"}, "FirstName=Anna"},
		{"the source before newer", "crm", []string{"FirstName=Ann@@1<crm"}, []string{"FirstName=Anna@@6<web"}, "FirstName=Ann"},
		{"by hand before the source", "crm", []string{"FirstName=Ann@@1!"}, []string{"FirstName=Anna@@6<crm"}, "FirstName=Ann"},
		{"both from the source", "crm", []string{"FirstName=Ann@@1<crm"}, []string{"FirstName=Anna@@6<crm"}, "FirstName=Anna"},
		{"none from the source", "crm", []string{"FirstName=Ann@@1<web"}, []string{"FirstName=Anna@@6"}, "FirstName=Anna"},
		{"an address is one value", "", []string{"Address.Address1=Old St 1@@1", "Address.City=Oslo@@1", "Address.PostalCode=0150@@1"},
			[]string{"Address.Address1=New St 2@@2", "Address.City=Rome@@2"}, "Address.Address1=New St 2 Address.City=Rome"},
		{"an address of which a part was set by hand", "", []string{"Address.City=Oslo@@1!", "Address.PostalCode=0150@@1"}, []string{"Address.City=Rome@@2"}, "Address.City=Oslo Address.PostalCode=0150"},
		{"a gender and its free form go together", "", []string{"Gender=FEMALE@@3"}, []string{"GenderString=divers@@4"}, "GenderString=divers"},
		{"custom attributes key by key", "", []string{"Attributes.a=1@@1", "Attributes.b=1@@9"}, []string{"Attributes.a=2@@2", "Attributes.b=2@@8", "Attributes.c=2@@1"},
			"Attributes.a=2 Attributes.b=1 Attributes.c=2"},
		{"kinds of addresses are fields of their own", "", []string{"Address.City=Oslo@@9", "BillingAddress.City=Oslo@@1"}, []string{"Address.City=Rome@@1", "BillingAddress.City=Rome@@9"},
			"Address.City=Oslo BillingAddress.City=Rome"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := person(t, 1, c.a...), person(t, 2, c.b...)
			for _, people := range [][]*Person{{a, b}, {b, a}} {
				if got := shown(combine(people, Resolution{Source: c.source})); got != "1: "+c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
			}
		})
	}
	if got := Resolve([]*Person{person(t, 1, "FirstName=Ann@@1"), person(t, 2, "LastName=Lee@@1")}, Resolution{}); len(got) > 0 {
		t.Errorf("fields that one has are decided: %v", got)
	}
	model, name := api.ConflictResolvingModelSource, "crm"
	if got := ResolutionOf(&api.ConflictResolution{ConflictResolvingModel: &model, SourceName: &name}).Source; got != "crm" {
		t.Error(got)
	}
}
