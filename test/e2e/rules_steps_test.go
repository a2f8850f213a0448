package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/profile/fold"
	"kith/store"
	"kith/upload"
)

// TestMatcherDies has the matcher die at each of its calls in turn, with and without that call, and with the first half of what it writes: while it evaluates all
// there is, in memory and partition by partition, and while it follows an import, edits, a merge and a deletion, and merges by itself.
func TestMatcherDies(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		alike := 6
		if strings.HasSuffix(t.Name(), "/cql") {
			alike = 2 // each takes seconds there
		}
		for _, done := range []int{0, 1, 3} {
			steps := 0
			for n := 1; ; n += 1 + n/alike { // every one of the first, then fewer: they are alike
				name := fmt.Sprintf("dies-%d-%d", done, n)
				r.domain(name)
				x := newMatcher(r, name, 3, 4)
				x.atOnce, x.chunk = []int{-1, 0}[n%2], 100
				x.reborn()
				set := ruleSet{rules: [][]string{{"EmailAddress"}, {"LastName"}, {"FirstName"}}, merging: n % 2}
				x.run(name, mergeSpec, mergeHead+"1,Ann,Lee,ann@x.com,,,,,\n2,Ann,Leigh,ann@x.com,,,,,\n3,Bo,Smith,bo@x.com,,,,,\n4,Bo,Leigh,,,,,,\n5,Cy,Day,,,,,,\n")
				x.turn(&set)
				died := x.cutOff(n, done)
				x.settle()
				x.agrees()
				x.run(name, mergeSpec, mergeHead+"3,Bob,Smythe,bo@x.com,,,,,\n6,Zoe,Day,zoe@x.com,,,,,\n7,Cy,Smythe,zoe@x.com,,,,,\n8,Al,Day,,,,,,\n9,Ed,Day,,,,,,\n")
				x.merge(name, "4", "5")
				if err := x.remove(name, x.id(name, "8")); err != nil {
					t.Fatal(err)
				}
				x.clock.add(2 * time.Second)
				died = x.cutOff(n, done) || died
				x.settle()
				x.agrees()
				x.exact()
				if t.Failed() {
					t.Fatalf("done %d, call %d", done, n)
				}
				if !died {
					break
				}
				steps++
			}
			if steps < 5 {
				t.Fatalf("only %d deaths", steps)
			}
		}
	})
}

// TestMatchesGoOn: a match keeps its id as long as it lives, the larger one's when two become one and when one falls apart, also over a new evaluation of
// all there is.
func TestMatchesGoOn(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		x := newMatcher(r, "d", 100, 100)
		x.chunk = 100
		x.reborn()
		x.turn(&ruleSet{rules: [][]string{{"EmailAddress"}}, anyToAny: true, emails: []string{"EmailAddress", "BusinessEmailAddress"}})
		add := func(account, mail, office string) {
			t.Helper()
			in := &api.CreateProfileRequest{DomainName: &x.rec.Name, AccountNumber: &account, EmailAddress: &mail}
			if office != "" {
				in.BusinessEmailAddress = &office
			}
			if _, err := r.Profiles.CreateProfile(ctx, in); err != nil {
				t.Fatal(err)
			}
		}
		of := func(account string) string {
			t.Helper()
			id, _ := fold.ParseID(x.id("d", account))
			got, err := x.rules.Similar(ctx, x.rec, "", id)
			if err != nil {
				t.Fatal(err)
			}
			return got.MatchID
		}
		for i, mail := range []string{"a", "a", "a", "b", "b"} {
			add(fmt.Sprint(i+1), mail+"@x.com", "")
		}
		x.settle()
		a, b := of("1"), of("4")
		if a == "" || b == "" || a == b || of("3") != a || of("5") != b {
			t.Fatalf("matches %s and %s", a, b)
		}
		add("6", "b@x.com", "a@x.com") // connects them
		x.settle()
		if of("1") != a || of("4") != a || of("6") != a {
			t.Errorf("what two matches became is called %s, want %s", of("1"), a)
		}
		x.exactly("1 1 2 3 4 5 6")
		x.again()
		if of("1") != a {
			t.Errorf("after all there is was evaluated again, the match is %s, want %s", of("1"), a)
		}
		if err := x.remove("d", x.id("d", "6")); err != nil {
			t.Fatal(err)
		}
		x.settle()
		x.exactly("1 1 2 3", "1 4 5")
		if of("1") != a || of("4") == a || of("4") == b {
			t.Errorf("matches %s and %s, want %s and a new one", of("1"), of("4"), a)
		}
		x.turn(&ruleSet{rules: [][]string{{"LastName"}, {"EmailAddress"}}})
		x.settle()
		x.exactly("2 1 2 3", "2 4 5")
		x.exact()
	})
}

