package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/spf13/cobra"
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
	return cmd
}

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
