package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/spf13/cobra"

	"kith/api"
)

func rejectsCommand() *cobra.Command {
	var domain, output string
	var safe, force bool
	cmd := &cobra.Command{
		Use: "rejects JOB", Short: "Write the rows that an import rejected, as CSV", Args: cobra.ExactArgs(1),
		Long: `Write the rows that an import rejected, as CSV: line, column, reason and what to do, then the original cells under the header of
the file. Mended, the file can be imported as it is: the columns that begin with kith_ are left out. Of very many rows only some are
kept, which is said.`,
		Example: "  kith rejects last > rejects.csv\n  kith rejects 5410371 -o rejects.csv --safe-for-spreadsheets",
		PreRunE: func(*cobra.Command, []string) error { return mayWrite("--output", output, force) },
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			id, err := jobID(cmd.Context(), c, domain, args[0])
			if err != nil {
				return err
			}
			if output == "" {
				return exportRejects(cmd.Context(), c, domain, id, false, safe, cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return saveRejects(cmd.Context(), c, importOptions{domain: domain, rejects: output, safe: safe}, id, false, cmd.ErrOrStderr())
		}),
	}
	addDomainFlag(cmd, &domain, "domain of the import")
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write to (default: standard output)")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file of --output if it is there")
	cmd.Flags().BoolVar(&safe, "safe-for-spreadsheets", false, "put an apostrophe before cells that a spreadsheet takes for formulas; an import takes it off again")
	addClientFlags(cmd)
	return cmd
}

// keptNote says that not all rejected rows are kept; "" when they are.
func keptNote(failed int64, kept *int64) string {
	if kept == nil || *kept >= failed {
		return ""
	}
	return fmt.Sprintf("Of these %d rejected rows, %d are kept: the first ones, and some for every reason. Mend what they have in common, and import the file again.", failed, *kept)
}

// exportRejects writes the rejects of a job, or of its dry run, to out; what is to be known about them goes to info.
func exportRejects(ctx context.Context, c *client, domain, id string, dry, safe bool, out, info io.Writer) error {
	q := url.Values{}
	if dry {
		q.Set("dry-run", "true")
	}
	if safe {
		q.Set("safe-for-spreadsheets", "true")
	}
	buf := bufio.NewWriter(out)
	if err := c.call(ctx, http.MethodGet, jobPath(domain, id)+"/rejects.csv", q, nil, buf); err != nil {
		return fmt.Errorf("read the rejected rows: %w", err)
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	failed, kept, err := countRejects(ctx, c, domain, id, dry)
	if err != nil {
		return fmt.Errorf("count the rejected rows: %w", err)
	}
	if note := keptNote(failed, kept); note != "" {
		fmt.Fprintln(info, note)
	}
	return nil
}

// countRejects tells how many rows a job, or its dry run, rejected, and how many of these are kept.
func countRejects(ctx context.Context, c *client, domain, id string, dry bool) (failed int64, kept *int64, err error) {
	if dry {
		var out api.DryRunUploadJobResponse
		err := c.call(ctx, http.MethodPost, jobPath(domain, id)+"/dry-run", nil, struct{}{}, &out)
		return api.Val(out.WouldFail), out.KeptRejects, err
	}
	job, err := c.GetUploadJob(ctx, &customerprofiles.GetUploadJobInput{DomainName: &domain, JobId: &id})
	if err != nil {
		return 0, nil, plain(err)
	}
	if job.ResultsSummary != nil {
		failed = aws.ToInt64(job.ResultsSummary.FailedRecords)
	}
	var details api.GetUploadJobDetailsResponse
	if err := c.call(ctx, http.MethodGet, jobPath(domain, id)+"/details", nil, nil, &details); err != nil {
		return 0, nil, err
	}
	if api.Val(details.Stage) != "finished" {
		return failed, nil, nil // some are still to be written
	}
	return failed, details.KeptRejects, nil
}

// saveRejects writes the rejects of a job to the file that was asked for, if one was.
func saveRejects(ctx context.Context, c *client, o importOptions, id string, dry bool, info io.Writer) error {
	if o.rejects == "" {
		return nil
	}
	err := wholeFile(o.rejects, func(w io.Writer) error { return exportRejects(ctx, c, o.domain, id, dry, o.safe, w, info) })
	if err == nil {
		fmt.Fprintf(info, "The rejected rows are in %s\n", o.rejects)
	}
	return err
}

func undoCommand() *cobra.Command {
	var domain string
	cmd := &cobra.Command{
		Use: "undo JOB", Short: "Take back what an import has brought", Args: cobra.ExactArgs(1),
		Long: `Take back what an import has brought: its values go, and with them the profiles that nothing else speaks of; values that it had
replaced come back; what was written later stays. It may be repeated, and goes on after an interruption. JOB is an id, the beginning of one, or last:
the newest import. Saying that twice takes back one import, not two.`,
		Example: "  kith undo last\n  kith undo 5410371 --domain shop",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			id, err := jobID(cmd.Context(), c, domain, args[0])
			if err != nil {
				return err
			}
			if _, err := nameJob(cmd.Context(), c, domain, id, cmd.ErrOrStderr()); err != nil {
				return err
			}
			return undo(cmd.Context(), c, domain, id, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	addDomainFlag(cmd, &domain, "domain of the import")
	addClientFlags(cmd)
	return cmd
}

func undo(ctx context.Context, c *client, domain, id string, out, info io.Writer) error {
	bar := newBar(100, "Undoing", info)
	asked := false
	return c.orInterrupted(ctx, "the undo", "jobs cancel", domain, id, poll(ctx, func() (bool, error) {
		if !asked { // asked again it would go on with an undo that has failed
			var state api.UndoUploadJobResponse
			if err := c.call(ctx, http.MethodPost, jobPath(domain, id)+"/undo", nil, struct{}{}, &state); err != nil {
				return false, err
			}
			asked = true
		}
		state, err := detailsOf(ctx, c, domain, id)
		if err != nil {
			return false, err
		}
		_ = bar.Set(int(api.Val(state.UndoPercentComplete)))
		switch api.Val(state.UndoStatus) {
		case api.UndoStatusUndone:
			endBar(bar, info)
			text, err := undoneText(ctx, c, domain, id)
			tell(out, "UNDONE: ", text)
			return true, err
		case api.UndoStatusFailed:
			endBar(bar, info)
			return true, &exitErr{code: exitFailed, err: fmt.Errorf("the undo of upload job %s failed: %s", id, api.Val(state.UndoReason))}
		}
		return false, nil
	}))
}

// counted is a number of things, by the word for one of them.
func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// undoneText says what an undo has taken back.
func undoneText(ctx context.Context, c *client, domain, id string) (string, error) {
	job, err := c.GetUploadJob(ctx, &customerprofiles.GetUploadJobInput{DomainName: &domain, JobId: &id})
	if err != nil {
		return "", fmt.Errorf("look at the job: %w", plain(err))
	}
	var created, updated int64
	if r := job.ResultsSummary; r != nil {
		created, updated = aws.ToInt64(r.CreatedRecords), aws.ToInt64(r.UpdatedRecords)
	}
	return fmt.Sprintf("what upload job %s had brought is gone: %s that it had created, unless something else speaks of them, and the values of %s that had updated; what was there before is back.",
		id, counted(created, "customer"), counted(updated, "row")), nil
}
