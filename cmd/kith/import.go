package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"kith/api"
	"kith/schema"
	"kith/upload/table"
)

// importExpiry is the default life of imported data here, in days: the longest the API allows. Its own default is 14.
const importExpiry = 1098

type importOptions struct {
	name        string // what messages call the file; "" is its path
	domain, key string
	maps        []string
	expire      int32
	dryRun      bool
	rejects     string // file for the rejected rows, or ""
	safe, force bool
	yes         bool // asks nothing

	encoding, delimiter string // of the file, "" is found out
	headerLine          int32
	sheet               string
	country             string            // "" is as the domain has it
	tooLong             api.TooLongValues // "" rejects the row
}

func importCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Import a CSV file or a workbook of customers; - is standard input", Args: cobra.ExactArgs(1),
		Long: `Import a CSV file or an Excel workbook (.xlsx) of customers through the public API: the domain is created if it is missing, a mapping is
suggested from the header and the first rows and shown, the file is uploaded, and the job followed to its end. On a terminal it asks once when
something about the file is doubtful.

The file may be in UTF-8, UTF-16 or one of 28 older encodings, separated by commas, semicolons, tabs or bars, and compressed with gzip or
zstd; what it is, is found out and said. An upload that is cut goes on by itself.

Exit codes: 0 all rows imported, 3 some rows were rejected, 4 the import failed or was stopped, 2 wrong usage, 1 anything else.
With --dry-run they say the same of what would happen.`,
		Example: `  kith import customers.csv
  kith import customers.xlsx --sheet Customers
  kith import customers.csv --dry-run
  kith import customers.csv --rejects rejects.csv
  kith import customers.csv --domain shop --key email \
      --map "Cust. level=Attributes.tier" --map internal=-`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if err := mayWrite("--rejects", o.rejects, o.force, args[0]); err != nil {
				return err
			}
			if o.name = args[0]; o.name == "-" {
				o.name = "standard input"
			}
			path, done, err := inputFile(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			c, err := connectToImport(cmd, o.domain, o.dryRun)
			if err != nil {
				return errors.Join(err, done())
			}
			err = importFile(cmd.Context(), c, path, o, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			return errors.Join(err, c.close(), done())
		},
	}
	f := cmd.Flags()
	addDomainFlag(cmd, &o.domain, "domain to import into; created if missing")
	f.StringVar(&o.key, "key", "", "column that identifies a customer (default: the customer number, e-mail or phone)")
	f.StringArrayVar(&o.maps, "map", nil, "COLUMN=TARGET: where a column goes, such as tier=Attributes.Tier; COLUMN=- leaves it out")
	f.Int32Var(&o.expire, "expire", importExpiry, "days after which the imported data expires, 1 to 1098")
	f.StringVar(&o.encoding, "encoding", "", "encoding of the file, such as windows-1250 (default: found out)")
	f.StringVar(&o.delimiter, "delimiter", "", "character between cells; tab is a tab (default: found out)")
	f.Int32Var(&o.headerLine, "header-line", 0, "line of the header (default: found out)")
	f.StringVar(&o.sheet, "sheet", "", "sheet of a workbook, by its name or number (default: the first with something in it)")
	f.StringVar(&o.country, "country", "", "two letters of the country in which phone numbers are written, such as DE (default: the domain's)")
	f.StringVar((*string)(&o.tooLong), "too-long", "reject", "what becomes of values that are longer than their attributes: reject the row, cut or drop the value")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what the import would do, and write nothing")
	f.BoolVarP(&o.yes, "yes", "y", false, "ask nothing; without a terminal nothing is asked anyway")
	f.StringVar(&o.rejects, "rejects", "", "file to write the rejected rows to, as CSV with reasons; it can be mended and imported")
	f.BoolVar(&o.safe, "safe-for-spreadsheets", false, "put an apostrophe before cells of --rejects that a spreadsheet takes for formulas")
	f.BoolVar(&o.force, "force", false, "replace the file of --rejects if it is there")
	addClientFlags(cmd)
	return cmd
}

