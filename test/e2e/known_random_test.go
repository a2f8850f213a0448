package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/profile/fold"
	"kith/schema"
	"kith/store"
	"kith/upload"
)

// The file of a script, by what its rows are matched by.
var scriptSpecs = func() (all []spec) {
	fields := []string{"a:a:AccountNumber", "m:m:EmailAddress:EMAIL_ADDRESS", "w:w:BusinessEmailAddress:EMAIL_ADDRESS", "f:f:FirstName", "l:l:LastName", "c:c:Attributes.code", "t:t:Attributes.tier", "p:p:"}
	for _, key := range []string{"a", "m", "c", "p"} {
		all = append(all, spec{key: key, fields: fields, expiry: 1000})
	}
	return append(all, spec{key: "a", fields: slices.Delete(slices.Clone(fields), 2, 5), expiry: 1000}, spec{key: "a", fields: fields, expiry: 5})
}()

const scriptCustomers = 5

// script is calls on a domain, one after the other, most of them imports of a file in which little changes.
type script struct {
	*rig
	domain string
	rnd    *rand.Rand
	table  [scriptCustomers][8]string // what the file says
	spec   spec
	jobs   []string
	merges []string // main profiles' members
	said   []string // what the calls have answered, and what is found behind them
}

func (s *script) say(format string, args ...any) {
	s.said = append(s.said, fmt.Sprintf(format, args...))
}

// cell draws what the file says of a customer in a column.
func (s *script) cell(c, column int) string {
	any := fmt.Sprint(s.rnd.IntN(scriptCustomers))
	own := fmt.Sprint(c)
	if s.rnd.IntN(8) == 0 {
		own = any
	}
	switch column {
	case 0:
		return "a" + own
	case 1, 2:
		return []string{"m" + own + "@x.com", "n" + own + "@x.com", "m" + own + "@x.com", ""}[s.rnd.IntN(3+column/2)]
	case 3:
		return []string{"Ann", "Bob", ""}[s.rnd.IntN(3)]
	case 4:
		return []string{"Lee", "Ray", ""}[s.rnd.IntN(3)]
	case 5:
		return "c" + own
	case 6:
		return []string{"gold", "tin", ""}[s.rnd.IntN(3)]
	}
	return "p" + own
}

// file changes a few cells, if any, and returns the file.
func (s *script) file() string {
	for range []int{0, 0, 1, 1, 2, 5}[s.rnd.IntN(6)] {
		c, column := s.rnd.IntN(scriptCustomers), s.rnd.IntN(8)
		s.table[c][column] = s.cell(c, column)
	}
	var b strings.Builder
	b.WriteString("a,m,w,f,l,c,t,p\n")
	for _, row := range s.table {
		b.WriteString(strings.Join(row[:], ",") + "\n")
	}
	return b.String()
}

// anyone returns a profile that a key finds alone, or "".
func (s *script) anyone() string {
	key, value := schema.KeyAccount, fmt.Sprint("a", s.rnd.IntN(scriptCustomers))
	if s.rnd.IntN(3) == 0 {
		key, value = schema.KeyEmail, fmt.Sprint("m", s.rnd.IntN(scriptCustomers), "@x.com")
	}
	out, err := s.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &s.domain, KeyName: &key, Values: []string{value}})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(out.Items) != 1 {
		return ""
	}
	return *out.Items[0].ProfileId
}

// step makes a call.
func (s *script) step() {
	switch n := s.rnd.IntN(40); {
	case n < 22:
		if s.rnd.IntN(6) == 0 {
			s.spec = scriptSpecs[s.rnd.IntN(len(scriptSpecs))]
		}
		file := s.file()
		j := s.run(s.domain, s.spec, file)
		s.jobs = append(s.jobs, *j.JobId)
		s.say("import by %s, %d columns, for %d days, of\n%s%s, %d unchanged", s.spec.key, len(s.spec.fields), s.spec.expiry, file, outcome(j), api.Val(s.details(s.domain, *j.JobId).UnchangedRecords))
	case n < 26 && len(s.jobs) > 0:
		i := max(0, len(s.jobs)-1-s.rnd.IntN(4))
		if s.details(s.domain, s.jobs[i]).CompactedAt == nil {
			s.undone(s.domain, s.jobs[i])
			s.say("undo of import %d", i)
		}
		s.jobs = slices.Delete(s.jobs, i, i+1)
	case n < 34:
		s.call(n)
	case n < 35:
		s.clock.add(time.Duration(1+s.rnd.IntN(3)) * day)
		s.say("days go by")
	case n < 37:
		s.clock.add(3 * day)
		s.sweep()
		s.say("sweep")
	case n < 38:
		s.clock.add(31 * day)
		s.compactNow(s.incarnation(s.domain))
		s.say("compaction")
	}
}

