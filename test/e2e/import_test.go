package e2e

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/blob"
	"kith/fault"
	"kith/internal/sample"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/test/cluster"
	"kith/upload"
)

func decodeKey(t *testing.T, token string) blob.Key {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(b) != 32 {
		t.Fatalf("client token: %v", err)
	}
	return blob.Key(b)
}

// sampleSpec maps a file of package sample.
var sampleSpec = spec{key: "customer_id", expiry: 100, fields: []string{
	"customer_id:customer_id:AccountNumber", "first_name:first_name:FirstName:NAME", "last_name:last_name:LastName:NAME",
	"email:email:EmailAddress:EMAIL_ADDRESS", "phone:phone:PhoneNumber:PHONE_NUMBER", "mobile:mobile:MobilePhoneNumber:PHONE_NUMBER",
	"birth_date:birth_date:BirthDate", "gender:gender:GenderString", "company:company:BusinessName", "street:street:Address.Address1",
	"city:city:Address.City", "tier:loyalty_tier:Attributes.tier", "notes:notes:AdditionalInformation",
	"label:{{_source.first_name}} {{_source.last_name}}:Attributes.label",
}}

func sampleFile(t *testing.T, rows int, seed uint64) string {
	t.Helper()
	var b bytes.Buffer
	if err := sample.Write(&b, rows, seed); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRealFiles(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		b, err := os.ReadFile(filepath.Join("..", "testdata", "telco-customer-churn.csv"))
		if err != nil {
			t.Fatal(err)
		}
		s := spec{key: "customerID", fields: []string{"customerID:customerID:AccountNumber", "churn:Churn:Attributes.Churn"}}
		r.expect(r.run("d", s, string(b)), "SUCCEEDED 7043/0/0")
		r.expect(r.run("d", s, "\xef\xbb\xbf"+string(b)), "SUCCEEDED 0/7043/0")
		if got := r.search("d", "_account", "7590-VHVEG"); len(got) != 1 {
			t.Fatalf("found %v", got)
		}
		if n := r.profiles("d"); n < 1000 {
			t.Fatalf("%d profiles", n)
		}
		r.restart() // it counts what changed unnoticed
		r.until("the count", func() bool { return r.profiles("d") == 7043 })
		r.Stop()
		r.countAfter = time.Millisecond
		r.start()
		r.run("d", s, "customerID,Churn\nnew,No\n")
		r.until("the count after an import", func() bool { return r.profiles("d") == 7044 })
	})
}

// profiles is what GetDomain says.
func (r *rig) profiles(domain string) int64 {
	r.t.Helper()
	d, err := r.Domains.GetDomain(ctx, &api.GetDomainRequest{DomainName: &domain})
	if err != nil {
		r.t.Fatal(err)
	}
	return *d.Stats.ProfileCount
}

func TestTwoStartsOneWins(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		s := spec{key: "id", fields: []string{"id:id:AccountNumber"}}
		for range 10 {
			id := r.uploaded("d", s, strings.NewReader("id\n1\n"))
			errs := make([]error, 2)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { errs[i] = r.startJob("d", id) })
			}
			wg.Wait()
			if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), fault.BadRequest) {
				t.Fatalf("two starts: %v", errs)
			}
			r.wait("d", id)
		}
	})
}

func TestFiftyJobsOfTheSameCustomers(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		s := spec{key: "id", fields: []string{"id:id:AccountNumber", "n:n:Attributes.n"}}
		const jobs, customers = 50, 1000
		ids := make([]string, jobs)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				var b strings.Builder
				b.WriteString("id,n\n")
				for _, c := range rand.Perm(customers) {
					fmt.Fprintf(&b, "%d,%d\n", c, i)
				}
				ids[i] = r.uploaded("d", s, strings.NewReader(b.String()))
				if err := r.startJob("d", ids[i]); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var created int64
		for _, id := range ids {
			j := r.wait("d", id)
			sum := j.ResultsSummary
			created += *sum.CreatedRecords
			if *sum.CreatedRecords+*sum.UpdatedRecords != customers || *sum.FailedRecords != 0 {
				t.Errorf("job %s: %s", id, outcome(j))
			}
		}
		if created != customers {
			t.Errorf("%d created over all jobs, want %d", created, customers)
		}
		if got := len(r.dump("d")); got != customers {
			t.Errorf("%d profiles, want %d", got, customers)
		}
	})
}

