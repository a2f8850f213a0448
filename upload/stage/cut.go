package stage

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"runtime"

	"kith/store"
)

// cutRows is how many rows that go, with nothing between them, are cut out of a table as a stretch: the engine keeps a note of each stretch, and looks through them.
const cutRows = 4096

// cutOr removes the rows of a range for which goes says so, and which have no other writer: long stretches of them unread, the others row by row. If anything
// of the table changes meanwhile, which a stretch would take along, all go row by row, as they are listed otherwise.
func (p *Plan) cutOr(ctx context.Context, engine store.Stager, profiles int, in store.SweepRange, at int64, goes func(*store.SweepRow) bool, listed func() ([]store.Run, error)) error {
	since := p.store.Mark()
	ranges, err := p.store.Split(ctx, in, 4*runtime.NumCPU())
	if err != nil {
		return err
	}
	var runs []store.Run
	found := make([]stretches, len(ranges))
	for i, r := range ranges {
		found[i] = stretches{in: r, goes: goes}
		runs = append(runs, store.Run{Table: in.Table, Rows: found[i].rows(ctx, p.store, store.RunRow{Incarnation: p.inc, Mutation: store.Mutation{Time: at, Delete: true}})})
	}
	s := &deletions{inc: p.inc, engine: engine}
	defer s.discard()
	if err := s.build(ctx, runs); err != nil {
		return err
	}
	var cuts []store.SweepRange
	for i := range found {
		cuts = append(cuts, found[i].whole...)
	}
	err = engine.Cut(ctx, since, cuts...)
	if errors.Is(err, store.ErrConflict) {
		if runs, err = listed(); err != nil {
			return err
		}
		return p.delete(ctx, profiles, runs)
	}
	if err != nil {
		return err
	}
	return engine.Land(ctx, s.tables...)
}

// stretches divides the rows of a range that go into long stretches between which nothing else lies, and single rows.
type stretches struct {
	in   store.SweepRange
	goes func(*store.SweepRow) bool
	// whole are the stretches. Each begins behind its first row, for a position is behind a row, so that this one is single.
	whole []store.SweepRange

	open    bool             // the last row goes
	long    bool             // present has an end
	present store.SweepRange // the stretch of the last row
	waiting []byte           // rows behind its end: length of partition and of key (2 each), both
	n       int              // how many
}

// rows sweeps the range, and lists the single rows as deletions like a given one. The stretches stand when it has ended.
func (s *stretches) rows(ctx context.Context, st store.Store, gone store.RunRow) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		for row, err := range st.Sweep(ctx, s.in) {
			if err != nil {
				yield(gone, err)
				return
			}
			switch {
			case !s.goes(&row):
				if s.open && !s.end(&gone, yield) {
					return
				}
			case !s.open:
				s.open, s.present = true, s.in
				s.present.From = row.Cursor()
				gone.Partition, gone.Mutation.Key = append(gone.Partition[:0], row.Partition.Key...), row.Row.Key
				if !yield(gone, nil) {
					return
				}
			default:
				s.add(&row)
			}
		}
		s.end(&gone, yield)
	}
}

// add adds a row that goes to the present stretch.
func (s *stretches) add(row *store.SweepRow) {
	if s.n++; s.n == cutRows {
		s.long, s.present.To = true, row.Cursor()
		s.n, s.waiting = 0, s.waiting[:0]
		return
	}
	s.waiting = binary.LittleEndian.AppendUint16(s.waiting, uint16(len(row.Partition.Key)))
	s.waiting = binary.LittleEndian.AppendUint16(s.waiting, uint16(len(row.Row.Key)))
	s.waiting = append(append(s.waiting, row.Partition.Key...), row.Row.Key...)
}

// end ends the present stretch, and lists the rows behind it.
func (s *stretches) end(gone *store.RunRow, yield func(store.RunRow, error) bool) bool {
	if s.long {
		s.whole = append(s.whole, s.present)
	}
	for b := s.waiting; len(b) > 0; {
		of, key := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
		single := *gone
		single.Partition, single.Mutation.Key = b[4:4+of], b[4+of:4+of+key]
		if !yield(single, nil) {
			return false
		}
		b = b[4+of+key:]
	}
	s.open, s.long, s.n, s.waiting = false, false, 0, s.waiting[:0]
	return true
}
