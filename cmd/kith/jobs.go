package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"github.com/spf13/cobra"

	"kith/api"
)

func jobsCommand() *cobra.Command {
	var domain string
	var all, asJSON bool
	cmd := &cobra.Command{
		Use: "jobs [JOB]", Short: "List imports, or follow one to its end", Args: cobra.MaximumNArgs(1),
		Long: `List the imports of a domain, newest first; with a job, follow that import to its end and print its result.

JOB, here and in other commands, is a job's id, the beginning of one, or the word last: the newest import. Dry runs are listed, but never meant by it.

Exit codes when following are those of "kith import".`,
		Example: "  kith jobs\n  kith jobs last\n  kith jobs 5410371 --domain shop",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			if len(args) == 0 {
				return listJobs(cmd, c, domain, all, asJSON)
			}
			id, err := jobID(cmd.Context(), c, domain, args[0])
			if err != nil {
				return err
			}
			return showJob(cmd.Context(), c, domain, id, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	addDomainFlag(cmd, &domain, "domain of the imports")
	cmd.Flags().BoolVar(&all, "all", false, "list all imports, not only the newest 20")
	cmd.Flags().BoolVar(&asJSON, "json", false, "list them as a line of JSON each, with whole ids and all details")
	addClientFlags(cmd)
	cmd.AddCommand(workCommand(), cancelCommand())
	return cmd
}

func workCommand() *cobra.Command {
	var domain string
	cmd := &cobra.Command{
		Use: "work", Short: "List the background work that runs or waits", Args: cobra.NoArgs,
		Long: `List the background work of a domain that runs or waits, in the order of its arrival: imports, undos, the removal of what has
expired, the compaction of old imports, dry runs. Work of one lane runs one piece at a time; the lane "turn" is that of imports.`,
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error { return listWork(cmd, c, domain) }),
	}
	addDomainFlag(cmd, &domain, "domain of the work")
	addClientFlags(cmd)
	return cmd
}

func listWork(cmd *cobra.Command, c *client, domain string) error {
	var all api.ListBackgroundWorkResponse
	if err := c.call(cmd.Context(), http.MethodGet, workPath(domain), nil, nil, &all); err != nil {
		return fmt.Errorf("list the background work of domain %s: %w", domain, err)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WORK\tKIND\tLANE\tARRIVED\tFAILED\tNODE")
	for _, it := range all.Items {
		node := api.Val(it.Node)
		if api.Val(it.Cancelled) {
			node += " (cancelled)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", *it.WorkId, *it.Kind, *it.Lane, it.ArrivedAt.Time.Local().Format(time.DateTime), *it.FailedAttempts, node)
	}
	return w.Flush()
}

func cancelCommand() *cobra.Command {
	var domain string
	cmd := &cobra.Command{
		Use: "cancel JOB", Short: "End an import, an undo or other background work for good", Args: cobra.ExactArgs(1),
		Long: `End background work that runs or waits; JOB is what "kith jobs work" lists. An import that has not begun to write writes nothing; one
that has is FAILED, and "kith undo JOB" takes back what it wrote. An undo that is cancelled can be asked for again, and goes on.`,
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error { return cancelWork(cmd, c, domain, args[0]) }),
	}
	addDomainFlag(cmd, &domain, "domain of the work")
	addClientFlags(cmd)
	return cmd
}

// cancelWork cancels work and waits until it has ended.
func cancelWork(cmd *cobra.Command, c *client, domain, id string) error {
	var done api.CancelBackgroundWorkResponse
	if err := c.call(cmd.Context(), http.MethodPost, workPath(domain)+"/"+url.PathEscape(id)+"/cancel", nil, struct{}{}, &done); err != nil {
		return fmt.Errorf("cancel %s: %w", id, err)
	}
	err := poll(cmd.Context(), func() (bool, error) {
		var all api.ListBackgroundWorkResponse
		if err := c.call(cmd.Context(), http.MethodGet, workPath(domain), nil, nil, &all); err != nil {
			return false, err
		}
		if slices.ContainsFunc(all.Items, func(w api.BackgroundWork) bool { return *w.WorkId == id }) {
			return false, nil
		}
		fmt.Fprintf(cmd.OutOrStdout(), "CANCELLED: %s %s\n", *done.Kind, id)
		return true, nil
	})
	if cmd.Context().Err() != nil && err != nil {
		return errors.New("interrupted; it was asked to end, and ends while a server runs on its data folder")
	}
	return err
}

func workPath(domain string) string { return domainPath(domain) + "/work" }

// shownID is how much of a job's id a list shows; jobID takes it.
const shownID = 8

func listJobs(cmd *cobra.Command, c *client, domain string, all, asJSON bool) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	n, err := 0, error(nil)
	for j, failed := range jobsOf(cmd.Context(), c, domain, 20) {
		if failed != nil {
			err = failed
			break
		}
		if n++; n > 20 && !all {
			break
		}
		details, failed := detailsOf(cmd.Context(), c, domain, *j.JobId)
		if err = failed; err != nil {
			break
		}
		if asJSON {
			err = writeJSON(cmd.OutOrStdout(), jobLine{*j.JobId, jobState(&j, details), *j.DisplayName, *j.CreatedAt, details})
		} else {
			if n == 1 {
				fmt.Fprintln(w, "JOB\tSTATUS\tCREATED\tTOOK\tFILE")
			}
			took := ""
			if details.WorkedMilliseconds != nil {
				d := time.Duration(*details.WorkedMilliseconds) * time.Millisecond
				if d > time.Second {
					d = d.Round(100 * time.Millisecond)
				}
				took = d.String()
			}
			_, err = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", (*j.JobId)[:shownID], jobState(&j, details), j.CreatedAt.Local().Format(time.DateTime), took, oneLine(*j.DisplayName))
		}
		if err != nil {
			break
		}
	}
	if n == 0 && err == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "Domain %s has no imports yet\n", domain)
	}
	if n > 20 && !all {
		fmt.Fprintln(cmd.ErrOrStderr(), "Older ones: kith jobs --all")
	}
	return errors.Join(w.Flush(), err)
}

