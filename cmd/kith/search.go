package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"kith/api"
)

func searchCommand() *cobra.Command {
	var domain string
	var on, off, status, asJSON bool
	var most int
	cmd := &cobra.Command{
		Use: "search [WORD]...", Short: "Find profiles by what a person would type: beginnings, parts of phone numbers, names with typos",
		Long: `Find profiles in which every word matches: a name, an e-mail address, an account number, a city or a postal code, or the beginning of one
(two characters at least); a part of a phone number (four digits at least); a name with one typo, with two if it has five letters or more.
The best come first: exact before beginnings before typos.

The index that this needs is off until --on turns it on for the domain: it takes disk and processor time, and follows changes within seconds. While
it is off, only those are found who have just what was typed as account number, e-mail address, phone number or full name.`,
		Example: "  kith search --on\n  kith search smiht 5550\n  kith search --status",
		RunE: func(cmd *cobra.Command, args []string) error {
			if on && off || status && len(args) > 0 || !(on || off || status) && len(args) == 0 {
				return usageError("give words to look for, or one of --on, --off and --status")
			}
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			return errors.Join(runSearch(cmd, c, domain, strings.Join(args, " "), on, off, most, asJSON), c.close())
		},
	}
	addDomainFlag(cmd, &domain, "domain to look in")
	cmd.Flags().BoolVar(&on, "on", false, "turn the index of the domain on, and wait until it is built")
	cmd.Flags().BoolVar(&off, "off", false, "turn the index of the domain off, and remove it")
	cmd.Flags().BoolVar(&status, "status", false, "tell how far the index is")
	cmd.Flags().IntVar(&most, "max", 20, "how many profiles to show at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a line of JSON for each profile")
	addClientFlags(cmd)
	return cmd
}

func runSearch(cmd *cobra.Command, c *client, domain, text string, on, off bool, most int, asJSON bool) error {
	ctx := cmd.Context()
	if on || off {
		if err := switchIndex(ctx, c, domain, on, cmd.ErrOrStderr()); err != nil {
			return err
		}
	}
	if text == "" {
		return indexStatus(ctx, c, domain, cmd.OutOrStdout())
	}
	indexed, err := hasIndex(ctx, c, domain)
	if err != nil {
		return fmt.Errorf("search domain %s: %w", domain, err)
	}
	if !indexed {
		return searchExactly(ctx, c, domain, text, most, asJSON, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	show := showItems
	if asJSON {
		show = writeItems
	}
	var items []api.QueryItem
	in := api.QueryProfilesRequest{Text: &text}
	for {
		in.MaxResults = api.Ptr(int32(min(100, max(1, most-len(items)))))
		var page api.QueryProfilesResponse
		if err := c.call(ctx, http.MethodPost, domainPath(domain)+"/profiles/query", nil, &in, &page); err != nil {
			return fmt.Errorf("search domain %s: %w", domain, err)
		}
		if api.Val(page.Status) == api.QueryStatusBuilding && in.NextToken == nil {
			fmt.Fprintln(cmd.ErrOrStderr(), `the index is being built: profiles may be missing ("kith search --status")`)
		}
		items = append(items, page.Items...)
		if in.NextToken = page.NextToken; in.NextToken != nil && len(items) < most {
			continue
		}
		if len(items) == 0 {
			return fmt.Errorf("nobody in domain %s has all of that; fewer words, or only their beginnings, find more", domain)
		}
		return show(cmd.OutOrStdout(), items)
	}
}

// hasIndex says whether a domain's index is on.
func hasIndex(ctx context.Context, c *client, domain string) (bool, error) {
	var settings api.GetQuerySettingsResponse
	err := c.call(ctx, http.MethodGet, domainPath(domain)+"/query-settings", nil, nil, &settings)
	return api.Val(settings.Enabled), err
}

// switchIndex turns an index on or off; on, it waits until it is built.
func switchIndex(ctx context.Context, c *client, domain string, on bool, info io.Writer) error {
	in := api.PutQuerySettingsRequest{Enabled: &on}
	if err := c.call(ctx, http.MethodPut, domainPath(domain)+"/query-settings", nil, &in, nil); err != nil {
		return fmt.Errorf("the index of domain %s: %w", domain, err)
	}
	if !on {
		return nil
	}
	said := int64(0)
	err := poll(ctx, func() (bool, error) {
		var now api.GetQuerySettingsResponse
		if err := c.call(ctx, http.MethodGet, domainPath(domain)+"/query-settings", nil, nil, &now); err != nil {
			return false, err
		}
		if n := api.Val(now.IndexedProfiles); n >= said+100_000 {
			said = n
			fmt.Fprintf(info, "%d profiles are indexed\n", n)
		}
		return api.Val(now.Status) != api.QueryStatusBuilding, nil
	})
	if ctx.Err() != nil && err != nil {
		return errors.New("interrupted; the index is built while a server runs on its data folder: kith search --status tells how far it is")
	}
	return err
}

func indexStatus(ctx context.Context, c *client, domain string, out io.Writer) error {
	var now api.GetQuerySettingsResponse
	if err := c.call(ctx, http.MethodGet, domainPath(domain)+"/query-settings", nil, nil, &now); err != nil {
		return fmt.Errorf("the index of domain %s: %w", domain, err)
	}
	if !api.Val(now.Enabled) {
		fmt.Fprintln(out, api.Val(now.Status))
		return nil
	}
	late := "up to date"
	if !api.Val(now.UpToDate) {
		late = fmt.Sprintf("certain up to %d s ago", api.Val(now.LagSeconds))
	}
	_, err := fmt.Fprintf(out, "%s: %d profiles, %d terms, %s\n", api.Val(now.Status), api.Val(now.IndexedProfiles), api.Val(now.IndexedTerms), late)
	return err
}

// showItems prints found profiles as a table: who they are, and what matched.
func showItems(out io.Writer, items []api.QueryItem) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, profileHead+"\tMATCHES")
	for _, it := range items {
		var matches []string
		for _, m := range it.Matches {
			matches = append(matches, strings.ToLower(string(api.Val(m.How)))+" "+api.Val(m.Field))
		}
		fmt.Fprintf(w, "%s\t%s\n", profileLine(it.Profile), strings.Join(matches, ", "))
	}
	return w.Flush()
}

