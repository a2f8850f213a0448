package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"github.com/aws/smithy-go"
)

const (
	trafficDomain = "customers"
	trafficType   = "visit"
)

// densities take turns: many customers, so that imports take their time, and few of whom each meets many writes and merges.
var densities = []density{
	{customers: 1500, workers: 6, acts: 300, pause: 120 * time.Millisecond},
	{customers: 16_000, workers: 4, acts: 2000, pause: 400 * time.Millisecond},
}

// density is how many customers and clients there are, how much each client does in a round, and the longest time from one kill to the next.
type density struct {
	customers, workers, acts int
	pause                    time.Duration
}

// The program is killed with SIGKILL at random moments of imports of new, of the same, of changed and of half new files, while clients edit, merge and
// delete the same customers and put objects to them. In the end what was acknowledged is there, once, and everybody shows what the last file says.
// KITH_TORTURE is how often it is killed in all.
func TestKillDuringTraffic(t *testing.T) {
	t.Parallel()
	want, long := 3, false
	if text := os.Getenv("KITH_TORTURE"); text != "" {
		var err error
		if want, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		long = true
	}
	dir := t.TempDir()
	for kills, round := 0, 0; kills < want; round++ {
		of := densities[round%len(densities)]
		if long {
			of.acts = math.MaxInt // else a slow import means that clients do more, and all that they have done is looked at in the end
		}
		tr := &traffic{t: t, density: of, mails: make([]int, of.customers), known: make([]acknowledged, of.customers), put: make([]bool, of.customers),
			data: filepath.Join(dir, fmt.Sprint("killed", round)), rnd: rand.New(rand.NewPCG(rand.Uint64(), 0))}
		n := min(want-kills, (want+1)/2, 12) // so that each has its turn
		tr.round(n)
		kills += n
		if err := os.RemoveAll(tr.data); err != nil {
			t.Fatal(err)
		}
		if want > 100 && round%5 == 0 {
			t.Logf("%d kills; in this round %d edits, %d objects, %d merges, %d deletions; of %d calls %d were cut off", kills,
				tr.edits.Load(), tr.puts.Load(), tr.merges.Load(), tr.deletions.Load(), tr.calls.Load(), tr.cut.Load())
		}
	}
}

// traffic is a server with clients that write to it while files are imported.
type traffic struct {
	density
	t      *testing.T
	data   string
	rnd    *rand.Rand // of the imports and kills; each worker has its own
	server *exec.Cmd
	client atomic.Pointer[customerprofiles.Client]
	// mails is the version of each customer's e-mail address in the newest file that names it; versions only rise.
	mails []int
	// known is what workers know of their customers, who are those of their number modulo workers.
	known []acknowledged
	// put says who has got an object. It may have made a profile while an import made another; then the two were made one, which keeps the keys of both.
	put []bool
	// kills are left for this round.
	kills                                      int
	edits, puts, merges, deletions, calls, cut atomic.Int64
}

// acknowledged is what a server has said that it has of a customer.
type acknowledged struct {
	main    int // the customer whose profile this one's was merged into, plus one; 0: it has its own
	note    string
	objects []string
}

// round imports files, with kills in all of them, and checks what is there in the end.
func (tr *traffic) round(kills int) {
	tr.kills = kills
	tr.serve()
	tr.define()
	done := make(chan struct{})
	var workers sync.WaitGroup
	end := sync.OnceFunc(func() {
		close(done)
		workers.Wait()
	})
	defer end()
	for w := range tr.workers {
		workers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), uint64(time.Now().UnixNano())))
			for n := range tr.acts {
				select {
				case <-done:
					return
				default:
					tr.act(w, n, rnd)
				}
			}
		})
	}
	half, all := tr.customers/2, tr.customers
	tr.load(0, half, 0)
	for tr.kills > 0 && !tr.t.Failed() {
		switch tr.rnd.IntN(4) {
		case 0:
			tr.load(0, half, 0)
		case 1:
			tr.load(0, half, 100)
		case 2:
			tr.load(half/2, half+half/2, 50)
		case 3:
			tr.load(0, all, 1000)
		}
	}
	end()
	if tr.t.Failed() {
		tr.t.FailNow()
	}
	tr.load(0, all, 30)
	tr.check()
}

// serve starts the server, again too.
func (tr *traffic) serve() {
	tr.server = serve(tr.t, tr.data)
	tr.client.Store(customerprofiles.New(clientOf(tr.t, tr.data).Options(), func(o *customerprofiles.Options) { o.Retryer = aws.NopRetryer{} }))
}

