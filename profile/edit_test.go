package profile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/profile/fold"
	"kith/schema"
	"kith/store"
	"kith/store/mem"
)

// What requests say: each attribute once, blanks as empty texts.
func TestValuesOf(t *testing.T) {
	text := func(s string) *string { return &s }
	for name, c := range map[string]struct {
		in   api.UpdateProfileRequest
		want map[string]string
	}{
		"nothing":       {api.UpdateProfileRequest{}, nil},
		"a scalar":      {api.UpdateProfileRequest{FirstName: text(" Ann ")}, map[string]string{"FirstName": " Ann "}},
		"a blank":       {api.UpdateProfileRequest{FirstName: text("")}, map[string]string{"FirstName": ""}},
		"a part":        {api.UpdateProfileRequest{MailingAddress: &api.UpdateAddress{Country: text("NZ")}}, map[string]string{"MailingAddress.Country": "NZ"}},
		"no part":       {api.UpdateProfileRequest{MailingAddress: &api.UpdateAddress{}}, nil},
		"custom":        {api.UpdateProfileRequest{Attributes: map[string]string{"a.b c": "1", "d": ""}}, map[string]string{"Attributes.a.b c": "1", "Attributes.d": ""}},
		"enumeration":   {api.UpdateProfileRequest{Gender: api.Ptr(api.GenderMale)}, map[string]string{"Gender": "MALE", "GenderString": ""}},
		"its free form": {api.UpdateProfileRequest{GenderString: text("x")}, map[string]string{"Gender": "", "GenderString": "x"}},
		"both blank":    {api.UpdateProfileRequest{PartyTypeString: text("")}, map[string]string{"PartyType": "", "PartyTypeString": ""}},
		"one for the other": {api.UpdateProfileRequest{PartyType: api.Ptr(api.PartyTypeOther), PartyTypeString: text("")},
			map[string]string{"PartyType": "OTHER", "PartyTypeString": ""}},
		"preferences": {api.UpdateProfileRequest{EngagementPreferences: &api.EngagementPreferences{
			Phone: []api.ContactPreference{{KeyName: text("_phone"), KeyValue: text("1")}}, Email: []api.ContactPreference{}}},
			map[string]string{"EngagementPreferences.Phone": `[{"KeyName":"_phone","KeyValue":"1"}]`, "EngagementPreferences.Email": ""}},
	} {
		values, err := valuesOf(&c.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got := map[string]string{}
		for _, v := range values {
			if _, twice := got[v.Attr.Path()]; twice {
				t.Errorf("%s: %s twice", name, v.Attr.Path())
			}
			got[v.Attr.Path()] = v.Text
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for _, in := range []api.UpdateProfileRequest{
		{PartyType: api.Ptr(api.PartyTypeOther), PartyTypeString: text("x")},
		{Gender: api.Ptr(api.GenderMale), GenderString: text("x")},
		{Attributes: map[string]string{"a\nb": "1"}},
	} {
		if _, err := valuesOf(&in); err == nil {
			t.Errorf("%+v was accepted", in)
		}
	}
}

func TestKeyForms(t *testing.T) {
	two := []schema.ContentType{schema.Name, schema.Phone}
	three := []schema.ContentType{schema.String, schema.String, schema.String}
	many := strings.Repeat("w ", 12)
	for _, c := range []struct {
		parts []schema.ContentType
		text  string
		want  []string
	}{
		{nil, " A ", []string{"A"}}, {nil, "  ", nil},
		{[]schema.ContentType{schema.Email}, " A@X ", []string{"a@x"}},
		{two, "Lee 1", []string{"lee|1"}}, {two, "Lee", nil}, {two, "", nil}, {two, "Lee none", nil},
		{two, "Ann Lee 206 555", []string{"ann|206555", "ann lee|206555", "ann lee 206|555"}},
		{three, "a b c", []string{"a|b|c"}}, {three, "a b", nil},
		{three, "a b c d", []string{"a|b|c d", "a|b c|d", "a b|c|d"}},
	} {
		forms, err := keyForms(nil, c.parts, c.text, phoneReader{})
		for i := range forms {
			forms[i] = strings.ReplaceAll(forms[i], schema.TupleSep, "|")
		}
		if err != nil || !slices.Equal(forms, c.want) {
			t.Errorf("%v %q: %q and %v, want %q", c.parts, c.text, forms, err, c.want)
		}
	}
	if forms, err := keyForms(nil, three, many, phoneReader{}); err == nil {
		t.Errorf("%d forms of a text of many words", len(forms))
	}
}

// Values are counted in bounded memory, and the most frequent come first.
func TestValueCountsAreBounded(t *testing.T) {
	counts := valueCounts{}
	for i := range maxDistinct + 10 {
		counts.add(fmt.Sprint(i))
	}
	counts.add("1")
	if len(counts) != maxDistinct || counts.top(2)[0] != "1" {
		t.Errorf("%d values, first %v", len(counts), counts.top(2))
	}
}

// Of a domain that is too large to be read, profiles from all over it are looked at.
func TestValuesOfALargeDomain(t *testing.T) {
	const n = 2 * freshRows
	st := mem.New()
	rec := &domain.Record{Incarnation: townInc}
	s := &Service{Store: st, Now: time.Now}
	for i := range n {
		sum := sha256.Sum256([]byte(fmt.Sprint(i)))
		id := ID(sum[:16])
		c := &fold.Contribution{Expires: fold.EndOfTime, Values: []fold.Value{{Attr: schema.Attr{Custom: "a"}, Text: fmt.Sprint(id[0] / 16), Kind: fold.Import}}}
		m := store.Mutation{Key: AppendContributionKey(nil, 1, 1), Value: c.Append(nil), Time: 1}
		if err := st.Write(t.Context(), Partition(townInc, id), []store.Mutation{m}); err != nil {
			t.Fatal(err)
		}
	}
	counts := valueCounts{}
	a := schema.Attr{Custom: "a"}
	if err := s.eachUpTo(t.Context(), rec, a, nil, freshRows, counts); !errors.Is(err, errEnough) {
		t.Fatalf("a large domain was read whole: %v", err)
	}
	clear(counts)
	if err := s.sample(t.Context(), rec, a, counts); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, n := range counts {
		sum += n
	}
	if len(counts) != 16 || sum > freshRows || sum < freshRows/2 {
		t.Errorf("%d values of %d profiles", len(counts), sum)
	}
}
