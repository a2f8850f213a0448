package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kith/api"
	"kith/schema"
)

func getCommand() *cobra.Command {
	var domain string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "get ID | KEY=VALUE | VALUE", Short: "Show one profile, by its id or by a key", Args: cobra.ExactArgs(1),
		Long: `Show one profile: by its id; by a key, such as _email=ann@example.com or _account=4711; or by a value alone, which is looked for as an account
number, an e-mail address, a phone number and a full name. Values match exactly, but for case and the way a phone number is written. If several profiles
have it, they are listed, and nothing else is shown.`,
		Example: "  kith get ann@example.com\n  kith get _account=4711 --domain shop\n  kith get 5f0e4c2ad94b4f0d8b1a3c5e7f902b46 --json",
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			return getProfile(cmd.Context(), c, domain, args[0], asJSON, cmd.OutOrStdout())
		}),
	}
	addDomainFlag(cmd, &domain, "domain to look in")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write it as a line of JSON")
	addClientFlags(cmd)
	return cmd
}

func getProfile(ctx context.Context, c *client, domain, what string, asJSON bool, out io.Writer) error {
	found, err := withKey(ctx, c, domain, what)
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return nobody(ctx, c, domain)
	case len(found) > 1:
		if err := listFound(out, found); err != nil {
			return err
		}
		return fmt.Errorf("%d profiles have that: name one by its id", len(found))
	case asJSON:
		return writeJSON(out, &found[0])
	}
	return showProfile(out, &found[0])
}

// nobody says that no profile has a key, and what finds more.
func nobody(ctx context.Context, c *client, domain string) error {
	on, err := hasIndex(ctx, c, domain)
	switch {
	case err != nil: // of who may not ask, for one
		return fmt.Errorf("nobody in domain %s has that", domain)
	case on:
		return fmt.Errorf("nobody in domain %s has that; kith search%s finds people by beginnings of words, and with typos", domain, c.more(domain))
	}
	return fmt.Errorf("nobody in domain %s has that; the index is off; %s", domain, indexHint(c, domain))
}

// indexHint says what builds an index, and what for.
func indexHint(c *client, domain string) string {
	return "kith search --on" + c.more(domain) + " builds an index, by which beginnings, parts and typos are found, too"
}

// valueKeys are the keys that a value alone is looked for by.
var valueKeys = []string{"_account", "_email", "_phone", "_fullName"}

// withKey finds the profiles that have a key: given as an id, as KEY=VALUE, or as a value of whatever key.
func withKey(ctx context.Context, c *client, domain, what string) ([]api.Profile, error) {
	name, value, named := strings.Cut(what, "=")
	switch {
	case named && name != "" && value != "":
		return searchKey(ctx, c, domain, name, value)
	case isID(what):
		return searchKey(ctx, c, domain, schema.KeyProfileID, what)
	}
	var all []api.Profile
	seen := map[string]bool{}
	for _, key := range valueKeys {
		found, err := searchKey(ctx, c, domain, key, what)
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			if id := api.Val(p.ProfileId); !seen[id] {
				seen[id] = true
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// searchKey finds the first profiles that have a value of a key.
func searchKey(ctx context.Context, c *client, domain, key, value string) ([]api.Profile, error) {
	in := api.SearchProfilesRequest{KeyName: &key, Values: []string{value}}
	var out api.SearchProfilesResponse
	if err := c.call(ctx, http.MethodPost, "/domains/"+url.PathEscape(domain)+"/profiles/search", url.Values{"max-results": {"20"}}, &in, &out); err != nil {
		return nil, fmt.Errorf("look in domain %s: %w", domain, err)
	}
	return out.Items, nil
}

func listFound(out io.Writer, found []api.Profile) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, profileHead)
	for i := range found {
		fmt.Fprintln(w, profileLine(&found[i]))
	}
	return w.Flush()
}

// showProfile prints what a profile has, an attribute a line, in the order of the API's documentation, custom ones last.
func showProfile(out io.Writer, p *api.Profile) error {
	of := cells(p)
	order := append([]string{"ProfileId"}, schema.StandardPaths()...)
	place := func(name string) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, name := range names {
		fmt.Fprintf(w, "%s\t%s\n", oneLine(name), oneLine(of[name]))
	}
	return w.Flush()
}

// searchExactly is what a search does while the domain has no index: it finds who has just that as a key.
func searchExactly(ctx context.Context, c *client, domain, text string, most int, asJSON bool, out, info io.Writer) error {
	found, err := withKey(ctx, c, domain, text)
	if err != nil {
		return err
	}
	more := indexHint(c, domain)
	if len(found) == 0 {
		return errors.New("nobody has just that as account number, e-mail address, phone number or full name; " + more)
	}
	tell(info, "", "Only those who have just that as a key: the index is off; "+more)
	found = found[:min(len(found), max(1, most))]
	if !asJSON {
		return listFound(out, found)
	}
	for i := range found {
		if err := writeJSON(out, &api.QueryItem{Profile: &found[i]}); err != nil {
			return err
		}
	}
	return nil
}
