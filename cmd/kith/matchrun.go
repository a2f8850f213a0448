package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"github.com/spf13/cobra"

	"kith/api"
)

func matchJobs(domain string) string { return domainPath(domain) + "/identity-resolution-jobs" }

func matchStartCommand() *cobra.Command {
	var f matchFlags
	var noWait bool
	cmd := &cobra.Command{
		Use: "start", Short: "Look at all profiles now, and follow that to its end", Args: cobra.NoArgs,
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			var out api.StartIdentityResolutionJobResponse
			err := c.call(cmd.Context(), http.MethodPost, matchJobs(f.domain), nil, struct{}{}, &out)
			if err != nil {
				return fmt.Errorf("start matching: %w", whetherOff(err, f.domain))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Run %s\n", *out.JobId)
			if noWait {
				return nil
			}
			return followRun(cmd.Context(), c, f.domain, *out.JobId, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "don't follow it")
	return f.add(cmd, false)
}

// followRun follows a run of matching to its end and says what came out.
func followRun(ctx context.Context, c *client, domain, id string, out, info io.Writer) error {
	bar := newBar(-1, "Matching", info)
	var job *customerprofiles.GetIdentityResolutionJobOutput
	err := poll(ctx, func() (bool, error) {
		var err error
		job, err = c.GetIdentityResolutionJob(ctx, &customerprofiles.GetIdentityResolutionJobInput{DomainName: &domain, JobId: &id})
		if err != nil {
			return false, fmt.Errorf("look at the run: %w", plain(err))
		}
		bar.Describe("Matching: " + strings.ToLower(strings.ReplaceAll(string(job.Status), "_", " ")))
		_ = bar.Set64(job.JobStats.NumberOfProfilesReviewed)
		return job.JobEndTime != nil, nil
	})
	leaveBar(info)
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("interrupted; run %s goes on while a server runs on its data: kith match runs %s", id, id[:shownID])
	}
	if err != nil {
		return err
	}
	return tellRun(job, out)
}

// tellRun says what came out of a run.
func tellRun(job *customerprofiles.GetIdentityResolutionJobOutput, out io.Writer) error {
	s := job.JobStats
	tell(out, "", fmt.Sprintf("%s: %s looked at, %s found, %s merged into others", job.Status, count(s.NumberOfProfilesReviewed, "profile"), count(s.NumberOfMatchesFound, "match"), count(s.NumberOfMergesDone, "profile")))
	if job.Message != nil {
		tell(out, "", *job.Message)
	}
	if e := job.ExportingLocation; e != nil && e.S3Exporting != nil {
		tell(out, "", fmt.Sprintf("Exported: %s/%s", api.Val(e.S3Exporting.S3BucketName), api.Val(e.S3Exporting.S3KeyName)))
	}
	if job.Status == types.IdentityResolutionJobStatusFailed {
		return &exitErr{code: exitFailed, err: errors.New("")}
	}
	switch {
	case s.NumberOfMergesDone > 0:
		tell(out, "", fmt.Sprintf("See them: kith match merges %s", (*job.JobId)[:shownID]))
	case s.NumberOfMatchesFound > 0 && job.JobEndTime != nil:
		tell(out, "", "See them: kith match list")
	}
	return nil
}

// count is a number of things.
func count(n int64, what string) string {
	plural := what + "s"
	if strings.HasSuffix(what, "ch") {
		plural = what + "es"
	}
	if n == 1 {
		plural = what
	}
	return strconv.FormatInt(n, 10) + " " + plural
}

func matchRunsCommand() *cobra.Command {
	var f matchFlags
	cmd := &cobra.Command{
		Use: "runs [RUN]", Short: "List runs of matching, or follow one to its end", Args: cobra.MaximumNArgs(1),
		Long: `List the runs of matching of a domain, the one that comes next first; with a run, follow it to its end and print what came out. RUN is an id, the
beginning of one, or the word last: the newest that was started, also if it waits still.`,
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			if len(args) == 0 {
				return listRuns(cmd, c, &f)
			}
			id, err := runID(cmd.Context(), c, f.domain, args[0], true)
			if err != nil {
				return err
			}
			return followRun(cmd.Context(), c, f.domain, id, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	return f.add(cmd, true)
}

// runsOf lists the runs of a domain from the newest.
func runsOf(ctx context.Context, c *client, domain string) (all []types.IdentityResolutionJob, err error) {
	in := &customerprofiles.ListIdentityResolutionJobsInput{DomainName: &domain}
	for {
		page, err := c.ListIdentityResolutionJobs(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list the runs of matching: %w", plain(err))
		}
		all = append(all, page.IdentityResolutionJobsList...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return all, nil
		}
	}
}

func listRuns(cmd *cobra.Command, c *client, f *matchFlags) error {
	all, err := runsOf(cmd.Context(), c, f.domain)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "Matching has not run in domain %s; kith match on turns it on\n", f.domain)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for i, j := range all {
		if f.asJSON {
			if err := writeJSON(cmd.OutOrStdout(), &j); err != nil {
				return err
			}
			continue
		}
		if i == 0 {
			fmt.Fprintln(w, "RUN\tSTATUS\tSTART\tPROFILES\tMATCHES\tMERGED")
		}
		s := j.JobStats
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\n", (*j.JobId)[:shownID], j.Status, j.JobStartTime.Local().Format(time.DateTime), s.NumberOfProfilesReviewed, s.NumberOfMatchesFound, s.NumberOfMergesDone)
	}
	return w.Flush()
}

// newest returns the newest of runs that has begun, or, with waiting, that was started; nil: there is none. The one that the schedule has next
// is none of them: it is the first of the list, as long as matching is on.
func newest(runs []types.IdentityResolutionJob, waiting bool) *string {
	for i, j := range runs {
		if j.Status != types.IdentityResolutionJobStatusPending || waiting && i > 0 {
			return j.JobId
		}
	}
	return nil
}

// runID finds the run that a word means: an id, the unique beginning of one, or "last", which may be one that waits or not.
func runID(ctx context.Context, c *client, domain, word string, waiting bool) (string, error) {
	if len(word) == 32 {
		return word, nil
	}
	if word != "last" && strings.Trim(word, "0123456789abcdef") != "" || word == "" {
		return "", usageError("%q is no run: give the beginning of an id that kith match runs lists, or last", word)
	}
	all, err := runsOf(ctx, c, domain)
	if err != nil {
		return "", err
	}
	if word == "last" {
		if id := newest(all, waiting); id != nil {
			return *id, nil
		}
		return "", fmt.Errorf("matching has not run in domain %s; kith match start runs it", domain)
	}
	var found []string
	for _, j := range all {
		if strings.HasPrefix(*j.JobId, word) {
			found = append(found, *j.JobId)
		}
	}
	switch {
	case len(found) == 0:
		return "", fmt.Errorf("no run of domain %s has an id that begins with %s; kith match runs lists them", domain, word)
	case len(found) > 1:
		return "", usageError("%d runs have ids that begin with %s: give more of it (%s, %s)", len(found), word, found[0], found[1])
	}
	return found[0], nil
}