// What an import does must not depend on buckets, batches, spilling, workers, restarts or engines.
func TestImportIsTheSameHoweverItRuns(t *testing.T) {
	t.Parallel()
	first, second := sampleFile(t, 3000, 1), sampleFile(t, 2000, 2)
	bad := strings.Replace(second, "\n", "\n,no key\n\"open,quote\n", 3) + ",,,,,,,,,,,,,,,\n"
	type result struct{ a, b, dump, rejects, undone string }
	importOn := func(t *testing.T, r *rig, restarts bool) (res result) {
		r.domain("d")
		one := func(file string) string {
			id := r.uploaded("d", sampleSpec, strings.NewReader(file))
			if err := r.startJob("d", id); err != nil {
				t.Fatal(err)
			}
			if restarts {
				for range 4 {
					time.Sleep(time.Duration(rand.IntN(8)) * time.Millisecond)
					r.restart()
				}
			}
			r.wait("d", id)
			return id
		}
		a, b := one(first), one(bad)
		res.a, res.b, res.dump = outcome(r.get("d", a)), outcome(r.get("d", b)), hash(r.dump("d"))
		var lines []string
		for _, rej := range r.rejects("d", b, 7) {
			lines = append(lines, fmt.Sprintf("%d %d %s %s %q", *rej.LineNumber, *rej.RowNumber, *rej.ReasonCode, api.Val(rej.Column), rej.Cells))
		}
		slices.Sort(lines)
		res.rejects = strings.Join(lines, "\n")
		if restarts {
			if _, err := r.undo("d", a); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
			r.restart()
		}
		r.undone("d", a)
		res.undone = hash(r.dump("d"))
		return res
	}
	importAll := func(t *testing.T, st store.Store, c upload.Config, restarts bool) result {
		return importOn(t, newRig(t, st, c), restarts)
	}
	want := importAll(t, mem.New(), upload.Config{}, false)
	if !strings.HasPrefix(want.b, "PARTIALLY_SUCCEEDED") || want.rejects == "" {
		t.Fatalf("%+v", want)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range 6 {
		c := upload.Config{BucketBytes: 1 << (12 + rng.IntN(12)), MemoryBytes: 1 << (8 + rng.IntN(16)), Workers: 1 + rng.IntN(5), BatchBytes: 1 << (8 + rng.IntN(10)), TableRows: 1 << rng.IntN(14)}
		t.Run(fmt.Sprintf("%d", i), func(t *testing.T) {
			st := store.Store(mem.New())
			if i%2 == 0 {
				st = newPebble(t)
			}
			if got := importAll(t, st, c, i >= 2); got != want {
				t.Fatalf("with %+v\ngot  %+v\nwant %+v", c, got, want)
			}
		})
	}
	for _, chaos := range []string{"calm", "restarts", "frozen"} {
		t.Run("nodes/"+chaos, func(t *testing.T) {
			r := newCrew(t, 3, upload.Config{MemoryBytes: 1, BucketBytes: 1 << 13, StopPollEvery: 20 * time.Millisecond, CacheWait: 20 * time.Millisecond},
				crewOptions{freezing: chaos == "frozen", meeting: true})
			if got := importOn(t, r, chaos == "restarts"); got != want {
				t.Fatalf("got  %+v\nwant %+v", got, want)
			}
			for _, stage := range []string{"resolving=true", "resolving=false"} {
				if !regexp.MustCompile("helped with an upload job.*" + stage).MatchString(r.logText()) {
					t.Errorf("no node helped: %s\n%s", stage, r.logText())
				}
			}
			lost := func() bool { return strings.Contains(r.logText(), "lost its lease") }
			if chaos == "frozen" {
				r.until("word of the lease that was lost", lost)
			} else if lost() {
				t.Errorf("a lease was lost:\n%s", r.logText())
			}
		})
	}
	for name, c := range map[string]struct {
		memory int64
		wideAt int
	}{"in memory": {}, "spilled into the bucket": {memory: 1 << 10}, "popular values in shards": {wideAt: 2}} {
		t.Run("cql/"+name, func(t *testing.T) {
			o := cluster.Options(t)
			o.WideAt = c.wideAt
			st, blobs := cluster.EnginesOn(t, o)
			r := newRigWith(t, st, blobs, upload.Config{MemoryBytes: c.memory, BucketBytes: 1 << 16}, nil)
			if got := importOn(t, r, c.memory > 0); got != want {
				t.Fatalf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// Every write of an import fails once, before or after it happened: the result must be that of an undisturbed run. That is so where buckets are written
// one by one, and where tables are built aside.
func TestImportSurvivesStoreFaults(t *testing.T) {
	t.Parallel()
	file := sampleFile(t, 500, 3)
	engines := []func(t *testing.T) store.Store{func(*testing.T) store.Store { return mem.New() }, newPebble}
	importOne := func(t *testing.T, engine int, arm func(*faulty.Store)) (string, string, *rig) {
		st := &faulty.Store{Store: engines[engine](t)}
		r := newRig(t, st, upload.Config{BucketBytes: 16 << 10, MemoryBytes: 1})
		r.domain("d")
		id := r.uploaded("d", sampleSpec, strings.NewReader(file))
		if err := r.startJob("d", id); err != nil {
			t.Fatal(err)
		}
		arm(st)
		j := r.wait("d", id)
		st.Before(nil)
		st.After(nil)
		return outcome(j), hash(r.dump("d")), r
	}
	wantOutcome, wantDump, _ := importOne(t, 0, func(*faulty.Store) {})
	for n := range 20 {
		engine, after, nth := n%2, n/2%2 == 1, n/4*2+1
		t.Run(fmt.Sprintf("engine=%d,after=%t,nth=%d", engine, after, nth), func(t *testing.T) {
			var calls atomic.Int64
			hook := func(op faulty.Op, p store.Partition) error {
				if op != faulty.Swap && op != faulty.WriteRun && op != faulty.Probe {
					return nil
				}
				if calls.Add(1)%10 == int64(nth) && calls.Load() < 60 {
					return store.ErrUnknown
				}
				return nil
			}
			gotOutcome, gotDump, r := importOne(t, engine, func(st *faulty.Store) {
				if after {
					st.After(hook)
				} else {
					st.Before(hook)
				}
			})
			if strings.Contains(gotOutcome, "INTERNAL_FAILURE") {
				if len(r.dump("d")) != 0 {
					t.Fatal("a failed job left profiles behind")
				}
				return
			}
			if gotOutcome != wantOutcome || gotDump != wantDump {
				t.Fatalf("%s %s, want %s %s", gotOutcome, gotDump, wantOutcome, wantDump)
			}
		})
	}
}

func TestPersistentFaultFailsTheJobAndWritesNothing(t *testing.T) {
	t.Parallel()
	st := &faulty.Store{Store: mem.New()}
	r := newRig(t, st, upload.Config{})
	r.domain("d")
	s := spec{key: "id", fields: []string{"id:id:AccountNumber"}}
	r.expect(r.run("d", s, "id\n1\n2\n"), "SUCCEEDED 2/0/0")
	before := hash(r.dump("d"))
	id := r.uploaded("d", s, strings.NewReader("id\n2\n3\n"))
	st.Before(func(op faulty.Op, p store.Partition) error {
		if op == faulty.Probe {
			return errors.New("injected: disk error")
		}
		return nil
	})
	if err := r.startJob("d", id); err != nil {
		t.Fatal(err)
	}
	j := r.wait("d", id)
	st.Before(nil)
	r.expect(j, "FAILED 0/0/0 INTERNAL_FAILURE")
	if hash(r.dump("d")) != before {
		t.Fatal("the failed job changed profiles")
	}
	if strings.Contains(api.Val(r.details("d", id).Reason), "disk error") {
		t.Fatal("the internal error reached the caller")
	}
	r.expect(r.run("d", s, "id\n2\n3\n"), "SUCCEEDED 1/1/0")
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		s := spec{key: "id", fields: []string{"id:id:AccountNumber", "mail:mail:EmailAddress:EMAIL_ADDRESS", "party:party:PartyType"}}
		for name, c := range map[string]struct{ file, want, reason string }{
			"empty file":       {"", "FAILED 0/0/0 VALIDATION_FAILURE", "empty"},
			"blank lines only": {"\n\r\n\n", "FAILED 0/0/0 VALIDATION_FAILURE", "empty"},
			"no header":        {"1,a@example.com,\n2,b@example.com,\n", "FAILED 0/0/0 VALIDATION_FAILURE", "lacks the mapped column"},
			"absent column":    {"id,party\n1,\n", "FAILED 0/0/0 VALIDATION_FAILURE", `"mail"`},
			"duplicate names":  {"id,mail,party,id\n1,,,2\n", "FAILED 0/0/0 VALIDATION_FAILURE", "twice"},
			"two of one case":  {"id,MAIL,Mail,party\n1,,,\n", "FAILED 0/0/0 VALIDATION_FAILURE", `"mail"`},
			"semicolons":       {"id;mail;party\n91;a,b;\n\"92\";\"x;y\";\n", "SUCCEEDED 2/0/0", ""},
			"tabs":             {"id\tmail\tparty\n93\t\t\n", "SUCCEEDED 1/0/0", ""},
			"bars":             {"\n\"id\"|mail|party\n94||\n", "SUCCEEDED 1/0/0", ""},
			"other separator":  {"id:mail:party\n1::\n", "FAILED 0/0/0 VALIDATION_FAILURE", "lacks the mapped column"},
			"long header":      {"id,mail,party," + strings.Repeat("x", 70_000) + "\n", "FAILED 0/0/0 VALIDATION_FAILURE", "longer than"},
			"bad header bytes": {"id,mail,party\xff,äöü\n", "FAILED 0/0/0 VALIDATION_FAILURE", "UTF-8"},
			"Excel workbook":   {"PK\x03\x04...", "FAILED 0/0/0 VALIDATION_FAILURE", "The workbook is damaged or cut off"},
			"bzip2":            {"BZh91AY", "FAILED 0/0/0 VALIDATION_FAILURE", "gzip or zstd"},
			"cut gzip":         {"\x1f\x8b\x08\x00\x00\x00", "FAILED 0/0/0 VALIDATION_FAILURE", "gzip data"},
			"cut zstd":         {"\x28\xb5\x2f\xfd\x04", "FAILED 0/0/0 VALIDATION_FAILURE", "zstd data"},
			"NUL in header":    {"id,mail,par\x00ty\n", "FAILED 0/0/0 VALIDATION_FAILURE", "NUL"},
			"open header":      {"id,mail,\"party\n1,,\n", "FAILED 0/0/0 VALIDATION_FAILURE", "quotes"},
			"header only":      {"id,mail,party\n", "SUCCEEDED 0/0/0", ""},
			"all rejected":     {"id,mail,party\n,x,\n", "FAILED 0/0/1 VALIDATION_FAILURE", "Every row"},
			"header by case":   {" ID , Mail ,PARTY\n77,,individual\n", "SUCCEEDED 1/0/0", ""},
		} {
			t.Run(name, func(t *testing.T) {
				j := r.run("d", s, c.file)
				r.expect(j, c.want)
				if got := api.Val(r.details("d", *j.JobId).Reason); !strings.Contains(got, c.reason) || (c.reason == "") != (got == "") {
					t.Errorf("reason %q, want it to say %q", got, c.reason)
				}
			})
		}

		rows := []struct{ line, code, column string }{
			{"few,,,x", "cell-count", ""},
			{"a,b,c,d", "cell-count", ""},
			{",x@example.com,", "empty-key", "id"},
			{"  ,x@example.com,", "empty-key", "id"},
			{"r1," + strings.Repeat("é", 256) + ",", "value-too-long", "mail"},
			{"r2,\xff,", "invalid-utf8", "mail"},
			{"r3,,ro\x00ot", "nul-byte", "party"},
			{"r4,,landlord", "value-not-allowed", "party"},
			{"r5,\"a\"b,", "bad-quote", ""},
			{"r6,\"open,", "open-quote", ""},
		}
		file := "id,mail,party\n"
		for i, row := range rows {
			file += row.line + "\n" + fmt.Sprintf("good%d,g%d@example.com,business\n", i, i)
		}
		j := r.run("d", s, file)
		r.expect(j, fmt.Sprintf("PARTIALLY_SUCCEEDED %d/0/%d", len(rows), len(rows)))
		got := r.rejects("d", *j.JobId, 3)
		for i, row := range rows {
			rej := got[i]
			if *rej.ReasonCode != row.code || api.Val(rej.Column) != row.column || *rej.LineNumber != int64(2+2*i) || len(*rej.Message) < 20 {
				t.Errorf("row %q: rejected as %s in column %q at line %d: %s", row.line, *rej.ReasonCode, api.Val(rej.Column), *rej.LineNumber, *rej.Message)
			}
		}
		if rej := got[3]; !slices.Equal(rej.Cells, []string{"  ", "x@example.com", ""}) {
			t.Errorf("cells %q", rej.Cells)
		}

		// A line of 100 MB costs its row and nothing else.
		id := r.uploaded("d", s, io.MultiReader(strings.NewReader("id,mail,party\nbig1,,\nx,"), io.LimitReader(letters{}, 100<<20), strings.NewReader("\nbig2,,\n")))
		if err := r.startJob("d", id); err != nil {
			t.Fatal(err)
		}
		r.expect(r.wait("d", id), "PARTIALLY_SUCCEEDED 2/0/1")
		if got := r.rejects("d", id, 10); *got[0].ReasonCode != "record-too-long" || *got[0].LineNumber != 3 || !*got[0].CellsTruncated {
			t.Errorf("%+v", got[0])
		}
		for _, code := range []string{"code=empty-file", "code=header-columns", "code=header-nul", "code=empty-key rows=2", "code=record-too-long rows=1", "code=invalid-utf8 rows=1"} {
			if !strings.Contains(r.logText(), code) {
				t.Errorf("the log does not say %s", code)
			}
		}
		for _, secret := range []string{"example.com", "r4", "landlord", "good1"} {
			if strings.Contains(r.logText(), secret) {
				t.Errorf("the log holds customer data: %q", secret)
			}
		}
	})
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestUniqueKeys(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		base := []string{"id:id:AccountNumber", "first:first:FirstName:NAME", "last:last:LastName:NAME", "phone:phone:HomePhoneNumber:PHONE_NUMBER", "tier:tier:Attributes.tier"}
		file := "id,first,last,phone,tier\n1,Ann,Lee,(206) 555-0100,x\n2,Bob,Ray,+44 20 1,y\n"
		for name, c := range map[string]struct {
			s              spec
			file, want     string
			again, wantTwo string
		}{
			"by label":     {spec{key: "id", fields: base}, file, "SUCCEEDED 0/2/0", "", ""},
			"by source":    {spec{key: "_source.id", fields: base}, file, "SUCCEEDED 0/2/0", "", ""},
			"by target":    {spec{key: "_profile.AccountNumber", fields: base}, file, "SUCCEEDED 0/2/0", "", ""},
			"phone":        {spec{key: "phone", fields: base[3:]}, "phone,tier\n12065550100,z\n0044 201,z\nnone,z\n", "PARTIALLY_SUCCEEDED 0/2/1", "", ""},
			"attribute":    {spec{key: "tier", fields: base[4:]}, "tier\nx\ny\nz\n", "SUCCEEDED 1/2/0", "tier\nx\nz\n", "SUCCEEDED 0/2/0"},
			"name":         {spec{key: "first", fields: base[1:2]}, "first\n ANN\nbob\n", "SUCCEEDED 0/2/0", "", ""},
			"tuple":        {spec{key: "first, last", fields: base[1:3]}, "first,last\nann,lee\nann,ray\n", "SUCCEEDED 1/1/0", "first,last\nANN,RAY\n", "SUCCEEDED 0/1/0"},
			"no target":    {spec{key: "ext", fields: []string{"ext:ext:", "tier:tier:Attributes.tier"}}, "ext,tier\ne1,a\ne2,b\ne1,c\n", "SUCCEEDED 2/1/0", "ext,tier\ne2,d\ne3,d\n", "SUCCEEDED 1/1/0"},
			"long value":   {spec{key: "note", fields: []string{"note:note:AdditionalInformation"}}, "note\n" + strings.Repeat("n", 900) + "\n", "SUCCEEDED 1/0/0", "note\n" + strings.Repeat("n", 900) + "\n", "SUCCEEDED 0/1/0"},
			"no such text": {spec{key: "phone", fields: base[3:4]}, "phone\nabc\n", "FAILED 0/0/1 VALIDATION_FAILURE", "", ""},
		} {
			t.Run(name, func(t *testing.T) {
				d := strings.ReplaceAll(name, " ", "-")
				r.domain(d)
				r.expect(r.run(d, spec{key: "id", fields: base}, file), "SUCCEEDED 2/0/0")
				r.expect(r.run(d, c.s, c.file), c.want)
				if c.again != "" {
					r.expect(r.run(d, c.s, c.again), c.wantTwo)
				}
			})
		}
	})
}

func TestNamesCombineAcrossImports(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{})
	r.domain("d")
	r.expect(r.run("d", spec{key: "id", fields: []string{"id:id:AccountNumber", "first:first:FirstName:NAME"}}, "id,first\n1,Ann\n"), "SUCCEEDED 1/0/0")
	r.expect(r.run("d", spec{key: "id", fields: []string{"id:id:AccountNumber", "last:last:LastName:NAME"}}, "id,last\n1,Lee\n"), "SUCCEEDED 0/1/0")
	if got := r.search("d", "_fullName", "ann lee"); !slices.Equal(got, []string{"1"}) {
		t.Fatalf("found %v", got)
	}
}

func TestExpiryHidesAtOnceAndSweepRemoves(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		fields := []string{"id:id:AccountNumber", "a:a:Attributes.a"}
		r.expect(r.run("d", spec{key: "id", expiry: 10, fields: fields}, "id,a\n1,old\n2,old\n"), "SUCCEEDED 2/0/0")
		r.expect(r.run("d", spec{key: "id", expiry: 2, fields: fields}, "id,a\n2,new\n3,new\n"), "SUCCEEDED 1/1/0")
		if got := r.search("d", "_account", "1", "2", "3"); len(got) != 3 {
			t.Fatalf("found %v", got)
		}
		r.clock.add(3 * 24 * time.Hour)
		if got := r.search("d", "_account", "1", "2", "3"); !slices.Equal(got, []string{"1", "2"}) {
			t.Fatalf("after three days found %v", got)
		}
		if got := r.dump("d"); !strings.Contains(strings.Join(got, ""), `"a":"old"`) || strings.Contains(strings.Join(got, ""), "new") {
			t.Fatalf("after three days: %v", got)
		}
		r.clock.add(9 * 24 * time.Hour)
		if got := r.dump("d"); len(got) != 0 {
			t.Fatalf("after twelve days: %v", got)
		}
		if err := r.QueueSweeps(ctx); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(10 * time.Second)
		for {
			n := 0
			for _, table := range []store.Table{store.Profile, store.Index} {
				for range r.store.Sweep(ctx, store.SweepRange{Table: table}) {
					n++
				}
			}
			if n == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d rows are left after the sweep", n)
			}
			time.Sleep(5 * time.Millisecond)
		}
		r.expect(r.run("d", spec{key: "id", expiry: 10, fields: fields}, "id,a\n1,again\n"), "SUCCEEDED 1/0/0")
	})
}

