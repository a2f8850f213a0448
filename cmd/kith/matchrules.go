package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"github.com/spf13/cobra"

	"kith/api"
)

// ruleFlags say by which rules profiles are matched.
type ruleFlags struct {
	rules   []string
	mergeTo int32
	source  string
	anyKind bool
	off     bool
	list    bool
	most    int
}

func matchRulesCommand() *cobra.Command {
	var f matchFlags
	var r ruleFlags
	cmd := &cobra.Command{
		Use: "rules", Short: "Match profiles by rules as they come: show the rules, set them, list what matches", Args: cobra.NoArgs,
		Long: `Match profiles by rules: who has the same values in all fields of a rule is in one match, as soon as it is written or imported. Without a flag the rules
are shown. With --rule they are set, all anew, and the command waits until all profiles have been looked at by them; the first rule is that of level 1, which goes before the others.

Nothing is merged unless --merge-to says up to which level. "kith match merges --of PROFILE" shows what was merged into a profile, and "kith match undo" takes it back.`,
		Example: "  kith match rules --rule EmailAddress --rule FirstName,LastName,BirthDate\n  kith match rules --list\n  kith match rules --rule EmailAddress --merge-to 1",
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			if err := r.check(cmd); err != nil {
				return err
			}
			switch {
			case r.list:
				return listRuleMatches(cmd.Context(), c, &f, r.most, cmd.OutOrStdout(), cmd.ErrOrStderr())
			case r.off, len(r.rules) > 0:
				return setRules(cmd.Context(), c, f.domain, r.block(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			d, err := c.GetDomain(cmd.Context(), &customerprofiles.GetDomainInput{DomainName: &f.domain})
			if err != nil {
				return fmt.Errorf("look at the rules: %w", plain(err))
			}
			if f.asJSON {
				return writeJSON(cmd.OutOrStdout(), d.RuleBasedMatching)
			}
			showRules(f.domain, d.RuleBasedMatching, cmd.OutOrStdout())
			return nil
		}),
	}
	cmd.Flags().StringArrayVar(&r.rules, "rule", nil, "fields that must all be equal, such as FirstName,LastName,BirthDate; given again: the next level, up to 15")
	cmd.Flags().Int32Var(&r.mergeTo, "merge-to", 0, "merge what matches by the rules up to this level (default: nothing is merged)")
	cmd.Flags().StringVar(&r.source, "source", "", "object type, or id of an import, whose values win where profiles differ (default: the newest win)")
	cmd.Flags().BoolVar(&r.anyKind, "any-kind", false, "any e-mail address, phone number or address of one profile may be any of the other's (default: the main ones are compared)")
	cmd.Flags().BoolVar(&r.off, "off", false, "turn rules off; what was merged stays merged")
	cmd.Flags().BoolVar(&r.list, "list", false, "list what matches by the rules")
	cmd.Flags().IntVar(&r.most, "max", 20, "how many matches to list at most")
	return f.add(cmd, true)
}

// check refuses flags that contradict each other, or would count for nothing.
func (r *ruleFlags) check(cmd *cobra.Command) error {
	said := 0
	for _, yes := range []bool{len(r.rules) > 0, r.off, r.list} {
		if yes {
			said++
		}
	}
	if said > 1 {
		return usageError("say one of --rule, --off and --list")
	}
	for _, name := range []string{"merge-to", "source", "any-kind"} {
		if cmd.Flags().Changed(name) && len(r.rules) == 0 {
			return usageError("--%s is said with the rules, all of them: --rule EmailAddress --rule FirstName,LastName,BirthDate", name)
		}
	}
	if r.source != "" && r.mergeTo == 0 {
		return usageError("--source is about what is merged: say with --merge-to up to which level")
	}
	return noBlankNames("rule", r.rules)
}

// block are the settings of a domain that the flags mean.
func (r *ruleFlags) block() *types.RuleBasedMatchingRequest {
	if r.off {
		return &types.RuleBasedMatchingRequest{Enabled: new(false)}
	}
	b := &types.RuleBasedMatchingRequest{Enabled: new(true)}
	for _, rule := range namesOf(r.rules) {
		b.MatchingRules = append(b.MatchingRules, types.MatchingRule{Rule: rule})
	}
	if r.mergeTo != 0 {
		b.MaxAllowedRuleLevelForMerging = &r.mergeTo
		b.ConflictResolution = resolutionOf(r.source)
	}
	if r.anyKind {
		b.AttributeTypesSelector = &types.AttributeTypesSelector{
			AttributeMatchingModel: types.AttributeMatchingModelManyToMany,
			EmailAddress:           []string{"EmailAddress", "PersonalEmailAddress", "BusinessEmailAddress"},
			PhoneNumber:            []string{"PhoneNumber", "MobilePhoneNumber", "HomePhoneNumber", "BusinessPhoneNumber"},
			Address:                []string{"Address", "ShippingAddress", "MailingAddress", "BillingAddress"},
		}
	}
	return b
}

// setRules sets the rules of a domain, and waits until all profiles have been evaluated by them.
func setRules(ctx context.Context, c *client, domain string, b *types.RuleBasedMatchingRequest, out, info io.Writer) error {
	if _, err := c.UpdateDomain(ctx, &customerprofiles.UpdateDomainInput{DomainName: &domain, RuleBasedMatching: b}); err != nil {
		return fmt.Errorf("set the rules: %w", plain(err))
	}
	if !*b.Enabled {
		fmt.Fprintf(out, "Matching by rules is off in domain %s\n", domain)
		return nil
	}
	var d *customerprofiles.GetDomainOutput
	err := poll(ctx, func() (bool, error) {
		var err error
		if d, err = c.GetDomain(ctx, &customerprofiles.GetDomainInput{DomainName: &domain}); err != nil {
			return false, fmt.Errorf("look at the rules: %w", plain(err))
		}
		return d.RuleBasedMatching == nil || d.RuleBasedMatching.Status == types.RuleBasedMatchingStatusActive, nil
	})
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("interrupted; the rules are set, and are evaluated while a server runs on the data: kith match rules shows how far that is")
	}
	if err != nil {
		return err
	}
	showRules(domain, d.RuleBasedMatching, out)
	tell(info, "", "See what matches: kith match rules --list")
	return nil
}

