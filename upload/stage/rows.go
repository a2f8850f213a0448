package stage

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"kith/internal/extsort"
	"kith/profile/fold"
)

// rowSet are frames of a bucket; once merged, one for each key, sorted. Frames stay where they were loaded, but for those that are merged.
type rowSet struct {
	*Plan
	pool  *extsort.Pool // nil where nothing is loaded from one
	loads []loaded
	refs  []extsort.Ref // of the frames
	size  int           // bytes of frames

	sorter extsort.Sorter
	keys   keyList
	values []fold.Value
}

// loaded is memory that frames lie in: a piece of the pool's or, if own, on the heap.
type loaded struct {
	b     []byte
	piece extsort.Piece
	drop  bool // nobody loads the piece again
	own   bool
}

// A place of a frame is the number of what was loaded, and in placeBits where it begins there. What is larger holds one frame alone.
const placeBits = 16

func (p *Plan) newRowSet(pool *extsort.Pool) *rowSet { return &rowSet{Plan: p, pool: pool} }

// reset lets go of all frames.
func (s *rowSet) reset() {
	s.release(s.loads)
	s.loads, s.refs, s.size = s.loads[:0], s.refs[:0], 0
}

func (s *rowSet) release(loads []loaded) {
	for _, l := range loads {
		switch {
		case l.own:
		case l.drop:
			s.pool.Drop(l.piece, l.b)
		default:
			s.pool.Unload(l.piece, l.b)
		}
	}
}

// at returns the frame at a place; more may follow it.
func (s *rowSet) at(place uint32) []byte {
	return s.loads[place>>placeBits].b[place&(1<<placeBits-1):]
}

// ahead is how far: frames, and entries of shelves, are read in the order of their keys, which is none in memory. Who looks at one asks for the one so many
// further on, so that it is in the cache when its turn comes. Waiting for memory was a tenth of resolving.
const ahead = 8

func (s *rowSet) key(place uint32) []byte { return frameKey(s.at(place)) }

func (s *rowSet) frame(place uint32) frame { return frameOf(s.at(place), len(s.keyPlan.lean)) }

// load adds the frames of a piece of the pool.
func (s *rowSet) load(p extsort.Piece, drop bool) error {
	b, err := s.pool.Load(p)
	if err != nil {
		return err
	}
	i := len(s.loads)
	if s.loads = append(s.loads, loaded{b: b, piece: p, drop: drop}); i >= 1<<(32-placeBits) {
		return errTooManyKeys
	}
	s.size += len(b)
	for from := 0; from < len(b); {
		n := frameSize(b[from:])
		if n < frameHead || from >= 1<<placeBits {
			return extsort.ErrFrame
		}
		s.refs = append(s.refs, extsort.Ref{Prefix: extsort.Prefix(frameKey(b[from:])), At: uint32(i)<<placeBits | uint32(from)})
		from += n
	}
	return nil
}

var errTooManyKeys = errors.New("a bucket has more than 4 GiB of distinct keys")

// space returns room for a frame of n bytes on the heap, and its place.
func (s *rowSet) space(n int) (b []byte, place uint32, err error) {
	last := len(s.loads) - 1
	if last < 0 || !s.loads[last].own || cap(s.loads[last].b)-len(s.loads[last].b) < n {
		if last++; last >= 1<<(32-placeBits) {
			return nil, 0, errTooManyKeys
		}
		s.loads = append(s.loads, loaded{b: make([]byte, 0, max(n, 1<<placeBits)), own: true})
	}
	l := &s.loads[last]
	at := len(l.b)
	l.b = l.b[:at+n]
	s.size += n
	return l.b[at : at+n], uint32(last)<<placeBits | uint32(at), nil
}

// Frames of a stream are merged when they are so many bytes, or so many; twice what is left is the next step, if that is more, so that
// memory is bounded by the distinct keys.
const (
	stepBytes  = 32 << 20
	stepFrames = 512 << 10
)

// loadStream adds the frames of a stream of them, which may be damaged.
func (s *rowSet) loadStream(ctx context.Context, r io.Reader) error {
	in := bufio.NewReaderSize(r, 256<<10)
	step, most := stepBytes, stepFrames
	for n := 0; ; n++ {
		head, err := in.Peek(4)
		if errors.Is(err, io.EOF) && len(head) == 0 {
			return nil
		}
		if err != nil {
			return cutFrame(err)
		}
		size := int(binary.LittleEndian.Uint32(head))
		if size < frameHead || size > maxFrame {
			return extsort.ErrFrame
		}
		b, place, err := s.space(size)
		if err != nil {
			return err
		}
		if _, err := io.ReadFull(in, b); err != nil {
			return cutFrame(err)
		}
		if !soundFrame(b, len(s.keyPlan.lean)) {
			return extsort.ErrFrame
		}
		s.refs = append(s.refs, extsort.Ref{Prefix: extsort.Prefix(frameKey(b)), At: place})
		if n&0xfff == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if s.size > step || len(s.refs) > most {
			if err := s.compact(); err != nil {
				return err
			}
			step, most = max(step, 2*s.size), max(most, 2*len(s.refs))
		}
	}
}