// exactly compares the matches, whose members are told by their account numbers.
func (x *matcher) exactly(want ...string) {
	x.t.Helper()
	accounts := map[string]string{}
	profiles := x.all(x.rec.Name, 100)
	for i := range profiles {
		accounts[*profiles[i].ProfileId] = api.Val(profiles[i].AccountNumber)
	}
	var got []string
	matches, _ := x.matches()
	for _, m := range matches {
		words := strings.Fields(m)
		for i, id := range words[1:] {
			words[i+1] = accounts[id]
		}
		slices.Sort(words[1:])
		got = append(got, strings.Join(words, " "))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		x.t.Errorf("matches are %q, want %q", got, want)
	}
}

// again has all there is evaluated again, as after a feed that does not reach back.
func (x *matcher) again() {
	x.t.Helper()
	var file strings.Builder
	file.WriteString(mergeHead)
	for n := range 9 * x.chunk {
		fmt.Fprintf(&file, "again-%d,,,,,,,,\n", n)
	}
	x.run(x.rec.Name, mergeSpec, file.String())
	x.clock.add(2 * time.Second)
	if _, err := x.match(); err != nil {
		x.t.Fatal(err)
	}
	if s := x.status(); s != api.RuleBasedMatchingStatusActive {
		x.t.Errorf("rules that are evaluated again are %s", s)
	}
	x.settle()
}

func (x *matcher) status() api.RuleBasedMatchingStatus {
	x.t.Helper()
	s, err := x.rules.Status(ctx, x.rec)
	if err != nil {
		x.t.Fatal(err)
	}
	return s
}

// TestRulesStandStill walks through the states of rules: PENDING while they wait, IN_PROGRESS while all there is is evaluated, when they can't be changed but
// can be turned off, ACTIVE, when they can't be changed for a while if the operator says so.
func TestRulesStandStill(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		x := newMatcher(r, "d", 100, 100)
		x.run("d", mergeSpec, mergeHead+"1,Ann,Lee,ann@x.com,,,,,\n2,Ann,Lee,ann@x.com,,,,,\n")
		change := func(set ruleSet, more func(*api.RuleBasedMatchingRequest)) error {
			in := set.request()
			if more != nil {
				more(in)
			}
			_, err := r.Domains.UpdateDomain(ctx, &api.UpdateDomainRequest{DomainName: &x.rec.Name, RuleBasedMatching: in})
			x.rec, _ = r.Domains.Lookup(ctx, "d")
			return err
		}
		refused := func(err error, text string) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%v, want it refused: %s", err, text)
			}
		}
		is := func(want api.RuleBasedMatchingStatus) {
			t.Helper()
			if got := x.status(); got != want {
				t.Errorf("the rules are %s, want %s", got, want)
			}
		}
		begun := func() { // the matcher has begun and no more
			t.Helper()
			for n := 1; x.status() != api.RuleBasedMatchingStatusInProgress; n++ {
				if n > 100 {
					t.Fatal("the rules are never IN_PROGRESS")
				}
				x.cutOff(n, 1)
			}
		}
		mails, names := ruleSet{rules: [][]string{{"EmailAddress"}}}, ruleSet{rules: [][]string{{"FirstName"}}}

		x.turn(&names)
		is(api.RuleBasedMatchingStatusPending)
		x.turn(&mails) // still editable
		is(api.RuleBasedMatchingStatusPending)
		begun()
		is(api.RuleBasedMatchingStatusInProgress)
		refused(change(names, nil), "IN_PROGRESS")
		if err := change(mails, nil); err != nil {
			t.Errorf("the same rules again: %v", err)
		}
		is(api.RuleBasedMatchingStatusInProgress)
		x.turn(nil) // the way out
		x.settle()
		x.turn(&mails)
		begun()
		x.settle()
		is(api.RuleBasedMatchingStatusActive)
		x.exactly("1 1 2")

		export := &api.ExportingConfig{}
		if err := change(mails, func(rb *api.RuleBasedMatchingRequest) { rb.ExportingConfig = export }); err != nil {
			t.Fatal(err)
		}
		is(api.RuleBasedMatchingStatusActive) // nothing to evaluate

		x.rules.Config.StartAfter, x.rules.Config.ChangeAfter = time.Hour, 24*time.Hour
		r.Rules.Config = x.rules.Config
		x.turn(nil)
		x.settle()
		x.turn(&mails)
		x.clock.add(59 * time.Minute)
		if again, err := x.match(); err != nil || again < time.Second || again > time.Minute {
			t.Errorf("rules that wait are looked at again in %s: %v", again, err)
		}
		is(api.RuleBasedMatchingStatusPending)
		x.settle()
		x.settle()
		is(api.RuleBasedMatchingStatusActive)
		x.exactly("1 1 2")
		refused(change(names, nil), "may be changed")
		x.clock.add(25 * time.Hour)
		if err := change(names, nil); err != nil {
			t.Errorf("a day later: %v", err)
		}
		r.Rules.Config.ChangeAfter = 0
	})
}

