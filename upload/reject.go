package upload

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/blob"
	"kith/fault"
	"kith/internal/extsort"
	"kith/internal/restjson"
	"kith/upload/table"
)

// Reason codes of rejected rows besides those of a record's text (table.Fault). They are stable.
const (
	reasonCellCount    = "cell-count"
	reasonBadUTF8      = "invalid-utf8"
	reasonNUL          = "nul-byte"
	reasonTooLong      = "value-too-long"
	reasonEnum         = "value-not-allowed"
	reasonEmptyKey     = "empty-key"
	reasonBadKey       = "unusable-key"
	reasonAmbiguousKey = "ambiguous-key"
)

// aboutText says whether a reason is that the file is no CSV text.
func aboutText(code string) bool {
	switch code {
	case string(table.TooLong), string(table.OpenQuote), string(table.BadQuote), reasonBadUTF8, reasonNUL:
		return true
	}
	return false
}

// reject is a row that was not imported.
type reject struct {
	Line    int64
	Row     int64
	Column  string `json:",omitzero"`
	Code    string
	Message string
	Cells   []string
	// Truncated says that Cells are not all there was.
	Truncated bool `json:",omitzero"`
}

// maxRejectBytes bounds the cells kept of one rejected row: their bytes, and a byte for each.
const maxRejectBytes = 64 << 10

// newReject keeps the original cells. What is no UTF-8 is kept with replacement characters.
func newReject(line, row int64, column, code, message string, cells [][]byte) reject {
	r := reject{Line: line, Row: row, Column: column, Code: code, Message: message, Cells: []string{}}
	room := maxRejectBytes
	for _, c := range cells {
		if len(c) > room {
			c, r.Truncated = c[:max(0, room)], true
		}
		room -= len(c) + 1
		r.Cells = append(r.Cells, strings.ToValidUTF8(string(c), "\uFFFD"))
		if r.Truncated {
			break
		}
	}
	return r
}

// What is kept of the rejects that a stage finds. A few bytes of a compressed file can become very many rejected rows, and nobody
// mends millions by hand: beyond these bounds rejects are counted, and only the first of every reason are kept.
const (
	keptRejects  = 1_000_000
	keptBytes    = 64 << 20 // and twice the size of the file
	keptOfReason = 10
)

// rejectList are rejects as a worker leaves them: encoded, or only counted.
type rejectList struct {
	buf   []byte
	items []rejectItem
	kept  map[string]int // encoded ones by reason code, while only a few are
}

// rejectItem is a reject of a list. It begins in buf where the one before ends; one that is only counted is empty.
type rejectItem struct {
	code string
	end  int
}

func (l *rejectList) reset() {
	l.buf, l.items = l.buf[:0], l.items[:0]
	clear(l.kept)
}

// add takes in a reject. few says that only a few of each reason will be kept.
func (l *rejectList) add(r *reject, few bool) error {
	if few {
		if l.kept == nil {
			l.kept = map[string]int{}
		}
		l.kept[r.Code]++
	}
	if !few || l.kept[r.Code] <= keptOfReason {
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		l.buf = append(binary.AppendUvarint(l.buf, uint64(len(b))), b...)
	}
	l.items = append(l.items, rejectItem{r.Code, len(l.buf)})
	return nil
}

// rejectWriter writes rejects into a blob that is created with the first one: frames of a uvarint length and JSON.
type rejectWriter struct {
	create  func() (blob.Writer, string, error)
	w       blob.Writer
	buf     *bufio.Writer
	name    string
	most    int64 // bytes
	mostOf  int64 // rejects
	bytes   int64
	n, kept int64
	codes   map[string]int64 // rejects by reason code
	full    atomic.Bool
}

// take writes a list of rejects, as far as they are kept.
func (w *rejectWriter) take(l *rejectList) error {
	from := 0
	for _, item := range l.items {
		text := l.buf[from:item.end]
		from = item.end
		w.n++
		if w.codes == nil {
			w.codes = map[string]int64{}
		}
		w.codes[item.code]++
		if len(text) == 0 || w.full.Load() && w.codes[item.code] > keptOfReason {
			continue
		}
		if w.w == nil {
			var err error
			if w.w, w.name, err = w.create(); err != nil {
				return err
			}
			w.buf = bufio.NewWriterSize(w.w, 64<<10)
		}
		if _, err := w.buf.Write(text); err != nil {
			return err
		}
		w.kept++
		if w.bytes += int64(len(text)); w.bytes > w.most || w.kept >= w.mostOf {
			w.full.Store(true)
		}
	}
	return nil
}

// commit returns the blob's name, or "" when there was no reject.
func (w *rejectWriter) commit() (string, error) {
	if w.w == nil {
		return "", nil
	}
	if err := w.buf.Flush(); err != nil {
		return "", err
	}
	_, err := w.w.Commit()
	return w.name, err
}

