package stage

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"kith/api"
	"kith/schema"
	"kith/upload/table"
)

// mapper turns records into frames.
type mapper struct {
	*bound
	plan *keyPlan
	as   table.Split
	// to is where frames go.
	to *frameWriter
	// rejects is where those of all batches go; nil where nobody reads them.
	rejects *rejectWriter
	strict  bool
	// guarded tells the columns whose values have a guard of text.
	guarded []bool
	// ragged says that rows end with their last cell that has something in it.
	ragged bool
	// safe says that the table was made safe for spreadsheets.
	safe bool
	// readAs names the encoding that the text was in.
	readAs func() string

	// sound says that no text of the batch has anything in it that rejects a record.
	sound   bool
	cells   [][]byte
	scratch []byte
	vals    [][]byte // of the attributes' fields, nil where empty
	before  [][]byte // what stands before the length of each when it is encoded
	key     []byte
	ends    []int // of the values in the body

	line, row int64   // of the current record
	short     int64   // records that had fewer cells than the header
	tooLong   []int64 // values that were longer than their attributes, by field
	onTooLong api.TooLongValues
}

func (r *Reader) newMapper(b *bound, sc *table.Scanner, readAs func() string) *mapper {
	return &mapper{bound: b, plan: r.keyPlan, tooLong: make([]int64, len(b.fields)), onTooLong: r.TooLong, as: sc.Split(), guarded: sc.Guarded, ragged: sc.Ragged(),
		safe: !r.StrictAWS && slices.Contains(b.header, table.SafeColumn), strict: r.StrictAWS, readAs: readAs}
}

// refuse returns the reject of the current record: its code alone if it will only be counted.
func (m *mapper) refuse(column, code, format string, args ...any) *Reject {
	if !m.rejects.keeps(code) && !(m.strict && aboutText(code)) {
		return &Reject{Code: code}
	}
	r := newReject(m.line, m.row, column, code, fmt.Sprintf(format, args...), m.cells)
	return &r
}

// run maps the records of a batch.
func (m *mapper) run(bt *batch) {
	bt.rejects.reset()
	bt.err = nil
	m.sound = utf8.Valid(bt.data) && bytes.IndexByte(bt.data, 0) < 0 && !bytes.Contains(bt.data, replacement)
	for i, rec := range bt.recs {
		r := m.record(rec, bt.data[rec.from:rec.to], bt.firstRow+int64(i))
		if r == nil {
			if bt.err = m.to.put(m); bt.err != nil {
				return
			}
			continue
		}
		if m.strict && aboutText(r.Code) {
			bt.err = &table.FileError{Code: "strict-row", Reason: fmt.Sprintf("Line %d is no valid CSV in UTF-8, which fails the file because the server runs with --strict-aws. %s", r.Line, r.Message)}
			return
		}
		if bt.err = bt.rejects.add(r); bt.err != nil {
			return
		}
	}
}

// record maps one record to its values and its unique key, or returns why it is rejected.
func (m *mapper) record(rec batchRecord, text []byte, row int64) *Reject {
	m.line, m.row = rec.line, row
	if rej := m.split(rec, text); rej != nil {
		return rej
	}
	m.vals, m.before = m.vals[:0], m.before[:0]
	for i := range m.fields {
		f := &m.fields[i]
		v := m.value(f)
		if v != nil && len(v) > f.limit {
			var rej *Reject
			if v, rej = m.fitted(i, v); rej != nil {
				m.countTooLong(i + 1)
				return rej
			}
		}
		if v != nil && f.enum != nil {
			if rej := f.check(&v, m); rej != nil {
				return rej
			}
		}
		m.vals, m.before = append(m.vals, v), append(m.before, f.prefixOf(v))
	}
	m.key = m.key[:0]
	for i := range m.unique {
		f := &m.unique[i]
		v := m.uniqueValue(f)
		if v == nil {
			return m.refuse(m.columnOf(f), reasonEmptyKey, "The unique key is empty. Fill it; a row without it can't be matched.")
		}
		if !m.strict && !f.named {
			if code, sentence := badKey(v, f.ct); code != "" {
				return m.refuse(m.columnOf(f), code, "%s", sentence)
			}
			if sentence := m.badRow(f, v); sentence != "" {
				return m.refuse(m.columnOf(f), reasonPlaceholder, "%s", sentence)
			}
		}
		if i > 0 {
			m.key = append(m.key, schema.TupleSep...)
		}
		from := len(m.key)
		if m.key = schema.AppendNormalizedIn(m.key, m.plan.in, f.ct, v); len(m.key) == from {
			return m.refuse(m.columnOf(f), reasonBadKey, "The unique key can't be used as %s: nothing comparable is left of it. Correct it.", kindOfKey(f.ct))
		}
	}
	return nil
}

