package extsort

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxEntry bounds what a damaged length can ask for, in bytes.
const maxEntry = 16 << 20

// cursorBuffer is what a cursor reads at a time.
const cursorBuffer = 32 << 10

// Window is a stream of which the next bytes lie in memory. It is what bufio.Reader is, for entries that are parsed in place.
type Window struct {
	open func() io.Reader // called when the first byte is needed
	r    io.Reader
	buf  []byte // all of it
	b    []byte // the part that is not read yet
	err  error
}

// NewWindow returns a window on a stream that is opened when its first byte is needed.
func NewWindow(open func() io.Reader) Window { return Window{open: open} }

// More reports whether anything is left.
func (s *Window) More() (bool, error) {
	s.need(1)
	if len(s.b) == 0 && !errors.Is(s.err, io.EOF) {
		return false, s.err
	}
	return len(s.b) > 0, nil
}

// need makes n bytes visible in b, or as many as there are.
func (s *Window) need(n int) {
	if len(s.b) >= n || s.err != nil {
		return
	}
	if s.r == nil {
		s.r = s.open()
	}
	if n > len(s.buf) {
		grown := make([]byte, max(n, cursorBuffer))
		copy(grown, s.b)
		s.buf = grown
	} else {
		copy(s.buf, s.b)
	}
	have := len(s.b)
	for have < n && s.err == nil {
		var k int
		k, s.err = s.r.Read(s.buf[have:])
		have += k
	}
	s.b = s.buf[:have]
}

// Uvarint returns the next integer.
func (s *Window) Uvarint() (uint64, error) {
	if len(s.b) > 0 && s.b[0] < 0x80 {
		n := uint64(s.b[0])
		s.b = s.b[1:]
		return n, nil
	}
	s.need(binary.MaxVarintLen64)
	n, k := binary.Uvarint(s.b)
	if k <= 0 {
		return 0, s.Damaged()
	}
	s.b = s.b[k:]
	return n, nil
}

// Bytes returns the next n bytes, valid until the next call.
func (s *Window) Bytes(n uint64) ([]byte, error) {
	if n > maxEntry {
		return nil, s.Damaged()
	}
	s.need(int(n))
	if uint64(len(s.b)) < n {
		return nil, s.Damaged()
	}
	b := s.b[:n]
	s.b = s.b[n:]
	return b, nil
}

// Damaged is the error of an entry that can't be read.
func (s *Window) Damaged() error { return Damaged(s.err) }

// Damaged says that a stream holds something else than it should, or ends too early.
func Damaged(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("sorted data is damaged: %w", err)
}