// importFile imports one file and prints what happens. The result goes to out, everything else to info.
func importFile(ctx context.Context, c *client, path string, o importOptions, in io.Reader, out, info io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return usageError("%w", err)
	}
	defer file.Close()
	plan, id, err := decide(ctx, c, file, path, o, in, info)
	switch {
	case err != nil:
	case id == "":
		id, err = sendFile(ctx, c, file, plan, o, info)
	default:
		err = sayMapping(ctx, c, id, plan, o)
	}
	if err != nil {
		return dropJob(ctx, c, o.domain, id, err)
	}
	if o.dryRun {
		return dryRun(ctx, c, o, id, out, info)
	}
	if err := startJob(ctx, c, o.domain, id); err != nil {
		return err
	}
	err = followJob(ctx, c, o.domain, id, out, info)
	if ctx.Err() == nil {
		return errors.Join(err, saveRejects(ctx, c, o, id, false, info))
	}
	if e, ok := errors.AsType[*exitErr](err); ok && o.rejects != "" {
		e.then = append(e.then, "the rejected rows are not written yet; later, with  kith rejects "+id+c.more(o.domain))
	}
	return err
}

// startJob starts an uploaded job, also when the user ends the command meanwhile: then it is followed no longer, and whether it goes on is certain.
func startJob(ctx context.Context, c *client, domain, id string) error {
	begun, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(5*time.Second, cancel) })() // a server that is away is not waited for
	_, err := c.StartUploadJob(begun, &customerprofiles.StartUploadJobInput{DomainName: &domain, JobId: &id})
	if err != nil && ctx.Err() != nil {
		return &exitErr{code: exitError, err: errors.New("interrupted while the import was started; whether it was is not known"), then: []string{"see with  kith jobs " + id + c.more(domain)}}
	}
	if err != nil {
		return fmt.Errorf("start the import: %w", plain(err))
	}
	return nil
}

// maxHeaderLine is the last line that PutUploadJobOptions takes for that of a header.
const maxHeaderLine = 1000

// check refuses flags that can't be meant, and gives the others the form that the API has.
func (o *importOptions) check() error {
	if o.delimiter == "tab" || o.delimiter == `\t` {
		o.delimiter = "\t"
	}
	if d := o.delimiter; d != "" && (len(d) > 1 || !table.MaySeparate(d[0])) {
		return usageError("--delimiter %q must be one character of ASCII, no quote and no line end, or the word tab", d)
	}
	for _, m := range o.maps {
		if column, _, ok := strings.Cut(m, "="); !ok || column == "" {
			return usageError("--map %q must be COLUMN=TARGET", m)
		}
	}
	if o.headerLine < 0 || o.headerLine > maxHeaderLine {
		return usageError("--header-line must be 1 to %d, or 0: it is found out", maxHeaderLine)
	}
	if o.expire < 1 || o.expire > importExpiry {
		return usageError("--expire must be 1 to %d days", importExpiry)
	}
	if o.country != "" {
		c, ok := schema.ParseCountry(o.country)
		if !ok {
			return usageError("--country %q is no country: give its two letters, such as DE or FR", o.country)
		}
		o.country = c.String()
	}
	switch o.tooLong = api.TooLongValues(strings.ToUpper(string(o.tooLong))); o.tooLong {
	case api.TooLongValuesReject:
		o.tooLong = ""
	case "", api.TooLongValuesCut, api.TooLongValuesDrop:
	default:
		return usageError("--too-long must be reject, cut or drop")
	}
	return nil
}

// optional is the value of a flag as a member of a request: none if nothing was said.
func optional[T comparable](value T) *T {
	if value == *new(T) {
		return nil
	}
	return &value
}

// sayOptions tells the server what the flags say about the file.
func sayOptions(ctx context.Context, c *client, id string, o importOptions) error {
	in := api.PutUploadJobOptionsRequest{
		Encoding: optional(o.encoding), Delimiter: optional(o.delimiter), HeaderLine: optional(o.headerLine), Sheet: optional(o.sheet),
		Country: optional(o.country), TooLong: optional(o.tooLong),
	}
	if in == (api.PutUploadJobOptionsRequest{}) {
		return nil
	}
	if err := c.call(ctx, http.MethodPut, jobPath(o.domain, id)+"/options", nil, &in, nil); err != nil {
		return fmt.Errorf("say how the file is to be read: %w", err)
	}
	return nil
}

// sayMapping tells the server what becomes of the columns of a file that was uploaded before that was decided.
func sayMapping(ctx context.Context, c *client, id string, plan *api.SuggestUploadMappingResponse, o importOptions) error {
	in := api.PutUploadJobMappingRequest{Fields: plan.Fields, UniqueKey: plan.UniqueKey}
	if err := c.call(ctx, http.MethodPut, jobPath(o.domain, id)+"/mapping", nil, &in, nil); err != nil {
		return fmt.Errorf("say the mapping: %w", err)
	}
	return nil
}

