package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"kith/api"
)

func matchMergesCommand() *cobra.Command {
	var f matchFlags
	cmd := &cobra.Command{
		Use: "merges [RUN]", Short: "List what a run of matching has merged", Args: cobra.MaximumNArgs(1),
		Long: `List what a run of matching has merged: the merge, its score, and which profiles went into which. RUN is as for "kith match runs"; last, and none,
are the newest that has begun. "kith match undo MERGE" takes a merge back.`,
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			id, err := runID(cmd.Context(), c, f.domain, strings.Join(append(args, "last")[:1], ""), false)
			if err != nil {
				return err
			}
			any := false
			err = eachMerge(cmd.Context(), c, f.domain, id, func(m *api.MatchMerge) error {
				any = true
				if f.asJSON {
					return writeJSON(cmd.OutOrStdout(), m)
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s  %.4f  %s\n  %s\n", *m.MergeId, api.Val(m.ConfidenceScore), strings.ToLower(string(*m.Status)), *m.MainProfileId)
				for _, id := range m.ProfileIds {
					fmt.Fprintf(cmd.OutOrStdout(), "  < %s\n", id)
				}
				return err
			})
			if err == nil && !any {
				tell(cmd.ErrOrStderr(), "", fmt.Sprintf("Run %s has merged nothing.", id))
			}
			return err
		}),
	}
	return f.add(cmd, true)
}

func eachMerge(ctx context.Context, c *client, domain, id string, do func(*api.MatchMerge) error) error {
	path := matchJobs(domain) + "/" + url.PathEscape(id) + "/merges"
	for page, err := range pages[api.ListIdentityResolutionJobMergesResponse](ctx, c, path, func(p *api.ListIdentityResolutionJobMergesResponse) *string { return p.NextToken }) {
		if err != nil {
			return fmt.Errorf("list the merges of run %s: %w", id, err)
		}
		for i := range page.Items {
			if err := do(&page.Items[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func matchUndoCommand() *cobra.Command {
	var f matchFlags
	var run string
	cmd := &cobra.Command{
		Use: "undo [MERGE]", Short: "Take a merge back, or all of a run, and never make it again", Args: cobra.MaximumNArgs(1),
		Long: `Take back a merge that "kith match merges" lists, or with --run all that a run made: every profile is one by itself again. It is noted that they are not
the same person, so that no later run merges them again.`,
		Example: "  kith match undo 0006513ab2f94e10c0ffee12\n  kith match undo --run last",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			if (run == "") == (len(args) == 0) {
				return usageError("give either a merge that kith match merges lists, or --run RUN for all that a run made")
			}
			if run == "" {
				n, err := undoMerge(cmd.Context(), c, f.domain, args[0])
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "UNMERGED: %s by themselves again\n", count(int64(n), "profile"))
				}
				return err
			}
			id, err := runID(cmd.Context(), c, f.domain, run, false)
			if err != nil {
				return err
			}
			return undoRun(cmd.Context(), c, f.domain, id, cmd.OutOrStdout())
		}),
	}
	cmd.Flags().StringVar(&run, "run", "", "take back all merges of this run")
	return f.add(cmd, false)
}

func undoMerge(ctx context.Context, c *client, domain, merge string) (int, error) {
	if len(merge) != 24 || strings.Trim(merge, "0123456789abcdef") != "" {
		return 0, usageError("%q is no merge: give an id that kith match merges lists", merge)
	}
	var out api.UnmergeMatchResponse
	if err := c.call(ctx, http.MethodPost, domainPath(domain)+"/matches/unmerge", nil, &api.UnmergeMatchRequest{MergeId: &merge}, &out); err != nil {
		return 0, fmt.Errorf("take the merge back: %w", err)
	}
	return len(out.Items), nil
}

// undoRun takes back the merges of a run, the last one first: later ones may stand on earlier ones.
func undoRun(ctx context.Context, c *client, domain, id string, out io.Writer) error {
	var all []string
	err := eachMerge(ctx, c, domain, id, func(m *api.MatchMerge) error {
		if *m.Status == api.MatchMergeStatusMerged {
			all = append(all, *m.MergeId)
		}
		return nil
	})
	if err != nil {
		return err
	}
	profiles := 0
	for i := len(all) - 1; i >= 0; i-- {
		n, err := undoMerge(ctx, c, domain, all[i])
		if err != nil {
			return fmt.Errorf("%w; %d of %d merges were taken back before", err, len(all)-1-i, len(all))
		}
		profiles += n
	}
	tell(out, "", fmt.Sprintf("UNMERGED: %s, %s by themselves again", count(int64(len(all)), "merge"), count(int64(profiles), "profile")))
	return nil
}
