package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
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
    {"Effect": "Allow", "Action": "profile:*", "Resource": ["arn:aws:profile:*:*:domains/shop", "arn:aws:profile:*:*:domains/shop/*"]}]}`,
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
			fmt.Fprintln(w, "KEY\tCREATED\tBY\tDESCRIPTION\tPOLICY")
			q := url.Values{}
			for {
				var page api.ListAccessKeysResponse
				if err := c.call(cmd.Context(), http.MethodGet, "/kith/access-keys", q, nil, &page); err != nil {
					return err
				}
				for _, k := range page.Items {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", *k.AccessKeyId, k.CreatedAt.Local().Format(time.DateTime), cmp.Or(api.Val(k.CreatedBy), "-"), api.Val(k.Description), squash(*k.Policy))
				}
				if page.NextToken == nil {
					return w.Flush()
				}
				q.Set("next-token", *page.NextToken)
			}
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
	cmd := &cobra.Command{
		Use: "delete KEY", Short: "Delete an access key", Args: cobra.ExactArgs(1),
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			return c.call(cmd.Context(), http.MethodDelete, "/kith/access-keys/"+url.PathEscape(args[0]), nil, nil, nil)
		}),
	}
	addClientFlags(cmd)
	return cmd
}
