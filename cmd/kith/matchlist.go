package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"github.com/spf13/cobra"

	"kith/api"
)

func matchListCommand() *cobra.Command {
	var f matchFlags
	var most int
	cmd := &cobra.Command{
		Use: "list", Short: "List profiles that seem to be of one person, the surest first", Args: cobra.NoArgs,
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			return listMatches(cmd.Context(), c, &f, most, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	cmd.Flags().IntVar(&most, "max", 20, "how many matches to show at most")
	return f.add(cmd, true)
}

func listMatches(ctx context.Context, c *client, f *matchFlags, most int, out, info io.Writer) error {
	in := &customerprofiles.GetMatchesInput{DomainName: &f.domain}
	for shown := 0; ; {
		in.MaxResults = new(int32(min(100, max(1, most-shown))))
		page, err := c.GetMatches(ctx, in)
		if err != nil {
			return fmt.Errorf("list matches: %w", whetherOff(err, f.domain))
		}
		if shown == 0 && in.NextToken == nil {
			switch {
			case page.MatchGenerationDate == nil:
				fmt.Fprintf(info, "Matching has not run in domain %s; kith match start runs it\n", f.domain)
			default:
				fmt.Fprintf(info, "%s, found %s\n", count(int64(api.Val(page.PotentialMatches)), "match"), page.MatchGenerationDate.Local().Format(time.DateTime))
			}
		}
		for _, m := range page.Matches {
			if f.asJSON {
				err = writeJSON(out, &m)
			} else {
				err = showGroup(ctx, c, f.domain, *m.MatchId, strconv.FormatFloat(api.Val(m.ConfidenceScore), 'f', 4, 64), m.ProfileIds, out)
			}
			if err != nil {
				return err
			}
			shown++
		}
		if in.NextToken = page.NextToken; in.NextToken == nil || shown >= most {
			return nil
		}
	}
}

// showGroup prints a match, and a line for each of its profiles.
func showGroup(ctx context.Context, c *client, domain, match, score string, ids []string, out io.Writer) error {
	fmt.Fprintf(out, "%s  %s\n", match, score)
	for len(ids) > 0 {
		some := ids[:min(100, len(ids))]
		ids = ids[len(some):]
		got, err := c.BatchGetProfile(ctx, &customerprofiles.BatchGetProfileInput{DomainName: &domain, ProfileIds: some})
		if err != nil {
			return fmt.Errorf("read profiles: %w", plain(err))
		}
		for _, p := range got.Profiles {
			fmt.Fprintf(out, "  %s  %s\n", api.Val(p.ProfileId), oneLine(strings.Join(known(p.FirstName, p.LastName, p.BusinessName, p.EmailAddress, p.PhoneNumber, p.AccountNumber), " ")))
		}
	}
	return nil
}

// known returns those of some texts that are there.
func known(texts ...*string) (all []string) {
	for _, t := range texts {
		if t != nil && *t != "" {
			all = append(all, *t)
		}
	}
	return all
}

func matchOfCommand() *cobra.Command {
	var f matchFlags
	cmd := &cobra.Command{
		Use: "of PROFILE | MATCH", Short: "Show who is like a profile, or who is in a match, by what was learned and by rules", Args: cobra.ExactArgs(1),
		Example: "  kith match of ann@example.com\n  kith match of 0b6c3f0e5d1f4a7c9be3c0de11aa22bb",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			id, err := oneProfile(cmd.Context(), c, f.domain, args[0])
			if err != nil {
				return err
			}
			return similarTo(cmd.Context(), c, f.domain, id, cmd.OutOrStdout())
		}),
	}
	return f.add(cmd, false)
}

// whetherOff says of a refusal how matching is turned on, if that is why.
func whetherOff(err error, domain string) error {
	if err = plain(err); strings.Contains(err.Error(), "Matching is not enabled") {
		return fmt.Errorf("matching is off in domain %s; kith match on turns it on", domain)
	}
	return err
}

// similarTo shows the matches of a profile, of both kinds.
func similarTo(ctx context.Context, c *client, domain, id string, out io.Writer) error {
	var refusals []error
	found := false
	for _, kind := range []types.MatchType{types.MatchTypeMlBasedMatching, types.MatchTypeRuleBasedMatching} {
		for _, key := range []string{"profileId", "matchId"} {
			got, err := c.GetSimilarProfiles(ctx, &customerprofiles.GetSimilarProfilesInput{DomainName: &domain, MatchType: kind, SearchKey: &key, SearchValue: &id})
			if err != nil {
				refusals = append(refusals, whetherOff(err, domain))
				continue
			}
			found = true
			if len(got.ProfileIds) == 0 {
				continue
			}
			how := fmt.Sprintf("by rule %d", api.Val(got.RuleLevel))
			if kind == types.MatchTypeMlBasedMatching {
				how = strconv.FormatFloat(api.Val(got.ConfidenceScore), 'f', 4, 64)
			}
			return showGroup(ctx, c, domain, *got.MatchId, how, got.ProfileIds, out)
		}
	}
	if found {
		fmt.Fprintln(out, "No other profile is like it.")
		return nil
	}
	return cmp.Or(refusals...)
}

