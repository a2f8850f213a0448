package upload

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"kith/api"
	"kith/blob"
	"kith/fault"
	"kith/internal/restjson"
	"kith/upload/stage"
	"kith/upload/table"
)

// rejectBlobs names the blobs of a job's rejects: those found while reading, then those found while resolving.
func (j *Job) rejectBlobs(read *stage.ReadResult) (names []string) {
	if read != nil && read.Rejects != "" {
		names = append(names, read.Rejects)
	}
	if j.AmbiguousRejects != "" {
		names = append(names, j.AmbiguousRejects)
	}
	return names
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
		for r, err := range stage.ReadRejects(ctx, s.Blobs, blobs[i], key, offset) {
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
			offset = r.Next
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
		keep := own(header)
		if err := out.Write(Neutralise(append(slices.Clone(exportColumns), kept(header, keep)...), true, safe)); err != nil {
			return err
		}
		for _, name := range blobs {
			for r, err := range stage.ReadRejects(ctx, s.Blobs, name, key, 0) {
				if err != nil {
					return err
				}
				row := append([]string{strconv.FormatInt(r.Line, 10), r.Column, r.Code, r.Message}, kept(r.Cells, keep)...)
				if err := out.Write(Neutralise(row, false, safe)); err != nil {
					return err
				}
			}
		}
		out.Flush()
		return out.Error()
	}
	return &api.ExportUploadJobRejectsResponse{Body: body}, nil
}

// own tells which columns of a file's header are its own: not those that an export of rejects has put before them.
func own(header []string) []bool {
	keep := make([]bool, len(header))
	var others []string
	for i, h := range header {
		if keep[i] = h != table.SafeColumn; keep[i] {
			others = append(others, h)
		}
	}
	if len(others) <= len(exportColumns) || !slices.Equal(others[:len(exportColumns)], exportColumns) {
		return keep
	}
	for i := range keep {
		keep[i] = keep[i] && !slices.Contains(exportColumns, header[i])
	}
	return keep
}

// kept returns the cells of a row that stand in columns to keep, and those beyond the columns.
func kept(cells []string, keep []bool) []string {
	var out []string
	for i, c := range cells {
		if i >= len(keep) || keep[i] {
			out = append(out, c)
		}
	}
	return out
}

// Neutralise makes a row of a table safe for spreadsheets: an apostrophe stands before cells that would be taken for formulas (OWASP, "CSV Injection"),
// and the row begins with a column of its own, table.SafeColumn in the header, by which an import knows that it is to be taken off again.
func Neutralise(cells []string, header, safe bool) []string {
	if !safe {
		return cells
	}
	out := make([]string, 1, len(cells)+1)
	if header {
		out[0] = table.SafeColumn
	}
	for _, c := range cells {
		out = append(out, table.MakeSafe(c))
	}
	return out
}