// call makes a call about profiles.
func (s *script) call(n int) {
	id, other := s.anyone(), s.anyone()
	value := fold.Value{Attr: schema.Attr{ID: []uint16{schema.AccountNumber, schema.EmailAddress, schema.LastName}[s.rnd.IntN(3)]}, Kind: fold.Manual}
	o := order(fmt.Sprint("o", s.rnd.IntN(3)), fmt.Sprint("m", s.rnd.IntN(scriptCustomers), "@x.com"), "Zoe")
	i := s.rnd.IntN(len(s.merges) + 1)
	switch value.Attr.ID {
	case schema.AccountNumber:
		value.Text = fmt.Sprint("a", s.rnd.IntN(scriptCustomers))
	case schema.EmailAddress:
		value.Text = fmt.Sprint("n", s.rnd.IntN(scriptCustomers), "@x.com")
	default:
		value.Text = []string{"Lee", "Low"}[s.rnd.IntN(2)]
	}
	var err error
	var what string
	switch {
	case n < 28 && id != "":
		what, err = "edit", s.edit(s.domain, id, value)
	case n == 28:
		what = "put"
		_, err = s.Writer.Put(ctx, s.domain, "", o)
	case n < 31 && id != "" && other != "" && id != other:
		if what, err = "merge", s.tryMerge(s.domain, nil, id, other); err == nil {
			s.merges = append(s.merges, other)
		}
	case n < 32 && i < len(s.merges):
		what = "unmerge"
		_, err = s.Profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: &s.domain, ProfileIds: s.merges[i : i+1]})
		s.merges = slices.Delete(s.merges, i, i+1)
	case n == 32 && id != "":
		what, err = "delete", s.remove(s.domain, id)
	case n == 33:
		what = "create"
		_, err = s.Profiles.CreateProfile(ctx, &api.CreateProfileRequest{DomainName: &s.domain, AccountNumber: api.Ptr(fmt.Sprint("a", s.rnd.IntN(scriptCustomers)))})
	}
	s.say("%s, which succeeds: %t", what, err == nil)
}

// look says whom every key finds.
func (s *script) look() {
	for c := range scriptCustomers {
		for _, k := range []struct{ name, value string }{{schema.KeyAccount, "a%d"}, {schema.KeyEmail, "m%d@x.com"}, {schema.KeyEmail, "n%d@x.com"}, {"order_id", "o%d"}} {
			value := fmt.Sprintf(k.value, c)
			out, err := s.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &s.domain, KeyName: &k.name, Values: []string{value}, MaxResults: api.Ptr(int32(100))})
			if err != nil {
				s.t.Fatal(err)
			}
			var found []string
			for _, p := range out.Items {
				found = append(found, text(&p))
			}
			slices.Sort(found)
			s.say("  %s finds %q", value, found)
		}
	}
}

// Whatever calls come one after the other, an import that recognises customers by their prints decides as one does that has none and reads all of them: every call
// answers the same, and every key finds the same.
func TestPrintsDecideNothing(t *testing.T) {
	t.Parallel()
	rig := func(prints bool) *rig {
		st := &moved{Store: newPebble(t)}
		st.over.Store(!prints)
		return newRig(t, st, upload.Config{BucketBytes: 256, MemoryBytes: 1})
	}
	with, without := rig(true), rig(false)
	recognised := 0
	for seed := range seeds(t, 2) {
		all := []*script{{rig: with}, {rig: without}}
		for _, s := range all {
			s.domain, s.rnd, s.spec = fmt.Sprint("d", seed), rand.New(rand.NewPCG(seed, 23)), scriptSpecs[0]
			s.rig.domain(s.domain)
			for c := range s.table {
				for column := range s.table[c] {
					s.table[c][column] = s.cell(c, column)
				}
			}
			for range 60 {
				s.step()
				s.look()
			}
			s.everyKeyFinds(s.domain)
		}
		for i, said := range all[0].said {
			if other := all[1].said[i]; said != other {
				t.Fatalf("seed %d: with prints\n%s\nwithout\n%s", seed, strings.Join(all[0].said[:i+1], "\n"), other)
			}
		}
		recognised += with.rows(store.Fingerprint)
	}
	if recognised == 0 {
		t.Error("no prints: too few imports to tell")
	}
}
