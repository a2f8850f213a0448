package programs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// newDomain makes a domain.
func newDomain(t *testing.T, a *account, name string) string {
	t.Helper()
	must(a.CreateDomain(t.Context(), &cp.CreateDomainInput{DomainName: &name, DefaultExpirationDays: new(int32(366))}))(t)
	return name
}

// directory keeps the customers of a shop: who is known is updated, everybody else created. It searches by an attribute's own name where
// the domain has no such key, as many programs do, and takes the first it finds.
type directory struct {
	*account
	domain string
}

type customer struct {
	account, first, last, phone, email string
	attributes                         map[string]string
}

func (d *directory) save(ctx context.Context, c customer) (id string, created bool, err error) {
	found, err := d.SearchProfiles(ctx, &cp.SearchProfilesInput{DomainName: &d.domain, KeyName: new("EmailAddress"), Values: []string{c.email}})
	if err != nil {
		return "", false, err
	}
	if len(found.Items) == 0 {
		out, err := d.CreateProfile(ctx, &cp.CreateProfileInput{DomainName: &d.domain, AccountNumber: &c.account, FirstName: &c.first, LastName: &c.last,
			PhoneNumber: &c.phone, EmailAddress: &c.email, PartyType: types.PartyTypeIndividual, Attributes: c.attributes})
		if err != nil {
			return "", false, err
		}
		return *out.ProfileId, true, nil
	}
	out, err := d.UpdateProfile(ctx, &cp.UpdateProfileInput{DomainName: &d.domain, ProfileId: found.Items[0].ProfileId, AccountNumber: &c.account, FirstName: &c.first,
		LastName: &c.last, PhoneNumber: &c.phone, EmailAddress: &c.email, Attributes: c.attributes})
	if err != nil {
		return "", false, err
	}
	return *out.ProfileId, false, nil
}

// Whoever comes twice, with other capitals, is one customer, and what was said of them comes back as it was said.
func TestSearchThenCreateOrUpdate(t *testing.T) {
	a := start(t)
	d := &directory{a, newDomain(t, a, "shop")}
	values := []string{"null", "  x\t", "👩‍👩‍👧", "\u202bשלום عليكم\u202c", strings.Repeat("𝄞", 255)}
	for i, v := range values {
		c := customer{fmt.Sprint("A-", i), "Ada", v, "+1206555010" + fmt.Sprint(i), fmt.Sprintf("ada%d@example.com", i), map[string]string{"v": v}}
		first, created, err := d.save(t.Context(), c)
		if err != nil || !created {
			t.Fatal(created, err)
		}
		c.email, c.first = strings.ToUpper(c.email), "Augusta"
		second, created, err := d.save(t.Context(), c)
		if err != nil || created || first != second {
			t.Fatalf("%q became the profiles %s and %s: %v", v, first, second, err)
		}
		found := must(a.SearchProfiles(t.Context(), &cp.SearchProfilesInput{DomainName: &d.domain, KeyName: new("_account"), Values: []string{c.account}}))(t)
		if len(found.Items) != 1 || *found.Items[0].LastName != v || found.Items[0].Attributes["v"] != v || *found.Items[0].FirstName != "Augusta" {
			t.Errorf("%q came back as %+v", v, found.Items)
		}
	}
	stats := must(a.GetDomain(t.Context(), &cp.GetDomainInput{DomainName: &d.domain}))(t).Stats
	same(t, "profiles", stats.ProfileCount, int64(len(values)))
}

// popped is what an agent sees when a call comes in.
type popped struct {
	profile  *types.Profile
	contacts []string // ids, of all pages
}

// screenPop finds who calls by the number, and their last contacts; nobody is no error.
func screenPop(ctx context.Context, a *account, domain, number string) (popped, error) {
	found, err := a.SearchProfiles(ctx, &cp.SearchProfilesInput{DomainName: &domain, KeyName: new("_phone"), Values: []string{number}})
	if err != nil || len(found.Items) == 0 {
		return popped{}, err
	}
	p := popped{profile: &found.Items[0]}
	in := &cp.ListProfileObjectsInput{DomainName: &domain, ProfileId: p.profile.ProfileId, ObjectTypeName: new("CTR"), MaxResults: new(int32(2))}
	for {
		out, err := a.ListProfileObjects(ctx, in)
		if err != nil {
			return p, err
		}
		for _, o := range out.Items {
			var record struct{ ContactId string }
			if err := json.Unmarshal([]byte(*o.Object), &record); err != nil {
				return p, err
			}
			p.contacts = append(p.contacts, record.ContactId)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return p, nil
		}
	}
}

// A contact centre pins each coming contact to the caller it has found; the records that arrive later are the caller's, newest first.
func TestScreenPop(t *testing.T) {
	a := start(t)
	domain := newDomain(t, a, "centre")
	nobody, err := screenPop(t.Context(), a, domain, "+12065550100")
	if err != nil || nobody.profile != nil {
		t.Fatalf("%+v %v", nobody, err)
	}
	id := must(a.CreateProfile(t.Context(), &cp.CreateProfileInput{DomainName: &domain, FirstName: new("Grace"), MobilePhoneNumber: new("(206) 555-0100")}))(t).ProfileId
	for i := range 5 {
		contact := fmt.Sprint("contact-", i)
		must(a.AddProfileKey(t.Context(), &cp.AddProfileKeyInput{DomainName: &domain, ProfileId: id, KeyName: new("_ctrContactId"), Values: []string{contact}}))(t)
		record := fmt.Sprintf(`{"ContactId": %q, "Channel": "VOICE", "CustomerEndpoint": {"Type": "TELEPHONE_NUMBER", "Address": "+12065550100"}}`, contact)
		must(a.PutProfileObject(t.Context(), &cp.PutProfileObjectInput{DomainName: &domain, ObjectTypeName: new("CTR"), Object: &record}))(t)
	}
	got, err := screenPop(t.Context(), a, domain, "+1 206-555-0100")
	if err != nil || got.profile == nil || *got.profile.ProfileId != *id {
		t.Fatalf("%+v %v", got, err)
	}
	same(t, "contacts", got.contacts, []string{"contact-4", "contact-3", "contact-2", "contact-1", "contact-0"})
}

