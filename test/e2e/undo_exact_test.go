package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kith/api"
	"kith/store"
	"kith/upload"
)

// exactColumns are columns with what they hold, from few texts, so that customers share values; empty ones are frequent.
var exactColumns = []struct {
	name  string
	texts []string
}{
	{"id", strings.Fields("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35")},
	{"first", []string{"Ann", "Bob", "José", "anna", ""}},
	{"middle", []string{"Q", "van der", "", "", ""}},
	{"last", []string{"Lee", "LEE", "Ray", "Núñez", ""}},
	{"mail", []string{"a@x.com", "A@X.com", "b@x.com", "no mail", ""}},
	{"mail2", []string{"a@x.com", "c@x.com", "", ""}},
	{"phone", []string{"030 555 1234", "+49 30 5551234", "(206) 555-0100", "1 206 555 0100", ""}},
	{"mobile", []string{"030 555 1234", "0171 5550199", "206 555 0100", ""}},
	{"fax", []string{"030 555 1234", "0049 30 5559999", "555 0100", ""}},
	{"tier", []string{"gold", "tin", "", strings.Repeat("long", 160)}},
	{"born", []string{"1980-01-02", "1990-03-04", ""}},
}

// exactFields map them, each in several ways.
var exactFields = []string{
	"id:id:AccountNumber", "id:id", "first:first:FirstName", "middle:middle:MiddleName", "last:last:LastName", "mail:mail:EmailAddress:EMAIL_ADDRESS", "mail2:mail2:BusinessEmailAddress:EMAIL_ADDRESS",
	"phone:phone:PhoneNumber:PHONE_NUMBER", "mobile:mobile:MobilePhoneNumber:PHONE_NUMBER", "fax:fax:Attributes.fax:PHONE_NUMBER", "fax:fax:Attributes.fax", "tier:tier:Attributes.tier", "born:born:BirthDate",
	"last:last:LastName:NAME", "fax:fax",
}

// exactKeys are unique keys: of one column or several, with or without an attribute.
var exactKeys = []string{"id", "id", "id", "mail", "phone", "mobile", "fax", "tier", "last,born", "fax,tier", "id,tier", "last,phone", "id,mail2"}

// exactImport returns a mapping and a file for it, at random.
func exactImport(rng *rand.Rand, rows int) (s spec, file string) {
	s = spec{key: exactKeys[rng.IntN(len(exactKeys))], expiry: 1000}
	taken := map[string]bool{}
	for _, i := range rng.Perm(len(exactFields)) {
		label, _, _ := strings.Cut(exactFields[i], ":")
		if !taken[label] && (rng.IntN(4) > 0 || slices.Contains(strings.Split(s.key, ","), label)) {
			taken[label] = true
			s.fields = append(s.fields, exactFields[i])
		}
	}
	var b strings.Builder
	for row := range rows + 1 {
		for n, c := range exactColumns {
			if n > 0 {
				b.WriteByte(',')
			}
			if row == 0 {
				b.WriteString(c.name)
			} else {
				fmt.Fprintf(&b, "%q", c.texts[rng.IntN(len(c.texts))])
			}
		}
		b.WriteByte('\n')
	}
	return s, b.String()
}

// otherCustomers is a file of many who share nothing with those of exactImport.
func otherCustomers() string {
	var b strings.Builder
	b.WriteString("id,first,last,mail,tier\n")
	for i := range 250 {
		fmt.Fprintf(&b, "other%d,Otto%d,Other,other%d@y.com,wood\n", i, i, i)
	}
	return b.String()
}

// runIn imports a file whose phone numbers are written in a country.
func (r *rig) runIn(domain string, s spec, file, country string) *api.GetUploadJobResponse {
	r.t.Helper()
	id := r.uploaded(domain, s, strings.NewReader(file))
	if country != "" {
		if _, err := r.Uploads.PutUploadJobOptions(ctx, &api.PutUploadJobOptionsRequest{DomainName: &domain, JobId: &id, Country: &country}); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := r.startJob(domain, id); err != nil {
		r.t.Fatal(err)
	}
	return r.wait(domain, id)
}

// raw lists the rows of profiles and of the index. Index rows are without their times: who updates a profile puts those anew that it has.
func (r *rig) raw() (all []string) {
	r.t.Helper()
	for _, table := range []store.Table{store.Profile, store.Index} {
		for row, err := range r.store.Sweep(ctx, store.SweepRange{Table: table}) {
			if err != nil {
				r.t.Fatal(err)
			}
			line := fmt.Sprintf("%s %q %q %q", table, row.Partition.Key, row.Row.Key, row.Row.Value)
			if table == store.Profile {
				line += fmt.Sprint(" ", row.Row.Time)
			}
			all = append(all, line)
		}
	}
	return all
}

// An undo takes away exactly what the import has written, whatever its mapping, its unique key, the countries of its phone numbers and what was there before:
// without a sweep the store's rows are what they were.
func TestUndoLeavesTheStoreAsItWas(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		created, updated := int64(0), int64(0)
		r := newRig(t, st, upload.Config{BucketBytes: 2 << 10, MemoryBytes: 1})
		for seed := range max(20, seeds(t, 20)) { // how tables come and go is the matter of an engine
			rng := rand.New(rand.NewPCG(seed, 77))
			domain := fmt.Sprint("d", seed)
			r.domain(domain)
			countries := []string{"", "DE", "US"}
			for range rng.IntN(3) { // what was there before
				s, file := exactImport(rng, rng.IntN(12))
				r.runIn(domain, s, file, countries[rng.IntN(3)])
			}
			if seed%2 == 1 { // and very many others: the import's rows are a small part of the index
				r.run(domain, undoSpec, otherCustomers())
			}
			s, file := exactImport(rng, 40)
			country := countries[rng.IntN(3)]
			header, _, _ := strings.Cut(file, "\n")
			r.runIn(domain, s, header+"\n", country) // its key is one of the domain's from here on
			before := r.raw()
			job := r.runIn(domain, s, file, country)
			if *job.Status == api.UploadJobStatusFailed {
				t.Fatalf("seed %d: the import with %+v ended as %s: %s", seed, s, outcome(job), api.Val(r.details(domain, *job.JobId).Reason))
			}
			created, updated = created+*job.ResultsSummary.CreatedRecords, updated+*job.ResultsSummary.UpdatedRecords
			if seed%5 == 4 { // a few of them come again later, of which nothing stays either
				lines := strings.SplitAfterN(file, "\n", 4)
				later := r.runIn(domain, s, strings.Join(lines[:3], ""), country)
				r.undone(domain, *job.JobId)
				r.undone(domain, *later.JobId)
			}
			r.undone(domain, *job.JobId)
			if after := r.raw(); !slices.Equal(after, before) {
				t.Fatalf("seed %d, %+v in %q, %s\nleft too much: %s\nlost: %s", seed, s, country, outcome(job), less(after, before), less(before, after))
			}
		}
		if created < 150 || updated < 150 {
			t.Errorf("%d rows created profiles and %d updated some: too few to tell", created, updated)
		}
	})
}

// less lists the lines of a that b lacks.
func less(a, b []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(a), func(line string) bool { return slices.Contains(b, line) }), "\n")
}
