package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/rivo/uniseg"

	"kith/api"
	"kith/upload/table"
)

// Bounds of what SuggestUploadMapping takes of a file.
const (
	headBytes    = 1 << 20
	maxExcerpts  = 64
	excerptBytes = 16 << 10
)

// lookAt returns what the server makes of a file, by what it begins with and pieces of what follows. A workbook can only be looked at as a whole: a
// large one is uploaded for that, to the job of the id that comes back.
func lookAt(ctx context.Context, c *client, file *os.File, o importOptions, info io.Writer) (plan *api.SuggestUploadMappingResponse, id string, err error) {
	stat, err := file.Stat()
	if err != nil {
		return nil, "", err
	}
	head := make([]byte, headBytes)
	n, err := io.ReadFull(io.NewSectionReader(file, 0, stat.Size()), head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, "", err
	}
	if stat.Size() > headBytes && table.IsZIP(head) {
		if id, err = sendFile(ctx, c, file, &anyMapping, o, info); err != nil {
			return nil, id, err
		}
		plan, err = suggestion(ctx, c, o, api.SuggestUploadMappingRequest{JobId: &id})
		return plan, id, err
	}
	plan, err = suggestion(ctx, c, o, api.SuggestUploadMappingRequest{
		Head: head[:n], FileBytes: api.Ptr(stat.Size()), Excerpts: excerpts(file, int64(n), stat.Size()),
	})
	return plan, "", err
}

// anyMapping is that of a job whose file is uploaded before its mapping is decided.
var anyMapping = api.SuggestUploadMappingResponse{
	Fields:    map[string]api.ObjectTypeField{"row": {Source: api.Ptr("_source.row"), ContentType: api.Ptr(api.FieldContentTypeString)}},
	UniqueKey: api.Ptr("row"),
}

// sendFile makes a job for a file, with the mapping of plan, and uploads the file. The job of an id that comes with an error is to be given up.
func sendFile(ctx context.Context, c *client, file *os.File, plan *api.SuggestUploadMappingResponse, o importOptions, info io.Writer) (id string, err error) {
	if err := ensureDomain(ctx, c, o.domain, o.country, info); err != nil {
		return "", err
	}
	if id, err = createJob(ctx, c, filepath.Base(file.Name()), plan, o); err != nil {
		return "", err
	}
	fmt.Fprintf(info, "Upload job %s in domain %s\n", id, o.domain)
	if err = sayOptions(ctx, c, id, o); err == nil {
		err = putFile(ctx, c, o.domain, id, file, info)
	}
	if err != nil && ctx.Err() != nil {
		err = &exitErr{code: exitError, err: errors.New("interrupted before the whole file had arrived; nothing was imported")}
	}
	return id, err
}

// suggestion asks the server what to make of the file that in names, under the wishes of the flags.
func suggestion(ctx context.Context, c *client, o importOptions, in api.SuggestUploadMappingRequest) (*api.SuggestUploadMappingResponse, error) {
	in.Encoding, in.Delimiter, in.HeaderLine, in.Sheet = optional(o.encoding), optional(o.delimiter), optional(o.headerLine), optional(o.sheet)
	in.KeyColumn = optional(o.key)
	for _, m := range o.maps {
		column, target, _ := strings.Cut(m, "=")
		if target == "-" {
			target = ""
		}
		in.Columns = append(in.Columns, api.ColumnTarget{Column: &column, Target: optional(target)})
	}
	out := &api.SuggestUploadMappingResponse{}
	return out, c.call(ctx, http.MethodPost, domainPath(o.domain)+"/upload-mapping", nil, &in, out)
}

// decide has the server look at a file, shows what it makes of it, and asks where something is doubtful. id is the job that has the file already, or "".
func decide(ctx context.Context, c *client, file *os.File, path string, o importOptions, in io.Reader, info io.Writer) (plan *api.SuggestUploadMappingResponse, id string, err error) {
	name := cmp.Or(o.name, path)
	plan, id, err = lookAt(ctx, c, file, o, info)
	if err != nil {
		return nil, id, aboutFile(name, err)
	}
	printPreview(info, name, plan)
	if err := stopped(name, plan); err != nil {
		return nil, id, err
	}
	if o.dryRun || o.yes {
		return plan, id, nil
	}
	return plan, id, askOnce(ctx, plan, in, info)
}

// dropJob gives the job up whose file is not to be imported, if there is one: nobody would ever start it.
func dropJob(ctx context.Context, c *client, domain, id string, cause error) error {
	if id != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, _ = c.StopUploadJob(ctx, &customerprofiles.StopUploadJobInput{DomainName: &domain, JobId: &id}) // a server that is away forgets it by itself, a day later
	}
	return cause
}

