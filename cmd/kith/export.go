package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kith/api"
	"kith/schema"
)

// exportPage is how many profiles are asked for at a time, the most there may be.
const exportPage = 500

// maxColumns bounds the custom attributes that become columns.
const maxColumns = 10_000

// exporter is an export on its way.
type exporter struct {
	*client
	domain, format, out string
	attributes          []string
	safe, force, resume bool
	info                io.Writer
	reached             bool // the server has answered once
}

func exportCommand() *cobra.Command {
	var x exporter
	cmd := &cobra.Command{
		Use: "export", Short: "Write all profiles of a domain, as NDJSON, CSV or Parquet", Args: cobra.NoArgs,
		Long: `Write all profiles of a domain, as a page of them after the other is read: memory does not grow with the domain. Members of merged profiles
are in their main profile; what is deleted or has expired is not there. A profile that stays as it is meanwhile is written once.

NDJSON has a line for each profile, as the API shows it. CSV and Parquet have a column for each attribute of the standard profile, named as
in mappings ("Address.City"), and then "Attributes.…" for each custom attribute. Which these are is found by reading all profiles first, so the
domain is read twice; --attributes names them instead. Cells are verbatim, unless --safe-for-spreadsheets is given.

A server that does not answer for a while is waited for. An export to a file that was ended, by whatever, goes on with --resume (NDJSON and CSV): profiles
that were written stay as they were then.`,
		Example: `  kith export --domain customers > customers.ndjson
  kith export --format csv --out customers.csv
  kith export --format parquet --attributes tier,segment --out customers.parquet`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if !slices.Contains(formats, x.format) {
				return usageError("--format is %s: it is one of %s", x.format, strings.Join(formats, ", "))
			}
			if err := x.checkOutput(); err != nil {
				return err
			}
			if x.client, err = connect(cmd); err != nil {
				return err
			}
			x.info = cmd.ErrOrStderr()
			return errors.Join(x.run(cmd.Context(), cmd.OutOrStdout()), x.close())
		},
	}
	addDomainFlag(cmd, &x.domain, "domain to export")
	cmd.Flags().StringVar(&x.format, "format", "ndjson", "ndjson, csv or parquet")
	cmd.Flags().StringVarP(&x.out, "out", "o", "", "file to write to, there when it is whole (default: standard output)")
	cmd.Flags().StringSliceVar(&x.attributes, "attributes", nil, "custom attributes that become columns (default: all that there are)")
	cmd.Flags().BoolVar(&x.safe, "safe-for-spreadsheets", false, "CSV: put an apostrophe before cells that a spreadsheet takes for formulas; an import takes it off again")
	cmd.Flags().BoolVar(&x.force, "force", false, "replace the file of --out if it is there, or what an export to it has begun")
	cmd.Flags().BoolVar(&x.resume, "resume", false, "go on with an export to --out that was ended")
	addClientFlags(cmd)
	return cmd
}

func (x *exporter) run(ctx context.Context, stdout io.Writer) error {
	if info, err := os.Stat(x.out); x.out != "" && x.format != "parquet" && (err != nil || info.Mode().IsRegular()) {
		return x.toFile(ctx)
	}
	columns, err := x.columns(ctx)
	if err != nil {
		return err
	}
	write := func(w io.Writer) error { return x.write(ctx, w, columns) }
	if x.out == "" {
		return write(stdout)
	}
	return wholeFile(x.out, write)
}

// columns lists the columns of a table of the domain's profiles; nil: the format has none.
func (x *exporter) columns(ctx context.Context) ([]string, error) {
	if x.format == "ndjson" {
		return nil, nil
	}
	columns := append([]string{"ProfileId"}, schema.StandardPaths()...)
	custom := map[string]bool{}
	for _, name := range x.attributes {
		custom[name] = true
	}
	if x.attributes == nil {
		err := x.profiles(ctx, func(p *api.Profile) error {
			for name := range p.Attributes {
				custom[name] = true
			}
			if len(custom) > maxColumns {
				return fmt.Errorf("the domain has more than %d custom attributes: name those that are to be columns with --attributes", maxColumns)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(custom)) {
		columns = append(columns, customColumn+name)
	}
	return columns, nil
}

func (x *exporter) write(ctx context.Context, w io.Writer, columns []string) error {
	buf := bufio.NewWriterSize(w, 1<<20)
	enc, err := newEncoder(x.format, buf, columns, x.safe)
	if err != nil {
		return err
	}
	n := int64(0)
	left := map[string]bool{}
	err = x.profiles(ctx, func(p *api.Profile) error {
		n++
		x.leftOut(p, columns, left)
		return enc.write(p)
	})
	if err == nil {
		err = errors.Join(enc.close(), buf.Flush())
	}
	if err != nil {
		return err
	}
	x.report(n, left)
	return nil
}

// leftOut notes custom attributes of a profile that have no column.
func (x *exporter) leftOut(p *api.Profile, columns []string, left map[string]bool) {
	for name := range p.Attributes {
		if _, found := slices.BinarySearch(columns[min(len(columns), 1+len(schema.StandardPaths())):], customColumn+name); columns != nil && !found && len(left) < 1000 {
			left[name] = true
		}
	}
}

// report says what was exported.
func (x *exporter) report(n int64, left map[string]bool) {
	fmt.Fprintf(x.info, "%d profiles of domain %s\n", n, x.domain)
	if len(left) > 0 {
		fmt.Fprintf(x.info, "%d custom attributes have no column: they were not named by --attributes, or came while the export ran\n", len(left))
	}
}

// profiles calls do for all profiles of the domain, a page after the other.
func (x *exporter) profiles(ctx context.Context, do func(*api.Profile) error) error {
	return x.profilesFrom(ctx, "", do, func(string) error { return nil })
}

// profilesFrom is profiles from a page on, "" is the first; it calls paged behind each page with the token of the next.
func (x *exporter) profilesFrom(ctx context.Context, token string, do func(*api.Profile) error, paged func(next string) error) error {
	q := url.Values{"max-results": {fmt.Sprint(exportPage)}}
	if token != "" {
		q.Set("next-token", token)
	}
	for {
		var page api.ListProfilesResponse
		if err := x.patiently(ctx, func() error {
			return x.call(ctx, http.MethodGet, domainPath(x.domain)+"/profiles", q, nil, &page)
		}); err != nil {
			return fmt.Errorf("list the profiles of domain %s: %w", x.domain, err)
		}
		for i := range page.Items {
			if err := do(&page.Items[i]); err != nil {
				return err
			}
		}
		if err := paged(api.Val(page.NextToken)); err != nil || page.NextToken == nil {
			return err
		}
		q.Set("next-token", *page.NextToken)
	}
}

// exportPatience is how long a server that can't be reached is waited for.
const exportPatience = 2 * time.Minute

// patiently makes a call until the server can be reached, if it could be before.
func (x *exporter) patiently(ctx context.Context, call func() error) error {
	for began, pause := time.Now(), time.Second; ; pause = min(2*pause, 10*time.Second) {
		err := call()
		x.reached = x.reached || err == nil
		if _, unreachable := errors.AsType[*url.Error](err); !unreachable || !x.reached || ctx.Err() != nil || time.Since(began) > exportPatience {
			return err
		}
		fmt.Fprintln(x.info, "the server does not answer; it is asked again")
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
