package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"github.com/spf13/cobra"
)

func domainsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "domains", Short: "List the domains, and what is in them", Args: cobra.NoArgs,
		Long: `List the domains with their profiles, objects and bytes, the days after which what they get expires unless it says otherwise, and whether matching is on. The first import
with a name makes the domain of that name.`,
		Example: "  kith domains\n  kith domains delete shop --yes",
		RunE:    withClient(func(cmd *cobra.Command, c *client, _ []string) error { return tellDomains(cmd, c, asJSON) }),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a line of JSON for each")
	addClientFlags(cmd)
	cmd.AddCommand(deleteDomainCommand())
	return cmd
}

// domainLine is a domain as --json writes it.
type domainLine struct {
	Name                  string
	Profiles              int64
	Objects               int64
	Bytes                 int64
	DefaultExpirationDays int32
	Matching              bool
	CreatedAt             time.Time
}

func tellDomains(cmd *cobra.Command, c *client, asJSON bool) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	n := 0
	for name, err := range eachDomain(cmd.Context(), c) {
		if err != nil {
			return fmt.Errorf("list the domains: %w", plain(err))
		}
		d, err := c.GetDomain(cmd.Context(), &customerprofiles.GetDomainInput{DomainName: &name})
		if _, gone := errors.AsType[*types.ResourceNotFoundException](err); gone { // deleted meanwhile
			continue
		}
		if err != nil {
			return fmt.Errorf("look at domain %s: %w", oneLine(name), plain(err))
		}
		line := domainLine{Name: name, DefaultExpirationDays: aws.ToInt32(d.DefaultExpirationDays), Matching: d.Matching != nil && aws.ToBool(d.Matching.Enabled), CreatedAt: aws.ToTime(d.CreatedAt)}
		if s := d.Stats; s != nil {
			line.Profiles, line.Objects, line.Bytes = s.ProfileCount, s.ObjectCount, s.TotalSize
		}
		if n++; asJSON {
			if err := writeJSON(cmd.OutOrStdout(), line); err != nil {
				return err
			}
			continue
		}
		if n == 1 {
			fmt.Fprintln(w, "DOMAIN\tPROFILES\tOBJECTS\tMB\tDEFAULT EXPIRY\tMATCHING\tCREATED")
		}
		matching := "off"
		if line.Matching {
			matching = "on"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t%d days\t%s\t%s\n", oneLine(name), line.Profiles, line.Objects, float64(line.Bytes)/1e6,
			line.DefaultExpirationDays, matching, line.CreatedAt.Local().Format(time.DateTime))
	}
	if n == 0 && !asJSON {
		fmt.Fprintln(cmd.ErrOrStderr(), "There is no domain yet; kith import makes one.")
	}
	return w.Flush()
}

// eachDomain streams the names of all domains.
func eachDomain(ctx context.Context, c *client) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		pages := customerprofiles.ListDomainsInput{MaxResults: aws.Int32(100)}
		for {
			page, err := c.ListDomains(ctx, &pages)
			if err != nil {
				yield("", err)
				return
			}
			for _, d := range page.Items {
				if !yield(aws.ToString(d.DomainName), nil) {
					return
				}
			}
			if pages.NextToken = page.NextToken; pages.NextToken == nil {
				return
			}
		}
	}
}

func deleteDomainCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete DOMAIN --yes", Short: "Delete a domain with everything in it", Args: cobra.ExactArgs(1),
		Long: `Delete a domain: its profiles, objects, imports, types, mappings and everything else that is in it. It is gone for every call at once; its rows are removed behind.
Backups that were made before keep it.`,
		Example: "  kith domains delete shop --yes",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			if !yes {
				return usageError("this can't be taken back: say --yes. kith export --domain %s shows what would go", oneLine(args[0]))
			}
			if _, err := c.DeleteDomain(cmd.Context(), &customerprofiles.DeleteDomainInput{DomainName: &args[0]}); err != nil {
				return fmt.Errorf("delete domain %s: %w", oneLine(args[0]), plain(err))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Deleted: domain %s\n", oneLine(args[0]))
			return nil
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	addClientFlags(cmd)
	return cmd
}