// define makes the domain, and the type of the objects that workers put.
func (tr *traffic) define() {
	name, days := trafficDomain, int32(30)
	if _, err := tr.client.Load().CreateDomain(ctx, &customerprofiles.CreateDomainInput{DomainName: &name, DefaultExpirationDays: &days}); err != nil {
		tr.t.Fatal(err)
	}
	_, err := tr.client.Load().PutProfileObjectType(ctx, &customerprofiles.PutProfileObjectTypeInput{
		DomainName: &name, ObjectTypeName: aws.String(trafficType), Description: aws.String("a visit"), AllowProfileCreation: true,
		Fields: map[string]types.ObjectTypeField{
			"id":       {Source: aws.String("_source.id"), ContentType: types.FieldContentTypeString},
			"customer": {Source: aws.String("_source.customer"), Target: aws.String("_profile.AccountNumber"), ContentType: types.FieldContentTypeString},
		},
		Keys: map[string][]types.ObjectTypeKey{
			"visitId":  {{FieldNames: []string{"id"}, StandardIdentifiers: []types.StandardIdentifier{types.StandardIdentifierUnique}}},
			"_account": {{FieldNames: []string{"customer"}, StandardIdentifiers: []types.StandardIdentifier{types.StandardIdentifierProfile}}},
		}})
	if err != nil {
		tr.t.Fatal(err)
	}
}

// load imports the customers of a range, of whom one in changed has a new e-mail address (0: nobody), while the server is killed.
func (tr *traffic) load(from, to, changed int) {
	tr.t.Helper()
	var b bytes.Buffer
	b.WriteString("id,first,last,mail\n")
	for _, c := range tr.rnd.Perm(to - from) {
		c += from
		if changed > 0 && tr.rnd.IntN(changed) == 0 {
			tr.mails[c]++
		}
		fmt.Fprintf(&b, "%s,%s,Of %d,%s\n", account(c), firstName(c), c/7, mail(c, tr.mails[c]))
	}
	path := filepath.Join(filepath.Dir(tr.data), "customers.csv")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		tr.t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		tr.t.Fatal(err)
	}
	defer f.Close()
	name, key := trafficDomain, "id"
	field := func(source, target string, kind types.FieldContentType) types.ObjectTypeField {
		return types.ObjectTypeField{Source: aws.String("_source." + source), Target: aws.String("_profile." + target), ContentType: kind}
	}
	job, _ := uploadTo(tr.t, tr.client.Load(), &customerprofiles.CreateUploadJobInput{DomainName: &name, DisplayName: &key, UniqueKey: &key,
		Fields: map[string]types.ObjectTypeField{
			key: field("id", "AccountNumber", types.FieldContentTypeString), "mail": field("mail", "EmailAddress", types.FieldContentTypeEmailAddress),
			"first": field("first", "FirstName", types.FieldContentTypeName), "last": field("last", "LastName", types.FieldContentTypeName),
		}}, f)
	if _, err := tr.client.Load().StartUploadJob(ctx, &customerprofiles.StartUploadJobInput{DomainName: &name, JobId: &job}); err != nil {
		tr.t.Fatal(err)
	}
	for range min(tr.kills, 1+tr.rnd.IntN(4)) {
		time.Sleep(time.Duration(tr.rnd.Int64N(int64(tr.pause))))
		kill(tr.t, tr.server)
		tr.serve()
		tr.kills--
	}
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		j, err := tr.client.Load().GetUploadJob(ctx, &customerprofiles.GetUploadJobInput{DomainName: &name, JobId: &job})
		switch {
		case err != nil:
			tr.t.Fatal(err)
		case j.Status == types.UploadJobStatusSucceeded:
			if rows := aws.ToInt64(j.ResultsSummary.CreatedRecords) + aws.ToInt64(j.ResultsSummary.UpdatedRecords); rows != int64(to-from) {
				tr.t.Fatalf("%d of %d rows are counted", rows, to-from)
			}
			return
		case j.Status != types.UploadJobStatusInProgress || time.Now().After(deadline):
			rejects, _, _ := kith(tr.t, "rejects", job, "--data", tr.data)
			tr.t.Fatalf("the import is %s, %s %.2000s", j.Status, j.StatusReason, rejects)
		}
	}
}

func account(c int) string   { return fmt.Sprintf("C%06d", c) }
func firstName(c int) string { return fmt.Sprintf("Given%d", c) }
func mail(c, version int) string {
	return fmt.Sprintf("c%d.%d@example.com", c, version)
}

