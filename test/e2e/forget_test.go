package e2e

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/deadletter"
	"kith/domain"
	"kith/fault"
	"kith/store"
	"kith/store/pebble"
	"kith/upload"
)

// secrets are texts that are nowhere else: what is known of one person.
type secrets struct {
	rng *rand.Rand
	all []string
}

func (s *secrets) text() string {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	b := make([]byte, 16)
	for i := range b {
		b[i] = letters[s.rng.IntN(len(letters))]
	}
	s.all = append(s.all, string(b))
	return string(b)
}

func (s *secrets) number() string {
	s.all = append(s.all, fmt.Sprintf("%010d", 2_000_000_000+s.rng.Int64N(7_000_000_000)))
	return s.all[len(s.all)-1]
}

// in returns which of them are in a text.
func (s *secrets) in(text []byte) (found []string) {
	for _, secret := range s.all {
		if bytes.Contains(text, []byte(secret)) {
			found = append(found, secret)
		}
	}
	return found
}

// inFiles returns which of them are in the files of a folder, with a file of each.
func (s *secrets) inFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) { // a compaction, which goes on, has removed it
			return nil
		}
		for _, secret := range s.in(b) {
			found[secret] = filepath.Base(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// inRows returns which of them are in the rows of tables, with a table of each.
func (s *secrets) inRows(t *testing.T, st store.Store, tables ...store.Table) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, table := range tables {
		for row, err := range st.Sweep(ctx, store.SweepRange{Table: table}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range s.in(bytes.Join([][]byte{[]byte(row.Partition.Key), row.Row.Key, row.Row.Value}, []byte{0})) {
				found[secret] = table.String()
			}
		}
	}
	return found
}

// knownPerson is a domain with a person of whom much is known, and a stranger.
type knownPerson struct {
	*rig
	person, stranger *secrets
	replaced         *secrets // what an object of the person said before it was replaced
	email, other     string   // keys of the person
	main, member     string   // ids of its profiles
	rejecting        string   // a job that has rejected a row of the person
}

// live makes a person in every way there is: by imports and calls, merged, changed, with dead letters and rejected rows.
func live(t *testing.T, r *rig) *knownPerson {
	rng := rand.New(rand.NewPCG(1, 2))
	l := &knownPerson{rig: r, person: &secrets{rng: rng}, stranger: &secrets{rng: rng}, replaced: &secrets{rng: rng}}
	r.domain("d")
	p, s := l.person, l.stranger
	l.email = p.text() + "@example.com"
	account := p.number()
	sp := spec{fields: []string{"a:a:AccountNumber", "f:f:FirstName", "l:l:LastName", "e:e:EmailAddress:EMAIL_ADDRESS", "p:p:PhoneNumber:PHONE_NUMBER", "x:x:Attributes.note"}, key: "a"}
	file := "a,f,l,e,p,x\n" +
		strings.Join([]string{account, p.text(), p.text(), l.email, p.number(), p.text()}, ",") + "\n" +
		strings.Join([]string{s.number(), s.text(), s.text(), s.text() + "@example.com", s.number(), s.text()}, ",") + "\n" +
		strings.Join([]string{"", "nobody", "x", l.email, "", ""}, ",") + "\n"
	first := r.run("d", sp, file)
	r.expect(first, "PARTIALLY_SUCCEEDED 2/0/1")
	l.rejecting = *first.JobId
	r.expect(r.run("d", sp, "a,f,l,e,p,x\n"+account+",,"+p.text()+",,,\n"), "SUCCEEDED 0/1/0")

	l.main = l.find("_email", l.email)
	l.other = p.text() + "@example.org"
	made, err := r.Profiles.CreateProfile(ctx, &api.CreateProfileRequest{DomainName: api.Ptr("d"), FirstName: api.Ptr(p.text()), PersonalEmailAddress: &l.other,
		Address: &api.Address{Address1: api.Ptr(p.text())}, Attributes: map[string]string{"hobby": p.text()}})
	if err != nil {
		t.Fatal(err)
	}
	l.member = *made.ProfileId
	if _, err := r.Profiles.UpdateProfile(ctx, &api.UpdateProfileRequest{DomainName: api.Ptr("d"), ProfileId: made.ProfileId, AdditionalInformation: api.Ptr(p.text())}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Profiles.AddProfileKey(ctx, &api.AddProfileKeyRequest{DomainName: api.Ptr("d"), ProfileId: made.ProfileId, KeyName: api.Ptr("_phone"), Values: []string{p.number()}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Profiles.MergeProfiles(ctx, &api.MergeProfilesRequest{DomainName: api.Ptr("d"), MainProfileId: &l.main, ProfileIdsToBeMerged: []string{l.member}}); err != nil {
		t.Fatal(err)
	}
	putType(r)
	l.putObject(l.replaced, "own", l.email)
	l.putObject(p, "own", l.email)
	l.putObject(s, "strange", s.text()+"@example.com")
	for _, object := range []string{
		fmt.Sprintf(`{"who":{"mail":" %s "},"note":%q}`, strings.ToUpper(l.email), p.text()),
		fmt.Sprintf(`{"who":{"mail":%q},"note":%q}`, s.text()+"@example.com", s.text()),
		fmt.Sprintf(`{"id":%s}`, account),
	} {
		if err := r.Letters.Keep(ctx, l.record(), deadletter.Letter{ObjectType: "letters", Reason: "No profile has its keys.", Object: object}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// putType makes the type "Visit", whose objects find people by e-mail and make them.
func putType(r *rig) {
	r.t.Helper()
	field := func(source, target string) api.ObjectTypeField {
		f := api.ObjectTypeField{Source: api.Ptr("_source." + source)}
		if target != "" {
			f.Target = &target
		}
		return f
	}
	_, err := r.Types.PutProfileObjectType(ctx, &api.PutProfileObjectTypeRequest{
		DomainName: api.Ptr("d"), ObjectTypeName: api.Ptr("Visit"), Description: api.Ptr("visits"), AllowProfileCreation: api.Ptr(true),
		Fields: map[string]api.ObjectTypeField{"id": field("id", ""), "mail": field("mail", "_profile.BusinessEmailAddress"), "room": field("room", "_profile.Attributes.room"), "asset": field("asset", "_asset.AssetName"), "serial": field("serial", "_asset.SerialNumber")},
		Keys: map[string][]api.ObjectTypeKey{
			"visitId":    {{FieldNames: []string{"id"}, StandardIdentifiers: []api.StandardIdentifier{"UNIQUE"}}},
			"_email":     {{FieldNames: []string{"mail"}, StandardIdentifiers: []api.StandardIdentifier{"PROFILE"}}},
			"visitAsset": {{FieldNames: []string{"serial"}, StandardIdentifiers: []api.StandardIdentifier{"ASSET"}}},
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// putObject puts an object that says something nobody else says, and returns its unique key.
func (l *knownPerson) putObject(of *secrets, id, mail string) string {
	l.t.Helper()
	text := fmt.Sprintf(`{"id":%q,"mail":%q,"room":%q,"asset":%q,"serial":"a-%s","more":{"unmapped":[%q]}}`, id, mail, of.text(), of.text(), id, of.text())
	out, err := l.Profiles.PutProfileObject(ctx, &api.PutProfileObjectRequest{DomainName: api.Ptr("d"), ObjectTypeName: api.Ptr("Visit"), Object: &text})
	if err != nil {
		l.t.Fatal(err)
	}
	return *out.ProfileObjectUniqueKey
}

func (l *knownPerson) record() *domain.Record {
	rec, err := l.Domains.Lookup(ctx, "d")
	if err != nil {
		l.t.Fatal(err)
	}
	return rec
}

func (l *knownPerson) find(key, value string) string {
	l.t.Helper()
	out, err := l.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: api.Ptr("d"), KeyName: &key, Values: []string{value}})
	if err != nil || len(out.Items) != 1 {
		l.t.Fatalf("%d profiles have %s, %v", len(out.Items), key, err)
	}
	return *out.Items[0].ProfileId
}

func (l *knownPerson) export(in *api.ExportPersonRequest) string {
	l.t.Helper()
	in.DomainName = api.Ptr("d")
	out, err := l.Privacy.ExportPerson(ctx, in)
	if err != nil {
		l.t.Fatal(err)
	}
	var b bytes.Buffer
	if err := out.Body.Write(&b); err != nil {
		l.t.Fatal(err)
	}
	return b.String()
}

func (l *knownPerson) forget(in *api.ForgetPersonRequest) (text string, st forgotten) {
	l.t.Helper()
	in.DomainName = api.Ptr("d")
	out, err := l.Privacy.ForgetPerson(ctx, in)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(*out.Statement), &st); err != nil {
		l.t.Fatal(err)
	}
	key, err1 := base64.StdEncoding.DecodeString(*out.PublicKey)
	sig, err2 := base64.StdEncoding.DecodeString(*out.Signature)
	if err1 != nil || err2 != nil || !ed25519.Verify(key, []byte(*out.Statement), sig) || ed25519.Verify(key, []byte(*out.Statement+" "), sig) {
		l.t.Error("the signature is not that of the statement")
	}
	return *out.Statement, st
}

// forgotten is what docs/privacy.md says of a statement.
type forgotten struct {
	ProfileIds              []string
	Removed, LeftAfterwards struct{ Profiles, ImportedSources, Objects, IndexRows, HistoryContents, DeadLetters int64 }
	RejectedRows            int64
	Remains                 []struct{ What, Where, Until string }
}

// Everything that is known of a person is told, and nothing of anybody else, however the person is named; then it is forgotten, with proof.
func TestForgetting(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		l := live(t, r)
		for _, in := range []*api.ExportPersonRequest{
			{ProfileId: &l.main}, {ProfileId: &l.member}, {KeyName: api.Ptr("_email"), KeyValue: api.Ptr(strings.ToUpper(l.email))}, {KeyName: api.Ptr("_email"), KeyValue: &l.other},
		} {
			text := l.export(in)
			told := l.person.in([]byte(strings.ToLower(text)))
			if len(told) != len(l.person.all) {
				t.Errorf("of %q only %q is told:\n%s", l.person.all, told, text)
			}
			if others := l.stranger.in([]byte(text)); others != nil {
				t.Errorf("what is somebody else's is told: %q", others)
			}
			var doc struct{ Fields, Sources, Objects, History, DeadLetters, RejectedRows, NotSearched []map[string]any }
			if err := json.Unmarshal([]byte(text), &doc); err != nil || len(doc.DeadLetters) != 2 || len(doc.RejectedRows) != 1 || len(doc.NotSearched) != 3 || len(doc.Sources) != 4 || len(doc.History) < 6 {
				t.Errorf("%v: %d letters, %d rejected rows, %d sources, %d records, not searched %v", err, len(doc.DeadLetters), len(doc.RejectedRows), len(doc.Sources), len(doc.History), doc.NotSearched)
			}
			from := func(field, member string) (value any, lost int) {
				for _, f := range doc.Fields {
					if f["Field"] == field {
						current, _ := f["Current"].(map[string]any)
						value, lost = current[member], len(f["Lost"].([]any))
					}
				}
				return value, lost
			}
			if row, lost := from("LastName", "RowNumber"); row != 1.0 || lost != 1 { // of the second import, and the first
				t.Errorf("the last name is from row %v, and %d have lost: %v", row, lost, doc.Fields)
			}
			if kind, _ := from("Attributes.room", "ObjectTypeName"); kind != "Visit" {
				t.Errorf("the room is from an object of type %v", kind)
			}
			if by, _ := from("Attributes.hobby", "Kind"); by != "BY_HAND" {
				t.Errorf("the hobby is %v", by)
			}
		}

		text, said := l.forget(&api.ForgetPersonRequest{KeyName: api.Ptr("_email"), KeyValue: &l.email})
		if found := l.person.in([]byte(text)); found != nil || len(said.ProfileIds) != 2 || said.ProfileIds[0] != l.main {
			t.Errorf("the statement names somebody: %s", text)
		}
		if r := said.Removed; r.Profiles != 2 || r.ImportedSources != 2 || r.IndexRows < 6 || r.Objects != 1 || r.HistoryContents < 2 || r.DeadLetters != 2 || said.RejectedRows != 1 || said.LeftAfterwards.IndexRows+said.LeftAfterwards.Profiles != 0 {
			t.Errorf("the statement says %s", text)
		}
		if found := l.person.inRows(t, l.store, store.Profile, store.Index, store.History, store.Body, store.Resource, store.Query, store.Match, store.Jobs); len(found) > 0 {
			t.Errorf("rows still hold %v", found)
		}
		for _, in := range []api.ExportPersonRequest{{ProfileId: &l.main}, {ProfileId: &l.member}, {KeyName: api.Ptr("_email"), KeyValue: &l.other}} {
			in.DomainName = api.Ptr("d")
			if _, err := l.Privacy.ExportPerson(ctx, &in); !errors.Is(err, fault.NotFound) {
				t.Errorf("somebody who was forgotten is told: %v", err)
			}
		}
		// It may be repeated by the id, and then finds nothing more.
		if _, again := l.forget(&api.ForgetPersonRequest{ProfileId: &l.main}); again.Removed.Profiles+again.Removed.IndexRows+again.Removed.DeadLetters != 0 {
			t.Errorf("what was forgotten was there: %+v", again)
		}
		// The stranger has lost nothing.
		if got := l.search("d", "_account", l.stranger.all[0]); len(got) != 1 {
			t.Error("a stranger is gone")
		}
		if out, err := l.Letters.ListDeadLetters(ctx, &api.ListDeadLettersRequest{DomainName: api.Ptr("d")}); err != nil || len(out.Items) != 1 {
			t.Errorf("a stranger's letter is gone, %v", err)
		}
	})
}

// No file of the store holds anything of a person that was forgotten, or of a domain that was deleted, when retention has ended and the store was
// purged; and no file of a job is left.
func TestForgettingReachesTheFiles(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{false, true} {
		t.Run(map[bool]string{false: "person", true: "domain"}[whole], func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "db")
			db, err := pebble.Open(dir, pebble.Options{})
			if err != nil {
				t.Fatal(err)
			}
			r := newRig(t, db, upload.Config{})
			l := live(t, r)
			if found := l.person.inFiles(t, dir); len(found) < len(l.person.all)-2 { // a name may lie compressed
				t.Fatalf("the test sees only %v of %q", found, l.person.all)
			}
			if whole {
				if _, err := r.Domains.DeleteDomain(ctx, &api.DeleteDomainRequest{DomainName: api.Ptr("d")}); err != nil {
					t.Fatal(err)
				}
				l.stranger.all, l.person.all = nil, append(l.person.all, l.stranger.all...)
				r.until("the domain to go", func() bool {
					dead, err := r.Domains.Dead(ctx)
					return err == nil && len(dead) == 0
				})
				if found := l.person.inRows(t, l.store, store.Tables...); len(found) > 0 {
					t.Errorf("rows still hold %v", found)
				}
			} else {
				l.forget(&api.ForgetPersonRequest{ProfileId: &l.member})
				l.person.all = append(l.person.all, l.replaced.all...)
				r.clock.add(32 * 24 * time.Hour)
				if err := r.CleanUp(ctx); err != nil {
					t.Fatal(err)
				}
				// The feed goes with the next change behind its time.
				if _, err := r.Profiles.CreateProfile(ctx, &api.CreateProfileRequest{DomainName: api.Ptr("d"), FirstName: api.Ptr("Someone")}); err != nil {
					t.Fatal(err)
				}
				r.until("the feed to go", func() bool { return len(l.person.inRows(t, l.store, store.Tables...)) == 0 })
			}
			for info, err := range r.blobs.List(ctx, "") {
				t.Errorf("a file is left: %s, %v", info.Name, err)
			}
			if p, err := db.Purge(ctx); err != nil || p.Deletions != 0 {
				t.Fatalf("%+v, %v", p, err)
			}
			if found := l.person.inFiles(t, dir); len(found) > 0 {
				t.Errorf("files still hold %v", found)
			}
			if found := l.stranger.inFiles(t, dir); !whole && len(found) < len(l.stranger.all)/2 {
				t.Errorf("of a stranger only %v is left", found)
			}
		})
	}
}

// An object that was deleted, by itself or with its type, leaves nothing in any row or file, and what it said is said no more.
func TestDeletedObjectsLeaveTheFiles(t *testing.T) {
	t.Parallel()
	for name, del := range map[string]func(r *rig, id, key string) error{
		"object": func(r *rig, id, key string) error {
			_, err := r.Profiles.DeleteProfileObject(ctx, &api.DeleteProfileObjectRequest{DomainName: api.Ptr("d"), ProfileId: &id, ObjectTypeName: api.Ptr("Visit"), ProfileObjectUniqueKey: &key})
			return err
		},
		"type": func(r *rig, _, _ string) error {
			_, err := r.Types.DeleteProfileObjectType(ctx, &api.DeleteProfileObjectTypeRequest{DomainName: api.Ptr("d"), ObjectTypeName: api.Ptr("Visit")})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { testDeletedObject(t, del) })
	}
}

func testDeletedObject(t *testing.T, del func(r *rig, id, key string) error) {
	dir := filepath.Join(t.TempDir(), "db")
	db, err := pebble.Open(dir, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, db, upload.Config{})
	r.domain("d")
	putType(r)
	l := &knownPerson{rig: r, person: &secrets{rng: rand.New(rand.NewPCG(3, 4))}}
	mail := l.person.text() + "@example.com"
	key := l.putObject(l.person, "1", mail)
	id := l.find("_email", mail)
	if found := l.person.inFiles(t, dir); len(found) != len(l.person.all) {
		t.Fatalf("the test sees only %v", found)
	}
	if err := del(r, id, key); err != nil {
		t.Fatal(err)
	}
	r.clock.add(time.Minute) // every node knows of a type's end
	r.until("the type to be forgotten", func() bool {
		rec, err := r.Domains.Read(ctx, "d")
		return err == nil && len(rec.DeadTypes) == 0
	})
	r.idle()
	r.clock.add(9 * 24 * time.Hour)
	if _, err := r.Profiles.CreateProfile(ctx, &api.CreateProfileRequest{DomainName: api.Ptr("d"), FirstName: api.Ptr("Someone")}); err != nil {
		t.Fatal(err)
	}
	r.until("the object to go", func() bool { return len(l.person.inRows(t, l.store, store.Tables...)) == 0 })
	if _, err := db.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	if found := l.person.inFiles(t, dir); len(found) > 0 {
		t.Errorf("files still hold %v", found)
	}
}

// Whoever is meant must be one person, and is asked for otherwise.
func TestWhoIsMeant(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPebble(t), upload.Config{})
	r.domain("d")
	r.run("d", spec{fields: []string{"a:a:AccountNumber", "p:p:PhoneNumber:PHONE_NUMBER"}, key: "a"}, "a,p\n1,5550001111\n2,5550001111\n")
	for _, c := range []struct {
		in   api.ForgetPersonRequest
		kind fault.Kind
	}{
		{api.ForgetPersonRequest{}, fault.BadRequest},
		{api.ForgetPersonRequest{KeyName: api.Ptr("_phone")}, fault.BadRequest},
		{api.ForgetPersonRequest{KeyValue: api.Ptr("5550001111")}, fault.BadRequest},
		{api.ForgetPersonRequest{KeyName: api.Ptr("_phone"), KeyValue: api.Ptr("5550001111")}, fault.BadRequest},
		{api.ForgetPersonRequest{KeyName: api.Ptr("_phone"), KeyValue: api.Ptr("5550001111"), ProfileId: api.Ptr(strings.Repeat("a", 32))}, fault.BadRequest},
		{api.ForgetPersonRequest{KeyName: api.Ptr("_phone"), KeyValue: api.Ptr("5550001112")}, fault.NotFound},
		{api.ForgetPersonRequest{ProfileId: api.Ptr(strings.Repeat("a", 32))}, fault.NotFound},
	} {
		c.in.DomainName = api.Ptr("d")
		if _, err := r.Privacy.ForgetPerson(ctx, &c.in); !errors.Is(err, c.kind) || strings.Contains(fault.Message(err), "555") {
			t.Errorf("%v: %v", c.in, err)
		}
	}
	if n := len(r.search("d", "_phone", "5550001111")); n != 2 {
		t.Errorf("%d are left", n)
	}
}
