package xlsx

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

// File is a file that can be read from anywhere.
type File interface {
	Stream(off int64) io.Reader
	Size() int64
}

// Options are what is known of a workbook.
type Options struct {
	// Sheet is the name of the sheet to be read, or its number, from 1; empty is the first visible one with something in it that is no note.
	Sheet string
	// Spill keeps the shared strings that memory is not to hold, as write writes them; nil: there may not be so many.
	Spill func(write func(io.Writer) error) (Spill, error)
}

// Bounds of an archive.
const (
	maxFile      = 2 << 30
	maxDirectory = 8 << 20 // bytes
	maxSheets    = 4096
	unpackTimes  = 200
	unpackFloor  = 1 << 30 // bytes of XML
	textFloor    = 64 << 20
	stopEvery    = 64 << 10
)

// Book is a workbook, and the text of one of its sheets.
type Book struct {
	// Sheet is the name of the sheet that is read, Sheets are those of all that hold cells, in their order.
	Sheet  string
	Sheets []string
	// Uncalculated is how many cells, so far, had a formula and no value.
	Uncalculated int64

	ctx       context.Context
	floor     int64 // unpackFloor
	at        *random
	parts     map[string]*zip.File
	strings   stringTable
	styles    []format
	since1904 bool
	unpacked  int64
	made      int64 // bytes of text

	sheet *sheet
	ready []byte
}

// entry is a sheet as the workbook names it.
type entry struct {
	name, part string
	hidden     bool
}

// Open opens a workbook at the sheet that is asked for. What is wrong with the file is an Error, also that it is another kind of archive.
// Reading ends soon after ctx has ended, with its cause.
func Open(ctx context.Context, f File, o Options) (*Book, error) {
	return openWith(ctx, f, o, unpackFloor, stringMemory)
}

