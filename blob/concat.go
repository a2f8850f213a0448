package blob

import (
	"errors"
	"io"
)

// Concat returns blobs one after another as one. Closing it closes all.
func Concat(parts ...Reader) Reader {
	if len(parts) == 1 {
		return parts[0]
	}
	return concat(parts)
}

type concat []Reader

func (c concat) Size() (n int64) {
	for _, p := range c {
		n += p.Size()
	}
	return n
}

func (c concat) Close() error {
	var errs []error
	for _, p := range c {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// ReadAt implements io.ReaderAt.
func (c concat) ReadAt(b []byte, off int64) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	for _, p := range c {
		if size := p.Size(); off >= size {
			off -= size
			continue
		}
		k, err := p.ReadAt(b[n:], off)
		n, off = n+k, 0
		if n == len(b) {
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	return n, io.EOF
}

// Stream implements Reader.
func (c concat) Stream(off int64) io.Reader {
	var rest []io.Reader
	for _, p := range c {
		if size := p.Size(); off >= size {
			off -= size
			continue
		}
		rest = append(rest, p.Stream(off))
		off = 0
	}
	return io.MultiReader(rest...)
}
