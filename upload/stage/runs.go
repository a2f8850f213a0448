package stage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"

	"kith/blob"
	"kith/internal/extsort"
	"kith/profile/fold"
)

// enter returns where in a section to begin to look for the entries of a profile; false when it has none.
func enter(marks []mark, id *fold.ID) (from int64, ok bool) {
	if len(marks) == 0 || bytes.Compare(marks[len(marks)-1].ID[:], id[:]) < 0 {
		return 0, false
	}
	from = marks[0].At
	for _, m := range marks {
		if bytes.Compare(m.ID[:], id[:]) >= 0 { // a profile may have several entries: begin before the first
			break
		}
		from = m.At
	}
	return from, true
}

// runBlob is an open blob of a run.
type runBlob struct {
	blob.Reader
	bucket int
}

type runBlobs []runBlob

func (all runBlobs) close() {
	for _, r := range all {
		_ = r.Close()
	}
}

// openAll opens one of the blobs of each run that has it.
func (p *Plan) openAll(ctx context.Context, runs map[int]RunResult, name func(*RunResult) string) (all runBlobs, err error) {
	for _, bucket := range slices.Sorted(maps.Keys(runs)) {
		run := runs[bucket]
		if name(&run) == "" {
			continue
		}
		r, err := p.blobs.Open(ctx, name(&run), p.key)
		if err != nil {
			return all, fmt.Errorf("open a run: %w", err)
		}
		all = append(all, runBlob{r, bucket})
	}
	return all, nil
}

// rowCursor reads a section "who": profiles and rows.
type rowCursor struct {
	p      *Plan
	bucket int
	extsort.Window
	lo      *fold.ID // profiles from it on; nil is open
	updated bool     // created profiles, which stand behind the others, are left out

	counter uint32 // of a created profile, or 0
	id      fold.ID
	row     int64
}

func (p *Plan) newRowCursor(r runBlob, s section) *rowCursor {
	return &rowCursor{p: p, bucket: r.bucket, Window: extsort.NewWindow(func() io.Reader { return io.LimitReader(r.Stream(s.From), s.To-s.From) })}
}

// isCreated says that the job has created the profile of the entry.
func (c *rowCursor) isCreated() bool { return c.counter != 0 }

// Next implements extsort.Cursor.
func (c *rowCursor) Next() (bool, error) {
	for {
		if ok, err := c.More(); !ok {
			return false, err
		}
		if err := c.read(); err != nil || c.updated && c.isCreated() {
			return false, err
		}
		if c.lo == nil || bytes.Compare(c.id[:], c.lo[:]) >= 0 {
			return true, nil
		}
	}
}

func (c *rowCursor) read() error {
	n, err := c.Uvarint()
	if err != nil {
		return err
	}
	if n == 0 {
		id, err := c.Bytes(uint64(len(c.id)))
		if err != nil {
			return err
		}
		copy(c.id[:], id)
	} else {
		c.id = c.p.mint(c.bucket, uint32(n))
	}
	c.counter = uint32(n)
	row, err := c.Uvarint()
	c.row = int64(row)
	return err
}

// Prefix implements extsort.Cursor.
func (c *rowCursor) Prefix() uint64 { return binary.BigEndian.Uint64(c.id[:]) }

// Compare implements extsort.Cursor.
func (c *rowCursor) Compare(o *rowCursor) int {
	return cmp.Or(bytes.Compare(c.id[:], o.id[:]), cmp.Compare(c.row, o.row))
}

// RowsOf appends the rows of a profile's entries in a run.
func (p *Plan) RowsOf(ctx context.Context, rows []int64, bucket int, run *RunResult, id fold.ID) ([]int64, error) {
	from, ok := enter(run.WhoMarks, &id)
	if !ok {
		return rows, nil
	}
	r, err := p.blobs.Open(ctx, run.Run, p.key)
	if err != nil {
		return nil, fmt.Errorf("open a run: %w", err)
	}
	defer r.Close()
	c := p.newRowCursor(runBlob{r, bucket}, section{from, run.Who.To})
	c.lo = &id
	for {
		found, err := c.Next()
		if err != nil || !found || c.id != id {
			return rows, err
		}
		rows = append(rows, c.row)
	}
}
