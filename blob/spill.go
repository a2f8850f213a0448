package blob

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
)

// Spill is what a pass has no memory for: a temporary file, sealed with a key that only this process has, and unlinked before anything is
// written, so that nobody finds it, whatever happens. Close lets go of it.
type Spill struct {
	*Plain
	file  *os.File
	named bool // Close must remove it
}

// NewSpill makes a spill of what write writes, through a buffer of some bytes. dir is where, empty for the system's folder for temporary files;
// name says whose it is.
func NewSpill(dir, name string, buffer int, write func(io.Writer) error) (*Spill, error) {
	f, err := os.CreateTemp(dir, "kith-"+name+"-*")
	if err != nil {
		return nil, fmt.Errorf("spill %s: %w", name, err)
	}
	s := &Spill{file: f, named: os.Remove(f.Name()) != nil} // not every system can unlink an open file
	if err := s.fill(buffer, write); err != nil {
		s.Close()
		return nil, fmt.Errorf("spill %s: %w", name, err)
	}
	return s, nil
}

func (s *Spill) fill(buffer int, write func(io.Writer) error) error {
	var key Key
	_, _ = rand.Read(key[:])
	out := bufio.NewWriterSize(s.file, buffer)
	w, err := Seal(out, key)
	if err != nil {
		return err
	}
	if err := write(w); err != nil {
		return err
	}
	if err := errors.Join(w.Close(), out.Flush()); err != nil {
		return err
	}
	end, err := s.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	s.Plain, err = Unseal(s.file, end, key)
	return err
}

// Close removes what was spilled.
func (s *Spill) Close() {
	_ = s.file.Close()
	if s.named {
		_ = os.Remove(s.file.Name())
	}
}