func openWith(ctx context.Context, f File, o Options, floor int64, memory int) (*Book, error) {
	b := &Book{ctx: ctx, floor: floor, at: &random{file: f}, strings: stringTable{memory: memory}}
	if err := b.open(o); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Close lets go of what was spilled.
func (b *Book) Close() {
	if b.sheet != nil {
		b.sheet.close()
	}
	b.strings.Close()
}

func (b *Book) open(o Options) error {
	if err := b.readDirectory(); err != nil {
		return err
	}
	main := b.target("_rels/.rels", "", "/officeDocument", "xl/workbook.xml")
	if b.parts[strings.ToLower(main)] == nil || !strings.HasSuffix(strings.ToLower(main), ".xml") || strings.HasPrefix(main, "word/") || strings.HasPrefix(main, "ppt/") {
		return b.otherArchive()
	}
	rels := path.Join(path.Dir(main), "_rels", path.Base(main)+".rels")
	sheets, err := b.readMain(main, rels)
	if err != nil {
		return err
	}
	if styles := b.target(rels, path.Dir(main), "/styles", ""); b.has(styles) {
		if err := b.with(styles, func(r io.Reader) (err error) { b.styles, err = loadStyles(r); return err }); err != nil {
			return err
		}
	}
	if texts := b.target(rels, path.Dir(main), "/sharedStrings", ""); b.has(texts) {
		if err := b.with(texts, func(r io.Reader) error { return b.strings.load(r, o.Spill) }); err != nil {
			return err
		}
	}
	return b.choose(sheets, o.Sheet)
}

// readDirectory lists the parts of the archive. archive/zip makes room for as many as the directory's end promises, so that is looked at first.
func (b *Book) readDirectory() error {
	size := b.at.file.Size()
	if size > maxFile {
		return &Error{"file-size", fmt.Sprintf("The workbook is larger than %d GB. Export the sheet as CSV.", maxFile>>30)}
	}
	const endBytes, comment, locator = 22, 64 << 10, 20
	tail := make([]byte, min(size, endBytes+comment+locator))
	if _, err := b.at.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	end := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if end < 0 || len(tail)-end < endBytes {
		return errDamaged
	}
	if bytes.Contains(tail, []byte("PK\x06\x07")) || binary.LittleEndian.Uint16(tail[end+10:]) == 0xffff {
		return &Error{"file-zip64", "The workbook is packed as archives of more than 65,534 parts or 4 GB are. Open it in Excel and save it again, or export the sheet as CSV."}
	}
	b.at.room = maxDirectory
	z, err := zip.NewReader(b.at, size)
	if err != nil {
		return b.unsound(err)
	}
	b.at.room = 0
	b.parts = make(map[string]*zip.File, len(z.File))
	for _, f := range z.File {
		name := strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(f.Name, `\`, "/"), "/"))
		if b.parts[name] == nil {
			b.parts[name] = f
		}
	}
	return nil
}

func (b *Book) has(part string) bool { return b.parts[strings.ToLower(part)] != nil }

// with calls read with the text of a part.
func (b *Book) with(name string, read func(io.Reader) error) error {
	r, done, err := b.part(name)
	if err != nil {
		return err
	}
	defer done()
	return read(r)
}

// part opens a part of the archive.
func (b *Book) part(name string) (r io.Reader, done func(), err error) {
	f := b.parts[strings.ToLower(name)]
	switch {
	case f == nil:
		return nil, nil, errDamaged
	case f.Flags&1 != 0:
		return nil, nil, &Error{"file-protected", "The archive is protected by a password. Save the workbook without one."}
	}
	rc, err := f.Open()
	if errors.Is(err, zip.ErrAlgorithm) {
		return nil, nil, &Error{"file-zip-method", "The archive is packed by a method that is not read here. Open the workbook in Excel and save it again."}
	}
	if err != nil {
		return nil, nil, b.unsound(err)
	}
	r, err = utf8Text(&unpacking{b, rc})
	return r, func() { _ = rc.Close() }, err
}

// unsound makes what is wrong with the archive an error of the file, unless the file could not be read.
func (b *Book) unsound(err error) error {
	if b.at.err != nil {
		return b.at.err
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	return errDamaged
}

// most is how many bytes the workbook may unpack to, and mostText how many its sheet may become: XML is cheap to read, but every separator before a cell that is far
// to the right costs whoever reads the text.
func (b *Book) most() int64     { return b.floor + unpackTimes*b.at.file.Size() }
func (b *Book) mostText() int64 { return min(b.floor, textFloor) + unpackTimes*b.at.file.Size() }

// unpacking counts what a part unpacks to.
type unpacking struct {
	b *Book
	r io.Reader
}

func (u *unpacking) Read(p []byte) (int, error) {
	if u.b.ctx.Err() != nil {
		return 0, context.Cause(u.b.ctx)
	}
	n, err := u.r.Read(p[:min(len(p), stopEvery)])
	if err != nil && !errors.Is(err, io.EOF) {
		return n, u.b.unsound(err)
	}
	if u.b.unpacked += int64(n); u.b.unpacked > u.b.most() {
		return 0, &Error{"file-unpacked", fmt.Sprintf("The workbook unpacks to more than %d MB, which is %d times its size and a gigabyte. Export the sheet as CSV.", u.b.most()>>20, unpackTimes)}
	}
	return n, err
}

// target returns the part that a list of relations names for a kind.
func (b *Book) target(rels, dir, kind, otherwise string) string {
	found := otherwise
	_ = b.relations(rels, func(_, of, target string) {
		if strings.HasSuffix(of, kind) {
			found = resolve(dir, target)
		}
	})
	return found
}

// relations calls yield with each relation of a list: its id, kind and target.
func (b *Book) relations(rels string, yield func(id, kind, target string)) error {
	if !b.has(rels) {
		return nil
	}
	return b.with(rels, func(r io.Reader) error {
		p := newParser(r)
		for {
			e, err := p.next()
			if err != nil || e == atEnd {
				return err
			}
			if e == opened && string(p.name) == "Relationship" {
				yield(string(p.attr("Id")), string(p.attr("Type")), string(p.attr("Target")))
			}
		}
	})
}

// resolve finds the part that a relation of a part in dir names.
func resolve(dir, target string) string {
	target = strings.ReplaceAll(target, `\`, "/")
	if strings.HasPrefix(target, "/") {
		return path.Clean(target[1:])
	}
	return path.Join(dir, target)
}

// readMain lists the sheets that hold cells.
func (b *Book) readMain(main, rels string) (sheets []entry, err error) {
	targets := map[string]string{}
	err = b.relations(rels, func(id, kind, target string) {
		if strings.HasSuffix(kind, "/worksheet") && len(targets) < maxSheets {
			targets[id] = resolve(path.Dir(main), target)
		}
	})
	if err != nil {
		return nil, err
	}
	err = b.with(main, func(r io.Reader) error {
		p := newParser(r)
		for {
			e, err := p.next()
			if err != nil || e == atEnd {
				return err
			}
			switch {
			case e != opened:
			case string(p.name) == "workbookPr":
				v := string(p.attr("date1904"))
				b.since1904 = v == "1" || v == "true"
			case string(p.name) == "sheet" && len(sheets) < maxSheets:
				if part, ok := targets[string(p.attr("id"))]; ok {
					state := string(p.attr("state"))
					sheets = append(sheets, entry{string(p.attr("name")), part, state == "hidden" || state == "veryHidden"})
				}
			}
		}
	})
	for _, s := range sheets {
		b.Sheets = append(b.Sheets, s.name)
	}
	return sheets, err
}

// choose opens the sheet that is asked for, or the first one that has something in it: a table rather than a note, and a visible one rather than a hidden one.
func (b *Book) choose(sheets []entry, asked string) error {
	if asked != "" {
		s, ok := find(sheets, asked)
		if !ok {
			return &Error{"sheet-unknown", fmt.Sprintf("The workbook has no sheet %.40q. It has: %s.", asked, listed(b.Sheets))}
		}
		sheets = []entry{s}
	}
	for _, hidden := range []bool{false, true} {
		var note *entry
		for i, s := range sheets {
			if s.hidden != hidden && asked == "" {
				continue
			}
			filled, err := b.openSheet(s)
			switch {
			case err != nil:
				return err
			case filled && asked == "" && b.sheet.isNote():
				if note == nil {
					note = &sheets[i]
				}
			case filled:
				return nil
			}
		}
		if note != nil {
			_, err := b.openSheet(*note)
			return err
		}
	}
	if asked != "" {
		return &Error{"empty-file", fmt.Sprintf("Sheet %.40q is empty: it needs a row with the column names.", sheets[0].name)}
	}
	return &Error{"empty-file", "The workbook is empty: it needs a row with the column names."}
}

// openSheet opens a sheet at its first rows, and says whether there is anything in it.
func (b *Book) openSheet(e entry) (filled bool, err error) {
	if b.sheet != nil {
		b.sheet.close()
		b.sheet = nil
	}
	r, done, err := b.part(e.part)
	if err != nil {
		return false, err
	}
	s := &sheet{Book: b, p: newParser(r), close: done}
	b.sheet, b.Sheet, b.Uncalculated = s, e.name, 0
	for blank := []byte(nil); !s.ended; {
		if err := s.more(); err != nil {
			return false, err
		}
		if s.filled {
			b.ready = append(blank, s.out...)
			b.made = int64(len(b.ready))
			return true, nil
		}
		blank = append(blank, s.out...) // a line end for each row, of which there are not many
		s.out = s.out[:0]
	}
	return false, nil
}

// find returns the sheet of a name, of a name in other letters, or of a number.
func find(sheets []entry, asked string) (entry, bool) {
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, func(a, b string) bool {
		return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
	}} {
		for _, s := range sheets {
			if same(s.name, asked) {
				return s, true
			}
		}
	}
	if n, err := strconv.Atoi(asked); err == nil && 1 <= n && n <= len(sheets) {
		return sheets[n-1], true
	}
	return entry{}, false
}

// listed names the first sheets.
func listed(names []string) string {
	const most = 10
	var out []string
	for i, n := range names[:min(len(names), most)] {
		out = append(out, fmt.Sprintf("%d %.40q", i+1, n))
	}
	if n := len(names) - most; n > 0 {
		out = append(out, fmt.Sprintf("and %d others", n))
	}
	return strings.Join(out, ", ")
}