// cutFrame is the error of a stream that ends within a frame, or can't be read.
func cutFrame(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return extsort.ErrFrame
	}
	return err
}

// sort sorts the frames by key and row.
func (s *rowSet) sort() {
	s.sorter.Key = s.key
	s.sorter.Compare = func(x, y uint32) int {
		a, b := s.at(x), s.at(y)
		return cmp.Or(bytes.Compare(frameKey(a), frameKey(b)), cmp.Compare(frameRow(a), frameRow(b)), cmp.Compare(x, y))
	}
	s.sorter.Sort(s.refs)
}

// mergeAtOnce is how many more frames of one key are merged at once: more would take memory for each.
const mergeAtOnce = 4096

// merge sorts the frames by key and leaves one for each.
func (s *rowSet) merge() error {
	s.sort()
	kept := 0
	for i := 0; i < len(s.refs); {
		place, prefix := s.refs[i].At, s.refs[i].Prefix
		j := i + 1
		for j < len(s.refs) && s.refs[j].Prefix == prefix && bytes.Equal(s.key(s.refs[j].At), s.key(place)) {
			j++
		}
		for from := i + 1; from < j; from += mergeAtOnce { // the first of each part is what the ones before have become
			s.refs[from-1].At = place
			var err error
			if place, err = s.mergeRows(s.refs[from-1 : min(from+mergeAtOnce, j)]); err != nil {
				return err
			}
		}
		s.refs[kept].At = place
		kept++
		i = j
	}
	s.refs = s.refs[:kept]
	return nil
}

// compact merges the frames, and lets go of those that were merged.
func (s *rowSet) compact() error {
	if err := s.merge(); err != nil {
		return err
	}
	before := s.loads
	s.loads, s.size = nil, 0
	for i := range s.refs {
		at := s.refs[i].At
		frame := before[at>>placeBits].b[at&(1<<placeBits-1):]
		b, place, err := s.space(frameSize(frame))
		if err != nil {
			return err
		}
		copy(b, frame)
		s.refs[i] = extsort.Ref{Prefix: extsort.Prefix(frameKey(b)), At: place} // sorting may have changed the prefix
	}
	s.release(before)
	return nil
}

// mergeRows makes one frame that says what several of the same key say, which are sorted by row, and returns its place. A value of a later row replaces an earlier row's.
func (s *rowSet) mergeRows(refs []extsort.Ref) (uint32, error) {
	all := make([]frame, len(refs))
	for i, r := range refs {
		if all[i] = s.frame(r.At); all[i].rows == 0 {
			return 0, extsort.ErrFrame
		}
	}
	out := frame{first: all[0].first, key: all[0].key}
	var values []fold.Value
	for i := range all {
		f := &all[i]
		out.rows += f.rows
		// A row that the next one repeats is replaced by it as a whole.
		if i+1 < len(all) && f.rows == 1 && all[i+1].rows == 1 && bytes.Equal(f.body, all[i+1].body) {
			continue
		}
		var err error
		if s.values, err = fold.AppendValues(s.values[:0], f.body, s.stamp(f.first)); err != nil {
			return 0, fmt.Errorf("%w: %w", extsort.ErrFrame, err)
		}
		values = fold.MergeRows(values, s.values)
	}
	out.more = rowNumbersOf(all)
	base := s.stamp(out.first)
	for _, v := range values {
		out.body = fold.AppendValue(out.body, v, base)
	}
	s.keysOf(out.key, values, &s.keys)
	out.keys = s.keys.appendTo(nil)
	b, place, err := s.space(out.size())
	if err == nil {
		appendRich(b[:0], &out)
	}
	return place, err
}

// rowNumbersOf returns the distances between the first rows of some frames, which are the same however they were merged before.
func rowNumbersOf(all []frame) (more []byte) {
	rows := make([]int64, 0, min(len(all), maxFrameRows))
	for i := range all {
		if len(rows) == maxFrameRows && all[i].first > rows[len(rows)-1] { // sorted by now
			break
		}
		all[i].eachRow(func(row int64) { rows = append(rows, row) })
		if len(rows) >= maxFrameRows {
			slices.Sort(rows)
			rows = rows[:maxFrameRows]
		}
	}
	slices.Sort(rows)
	for i := 1; i < len(rows); i++ {
		more = binary.AppendUvarint(more, uint64(rows[i]-rows[i-1]))
	}
	return more
}
