package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
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
	var columns []string
	for _, f := range p.m.unique {
		columns = append(columns, f.source.Paths()...)
	}
	column := strings.Join(columns, ", ")
	var rejects *rejectWriter
	rows := func(size int64) iter.Seq2[int64, error] {
		rejects = p.newRejects("ambiguous", size)
		return func(yield func(int64, error) bool) {
			for !rejects.full.Load() {
				c, err, more := next()
				if err != nil {
					yield(0, fmt.Errorf("read the numbers of rejected rows: %w", err))
					return
				}
				if !more || !yield(c.row, nil) {
					return
				}
			}
		}
	}
	var list rejectList
	err = p.again(ctx, read, strict, open, rows, func(row, line int64, cells [][]byte) error {
		r := newReject(line, row, column, reasonAmbiguousKey,
			"Two or more profiles have this unique key, so it is not clear which one the row is about. Merge or delete the duplicates, or choose another unique key.", cells)
		list.reset()
		return errors.Join(list.add(&r), rejects.take(&list))
	})
	if rejects != nil {
		defer rejects.abort()
	}
	if err != nil {
		return "", 0, err
	}
	p.logRejects(rejects)
	name, err = rejects.commit()
	return name, rejects.kept, err
}

// again reads rows of the file once more, whose numbers ascend, up to the last of them. rows is told how large the file is.
func (p *Plan) again(ctx context.Context, read *ReadResult, strict bool, open func() (blob.Reader, error), rows func(size int64) iter.Seq2[int64, error],
	do func(row, line int64, cells [][]byte) error) error {
	file, err := open()
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := table.Open(ctx, file.Stream(0), table.Options{Strict: strict, Encoding: read.Encoding, File: file, Sheet: read.Sheet, Spill: SpillTexts})
	if err != nil {
		return err
	}
	defer text.Close()
	sc := table.NewScanner(text)
	if err := sc.Header(table.Layout{Strict: strict, Delimiter: read.Delim(), Line: read.HeaderLine}, func([]string) error { return nil }); err != nil {
		return err
	}
	var cells [][]byte
	var scratch []byte
	safe := !strict && slices.Contains(read.Header, table.SafeColumn)
	at := int64(0)
	for row, err := range rows(file.Size()) {
		if err != nil {
			return err
		}
		var rec table.Record
		for at < row {
			if rec, err = sc.Next(); err != nil {
				return fmt.Errorf("read a row again: %w", err)
			}
			if at++; at%4096 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
		}
		cells, scratch = sc.Split().Cells(rec.Text, cells, scratch)
		for i := range cells {
			if safe {
				cells[i] = table.Restore(cells[i])
			}
		}
		if err := do(row, rec.Line, cells); err != nil {
			return err
		}
	}
	return nil
}

// Place is where a row stands in the file, and the cells of its unique key as they are there.
type Place struct {
	Line int64
	Key  string
}

// Locate finds rows in the file, whose numbers ascend.
func (p *Plan) Locate(ctx context.Context, read *ReadResult, rows []int64, strict bool, open func() (blob.Reader, error)) (map[int64]Place, error) {
	found := map[int64]Place{}
	if len(rows) == 0 {
		return found, nil
	}
	b, err := p.m.bind(read.Header, strict)
	if err != nil {
		return nil, err
	}
	var columns []int
	for _, f := range b.unique {
		for _, source := range f.source.Paths() {
			columns = append(columns, b.columns[source])
		}
	}
	each := func(int64) iter.Seq2[int64, error] {
		return func(yield func(int64, error) bool) {
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
	err = p.again(ctx, read, strict, open, each, func(row, line int64, cells [][]byte) error {
		var key []string
		for _, i := range columns {
			if i < len(cells) {
				key = append(key, strings.TrimSpace(string(cells[i])))
			}
		}
		found[row] = Place{line, strings.Join(key, " ")}
		return nil
	})
	return found, err
}
