package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"kith/access"
	"kith/conformance"
)

// conformanceReport is what --json prints.
type conformanceReport struct {
	Endpoint, Domain     string
	StartedAt, EndedAt   time.Time
	OK, Differs, Skipped int
	Results              []conformance.Result
}

func conformanceCommand() *cobra.Command {
	var operations []string
	var confidence, region, account string
	var patience time.Duration
	var asJSON, list bool
	cmd := &cobra.Command{
		Use: "conformance", Short: "Check that a server, of whatever make, behaves as the API is documented", Args: cobra.NoArgs,
		Long: `Call the operations of the API through the official SDK, and say where the answers differ from the documented behaviour. Each check names
the behaviour, its section of docs/spec, and how sure that is: model, doc, observed (of the live service), or inferred (Kith's choice where
nothing is documented).

It may be pointed at AWS: --endpoint https://profile.eu-central-1.amazonaws.com --region eu-central-1, with credentials as AWS's tools take
them (environment, AWS_PROFILE, the machine's role). All that it does happens in domains of its own, named kith-conformance-…, which it
removes at the end, also when it is interrupted. What an operation that is not built (501) is needed for is skipped.

Exit codes: 0 nothing differs, 5 something does, 1 the checks could not be made.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf := conformance.Config{Operations: operations, Confidence: conformance.Confidence(confidence), Patience: patience, Account: account}
			checks, err := conformance.Checks(conf)
			if err != nil {
				return usageError("%w", err)
			}
			if list {
				return listChecks(cmd.OutOrStdout(), checks, asJSON)
			}
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			if err := reach(cmd.Context(), c, region, &conf); err != nil {
				return errors.Join(err, c.close())
			}
			return errors.Join(conform(cmd, c.endpoint, conf, asJSON), c.close())
		},
	}
	cmd.Flags().StringSliceVar(&operations, "operation", nil, "make only the checks of this operation; may be repeated")
	cmd.Flags().StringVar(&confidence, "confidence", string(conformance.Inferred), "make only checks at least as sure: model, doc, observed or inferred")
	cmd.Flags().StringVar(&region, "region", defaultRegion, "region to sign for and in ARNs")
	cmd.Flags().StringVar(&account, "account", "", "account number in ARNs (default: Kith's, or for AWS the one of the credentials)")
	cmd.Flags().DurationVar(&patience, "patience", 2*time.Minute, "how long a write may take until reads see it; 0 asks for read-after-write")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document instead of text")
	cmd.Flags().BoolVar(&list, "list", false, "list the checks and make none")
	addClientFlags(cmd)
	return cmd
}

// reach fills in how the server is reached.
func reach(ctx context.Context, c *client, region string, conf *conformance.Config) error {
	conf.HTTP = c.http
	conf.Options = customerprofiles.Options{BaseEndpoint: &c.endpoint, Region: region, Credentials: c.creds}
	if conf.Account != "" {
		return nil
	}
	conf.Account = access.AccountID
	u, err := url.Parse(c.endpoint)
	if err != nil {
		return usageError("--endpoint: %w", err)
	}
	if host := u.Hostname(); !strings.HasSuffix(host, ".amazonaws.com") && !strings.HasSuffix(host, ".api.aws") {
		return nil
	}
	who, err := sts.New(sts.Options{Region: region, Credentials: c.creds}).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return fmt.Errorf("the number of the account is not known, give it with --account: %w", plain(err))
	}
	conf.Account = aws.ToString(who.Account)
	return nil
}

func listChecks(w io.Writer, checks []conformance.Check, asJSON bool) error {
	if asJSON {
		return writeReport(w, checks)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range checks {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Operation, c.Section, c.Confidence, c.Behaviour)
	}
	return table.Flush()
}

// conform makes the checks and prints them.
func conform(cmd *cobra.Command, endpoint string, conf conformance.Config, asJSON bool) error {
	report := conformanceReport{Endpoint: endpoint, StartedAt: time.Now().UTC(), Results: []conformance.Result{}}
	out := cmd.OutOrStdout()
	conf.Started = func(domain string) {
		report.Domain = domain
		fmt.Fprintf(cmd.ErrOrStderr(), "checking %s in the domain %s\n", endpoint, domain)
	}
	conf.Done = func(r conformance.Result) {
		report.Results = append(report.Results, r)
		if !asJSON {
			printCheck(out, r)
		}
	}
	_, err := conformance.Run(cmd.Context(), conf)
	report.EndedAt = time.Now().UTC()
	for _, r := range report.Results {
		switch r.Outcome {
		case conformance.OK:
			report.OK++
		case conformance.Differs:
			report.Differs++
		case conformance.Skipped:
			report.Skipped++
		}
	}
	if asJSON {
		err = errors.Join(err, writeReport(out, report))
	} else {
		fmt.Fprintf(out, "%d ok, %d differ, %d skipped\n", report.OK, report.Differs, report.Skipped)
	}
	if err != nil {
		return err
	}
	if report.Differs > 0 {
		return &exitErr{code: exitDiffers, err: errors.New("")}
	}
	return nil
}

// printCheck writes a line, and what differs below it.
func printCheck(w io.Writer, r conformance.Result) {
	note := ""
	if r.Outcome == conformance.Skipped {
		note = ": " + r.Reason
	}
	fmt.Fprintf(w, "%-7s  %s: %s (%s, %s)%s\n", r.Outcome, r.Operation, r.Behaviour, r.Section, r.Confidence, note)
	for _, d := range r.Differences {
		fmt.Fprintf(w, "         - %s\n", strings.ReplaceAll(d, "\n", "\n           "))
	}
}

func writeReport(w io.Writer, report any) error {
	b, err := json.Marshal(report, jsontext.WithIndent("  "), jsontext.EscapeForHTML(false))
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
