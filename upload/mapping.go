package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"kith/api"
	"kith/fault"
	"kith/schema"
	"kith/upload/stage"
	"kith/upload/suggest"
	"kith/upload/table"
)

// Bounds of what a mapping is suggested by.
const (
	maxLookedAt      = 1000
	maxLookedAtBytes = 4 << 20
	maxLookedAtCells = 1 << 19
)

// headBytes is how much of a file a caller may send to have it looked at.
const headBytes = 1 << 20

// maxLooking is how many files a node looks at side by side: each takes some 30 MB.
const maxLooking = 4

// SuggestUploadMapping looks at a file, the uploaded one of a job or one whose head the caller sends, and says what it is and how its columns may
// be mapped. It writes nothing, and with a head it reads nothing: the domain need not exist.
func (s *Service) SuggestUploadMapping(ctx context.Context, in *api.SuggestUploadMappingRequest) (*api.SuggestUploadMappingResponse, error) {
	o := Options{Encoding: api.Val(in.Encoding), Delimiter: api.Val(in.Delimiter), HeaderLine: int64(api.Val(in.HeaderLine)), Sheet: api.Val(in.Sheet)}
	if err := o.check(); err != nil {
		return nil, err
	}
	select {
	case s.looking() <- struct{}{}:
		defer func() { <-s.looking() }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	l, err := s.lookAt(ctx, in, o)
	if bad, ok := errors.AsType[*table.FileError](err); ok {
		return nil, fault.BadRequestf("%s", bad.Reason)
	}
	if err != nil {
		return nil, err
	}
	w := suggest.Wishes{Key: api.Val(in.KeyColumn)}
	for _, c := range in.Columns {
		w.Columns = append(w.Columns, suggest.Wish{Column: *c.Column, Target: api.Val(c.Target)})
	}
	p, err := suggest.For(l.Table, w)
	if err != nil {
		return nil, fault.BadRequestf("%s", err)
	}
	return l.answer(p), nil
}

// looking holds a token for each file that is being looked at.
func (s *Service) looking() chan struct{} {
	s.lookingOnce.Do(func() { s.lookingNow = make(chan struct{}, maxLooking) })
	return s.lookingNow
}

// lookAt looks at the file that a request means.
func (s *Service) lookAt(ctx context.Context, in *api.SuggestUploadMappingRequest, o Options) (*looked, error) {
	switch {
	case in.JobId != nil && in.Head != nil:
		return nil, fault.BadRequestf("Give JobId, for a file that was uploaded, or Head, with what a file begins with; not both.")
	case in.JobId != nil:
		return s.lookAtJob(ctx, in, o)
	case in.Head == nil:
		return nil, fault.BadRequestf("Give JobId, for a file that was uploaded, or Head, with the first bytes of a file, up to %d.", headBytes)
	}
	h := &head{bytes: in.Head, size: int64(len(in.Head))}
	h.cut = in.FileBytes == nil && len(in.Head) == headBytes || in.FileBytes != nil && *in.FileBytes > h.size
	if in.FileBytes != nil && *in.FileBytes < h.size {
		return nil, fault.BadRequestf("FileBytes is less than what Head has.")
	}
	if h.cut && table.IsZIP(in.Head) {
		return nil, fault.BadRequestf("A workbook is looked at as a whole: upload the file, and give JobId.")
	}
	var more []byte
	if len(in.Excerpts) > 0 && table.Excerptable(in.Head) {
		for _, e := range in.Excerpts {
			more = append(more, table.Excerpt(e)...)
		}
	}
	return look(ctx, h, h.cut, more, o, s.StrictAWS)
}

// lookAtJob looks at the uploaded file of a job. What its options say holds where the request says nothing.
func (s *Service) lookAtJob(ctx context.Context, in *api.SuggestUploadMappingRequest, o Options) (*looked, error) {
	_, j, err := s.find(ctx, in.DomainName, in.JobId)
	if err != nil {
		return nil, err
	}
	if j.File == nil {
		return nil, j.noFile()
	}
	if j.FileDeletedAt != 0 {
		return nil, fault.BadRequestf("The file of upload job %s was deleted.", j.ID)
	}
	key, err := s.clientToken(j)
	if err != nil {
		return nil, err
	}
	file, err := s.openFile(ctx, j, key)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	said := j.Options
	if o.Encoding != "" {
		said.Encoding = o.Encoding
	}
	if o.Delimiter != "" {
		said.Delimiter = o.Delimiter
	}
	if o.HeaderLine != 0 {
		said.HeaderLine = o.HeaderLine
	}
	if o.Sheet != "" {
		said.Sheet = o.Sheet
	}
	return look(ctx, file, false, nil, said, s.StrictAWS)
}

// head is what a file begins with.
type head struct {
	bytes []byte
	size  int64
	cut   bool // the file is longer
}

// errCut ends a head that is cut where an end would be taken for that of the file.
var errCut = errors.New("the head of the file ends here")

// Stream implements table.File.
func (h *head) Stream(off int64) io.Reader {
	r := bytes.NewReader(h.bytes[min(off, h.size):])
	if h.cut {
		return io.MultiReader(r, failing{errCut})
	}
	return r
}

// Size implements table.File.
func (h *head) Size() int64 { return h.size }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// endsAtCut ends a text where its head does.
type endsAtCut struct {
	r   io.Reader
	cut *bool
}

func (e endsAtCut) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if errors.Is(err, errCut) {
		*e.cut, err = true, io.EOF
	}
	return n, err
}