func matchExplainCommand() *cobra.Command {
	var f matchFlags
	cmd := &cobra.Command{
		Use: "explain MATCH | PROFILE [PROFILE]", Short: "Say why profiles seem to be of one person, or not", Args: cobra.RangeArgs(1, 2),
		Long: `Say of each pair of a match, of the match of a profile, or of two profiles, what was compared, how it agrees, and what that weighs. Weights are bits: each
doubles the odds that they are one person, a negative one halves them. They sum up, with what is known of any two profiles, to a probability. Profiles
that were merged are told as they are by themselves. Of a match by a rule it says the rule.`,
		Example: "  kith match explain 0b6c3f0e5d1f4a7c9be3c0de11aa22bb\n  kith match explain ann@example.com anna@example.com",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			if err := profilesNamed(cmd.Context(), c, f.domain, args); err != nil {
				return err
			}
			in := api.ExplainMatchRequest{MatchId: &args[0]}
			if len(args) == 2 {
				in = api.ExplainMatchRequest{ProfileIds: args}
			}
			why, err := explain(cmd.Context(), c, f.domain, &in)
			if r, ok := errors.AsType[*refusal](err); ok && len(args) == 1 && r.status < http.StatusInternalServerError {
				return explainOther(cmd.Context(), c, &f, args[0], err, cmd.OutOrStdout())
			}
			if err != nil {
				return err
			}
			if f.asJSON {
				return writeJSON(cmd.OutOrStdout(), why)
			}
			return showWhy(why, cmd.OutOrStdout())
		}),
	}
	return f.add(cmd, true)
}

func explain(ctx context.Context, c *client, domain string, in *api.ExplainMatchRequest) (*api.ExplainMatchResponse, error) {
	why := &api.ExplainMatchResponse{}
	if err := c.call(ctx, http.MethodPost, domainPath(domain)+"/matches/explain", nil, in, why); err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	return why, nil
}

// explainOther explains what is no match that was learned: the match of a profile, or one by a rule. refused is what the server said of it.
func explainOther(ctx context.Context, c *client, f *matchFlags, id string, refused error, out io.Writer) error {
	for _, of := range []struct {
		kind types.MatchType
		key  string
	}{{types.MatchTypeMlBasedMatching, "profileId"}, {types.MatchTypeRuleBasedMatching, "matchId"}, {types.MatchTypeRuleBasedMatching, "profileId"}} {
		got, err := c.GetSimilarProfiles(ctx, &customerprofiles.GetSimilarProfilesInput{DomainName: &f.domain, MatchType: of.kind, SearchKey: &of.key, SearchValue: &id})
		if err != nil || got.MatchId == nil || len(got.ProfileIds) == 0 {
			continue
		}
		if of.kind == types.MatchTypeMlBasedMatching {
			why, err := explain(ctx, c, f.domain, &api.ExplainMatchRequest{MatchId: got.MatchId})
			switch {
			case err != nil:
				return err
			case f.asJSON:
				return writeJSON(out, why)
			}
			return showWhy(why, out)
		}
		d, err := c.GetDomain(ctx, &customerprofiles.GetDomainInput{DomainName: &f.domain})
		if err != nil {
			return fmt.Errorf("look at the rules: %w", plain(err))
		}
		level, rule := int(api.Val(got.RuleLevel)), []string{}
		if d.RuleBasedMatching != nil && level > 0 && level <= len(d.RuleBasedMatching.MatchingRules) {
			rule = d.RuleBasedMatching.MatchingRules[level-1].Rule
		}
		if f.asJSON {
			return writeJSON(out, map[string]any{"MatchId": *got.MatchId, "ProfileIds": got.ProfileIds, "RuleLevel": level, "Rule": rule})
		}
		return showGroup(ctx, c, f.domain, *got.MatchId, fmt.Sprintf("by rule %d: the same %s", level, strings.Join(rule, ", ")), got.ProfileIds, out)
	}
	return refused
}

