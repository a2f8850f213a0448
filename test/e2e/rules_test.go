package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/job"
	"kith/match/merge"
	"kith/match/rule"
	"kith/profile"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/write"
	"kith/store"
	"kith/upload"
)

// matcher is what matches a domain by its rules, as a process that may die at any call of the store.
type matcher struct {
	*rig
	rec    *domain.Record
	store  *mortal
	rules  *rule.Service
	fence  uint64
	limits [2]int // of holders and of members
	chunk  int
	atOnce int // rule.Service.AtOnce
	pause  bool
	set    ruleSet
	apart  [][2]fold.ID
}

func newMatcher(r *rig, name string, holders, members int) *matcher {
	x := &matcher{rig: r, store: &mortal{Store: r.store, left: -1}, limits: [2]int{holders, members}, chunk: 2}
	x.rec, _ = r.Domains.Lookup(ctx, name)
	x.reborn()
	return x
}

// reborn is a new process.
func (x *matcher) reborn() {
	feed := x.feed(x.store)
	p := &profile.Service{Store: x.store, Domains: x.Domains, Now: x.clock.now, Feed: feed, Runs: x.Uploads}
	p.Writer = &write.Writer{Store: x.store, Feed: feed, Lookup: x.Domains.Lookup, Now: x.clock.now, Settle: p.SettleLinks, Patience: time.Millisecond}
	x.rules = &rule.Service{Store: x.store, Domains: x.Domains, Now: x.clock.now, Feed: feed, Profiles: p, Merger: &merge.Merger{Profiles: p},
		Log: slog.New(slog.NewTextHandler(x.rig, nil)), Chunk: x.chunk, SweepRest: -1, AtOnce: x.atOnce, Pause: x.pause, Holders: x.limits[0], Members: x.limits[1]}
	if x.apart != nil {
		x.rules.Apart = x.areApart
	}
	x.fence++
}

// match runs the matcher once.
func (x *matcher) match() (time.Duration, error) {
	p := job.StandingPartition(x.rec.Incarnation, rule.Name)
	place := change.Place{Partition: p, Swap: func(ctx context.Context, ops ...store.Swap) (uint64, error) { return x.store.Swap(ctx, p, ops) }}
	return x.rules.Match(ctx, x.rec.Incarnation, place, x.fence)
}

// cutOff runs the matcher until it dies at its n-th call of the store, or ends.
func (x *matcher) cutOff(n, done int) (died bool) {
	x.clock.add(time.Duration(n%3) * 400 * time.Millisecond) // so that rows of the feed are new, young or grown
	x.store.left, x.store.done = n, done
	_, err := x.match()
	x.store.left = -1
	if err != nil && !errors.Is(err, errDied) {
		x.t.Fatal(err)
	}
	if err != nil {
		x.reborn()
	}
	return err != nil
}

// settle lets time pass, has the feed settled, and matches all of it.
func (x *matcher) settle() {
	x.t.Helper()
	x.clock.add(2 * time.Minute)
	sealer := &change.Sealer{Feed: x.Profiles.Feed, Settler: &profile.Completer{Service: x.Profiles, Writes: &write.Settler{Writer: x.Writer, Domain: x.Domains.OfIncarnation}}}
	p := change.StandingPartition(x.rec.Incarnation, change.Completer)
	for {
		_, err := sealer.Run(ctx, x.rec.Incarnation, change.Place{Partition: p, Swap: func(ctx context.Context, ops ...store.Swap) (uint64, error) {
			return x.rig.store.Swap(ctx, p, ops)
		}})
		if err == nil {
			break
		}
		if !errors.Is(err, store.ErrConflict) { // the node's own completer was at work
			x.t.Fatal(err)
		}
	}
	for range 300 {
		again, err := x.match()
		if err != nil {
			x.t.Fatal(err)
		}
		if again == 0 || again > time.Second {
			return
		}
		if again > 10*time.Millisecond { // until what it has merged itself is old enough to be looked at
			x.clock.add(again)
		}
	}
	x.t.Fatal("the matcher does not come to an end")
}

