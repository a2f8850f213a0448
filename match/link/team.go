package link

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"

	"kith/profile/fold"
)

// Team is several processes that make one search together. Each runs Find, of one program and with the same options but for workers, memory and folder, and what
// one of them has made of a piece of a step, all of them take: so all know the same after each step, and make the rest of the search each for itself.
//
// Shared are the steps in which profiles are read, twice, and pairs compared. What is not shared, keys, blocks and learning, is about half of the work, and what it
// works on is so much that it would cost more to exchange it.
type Team struct {
	// Cuts are the source of the search in pieces: each profile is in one of them.
	Cuts []Source
	// Share has each of n pieces of a step made by one of the team, and calls take with what was made of each, one at a time, in any order. It
	// returns when all have been taken. What of a piece one of the team has taken, all take, however often it was made. No two steps of a search have one name.
	Share func(ctx context.Context, step string, n int, make func(ctx context.Context, piece int, w io.Writer) error, take func(piece int, r io.Reader) error) error
	// Helps says that the groups are told elsewhere: Find returns ErrHelped where nothing more is shared.
	Helps bool
}

// ErrHelped says that what was to be shared of a search is done.
var ErrHelped = errors.New("nothing is left to share")

// pairPieces are into how many pieces the pairs of a step are cut, by the numbers of their first records.
const pairPieces = 16

// slab is what a piece of rows consists of: some whole rows, or, at its end, how many pairs were compared for it.
type slab struct {
	Rows     []byte
	Compared int64
}

// slabs writes slabs from several goroutines.
type slabs struct {
	mu  sync.Mutex
	enc *gob.Encoder
}

func newSlabs(w io.Writer) *slabs { return &slabs{enc: gob.NewEncoder(w)} }

func (s *slabs) put(x slab) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.enc.Encode(x)
}

func (s *slabs) putRows(rows []byte) error { return s.put(slab{Rows: rows}) }

// eachSlab calls do for the slabs of a piece.
func eachSlab(r io.Reader, do func(slab) error) error {
	dec := gob.NewDecoder(r)
	for {
		var x slab
		if err := dec.Decode(&x); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what a team has made: %w", err)
		}
		if err := do(x); err != nil {
			return err
		}
	}
}

// survey is look by a team.
func (t *Team) survey(ctx context.Context, o *Options) (*surveyed, error) {
	all := newSurveyed()
	err := t.Share(ctx, "survey", len(t.Cuts), func(ctx context.Context, piece int, w io.Writer) error {
		some, err := look(ctx, t.Cuts[piece], o.Workers)
		if err != nil {
			return err
		}
		return gob.NewEncoder(w).Encode(some)
	}, func(_ int, r io.Reader) error {
		var some surveyed
		if err := gob.NewDecoder(r).Decode(&some); err != nil {
			return fmt.Errorf("read what a team has seen: %w", err)
		}
		all.merge(&some)
		return nil
	})
	return all, err
}

// GobEncode implements gob.GobEncoder: of each record the hash of its id | whether there is a family name | its length as uvarint | the record.
func (t *taste) GobEncode() ([]byte, error) {
	t.shrink()
	var b []byte
	for _, s := range t.all {
		last := byte(0)
		if s.last {
			last = 1
		}
		b = append(binary.LittleEndian.AppendUint64(b, s.hash), last)
		b = append(binary.AppendUvarint(b, uint64(len(s.record))), s.record...)
	}
	return b, nil
}

// GobDecode implements gob.GobDecoder.
func (t *taste) GobDecode(b []byte) error {
	const head = 8 + 1
	for len(b) > 0 {
		if len(b) < head {
			return errSample
		}
		n, k := binary.Uvarint(b[head:])
		if k <= 0 || n > uint64(len(b)-head-k) {
			return errSample
		}
		end := head + k + int(n)
		t.all = append(t.all, tasted{binary.LittleEndian.Uint64(b), append([]byte(nil), b[head+k:end]...), b[8] == 1})
		b = b[end:]
	}
	return nil
}

var errSample = errors.New("a sample of records is damaged")

// gather is gatherer.read by a team. What is made of a piece are rows.
func (t *Team) gather(ctx context.Context, g *gatherer, o *Options) error {
	var done int64
	return t.Share(ctx, "records", len(t.Cuts), func(ctx context.Context, piece int, w io.Writer) error {
		out, bufs := newSlabs(w), make([][]byte, o.Workers)
		err := t.Cuts[piece](ctx, func(worker int, p *fold.Profile) error {
			if bufs[worker] = append(bufs[worker], g.row(worker, p)...); len(bufs[worker]) < slabSize {
				return nil
			}
			err := out.putRows(bufs[worker])
			bufs[worker] = bufs[worker][:0]
			return err
		})
		for _, b := range bufs {
			if err == nil && len(b) > 0 {
				err = out.putRows(b)
			}
		}
		return err
	}, func(_ int, r io.Reader) error {
		return eachSlab(r, func(x slab) error {
			for b := x.Rows; len(b) > 0; done++ {
				n := idSize + recordLen(b[idSize:], g.all[0].slots())
				if err := g.put(0, b[:n]); err != nil {
					return err
				}
				b = b[n:]
			}
			o.Progress(Preprocessing, done)
			return nil
		})
	})
}

// compareTogether is compareRows of all pairs by a team. What says that it has shared all steps ends a helper's search.
func (s *run) compareTogether(ctx context.Context, c comparison, say say, put func(rows []byte) error) error {
	// Who has learned something else, on a machine that computes otherwise in the last bit, shares nothing with the others.
	step := fmt.Sprintf("pairs-%d-%016x", s.toShare, xxh3.Hash(s.m.Marshal()))
	err := s.o.Team.Share(ctx, step, pairPieces, func(ctx context.Context, piece int, w io.Writer) error {
		out, compared, c := newSlabs(w), atomic.Int64{}, c
		c.of = numbers{startOf(piece, pairPieces, s.r.n), startOf(piece+1, pairPieces, s.r.n)}
		c.done = func(pairs int) { compared.Add(int64(pairs)) }
		err := s.compareRows(ctx, c, say, out.putRows)
		return cmp.Or(err, out.put(slab{Compared: compared.Load()}))
	}, func(_ int, r io.Reader) error {
		return eachSlab(r, func(x slab) error {
			s.count(int(x.Compared))
			return put(x.Rows)
		})
	})
	if s.toShare--; err == nil && s.toShare == 0 && s.o.Team.Helps {
		return ErrHelped
	}
	return err
}

// whole rounds up into how many ranges the pairs of a chunk are cut, so that for a team each piece of them is some whole ones.
func (s *run) whole(ranges int) int {
	if s.o.Team == nil {
		return ranges
	}
	return (ranges + pairPieces - 1) / pairPieces * pairPieces
}