// looked is what a file was found to be.
type looked struct {
	suggest.Table
	format    table.Format
	readings  []table.Reading
	sheets    []string // of a workbook
	delimiter byte
	line      int64    // of the header
	above     []string // lines above it that are passed over
	wide      int      // of those Rejected: they have more cells than the header
	illegible int      // of those Rejected: they have bytes that mean nothing; the others are no CSV
}

// look reads the first rows of a file. more is text from behind its head, cut says that there is one.
func look(ctx context.Context, file table.File, cut bool, more []byte, o Options, strict bool) (*looked, error) {
	how := table.Options{Strict: strict, Encoding: o.Encoding, File: file, Sheet: o.Sheet, Spill: stage.SpillTexts}
	if !strict && o.Encoding == "" {
		how.Evidence = append(table.Evidence(ctx, file), more...)
	}
	text, err := table.Open(ctx, file.Stream(0), how)
	if errors.Is(err, errCut) {
		return nil, fault.BadRequestf("Head is too short to tell what the file is: send its first %d bytes.", headBytes)
	}
	if err != nil {
		return nil, err
	}
	defer text.Close()
	ended := false
	text.Reader = endsAtCut{text.Reader, &ended}
	sc := table.NewScanner(text)
	layout := o.layout()
	layout.Strict, layout.Known = strict, suggest.Knows
	l := &looked{}
	if l.Header, err = sc.LikelyHeader(layout); err != nil {
		return nil, err
	}
	for i := range l.Header {
		l.Header[i] = schema.ColumnName(l.Header[i])
	}
	l.Bad = stage.NoKey
	l.Headless = o.HeaderLine == 0 && !table.LooksLikeHeader(l.Header)
	l.delimiter, l.line, l.above = sc.Delimiter(), sc.HeaderLine, sc.Above
	err = l.read(text, sc, &ended)
	l.format, l.readings, l.sheets = text.Found(), text.Readings, text.Sheets
	l.Whole = l.Whole && !cut
	return l, err
}

// read reads the rows behind the header. Those that are not sound are counted.
func (l *looked) read(text *table.Text, sc *table.Scanner, cut *bool) error {
	cells, safe := 0, slices.Contains(l.Header, table.SafeColumn)
	for size := 0; len(l.Rows) < maxLookedAt && size < maxLookedAtBytes && cells < maxLookedAtCells; {
		rec, err := sc.Next()
		if errors.Is(err, io.EOF) {
			if l.Whole = !*cut; *cut && len(l.Rows) > 1 {
				l.Rows = l.Rows[:len(l.Rows)-1] // it may go on behind the head
			}
			return nil
		}
		if err != nil {
			return err
		}
		size += len(rec.Text)
		if rec.Fault != "" {
			l.Rejected++
			continue
		}
		if !utf8.Valid(rec.Text) || bytes.IndexByte(rec.Text, 0) >= 0 || text.ReadAs() != "UTF-8" && bytes.ContainsRune(rec.Text, utf8.RuneError) {
			l.Rejected++
			l.illegible++
			continue
		}
		row := splitRow(rec.Text, sc, len(l.Header), safe)
		if len(row) > len(l.Header) {
			l.Rejected++
			l.wide++
			continue
		}
		cells += len(row)
		l.Rows = append(l.Rows, row)
	}
	return nil
}

