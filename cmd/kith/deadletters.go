package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"kith/api"
)

func deadLettersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dead-letters", Short: "List, replay and delete the objects that could not be attached to a profile",
		Long: `A profile object whose keys find no profile, and whose type makes none, becomes a dead letter. So do objects that a quota or an
ambiguity keeps out. They are kept for a while; replayed, they are put again as if they came now.`,
	}
	cmd.AddCommand(lettersList(), lettersReplay(), lettersDelete())
	return cmd
}

func lettersPath(domain string) string {
	return domainPath(domain) + "/dead-letters"
}

// letterFlags are what all commands on dead letters have.
type letterFlags struct{ domain, objectType string }

func (f *letterFlags) add(cmd *cobra.Command) {
	addDomainFlag(cmd, &f.domain, "domain of the letters")
	cmd.Flags().StringVar(&f.objectType, "object-type", "", "only objects of this type")
	addClientFlags(cmd)
}

func lettersList() *cobra.Command {
	var f letterFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters, oldest first", Args: cobra.NoArgs,
		Example: "  kith dead-letters list --domain shop\n  kith dead-letters list --domain shop --json > letters.ndjson",
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			return listLetters(cmd.Context(), c, f, asJSON, cmd.OutOrStdout())
		}),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each letter as a line of JSON, with its object")
	return cmd
}

func listLetters(ctx context.Context, c *client, f letterFlags, asJSON bool, out io.Writer) error {
	q := url.Values{"max-results": {"500"}}
	if f.objectType != "" {
		q.Set("object-type", f.objectType)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(w, "ID\tRECEIVED\tTYPE\tBYTES\tTO BE SENT\tREASON")
	}
	for {
		var page api.ListDeadLettersResponse
		if err := c.call(ctx, http.MethodGet, lettersPath(f.domain), q, nil, &page); err != nil {
			return err
		}
		for _, l := range page.Items {
			if asJSON {
				b, err := json.Marshal(l)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintf(out, "%s\n", b); err != nil {
					return err
				}
				continue
			}
			waits := "-"
			if api.Val(l.ToBeSent) {
				waits = "yes"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", *l.DeadLetterId, l.ReceivedAt.Local().Format(time.DateTime), *l.ObjectTypeName, len(*l.Object), waits, *l.Reason)
		}
		if err := w.Flush(); err != nil || page.NextToken == nil {
			return err
		}
		q.Set("next-token", *page.NextToken)
	}
}

// whichLetters checks that a command says which letters it is about.
func whichLetters(ids []string, f letterFlags, all bool) error {
	n := 0
	for _, said := range []bool{len(ids) > 0, f.objectType != "", all} {
		if said {
			n++
		}
	}
	if n != 1 {
		return usageError("say which letters: their ids, or --object-type TYPE, or --all")
	}
	return nil
}

func lettersReplay() *cobra.Command {
	var f letterFlags
	var all bool
	cmd := &cobra.Command{
		Use: "replay [ID…]", Short: "Put the objects of dead letters again",
		Long: `Put the objects of dead letters again, oldest first, as if they came now: an object that is newer and has the same unique key is replaced,
unless its type has source times. Letters whose objects are attached are gone; the others stay, and the command says why. Exit code 3: some stay.`,
		Example: "  kith dead-letters replay --domain shop --all",
		RunE: withClient(func(cmd *cobra.Command, c *client, ids []string) error {
			if err := whichLetters(ids, f, all); err != nil {
				return err
			}
			return replayLetters(cmd.Context(), c, f, ids, cmd.OutOrStdout())
		}),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all letters of the domain")
	return cmd
}

func replayLetters(ctx context.Context, c *client, f letterFlags, ids []string, out io.Writer) error {
	attached, failed := int64(0), 0
	one := func(q url.Values, in api.ReplayDeadLettersRequest) (next *string, err error) {
		var page api.ReplayDeadLettersResponse
		if err := c.call(ctx, http.MethodPost, lettersPath(f.domain)+"/replay", q, in, &page); err != nil {
			return nil, fmt.Errorf("%w (%d attached until then; what is left can be replayed again)", err, attached)
		}
		attached += api.Val(page.Attached)
		failed += len(page.Failed)
		for _, l := range page.Failed {
			fmt.Fprintf(out, "%s\t%s\n", *l.DeadLetterId, *l.Reason)
		}
		return page.NextToken, nil
	}
	for len(ids) > 0 {
		n := min(len(ids), 100)
		if _, err := one(nil, api.ReplayDeadLettersRequest{DeadLetterIds: ids[:n]}); err != nil {
			return err
		}
		if ids = ids[n:]; len(ids) == 0 {
			return letterSummary(attached, failed, out)
		}
	}
	var in api.ReplayDeadLettersRequest
	if f.objectType != "" {
		in.ObjectTypeName = &f.objectType
	}
	q := url.Values{"max-results": {"500"}}
	for {
		next, err := one(q, in)
		if err != nil {
			return err
		}
		if next == nil {
			return letterSummary(attached, failed, out)
		}
		q.Set("next-token", *next)
	}
}

func letterSummary(attached int64, failed int, out io.Writer) error {
	if _, err := fmt.Fprintf(out, "%d attached, %d stay.\n", attached, failed); err != nil || failed == 0 {
		return err
	}
	return &exitErr{code: exitPartial, err: errors.New("some dead letters stay: mend their types or profiles, and replay them again")}
}

func lettersDelete() *cobra.Command {
	var f letterFlags
	var all bool
	cmd := &cobra.Command{
		Use: "delete [ID…]", Short: "Delete dead letters for good",
		RunE: withClient(func(cmd *cobra.Command, c *client, ids []string) error {
			if err := whichLetters(ids, f, all); err != nil {
				return err
			}
			deleted := int64(0)
			for first := true; first || len(ids) > 0; first = false {
				n := min(len(ids), 100)
				in := api.DeleteDeadLettersRequest{DeadLetterIds: ids[:n:n]}
				if n == 0 {
					in.DeadLetterIds = nil
				}
				if f.objectType != "" {
					in.ObjectTypeName = &f.objectType
				}
				if all {
					in.All = &all
				}
				var got api.DeleteDeadLettersResponse
				if err := c.call(cmd.Context(), http.MethodPost, lettersPath(f.domain)+"/delete", nil, in, &got); err != nil {
					return err
				}
				deleted += api.Val(got.Deleted)
				ids = ids[n:]
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d deleted.\n", deleted)
			return err
		}),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all letters of the domain")
	return cmd
}