// jobLine is an import as "kith jobs --json" writes it.
type jobLine struct {
	JobId, State, DisplayName string
	CreatedAt                 time.Time
	Details                   *api.GetUploadJobDetailsResponse
}

// jobsOf lists the jobs of a domain, newest first, a page of them at a time.
func jobsOf(ctx context.Context, c *client, domain string, page int32) iter.Seq2[types.UploadJobItem, error] {
	return func(yield func(types.UploadJobItem, error) bool) {
		in := &customerprofiles.ListUploadJobsInput{DomainName: &domain, MaxResults: &page}
		for {
			got, err := c.ListUploadJobs(ctx, in)
			if err != nil {
				yield(types.UploadJobItem{}, fmt.Errorf("list the imports of domain %s: %w", domain, plain(err)))
				return
			}
			for _, j := range got.Items {
				if !yield(j, nil) {
					return
				}
			}
			if in.NextToken = got.NextToken; in.NextToken == nil {
				return
			}
		}
	}
}

func detailsOf(ctx context.Context, c *client, domain, id string) (*api.GetUploadJobDetailsResponse, error) {
	var details api.GetUploadJobDetailsResponse
	if err := c.call(ctx, http.MethodGet, jobPath(domain, id)+"/details", nil, nil, &details); err != nil {
		return nil, fmt.Errorf("look at the job: %w", err)
	}
	return &details, nil
}

// jobState says in one or two words what a job is.
func jobState(j *types.UploadJobItem, d *api.GetUploadJobDetailsResponse) string {
	return stateOf(string(j.Status), d)
}

// stateOf is jobState of a job with a status.
func stateOf(status string, d *api.GetUploadJobDetailsResponse) string {
	switch {
	case api.Val(d.DryRun):
		return "DRY RUN"
	case api.Val(d.UndoStatus) == api.UndoStatusUndone:
		return "UNDONE"
	case api.Val(d.UndoStatus) == api.UndoStatusRunning:
		return "UNDOING"
	case api.Val(d.UndoStatus) == api.UndoStatusFailed:
		return "UNDO FAILED"
	}
	return status
}