// splitRow returns the cells of a record, without the guards of spreadsheets, and without surplus blank ones. safe says that the table was made safe
// for spreadsheets.
func splitRow(text []byte, sc *table.Scanner, columns int, safe bool) []string {
	cells, _ := sc.Split().Cells(text, nil, nil)
	for len(cells) > columns && schema.Blank(cells[len(cells)-1]) {
		cells = cells[:len(cells)-1]
	}
	row := make([]string, len(cells))
	for i, c := range cells {
		if safe {
			c = table.Restore(c)
		} else if i < len(sc.Guarded) && sc.Guarded[i] {
			c = table.Unguard(schema.Trim(c))
		}
		row[i] = string(c)
	}
	return row
}

// PutUploadJobMapping gives a job that has not been started another mapping: of a job whose file was uploaded before it was looked at.
func (s *Service) PutUploadJobMapping(ctx context.Context, in *api.PutUploadJobMappingRequest) (*api.PutUploadJobMappingResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	if _, err := stage.Compile(in.Fields, *in.UniqueKey); err != nil {
		return nil, err
	}
	_, err = s.change(ctx, rec, *in.JobId, func(j *Job) error {
		if j.Status != api.UploadJobStatusCreated {
			return fault.BadRequestf("Upload job %s is %s; its mapping can only be said before it starts.", j.ID, j.Status)
		}
		j.Fields, j.UniqueKey = in.Fields, *in.UniqueKey
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.PutUploadJobMappingResponse{}, nil
}

// maxSample is how many characters of a value are shown.
const maxSample = 100

// cutTo returns a text of at most n characters.
func cutTo(text string, n int) string {
	if len(text) <= n {
		return text
	}
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

// answer tells a proposal.
func (l *looked) answer(p *suggest.Proposal) *api.SuggestUploadMappingResponse {
	out := &api.SuggestUploadMappingResponse{
		Encoding: &l.format.Encoding, EncodingIsCertain: api.Ptr(len(l.readings) == 0), LineEnd: &l.format.LineEnd,
		Delimiter: api.Ptr(string(rune(l.delimiter))), HeaderLine: &l.line, RowsLookedAt: api.Ptr(int64(p.Rows)), AllRows: &l.Whole,
		Columns: []api.SuggestedColumn{}, Fields: map[string]api.ObjectTypeField{}, Warnings: l.warnings(),
	}
	if l.format.Compression != "" {
		out.Compression = &l.format.Compression
	}
	if l.format.Sheet != "" {
		out.Sheet, out.Sheets = &l.format.Sheet, l.sheets
	}
	if l.format.ByteOrder {
		out.ByteOrderMark = &l.format.ByteOrder
	}
	if p.Product != "" {
		out.Product = &p.Product
	}
	for _, line := range l.above {
		out.PassedOver = append(out.PassedOver, cutTo(line, maxSample))
	}
	for _, r := range l.readings {
		out.Readings = append(out.Readings, api.UploadReading{Encoding: &r.Encoding, Samples: r.Samples})
	}
	fields, key := p.Fields()
	for _, f := range fields {
		field := api.ObjectTypeField{Source: &f.Source, ContentType: api.Ptr(api.FieldContentType(f.ContentType))}
		if f.Target != "" {
			field.Target = api.Ptr("_profile." + f.Target)
		}
		out.Fields[f.Label] = field
	}
	if key != "" {
		out.UniqueKey, out.UniqueKeyReason = &key, &p.Why
	}
	for _, o := range p.Others {
		out.OtherKeys = append(out.OtherKeys, api.SuggestedKey{Column: &o.Column, Reason: &o.Why})
	}
	out.Columns = columns(p)
	for _, w := range p.Warnings {
		out.Warnings = append(out.Warnings, warning(w))
	}
	return out
}

// columns tells the columns of a proposal; one that is split comes once, with two fields.
func columns(p *suggest.Proposal) []api.SuggestedColumn {
	all := []api.SuggestedColumn{}
	for i, c := range p.Columns {
		mapped := c.Target != "" || i == p.Key
		if i > 0 && p.Columns[i-1].Number == c.Number {
			last := &all[len(all)-1]
			if mapped {
				target := "_profile." + c.Target
				if last.Target != nil {
					target = *last.Target + ", " + target
				}
				last.FieldNames, last.Target, last.Reason = append(last.FieldNames, c.Label), &target, &c.Why
			}
			continue
		}
		out := api.SuggestedColumn{Number: api.Ptr(int32(c.Number + 1)), Name: &c.Name, Reason: &c.Why, Samples: []string{}, FieldNames: []string{}}
		for _, v := range c.Samples {
			out.Samples = append(out.Samples, cutTo(v, maxSample))
		}
		out.BlankShare, out.DistinctShare, out.SuspiciousShare = share(p.Rows-c.Filled, p.Rows), share(c.Distinct, c.Filled), share(c.Suspicious, c.Filled)
		if mapped {
			out.FieldNames = append(out.FieldNames, c.Label)
		}
		if c.Target != "" {
			out.Target = api.Ptr("_profile." + c.Target)
		}
		all = append(all, out)
	}
	return all
}

// share is a part of a whole, to four digits; of nothing it is 0.
func share(part, whole int) *float64 {
	f := 0.0
	if whole > 0 {
		f = float64(10000*part/whole) / 10000
	}
	return &f
}

// warnings are those about the file as a text.
func (l *looked) warnings() []api.MappingWarning {
	list := []api.MappingWarning{}
	add := func(level suggest.Level, code, format string, args ...any) {
		list = append(list, warning(suggest.Warning{Level: level, Code: code, Text: fmt.Sprintf(format, args...)}))
	}
	if len(l.readings) > 0 {
		var others []string
		for _, r := range l.readings[1:] {
			others = append(others, r.Encoding)
		}
		add(suggest.Doubt, "encoding-uncertain", "It is not certain by its letters that the file is %s. It may be %s.", l.format.Encoding, strings.Join(others, " or "))
	}
	if l.format.Uncalculated > 0 {
		add(suggest.Doubt, "cells-not-calculated", "%d cells of the first rows have formulas whose values were not saved, and count as blank: open the workbook in Excel, save it, and import it again.", l.format.Uncalculated)
	}
	if len(l.above) > 0 {
		add(suggest.Note, "lines-passed-over", "The header is line %d; what is above it is passed over.", l.line)
	}
	all, unsound := len(l.Rows)+l.Rejected, l.Rejected-l.wide-l.illegible
	if l.illegible > 0 {
		add(suggest.Doubt, "rows-illegible", "Of the first %d rows, %d hold bytes that mean nothing in %s; they are rejected.", all, l.illegible, l.format.Encoding)
	}
	if unsound > 0 {
		add(suggest.Doubt, "rows-unsound", "Of the first %d rows, %d can't be read, for their quotes or their length; they are rejected.", all, unsound)
	}
	if l.wide > 0 {
		add(suggest.Doubt, "rows-wide", "Rows with more cells than the header, which are rejected: %d of the first %d.", l.wide, all)
	}
	return list
}

// warning tells a warning.
func warning(w suggest.Warning) api.MappingWarning {
	level := map[suggest.Level]api.WarningLevel{suggest.Note: api.WarningLevelNote, suggest.Doubt: api.WarningLevelDoubt, suggest.Stop: api.WarningLevelStop}[w.Level]
	out := api.MappingWarning{Level: &level, Code: &w.Code, Message: &w.Text}
	if w.Column != "" {
		out.Column = &w.Column
	}
	return out
}
