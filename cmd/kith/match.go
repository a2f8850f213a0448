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
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"github.com/spf13/cobra"

	"kith/api"
)

// matchFlags are what all commands about matches have.
type matchFlags struct {
	domain string
	asJSON bool
}

func (f *matchFlags) add(cmd *cobra.Command, json bool) *cobra.Command {
	addDomainFlag(cmd, &f.domain, "domain of the profiles")
	if json {
		cmd.Flags().BoolVar(&f.asJSON, "json", false, "write a line of JSON for each")
	}
	addClientFlags(cmd)
	return cmd
}

func matchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "match", Short: "Find profiles that are of one person, see why, merge them, and take that back",
		Long: `Find profiles that are of one person. "kith match on" turns it on for a domain: from then on all profiles are looked at once a week, and by
"kith match start" at any time. "kith match list" shows what was found, "kith match explain" says why.

Nothing is merged unless --merge says which fields must be equal. Whatever is merged can be taken back: "kith match undo".`,
		Example: "  kith match on\n  kith match start\n  kith match list\n  kith match explain 0a1b…\n  kith match on --merge LastName,EmailAddress\n  kith match start",
	}
	cmd.AddCommand(matchOnCommand(), matchOffCommand(), matchStartCommand(), matchRunsCommand(), matchListCommand(), matchOfCommand(), matchExplainCommand(),
		matchAnswerCommand(), matchAnswersCommand(), matchPreviewCommand(), matchMergesCommand(), matchUndoCommand())
	return cmd
}

// mergeFlags say what is merged.
type mergeFlags struct {
	merge  []string
	score  float64
	source string
}

func (f *mergeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.merge, "merge", nil, "fields that must all be equal for matching profiles to be merged, such as LastName,EmailAddress; given again: the next criterion, up to 10")
	cmd.Flags().Float64Var(&f.score, "min-score", 0, "merge only matches of this score at least, from 0 to 1")
	cmd.Flags().StringVar(&f.source, "source", "", "object type, or id of an import, whose values win where profiles differ (default: the newest win)")
}

func (f *mergeFlags) criteria() (list [][]string) {
	for _, names := range f.merge {
		var all []string
		for name := range strings.SplitSeq(names, ",") {
			all = append(all, strings.TrimSpace(name))
		}
		list = append(list, all)
	}
	return list
}

func (f *mergeFlags) resolution() *types.ConflictResolution {
	if f.source == "" {
		return &types.ConflictResolution{ConflictResolvingModel: types.ConflictResolvingModelRecency}
	}
	return &types.ConflictResolution{ConflictResolvingModel: types.ConflictResolvingModelSource, SourceName: &f.source}
}

func matchOnCommand() *cobra.Command {
	var f matchFlags
	var m mergeFlags
	var day, at, export string
	cmd := &cobra.Command{
		Use: "on", Short: "Turn matching on, and say what is merged", Args: cobra.NoArgs,
		Long: `Turn matching of a domain on, or change how it is done; what is not said is as in the beginning. All profiles are looked at within a day, and then
every week. Without --merge nothing is merged.`,
		Example: "  kith match on\n  kith match on --merge LastName,EmailAddress --merge PhoneNumber \\\n    --min-score 0.9",
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			in := &types.MatchingRequest{Enabled: new(true)}
			if cmd.Flags().Changed("day") || cmd.Flags().Changed("time") {
				in.JobSchedule = &types.JobSchedule{DayOfTheWeek: types.JobScheduleDayOfTheWeek(strings.ToUpper(day)), Time: &at}
			}
			if list := m.criteria(); list != nil {
				in.AutoMerging = &types.AutoMerging{Enabled: new(true), Consolidation: &types.Consolidation{MatchingAttributesList: list}, ConflictResolution: m.resolution()}
				if cmd.Flags().Changed("min-score") {
					in.AutoMerging.MinAllowedConfidenceScoreForMerging = &m.score
				}
			}
			if export != "" {
				bucket, prefix, _ := strings.Cut(export, "/")
				in.ExportingConfig = &types.ExportingConfig{S3Exporting: &types.S3ExportingConfig{S3BucketName: &bucket}}
				if prefix != "" {
					in.ExportingConfig.S3Exporting.S3KeyName = &prefix
				}
			}
			if _, err := c.UpdateDomain(cmd.Context(), &customerprofiles.UpdateDomainInput{DomainName: &f.domain, Matching: in}); err != nil {
				return fmt.Errorf("turn matching on: %w", plain(err))
			}
			merged := "nothing is merged"
			if in.AutoMerging != nil {
				merged = "what agrees in " + strings.Join(m.merge, ", or then in ") + " is merged"
			}
			tell(cmd.OutOrStdout(), "", fmt.Sprintf("Matching is on in domain %s; %s. Run it now: kith match start", f.domain, merged))
			return nil
		}),
	}
	m.add(cmd)
	cmd.Flags().StringVar(&day, "day", "SATURDAY", "day of the week of the weekly run")
	cmd.Flags().StringVar(&at, "time", "00:00", "time of the weekly run, UTC")
	cmd.Flags().StringVar(&export, "export", "", "bucket, or bucket/prefix, into which matches are written as CSV (the server's --exports says where)")
	return f.add(cmd, false)
}

