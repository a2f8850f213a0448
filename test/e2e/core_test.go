package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/deadletter"
	"kith/fault"
	"kith/profile"
	"kith/profile/write"
	"kith/store"
	"kith/store/faulty"
	"kith/upload"
)

// coreWorld makes the same random calls to the server and to the model of the core.
type coreWorld struct {
	*rig
	rnd      *rand.Rand
	faults   *faulty.Store // of API calls
	profiles *profile.Service
	calls    []func(c *core, at int) // that have happened
	story    []string
	jobs     map[string]string // ids of imports by their names
	undone   map[string]bool
	rows     map[int]map[string]string // that were imported last, by account
	universe []string
	ids      map[int]string // of profiles that took part in merges, by their numbers in the model
	merges   []knownMerge
	merging  bool   // most calls are merges, what takes them back, and objects
	power    *power // nil: it can't fail
}

const coreDomain = "core"

func newCoreWorld(t *testing.T, st store.Store, seed uint64) *coreWorld {
	w := &coreWorld{rig: newRig(t, st, upload.Config{}), rnd: rand.New(rand.NewPCG(seed, 4)), jobs: map[string]string{}, undone: map[string]bool{}, rows: map[int]map[string]string{}, ids: map[int]string{}, merging: seed%2 == 1}
	w.domain(coreDomain)
	for i := range crowd {
		w.universe = append(w.universe, fmt.Sprintf("_account=%d", i), fmt.Sprintf("_email=e%d@x.com", i), fmt.Sprintf("_phone=555000100%d", i))
		if i < 4 {
			w.universe = append(w.universe, fmt.Sprintf("maker_id=m%d", i), fmt.Sprintf("joiner_id=j%d", i))
		}
	}
	w.coreTypes(coreDomain)
	w.connect()
	return w
}