func (x *matcher) turn(set *ruleSet) {
	x.t.Helper()
	in := &api.RuleBasedMatchingRequest{Enabled: api.Ptr(false)}
	if set != nil {
		x.set, in = *set, set.request()
	}
	if _, err := x.Domains.UpdateDomain(ctx, &api.UpdateDomainRequest{DomainName: &x.rec.Name, RuleBasedMatching: in}); err != nil {
		x.t.Fatal(err)
	}
	x.rec, _ = x.Domains.Lookup(ctx, x.rec.Name)
}

// matches lists the matches by pages, as text: the level and the members.
func (x *matcher) matches() (all []string, ids map[string]string) {
	x.t.Helper()
	ids = map[string]string{}
	in := &api.ListRuleBasedMatchesRequest{DomainName: &x.rec.Name, MaxResults: api.Ptr(int32(3))}
	for {
		out, err := x.rules.ListRuleBasedMatches(ctx, in)
		if err != nil {
			x.t.Fatal(err)
		}
		for _, id := range out.MatchIds {
			got, err := x.rules.Similar(ctx, x.rec, id, fold.ID{})
			if err != nil {
				x.t.Fatalf("match %s: %v", id, err)
			}
			var members []string
			for _, m := range got.Members {
				members = append(members, m.String())
			}
			text := fmt.Sprint(got.Level, " ", strings.Join(members, " "))
			all, ids[text] = append(all, text), id
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			slices.Sort(all)
			return all, ids
		}
	}
}