// TestRulesOfNewDomains: a domain that is created with rules says IN_PROGRESS until they are in use, and they may be changed until they are taken up.
func TestRulesOfNewDomains(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		set := ruleSet{rules: [][]string{{"EmailAddress"}}}
		out, err := r.Domains.CreateDomain(ctx, &api.CreateDomainRequest{DomainName: api.Ptr("new"), DefaultExpirationDays: api.Ptr(int32(1)), RuleBasedMatching: set.request()})
		if err != nil || *out.RuleBasedMatching.Status != api.RuleBasedMatchingStatusInProgress {
			t.Fatalf("%+v, %v", out.RuleBasedMatching, err)
		}
		x := newMatcher(r, "new", 10, 10)
		x.set = set
		x.settle()
		if got, err := r.Domains.GetDomain(ctx, &api.GetDomainRequest{DomainName: api.Ptr("new")}); err != nil || *got.RuleBasedMatching.Status != api.RuleBasedMatchingStatusActive {
			t.Errorf("%+v, %v", got.RuleBasedMatching, err)
		}
		x.exactly()
	})
}

// TestCommonValues: more profiles than may share a tuple are in no match, whichever way they come, and are told of; one match of many that hang together
// by rarer values neither. When it is few again they match.
func TestCommonValues(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		for _, atOnce := range []int{0, -1} {
			name := fmt.Sprint("common", atOnce)
			r.domain(name)
			if _, err := r.Domains.UpdateDomain(ctx, &api.UpdateDomainRequest{DomainName: &name, DeadLetterQueueUrl: api.Ptr("https://sqs.eu-central-1.amazonaws.com/1/q")}); err != nil {
				t.Fatal(err)
			}
			x := newMatcher(r, name, 3, 3)
			x.atOnce, x.chunk = atOnce, 100
			x.reborn()
			x.rules.Letters = r.Letters
			head := mergeHead
			x.run(name, mergeSpec, head+"1,Ann,Lee,a@x.com,,,,,\n2,Ann,Lee,a@x.com,,,,,\n3,Ann,Day,a@x.com,,,,,\n4,Ann,Day,a@x.com,,,,,\n")
			x.turn(&ruleSet{rules: [][]string{{"EmailAddress"}, {"FirstName", "LastName"}}})
			x.settle()
			x.exactly("2 1 2", "2 3 4")
			x.letters(1)
			if err := x.remove(name, x.id(name, "4")); err != nil {
				t.Fatal(err)
			}
			x.settle()
			x.exactly("1 1 2 3")
			x.run(name, mergeSpec, head+"5,Bo,Ray,a@x.com,,,,,\n")
			x.settle()
			x.exactly("2 1 2")
			x.letters(1) // the same one
			x.run(name, mergeSpec, head+"6,Ann,Lee,,,,,,\n7,Ann,Lee,b@x.com,,,,,\n")
			x.settle()
			x.exactly()
			x.letters(2)
			x.agrees()
			x.exact()
		}
		if log := r.logText(); !strings.Contains(log, "more profiles share the values") || strings.Contains(log, "a@x.com") || strings.Contains(log, "Ann") {
			t.Errorf("the log says\n%s", log)
		}
	})
}