// prefixOf returns what stands before the length of an encoded value.
func (f *boundField) prefixOf(v []byte) []byte {
	if f.in != 0 && v != nil && schema.ReadsAs(f.in, v) != 0 {
		return f.inPrefix
	}
	return f.prefix
}

// split splits a record into m.cells, or returns why it is no sound row.
func (m *mapper) split(rec batchRecord, text []byte) *Reject {
	if rec.fault != "" {
		m.cells = append(m.cells[:0], text)
		r := m.refuse("", string(rec.fault), "%s", rec.fault.Sentence())
		r.Truncated = r.Truncated || rec.fault == table.TooLong
		return r
	}
	m.cells, m.scratch = m.as.Cells(text, m.cells, m.scratch)
	if m.safe { // before anything is said of the row: rejects are exported as they were meant
		for i, c := range m.cells {
			m.cells[i] = table.Restore(c)
		}
	}
	if !m.sound {
		if rej := m.unsound(text); rej != nil {
			return rej
		}
	}
	if len(m.cells) != len(m.header) {
		if rej := m.fit(); rej != nil {
			return rej
		}
	}
	m.unguard()
	return nil
}

// unsound says what is wrong with the text of a record.
func (m *mapper) unsound(text []byte) *Reject {
	if bytes.IndexByte(text, 0) >= 0 {
		column := m.columnWith(func(c []byte) bool { return bytes.IndexByte(c, 0) >= 0 })
		return m.refuse(column, reasonNUL, "The row holds a NUL byte. Remove it.")
	}
	if !utf8.Valid(text) {
		column := m.columnWith(func(c []byte) bool { return !utf8.Valid(c) })
		return m.refuse(column, reasonBadUTF8, "The row is not valid UTF-8. Save the file as UTF-8.")
	}
	if as := m.readAs(); as != "UTF-8" && bytes.Contains(text, replacement) {
		column := m.columnWith(func(c []byte) bool { return bytes.Contains(c, replacement) })
		return m.refuse(column, reasonBadUTF8, "The row holds bytes that are not valid in %s, which is how the file was read. Save the file as UTF-8.", as)
	}
	return nil
}

// fit gives the record, which has more or fewer, as many cells as the header has. Cells that are missing at its end are blank, and surplus blank ones are nothing; a
// surplus cell with something in it is of a row that has shifted.
func (m *mapper) fit() *Reject {
	n := len(m.header)
	if m.strict || len(m.cells) > n && slices.ContainsFunc(m.cells[n:], func(c []byte) bool { return !schema.Blank(c) }) {
		return m.refuse("", reasonCellCount, "The row has %d cells and the header %d. Add or remove cells; put quotes around values that hold commas.", len(m.cells), n)
	}
	if len(m.cells) < n && !m.ragged {
		m.short++
	}
	for len(m.cells) < n {
		m.cells = append(m.cells, nil)
	}
	m.cells = m.cells[:n]
	return nil
}

// unguard takes spreadsheets' guards of text off the columns that have them.
func (m *mapper) unguard() {
	for i, guarded := range m.guarded {
		if guarded && !m.safe {
			m.cells[i] = table.Unguard(schema.Trim(m.cells[i]))
		}
	}
}

