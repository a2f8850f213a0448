package conformance

import (
	"crypto/md5"
	"encoding/base64"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

var uploadChecks = []Check{
	{"CreateUploadJob", "the id has 32 hex digits", "core.md 1.2", Model, func(t *T) {
		if id := t.job(); !hexID.MatchString(id) {
			t.Differs("JobId: got %q", id)
		}
	}},
	{"CreateUploadJob", "a mapping or a unique key that can't be is refused", "core.md 1.2", Inferred, func(t *T) {
		field := func(source, target string) map[string]types.ObjectTypeField {
			return map[string]types.ObjectTypeField{"id": {Source: new("_source.id"), Target: new("_profile.AccountNumber")}, "f": {Source: &source, Target: &target}}
		}
		for what, fields := range map[string]map[string]types.ObjectTypeField{
			"the reserved target _profile.ProfileId": field("_source.x", "_profile.ProfileId"),
			"the reserved target _profile.ImportIds": field("_source.x", "_profile.ImportIds"),
			"an attribute that profiles lack":        field("_source.x", "_profile.Colour"),
			"a target outside the profile":           field("_source.x", "FirstName"),
			"a source outside the row":               field("x", "_profile.FirstName"),
			"Gender beside GenderString": {"id": {Source: new("_source.id"), Target: new("_profile.AccountNumber")},
				"g": {Source: new("_source.g"), Target: new("_profile.Gender")}, "h": {Source: new("_source.h"), Target: new("_profile.GenderString")}},
		} {
			in := t.jobInput()
			in.Fields = fields
			in.UniqueKey = new("id")
			refused(t, what, t.Client.CreateUploadJob, in, badRequest, "")
		}
		in := t.jobInput()
		in.UniqueKey = new("nobody")
		refused(t, "a unique key that is no field", t.Client.CreateUploadJob, in, badRequest, "")
	}},
	{"CreateUploadJob", "DataExpiry out of 1 to 1098 is refused", "core.md 1.2", Model, func(t *T) {
		for _, days := range []int32{0, 1099} {
			in := t.jobInput()
			in.DataExpiry = &days
			refused(t, show(days)+" days", t.Client.CreateUploadJob, in, badRequest, "")
		}
	}},
	{"GetUploadJob", "a new job is CREATED, and has what was asked for; DataExpiry is 14 days unless said", "core.md 1.3", Model, func(t *T) {
		in := t.jobInput()
		id := call(t, t.Client.CreateUploadJob, in).JobId
		got := call(t, t.Client.GetUploadJob, &cp.GetUploadJobInput{DomainName: &t.domain, JobId: id})
		same(t, "Status", got.Status, types.UploadJobStatusCreated)
		sameText(t, "DisplayName", got.DisplayName, *in.DisplayName)
		sameText(t, "UniqueKey", got.UniqueKey, *in.UniqueKey)
		same(t, "number of Fields", len(got.Fields), len(in.Fields))
		if got.DataExpiry == nil || *got.DataExpiry != 14 {
			t.Differs("DataExpiry: got %v, want 14", got.DataExpiry)
		}
	}},
	{"GetUploadJob", "an unknown id is not found, a malformed one refused", "core.md 1.3", Inferred, func(t *T) {
		refused(t, "an unknown id", t.Client.GetUploadJob, &cp.GetUploadJobInput{DomainName: &t.domain, JobId: new(strings.Repeat("0", 32))}, notFound, "")
		refused(t, "a malformed id", t.Client.GetUploadJob, &cp.GetUploadJobInput{DomainName: &t.domain, JobId: new("nobody")}, badRequest, "")
	}},
	{"GetUploadJobPath", "the answer is a URL of at most 2048 characters, a key, and a time to come", "core.md 1.6", Model, func(t *T) {
		id := t.job()
		path := call(t, t.Client.GetUploadJobPath, &cp.GetUploadJobPathInput{DomainName: &t.domain, JobId: &id})
		if path.Url == nil || len(*path.Url) > 2048 || path.ClientToken == nil || path.ValidUntil == nil || path.ValidUntil.Before(time.Now().Add(-time.Minute)) {
			t.Differs("got %v, %v, %v", path.Url, path.ClientToken, path.ValidUntil)
		}
	}},
	{"GetUploadJobPath", "the key is 32 bytes in base64, the same for the life of the job", "core.md 1.6", Inferred, func(t *T) {
		id := t.job()
		in := &cp.GetUploadJobPathInput{DomainName: &t.domain, JobId: &id}
		first, second := call(t, t.Client.GetUploadJobPath, in), call(t, t.Client.GetUploadJobPath, in)
		if key, err := base64.StdEncoding.DecodeString(*first.ClientToken); err != nil || len(key) != 32 {
			t.Differs("the key has %d bytes: %v", len(key), err)
		}
		same(t, "the second key is the first", *second.ClientToken == *first.ClientToken, true)
	}},
	{"GetUploadJobPath", "a PUT whose MD5 is not that of the key is refused", "core.md 1.6", Doc, func(t *T) {
		id := t.job()
		if status := t.put(id, "id\n1\n", "AAAAAAAAAAAAAAAAAAAAAA=="); status < 400 || status >= 500 {
			t.Differs("it is answered %d", status)
		}
	}},
	{"StartUploadJob", "a job without a file is refused, and stays CREATED", "core.md 1.5", Inferred, func(t *T) {
		id := t.job()
		refused(t, "a start without a file", t.Client.StartUploadJob, &cp.StartUploadJobInput{DomainName: &t.domain, JobId: &id}, badRequest, "")
		got := call(t, t.Client.GetUploadJob, &cp.GetUploadJobInput{DomainName: &t.domain, JobId: &id})
		same(t, "Status", got.Status, types.UploadJobStatusCreated)
	}},
	{"StartUploadJob", "the rows become profiles, which searches find", "core.md 1.4", Doc, func(t *T) {
		a, b, number := unique("a"), unique("b"), phone()
		id := t.imported("id,email,phone,first\n" + a + "," + a + "@example.com," + number + ",Ada\n" + b + "," + b + "@example.com,,Ben\n")
		t.jobEnds(id, types.UploadJobStatusSucceeded, 2, 0, 0)
		t.finds("_email", strings.ToUpper(a)+"@Example.com", a)
		t.finds("_phone", "("+number[2:5]+") "+number[5:8]+"-"+number[8:], a)
		t.finds("_account", b, b)
	}},
	{"StartUploadJob", "rows whose key is known update, others create, bad ones fail, and the job has succeeded in part", "core.md 1.8", Inferred, func(t *T) {
		a, b := unique("a"), unique("b")
		t.jobEnds(t.imported("id,email,phone,first\n"+a+","+a+"@example.com,,Ada\n"), types.UploadJobStatusSucceeded, 1, 0, 0)
		t.finds("_account", a, a)
		id := t.imported("id,email,phone,first\n" + a + ",,,Augusta\n" + b + ",,,Ben\n,,,Nobody\n")
		t.jobEnds(id, types.UploadJobStatusPartiallySucceeded, 1, 1, 1)
		t.eventually(func() string {
			items := t.search("_account", a)
			if len(items) != 1 || items[0].FirstName == nil || *items[0].FirstName != "Augusta" {
				return "the row did not update the profile"
			}
			return ""
		})
	}},
	{"StartUploadJob", "an empty cell does not blank a value", "core.md 1.7", Doc, func(t *T) {
		a := unique("a")
		t.jobEnds(t.imported("id,email,phone,first\n"+a+","+a+"@example.com,,Ada\n"), types.UploadJobStatusSucceeded, 1, 0, 0)
		t.finds("_account", a, a)
		t.jobEnds(t.imported("id,email,phone,first\n"+a+",,,\n"), types.UploadJobStatusSucceeded, 0, 1, 0)
		t.finds("_email", a+"@example.com", a)
	}},
	{"StartUploadJob", "a job that has ended can't be started again", "core.md 1.5", Inferred, func(t *T) {
		a := unique("a")
		id := t.imported("id,email,phone,first\n" + a + ",,,\n")
		t.jobEnds(id, types.UploadJobStatusSucceeded, 1, 0, 0)
		refused(t, "a second start", t.Client.StartUploadJob, &cp.StartUploadJobInput{DomainName: &t.domain, JobId: &id}, badRequest, "")
	}},
	{"StopUploadJob", "a job is STOPPED for good, and stopping it again does no harm", "core.md 1.5", Inferred, func(t *T) {
		id := t.job()
		in := &cp.StopUploadJobInput{DomainName: &t.domain, JobId: &id}
		call(t, t.Client.StopUploadJob, in)
		call(t, t.Client.StopUploadJob, in)
		got := call(t, t.Client.GetUploadJob, &cp.GetUploadJobInput{DomainName: &t.domain, JobId: &id})
		same(t, "Status", got.Status, types.UploadJobStatusStopped)
		refused(t, "a start", t.Client.StartUploadJob, &cp.StartUploadJobInput{DomainName: &t.domain, JobId: &id}, badRequest, "")
	}},
	{"StopUploadJob", "an unknown job is not found", "core.md 1.3", Inferred, func(t *T) {
		refused(t, "an unknown id", t.Client.StopUploadJob, &cp.StopUploadJobInput{DomainName: &t.domain, JobId: new(strings.Repeat("0", 32))}, notFound, "")
	}},
	{"ListUploadJobs", "jobs come newest first", "core.md 1.3", Inferred, func(t *T) {
		first, second := t.job(), t.job()
		t.eventually(func() string {
			var got []string
			for page := cp.NewListUploadJobsPaginator(t.Client, &cp.ListUploadJobsInput{DomainName: &t.domain, MaxResults: new(int32(2))}); page.HasMorePages(); {
				out, err := page.NextPage(t.ctx)
				t.notBuilt(err)
				if err != nil {
					t.Stop("the list is refused: %s", sentence(err))
				}
				for _, item := range out.Items {
					got = append(got, *item.JobId)
				}
			}
			a, b := strings.Index(strings.Join(got, " "), first), strings.Index(strings.Join(got, " "), second)
			if a < 0 || b < 0 || b > a {
				return "the two jobs are not listed, the second before the first"
			}
			return ""
		})
	}},
	{"ListUploadJobs", "pages may have 500 jobs, not 501", "core.md 6.4", Model, func(t *T) {
		call(t, t.Client.ListUploadJobs, &cp.ListUploadJobsInput{DomainName: &t.domain, MaxResults: new(int32(500))})
		refused(t, "a page of 501", t.Client.ListUploadJobs, &cp.ListUploadJobsInput{DomainName: &t.domain, MaxResults: new(int32(501))}, badRequest, "")
	}},
}

var hexID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// jobInput is a request for a job of files with the columns id, email, phone and first.
func (t *T) jobInput() *cp.CreateUploadJobInput {
	return &cp.CreateUploadJobInput{DomainName: &t.domain, DisplayName: new("people.csv"), UniqueKey: new("id"), Fields: map[string]types.ObjectTypeField{
		"id":    {Source: new("_source.id"), Target: new("_profile.AccountNumber")},
		"email": {Source: new("_source.email"), Target: new("_profile.EmailAddress"), ContentType: types.FieldContentTypeEmailAddress},
		"phone": {Source: new("_source.phone"), Target: new("_profile.PhoneNumber"), ContentType: types.FieldContentTypePhoneNumber},
		"first": {Source: new("_source.first"), Target: new("_profile.FirstName"), ContentType: types.FieldContentTypeName},
	}}
}

func (t *T) job() string { return *call(t, t.Client.CreateUploadJob, t.jobInput()).JobId }

// put uploads a file and returns the status. md5Text replaces the right MD5 of the key unless it is "".
func (t *T) put(job, csv, md5Text string) int {
	path := call(t, t.Client.GetUploadJobPath, &cp.GetUploadJobPathInput{DomainName: &t.domain, JobId: &job})
	key, err := base64.StdEncoding.DecodeString(*path.ClientToken)
	if err != nil {
		t.Stop("the client token is no base64: %v", err)
	}
	if md5Text == "" {
		sum := md5.Sum(key)
		md5Text = base64.StdEncoding.EncodeToString(sum[:])
	}
	r, err := http.NewRequestWithContext(t.ctx, http.MethodPut, *path.Url, strings.NewReader(csv))
	if err != nil {
		t.Stop("the Url can't be used: %v", err)
	}
	r.Header.Set("X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256")
	r.Header.Set("X-Amz-Server-Side-Encryption-Customer-Key", *path.ClientToken)
	r.Header.Set("X-Amz-Server-Side-Encryption-Customer-Key-MD5", md5Text)
	res, err := t.suite.http.Do(r)
	if err != nil {
		t.Stop("the upload failed: %v", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// imported starts an import of a file and returns the job.
func (t *T) imported(csv string) string {
	id := t.job()
	if status := t.put(id, csv, ""); status != http.StatusOK {
		t.Stop("the upload is answered %d", status)
	}
	call(t, t.Client.StartUploadJob, &cp.StartUploadJobInput{DomainName: &t.domain, JobId: &id})
	return id
}

// longestImport is how long an import of a few rows may take, on a service that has a queue.
const longestImport = 15 * time.Minute

// jobEnds waits for the end of a job and notes how it differs.
func (t *T) jobEnds(job string, status types.UploadJobStatus, created, updated, failed int64) {
	var got *cp.GetUploadJobOutput
	t.within(longestImport, func() string {
		got = call(t, t.Client.GetUploadJob, &cp.GetUploadJobInput{DomainName: &t.domain, JobId: &job})
		if got.Status == types.UploadJobStatusInProgress || got.Status == types.UploadJobStatusCreated {
			return "the job has not ended"
		}
		return ""
	})
	same(t, "Status", got.Status, status)
	s := got.ResultsSummary
	if s == nil {
		t.Stop("there is no ResultsSummary")
	}
	for what, n := range map[string]struct {
		got  *int64
		want int64
	}{"CreatedRecords": {s.CreatedRecords, created}, "UpdatedRecords": {s.UpdatedRecords, updated}, "FailedRecords": {s.FailedRecords, failed}} {
		if n.got == nil || *n.got != n.want {
			t.Differs("%s is not %d", what, n.want)
		}
	}
	if got.CompletedAt == nil {
		t.Differs("there is no CompletedAt")
	}
}

// search returns what a search finds.
func (t *T) search(key string, values ...string) []types.Profile {
	return call(t, t.SearchProfiles, &cp.SearchProfilesInput{DomainName: &t.domain, KeyName: &key, Values: values}).Items
}

// finds notes a difference unless a search finds just the profile with an account number.
func (t *T) finds(key, value, account string) {
	t.eventually(func() string {
		items := t.search(key, value)
		if len(items) != 1 || items[0].AccountNumber == nil || *items[0].AccountNumber != account {
			return "a search for " + key + " " + show(value) + " finds " + show(len(items)) + " profiles, not the one of the row"
		}
		return ""
	})
}