// jobID finds the job that a word means: an id, the unique beginning of one, or "last", which is the newest import. A dry run is none.
func jobID(ctx context.Context, c *client, domain, word string) (string, error) {
	if len(word) == 32 {
		return word, nil
	}
	if word != "last" && strings.Trim(word, "0123456789abcdef") != "" || word == "" {
		return "", usageError("%q is no job: give the beginning of an id that kith jobs lists, or last", word)
	}
	var found []string
	for j, err := range jobsOf(ctx, c, domain, 100) {
		switch {
		case err != nil:
			return "", err
		case word == "last":
			details, err := detailsOf(ctx, c, domain, *j.JobId)
			if err != nil {
				return "", err
			}
			if !api.Val(details.DryRun) {
				return *j.JobId, nil
			}
		case strings.HasPrefix(*j.JobId, word):
			found = append(found, *j.JobId)
		}
	}
	switch {
	case word == "last":
		return "", fmt.Errorf("domain %s has no imports yet; kith import FILE makes one", domain)
	case len(found) == 0:
		return "", fmt.Errorf("no import of domain %s has an id that begins with %s; kith jobs --all lists them", domain, word)
	case len(found) > 1:
		return "", usageError("%d imports have ids that begin with %s: give more of it (%s, %s)", len(found), word, found[0], found[1])
	}
	return found[0], nil
}

// showJob follows an import to its end, and says what became of it since.
func showJob(ctx context.Context, c *client, domain, id string, out, info io.Writer) error {
	details, err := nameJob(ctx, c, domain, id, info)
	if err != nil {
		return err
	}
	if api.Val(details.DryRun) {
		_, err := fmt.Fprintln(out, "DRY RUN: nothing was written.")
		return err
	}
	end := followJob(ctx, c, domain, id, out, info)
	switch api.Val(details.UndoStatus) {
	case api.UndoStatusUndone:
		text, err := undoneText(ctx, c, domain, id)
		if err != nil {
			return errors.Join(end, err)
		}
		tell(out, "", fmt.Sprintf("UNDONE on %s: %s", details.UndoneAt.Local().Format(time.DateTime), text))
	case api.UndoStatusFailed:
		fmt.Fprintf(out, "UNDO FAILED: %s\n", api.Val(details.UndoReason))
	case api.UndoStatusRunning:
		fmt.Fprintln(out, "UNDOING: it is being taken back.")
	}
	return end
}

// nameJob says which import a command is about.
func nameJob(ctx context.Context, c *client, domain, id string, info io.Writer) (*api.GetUploadJobDetailsResponse, error) {
	job, err := c.GetUploadJob(ctx, &customerprofiles.GetUploadJobInput{DomainName: &domain, JobId: &id})
	if err != nil {
		return nil, fmt.Errorf("look at the job: %w", plain(err))
	}
	tell(info, "", fmt.Sprintf("Upload job %s: %s, created %s", id, oneLine(*job.DisplayName), job.CreatedAt.Local().Format(time.DateTime)))
	return detailsOf(ctx, c, domain, id)
}

func stopCommand() *cobra.Command {
	var domain string
	cmd := &cobra.Command{
		Use: "stop JOB", Short: "Stop an import", Args: cobra.ExactArgs(1),
		Long: `Stop an import. One that has not begun to write writes nothing; of one that has, what was decided is still written, and the counters say what:
"kith undo JOB" takes that back. JOB is an id, the beginning of one, or last.`,
		Example: "  kith stop last",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			id, err := jobID(cmd.Context(), c, domain, args[0])
			if err != nil {
				return err
			}
			return stopJob(cmd.Context(), c, domain, id, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	addDomainFlag(cmd, &domain, "domain of the import")
	addClientFlags(cmd)
	return cmd
}

// stopJob stops an import and waits until it has ended.
func stopJob(ctx context.Context, c *client, domain, id string, out, info io.Writer) error {
	if _, err := nameJob(ctx, c, domain, id, info); err != nil {
		return err
	}
	if _, err := c.StopUploadJob(ctx, &customerprofiles.StopUploadJobInput{DomainName: &domain, JobId: &id}); err != nil {
		return fmt.Errorf("stop the import: %w", plain(err))
	}
	err := followJob(ctx, c, domain, id, out, info)
	if e, ok := errors.AsType[*exitErr](err); ok && e.code == exitFailed {
		return nil // it is stopped, as was asked for
	}
	return err
}