// logRejects logs how many rows were rejected for which reasons; the rows themselves never reach the log.
func (p *plan) logRejects(r *rejectWriter) {
	for _, code := range slices.Sorted(maps.Keys(r.codes)) {
		p.log.Info("rows rejected", "job", p.id, "code", code, "rows", r.codes[code])
	}
}

func (w *rejectWriter) abort() {
	if w.w != nil {
		w.w.Abort()
	}
}

// readRejects streams the rejects of a blob from a byte offset, each with the offset behind it.
func readRejects(ctx context.Context, blobs blob.Store, name string, key blob.Key, from int64) iter.Seq2[rejectAt, error] {
	return func(yield func(rejectAt, error) bool) {
		r, err := blobs.Open(ctx, name, key)
		if err != nil {
			yield(rejectAt{}, err)
			return
		}
		defer r.Close()
		buf := bufio.NewReaderSize(r.Stream(from), 64<<10)
		at := from
		for {
			n, err := binary.ReadUvarint(buf)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil || n > 1<<20 {
				yield(rejectAt{}, fmt.Errorf("rejects are damaged at byte %d: %w", at, err))
				return
			}
			b := make([]byte, n)
			if _, err := io.ReadFull(buf, b); err != nil {
				yield(rejectAt{}, err)
				return
			}
			at += int64(len(binary.AppendUvarint(nil, n))) + int64(n)
			var rej rejectAt
			rej.next = at
			if err := json.Unmarshal(b, &rej.reject); err != nil {
				yield(rejectAt{}, err)
				return
			}
			if !yield(rej, nil) {
				return
			}
		}
	}
}

type rejectAt struct {
	reject
	next int64
}

// rejectBlobs names the blobs of a job's rejects: those found while reading, then those found while resolving.
func (j *Job) rejectBlobs(read *readResult) (names []string) {
	if read != nil && read.Rejects != "" {
		names = append(names, read.Rejects)
	}
	if j.AmbiguousRejects != "" {
		names = append(names, j.AmbiguousRejects)
	}
	return names
}

// rowNumbers reads a blob of row numbers.
type rowNumbers struct {
	r   *bufio.Reader
	row int64
}

func (c *rowNumbers) Next() (bool, error) {
	n, err := binary.ReadUvarint(c.r)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	c.row += int64(n)
	return err == nil, err
}

func (c *rowNumbers) Prefix() uint64            { return uint64(c.row) }
func (c *rowNumbers) Compare(o *rowNumbers) int { return int(c.row - o.row) }

// rejectAmbiguous writes the rows whose key several profiles have to a blob of rejects, and returns its name and how many there are
// in it. Their cells are read from the file once more, which is why they come last.
func (w *work) rejectAmbiguous(ctx context.Context, read *readResult, runs map[int]runResult) (name string, kept int64, err error) {
	blobs, err := w.openAll(ctx, runs, func(r *runResult) string { return r.Ambiguous })
	defer blobs.close()
	if err != nil || len(blobs) == 0 {
		return "", 0, err
	}
	var cursors []*rowNumbers
	for _, b := range blobs {
		cursors = append(cursors, &rowNumbers{r: bufio.NewReader(b.Stream(0))})
	}
	next, stop := iter.Pull2(extsort.Merge(cursors))
	defer stop()
	file, err := w.openFile(ctx, w.job, w.key)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	text, err := table.Open(ctx, file.Stream(0), w.StrictAWS)
	if err != nil {
		return "", 0, err
	}
	defer text.Close()
	sc := table.NewScanner(text)
	if err := sc.Header(string(rune(read.delim())), func([]string) error { return nil }); err != nil {
		return "", 0, err
	}
	var columns []string
	for _, f := range w.m.unique {
		columns = append(columns, f.source.Paths()...)
	}
	column := strings.Join(columns, ", ")
	rejects := w.newRejects("ambiguous", w.job.File.Size)
	defer rejects.abort()
	var cellBuf [][]byte
	var scratch []byte
	var list rejectList
	row := int64(0)
	for !rejects.full.Load() {
		c, err, more := next()
		if err != nil {
			return "", 0, fmt.Errorf("read the numbers of rejected rows: %w", err)
		}
		if !more {
			break
		}
		var rec table.Record
		for row < c.row {
			if rec, err = sc.Next(); err != nil {
				return "", 0, fmt.Errorf("read a rejected row again: %w", err)
			}
			if row++; row%4096 == 0 && ctx.Err() != nil {
				return "", 0, ctx.Err()
			}
		}
		cellBuf, scratch = table.Cells(rec.Text, sc.Delimiter(), cellBuf, scratch)
		r := newReject(rec.Line, row, column, reasonAmbiguousKey,
			"Two or more profiles have this unique key, so it is not clear which one the row is about. Merge or delete the duplicates, or choose another unique key.", cellBuf)
		list.reset()
		if err := errors.Join(list.add(&r, false), rejects.take(&list)); err != nil {
			return "", 0, err
		}
	}
	w.logRejects(rejects)
	name, err = rejects.commit()
	return name, rejects.kept, err
}