// call makes a call until the server answers it, whatever happens to the server meanwhile, and returns the API's error. Each of the calls here comes
// to the same if it is made twice.
func (tr *traffic) call(do func(c *customerprofiles.Client) error) error {
	for {
		tr.calls.Add(1)
		before := tr.client.Load()
		err := do(before)
		var said smithy.APIError
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &said): // cut off, or nobody listens
			tr.cut.Add(1)
		case strings.Contains(said.ErrorMessage(), "concurrent update in-progress"), said.ErrorFault() == smithy.FaultServer:
		default:
			return err
		}
		if tr.t.Failed() {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// found returns the ids of the profiles that have a key.
func (tr *traffic) found(key, value string) (ids []string) {
	tr.t.Helper()
	err := tr.call(func(c *customerprofiles.Client) error {
		out, err := c.SearchProfiles(ctx, &customerprofiles.SearchProfilesInput{DomainName: aws.String(trafficDomain), KeyName: &key, Values: []string{value}})
		if err != nil {
			return err
		}
		ids = nil
		for _, p := range out.Items {
			ids = append(ids, *p.ProfileId)
		}
		return nil
	})
	if err != nil && !tr.t.Failed() {
		tr.t.Errorf("search: %v", err)
	}
	return ids
}

// person returns the customer whose profile a customer has.
func (tr *traffic) person(c int) int {
	for tr.known[c].main > 0 {
		c = tr.known[c].main - 1
	}
	return c
}

// act does something to customers of a worker, the nth thing it does. Who has no profile at the moment, or two because an import has just made a
// second one that goes again, is left alone.
func (tr *traffic) act(worker, n int, rnd *rand.Rand) {
	pick := func() int { return rnd.IntN(tr.customers/tr.workers)*tr.workers + worker }
	c := pick()
	if do := rnd.IntN(20); do < 8 {
		tr.visit(c, fmt.Sprintf("V%d-%d", worker, n))
		return
	} else if ids := tr.found("_account", account(c)); len(ids) == 1 {
		switch p := tr.person(c); {
		case do < 15:
			tr.edit(p, ids[0], fmt.Sprintf("%d-%d", worker, n))
		case do < 19:
			tr.merge(c, pick())
		default:
			tr.remove(p, ids[0])
		}
	}
}

func (tr *traffic) visit(c int, id string) {
	object := fmt.Sprintf(`{"id": %q, "customer": %q}`, id, account(c))
	err := tr.call(func(client *customerprofiles.Client) error {
		_, err := client.PutProfileObject(ctx, &customerprofiles.PutProfileObjectInput{DomainName: aws.String(trafficDomain), ObjectTypeName: aws.String(trafficType), Object: &object})
		return err
	})
	if err != nil {
		tr.t.Errorf("put an object: %v", err)
		return
	}
	p := tr.person(c)
	tr.put[c] = true
	tr.known[p].objects = append(tr.known[p].objects, id)
	tr.puts.Add(1)
}

func (tr *traffic) edit(p int, id, note string) {
	err := tr.call(func(client *customerprofiles.Client) error {
		_, err := client.UpdateProfile(ctx, &customerprofiles.UpdateProfileInput{DomainName: aws.String(trafficDomain), ProfileId: &id, Attributes: map[string]string{"note": note}})
		return err
	})
	switch {
	case gone(err):
	case err != nil:
		tr.t.Errorf("edit: %v", err)
	default:
		tr.known[p].note = note
		tr.edits.Add(1)
	}
}

// merge merges the persons of two customers. A merge that was cut off may have been done: then both keys find one profile.
func (tr *traffic) merge(a, b int) {
	into, from := tr.person(a), tr.person(b)
	if into == from {
		return
	}
	for {
		main, other := tr.found("_account", account(a)), tr.found("_account", account(b))
		if len(main) != 1 || len(other) != 1 {
			return
		}
		if main[0] == other[0] {
			break
		}
		var said smithy.APIError
		tr.calls.Add(1)
		_, err := tr.client.Load().MergeProfiles(ctx, &customerprofiles.MergeProfilesInput{DomainName: aws.String(trafficDomain), MainProfileId: &main[0], ProfileIdsToBeMerged: other})
		if err == nil {
			break
		} else if errors.As(err, &said) && said.ErrorFault() != smithy.FaultServer && !strings.Contains(said.ErrorMessage(), "concurrent update") && !gone(err) {
			tr.t.Errorf("merge: %v", err)
		}
		if tr.t.Failed() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	main, other := &tr.known[into], &tr.known[from]
	if main.note == "" {
		main.note = other.note
	}
	main.objects = append(main.objects, other.objects...)
	*other = acknowledged{main: into + 1}
	tr.merges.Add(1)
}

// remove deletes a person: each of its customers begins anew with the next import.
func (tr *traffic) remove(p int, id string) {
	err := tr.call(func(client *customerprofiles.Client) error {
		_, err := client.DeleteProfile(ctx, &customerprofiles.DeleteProfileInput{DomainName: aws.String(trafficDomain), ProfileId: &id})
		return err
	})
	if err != nil && !gone(err) {
		tr.t.Errorf("delete: %v", err)
		return
	}
	var all []int
	for c := p % tr.workers; c < tr.customers; c += tr.workers {
		if tr.person(c) == p {
			all = append(all, c)
		}
	}
	for _, c := range all {
		tr.known[c] = acknowledged{}
	}
	tr.deletions.Add(1)
}

// gone says that a call names a profile that is no more: an import that was under way when an object came for the same customer has made theirs one.
func gone(err error) bool {
	var missing *types.ResourceNotFoundException
	return errors.As(err, &missing) || err != nil && strings.Contains(err.Error(), "Unknown profile IDs")
}

// check compares all that the server has with what it has acknowledged and what the last file says.
func (tr *traffic) check() {
	t := tr.t
	t.Helper()
	members := map[int][]int{}
	for c := range tr.customers {
		members[tr.person(c)] = append(members[tr.person(c)], c)
	}
	shown := tr.export()
	if len(shown) != len(members) {
		t.Errorf("there are %d profiles of %d persons", len(shown), len(members))
	}
	for p, all := range members {
		ids := tr.found("_account", account(p))
		if len(ids) != 1 {
			t.Fatalf("the key of %d finds %d profiles", p, len(ids))
		}
		got := shown[ids[0]]
		if len(all) > 1 || len(tr.known[p].objects) > 0 || tr.rnd.IntN(8) == 0 { // the others are known by the export
			tr.checkKeys(ids[0], all)
		}
		if len(all) == 1 && (got.AccountNumber != account(p) || got.FirstName != firstName(p) || got.EmailAddress != mail(p, tr.mails[p])) {
			t.Fatalf("customer %d shows %+v, the last file has %s", p, got, mail(p, tr.mails[p]))
		}
		if got.Attributes["note"] != tr.known[p].note {
			t.Fatalf("the note of customer %d is %q, acknowledged was %q", p, got.Attributes["note"], tr.known[p].note)
		}
	}
	stop(t, tr.server)
	if left, _ := filepath.Glob(filepath.Join(tr.data, "store", "ingest", "*")); len(left) > 0 {
		t.Fatalf("%d tables of killed attempts are left aside", len(left))
	}
}

// checkKeys checks that each key of a person's customers finds it alone, that their former e-mail addresses find nobody, and that it has its objects.
func (tr *traffic) checkKeys(id string, all []int) {
	t := tr.t
	t.Helper()
	for _, c := range all {
		if ids := tr.found("_account", account(c)); !slices.Equal(ids, []string{id}) {
			t.Fatalf("the key of %d finds %q, not %s", c, ids, id)
		}
		if ids := tr.found("_email", mail(c, tr.mails[c])); !slices.Equal(ids, []string{id}) {
			t.Fatalf("the e-mail address of %d finds %q, not %s", c, ids, id)
		}
		if v := tr.mails[c] - 1; v >= 0 && len(all) == 1 && !tr.put[c] {
			if ids := tr.found("_email", mail(c, v)); len(ids) > 0 {
				t.Fatalf("a former e-mail address of %d finds %q", c, ids)
			}
		}
	}
	want := slices.Sorted(slices.Values(tr.known[tr.person(all[0])].objects))
	var got []string
	in := &customerprofiles.ListProfileObjectsInput{DomainName: aws.String(trafficDomain), ObjectTypeName: aws.String(trafficType), ProfileId: &id}
	for {
		page, err := tr.client.Load().ListProfileObjects(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Items {
			var visit struct{ ID string }
			if err := json.Unmarshal([]byte(*o.Object), &visit); err != nil {
				t.Fatal(err)
			}
			got = append(got, visit.ID)
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			break
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Fatalf("customers %d have the objects %q, acknowledged were %q", all, got, want)
	}
}

// exported is what is looked at of a profile.
type exported struct {
	ProfileID                              string `json:"ProfileId"`
	AccountNumber, FirstName, EmailAddress string
	Attributes                             map[string]string
}

// export returns all profiles by their ids.
func (tr *traffic) export() map[string]exported {
	stdout, stderr, err := kith(tr.t, "export", "--data", tr.data, "--domain", trafficDomain)
	if err != nil {
		tr.t.Fatal(stderr)
	}
	all := map[string]exported{}
	for line := range strings.Lines(stdout) {
		var e exported
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			tr.t.Fatal(err)
		}
		all[e.ProfileID] = e
	}
	return all
}
