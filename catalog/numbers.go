package catalog

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"kith/blob"
	"kith/internal/extsort"
)

// number is a value of an attribute, which it names by number.
type number struct {
	attr uint32
	bits uint64 // order
}

// order returns a number that sorts as f does.
func order(f float64) uint64 {
	b := math.Float64bits(f)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

// value is the reverse of order.
func (n number) value() float64 {
	if n.bits>>63 != 0 {
		return math.Float64frombits(n.bits &^ (1 << 63))
	}
	return math.Float64frombits(^n.bits)
}

func (n number) compare(o number) int {
	return cmp.Or(cmp.Compare(n.attr, o.attr), cmp.Compare(n.bits, o.bits))
}

// numbers sorts more numbers than fit into memory. What it has no memory for is spilled in sorted runs.
type numbers struct {
	dir  string
	most int // numbers in memory
	buf  []number
	runs []*run
}

// run is sorted numbers on disk.
type run struct {
	spill *blob.Spill
	in    io.Reader
	at    number
}

// numberSize is what a number takes on disk: attribute (4) | order (8).
const numberSize = 12

func (s *numbers) add(attr uint32, f float64) error {
	s.buf = append(s.buf, number{attr, order(f)})
	if len(s.buf) < s.most {
		return nil
	}
	return s.flush()
}

func (s *numbers) flush() error {
	slices.SortFunc(s.buf, number.compare)
	spill, err := blob.NewSpill(s.dir, "numbers", 256<<10, func(w io.Writer) error {
		b := make([]byte, 0, numberSize)
		for _, n := range s.buf {
			b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b[:0], n.attr), n.bits)
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.runs = append(s.runs, &run{spill: spill, in: bufio.NewReaderSize(spill.Stream(0), 64<<10)})
	s.buf = s.buf[:0]
	return nil
}

// Next implements extsort.Cursor.
func (r *run) Next() (bool, error) {
	var b [numberSize]byte
	if _, err := io.ReadFull(r.in, b[:]); errors.Is(err, io.EOF) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("read spilled numbers: %w", err)
	}
	r.at = number{binary.BigEndian.Uint32(b[:]), binary.BigEndian.Uint64(b[4:])}
	return true, nil
}

// Prefix implements extsort.Cursor.
func (r *run) Prefix() uint64 { return uint64(r.at.attr)<<32 | r.at.bits>>32 }

// Compare implements extsort.Cursor.
func (r *run) Compare(o *run) int { return r.at.compare(o.at) }

// sorted streams all numbers in order, once.
func (s *numbers) sorted() iter.Seq2[number, error] {
	return func(yield func(number, error) bool) {
		if len(s.runs) == 0 {
			slices.SortFunc(s.buf, number.compare)
			for _, n := range s.buf {
				if !yield(n, nil) {
					return
				}
			}
			return
		}
		if len(s.buf) > 0 {
			if err := s.flush(); err != nil {
				yield(number{}, err)
				return
			}
		}
		for r, err := range extsort.Merge(s.runs) {
			if err != nil {
				yield(number{}, err)
				return
			}
			if !yield(r.at, nil) {
				return
			}
		}
	}
}

func (s *numbers) close() {
	for _, r := range s.runs {
		r.spill.Close()
	}
}

// percents are the percentiles that are told.
var percents = [5]int64{5, 25, 50, 75, 95}

// ordered is what is told of an attribute's numbers when they come in order.
type ordered struct {
	n           int64
	mean        float64
	square      float64 // sum of squared differences from the mean
	percentiles [5]float64

	at   int64 // place of the next number
	last float64
}

// add takes in the next number. Percentiles are interpolated linearly between the two nearest.
func (o *ordered) add(f float64) {
	o.square += (f - o.mean) * (f - o.mean)
	for i, percent := range percents {
		below, hundredths := percent*(o.n-1)/100, percent*(o.n-1)%100
		switch o.at {
		case below:
			o.percentiles[i] = f
		case below + 1:
			if hundredths > 0 {
				o.percentiles[i] = between(o.last, f, float64(hundredths)/100)
			}
		}
	}
	o.last = f
	o.at++
}

// between returns what lies at a share of the way from a to b.
func between(a, b, share float64) float64 {
	if f := a + (b-a)*share; !math.IsInf(f, 0) {
		return f
	}
	return a*(1-share) + b*share
}

// run has the numbers of attributes come in order; those of others are passed over.
func (s *numbers) run(orders map[uint32]*ordered) error {
	for n, err := range s.sorted() {
		if err != nil {
			return err
		}
		if o := orders[n.attr]; o != nil {
			o.add(n.value())
		}
	}
	return nil
}