func TestRetention(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{BucketBytes: 64, MemoryBytes: 1})
	r.domain("d")
	j := r.run("d", spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber"}}, "id\n1\n\"x\"y\n2\n"+strings.Repeat("3\n", 100))
	names := func(kind string) (n int) {
		for info, err := range r.blobs.List(ctx, "") {
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(info.Name, "/"+kind+"-") {
				n++
			}
		}
		return n
	}
	if names("file") != 1 || names("rejects") != 1 || names("run") == 0 || names("spill") != 0 {
		t.Fatalf("%d files, %d rejects, %d runs, %d spills", names("file"), names("rejects"), names("run"), names("spill"))
	}
	step := func(d time.Duration, files, rejects int) {
		t.Helper()
		r.clock.add(d)
		if err := r.CleanUp(ctx); err != nil {
			t.Fatal(err)
		}
		if names("file") != files || names("rejects") != rejects {
			t.Fatalf("%d files and %d rejects, want %d and %d", names("file"), names("rejects"), files, rejects)
		}
	}
	step(7*24*time.Hour-time.Minute, 1, 1)
	step(2*time.Minute, 0, 1)
	if d := r.details("d", *j.JobId); d.FileDeletedAt == nil || d.RejectsDeletedAt != nil {
		t.Fatalf("%+v", d)
	}
	if got := r.rejects("d", *j.JobId, 10); len(got) != 1 {
		t.Fatalf("%d rejects", len(got))
	}
	step(23*24*time.Hour-4*time.Minute, 0, 1)
	step(5*time.Minute, 0, 0)
	if names("run") != 0 {
		t.Fatalf("%d runs are left", names("run"))
	}
	if _, err := r.Uploads.ListUploadJobRejects(ctx, &api.ListUploadJobRejectsRequest{DomainName: api.Ptr("d"), JobId: j.JobId}); !errors.Is(err, fault.BadRequest) {
		t.Fatalf("rejects after their retention: %v", err)
	}
	r.expect(r.get("d", *j.JobId), "PARTIALLY_SUCCEEDED 3/99/1")
}