func rowsHave(n int64) string {
	if n == 1 {
		return "1 row has"
	}
	return fmt.Sprintf("%d rows have", n)
}

// ensureDomain creates the domain if it is missing, with the country of the import.
func ensureDomain(ctx context.Context, c *client, name, country string, info io.Writer) error {
	_, err := c.GetDomain(ctx, &customerprofiles.GetDomainInput{DomainName: &name})
	if !isCode(err, "ResourceNotFoundException") {
		if err != nil {
			return fmt.Errorf("look at domain %s: %w", name, plain(err))
		}
		return nil
	}
	_, err = c.CreateDomain(ctx, &customerprofiles.CreateDomainInput{DomainName: &name, DefaultExpirationDays: aws.Int32(366)})
	if err != nil {
		return fmt.Errorf("create domain %s: %w", name, plain(err))
	}
	fmt.Fprintf(info, "Created domain %s\n", name)
	if country != "" {
		return putCountry(ctx, c, name, country, info)
	}
	return nil
}

func createJob(ctx context.Context, c *client, name string, plan *api.SuggestUploadMappingResponse, o importOptions) (string, error) {
	fields := map[string]types.ObjectTypeField{}
	for label, f := range plan.Fields {
		fields[label] = types.ObjectTypeField{Source: f.Source, Target: f.Target, ContentType: types.FieldContentType(*f.ContentType)}
	}
	job, err := c.CreateUploadJob(ctx, &customerprofiles.CreateUploadJobInput{
		DomainName: &o.domain, DisplayName: aws.String(name), Fields: fields, UniqueKey: plan.UniqueKey, DataExpiry: &o.expire,
	})
	if err != nil {
		return "", fmt.Errorf("create the upload job: %w", plain(err))
	}
	return *job.JobId, nil
}

func newBar(size int64, what string, w io.Writer) *progressbar.ProgressBar {
	return progressbar.NewOptions64(size, progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionUseANSICodes(false), progressbar.OptionSetVisibility(isTerminal(w)))
}

// endBar shows that all is done, and leaves the line a visible bar stands on.
func endBar(bar *progressbar.ProgressBar, w io.Writer) {
	_ = bar.Finish()
	leaveBar(w)
}

