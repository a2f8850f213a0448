package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"kith/api"
	"kith/match"
	"kith/store"
	"kith/upload"
)

// A person is told of the matches that it is in and of what was answered about it; forgotten, the answers go, and the statement says what is
// left. A domain takes all of it along.
func TestMatchesAndPrivacy(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.Matches.Find, r.Matches.Exports = sameLast, match.Folder{Dir: t.TempDir()}
		r.domain("d")
		r.run("d", mergeSpec, eight)
		d := api.Ptr("d")
		if _, err := r.Domains.UpdateDomain(ctx, &api.UpdateDomainRequest{DomainName: d, Matching: &api.MatchingRequest{Enabled: api.Ptr(true),
			ExportingConfig: &api.ExportingConfig{S3Exporting: &api.S3ExportingConfig{S3BucketName: api.Ptr("bucket")}}}}); err != nil {
			t.Fatal(err)
		}
		job := r.match("d")
		if got := jobLine(job); got != "COMPLETED 8/3/0" {
			t.Fatal(got, api.Val(job.Message))
		}
		ids := r.profileIDs("d", "4", "5", "7", "8")
		for _, pair := range [][2]int{{0, 1}, {1, 2}, {2, 3}} {
			in := &api.PutMatchAnswerRequest{DomainName: d, ProfileIds: []string{ids[pair[0]].String(), ids[pair[1]].String()}, Answer: api.Ptr(api.MatchAnswerKindNotSame)}
			if _, err := r.Matches.PutMatchAnswer(ctx, in); err != nil {
				t.Fatal(err)
			}
		}
		out, err := r.Privacy.ExportPerson(ctx, &api.ExportPersonRequest{DomainName: d, ProfileId: api.Ptr(ids[1].String())})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := out.Body.Write(&b); err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Matching struct {
				Matches       []match.KnownMatch
				Answers       []struct{ ProfileIds []string }
				ExportedFiles []string
			}
		}
		if err := json.Unmarshal([]byte(b.String()), &doc); err != nil {
			t.Fatal(err)
		}
		if m := doc.Matching; len(m.Matches) != 1 || m.Matches[0].JobId != *job.JobId || len(m.Matches[0].ProfileIds) != 2 || len(m.Answers) != 2 ||
			len(m.ExportedFiles) != 1 || m.ExportedFiles[0] != "bucket/d/"+*job.JobId+"/matches-00000.csv" {
			t.Fatalf("%+v", doc)
		}
		said, err := r.Privacy.ForgetPerson(ctx, &api.ForgetPersonRequest{DomainName: d, ProfileId: api.Ptr(ids[1].String())})
		if err != nil || !strings.Contains(*said.Statement, `"MatchAnswers":2`) || !strings.Contains(*said.Statement, doc.Matching.ExportedFiles[0]) {
			t.Fatal(said, err)
		}
		left, err := r.Matches.ListMatchAnswers(ctx, &api.ListMatchAnswersRequest{DomainName: d})
		if err != nil || len(left.Items) != 1 {
			t.Fatalf("%+v, %v", left, err)
		}
		if got := strings.Join(r.groups("d", 10), " "); strings.Contains(got, "4") {
			t.Fatal(got)
		}
		if _, err := r.Domains.DeleteDomain(ctx, &api.DeleteDomainRequest{DomainName: d}); err != nil {
			t.Fatal(err)
		}
		r.until("nothing is left", func() bool { return r.rows(store.Match) == 0 })
	})
}