func TestStopEndsAJob(t *testing.T) {
	t.Parallel()
	file := sampleFile(t, 60_000, 4)
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 256 << 10, MemoryBytes: 1})
		r.domain("d")
		id := r.uploaded("d", sampleSpec, strings.NewReader(file))
		if err := r.startJob("d", id); err != nil {
			t.Fatal(err)
		}
		for api.Val(r.details("d", id).Stage) != "resolving" && *r.get("d", id).Status == api.UploadJobStatusInProgress {
			time.Sleep(time.Millisecond)
		}
		for range 2 {
			if _, err := r.Uploads.StopUploadJob(ctx, &api.StopUploadJobRequest{DomainName: api.Ptr("d"), JobId: &id}); err != nil {
				t.Fatal(err)
			}
			if got := *r.get("d", id).Status; got != api.UploadJobStatusStopped {
				t.Fatalf("status %s after the stop", got)
			}
		}
		j := r.wait("d", id)
		s := j.ResultsSummary
		if got := int64(len(r.dump("d"))); *j.Status != api.UploadJobStatusStopped || got != *s.CreatedRecords {
			t.Fatalf("%s, but there are %d profiles", outcome(j), got)
		}
		// The next job finds exactly what the stopped one left.
		next := r.run("d", sampleSpec, file)
		if n := next.ResultsSummary; *n.CreatedRecords+*n.UpdatedRecords != 60_000 || *n.CreatedRecords+*s.CreatedRecords != int64(len(r.dump("d"))) {
			t.Fatalf("stopped %s, next %s, %d profiles", outcome(j), outcome(next), len(r.dump("d")))
		}
	})
}