// A web page looks a caller up, with keys in the page: a preflight, then a signed request of another origin, whose answer it may read. It
// knows the attribute's name only, and asks for one result.
func TestBrowserLookup(t *testing.T) {
	const page = "https://desk.example.com"
	a := start(t, page)
	domain := newDomain(t, a, "desk")
	must(a.CreateProfile(t.Context(), &cp.CreateProfileInput{DomainName: &domain, FirstName: new("Ada"), PhoneNumber: new("+12065550100")}))(t)

	path := a.url + "/domains/" + domain + "/profiles/search?max-results=1"
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask.Header.Set("Origin", page)
	ask.Header.Set("Access-Control-Request-Method", "POST")
	ask.Header.Set("Access-Control-Request-Headers", "amz-sdk-invocation-id,amz-sdk-request,authorization,content-type,x-amz-content-sha256,x-amz-date,x-amz-user-agent")
	preflight := must(http.DefaultClient.Do(ask))(t)
	defer preflight.Body.Close()
	same(t, "preflight", preflight.Header.Get("Access-Control-Allow-Origin"), page)

	body := []byte(`{"KeyName":"PhoneNumber","Values":["+12065550100"]}`)
	call, err := http.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	call.Header.Set("Origin", page)
	call.Header.Set("Content-Type", "application/json")
	creds := must(a.creds.Retrieve(t.Context()))(t)
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, call, hex.EncodeToString(sum[:]), "profile", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	res := must(http.DefaultClient.Do(call))(t)
	defer res.Body.Close()
	var got struct{ Items []struct{ FirstName string } }
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("Access-Control-Allow-Origin") != page || !strings.Contains(strings.ToLower(res.Header.Get("Access-Control-Expose-Headers")), "x-amzn-requestid") {
		t.Errorf("the page can't read the answer: %v", res.Header)
	}
	if len(got.Items) != 1 || got.Items[0].FirstName != "Ada" {
		t.Errorf("%+v", got)
	}
}

// An agent writes notes beside a customer: each is an object of its own, the last one also an attribute; a note is corrected and one
// deleted. Two agents who write the same profile at the same time lose nothing.
func TestAgentNotes(t *testing.T) {
	a := start(t)
	domain := newDomain(t, a, "notes")
	must(a.PutProfileObjectType(t.Context(), &cp.PutProfileObjectTypeInput{DomainName: &domain, ObjectTypeName: new("AgentNote"), Description: new("what agents write down"),
		Fields: map[string]types.ObjectTypeField{
			"noteId": {Source: new("_source.noteId")}, "customer": {Source: new("_source.customer")},
			"text": {Source: new("_source.text"), Target: new("_profile.Attributes.lastNote")},
		},
		Keys: map[string][]types.ObjectTypeKey{
			"noteId":   {{FieldNames: []string{"noteId"}, StandardIdentifiers: []types.StandardIdentifier{types.StandardIdentifierUnique}}},
			"_account": {{FieldNames: []string{"customer"}, StandardIdentifiers: []types.StandardIdentifier{types.StandardIdentifierProfile}}},
		}}))(t)
	id := must(a.CreateProfile(t.Context(), &cp.CreateProfileInput{DomainName: &domain, AccountNumber: new("A-1")}))(t).ProfileId
	write := func(ctx context.Context, note, text string) (string, error) {
		b, err := json.Marshal(map[string]string{"noteId": note, "customer": "A-1", "text": text})
		if err != nil {
			return "", err
		}
		out, err := a.PutProfileObject(ctx, &cp.PutProfileObjectInput{DomainName: &domain, ObjectTypeName: new("AgentNote"), Object: new(string(b))})
		if err != nil {
			return "", err
		}
		return *out.ProfileObjectUniqueKey, nil
	}
	const agents, each = 2, 6
	done := make(chan error, agents)
	for agent := range agents {
		go func() {
			var errs []error
			for i := range each {
				_, err := write(t.Context(), fmt.Sprintf("n-%d-%d", agent, i), "called back 👍")
				_, err2 := a.UpdateProfile(t.Context(), &cp.UpdateProfileInput{DomainName: &domain, ProfileId: id, Attributes: map[string]string{fmt.Sprintf("agent%d-%d", agent, i): "was here"}})
				errs = append(errs, err, err2)
			}
			done <- errors.Join(errs...)
		}()
	}
	for range agents {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	key := must(write(t.Context(), "n-0-0", "  corrected  "))(t)
	p := must(a.BatchGetProfile(t.Context(), &cp.BatchGetProfileInput{DomainName: &domain, ProfileIds: []string{*id}}))(t).Profiles[0]
	same(t, "the last note", p.Attributes["lastNote"], "  corrected  ")
	same(t, "attributes", len(p.Attributes), agents*each+1)
	must(a.DeleteProfileObject(t.Context(), &cp.DeleteProfileObjectInput{DomainName: &domain, ProfileId: id, ObjectTypeName: new("AgentNote"), ProfileObjectUniqueKey: &key}))(t)
	left := must(a.ListProfileObjects(t.Context(), &cp.ListProfileObjectsInput{DomainName: &domain, ProfileId: id, ObjectTypeName: new("AgentNote"), MaxResults: new(int32(100))}))(t)
	same(t, "notes left", len(left.Items), agents*each-1)
}
