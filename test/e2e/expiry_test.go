package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/schema"
	"kith/store"
	"kith/upload"
)

const day = 24 * time.Hour

// life is what is expected of a customer: who has said what, and until when it counts.
type life struct {
	id      string
	hand    string    // what was set by hand last
	until   time.Time // of that, and of keys that were added by hand
	said    []source  // by imports and objects, in the order of time
	expired int       // objects that have
	faded   int       // what imports brought and has, while the customer lived on
}

type source struct {
	attr, text string
	object     string // its unique key; empty: an import
	until      time.Time
}

// years is a domain that lives through some.
type years struct {
	*rig
	t      *testing.T
	domain string
	rnd    *rand.Rand
	lives  map[string]*life // by account number, of those that are alive
	dead   []*life
	n      int
}

func (y *years) now() time.Time { return y.clock.now() }

// days is a time to live, and when it ends for what is written now, which is at the next full hour.
func (y *years) days(n ...int) (int, time.Time) {
	d := n[y.rnd.IntN(len(n))]
	return d, time.UnixMicro(fold.ExpiryOf(y.now().UnixMicro(), time.Duration(d)*day))
}

// pass lets time pass, to a moment at which nothing is about to expire, and forgets what has expired.
func (y *years) pass(d time.Duration) {
	y.clock.add(d)
	for moved := true; moved; {
		moved = false
		near := func(at time.Time) {
			if d := at.Sub(y.now()); d > -2*time.Hour && d < 2*time.Hour && !moved {
				moved = true
				y.clock.add(4 * time.Hour)
			}
		}
		for _, l := range y.lives {
			near(l.until)
			for _, s := range l.said {
				near(s.until)
			}
		}
	}
	for account, l := range y.lives {
		end := l.until
		for _, s := range l.said {
			end = later(end, s.until)
		}
		last := l.until.Equal(end) // something is known to have gone last
		l.said = slices.DeleteFunc(l.said, func(s source) bool {
			gone := !s.until.After(y.now())
			switch {
			case gone && s.object != "":
				l.expired++
			case gone && (s.until.Before(end) || last): // imports end some milliseconds apart: of those of one hour all but the last go before it
				l.faded++
			case gone:
				last = true
			}
			return gone
		})
		if !l.until.After(y.now()) {
			l.hand = ""
			if len(l.said) == 0 {
				y.dead = append(y.dead, l)
				delete(y.lives, account)
			}
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// hasNumber says whether the customer is found by the account number: objects do not say it.
func (l *life) hasNumber() bool {
	return l.hand != "" || slices.ContainsFunc(l.said, func(s source) bool { return s.object == "" })
}

// renew has what was set by hand live as long as the profile.
func (l *life) renew(until time.Time) {
	if l.hand != "" && until.After(l.until) {
		l.until = until
	}
}

// step makes a call.
func (y *years) step() {
	accounts := slices.Sorted(maps.Keys(y.lives))
	pick := func() *life { return y.lives[accounts[y.rnd.IntN(len(accounts))]] }
	text := fmt.Sprint("t", y.n)
	y.n++
	switch n := y.rnd.IntN(10); {
	case n < 2 || len(accounts) == 0:
		account := fmt.Sprint("a", y.n)
		out, err := y.Profiles.CreateProfile(ctx, &api.CreateProfileRequest{DomainName: &y.domain, AccountNumber: &account, FirstName: &text})
		if err != nil {
			y.t.Fatal(err)
		}
		_, until := y.days(90)
		y.lives[account] = &life{id: *out.ProfileId, hand: text, until: until}
	case n < 4:
		l := pick()
		if l.hand == "" { // it would say a new account number otherwise
			return
		}
		if _, err := y.Profiles.UpdateProfile(ctx, &api.UpdateProfileRequest{DomainName: &y.domain, ProfileId: &l.id, FirstName: &text}); err != nil {
			y.t.Fatal(err)
		}
		l.hand = text
		_, until := y.days(90)
		l.renew(until)
	case n < 7:
		y.importFile(text, accounts)
	default:
		y.object(pick(), text)
	}
}

// importFile imports a file about some customers that are there.
func (y *years) importFile(text string, accounts []string) {
	days, until := y.days(14, 60, 200)
	file := "id,last\n"
	for _, account := range accounts {
		if l := y.lives[account]; l.hasNumber() && y.rnd.IntN(2) == 0 {
			file += account + "," + text + "\n"
			l.said = append(l.said, source{attr: "LastName", text: text, until: until})
		}
	}
	y.run(y.domain, spec{fields: []string{"id:id:AccountNumber", "last:last:LastName"}, key: "id", expiry: int32(days)}, file)
}

// object puts an object of a customer.
func (y *years) object(l *life, text string) {
	n := y.rnd.IntN(3)
	days, until := y.days([]int{7, 40, 100}[n]) // always the same of one object, as its type says
	unique := fmt.Sprint(l.id, "-", n)
	k := index.Key{Name: "order_id", Value: unique}
	id, _ := fold.ParseID(l.id)
	o := &write.Object{Type: "order", Incarnation: 1, UniqueKey: unique, JSON: []byte(`{}`), Life: time.Duration(days) * day, Keys: []index.Key{k},
		Match: []index.Key{{Name: schema.KeyProfileID, Value: id.String()}}, Values: []fold.Value{{Attr: schema.Attr{Custom: "o"}, Text: text}}}
	if r, err := y.Writer.Put(ctx, y.domain, "", o); err != nil || r.ID != id {
		y.t.Fatal(r, err)
	}
	l.said = slices.DeleteFunc(l.said, func(s source) bool { return s.object == unique })
	l.said = append(l.said, source{attr: "o", text: text, object: unique, until: until})
	l.renew(until)
}

// check compares what is visible with what is expected.
func (y *years) check(when string) {
	y.t.Helper()
	for account, l := range y.lives {
		out, err := y.Profiles.BatchGetProfile(ctx, &api.BatchGetProfileRequest{DomainName: &y.domain, ProfileIds: []string{l.id}})
		if err != nil {
			y.t.Fatal(err)
		}
		if len(out.Profiles) != 1 {
			y.t.Fatalf("%s: %s is gone, with %+v", when, account, l)
		}
		var last, object string
		for _, s := range l.said {
			if s.attr == "LastName" {
				last = s.text
			} else {
				object = s.text
			}
		}
		p := out.Profiles[0]
		if got := []string{api.Val(p.FirstName), api.Val(p.LastName), p.Attributes["o"]}; !slices.Equal(got, []string{l.hand, last, object}) {
			y.t.Fatalf("%s: %s shows %q, want %q", when, account, got, []string{l.hand, last, object})
		}
	}
	for dead := range slices.Chunk(y.dead, 20) {
		var ids []string
		for _, l := range dead {
			ids = append(ids, l.id)
		}
		out, err := y.Profiles.BatchGetProfile(ctx, &api.BatchGetProfileRequest{DomainName: &y.domain, ProfileIds: ids})
		if err != nil || len(out.Profiles) != 0 {
			y.t.Fatalf("%s: what has expired is seen: %v %v", when, out, err)
		}
	}
}

// allHistory returns a profile's history as "ACTION type by", newest first, and the ids of its records.
func (y *years) allHistory(id string) (lines, ids []string) {
	y.t.Helper()
	in := &api.ListProfileHistoryRecordsRequest{DomainName: &y.domain, ProfileId: &id, MaxResults: api.Ptr(int32(7))}
	for {
		out, err := y.Profiles.ListProfileHistoryRecords(ctx, in)
		if err != nil {
			y.t.Fatal(err)
		}
		for _, h := range out.ProfileHistoryRecords {
			lines, ids = append(lines, fmt.Sprint(*h.ActionType, " ", *h.ObjectTypeName, " ", api.Val(h.PerformedBy))), append(ids, *h.Id)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return lines, ids
		}
	}
}

// Two years of writes by hand, imports and objects, each with its time to live: what has expired is invisible at once, swept or not, and
// everything else is as it was; the history says what expired, once, before and after the sweep; and in the end nothing is left but that.
func TestTwoYears(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		for seed := range seeds(t, 1) {
			y := &years{rig: r, t: t, domain: fmt.Sprint("d", seed), rnd: rand.New(rand.NewPCG(seed, 5)), lives: map[string]*life{}}
			in := &api.CreateDomainRequest{DomainName: &y.domain, DefaultExpirationDays: api.Ptr(int32(90))}
			if _, err := r.Domains.CreateDomain(ctx, in); err != nil {
				t.Fatal(err)
			}
			for began := y.now(); y.now().Sub(began) < 2*365*day; {
				for range 1 + y.rnd.IntN(3) {
					y.step()
				}
				y.pass(time.Duration(6+y.rnd.IntN(600)) * time.Hour)
				y.check(fmt.Sprintf("seed %d, day %d", seed, y.now().Sub(began)/day))
				if y.rnd.IntN(5) == 0 {
					r.sweep()
					y.check(fmt.Sprintf("seed %d, swept on day %d", seed, y.now().Sub(began)/day))
				}
			}
			y.pass(230 * day)
			if len(y.dead) < 10 || len(y.lives) > 0 {
				t.Fatalf("seed %d: %d profiles have expired, and %d not", seed, len(y.dead), len(y.lives))
			}
			y.expired(seed)
		}
		for range 3 { // a head may have got a new time from the completer meanwhile
			if r.rows(store.Profile) > 0 {
				r.clock.add(2 * day)
				r.sweep()
			}
		}
		for _, table := range []store.Table{store.Profile, store.Index, store.Body} {
			if n := r.rows(table); n > 0 {
				t.Errorf("%d rows of table %v are left", n, table)
			}
		}
	})
}

// expired checks the histories of profiles that have all expired, and that the sweeps remove them.
func (y *years) expired(seed uint64) {
	y.t.Helper()
	before := map[string][]string{}
	for _, sweep := range []string{"unswept", "swept", "rested"} {
		switch sweep {
		case "swept":
			y.sweep()
		case "rested":
			y.clock.add(2 * day)
			y.sweep()
		}
		for _, l := range y.dead {
			lines, ids := y.allHistory(l.id)
			var told []string // but for what imports did, which goes with their contributions
			expired, faded := 0, 0
			for i, line := range lines {
				switch {
				case !strings.HasPrefix(line, "EXPIRED"):
				case strings.HasSuffix(line, "/expiry"):
					faded++
				default:
					expired++
				}
				if !strings.HasPrefix(line, "INGESTED _profile upload-job") {
					told = append(told, ids[i])
				}
			}
			if expired != 1+l.expired {
				y.t.Fatalf("seed %d, %s: %d records say that a profile with %d objects has expired: %q", seed, sweep, expired, l.expired, lines)
			}
			if faded > l.faded { // several that were compacted expire as one
				y.t.Fatalf("seed %d, %s: %d records say that an import has expired, of %d: %q", seed, sweep, faded, l.faded, lines)
			}
			if before[l.id] == nil {
				before[l.id] = told
			}
			if was := before[l.id]; !slices.Equal(told, was) {
				y.t.Fatalf("seed %d, %s: the records are %v, and were %v", seed, sweep, lines, was)
			}
			for _, id := range ids {
				rec, err := y.Profiles.GetProfileHistoryRecord(ctx, &api.GetProfileHistoryRecordRequest{DomainName: &y.domain, ProfileId: &l.id, Id: &id})
				if err != nil || rec.Content != nil || sweep == "rested" && rec.ProfileObjectUniqueKey != nil {
					y.t.Fatalf("seed %d, %s: %s tells %q of an expired profile: %v", seed, sweep, *cmp.Or(rec.ObjectTypeName, &id), api.Val(rec.Content), err)
				}
			}
		}
	}
}

// What an import brought expires while the profile lives on: the history says so, once, before and after the sweep; of a merged profile
// the person's does.
func TestExpiredImportsAreTold(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		y := &years{rig: r, t: t, domain: "d"}
		fields := []string{"a:a:AccountNumber", "l:l:LastName"}
		short := *r.run("d", spec{fields: fields, key: "a", expiry: 2}, "a,l\n1,Short\n2,Short\n").JobId
		r.run("d", spec{fields: fields, key: "a", expiry: 20}, "a,l\n1,Long\n2,Long\n")
		one, two := *r.find("d", "_account", "1").ProfileId, *r.find("d", "_account", "2").ProfileId
		if _, err := r.Profiles.MergeProfiles(ctx, &api.MergeProfilesRequest{DomainName: api.Ptr("d"), MainProfileId: &one, ProfileIdsToBeMerged: []string{two}}); err != nil {
			t.Fatal(err)
		}
		want := "EXPIRED _profile upload-job/" + short + "/expiry"
		var before []string
		for _, swept := range []bool{false, true, true} {
			if y.clock.add(3 * day); swept {
				r.sweep()
			}
			lines, ids := y.allHistory(one)
			var told []string
			for i, line := range lines {
				if line == want {
					told = append(told, ids[i])
				}
			}
			if before == nil {
				before = told
			}
			if len(told) != 2 || !slices.Equal(told, before) { // of either profile of the person
				t.Fatalf("swept %t: the history is %q", swept, lines)
			}
			if lines, _ := y.allHistory(two); slices.Contains(lines, want) {
				t.Fatalf("swept %t: the merged profile's history is %q", swept, lines)
			}
		}
	})
}
