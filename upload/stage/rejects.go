package stage

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"kith/blob"
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

// Reject is a row that was not imported. One without Cells, not even an empty list of them, is only counted.
type Reject struct {
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
func newReject(line, row int64, column, code, message string, cells [][]byte) Reject {
	r := Reject{Line: line, Row: row, Column: column, Code: code, Message: message, Cells: []string{}}
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
}

// rejectItem is a reject of a list. It begins in buf where the one before ends; one that is only counted is empty.
type rejectItem struct {
	code string
	end  int
}

func (l *rejectList) reset() {
	l.buf, l.items = l.buf[:0], l.items[:0]
}

// add takes in a reject.
func (l *rejectList) add(r *Reject) error {
	if r.Cells != nil {
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
	over    sync.Map // reason codes of which no more are kept
}

// keeps says whether rejects of a reason may still be kept, so that whoever finds one need not tell what it was about otherwise. It may be called
// beside take. A nil writer keeps nothing.
func (w *rejectWriter) keeps(code string) bool {
	if w == nil {
		return false
	}
	_, over := w.over.Load(code)
	return !over
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
		if len(text) == 0 {
			continue
		}
		if w.full.Load() && w.codes[item.code] > keptOfReason {
			w.over.Store(item.code, nil)
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
func (p *Plan) logRejects(r *rejectWriter) {
	for _, code := range slices.Sorted(maps.Keys(r.codes)) {
		p.log.Info("rows rejected", "job", p.id, "code", code, "rows", r.codes[code])
	}
}

func (w *rejectWriter) abort() {
	if w.w != nil {
		w.w.Abort()
	}
}

// ReadRejects streams the rejects of a blob from a byte offset, each with the offset behind it.
func ReadRejects(ctx context.Context, blobs blob.Store, name string, key blob.Key, from int64) iter.Seq2[RejectAt, error] {
	return func(yield func(RejectAt, error) bool) {
		r, err := blobs.Open(ctx, name, key)
		if err != nil {
			yield(RejectAt{}, err)
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
				yield(RejectAt{}, fmt.Errorf("rejects are damaged at byte %d: %w", at, err))
				return
			}
			b := make([]byte, n)
			if _, err := io.ReadFull(buf, b); err != nil {
				yield(RejectAt{}, err)
				return
			}
			at += int64(len(binary.AppendUvarint(nil, n))) + int64(n)
			var rej RejectAt
			rej.Next = at
			if err := json.Unmarshal(b, &rej.Reject); err != nil {
				yield(RejectAt{}, err)
				return
			}
			if !yield(rej, nil) {
				return
			}
		}
	}
}

// RejectAt is a reject as it is read.
type RejectAt struct {
	Reject
	Next int64 // the offset behind it
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