func TestDeleteDomainDuringAnImport(t *testing.T) {
	t.Parallel()
	file := sampleFile(t, 40_000, 5)
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 256 << 10, MemoryBytes: 1})
		r.domain("d")
		id := r.uploaded("d", sampleSpec, strings.NewReader(file))
		if err := r.startJob("d", id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond)
		if _, err := r.Domains.DeleteDomain(ctx, &api.DeleteDomainRequest{DomainName: api.Ptr("d")}); err != nil {
			t.Fatal(err)
		}
		r.domain("d")
		if _, err := r.Uploads.GetUploadJob(ctx, &api.GetUploadJobRequest{DomainName: api.Ptr("d"), JobId: &id}); !errors.Is(err, fault.NotFound) {
			t.Fatalf("the job of the deleted domain: %v", err)
		}
		deadline := time.Now().Add(30 * time.Second)
		for {
			n, one := 0, ""
			for _, table := range []store.Table{store.Profile, store.Index, store.Jobs} {
				for row := range r.store.Sweep(ctx, store.SweepRange{Table: table}) {
					if row.Partition.Incarnation != r.incarnation("d") {
						n++
						one = fmt.Sprintf("%s %q %q", table, row.Partition.Key, row.Row.Key)
					}
				}
			}
			dead, err := r.Domains.Dead(ctx)
			if err != nil {
				t.Fatal(err)
			}
			blobs := 0
			for range r.blobs.List(ctx, "") {
				blobs++
			}
			if n == 0 && len(dead) == 0 && blobs == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d rows (%s), %d dead domains and %d blobs are left\n%s", n, one, len(dead), blobs, r.logText())
			}
			time.Sleep(10 * time.Millisecond)
		}
		r.expect(r.run("d", spec{key: "id", fields: []string{"id:id:AccountNumber"}}, "id\n1\n"), "SUCCEEDED 1/0/0")
	})
}

