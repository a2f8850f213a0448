package xlsx

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// random reads a file from anywhere. It goes on with the stream it has where that is about to come to the place: files are unsealed, and may be fetched, in
// streams much faster than in pieces. One caller at a time.
type random struct {
	file File
	r    io.Reader
	pos  int64
	room int64 // bytes that may be read, 0: any number
	err  error // how reading the file itself has failed
}

// nearby is how far ahead a place may be to be read up to.
const nearby = 64 << 10

var errDirectory = &Error{"file-parts", "The file is an archive of very many parts, and no workbook. Unpack it, and import what is in it."}

// ReadAt implements io.ReaderAt.
func (f *random) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= f.file.Size() {
		return 0, io.EOF
	}
	if f.room > 0 {
		if f.room -= int64(len(p)); f.room <= 0 {
			f.room = 1
			return 0, errDirectory
		}
	}
	if f.r == nil || off < f.pos || off-f.pos > nearby {
		f.r, f.pos = f.file.Stream(off), off
	}
	if off > f.pos {
		n, err := io.CopyN(io.Discard, f.r, off-f.pos)
		if f.pos += n; err != nil {
			return 0, f.failed(err)
		}
	}
	n, err := io.ReadFull(f.r, p)
	f.pos += int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return n, io.EOF
	}
	return n, f.failed(err)
}

func (f *random) failed(err error) error {
	if err == nil {
		return nil
	}
	f.r = nil
	if !errors.Is(err, io.EOF) {
		f.err = err
	}
	return err
}

// utf8Text returns the text of XML, which may be in UTF-16.
func utf8Text(r io.Reader) (io.Reader, error) {
	buf := bufio.NewReaderSize(r, stopEvery)
	head, err := buf.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, err = buf.Discard(3)
		return buf, err
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return transform.NewReader(buf, unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder()), nil
	}
	return buf, nil
}