// excerpts returns pieces from all over the rest of a file, by which its encoding can be told.
func excerpts(file *os.File, from, size int64) (all [][]byte) {
	step := max(excerptBytes, (size-from)/maxExcerpts)
	for at := from; at < size && len(all) < maxExcerpts; at += step {
		piece := make([]byte, excerptBytes)
		n, err := file.ReadAt(piece, at)
		if err != nil && !errors.Is(err, io.EOF) {
			break
		}
		if bytes.ContainsFunc(piece[:n], func(r rune) bool { return r >= 0x80 }) { // the others tell nothing
			all = append(all, piece[:n])
		}
	}
	return all
}

// otherSheets names the first sheets of a workbook beside the one that is read.
func otherSheets(plan *api.SuggestUploadMappingResponse) string {
	const most = 5
	var all []string
	for _, name := range plan.Sheets {
		switch {
		case name == *plan.Sheet:
		case len(all) == most:
			return strings.Join(append(all, "…"), ", ")
		default:
			all = append(all, fmt.Sprintf("%q", name))
		}
	}
	return strings.Join(all, ", ")
}

// aboutFile says which file an error is about, if the server can't make anything of it.
func aboutFile(path string, err error) error {
	if r, ok := errors.AsType[*refusal](err); ok && r.status == http.StatusBadRequest {
		return usageError("%s: %w", path, err)
	}
	return fmt.Errorf("look at %s: %w", path, err)
}

// flags say how to decide what a warning is about.
var flags = map[string]string{
	"no-key":             "--key COLUMN",
	"several-keys":       "--key COLUMN",
	"key-is-a-name":      "--key COLUMN",
	"key-passed-over":    "--key COLUMN",
	"no-header":          "--header-line N",
	"encoding-uncertain": "--encoding NAME",
	"full-names":         `--map "COLUMN=TARGET"`,
	"values-do-not-fit":  `--map "COLUMN=TARGET"`,
	"duplicate-column":   `--map "COLUMN=-"`,
	"too-many-columns":   `--map "COLUMN=-"`,
}

// stopped returns an error if something has to be decided before the file can be imported.
func stopped(path string, plan *api.SuggestUploadMappingResponse) error {
	for _, w := range plan.Warnings {
		if *w.Level == api.WarningLevelStop {
			return usageError("%s: %s", path, withFlag(w))
		}
	}
	return nil
}

// withFlag is the sentence of a warning, with the flag that decides it.
func withFlag(w api.MappingWarning) string {
	flag := flags[*w.Code]
	if flag == "" {
		return oneLine(*w.Message)
	}
	if w.Column != nil && strings.Contains(flag, "COLUMN=") {
		flag = strings.Replace(flag, "COLUMN", *w.Column, 1)
	}
	return oneLine(*w.Message) + " Say it with " + flag + "."
}

// askOnce asks whether to go on if something is doubtful and there is somebody to ask.
func askOnce(ctx context.Context, plan *api.SuggestUploadMappingResponse, in io.Reader, info io.Writer) error {
	doubtful := slices.ContainsFunc(plan.Warnings, func(w api.MappingWarning) bool { return *w.Level == api.WarningLevelDoubt })
	keyboard, ok := in.(*os.File)
	if !doubtful || !ok || !isTerminal(keyboard) || !isTerminal(info) {
		return nil
	}
	fmt.Fprint(info, "Import it like this? [y/N] ")
	answer := make(chan string, 1)
	go func() { // it ends with the program, at the latest
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(info)
	case line := <-answer:
		if !strings.HasSuffix(line, "\n") {
			fmt.Fprintln(info) // the input has ended on the line of the question
		}
		if l := strings.ToLower(strings.TrimSpace(line)); l == "y" || l == "yes" {
			return nil
		}
	}
	return &exitErr{code: exitError, err: errors.New("nothing was imported")}
}

// printPreview shows what a file is, what becomes of its columns, and what a person should know.
func printPreview(w io.Writer, path string, plan *api.SuggestUploadMappingResponse) {
	what := fileFormat(plan)
	if plan.Product != nil {
		what = append([]string{"an export of " + *plan.Product}, what...)
	}
	if what != nil {
		printWrapped(w, "", fmt.Sprintf("%s is %s", filepath.Base(path), strings.Join(what, ", ")))
	}
	if len(plan.PassedOver) > 0 {
		fmt.Fprintf(w, "The header is line %d. Passed over above it:\n", *plan.HeaderLine)
		for _, line := range plan.PassedOver {
			fmt.Fprintln(w, "  "+fit(line, screen-2))
		}
	}
	if len(plan.Readings) > 0 {
		printReadings(w, plan)
	}
	printColumns(w, plan)
	for _, warning := range plan.Warnings {
		switch {
		case *warning.Level == api.WarningLevelStop, *warning.Code == "lines-passed-over", *warning.Code == "encoding-uncertain":
		case *warning.Level == api.WarningLevelDoubt:
			printWrapped(w, "! ", withFlag(warning))
		default:
			printWrapped(w, "- ", oneLine(*warning.Message))
		}
	}
}