// A key that a profile has no longer is a hint without confirmation: the row makes a new customer.
func TestStaleIndexRowsMatchNobody(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		fields := []string{"id:id:AccountNumber", "mail:mail:EmailAddress:EMAIL_ADDRESS"}
		r.expect(r.run("d", spec{key: "id", fields: fields}, "id,mail\n1,old@example.com\n"), "SUCCEEDED 1/0/0")
		r.expect(r.run("d", spec{key: "id", fields: fields}, "id,mail\n1,new@example.com\n"), "SUCCEEDED 0/1/0")
		if got := r.search("d", "_email", "old@example.com"); len(got) != 0 {
			t.Fatalf("the old address finds %v", got)
		}
		r.expect(r.run("d", spec{key: "mail", fields: fields}, "id,mail\n2,old@example.com\n3,NEW@example.com\n"), "SUCCEEDED 1/1/0")
		if got := r.search("d", "_account", "1", "2", "3"); !slices.Equal(got, []string{"2", "3"}) {
			t.Fatalf("found %v", got)
		}
	})
}

// A value that very many profiles held is a long list of hints: whoever still has it is found, wherever he stands in it.
func TestPopularKeys(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		byID := spec{key: "id", fields: []string{"id:id:AccountNumber", "team:team:Attributes.team"}}
		byTeam := spec{key: "team", fields: []string{"team:team:Attributes.team", "x:x:Attributes.x"}}
		r.expect(r.run("d", spec{key: "team", fields: byTeam.fields[:1]}, "team\nfirst\n"), "SUCCEEDED 1/0/0") // makes the attribute a key
		var red, blue strings.Builder
		red.WriteString("id,team\n")
		blue.WriteString("id,team\n")
		const n = 300
		for i := range n {
			fmt.Fprintf(&red, "%04d,red\n", i)
			if i != 250 {
				fmt.Fprintf(&blue, "%04d,blue\n", i)
			}
		}
		r.expect(r.run("d", byID, red.String()), fmt.Sprintf("SUCCEEDED %d/0/0", n))
		r.expect(r.run("d", byTeam, "team,x\nred,1\n"), "FAILED 0/0/1 VALIDATION_FAILURE")
		r.expect(r.run("d", byID, blue.String()), fmt.Sprintf("SUCCEEDED 0/%d/0", n-1))
		r.expect(r.run("d", byTeam, "team,x\nred,2\nblue,3\n"), "PARTIALLY_SUCCEEDED 0/1/1")
		out := r.dump("d")
		if got := strings.Count(strings.Join(out, "\n"), `"x":"2"`); got != 1 {
			t.Fatalf("%d profiles were updated", got)
		}
	})
}