// kindOfKey names what values of a content type are.
func kindOfKey(ct schema.ContentType) string {
	switch ct {
	case schema.Email:
		return "an e-mail address"
	case schema.Phone:
		return "a phone number"
	}
	return "a key"
}

// replacement is what decoders put in the place of bytes that mean nothing.
var replacement = []byte("\uFFFD")

// uniqueValue returns the value of a part of the unique key: as its attribute holds it, or as it is in the file.
func (m *mapper) uniqueValue(f *boundField) []byte {
	if f.place >= 0 {
		return m.vals[f.place]
	}
	return m.value(f)
}

// absent is what the exports of databases have for no value.
const absent = `\N`

// value returns a field's value in the current record without outer blanks, nil where nothing is left, and for absent. In strict mode it is as it is in the file, nil
// where it is blank.
func (m *mapper) value(f *boundField) []byte {
	var v []byte
	if f.column >= 0 {
		v = m.cells[f.column]
	} else {
		text, _ := f.source.Eval(func(path string) any { // it ends: cells are no lists
			if i, ok := m.columns[path]; ok {
				return string(m.cells[i])
			}
			return nil
		})
		v = []byte(text)
	}
	trimmed := schema.Trim(v)
	switch {
	case len(trimmed) == 0:
		return nil
	case m.strict:
		return v
	case len(trimmed) == len(absent) && string(trimmed) == absent:
		return nil
	}
	return trimmed
}

// fitted returns what is stored of a value of a field that may be longer than the attribute, and counts it if it is. What keys are made of is never cut: a
// part of a number is another's.
func (m *mapper) fitted(i int, v []byte) ([]byte, *Reject) {
	f := &m.fields[i]
	n := utf8.RuneCount(v)
	if n <= f.limit {
		return v, nil
	}
	m.tooLong[i]++
	identifies := slices.ContainsFunc(m.unique, func(u boundField) bool { return u.place == i })
	switch {
	case identifies || m.onTooLong != api.TooLongValuesCut && m.onTooLong != api.TooLongValuesDrop:
		return nil, m.refuse(m.columnOf(f), reasonTooLong, "The value has %d characters; _profile.%s holds at most %d. Shorten it.", n, f.attr.Path(), f.limit)
	case m.onTooLong == api.TooLongValuesDrop || f.isKey || f.enum != nil:
		return nil, nil
	}
	if v = schema.Cut(v, f.limit); schema.Blank(v) {
		return nil, nil
	}
	return v, nil
}

// countTooLong counts the values of the fields from a number on, of a record that is rejected.
func (m *mapper) countTooLong(from int) {
	for i := from; i < len(m.fields); i++ {
		if v := m.value(&m.fields[i]); len(v) > m.fields[i].limit && utf8.RuneCount(v) > m.fields[i].limit {
			m.tooLong[i]++
		}
	}
}

// tooLong names the columns with values that were too long.
func (b *bound) tooLong(counts []int64) (all []TooLong) {
	for i, n := range counts {
		if n > 0 {
			all = append(all, TooLong{Column: b.columnOf(&b.fields[i]), Limit: b.fields[i].limit, Values: n})
		}
	}
	return all
}

// check refuses a value that an enumerated attribute can't hold, and puts others into their form.
func (f *boundField) check(v *[]byte, m *mapper) *Reject {
	up := strings.ToUpper(strings.TrimSpace(string(*v)))
	for _, e := range f.enum {
		if e == up {
			*v = []byte(e)
			return nil
		}
	}
	return m.refuse(m.columnOf(f), reasonEnum, "_profile.%s allows only %s. Use one of these, or map the column to _profile.%sString.", f.attr.Path(), strings.Join(f.enum, ", "), f.attr.Path())
}

// columnOf names the column of a field, or its template.
func (b *bound) columnOf(f *boundField) string {
	if f.column >= 0 {
		return b.header[f.column]
	}
	return strings.Join(f.source.Paths(), ", ")
}

func (m *mapper) columnWith(bad func([]byte) bool) string {
	for i, c := range m.cells {
		if i < len(m.header) && bad(c) {
			return m.header[i]
		}
	}
	return ""
}
