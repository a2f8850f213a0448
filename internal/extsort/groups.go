package extsort

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"
)

// ErrFrame says that what was read is no sequence of sound frames.
var ErrFrame = errors.New("a bucket is damaged")

const (
	// groupBytes are read before frames of equal keys are merged; twice what is left is the next step, if that is more, so that memory
	// is bounded by the distinct keys.
	groupBytes = 32 << 20
	// GroupFrames are read before that. Sorting takes 32 bytes for each, which is more than a short frame has itself.
	GroupFrames = 512 << 10
	// readBytes are read at a time.
	readBytes = 1 << 20
)

// Groups reads frames in any order and leaves one for each key, sorted by key. It uses its memory again for the next ones.
type Groups struct {
	// Key returns the key of a frame that Check has passed, or that Merge has made.
	Key func(frame []byte) []byte
	// Check says whether a frame is sound.
	Check func(frame []byte) error
	// Merge appends a frame that says what n frames of the same key say, which are given in the order they were read.
	Merge func(dst []byte, n int, frame func(i int) []byte) ([]byte, error)
	// Step replaces how many bytes are read before frames are merged; for tests.
	Step int

	buf, spare []byte
	refs       []Ref
	sorter     Sorter
}

// Len is how many keys there are.
func (g *Groups) Len() int { return len(g.refs) }

// At is where the frame of a key lies: keys ascend, and so do the frames, so that memory is read from front to back.
func (g *Groups) At(i int) uint32 { return g.refs[i].At }

// Frame returns the frame that lies at a place; more may follow it.
func (g *Groups) Frame(at uint32) []byte { return g.buf[at:] }

// Bytes returns all frames.
func (g *Groups) Bytes() []byte { return g.buf }

// Load reads all frames of a stream.
func (g *Groups) Load(ctx context.Context, r io.Reader) error {
	g.buf, g.refs = g.buf[:0], g.refs[:0]
	step, most := g.Step, GroupFrames
	if step == 0 {
		step = groupBytes
	}
	from := 0 // of the bytes that are not parsed yet
	for end := false; !end; {
		if cap(g.buf)-len(g.buf) < readBytes {
			g.buf = slices.Grow(g.buf, max(readBytes, min(len(g.buf), 8*readBytes)))
		}
		n, err := io.ReadFull(r, g.buf[len(g.buf):len(g.buf)+readBytes])
		g.buf = g.buf[:len(g.buf)+n]
		end = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if from, err = g.parse(from); err != nil {
			return err
		}
		if end && from < len(g.buf) {
			return ErrFrame
		}
		if (len(g.buf) > step || len(g.refs) > most) && !end {
			rest := bytes.Clone(g.buf[from:])
			if err := g.merge(); err != nil {
				return err
			}
			from = len(g.buf)
			g.buf = append(g.buf, rest...)
			step, most = max(step, 2*len(g.buf)), max(most, 2*len(g.refs))
		}
	}
	return g.merge()
}

// parse notes the frames that are whole, from a place on, and returns the place behind them.
func (g *Groups) parse(from int) (int, error) {
	for from < len(g.buf) {
		n := FrameLen(g.buf[from:])
		if n == 0 {
			break // the rest comes
		}
		frame := g.buf[from : from+n]
		if err := g.Check(frame); err != nil {
			return from, err
		}
		if uint64(from) > math.MaxUint32 {
			return from, errors.New("a bucket has more than 4 GiB of distinct keys")
		}
		g.refs = append(g.refs, Ref{Prefix(g.Key(frame)), uint32(from)})
		from += n
	}
	return from, nil
}

// FrameLen returns the length of the frame at the start of b, with that of its length; 0 when b ends before the frame does.
func FrameLen(b []byte) int {
	size, k := binary.Uvarint(b)
	if k <= 0 || size > uint64(len(b)-k) {
		return 0
	}
	return k + int(size)
}

// merge sorts the frames of g.refs by key and leaves one for each key, in their order.
func (g *Groups) merge() error {
	key := func(at uint32) []byte { return g.Key(g.buf[at:]) }
	g.sorter.Key = key
	g.sorter.Compare = func(x, y uint32) int { return cmp.Or(bytes.Compare(key(x), key(y)), cmp.Compare(x, y)) }
	g.sorter.Sort(g.refs)
	out := slices.Grow(g.spare[:0], len(g.buf))
	kept := 0
	for i := 0; i < len(g.refs); {
		j := i + 1
		for j < len(g.refs) && g.refs[j].Prefix == g.refs[i].Prefix && bytes.Equal(key(g.refs[j].At), key(g.refs[i].At)) {
			j++
		}
		at := uint32(len(out))
		if same := g.refs[i:j]; len(same) > 1 {
			var err error
			if out, err = g.Merge(out, len(same), func(i int) []byte { return g.buf[same[i].At:] }); err != nil {
				return err
			}
		} else {
			frame := g.buf[same[0].At:]
			out = append(out, frame[:FrameLen(frame)]...)
		}
		g.refs[kept] = Ref{Prefix(g.Key(out[at:])), at}
		kept++
		i = j
	}
	g.refs = g.refs[:kept]
	g.spare, g.buf = g.buf, out
	return nil
}