// Behind a proxy that changes the Host header, URLs name the public host and are accepted under either name.
func TestPublicURL(t *testing.T) {
	t.Parallel()
	const public = "https://kith.example"
	for _, known := range []bool{true, false} {
		r := newRig(t, mem.New(), upload.Config{})
		if known {
			r.server.PublicURL = public
			r.restart()
		}
		r.domain("d")
		id := r.uploaded("d", spec{key: "id", fields: []string{"id:id:AccountNumber"}}, strings.NewReader("id\n1\n"))
		path, err := r.Uploads.GetUploadJobPath(upload.WithBaseURL(ctx, public), &api.GetUploadJobPathRequest{DomainName: api.Ptr("d"), JobId: &id})
		if err != nil || !strings.HasPrefix(*path.Url, public+"/upload/d/"+id+"?X-Amz-Algorithm=") || len(*path.Url) > 2048 {
			t.Fatalf("%v, %v", path, err)
		}
		key := decodeKey(t, *path.ClientToken)
		sum := md5.Sum(key[:]) // the protocol asks for it
		for host, want := range map[string]int{"kith.example": 200, "10.0.0.7:8320": map[bool]int{true: 200, false: 403}[known]} {
			req := httptest.NewRequest(http.MethodPut, *path.Url, strings.NewReader("id\n2\n"))
			req.RequestURI = strings.TrimPrefix(*path.Url, public)
			req.Host = host
			req.Header.Set(upload.HeaderAlgorithm, "AES256")
			req.Header.Set(upload.HeaderKey, *path.ClientToken)
			req.Header.Set(upload.HeaderKeyMD5, base64.StdEncoding.EncodeToString(sum[:]))
			req.Header.Set("Content-Length", "5")
			w := httptest.NewRecorder()
			r.Handler.ServeHTTP(w, req)
			if w.Code != want {
				t.Errorf("known %t, host %s: %d %s", known, host, w.Code, w.Body)
			}
		}
	}
}

// Another node stops the job between the decision about a bucket and its publication: the bucket must not count.
func TestNothingIsPublishedAfterAStop(t *testing.T) {
	t.Parallel()
	st := &faulty.Store{Store: mem.New()}
	r := newRig(t, st, upload.Config{BucketBytes: 8 << 10, MemoryBytes: 1, StopPollEvery: time.Hour})
	r.domain("d")
	other := &upload.Service{Store: r.store, Blobs: r.blobs, Domains: r.Domains, Profiles: r.Profiles, Sealer: r.Uploads.Sealer, Now: r.clock.now, Log: r.Log}
	id := r.uploaded("d", sampleSpec, strings.NewReader(sampleFile(t, 500, 9)))
	var swaps atomic.Int64
	var stopped atomic.Pointer[string]
	st.Before(func(op faulty.Op, p store.Partition) error {
		if op != faulty.Swap || p.Key != "work/"+id || swaps.Add(1) != 9 {
			return nil
		}
		if _, err := other.StopUploadJob(ctx, &api.StopUploadJobRequest{DomainName: api.Ptr("d"), JobId: &id}); err != nil {
			return err
		}
		text := outcome(r.get("d", id))
		stopped.Store(&text)
		return nil
	})
	if err := r.startJob("d", id); err != nil {
		t.Fatal(err)
	}
	end := outcome(r.wait("d", id))
	if stopped.Load() == nil || !strings.HasPrefix(end, "STOPPED") || end == "STOPPED 0/0/0" {
		t.Fatalf("the test stopped nothing in the middle: %s", end)
	}
	if end != *stopped.Load() {
		t.Fatalf("%s at the stop, %s at the end", *stopped.Load(), end)
	}
}

