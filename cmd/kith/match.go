package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"github.com/spf13/cobra"
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
		matchAnswerCommand(), matchAnswersCommand(), matchPreviewCommand(), matchMergesCommand(), matchUndoCommand(), matchRulesCommand())
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

// check refuses what would count for nothing.
func (f *mergeFlags) check(cmd *cobra.Command) error {
	for _, name := range []string{"min-score", "source"} {
		if cmd.Flags().Changed(name) && len(f.merge) == 0 {
			return usageError("--%s is about what is merged: say with --merge which fields must be equal, such as --merge LastName,EmailAddress", name)
		}
	}
	return noBlankNames("merge", f.merge)
}

// noBlankNames refuses lists of fields in which a name is missing.
func noBlankNames(flag string, lists []string) error {
	for i, names := range namesOf(lists) {
		if slices.Contains(names, "") {
			return usageError("--%s %q lacks a field: write such as --%s LastName,EmailAddress", flag, lists[i], flag)
		}
	}
	return nil
}

// namesOf parts lists of fields at their commas.
func namesOf(lists []string) (all [][]string) {
	for _, list := range lists {
		names := strings.Split(list, ",")
		for i := range names {
			names[i] = strings.TrimSpace(names[i])
		}
		all = append(all, names)
	}
	return all
}

func (f *mergeFlags) criteria() [][]string { return namesOf(f.merge) }

func (f *mergeFlags) resolution() *types.ConflictResolution { return resolutionOf(f.source) }

// resolutionOf says which value wins: those of a source, or the newest.
func resolutionOf(source string) *types.ConflictResolution {
	if source == "" {
		return &types.ConflictResolution{ConflictResolvingModel: types.ConflictResolvingModelRecency}
	}
	return &types.ConflictResolution{ConflictResolvingModel: types.ConflictResolvingModelSource, SourceName: &source}
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
			if err := m.check(cmd); err != nil {
				return err
			}
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
			if err := m.check(cmd); err != nil {
				return err
			}
			in := &customerprofiles.GetAutoMergingPreviewInput{DomainName: &f.domain, Consolidation: &types.Consolidation{MatchingAttributesList: m.criteria()}, ConflictResolution: m.resolution()}
			if m.score != 0 {
				in.MinAllowedConfidenceScoreForMerging = &m.score
			}
			got, err := c.GetAutoMergingPreview(cmd.Context(), in)
			if err != nil {
				return fmt.Errorf("preview: %w", whetherOff(err, f.domain))
			}
			tell(cmd.OutOrStdout(), "", fmt.Sprintf("Of %s with %s, %s would take part in a merge",
				count(got.NumberOfMatchesInSample, "match"), count(got.NumberOfProfilesInSample, "profile"), count(got.NumberOfProfilesWillBeMerged, "profile")))
			return nil
		}),
	}
	m.add(cmd)
	return f.add(cmd, false)
}