// letters counts the dead letters of the rules.
func (x *matcher) letters(want int) {
	x.t.Helper()
	out, err := x.Letters.ListDeadLetters(ctx, &api.ListDeadLettersRequest{DomainName: &x.rec.Name})
	if err != nil {
		x.t.Fatal(err)
	}
	for _, l := range out.Items {
		if *l.ObjectTypeName != "_ruleBasedMatching" || strings.Contains(*l.Object+*l.Reason, "a@x.com") {
			x.t.Errorf("a letter says %s %s %s", *l.ObjectTypeName, *l.Object, *l.Reason)
		}
	}
	if len(out.Items) != want {
		x.t.Errorf("%d dead letters, want %d", len(out.Items), want)
	}
}

// TestTooManyForAMatch: profiles that hang together in a chain of many are in no match, and are again when the chain breaks.
func TestTooManyForAMatch(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		x := newMatcher(r, "d", 3, 4)
		x.turn(&ruleSet{rules: [][]string{{"EmailAddress"}}, anyToAny: true, emails: []string{"EmailAddress", "BusinessEmailAddress"}})
		for n := range 9 {
			in := &api.CreateProfileRequest{DomainName: &x.rec.Name, AccountNumber: api.Ptr(fmt.Sprint(n)), EmailAddress: api.Ptr(fmt.Sprintf("%d@x.com", n)), BusinessEmailAddress: api.Ptr(fmt.Sprintf("%d@x.com", n+1))}
			if _, err := r.Profiles.CreateProfile(ctx, in); err != nil {
				t.Fatal(err)
			}
			x.settle()
			x.agrees()
		}
		x.exactly()
		if !strings.Contains(r.logText(), "too many for a match") {
			t.Error("nobody is told")
		}
		if err := x.remove("d", x.id("d", "4")); err != nil {
			t.Fatal(err)
		}
		x.settle()
		x.exactly("1 0 1 2 3", "1 5 6 7 8")
		x.exact()
	})
}

// TestApart: who is said not to be the same is in no match together; the others stay together as far as they have something in common.
func TestApart(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		x := newMatcher(r, "d", 10, 10)
		x.apart, x.chunk = [][2]fold.ID{}, 100
		x.reborn()
		x.run("d", mergeSpec, mergeHead+"1,Ann,Lee,a@x.com,,,,,\n2,Ann,Lee,a@x.com,,,,,\n3,Ann,Day,a@x.com,,,,,\n4,Bo,Ray,b@x.com,,,,,\n5,Bo,Roy,b@x.com,,,,,\n")
		set := ruleSet{rules: [][]string{{"EmailAddress"}}}
		x.turn(&set)
		x.settle()
		x.exactly("1 1 2 3", "1 4 5")
		id := func(account string) fold.ID {
			id, _ := fold.ParseID(x.id("d", account))
			return id
		}
		say := func(a, b string) {
			t.Helper()
			if err := x.rules.Reconsider(ctx, x.rec.Incarnation, id(a), id(b)); err != nil {
				t.Fatal(err)
			}
			x.apart = append(x.apart, [2]fold.ID{id(a), id(b)})
			x.settle()
		}
		say("1", "2")
		say("5", "4")
		x.exactly("1 1 3")
		x.again()
		x.exactly("1 1 3")
		set.merging = 1
		x.turn(&set)
		x.settle()
		x.exactly()
		if got := x.accounts("d"); got != "1 2 4 5" {
			t.Errorf("profiles %s are left", got)
		}
		x.apart = [][2]fold.ID{}
		for _, account := range []string{"1", "2", "4", "5"} {
			if err := x.rules.Reconsider(ctx, x.rec.Incarnation, id(account)); err != nil {
				t.Fatal(err)
			}
		}
		x.settle()
		if got := x.accounts("d"); got != "1 4" {
			t.Errorf("profiles %s are left", got)
		}
	})
}