// leaveBar leaves the line a visible bar stands on, as it is.
func leaveBar(w io.Writer) {
	if isTerminal(w) {
		fmt.Fprintln(w)
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	stat, err := f.Stat()
	return err == nil && stat.Mode()&os.ModeCharDevice != 0
}

func jobPath(domain, id string) string {
	return domainPath(domain) + "/upload-jobs/" + url.PathEscape(id)
}

// followJob waits for a job's end and prints its result. Its error tells how the job ended.
func followJob(ctx context.Context, c *client, domain, id string, out, info io.Writer) error {
	bar := newBar(100, "Importing", info)
	wait := 50 * time.Millisecond
	for {
		// The details first: what they call finished is so when the job is looked at.
		var details api.GetUploadJobDetailsResponse
		if err := c.call(ctx, http.MethodGet, jobPath(domain, id)+"/details", nil, nil, &details); err != nil {
			leaveBar(info)
			return c.orInterrupted(ctx, "the import", "stop", domain, id, fmt.Errorf("look at the job: %w", err))
		}
		job, err := c.GetUploadJob(ctx, &customerprofiles.GetUploadJobInput{DomainName: &domain, JobId: &id})
		if err != nil {
			leaveBar(info)
			return c.orInterrupted(ctx, "the import", "stop", domain, id, fmt.Errorf("look at the job: %w", plain(err)))
		}
		if job.Status == types.UploadJobStatusCreated {
			return fmt.Errorf("upload job %s was not started yet", id)
		}
		if api.Val(details.Stage) == "finished" {
			if job.Status == types.UploadJobStatusSucceeded || job.Status == types.UploadJobStatusPartiallySucceeded {
				bar.Describe("Importing: finished")
				_ = bar.Finish()
			}
			leaveBar(info)
			return printResult(ctx, c, domain, job, &details, out, info)
		}
		bar.Describe("Importing: " + api.Val(details.Stage))
		_ = bar.Set(int(api.Val(details.PercentComplete)))
		select {
		case <-ctx.Done():
			leaveBar(info)
			return c.orInterrupted(ctx, "the import", "stop", domain, id, ctx.Err())
		case <-time.After(wait):
		}
		wait = min(wait*3/2, time.Second)
	}
}

func printResult(ctx context.Context, c *client, domain string, job *customerprofiles.GetUploadJobOutput, details *api.GetUploadJobDetailsResponse, out, info io.Writer) error {
	var created, updated, failed int64
	if r := job.ResultsSummary; r != nil {
		created, updated, failed = aws.ToInt64(r.CreatedRecords), aws.ToInt64(r.UpdatedRecords), aws.ToInt64(r.FailedRecords)
	}
	fmt.Fprintf(out, "%s: %d created, %d updated, %d failed", job.Status, created, updated, failed)
	if details.WorkedMilliseconds != nil { // else there was a pause in it, and a rate would say nothing
		took := float64(*details.WorkedMilliseconds) / 1000
		fmt.Fprintf(out, " in %.2f s", took)
		if n := created + updated + failed; took > 0.1 && n > 1000 {
			fmt.Fprintf(out, " (%.0f rows/s)", float64(n)/took)
		}
	}
	fmt.Fprintln(out)
	if n := api.Val(details.ShortRows); n > 0 {
		fmt.Fprintf(out, "%s fewer cells than the header; what was missing is blank.\n", rowsHave(n))
	}
	if n := api.Val(details.UncalculatedCells); n > 0 {
		tell(out, "", fmt.Sprintf("%d cells have formulas whose values were not saved, and count as blank: open the workbook in Excel, save it, and import it again.", n))
	}
	if n := api.Val(details.RepeatedHeaderRows); n > 0 {
		fmt.Fprintf(out, "%s the names of the columns again: passed over.\n", rowsHave(n))
	}
	sayMore(out, details.RepeatedKeyRows, details.UnchangedRecords, details.TooLongColumns, "")
	if len(details.OtherEncodings) > 0 {
		tell(out, "", fmt.Sprintf("It is not certain that the file is %s; it may be %s.", api.Val(details.Encoding), strings.Join(details.OtherEncodings, " or ")))
	}
	if details.ProfilesExpireAt != nil && created+updated > 0 {
		fmt.Fprintf(out, "The imported data expires on %s (%d days after the import).\n", details.ProfilesExpireAt.Format(time.DateOnly), *job.DataExpiry)
	}
	if details.Reason != nil {
		tell(out, "", *details.Reason)
	}
	if failed > 0 {
		if err := printRejects(ctx, c, domain, *job.JobId, failed, details.KeptRejects, nil, out); err != nil {
			fmt.Fprintln(info, "The rejected rows could not be read: "+told(err))
		}
	}
	switch job.Status {
	case types.UploadJobStatusSucceeded:
		return nil
	case types.UploadJobStatusPartiallySucceeded:
		return &exitErr{code: exitPartial, err: errors.New("")}
	}
	return &exitErr{code: exitFailed, err: errors.New("")}
}

// firstProblems is how many rejects an import shows.
const firstProblems = 10

// printRejects shows the first rejects, and how many of them are kept when that is known; query tells those of a dry run apart.
func printRejects(ctx context.Context, c *client, domain, id string, failed int64, kept *int64, query url.Values, out io.Writer) error {
	var page api.ListUploadJobRejectsResponse
	q := url.Values{"max-results": {strconv.Itoa(firstProblems)}}
	maps.Copy(q, query)
	if err := c.call(ctx, http.MethodGet, jobPath(domain, id)+"/rejects", q, nil, &page); err != nil {
		return err
	}
	if len(page.Items) == 0 {
		return nil
	}
	fmt.Fprintln(out, "\nThe first problems:")
	for _, item := range page.Items {
		column := ""
		if item.Column != nil {
			column = ", column " + *item.Column
		}
		tell(out, "  ", fmt.Sprintf("line %d%s: %s [%s]", *item.LineNumber, column, *item.Message, *item.ReasonCode))
	}
	if more := failed - int64(len(page.Items)); more > 0 {
		fmt.Fprintf(out, "  … and %d more\n", more)
	}
	what := "All of them"
	if note := keptNote(failed, kept); note != "" {
		fmt.Fprintln(out, note)
		what = "Those"
	}
	if query == nil {
		fmt.Fprintf(out, "%s, to mend and import again:\n  %s rejects %s > rejects.csv\n", what, programName(), id+c.more(domain))
	}
	return nil
}