// showRules prints the rules of a domain by level.
func showRules(domain string, b *types.RuleBasedMatchingResponse, out io.Writer) {
	if b == nil || !api.Val(b.Enabled) {
		fmt.Fprintf(out, "Matching by rules is off in domain %s; kith match rules --rule turns it on\n", domain)
		return
	}
	fmt.Fprintf(out, "Matching by rules is on in domain %s: %s\n", domain, strings.ToLower(strings.ReplaceAll(string(b.Status), "_", " ")))
	for i, rule := range b.MatchingRules {
		does := "matches"
		switch level := int32(i + 1); {
		case level <= api.Val(b.MaxAllowedRuleLevelForMerging):
			does = "merges"
		case b.MaxAllowedRuleLevelForMatching != nil && level > *b.MaxAllowedRuleLevelForMatching:
			does = "does nothing"
		}
		printWrapped(out, fmt.Sprintf("  %2d  %-8s  ", i+1, does), strings.Join(rule.Rule, ", "))
	}
}

// listRuleMatches prints matches by rules, each with its level and its profiles.
func listRuleMatches(ctx context.Context, c *client, f *matchFlags, most int, out, info io.Writer) error {
	in := &customerprofiles.ListRuleBasedMatchesInput{DomainName: &f.domain}
	for shown := 0; ; {
		in.MaxResults = new(int32(min(100, max(1, most-shown))))
		page, err := c.ListRuleBasedMatches(ctx, in)
		if err != nil {
			return fmt.Errorf("list what matches by rules: %w", plain(err))
		}
		for _, id := range page.MatchIds {
			got, err := c.GetSimilarProfiles(ctx, &customerprofiles.GetSimilarProfilesInput{DomainName: &f.domain, MatchType: types.MatchTypeRuleBasedMatching, SearchKey: new("matchId"), SearchValue: &id})
			switch {
			case isCode(err, "ResourceNotFoundException"): // gone meanwhile
				continue
			case err != nil:
				return fmt.Errorf("look at match %s: %w", id, plain(err))
			case f.asJSON:
				err = writeJSON(out, got)
			default:
				err = showGroup(ctx, c, f.domain, id, fmt.Sprintf("by rule %d", api.Val(got.RuleLevel)), got.ProfileIds, out)
			}
			if err != nil {
				return err
			}
			shown++
		}
		if in.NextToken = page.NextToken; in.NextToken == nil || shown >= most {
			if shown == 0 {
				tell(info, "", "No profiles match by rules. kith match rules shows the rules.")
			}
			return nil
		}
	}
}
