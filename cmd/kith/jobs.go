package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/spf13/cobra"

	"kith/api"
)

func jobsCommand() *cobra.Command {
	var domain string
	var all bool
	cmd := &cobra.Command{
		Use: "jobs [JOB]", Short: "List imports, or follow one to its end", Args: cobra.MaximumNArgs(1),
		Long: `List the imports of a domain, newest first; with a job's id, follow that import to its end and print its result.

Exit codes when following are those of "kith import".`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				err = followJob(cmd.Context(), c, domain, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
			} else {
				err = listJobs(cmd, c, domain, all)
			}
			return errors.Join(err, c.close())
		},
	}
	cmd.Flags().StringVar(&domain, "domain", "customers", "domain of the imports")
	cmd.Flags().BoolVar(&all, "all", false, "list all imports, not only the newest 20")
	addClientFlags(cmd)
	cmd.AddCommand(workCommand(), cancelCommand())
	return cmd
}

func workCommand() *cobra.Command {
	var domain string
	cmd := &cobra.Command{
		Use: "work", Short: "List the background work that runs or waits", Args: cobra.NoArgs,
		Long: `List the background work of a domain that runs or waits, in the order of its arrival: imports, undos, the removal of what has
expired, the compaction of old imports, dry runs. Work of one lane runs one piece at a time; the lane "turn" is that of imports.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			return errors.Join(listWork(cmd, c, domain), c.close())
		},
	}
	cmd.Flags().StringVar(&domain, "domain", "customers", "domain of the work")
	addClientFlags(cmd)
	return cmd
}

func listWork(cmd *cobra.Command, c *client, domain string) error {
	var all api.ListBackgroundWorkResponse
	if err := c.call(cmd.Context(), http.MethodGet, workPath(domain), nil, nil, &all); err != nil {
		return fmt.Errorf("list the background work of domain %s: %w", domain, err)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WORK\tKIND\tLANE\tARRIVED\tFAILED\tNODE")
	for _, it := range all.Items {
		node := api.Val(it.Node)
		if api.Val(it.Cancelled) {
			node += " (cancelled)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", *it.WorkId, *it.Kind, *it.Lane, it.ArrivedAt.Time.Local().Format(time.DateTime), *it.FailedAttempts, node)
	}
	return w.Flush()
}

func cancelCommand() *cobra.Command {
	var domain string
	cmd := &cobra.Command{
		Use: "cancel JOB", Short: "End an import, an undo or other background work for good", Args: cobra.ExactArgs(1),
		Long: `End background work that runs or waits; JOB is what "kith jobs work" lists. An import that has not begun to write writes nothing; one
that has is FAILED, and "kith undo JOB" takes back what it wrote. An undo that is cancelled can be asked for again, and goes on.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			return errors.Join(cancelWork(cmd, c, domain, args[0]), c.close())
		},
	}
	cmd.Flags().StringVar(&domain, "domain", "customers", "domain of the work")
	addClientFlags(cmd)
	return cmd
}

// cancelWork cancels work and waits until it has ended.
func cancelWork(cmd *cobra.Command, c *client, domain, id string) error {
	var done api.CancelBackgroundWorkResponse
	if err := c.call(cmd.Context(), http.MethodPost, workPath(domain)+"/"+url.PathEscape(id)+"/cancel", nil, struct{}{}, &done); err != nil {
		return fmt.Errorf("cancel %s: %w", id, err)
	}
	return poll(cmd.Context(), func() (bool, error) {
		var all api.ListBackgroundWorkResponse
		if err := c.call(cmd.Context(), http.MethodGet, workPath(domain), nil, nil, &all); err != nil {
			return false, err
		}
		if slices.ContainsFunc(all.Items, func(w api.BackgroundWork) bool { return *w.WorkId == id }) {
			return false, nil
		}
		fmt.Fprintf(cmd.OutOrStdout(), "CANCELLED: %s %s\n", *done.Kind, id)
		return true, nil
	}, "it ends while a server runs on its data folder")
}

func workPath(domain string) string { return "/kith/domains/" + url.PathEscape(domain) + "/work" }

func listJobs(cmd *cobra.Command, c *client, domain string, all bool) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "JOB\tSTATUS\tCREATED\tTOOK\tNAME")
	in := &customerprofiles.ListUploadJobsInput{DomainName: &domain, MaxResults: aws.Int32(20)}
	for {
		page, err := c.ListUploadJobs(cmd.Context(), in)
		if err != nil {
			return fmt.Errorf("list the imports of domain %s: %w", domain, plain(err))
		}
		for _, j := range page.Items {
			took := ""
			if j.CompletedAt != nil {
				took = j.CompletedAt.Sub(*j.CreatedAt).Round(100 * time.Millisecond).String()
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", *j.JobId, j.Status, j.CreatedAt.Local().Format(time.DateTime), took, *j.DisplayName)
		}
		if page.NextToken == nil || !all {
			return w.Flush()
		}
		in.NextToken = page.NextToken
	}
}