// rejectsOf returns the blobs of a job's rejects, or of its dry run's, with the header of the file and the key they are sealed with.
func (s *Service) rejectsOf(ctx context.Context, domainName, id *string, dry bool) (blobs, header []string, key blob.Key, err error) {
	rec, j, err := s.find(ctx, domainName, id)
	if err != nil {
		return nil, nil, key, err
	}
	if key, err = s.clientToken(j); err != nil {
		return nil, nil, key, err
	}
	if dry {
		blobs, header, err = s.dryRejects(ctx, rec, j)
		return blobs, header, key, err
	}
	if j.RejectsDeletedAt != 0 {
		return nil, nil, key, fault.BadRequestf("The rejects of upload job %s were deleted when their retention ended.", j.ID)
	}
	read, _, err := s.published(ctx, rec.Incarnation, j.ID)
	if read != nil {
		header = read.Header
	}
	return j.rejectBlobs(read), header, key, err
}

// ListUploadJobRejects lists the rows that were not imported: first those found while reading, in file order, then those
// found while resolving, in file order too.
func (s *Service) ListUploadJobRejects(ctx context.Context, in *api.ListUploadJobRejectsRequest) (*api.ListUploadJobRejectsResponse, error) {
	blobs, _, key, err := s.rejectsOf(ctx, in.DomainName, in.JobId, api.Val(in.DryRun))
	if err != nil {
		return nil, err
	}
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	first, offset := 0, int64(0)
	if in.NextToken != nil {
		a, b, _ := strings.Cut(*in.NextToken, ":")
		var err1, err2 error
		first, err1 = strconv.Atoi(a)
		offset, err2 = strconv.ParseInt(b, 10, 64)
		if errors.Join(err1, err2) != nil || first < 0 || offset < 0 {
			return nil, fault.BadRequestf("NextToken is not valid.")
		}
	}
	out := &api.ListUploadJobRejectsResponse{Items: []api.Reject{}}
	for i := first; i < len(blobs); i++ {
		for r, err := range readRejects(ctx, s.Blobs, blobs[i], key, offset) {
			if err != nil {
				return nil, err
			}
			if len(out.Items) == limit {
				out.NextToken = api.Ptr(fmt.Sprintf("%d:%d", i, offset))
				return out, nil
			}
			item := api.Reject{LineNumber: &r.Line, RowNumber: &r.Row, ReasonCode: &r.Code, Message: &r.Message, Cells: r.Cells}
			if r.Column != "" {
				item.Column = &r.Column
			}
			if r.Truncated {
				item.CellsTruncated = &r.Truncated
			}
			out.Items = append(out.Items, item)
			offset = r.next
		}
		offset = 0
	}
	return out, nil
}

// The columns that an export puts before those of the file.
const (
	columnLine    = "kith_line"
	columnColumn  = "kith_column"
	columnReason  = "kith_reason"
	columnMessage = "kith_message"
)

var exportColumns = []string{columnLine, columnColumn, columnReason, columnMessage}

// ExportUploadJobRejects streams all rows that were not imported as CSV: why, and the original cells under the header of the
// file. Mended, the file can be imported with the same mapping, for the columns before the file's are not mapped. A file that
// is such an export itself keeps only its own cells.
func (s *Service) ExportUploadJobRejects(ctx context.Context, in *api.ExportUploadJobRejectsRequest) (*api.ExportUploadJobRejectsResponse, error) {
	blobs, header, key, err := s.rejectsOf(ctx, in.DomainName, in.JobId, api.Val(in.DryRun))
	if err != nil {
		return nil, err
	}
	body := &restjson.Stream{ContentType: "text/csv; charset=utf-8", FileName: "rejects-" + *in.JobId + ".csv"}
	body.Write = func(w io.Writer) error {
		out := csv.NewWriter(w)
		safe := api.Val(in.SafeForSpreadsheets)
		own := func(cells []string) []string { // without what an earlier export put before them
			if len(header) > len(exportColumns) && slices.Equal(header[:len(exportColumns)], exportColumns) && len(cells) > len(exportColumns) {
				return cells[len(exportColumns):]
			}
			return cells
		}
		if err := out.Write(neutralise(append(slices.Clone(exportColumns), own(header)...), safe)); err != nil {
			return err
		}
		for _, name := range blobs {
			for r, err := range readRejects(ctx, s.Blobs, name, key, 0) {
				if err != nil {
					return err
				}
				row := append([]string{strconv.FormatInt(r.Line, 10), r.Column, r.Code, r.Message}, own(r.Cells)...)
				if err := out.Write(neutralise(row, safe)); err != nil {
					return err
				}
			}
		}
		out.Flush()
		return out.Error()
	}
	return &api.ExportUploadJobRejectsResponse{Body: body}, nil
}

// neutralise puts an apostrophe before cells that a spreadsheet would take for formulas (OWASP, "CSV Injection").
func neutralise(cells []string, safe bool) []string {
	if safe {
		for i, c := range cells {
			if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
				cells[i] = "'" + c
			}
		}
	}
	return cells
}
