package e2e

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"kith/api"
	"kith/fault"
	"kith/store/mem"
	"kith/upload"
	"kith/upload/table/charset"
)

var updateCases = flag.Bool("update-cases", false, "write testdata/cases.txt anew")

// fileCase is a file as customers' data comes, and what became of it.
type fileCase struct {
	name, encoding string
	wishes         []string // flags of kith import
	file           string   // with escapes
	answer         []string
}

// readCases reads testdata/cases.txt. A case begins with "-- name [encoding] [flags] --"; its file follows, with the escapes of Go; lines that begin with
// "=> " are the answer.
func readCases(t *testing.T) (all []*fileCase) {
	t.Helper()
	text, err := os.ReadFile("testdata/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		head, isHead := strings.CutPrefix(line, "-- ")
		head, whole := strings.CutSuffix(head, " --")
		answer, isAnswer := strings.CutPrefix(line, "=> ")
		switch {
		case isHead && whole:
			words := strings.Fields(head)
			c := &fileCase{name: words[0]}
			if words = words[1:]; len(words) > 0 && words[0][0] != '-' {
				c.encoding, words = words[0], words[1:]
			}
			c.wishes = words
			all, lines = append(all, c), nil
		case isAnswer:
			c := all[len(all)-1]
			c.file, c.answer = strings.Join(lines, "\n"), append(c.answer, answer)
		default:
			lines = append(lines, line)
			all[len(all)-1].file = strings.Join(lines, "\n")
		}
	}
	return all
}

// bytes is the file as it is uploaded.
func (c *fileCase) bytes(t *testing.T) []byte {
	t.Helper()
	var text []byte
	for rest := c.file; rest != ""; {
		r, wide, tail, err := strconv.UnquoteChar(rest, 0)
		if err != nil {
			t.Fatalf("%s: %v at %.20q", c.name, err, rest)
		}
		rest = tail
		if c.encoding == "bytes" || !wide && r >= utf8.RuneSelf {
			text = append(text, byte(r))
		} else {
			text = utf8.AppendRune(text, r)
		}
	}
	if c.encoding == "" || c.encoding == "bytes" {
		return text
	}
	out, err := charset.ByName(c.encoding).Encoding.NewEncoder().Bytes(text)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return out
}

// The files of testdata/cases.txt, which are of all kinds that people have, become what they should: as kith import takes them, without a word of a person but
// for the flags that are named. The answer has the doubts, the counters, why rows were rejected, and the first profiles.
func TestCasesOfFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{})
	var text strings.Builder
	for i, c := range readCases(t) {
		got := r.answer(c, fmt.Sprint("case-", i))
		if !slices.Equal(got, c.answer) && !*updateCases {
			t.Errorf("%s:\n%s\nbecomes\n%s\nwant\n%s", c.name, c.file, strings.Join(got, "\n"), strings.Join(c.answer, "\n"))
		}
		head := strings.Join(slices.DeleteFunc(append([]string{c.name, c.encoding}, c.wishes...), func(s string) bool { return s == "" }), " ")
		fmt.Fprintf(&text, "-- %s --\n%s\n", head, c.file)
		for _, line := range got {
			fmt.Fprintf(&text, "=> %s\n", line)
		}
	}
	if *updateCases {
		if err := os.WriteFile("testdata/cases.txt", []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// answer imports a file into a domain of its own.
func (r *rig) answer(c *fileCase, domain string) (all []string) {
	t := r.t
	t.Helper()
	file := c.bytes(t)
	in := &api.SuggestUploadMappingRequest{DomainName: &domain, Head: file[:min(len(file), 1<<20)], FileBytes: api.Ptr(int64(len(file)))}
	options := &api.PutUploadJobOptionsRequest{DomainName: &domain}
	for i := 0; i+1 < len(c.wishes); i += 2 {
		v := strings.ReplaceAll(c.wishes[i+1], "~", " ")
		switch c.wishes[i] {
		case "--key":
			in.KeyColumn = &v
		case "--map":
			column, target, _ := strings.Cut(v, "=")
			in.Columns = append(in.Columns, api.ColumnTarget{Column: &column, Target: &target})
		case "--encoding":
			in.Encoding, options.Encoding = &v, &v
		case "--header-line":
			in.HeaderLine = api.Ptr(int32(v[0] - '0'))
			options.HeaderLine = in.HeaderLine
		case "--country":
			options.Country = &v
		case "--too-long":
			options.TooLong = api.Ptr(api.TooLongValues(strings.ToUpper(v)))
		default:
			t.Fatalf("%s: %s", c.name, c.wishes[i])
		}
	}
	plan, err := r.Uploads.SuggestUploadMapping(ctx, in)
	if errors.Is(err, fault.BadRequest) {
		return []string{"refused: " + err.Error()}
	}
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	if all = toldOf(plan); len(all) > 0 && strings.HasPrefix(all[len(all)-1], "STOP ") {
		return all
	}
	r.domain(domain)
	job, err := r.Uploads.CreateUploadJob(ctx, &api.CreateUploadJobRequest{DomainName: &domain, DisplayName: &c.name, Fields: plan.Fields, UniqueKey: plan.UniqueKey})
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	options.JobId = job.JobId
	if _, err := r.Uploads.PutUploadJobOptions(ctx, options); errors.Is(err, fault.BadRequest) {
		return []string{"refused: " + err.Error()}
	} else if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	r.put(domain, *job.JobId, bytes.NewReader(file))
	if err := r.startJob(domain, *job.JobId); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	all = append(all, outcome(r.wait(domain, *job.JobId)))
	for _, rej := range r.rejects(domain, *job.JobId, 10) {
		if len(all) > mostTold {
			break
		}
		all = append(all, fmt.Sprintf("line %d %s", *rej.LineNumber, *rej.ReasonCode))
	}
	return append(all, r.firstProfiles(domain)...)
}

// mostTold is how many lines of rejects, and of profiles, an answer has at most.
const mostTold = 4

// toldOf is what a suggestion says of a file that is not as all are.
func toldOf(plan *api.SuggestUploadMappingResponse) (all []string) {
	if e := *plan.Encoding; e != "UTF-8" || !*plan.EncodingIsCertain {
		all = append(all, fmt.Sprintf("%s, certain %t", e, *plan.EncodingIsCertain))
	}
	if n := *plan.HeaderLine; n > 1 {
		all = append(all, fmt.Sprintf("header in line %d", n))
	}
	if plan.Product != nil {
		all = append(all, "an export of "+*plan.Product)
	}
	stop := ""
	for _, w := range plan.Warnings {
		switch line := fmt.Sprintf("%s %s %s", *w.Level, *w.Code, api.Val(w.Column)); *w.Level {
		case "STOP":
			stop = strings.TrimSpace(line)
		case "DOUBT":
			all = append(all, strings.TrimSpace(line))
		}
	}
	if stop != "" {
		all = append(all, stop)
	}
	return all
}

// firstProfiles writes the first profiles of a domain.
func (r *rig) firstProfiles(domain string) []string {
	all := r.dump(domain)
	return all[:min(len(all), mostTold)]
}
