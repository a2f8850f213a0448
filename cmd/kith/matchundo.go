package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kith/api"
)

func matchMergesCommand() *cobra.Command {
	var f matchFlags
	var of string
	cmd := &cobra.Command{
		Use: "merges [RUN]", Short: "List what a run of matching has merged, or what one profile is made of", Args: cobra.MaximumNArgs(1),
		Long: `List what a run of matching has merged: the merge, its score, and which profiles went into which. RUN is as for "kith match runs"; last, and none,
are the newest that has begun. With --of, list the merges that a profile is made of, whoever made them: a run, a rule, or somebody by hand.
"kith match undo MERGE" takes a merge back.`,
		Example: "  kith match merges last\n  kith match merges --of ann@example.com",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			if of != "" {
				if len(args) > 0 {
					return usageError("give either a run, or --of PROFILE")
				}
				return mergesOf(cmd.Context(), c, &f, of, cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
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
				return showMerge(cmd.OutOrStdout(), *m.MergeId, fmt.Sprintf("%.4f  %s", api.Val(m.ConfidenceScore), strings.ToLower(string(*m.Status))), *m.MainProfileId, m.ProfileIds)
			})
			if err == nil && !any {
				tell(cmd.ErrOrStderr(), "", fmt.Sprintf("Run %s has merged nothing.", id))
			}
			return err
		}),
	}
	cmd.Flags().StringVar(&of, "of", "", "a profile, as for kith get: list what was merged into it")
	return f.add(cmd, true)
}

// mergesOf lists the merges that a profile is made of.
func mergesOf(ctx context.Context, c *client, f *matchFlags, what string, out, info io.Writer) error {
	id, err := oneProfile(ctx, c, f.domain, what)
	if err != nil {
		return err
	}
	var from api.GetProfileProvenanceResponse
	if err := c.call(ctx, http.MethodGet, domainPath(f.domain)+"/profiles/"+id+"/provenance", nil, nil, &from); err != nil {
		return fmt.Errorf("look what profile %s is made of: %w", id, err)
	}
	for _, m := range from.Merges {
		if f.asJSON {
			err = writeJSON(out, &m)
		} else {
			err = showMerge(out, api.Val(m.MergeId), m.MergedAt.Local().Format(time.DateTime)+"  "+api.Val(m.PerformedBy), api.Val(m.MainProfileId), m.ProfileIds)
		}
		if err != nil {
			return err
		}
	}
	if len(from.Merges) == 0 {
		tell(info, "", fmt.Sprintf("Nothing was merged into profile %s.", id))
	}
	return nil
}

func showMerge(out io.Writer, merge, how, main string, from []string) error {
	_, err := fmt.Fprintf(out, "%s  %s\n  %s\n", merge, how, main)
	for _, id := range from {
		fmt.Fprintf(out, "  < %s\n", id)
	}
	return err
}

// oneProfile returns the id of the profile that a word names: the word itself, if it is an id, so that one that was merged is named, too.
func oneProfile(ctx context.Context, c *client, domain, what string) (string, error) {
	if isID(what) {
		return what, nil
	}
	found, err := withKey(ctx, c, domain, what)
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", nobody(ctx, c, domain)
	case len(found) > 1:
		return "", fmt.Errorf("%d profiles have %s: name one by its id; kith get lists them", len(found), oneLine(what))
	}
	return api.Val(found[0].ProfileId), nil
}

// profilesNamed puts the ids of the profiles that words name in their places.
func profilesNamed(ctx context.Context, c *client, domain string, words []string) (err error) {
	for i := range words {
		if words[i], err = oneProfile(ctx, c, domain, words[i]); err != nil {
			return err
		}
	}
	return nil
}

// isID says whether a word has the form of the id of a profile, and of a match.
func isID(word string) bool { return len(word) == 32 && strings.Trim(word, "0123456789abcdef") == "" }

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
		Long: `Take back a merge that "kith match merges" lists, be it of a run, of a rule or by hand, or with --run all that a run made: every profile is one by itself
again. The id of a profile that was merged into another will do, too. It is noted that they are not the same person, so that no later run and no rule merges them again.`,
		Example: "  kith match undo 0006513ab2f94e10c0ffee12\n  kith match undo --run last",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			if (run == "") == (len(args) == 0) {
				return usageError("give either a merge that kith match merges lists, or --run RUN for all that a run made; kith match merges --of PROFILE lists what a profile is made of")
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
	if isID(merge) {
		return undoMergeOf(ctx, c, domain, merge)
	}
	if len(merge) != 24 || strings.Trim(merge, "0123456789abcdef") != "" {
		return 0, usageError("%q is no merge: give an id that kith match merges lists", merge)
	}
	var out api.UnmergeMatchResponse
	if err := c.call(ctx, http.MethodPost, domainPath(domain)+"/matches/unmerge", nil, &api.UnmergeMatchRequest{MergeId: &merge}, &out); err != nil {
		return 0, fmt.Errorf("take the merge back: %w", err)
	}
	return len(out.Items), nil
}

// undoMergeOf takes back the merge by which a profile became a part of another one.
func undoMergeOf(ctx context.Context, c *client, domain, profile string) (int, error) {
	var out api.UnmergeProfilesResponse
	if err := c.call(ctx, http.MethodPost, domainPath(domain)+"/profiles/unmerge", nil, &api.UnmergeProfilesRequest{ProfileIds: []string{profile}}, &out); err != nil {
		return 0, fmt.Errorf("take the merge back: %w", err)
	}
	for _, u := range out.Items { // the server answers so itself where it merges by itself
		in := api.PutMatchAnswerRequest{ProfileIds: []string{api.Val(u.MainProfileId), api.Val(u.ProfileId)}, Answer: new(api.MatchAnswerKindNotSame)}
		if err := c.call(ctx, http.MethodPost, domainPath(domain)+"/match-answers", nil, &in, nil); err != nil {
			return 0, fmt.Errorf("the merge was taken back, but not noted: %w", err)
		}
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