// A profile that is deleted while an import writes to it stays deleted, and what was written goes with the next sweep.
func TestDeletedProfilesStayDeleted(t *testing.T) {
	t.Parallel()
	st := &faulty.Store{Store: mem.New()}
	r := newRig(t, st, upload.Config{})
	r.domain("d")
	s := spec{key: "id", fields: []string{"id:id:AccountNumber"}}
	r.expect(r.run("d", s, "id\n1\n2\n"), "SUCCEEDED 2/0/0")
	find := func(account string) string {
		out, err := r.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: api.Ptr("d"), KeyName: api.Ptr("_account"), Values: []string{account}})
		if err != nil || len(out.Items) != 1 {
			t.Fatalf("%v, %v", out, err)
		}
		return *out.Items[0].ProfileId
	}
	one, two := find("1"), find("2")
	remove := func(id string) error {
		_, err := r.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: api.Ptr("d"), ProfileId: &id})
		return err
	}
	var removed atomic.Bool // a deletion writes, too
	st.Before(func(op faulty.Op, p store.Partition) error {
		if op == faulty.WriteRun && p.Table == store.Profile && removed.CompareAndSwap(false, true) {
			return remove(one)
		}
		return nil
	})
	r.expect(r.run("d", s, "id\n1\n2\n"), "SUCCEEDED 0/2/0")
	st.Before(func(op faulty.Op, p store.Partition) error { // the second deletion is cut off behind its tombstone
		if op == faulty.WriteRun {
			return errors.New("injected: cut off")
		}
		return nil
	})
	if err := remove(two); err == nil {
		t.Fatal("the deletion was not cut off")
	}
	st.Before(nil)
	if got := r.dump("d"); len(got) != 0 {
		t.Fatalf("deleted profiles came back: %v", got)
	}
	if err := remove(two); !errors.Is(err, fault.NotFound) {
		t.Fatalf("a second deletion: %v", err)
	}
	if err := r.QueueSweeps(ctx); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		contributions, index := 0, 0
		for row := range st.Sweep(ctx, store.SweepRange{Table: store.Profile}) {
			if row.Row.Key[0] == 'c' {
				contributions++
			}
		}
		for range st.Sweep(ctx, store.SweepRange{Table: store.Index}) {
			index++
		}
		if contributions == 0 && index == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d contributions and %d index rows are left", contributions, index)
		}
	}
	r.expect(r.run("d", s, "id\n1\n"), "SUCCEEDED 1/0/0")
}

// The time of an import is told if it did nothing but work: not if it stood still, because the disk was full, the server was away, or somebody stopped it then.
func TestTimeOfPausesIsNotTold(t *testing.T) {
	t.Parallel()
	full := atomic.Bool{}
	r := newRigOn(t, mem.New(), upload.Config{RoomPollEvery: time.Millisecond}, nil, func() (int64, int64, error) {
		if full.Load() {
			return 0, 100, nil
		}
		return 100, 100, nil
	})
	r.domain("d")
	for name, c := range map[string]struct {
		meanwhile func(id string) // while there is no room
		want      string
		told      bool
	}{
		"nothing":     {nil, "SUCCEEDED 0/1/0", true},
		"a full disk": {func(string) {}, "SUCCEEDED 0/1/0", false},
		"a restart":   {func(string) { r.Stop(); full.Store(false); r.start() }, "SUCCEEDED 0/1/0", false},
		"a stop": {func(id string) {
			if _, err := r.Uploads.StopUploadJob(ctx, &api.StopUploadJobRequest{DomainName: api.Ptr("d"), JobId: &id}); err != nil {
				t.Fatal(err)
			}
		}, "STOPPED 0/0/0", false},
	} {
		r.run("d", spec{key: "id", fields: []string{"id:id:AccountNumber"}}, "id\n"+name+"\n")
		id := r.uploaded("d", spec{key: "id", fields: []string{"id:id:AccountNumber"}}, strings.NewReader("id\n"+name+"\n"))
		full.Store(c.meanwhile != nil)
		if err := r.startJob("d", id); err != nil {
			t.Fatal(err)
		}
		if c.meanwhile != nil {
			for r.details("d", id).ProfilesExpireAt == nil { // it has begun
				time.Sleep(time.Millisecond)
			}
			c.meanwhile(id)
			full.Store(false)
		}
		r.expect(r.wait("d", id), c.want)
		if told := r.details("d", id).WorkedMilliseconds; (told != nil) != c.told {
			t.Errorf("%s: it took %v ms", name, told)
		}
	}
}