// accounts lists the account numbers of the profiles that there are, but those of again.
func (x *matcher) accounts(name string) string {
	var all []string
	profiles := x.all(name, 100)
	for i := range profiles {
		if a := api.Val(profiles[i].AccountNumber); !strings.HasPrefix(a, "again-") {
			all = append(all, a)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// TestMergesThatCantBe: what can't be merged because the person would be too large stays a match.
func TestMergesThatCantBe(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		x := newMatcher(r, "d", 0, 0)
		x.chunk = 1000
		x.reborn()
		r.run("d", mergeSpec, groupFile(2, 300, "a@x.com"))
		set := ruleSet{rules: [][]string{{"EmailAddress"}, {"Attributes.tier"}}, merging: 1}
		x.turn(&set)
		x.settle()
		if left := x.accounts("d"); len(strings.Fields(left)) != 2 {
			t.Fatalf("profiles %s are left", left)
		}
		set.merging = 2
		x.turn(&set)
		x.settle()
		if left := x.accounts("d"); len(strings.Fields(left)) != 2 {
			t.Fatalf("profiles %s are left", left)
		}
		x.exactly("2 " + strings.Join(strings.Fields(x.accounts("d")), " "))
	})
}

// groupFile is customers in so many groups, each of which shares an e-mail address; all share a tier.
func groupFile(groups, of int, mail string) string {
	var b strings.Builder
	b.WriteString(mergeHead)
	for n := range groups * of {
		fmt.Fprintf(&b, "%04d,,,%d%s,,,,gold,\n", n, n%groups, mail)
	}
	return b.String()
}

// TestRulesExport: matches are written when the rules are in use, and when they have changed, once an hour at most; a place that takes nothing keeps nobody
// from matching.
func TestRulesExport(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.Domains.CanExport = nil
		r.domain("d")
		x := newMatcher(r, "d", 10, 10)
		files, full := map[string]string{}, false
		x.rules.Export = func(_ context.Context, rec *domain.Record, file string, in io.Reader) error {
			b, err := io.ReadAll(in)
			if files[file] = string(b); full {
				err = errors.New("the disk is full")
			}
			return err
		}
		x.run("d", mergeSpec, mergeHead+"1,Ann,Lee,a@x.com,,,,,\n2,Ann,Lee,a@x.com,,,,,\n")
		in := ruleSet{rules: [][]string{{"LastName"}}}.request()
		in.ExportingConfig = &api.ExportingConfig{S3Exporting: &api.S3ExportingConfig{S3BucketName: api.Ptr("bucket")}}
		if _, err := r.Domains.UpdateDomain(ctx, &api.UpdateDomainRequest{DomainName: &x.rec.Name, RuleBasedMatching: in}); err != nil {
			t.Fatal(err)
		}
		x.rec, _ = r.Domains.Lookup(ctx, "d")
		x.settle()
		rows := func() (n int) {
			t.Helper()
			matches, ids := x.matches()
			text := files["matches-00000.csv"]
			if len(files) != 1 || !strings.HasPrefix(text, "MatchId,ProfileId,RuleLevel\n") {
				t.Errorf("files %q", files)
			}
			for _, m := range matches {
				words := strings.Fields(m)
				for _, id := range words[1:] {
					if !strings.Contains(text, ids[m]+","+id+","+words[0]+"\n") {
						return -1 // not these
					}
				}
			}
			return strings.Count(text, "\n") - 1
		}
		if n := rows(); n != 2 {
			t.Errorf("%d rows: %q", n, files)
		}
		x.run("d", mergeSpec, mergeHead+"3,Bo,Lee,,,,,,\n")
		x.settle()
		if n := rows(); n != -1 {
			t.Errorf("%d rows, within an hour: %q", n, files)
		}
		full = true
		x.clock.add(time.Hour)
		x.settle()
		if log := r.logText(); !strings.Contains(log, "could not be exported") {
			t.Error("nobody is told")
		}
		full = false
		x.clock.add(time.Hour)
		x.settle()
		if n := rows(); n != 3 {
			t.Errorf("%d rows: %q", n, files)
		}
		clear(files)
		x.clock.add(2 * time.Hour)
		x.settle()
		if len(files) != 0 {
			t.Errorf("what has not changed is written again: %q", files)
		}
	})
}