func matchOffCommand() *cobra.Command {
	var f matchFlags
	cmd := &cobra.Command{
		Use: "off", Short: "Turn matching off; what was merged stays merged", Args: cobra.NoArgs,
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			if _, err := c.UpdateDomain(cmd.Context(), &customerprofiles.UpdateDomainInput{DomainName: &f.domain, Matching: &types.MatchingRequest{Enabled: new(false)}}); err != nil {
				return fmt.Errorf("turn matching off: %w", plain(err))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Matching is off in domain %s\n", f.domain)
			return nil
		}),
	}
	return f.add(cmd, false)
}

func matchJobs(domain string) string { return domainPath(domain) + "/identity-resolution-jobs" }

func matchStartCommand() *cobra.Command {
	var f matchFlags
	var noWait bool
	cmd := &cobra.Command{
		Use: "start", Short: "Look at all profiles now, and follow that to its end", Args: cobra.NoArgs,
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			var out api.StartIdentityResolutionJobResponse
			err := c.call(cmd.Context(), http.MethodPost, matchJobs(f.domain), nil, struct{}{}, &out)
			if r, ok := errors.AsType[*refusal](err); ok && strings.Contains(r.text, "not enabled") {
				return fmt.Errorf("matching is off in domain %s; kith match on turns it on", f.domain)
			}
			if err != nil {
				return fmt.Errorf("start matching: %w", err)
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
beginning of one, or the word last: the newest that has begun.`,
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			if len(args) == 0 {
				return listRuns(cmd, c, &f)
			}
			id, err := runID(cmd.Context(), c, f.domain, args[0])
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

// runID finds the run that a word means: an id, the unique beginning of one, or "last".
func runID(ctx context.Context, c *client, domain, word string) (string, error) {
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
	var found []string
	for _, j := range all {
		switch {
		case word == "last" && j.Status != types.IdentityResolutionJobStatusPending:
			return *j.JobId, nil
		case strings.HasPrefix(*j.JobId, word):
			found = append(found, *j.JobId)
		}
	}
	switch {
	case word == "last":
		return "", fmt.Errorf("matching has not run in domain %s; kith match start runs it", domain)
	case len(found) == 0:
		return "", fmt.Errorf("no run of domain %s has an id that begins with %s; kith match runs lists them", domain, word)
	case len(found) > 1:
		return "", usageError("%d runs have ids that begin with %s: give more of it (%s, %s)", len(found), word, found[0], found[1])
	}
	return found[0], nil
}

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
			return fmt.Errorf("list matches: %w", plain(err))
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
		Use: "of PROFILE", Short: "Show who is like a profile, or who is in a match, by what was learned and by rules", Args: cobra.ExactArgs(1),
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			return similarTo(cmd.Context(), c, f.domain, args[0], cmd.OutOrStdout())
		}),
	}
	return f.add(cmd, false)
}

// similarTo shows the matches of a profile, of both kinds.
func similarTo(ctx context.Context, c *client, domain, id string, out io.Writer) error {
	var refusals []error
	found := false
	for _, kind := range []types.MatchType{types.MatchTypeMlBasedMatching, types.MatchTypeRuleBasedMatching} {
		for _, key := range []string{"profileId", "matchId"} {
			got, err := c.GetSimilarProfiles(ctx, &customerprofiles.GetSimilarProfilesInput{DomainName: &domain, MatchType: kind, SearchKey: &key, SearchValue: &id})
			if err != nil {
				refusals = append(refusals, plain(err))
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
		Use: "explain MATCH | PROFILE PROFILE", Short: "Say why profiles seem to be of one person, or not", Args: cobra.RangeArgs(1, 2),
		Long: `Say of each pair of a match, or of two profiles, what was compared, how it agrees, and what that weighs. Weights are bits: each doubles the odds that
they are one person, a negative one halves them. They sum up, with what is known of any two profiles, to a probability. Profiles that were merged
are told as they are by themselves.`,
		Example: "  kith match explain 0b6c3f0e5d1f4a7c9be3c0de11aa22bb",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			in := api.ExplainMatchRequest{MatchId: &args[0]}
			if len(args) == 2 {
				in = api.ExplainMatchRequest{ProfileIds: args}
			}
			var why api.ExplainMatchResponse
			if err := c.call(cmd.Context(), http.MethodPost, domainPath(f.domain)+"/matches/explain", nil, &in, &why); err != nil {
				return fmt.Errorf("explain: %w", err)
			}
			if f.asJSON {
				return writeJSON(cmd.OutOrStdout(), &why)
			}
			return showWhy(&why, cmd.OutOrStdout())
		}),
	}
	return f.add(cmd, true)
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
		Long: `Say of two profiles that they are the same person, or not. Every later run of matching, and every rule, obeys it, until --forget takes it
back. "kith match answers" lists what was said.`,
		Example: "  kith match answer --not-same 0b6c3f0e5d1f4a7c9be3c0de11aa22bb \\\n    5f0e4c2ad94b4f0d8b1a3c5e7f902b46",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			if same == notSame && !forget || forget && (same || notSame) {
				return usageError("say one of --same, --not-same and --forget")
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

func matchPreviewCommand() *cobra.Command {
	var f matchFlags
	var m mergeFlags
	cmd := &cobra.Command{
		Use: "preview --merge FIELDS", Short: "Tell how much would be merged, by up to 1,000 of the matches; nothing is changed", Args: cobra.NoArgs,
		Example: "  kith match preview --merge LastName,EmailAddress --merge PhoneNumber",
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			if len(m.merge) == 0 {
				return usageError("say which fields must be equal, such as --merge LastName,EmailAddress")
			}
			in := &customerprofiles.GetAutoMergingPreviewInput{DomainName: &f.domain, Consolidation: &types.Consolidation{MatchingAttributesList: m.criteria()}, ConflictResolution: m.resolution()}
			if m.score != 0 {
				in.MinAllowedConfidenceScoreForMerging = &m.score
			}
			got, err := c.GetAutoMergingPreview(cmd.Context(), in)
			if err != nil {
				return fmt.Errorf("preview: %w", plain(err))
			}
			tell(cmd.OutOrStdout(), "", fmt.Sprintf("Of %s with %s, %s would take part in a merge",
				count(got.NumberOfMatchesInSample, "match"), count(got.NumberOfProfilesInSample, "profile"), count(got.NumberOfProfilesWillBeMerged, "profile")))
			return nil
		}),
	}
	m.add(cmd)
	return f.add(cmd, false)
}

func matchMergesCommand() *cobra.Command {
	var f matchFlags
	cmd := &cobra.Command{
		Use: "merges [RUN]", Short: "List what a run of matching has merged", Args: cobra.MaximumNArgs(1),
		Long: `List what a run of matching has merged: the merge, its score, and which profiles went into which. RUN is as for "kith match runs"; without it, the
newest. "kith match undo MERGE" takes a merge back.`,
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			id, err := runID(cmd.Context(), c, f.domain, strings.Join(append(args, "last")[:1], ""))
			if err != nil {
				return err
			}
			return eachMerge(cmd.Context(), c, f.domain, id, func(m *api.MatchMerge) error {
				if f.asJSON {
					return writeJSON(cmd.OutOrStdout(), m)
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s  %.4f  %s\n  %s\n", *m.MergeId, api.Val(m.ConfidenceScore), strings.ToLower(string(*m.Status)), *m.MainProfileId)
				for _, id := range m.ProfileIds {
					fmt.Fprintf(cmd.OutOrStdout(), "  < %s\n", id)
				}
				return err
			})
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
			id, err := runID(cmd.Context(), c, f.domain, run)
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