// fileFormat says what a file was found to be, but for what everybody expects.
func fileFormat(plan *api.SuggestUploadMappingResponse) (what []string) {
	if plan.Sheet != nil {
		what = append(what, fmt.Sprintf("a workbook; sheet %q is read", *plan.Sheet))
		if n := len(plan.Sheets); n > 1 {
			what[0] = fmt.Sprintf("a workbook of %d sheets; sheet %q is read (--sheet names another: %s)", n, *plan.Sheet, otherSheets(plan))
		}
	}
	if plan.Compression != nil {
		what = append(what, *plan.Compression)
	}
	if e := *plan.Encoding; e != "UTF-8" {
		what = append(what, e)
	}
	if *plan.LineEnd == "CR" {
		what = append(what, "lines end with CR")
	}
	if d := *plan.Delimiter; d != "," {
		names := map[string]string{";": "semicolons", "\t": "tabs", "|": "bars"}
		name, ok := names[d]
		if !ok {
			name = fmt.Sprintf("%q", d)
		}
		what = append(what, "separated by "+name)
	}
	return what
}

// printReadings shows words as each of the possible encodings has them.
func printReadings(w io.Writer, plan *api.SuggestUploadMappingResponse) {
	printWrapped(w, "! ", fmt.Sprintf("It is not certain by its letters that the file is %s. It may be:", *plan.Encoding))
	for _, r := range plan.Readings {
		fmt.Fprintf(w, "  %s  %s\n", pad(*r.Encoding, 14), fit(strings.Join(r.Samples, " · "), screen-18))
	}
	fmt.Fprintln(w, "  If the first line is wrong, say which is right with --encoding NAME.")
}

// printColumns shows the table of the columns. Those without a value are named below it.
func printColumns(w io.Writer, plan *api.SuggestUploadMappingResponse) {
	rows := [][3]string{{"COLUMN", "GOES TO", "SAMPLES"}}
	var empty []string
	for _, c := range plan.Columns {
		target := "(left out)"
		if c.Target != nil {
			target = strings.ReplaceAll(*c.Target, "_profile.", "")
		} else if len(c.FieldNames) > 0 {
			target = "(key only)"
		} else if *c.BlankShare == 1 && len(plan.Columns) > 1 {
			if *c.Name != "" { // nobody misses it
				empty = append(empty, *c.Name)
			}
			continue
		}
		samples := strings.Join(c.Samples, " · ")
		if blank := *c.BlankShare; blank >= 0.005 {
			samples = fmt.Sprintf("%.0f%% blank · ", 100*blank) + samples
		}
		mark := " "
		if plan.UniqueKey != nil && slices.Contains(c.FieldNames, *plan.UniqueKey) {
			mark = "*"
		}
		rows = append(rows, [3]string{mark + *c.Name, target, samples})
	}
	rows[0][0] = " " + rows[0][0]
	name, target := 0, 0
	for _, r := range rows {
		name, target = max(name, min(26, uniseg.StringWidth(oneLine(r[0])))), max(target, min(27, uniseg.StringWidth(oneLine(r[1]))))
	}
	for _, r := range rows {
		line := pad(fit(r[0], name), name) + "  " + pad(fit(r[1], target), target) + "  " + fit(r[2], screen-4-name-target)
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	if plan.UniqueKey != nil {
		text := "identifies the customer: " + *plan.UniqueKeyReason + "."
		for _, o := range plan.OtherKeys {
			text += fmt.Sprintf(" %q could, too (%s).", *o.Column, *o.Reason)
		}
		if len(plan.OtherKeys) > 0 {
			text += " Choose with --key."
		}
		printWrapped(w, "* ", text)
	}
	if len(empty) > 0 {
		names := strings.Join(empty[:min(len(empty), 8)], ", ")
		if more := len(empty) - 8; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		printWrapped(w, "- ", "Columns without a value are left out: "+names+".")
	}
}

// oneLine shows a text in one line: line ends and other signs that move the cursor become blanks.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}

// fit cuts a text to what takes n columns of a screen, wide characters included.
func fit(text string, n int) string {
	text = oneLine(text)
	if uniseg.StringWidth(text) <= n {
		return text
	}
	var b strings.Builder
	width := 0
	for g := uniseg.NewGraphemes(text); g.Next(); {
		if width += g.Width(); width > n-1 {
			break
		}
		b.WriteString(g.Str())
	}
	return b.String() + "…"
}

// pad fills a text up to n columns of a screen.
func pad(text string, n int) string {
	return text + strings.Repeat(" ", max(0, n-uniseg.StringWidth(text)))
}
