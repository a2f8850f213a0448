package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"

	"kith/api"
)

// poll calls step until it is done, less and less often; it ends with the context's error when the user ends the waiting.
func poll(ctx context.Context, step func() (done bool, err error)) error {
	wait := 50 * time.Millisecond
	for {
		done, err := step()
		if ctx.Err() != nil && !done {
			return ctx.Err()
		}
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(wait*3/2, time.Second)
	}
}

// dryRun shows what an uploaded job would do, and gives the job up.
func dryRun(ctx context.Context, c *client, o importOptions, id string, out, info io.Writer) error {
	bar := newBar(100, "Trying", info)
	var result api.DryRunUploadJobResponse
	err := poll(ctx, func() (bool, error) {
		err := c.call(ctx, http.MethodPost, jobPath(o.domain, id)+"/dry-run", nil, struct{}{}, &result)
		_ = bar.Set(int(api.Val(result.PercentComplete)))
		return err == nil && api.Val(result.Status) != api.DryRunStatusRunning, err
	})
	endBar(bar, info)
	if ctx.Err() != nil {
		err = &exitErr{code: exitError, err: errors.New("interrupted; nothing was written")}
	}
	if err == nil {
		err = printDryRun(ctx, c, o, id, &result, out)
	}
	if api.Val(result.Status) == api.DryRunStatusSucceeded {
		err = errors.Join(err, saveRejects(ctx, c, o, id, true, info))
	}
	// A job that stays CREATED would keep its file for good.
	_, stopErr := c.StopUploadJob(context.WithoutCancel(ctx), &customerprofiles.StopUploadJobInput{DomainName: &o.domain, JobId: &id})
	if stopErr != nil && err == nil {
		err = fmt.Errorf("give up the job of the dry run: %w", plain(stopErr))
	}
	return err
}

// shownChanges is how many field changes a dry run prints.
const shownChanges = 20

func printDryRun(ctx context.Context, c *client, o importOptions, id string, result *api.DryRunUploadJobResponse, out io.Writer) error {
	if *result.Status == api.DryRunStatusFailed {
		fmt.Fprintf(out, "Dry run: the import would fail, and nothing would be written.\n%s\n", api.Val(result.Reason))
		return &exitErr{code: exitFailed, err: errors.New("")}
	}
	fmt.Fprintf(out, "Dry run: nothing was written. Of %d rows the import would\n", api.Val(result.RowsRead))
	for _, line := range []struct {
		what string
		n    *int64
	}{{"create", result.WouldCreate}, {"update", result.WouldUpdate}, {"reject", result.WouldFail}} {
		fmt.Fprintf(out, "  %s %10d\n", line.what, api.Val(line.n))
	}
	sayMore(out, result.RepeatedKeyRows, result.UnchangedRecords, result.TooLongColumns, "would ")
	if len(result.Changes) > 0 {
		fmt.Fprintln(out, "\nSome of the values that would change:")
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "LINE\tKEY\tFIELD\tNOW\tTHEN")
		for _, change := range result.Changes[:min(len(result.Changes), shownChanges)] {
			line := "?" // of a server that does not tell
			if change.LineNumber != nil {
				line = strconv.FormatInt(*change.LineNumber, 10)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", line, short(oneLine(api.Val(change.UniqueKey)), 24), short(*change.Field, 24), quoted(change.OldValue), quoted(change.NewValue))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if failed := api.Val(result.WouldFail); failed > 0 {
		if err := printRejects(ctx, c, o.domain, id, failed, result.KeptRejects, url.Values{"dry-run": {"true"}}, out); err != nil {
			return err
		}
		return &exitErr{code: exitPartial, err: errors.New("")}
	}
	return nil
}

// quoted shows a value in one line; an absent one is a dash.
func quoted(s *string) string {
	if s == nil {
		return "—"
	}
	return fmt.Sprintf("%q", short(*s, 18))
}

// short is a text of n characters at most.
func short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
