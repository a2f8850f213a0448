package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"kith/blob"
	"kith/internal/extsort"
	"kith/upload/table"
)

// RejectAmbiguous writes the rows whose key several profiles have to a blob of rejects, and returns its name and how many there are
// in it. Their cells are read from the file once more, which is why they come last.
func (p *Plan) RejectAmbiguous(ctx context.Context, read *ReadResult, runs map[int]RunResult, strict bool, open func() (blob.Reader, error)) (name string, kept int64, err error) {
	blobs, err := p.openAll(ctx, runs, func(r *RunResult) string { return r.Ambiguous })
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
	file, err := open()
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	text, err := table.Open(ctx, file.Stream(0), table.Options{Strict: strict, Encoding: read.Encoding, File: file, Sheet: read.Sheet, Spill: SpillTexts})
	if err != nil {
		return "", 0, err
	}
	defer text.Close()
	sc := table.NewScanner(text)
	if err := sc.Header(table.Layout{Strict: strict, Delimiter: read.Delim(), Line: read.HeaderLine}, func([]string) error { return nil }); err != nil {
		return "", 0, err
	}
	var columns []string
	for _, f := range p.m.unique {
		columns = append(columns, f.source.Paths()...)
	}
	column := strings.Join(columns, ", ")
	rejects := p.newRejects("ambiguous", file.Size())
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
	p.logRejects(rejects)
	name, err = rejects.commit()
	return name, rejects.kept, err
}
