package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kith/api"
	"kith/schema"
)

func countryCommand() *cobra.Command {
	var domain string
	var none bool
	cmd := &cobra.Command{
		Use: "country [CODE]", Short: "Say, or ask, in which country a domain's phone numbers are written", Args: cobra.MaximumNArgs(1),
		Long: `Say in which country a domain's phone numbers are written, by its two letters, or ask.

Numbers written as they are dialled at home are then found by their international form, and the other way round: those that
API calls bring from now on, and imports without --country. What is stored is what was written.`,
		Example: "  kith country DE\n  kith country --domain shop\n  kith country --none",
		PreRunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if none {
				return usageError("--none goes without a country")
			}
			if _, ok := schema.ParseCountry(args[0]); !ok {
				return usageError("%q is no country: give its two letters, such as DE or FR, or --none", args[0])
			}
			return nil
		},
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			if len(args) == 1 || none {
				return putCountry(cmd.Context(), c, domain, strings.Join(args, ""), cmd.OutOrStdout())
			}
			var out api.GetPhoneSettingsResponse
			if err := c.call(cmd.Context(), http.MethodGet, phonePath(domain), nil, nil, &out); err != nil {
				return err
			}
			printCountry(cmd.OutOrStdout(), domain, out.Country, out.Countries)
			return nil
		}),
	}
	addDomainFlag(cmd, &domain, "domain of the phone numbers")
	cmd.Flags().BoolVar(&none, "none", false, "phone numbers are compared by their digits again")
	addClientFlags(cmd)
	return cmd
}

func phonePath(domain string) string {
	return domainPath(domain) + "/phone-settings"
}

// putCountry sets the country of a domain's phone numbers.
func putCountry(ctx context.Context, c *client, domain, country string, w io.Writer) error {
	var out api.PutPhoneSettingsResponse
	if err := c.call(ctx, http.MethodPut, phonePath(domain), nil, &api.PutPhoneSettingsRequest{Country: &country}, &out); err != nil {
		return fmt.Errorf("say the country of domain %s: %w", domain, err)
	}
	printCountry(w, domain, out.Country, out.Countries)
	return nil
}

func printCountry(w io.Writer, domain string, country *string, all []string) {
	if country == nil {
		fmt.Fprintf(w, "Phone numbers of domain %s are compared by their digits; kith country CODE says where they are written.\n", domain)
	} else {
		fmt.Fprintf(w, "Phone numbers of domain %s are read as they are written in %s.\n", domain, *country)
	}
	if others := slices.DeleteFunc(slices.Clone(all), func(o string) bool { return o == api.Val(country) }); len(others) > 0 {
		fmt.Fprintf(w, "Others there were written in %s.\n", strings.Join(others, ", "))
	}
}

// sayMore tells of an import, or of one that would be, what its three counters hide.
func sayMore(out io.Writer, repeated, unchanged *int64, tooLong []api.TooLongColumn, would string) {
	if n := api.Val(repeated); n > 0 {
		verb, was := "repeat", "were merged"
		if n == 1 {
			verb, was = "repeats", "was merged"
		}
		if would != "" {
			was = "would be merged"
		}
		fmt.Fprintf(out, "%s %s an earlier key and %s.\n", rows(n), verb, was)
	}
	if n := api.Val(unchanged); n > 0 {
		verb := "changed"
		if would != "" {
			verb = "would change"
		}
		fmt.Fprintf(out, "%s of those updated %s nothing.\n", rows(n), verb)
	}
	for _, c := range tooLong {
		verb := "are"
		if *c.Values == 1 {
			verb = "is"
		}
		tell(out, "", fmt.Sprintf("Column %q: %d of its values %s longer than %d characters (--too-long).", *c.Column, *c.Values, verb, *c.Limit))
	}
}

func rows(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}
