package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kith/access"
	"kith/api"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Create, list and delete access keys"}
	cmd.AddCommand(keysCreate(), keysList(), keysDelete())
	return cmd
}

// withClient runs a command that needs a server.
func withClient(run func(cmd *cobra.Command, c *client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := connect(cmd)
		if err != nil {
			return err
		}
		return errors.Join(run(cmd, c, args), c.close())
	}
}

func keysCreate() *cobra.Command {
	var file, description string
	cmd := &cobra.Command{
		Use: "create --policy FILE", Short: "Create an access key and print its secret, once", Args: cobra.NoArgs,
		Long: `Create an access key with a policy in the language of IAM: Effect, Action (profile:* and kith:*) and Resource (the ARN of a
domain, of what is in it, or "*"); docs/operations.md has the rules. Without --policy the key may do everything its maker may: with the
key of the data folder, everything.

  {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "profile:*", "Resource": [
      "arn:aws:profile:*:*:domains/shop",
      "arn:aws:profile:*:*:domains/shop/*"]}]}`,
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			policy := access.Everything
			if file != "" {
				b, err := os.ReadFile(file)
				if err != nil {
					return usageError("%w", err)
				}
				policy = string(b)
			}
			p, err := access.ParsePolicy(policy)
			if err == nil {
				err = p.Check()
			}
			if err != nil {
				return usageError("%s: %w", file, err)
			}
			var key api.CreateAccessKeyResponse
			if err := c.call(cmd.Context(), http.MethodPost, "/kith/access-keys", nil, api.CreateAccessKeyRequest{Policy: &policy, Description: &description}, &key); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", *key.AccessKeyId, *key.SecretAccessKey)
			return err
		}),
	}
	cmd.Flags().StringVar(&file, "policy", "", "JSON file with the key's policy (default: everything)")
	cmd.Flags().StringVar(&description, "description", "", "what the key is for")
	addClientFlags(cmd)
	return cmd
}

func keysList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List access keys", Args: cobra.NoArgs,
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			first := true
			err := eachKey(cmd.Context(), c, func(k api.AccessKeyItem) {
				if first {
					fmt.Fprintln(w, "KEY\tCREATED\tBY\tDESCRIPTION\tPOLICY")
					first = false
				}
				by := "-"
				if len(k.CreatedBy) > 0 {
					by = k.CreatedBy[0]
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", *k.AccessKeyId, k.CreatedAt.Local().Format(time.DateTime), by, api.Val(k.Description), squash(*k.Policy))
			})
			return errors.Join(err, w.Flush())
		}),
	}
	addClientFlags(cmd)
	return cmd
}

// squash puts a policy on one line of bearable length.
func squash(policy string) string {
	var out []rune
	blank := false
	for _, r := range policy {
		if r == ' ' || r == '\n' || r == '\t' || r == '\r' {
			blank = true
			continue
		}
		if blank && len(out) > 0 {
			out = append(out, ' ')
		}
		blank = false
		if len(out) >= 100 {
			return string(out) + "…"
		}
		out = append(out, r)
	}
	return string(out)
}

func keysDelete() *cobra.Command {
	var descendants bool
	cmd := &cobra.Command{
		Use: "delete KEY", Short: "Delete an access key", Args: cobra.ExactArgs(1),
		Long: `Delete an access key. Requests signed with it fail from then on, on other nodes of a cluster a second later. The keys that it has made
stay, unless --descendants is given: what a leaked key should be deleted with. That also finds what a key made that is deleted already.`,
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			err := deleteKey(cmd.Context(), c, args[0])
			if !descendants {
				return err
			}
			n, descErr := deleteDescendants(cmd.Context(), c, args[0])
			if n > 0 {
				err = nil // the key itself may be gone since long
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d keys that descend from %s were deleted.\n", n, args[0])
			return errors.Join(err, descErr)
		}),
	}
	cmd.Flags().BoolVar(&descendants, "descendants", false, "delete what the key has made, too, and what that has made")
	addClientFlags(cmd)
	return cmd
}

func deleteKey(ctx context.Context, c *client, id string) error {
	return c.call(ctx, http.MethodDelete, "/kith/access-keys/"+url.PathEscape(id), nil, nil, nil)
}

// deleteDescendants deletes what descends from a key that is deleted. Its descendants make others until they are deleted themselves, so it looks
// until there is none.
func deleteDescendants(ctx context.Context, c *client, id string) (n int, err error) {
	for {
		var found []string
		err := eachKey(ctx, c, func(k api.AccessKeyItem) {
			if slices.Contains(k.CreatedBy, id) {
				found = append(found, *k.AccessKeyId)
			}
		})
		if err != nil || len(found) == 0 {
			return n, err
		}
		for _, k := range found {
			if err := deleteKey(ctx, c, k); err != nil {
				return n, err
			}
			n++
		}
	}
}

// eachKey calls do for every access key.
func eachKey(ctx context.Context, c *client, do func(api.AccessKeyItem)) error {
	q := url.Values{}
	for {
		var page api.ListAccessKeysResponse
		if err := c.call(ctx, http.MethodGet, "/kith/access-keys", q, nil, &page); err != nil {
			return err
		}
		for _, k := range page.Items {
			do(k)
		}
		if page.NextToken == nil {
			return nil
		}
		q.Set("next-token", *page.NextToken)
	}
}
