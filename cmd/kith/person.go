package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"kith/api"
)

// personFlags say who a command is about.
type personFlags struct{ domain, profileID, key string }

func (f *personFlags) add(cmd *cobra.Command) {
	addDomainFlag(cmd, &f.domain, "domain of the person")
	cmd.Flags().StringVar(&f.profileID, "profile-id", "", "id of the person's profile, or of one that was merged into it")
	cmd.Flags().StringVar(&f.key, "key", "", "a key that leads to one person only, such as _email=ann@example.com")
	addClientFlags(cmd)
}

// request is the body of a call, and its path without the operation.
func (f *personFlags) request() (in api.ExportPersonRequest, path string, err error) {
	name, value, isKey := strings.Cut(f.key, "=")
	if (f.profileID != "") == (f.key != "") || f.key != "" && (!isKey || name == "" || value == "") {
		return in, "", usageError("say who it is: --profile-id ID, or --key NAME=VALUE, such as --key _email=ann@example.com")
	}
	if f.profileID != "" {
		in.ProfileId = &f.profileID
	} else {
		in.KeyName, in.KeyValue = &name, &value
	}
	return in, domainPath(f.domain) + "/persons", nil
}

func exportPersonCommand() *cobra.Command {
	var f personFlags
	var output string
	var force bool
	cmd := &cobra.Command{
		Use: "export-person", Short: "Write everything that is known of one person, as JSON", Args: cobra.NoArgs,
		Long: `Write everything that is known of one person, as JSON: the profile, what each import and each caller said about it, with its members, keys,
objects and history, and the dead letters and rejected rows of imports that hold its keys. docs/privacy.md has the members, and what can't be searched.`,
		Example: "  kith export-person --domain shop --key _email=ann@example.com > ann.json",
		PreRunE: func(*cobra.Command, []string) error { return mayWrite("--output", output, force) },
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			in, path, err := f.request()
			if err != nil {
				return err
			}
			if output == "" {
				return c.call(cmd.Context(), http.MethodPost, path+"/export", nil, in, cmd.OutOrStdout())
			}
			return wholeFile(output, func(w io.Writer) error { return c.call(cmd.Context(), http.MethodPost, path+"/export", nil, in, w) })
		}),
	}
	f.add(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write to (default: standard output)")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file of --output if it is there")
	return cmd
}

func forgetCommand() *cobra.Command {
	var f personFlags
	var yes bool
	cmd := &cobra.Command{
		Use: "forget", Short: "Delete a person for good, and print a signed statement of it", Args: cobra.NoArgs,
		Long: `Delete a person for good: its profile, all that were merged into it, their objects, keys and history, and the dead letters that carry its keys. The
signed statement says what was removed, that a look afterwards found nothing, and what remains until when; it names nobody. Bytes in the store's
files go with the next purge: kith purge does that now.`,
		Example: "  kith forget --domain shop --key _email=ann@example.com --yes > statement.json",
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			in, path, err := f.request()
			if err != nil {
				return err
			}
			if !yes {
				return usageError("this can't be taken back: say --yes. kith export-person shows what would go")
			}
			var out api.ForgetPersonResponse
			if err := c.call(cmd.Context(), http.MethodPost, path+"/forget", nil, in, &out); err != nil {
				return err
			}
			if err := checkStatement(&out); err != nil {
				return err
			}
			b, err := json.Marshal(&out, json.Deterministic(true))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b)
			return err
		}),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

// checkStatement checks the signature of a statement.
func checkStatement(st *api.ForgetPersonResponse) error {
	key, err1 := base64.StdEncoding.DecodeString(api.Val(st.PublicKey))
	sig, err2 := base64.StdEncoding.DecodeString(api.Val(st.Signature))
	if errors.Join(err1, err2) != nil || len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, []byte(api.Val(st.Statement)), sig) {
		return errors.New("the person was deleted, but the statement's signature is not right; is something between this command and the server?")
	}
	return nil
}