// showWhy prints what speaks for and against each pair.
func showWhy(why *api.ExplainMatchResponse, out io.Writer) error {
	for i, p := range why.Pairs {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s\n%s\n", p.ProfileIds[0], p.ProfileIds[1])
		line := func(weight float64, what string) {
			printWrapped(out, fmt.Sprintf("  %+7.1f  ", weight), what)
		}
		for _, c := range p.Comparisons {
			what := *c.Field + ": " + api.Val(c.Level)
			if len(c.Values) == 2 && c.Values[0]+c.Values[1] != "" {
				what += fmt.Sprintf(" (%s | %s)", oneLine(c.Values[0]), oneLine(c.Values[1]))
			}
			line(api.Val(c.Weight), what)
		}
		line(api.Val(p.Prior), "any two profiles")
		_, odds, _ := strings.Cut(api.Val(p.Explanation), "which is ")
		line(api.Val(p.Sum), "together: "+odds)
		if p.Answer != nil {
			fmt.Fprintf(out, "  somebody answered: %s\n", answerWord(*p.Answer))
		}
	}
	if n := api.Val(why.PairsLeftOut); n > 0 {
		fmt.Fprintf(out, "\n%d more pairs are not shown.\n", n)
	}
	return nil
}

func answerWord(k api.MatchAnswerKind) string {
	if k == api.MatchAnswerKindSame {
		return "the same"
	}
	return "not the same"
}

func matchAnswerCommand() *cobra.Command {
	var f matchFlags
	var same, notSame, forget bool
	cmd := &cobra.Command{
		Use: "answer PROFILE PROFILE", Short: "Say of two profiles that they are the same person, or not", Args: cobra.ExactArgs(2),
		Long: `Say of two profiles that they are the same person, or not. Every later run of matching obeys it, and that they are not the same every rule, too, until
--forget takes it back. "kith match answers" lists what was said.`,
		Example: "  kith match answer --not-same 0b6c3f0e5d1f4a7c9be3c0de11aa22bb \\\n    5f0e4c2ad94b4f0d8b1a3c5e7f902b46",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			if same == notSame && !forget || forget && (same || notSame) {
				return usageError("say one of --same, --not-same and --forget")
			}
			if err := profilesNamed(cmd.Context(), c, f.domain, args); err != nil {
				return err
			}
			in := api.PutMatchAnswerRequest{ProfileIds: args, Answer: new(api.MatchAnswerKindNotSame)}
			if same {
				in.Answer = new(api.MatchAnswerKindSame)
			}
			path := domainPath(f.domain) + "/match-answers"
			if forget {
				if err := c.call(cmd.Context(), http.MethodPost, path+"/delete", nil, &api.DeleteMatchAnswerRequest{ProfileIds: args}, nil); err != nil {
					return fmt.Errorf("forget the answer: %w", err)
				}
				fmt.Fprintln(cmd.OutOrStdout(), "Forgotten: the next run judges for itself")
				return nil
			}
			if err := c.call(cmd.Context(), http.MethodPost, path, nil, &in, nil); err != nil {
				return fmt.Errorf("answer: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Answered: %s\n", answerWord(*in.Answer))
			return nil
		}),
	}
	cmd.Flags().BoolVar(&same, "same", false, "they are one person")
	cmd.Flags().BoolVar(&notSame, "not-same", false, "they are not")
	cmd.Flags().BoolVar(&forget, "forget", false, "take back what was said")
	return f.add(cmd, false)
}

func matchAnswersCommand() *cobra.Command {
	var f matchFlags
	cmd := &cobra.Command{
		Use: "answers", Short: "List what was said of pairs of profiles", Args: cobra.NoArgs,
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			for page, err := range pages[api.ListMatchAnswersResponse](cmd.Context(), c, domainPath(f.domain)+"/match-answers", func(p *api.ListMatchAnswersResponse) *string { return p.NextToken }) {
				if err != nil {
					return fmt.Errorf("list the answers: %w", err)
				}
				for _, a := range page.Items {
					if f.asJSON {
						err = writeJSON(cmd.OutOrStdout(), &a)
					} else {
						_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n  %s, %s\n", a.ProfileIds[0], a.ProfileIds[1], answerWord(*a.Answer), a.AnsweredAt.Local().Format(time.DateTime))
					}
					if err != nil {
						return err
					}
				}
			}
			return nil
		}),
	}
	return f.add(cmd, true)
}

// pages reads a list of an addition page by page.
func pages[P any](ctx context.Context, c *client, path string, next func(*P) *string) func(yield func(*P, error) bool) {
	return func(yield func(*P, error) bool) {
		query := url.Values{}
		for {
			page := new(P)
			if err := c.call(ctx, http.MethodGet, path, query, nil, page); err != nil {
				yield(nil, err)
				return
			}
			token := next(page)
			if !yield(page, nil) || token == nil {
				return
			}
			query.Set("next-token", *token)
		}
	}
}