// coreTypes puts the types "maker", whose objects make profiles, and "joiner", whose objects find them.
func (r *rig) coreTypes(domain string) {
	r.t.Helper()
	for name, id := range map[string][]string{"maker": {"UNIQUE", "PROFILE"}, "joiner": {"UNIQUE"}} {
		ids := func(of ...string) (all []api.StandardIdentifier) {
			for _, s := range of {
				all = append(all, api.StandardIdentifier(s))
			}
			return all
		}
		field := func(source, target, ct string) api.ObjectTypeField {
			f := api.ObjectTypeField{Source: api.Ptr("_source." + source), ContentType: api.Ptr(api.FieldContentType(ct))}
			if target != "" {
				f.Target = api.Ptr("_profile." + target)
			}
			return f
		}
		_, err := r.Types.PutProfileObjectType(ctx, &api.PutProfileObjectTypeRequest{
			DomainName: &domain, ObjectTypeName: &name, Description: &name, AllowProfileCreation: api.Ptr(name == "maker"),
			Fields: map[string]api.ObjectTypeField{
				"id": field("id", "", "STRING"), "mail": field("EmailAddress", "EmailAddress", "EMAIL_ADDRESS"),
				"phone": field("PhoneNumber", "PhoneNumber", "PHONE_NUMBER"), "first": field("FirstName", "FirstName", "NAME"),
			},
			Keys: map[string][]api.ObjectTypeKey{
				name + "_id": {{FieldNames: []string{"id"}, StandardIdentifiers: ids(id...)}},
				"_email":     {{FieldNames: []string{"mail"}, StandardIdentifiers: ids("PROFILE")}},
				"_phone":     {{FieldNames: []string{"phone"}, StandardIdentifiers: ids("PROFILE", "SECONDARY")}},
			},
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// connect gives API calls a store that may fail.
func (w *coreWorld) connect() {
	w.faults = &faulty.Store{Store: w.store}
	feed := w.feed(w.faults)
	w.profiles = &profile.Service{Store: w.faults, Domains: w.Domains, Now: w.clock.now, Feed: feed, Types: w.Types, Runs: w.Uploads,
		Letters: &deadletter.Service{Store: w.faults, Domains: w.Domains, Now: w.clock.now, Log: w.Config.Log}}
	w.profiles.Writer = &write.Writer{Store: w.faults, Feed: feed, Lookup: w.Domains.Lookup, Now: w.clock.now, Settle: w.profiles.SettleLinks, Patience: time.Millisecond}
}

// model plays all calls that have happened.
func (w *coreWorld) model(more ...func(c *core, at int)) *core {
	c := &core{created: map[string]int{}, updated: map[string]int{}, failed: map[string]int{}}
	for i, call := range append(slices.Clip(w.calls), more...) {
		call(c, i+1)
	}
	return c
}

// found returns the profiles that the server finds by a key.
func (w *coreWorld) found(key string) []api.Profile {
	w.t.Helper()
	name, value, _ := strings.Cut(key, "=")
	out, err := w.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: api.Ptr(coreDomain), KeyName: &name, Values: []string{value}, MaxResults: api.Ptr(int32(100))})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Items
}

// server is core.whole of the server.
func (w *coreWorld) server() string {
	w.t.Helper()
	var b strings.Builder
	for _, key := range w.universe {
		var found []string
		for _, p := range w.found(key) {
			found = append(found, strings.Join([]string{api.Val(p.AccountNumber), api.Val(p.EmailAddress), api.Val(p.PhoneNumber), api.Val(p.FirstName)}, "|"))
		}
		slices.Sort(found)
		fmt.Fprintf(&b, "%s: %s\n", key, strings.Join(found, "  "))
	}
	for _, n := range w.known() {
		fmt.Fprintf(&b, "profile %d: %s\n", n, w.byID(w.ids[n]))
	}
	letters, err := w.Letters.ListDeadLetters(ctx, &api.ListDeadLettersRequest{DomainName: api.Ptr(coreDomain), MaxResults: api.Ptr(int32(500))})
	if err != nil {
		w.t.Fatal(err)
	}
	fmt.Fprintf(&b, "letters: %d\n", len(letters.Items))
	return b.String()
}

// call makes a call that may be cut off anywhere, and finds out whether it has happened: both or neither.
func (w *coreWorld) call(what string, do func() error, apply func(c *core, at int)) {
	w.t.Helper()
	cut := w.rnd.IntN(3) == 0
	dies := cut && w.power != nil && w.rnd.IntN(3) > 0
	if dies {
		w.power.failAt(1 + w.rnd.IntN(25))
	} else if cut {
		var calls atomic.Int64
		n := int64(1 + w.rnd.IntN(25))
		hook := func(faulty.Op, store.Partition) error {
			if calls.Add(1) >= n {
				return errDied
			}
			return nil
		}
		if w.rnd.IntN(2) == 0 {
			w.faults.Before(hook)
		} else {
			w.faults.After(hook)
		}
	}
	err := do()
	w.faults.Before(nil)
	w.faults.After(nil)
	if dies && w.revive() {
		err = errDied
	}
	if cut { // what it may have left undone is the completer's
		w.settle()
	}
	if err == nil {
		w.calls = append(w.calls, apply)
		w.note(what)
		return
	}
	if !cut || errors.Is(err, fault.BadRequest) || errors.Is(err, fault.NotFound) {
		w.fail(what + " failed: " + err.Error())
	}
	got, with, without := w.server(), w.model(apply).whole(w.universe, w.known()), w.model().whole(w.universe, w.known())
	switch {
	case with == without && got == with: // nobody can tell: it is made again, as clients do
		if err := do(); err != nil && !errors.Is(err, fault.BadRequest) && !errors.Is(err, fault.NotFound) {
			w.fail(what + " failed when it was made again: " + err.Error())
		}
		w.calls = append(w.calls, apply)
		w.note(what + " (cut off, and made again)")
	case got == with:
		w.calls = append(w.calls, apply)
		w.note(what + " (cut off, but it has happened)")
	case got == without:
		w.note(what + " (cut off, it has not happened)")
	default:
		w.note(what + " (cut off)")
		w.differ(with, got)
	}
}

func (w *coreWorld) settle() {
	m := &mess{rig: w.rig}
	var err error
	if m.rec, err = w.Domains.Lookup(ctx, coreDomain); err != nil {
		w.fail("the domain is lost: " + err.Error())
	}
	m.settle()
}

func (w *coreWorld) note(what string) { w.story = append(w.story, what) }

func (w *coreWorld) fail(text string) {
	w.t.Helper()
	w.t.Fatalf("%s\n%s\n%s", text, strings.Join(w.story, "\n"), w.logText())
}

// differ tells the lines in which model and server differ.
func (w *coreWorld) differ(want, got string) {
	w.t.Helper()
	var b strings.Builder
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range wants {
		if wants[i] != gots[i] {
			fmt.Fprintf(&b, "model  %s\nserver %s\n", wants[i], gots[i])
		}
	}
	w.fail("model and server differ:\n" + b.String())
}

func (w *coreWorld) pick(of ...string) string { return of[w.rnd.IntN(len(of))] }

// someValues are values of some attributes.
func (w *coreWorld) someValues(attrs ...string) map[string]string {
	n := w.rnd.IntN(crowd)
	all := map[string]string{"AccountNumber": fmt.Sprint(n), "EmailAddress": fmt.Sprintf("e%d@x.com", w.rnd.IntN(crowd)), "PhoneNumber": fmt.Sprintf("555000100%d", w.rnd.IntN(crowd)), "FirstName": w.pick("Ann", "Bob", "Zoe")}
	values := map[string]string{}
	for _, attr := range attrs {
		if w.rnd.IntN(3) > 0 {
			values[attr] = all[attr]
		}
	}
	return values
}

// anyone returns a key that leads to one person, with its id; "" if the one that was drawn leads to none or several.
func (w *coreWorld) anyone() (key, id string) {
	key = w.universe[w.rnd.IntN(len(w.universe))]
	if found := w.found(key); len(found) == 1 {
		return key, *found[0].ProfileId
	}
	return "", ""
}

func object(id string, values map[string]string) string {
	parts := []string{fmt.Sprintf(`"id":%q`, id)}
	for _, attr := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, fmt.Sprintf("%q:%q", attr, values[attr]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func optional(values map[string]string, attr string) *string {
	if v, ok := values[attr]; ok {
		return &v
	}
	return nil
}

// step makes one call.
func (w *coreWorld) step() {
	d := api.Ptr(coreDomain)
	n := w.rnd.IntN(28)
	if w.merging {
		n = []int{0, 0, 0, 0, 0, 12, 12, 12, 16, 16, 16, 16, 24, 24, 24, n}[w.rnd.IntN(16)]
	}
	switch {
	case n >= 24:
		w.unmergeOne()
	case n >= 20:
		w.stepOfOne(n)
	case n < 8:
		kind := w.pick("maker", "maker", "joiner")
		o := corePut{kind, kind[:1] + fmt.Sprint(w.rnd.IntN(4)), w.someValues("EmailAddress", "PhoneNumber", "FirstName")}
		if kind == "joiner" && o.values["EmailAddress"]+o.values["PhoneNumber"] == "" {
			return // it is refused, for it has no key that finds a profile
		}
		w.call(fmt.Sprint("put ", o), func() error {
			_, err := w.profiles.PutProfileObject(ctx, &api.PutProfileObjectRequest{DomainName: d, ObjectTypeName: &kind, Object: api.Ptr(object(o.id, o.values))})
			return err
		}, func(c *core, at int) { c.put(at, o) })
	case n < 11:
		w.importSome()
	case n < 12:
		w.undoOne()
	case n < 14:
		values := w.someValues("EmailAddress", "PhoneNumber", "FirstName")
		w.call(fmt.Sprint("create ", values), func() error {
			_, err := w.profiles.CreateProfile(ctx, &api.CreateProfileRequest{DomainName: d, EmailAddress: optional(values, "EmailAddress"), PhoneNumber: optional(values, "PhoneNumber"), FirstName: optional(values, "FirstName")})
			return err
		}, func(c *core, at int) { c.make().byHand(at, values) })
	case n < 16:
		key, id := w.anyone()
		if id == "" {
			return
		}
		values := w.someValues("EmailAddress", "FirstName")
		if w.rnd.IntN(4) == 0 {
			values["FirstName"] = ""
		}
		if len(values) == 0 {
			return
		}
		w.call(fmt.Sprint("update ", key, " ", values), func() error {
			_, err := w.profiles.UpdateProfile(ctx, &api.UpdateProfileRequest{DomainName: d, ProfileId: &id, EmailAddress: optional(values, "EmailAddress"), FirstName: optional(values, "FirstName")})
			return err
		}, func(c *core, at int) { c.find(key)[0].byHand(at, values) })
	case n < 18:
		w.mergeSome()
	case n < 19:
		key, id := w.anyone()
		if id == "" {
			return
		}
		w.call("delete "+key, func() error {
			_, err := w.profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: d, ProfileId: &id})
			return err
		}, func(c *core, _ int) { c.find(key)[0].dead = true })
	default:
		w.restart()
		w.connect()
		w.note("restart")
	}
}

// stepOfOne makes one of the calls about a single object or key.
func (w *coreWorld) stepOfOne(n int) {
	key, id := w.anyone()
	if id == "" {
		return
	}
	d, k := api.Ptr(coreDomain), "_phone="+fmt.Sprintf("555000100%d", w.rnd.IntN(crowd))
	_, value, _ := strings.Cut(k, "=")
	switch n {
	case 20, 21:
		w.deleteObject(key, id)
	case 22:
		w.call("add "+k+" to "+key, func() error {
			_, err := w.profiles.AddProfileKey(ctx, &api.AddProfileKeyRequest{DomainName: d, ProfileId: &id, KeyName: api.Ptr("_phone"), Values: []string{value}})
			return err
		}, func(c *core, _ int) { p := c.find(key)[0]; p.added[k], p.made = true, true })
	default:
		if p := w.model().find(key)[0]; !p.added[k] {
			return
		}
		w.call("take "+k+" from "+key, func() error {
			_, err := w.profiles.DeleteProfileKey(ctx, &api.DeleteProfileKeyRequest{DomainName: d, ProfileId: &id, KeyName: api.Ptr("_phone"), Values: []string{value}})
			return err
		}, func(c *core, _ int) { delete(c.find(key)[0].added, k) })
	}
}

// deleteObject deletes one of the objects, if it is a person's.
func (w *coreWorld) deleteObject(key, id string) {
	d, kind := api.Ptr(coreDomain), w.pick("maker", "joiner")
	o := corePut{objectType: kind, id: kind[:1] + fmt.Sprint(w.rnd.IntN(4))}
	has, unique := false, ""
	w.model().find(key)[0].walk(func(of *coreProfile) { has = has || of.objects[o.object()] != nil })
	list, err := w.Profiles.ListProfileObjects(ctx, &api.ListProfileObjectsRequest{DomainName: d, ProfileId: &id, ObjectTypeName: &kind})
	if err != nil {
		w.fail("list objects: " + err.Error())
	}
	for _, item := range list.Items {
		if strings.Contains(*item.Object, `"id":"`+o.id+`"`) {
			unique = *item.ProfileObjectUniqueKey
		}
	}
	if has != (unique != "") {
		w.fail(fmt.Sprintf("the model says %v of object %s at %s, the server %q", has, o.object(), key, unique))
	}
	if !has {
		return
	}
	w.call(fmt.Sprint("delete object ", o.object(), " of ", key), func() error {
		_, err := w.profiles.DeleteProfileObject(ctx, &api.DeleteProfileObjectRequest{DomainName: d, ProfileId: &id, ObjectTypeName: &kind, ProfileObjectUniqueKey: &unique})
		return err
	}, func(c *core, _ int) { c.find(key)[0].walk(func(of *coreProfile) { of.forget(o.object()) }) })
}

// importSome imports rows of different accounts.
func (w *coreWorld) importSome() {
	name := "import " + strconv.Itoa(len(w.jobs)+1)
	var rows []map[string]string
	file := "AccountNumber,EmailAddress,PhoneNumber,FirstName\n"
	for account := range crowd {
		if w.rnd.IntN(3) == 0 {
			row := w.rows[account]
			if row == nil || w.rnd.IntN(2) == 0 { // else it is imported again as it was
				row = w.someValues("EmailAddress", "PhoneNumber", "FirstName")
				row["AccountNumber"] = fmt.Sprint(account)
				w.rows[account] = row
			}
			rows = append(rows, row)
			file += strings.Join([]string{row["AccountNumber"], row["EmailAddress"], row["PhoneNumber"], row["FirstName"]}, ",") + "\n"
		}
	}
	if len(rows) == 0 {
		return
	}
	sp := spec{fields: []string{"a:AccountNumber:AccountNumber", "e:EmailAddress:EmailAddress:EMAIL_ADDRESS", "p:PhoneNumber:PhoneNumber:PHONE_NUMBER", "f:FirstName:FirstName:NAME"}, key: "a", expiry: 1000}
	id := w.uploaded(coreDomain, sp, strings.NewReader(file))
	dies := w.power != nil && w.rnd.IntN(2) == 0
	if dies {
		w.power.failAt(1 + w.rnd.IntN(150))
	}
	if err := w.startJob(coreDomain, id); err != nil && !dies {
		w.fail(err.Error())
	}
	if dies {
		w.dieImporting(id)
		name += " with a power failure"
	} else if w.rnd.IntN(3) == 0 {
		w.restart()
		w.connect()
		name += " with a restart"
	}
	job := w.wait(coreDomain, id)
	w.jobs[name] = *job.JobId
	w.calls = append(w.calls, func(c *core, at int) { c.rows(at, name, rows) })
	w.note(fmt.Sprint(name, " ", rows))
	c := w.model()
	if got, want := fmt.Sprint(*job.ResultsSummary.CreatedRecords, *job.ResultsSummary.UpdatedRecords, *job.ResultsSummary.FailedRecords), fmt.Sprint(c.created[name], c.updated[name], c.failed[name]); got != want {
		w.fail(name + " counts " + got + ", the model " + want)
	}
}

func (w *coreWorld) undoOne() {
	for _, name := range slices.Sorted(maps.Keys(w.jobs)) {
		if !w.undone[name] && w.rnd.IntN(2) == 0 {
			w.undone[name] = true
			if w.power != nil && w.rnd.IntN(2) == 0 {
				w.power.failAt(1 + w.rnd.IntN(60))
				for range 20 {
					_, _ = w.rig.undo(coreDomain, w.jobs[name])
				}
				w.revive()
			}
			w.rig.undone(coreDomain, w.jobs[name])
			w.calls = append(w.calls, func(c *core, _ int) { c.undo(name) })
			w.note("undo " + name)
			return
		}
	}
}

// The server and a model of the core agree on what every key finds and shows, and on what profiles of merges show and own, after random calls,
// imports, merges that are taken back, undos, restarts and calls that are cut off anywhere. KITH_TEST_CORE is how many seeds are tried, from
// KITH_TEST_CORE_FROM on.
func TestCoreIsWhatTheModelSays(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		t.Cleanup(func() { _ = st.Close() })
		coreSeeds(t, seeds(t, 3), func(t *testing.T, seed uint64) { newCoreWorld(t, &shared{Store: st}, seed).live() })
	})
}

// coreSeeds runs a test with n seeds, or as many as the environment says.
func coreSeeds(t *testing.T, n uint64, test func(t *testing.T, seed uint64)) {
	from := uint64(1)
	if many, err := strconv.ParseUint(os.Getenv("KITH_TEST_CORE"), 10, 64); err == nil {
		n = many
	}
	if first, err := strconv.ParseUint(os.Getenv("KITH_TEST_CORE_FROM"), 10, 64); err == nil {
		from = first
	}
	for seed := from; seed < from+n; seed++ {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { test(t, seed) })
	}
}

// live makes random calls, and compares after each.
func (w *coreWorld) live() {
	defer func() { _, _ = w.Domains.DeleteDomain(ctx, &api.DeleteDomainRequest{DomainName: api.Ptr(coreDomain)}) }()
	for range 40 {
		w.step()
		if got, want := w.server(), w.model().whole(w.universe, w.known()); got != want {
			w.differ(want, got)
		}
	}
}

// shared is an engine that outlives the rigs that use it.
type shared struct{ store.Store }

// Close implements store.Store.
func (*shared) Close() error { return nil }

// AsStager implements what store.StagerOf asks for.
func (s *shared) AsStager() store.Stager { return store.StagerOf(s.Store) }