func writeItems(out io.Writer, items []api.QueryItem) error {
	for i := range items {
		if err := writeJSON(out, &items[i]); err != nil {
			return err
		}
	}
	return nil
}

// writeJSON writes a value as a line of JSON.
func writeJSON(out io.Writer, v any) error {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = out.Write(append(b, '\n'))
	return err
}

const profileHead = "PROFILE\tNAME\tACCOUNT\tE-MAIL\tPHONE\tCITY"

// profileLine is a profile as a line of a table. What would break the line is left out.
func profileLine(p *api.Profile) string {
	clean := func(parts ...*string) string {
		var all []string
		for _, s := range parts {
			if s != nil {
				all = append(all, *s)
			}
		}
		return oneLine(strings.Join(all, " "))
	}
	name := clean(p.FirstName, p.MiddleName, p.LastName)
	city := ""
	for _, a := range []*api.Address{p.Address, p.MailingAddress, p.ShippingAddress, p.BillingAddress} {
		if city == "" && a != nil {
			city = clean(a.City)
		}
	}
	return strings.Join([]string{api.Val(p.ProfileId), cmp.Or(name, clean(p.BusinessName)), clean(p.AccountNumber),
		clean(cmp.Or(p.EmailAddress, p.PersonalEmailAddress, p.BusinessEmailAddress)),
		clean(cmp.Or(p.PhoneNumber, p.MobilePhoneNumber, p.HomePhoneNumber, p.BusinessPhoneNumber)), city}, "\t")
}

func profilesCommand() *cobra.Command {
	var x exporter
	var asJSON bool
	var most int
	cmd := &cobra.Command{
		Use: "profiles", Short: "List the profiles of a domain", Args: cobra.NoArgs,
		Long: `List the profiles of a domain, in the order in which they are stored. "kith export" writes all of all of them.`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if x.client, err = connect(cmd); err != nil {
				return err
			}
			x.info = cmd.ErrOrStderr()
			return errors.Join(listProfiles(cmd, &x, most, asJSON), x.close())
		},
	}
	addDomainFlag(cmd, &x.domain, "domain to list")
	cmd.Flags().IntVar(&most, "max", 100, "how many profiles to show at most; 0: all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a line of JSON for each profile")
	addClientFlags(cmd)
	return cmd
}

var errEnough = errors.New("enough")

func listProfiles(cmd *cobra.Command, x *exporter, most int, asJSON bool) error {
	out := cmd.OutOrStdout()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	n := 0
	err := x.profiles(cmd.Context(), func(p *api.Profile) error {
		if n++; most > 0 && n > most {
			return errEnough
		}
		if asJSON {
			return ndjsonEncoder{out}.write(p)
		}
		if n == 1 {
			fmt.Fprintln(w, profileHead)
		}
		fmt.Fprintln(w, profileLine(p))
		if n%1000 == 0 {
			return w.Flush()
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
		fmt.Fprintf(x.info, "there are more than %d profiles (--max)\n", most)
	}
	return errors.Join(err, w.Flush())
}