// agrees compares the matches with those of a look at all profiles.
func (x *matcher) agrees() {
	x.t.Helper()
	profiles := x.all(x.rec.Name, 100)
	want := x.set.found(profiles, x.limits[0], x.limits[1])
	got, _ := x.matches()
	if !slices.Equal(got, want) {
		x.t.Errorf("matches are\n%s\nand should be\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, m := range want {
		if m[0]-'0' <= byte(x.set.merging) && m[1] == ' ' {
			x.t.Errorf("%s is to be merged", m)
		}
	}
	best := map[string]string{}
	for _, m := range want {
		level, ids, _ := strings.Cut(m, " ")
		for id := range strings.FieldsSeq(ids) {
			if best[id] == "" {
				best[id] = level
			}
		}
	}
	for i := range profiles {
		id, _ := fold.ParseID(*profiles[i].ProfileId)
		got, err := x.rules.Similar(ctx, x.rec, "", id)
		if err != nil {
			x.t.Fatal(err)
		}
		if level := strings.TrimPrefix(fmt.Sprint(got.Level), "0"); level != best[id.String()] {
			x.t.Errorf("the best match of %s is of level %q, want %q", id, level, best[id.String()])
		}
	}
}

// rows returns the rows of the matcher, without the numbers of generations and series. Of matches, by who is in them, instead of their ids.
func (x *matcher) rowsNow() map[string]string {
	all, names := map[string]string{}, map[string]string{}
	for pass := range 2 {
		for row, err := range x.rig.store.Sweep(ctx, store.SweepRange{Table: store.Match, Incarnation: x.rec.Incarnation}) {
			if err != nil {
				x.t.Fatal(err)
			}
			part, key, value := row.Partition.Key[5:], string(row.Row.Key), string(row.Row.Value)
			if part[0] == 'd' { // when it changes at the earliest: a fold of everything knows less exactly
				value = value[:1] + value[9:]
			}
			switch {
			case part[0] == 'g' && pass == 0:
				names[key] = value
				all["match "+value] = ""
			case part[0] == 'p' && pass == 1:
				all["in "+part+key] = names[value]
			case part[0] != 'g' && part[0] != 'p' && part[0] != 'w' && pass == 0: // w: the notes of the last evaluation stay
				all[part+"/"+key] = value
			}
		}
	}
	return all
}

// exact checks that the rows are those that a new evaluation writes.
func (x *matcher) exact() {
	x.t.Helper()
	before := x.rowsNow()
	x.turn(nil)
	x.settle()
	if left := x.rowsNow(); len(left) > 0 {
		x.t.Fatalf("rows are left of rules that are off: %q", left)
	}
	set := x.set
	x.turn(&set)
	x.settle()
	after := x.rowsNow()
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if v, ok := before[key]; !ok || v != after[key] {
			x.t.Errorf("%q is missing, or other: %q for %q", key, v, after[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[key]; !ok {
			x.t.Errorf("%q is in excess", key)
		}
	}
}

// randomRules makes rules of what the random profiles have.
func (m *mess) randomRules() *ruleSet {
	sets := []ruleSet{
		{rules: [][]string{{"EmailAddress"}, {"FirstName", "LastName"}, {"LastName"}}},
		{rules: [][]string{{"FirstName", "LastName"}, {"Attributes.tier", "FirstName"}}},
		{rules: [][]string{{"Attributes.tier"}, {"FirstName"}, {"LastName"}, {"EmailAddress"}}},
		{rules: [][]string{{"EmailAddress", "LastName"}, {"EmailAddress"}, {"FirstName", "Attributes.tier"}}},
	}
	s := sets[m.rnd.IntN(len(sets))]
	if s.anyToAny = m.rnd.IntN(2) == 0; m.rnd.IntN(2) == 0 {
		s.emails = []string{"EmailAddress", "PersonalEmailAddress", "BusinessEmailAddress"}
	}
	if m.rnd.IntN(3) == 0 {
		s.merging = 1
	}
	return &s
}

// more makes calls that only matching by rules is about.
func (m *mess) more() {
	d := m.rec.Name
	switch m.rnd.IntN(4) {
	case 0:
		short := mergeSpec
		short.expiry = 1 + m.rnd.Int32N(3)
		m.jobs = append(m.jobs, *m.run(d, short, m.file()).JobId)
	case 1:
		m.clock.add(time.Duration(m.rnd.IntN(30)) * time.Hour)
	default:
		in := &api.CreateProfileRequest{DomainName: &d, Attributes: map[string]string{"tier": m.pick("gold", " Gold", "tin", "x")}}
		if v := m.pick("", "Ann", "ann ", "Bob"); v != "" {
			in.FirstName = &v
		}
		if v := m.pick("", "Lee", "Ray"); v != "" {
			in.LastName = &v
		}
		c := m.rnd.IntN(crowd)
		mail := func() *string {
			return api.Ptr(m.pick(fmt.Sprintf("a%d@x.com", c), fmt.Sprintf("A%d@x.com", c), "all@x.com"))
		}
		if in.EmailAddress = mail(); m.rnd.IntN(2) == 0 {
			in.PersonalEmailAddress = mail()
		}
		if m.rnd.IntN(3) == 0 {
			in.BusinessEmailAddress = mail()
		}
		m.cutOff(func() { _, _ = m.profiles.CreateProfile(ctx, in) })
	}
}

// Whatever is called, in whatever order, whatever the rules become meanwhile, and wherever the matcher dies: once it has settled, matches are
// those of a look at all profiles, and the rows are exactly those that a new evaluation writes.
func TestRulesAtRandom(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 256, MemoryBytes: 1})
		for _, seed := range randomSeeds(t) {
			m := newMess(r, fmt.Sprint("rules", seed), seed)
			x := newMatcher(r, m.rec.Name, 2+m.rnd.IntN(4), 2+m.rnd.IntN(6))
			x.atOnce = []int{0, -1, 4}[m.rnd.IntN(3)] // in memory, partition by partition, or whichever fits
			x.pause = seed%2 == 1                     // calls come between the slices in which all there is is read
			x.reborn()
			x.turn(m.randomRules())
			for range 40 {
				if m.rnd.IntN(2) == 0 {
					m.step()
				} else {
					m.more()
				}
				if m.rnd.IntN(3) == 0 {
					x.cutOff(1+m.rnd.IntN(60), []int{0, 1, 3}[m.rnd.IntN(3)])
				}
				switch m.rnd.IntN(24) {
				case 0, 1, 2:
					x.settle()
					x.agrees()
				case 3:
					x.settle() // else they are being evaluated, and stand still
					x.turn(m.randomRules())
				case 4:
					x.turn(nil)
					x.cutOff(1+m.rnd.IntN(10), []int{0, 1, 3}[m.rnd.IntN(3)])
					x.turn(m.randomRules())
				}
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			m.settle()
			x.settle()
			x.agrees()
			x.exact()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	})
}

// areApart is rule.Service.Apart.
func (x *matcher) areApart(_ context.Context, _ store.Incarnation, ids []fold.ID) (pairs [][2]fold.ID, err error) {
	for _, p := range x.apart {
		if slices.Contains(ids, p[0]) && slices.Contains(ids, p[1]) {
			pairs = append(pairs, p)
		}
	}
	return pairs, nil
}
