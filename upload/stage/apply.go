package stage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"

	"kith/blob"
	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// Write writes the rows of one bucket whose run is published, index rows before the contributions they belong to. It may be repeated.
func (b *Resolver) Write(ctx context.Context, bucket int, run *RunResult) error {
	if run.Run == "" {
		return nil
	}
	o := b.newBucketOutput()
	defer o.Close()
	if err := b.To(o).Again(ctx, bucket, run); err != nil {
		return err
	}
	if err := o.flush(); err != nil {
		return err
	}
	var parts []store.Run
	a := &applier{Output: o, live: func(int) bool { return true }}
	for family := range o.shelves {
		parts = append(parts, store.Run{Table: store.Index, Rows: b.indexRows(a, family)})
	}
	parts = append(parts, store.Run{Table: store.Profile, Rows: b.contributionRows(a, 0)})
	return b.store.WriteRun(ctx, parts...)
}

// indexRows streams the index rows of a family.
func (p *Plan) indexRows(a *applier, family int) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		a := &applier{Output: a.Output, live: a.live} // runs are read side by side
		row := store.RunRow{Incarnation: p.inc, Mutation: store.Mutation{Time: p.time}}
		err := a.indexRows(a.shelves[family], 0, func(value []byte, id fold.ID) error {
			row.Partition = append(append(append(row.Partition[:0], p.families[family]...), 1), value...)
			row.Mutation.Key = index.AppendRowKey(row.Mutation.Key[:0], id, index.ByImport)
			if !yield(row, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(row, err)
		}
	}
}

// contributionRows streams the contributions of a part of their shelf.
func (p *Plan) contributionRows(a *applier, part int) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		a := &applier{Output: a.Output, live: a.live}
		row := store.RunRow{Incarnation: p.inc, Mutation: store.Mutation{Time: p.time}}
		head := fold.Contribution{Expires: p.expires}
		err := a.saidRows(part, func(id, said []byte, at int64) error {
			head.Stamp = p.stamp(at)
			row.Partition = id
			row.Mutation.Key = profile.AppendContributionKey(row.Mutation.Key[:0], p.time, at)
			row.Mutation.Value = append(head.AppendStamped(row.Mutation.Value[:0]), said...)
			if !yield(row, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(row, err)
		}
	}
}

// errEnough says that who reads rows wants no more.
var errEnough = errors.New("enough")

// enter returns where in a section to begin to look for the entries of a profile; false when it has none.
func enter(marks []mark, id *fold.ID) (from int64, ok bool) {
	if len(marks) == 0 || bytes.Compare(marks[len(marks)-1].ID[:], id[:]) < 0 {
		return 0, false
	}
	from = marks[0].At
	for _, m := range marks {
		if bytes.Compare(m.ID[:], id[:]) >= 0 { // a profile may have several entries: begin before the first
			break
		}
		from = m.At
	}
	return from, true
}

// runBlob is an open blob of a run.
type runBlob struct {
	blob.Reader
	bucket int
}

type runBlobs []runBlob

func (all runBlobs) close() {
	for _, r := range all {
		_ = r.Close()
	}
}

// openAll opens one of the blobs of each run that has it.
func (p *Plan) openAll(ctx context.Context, runs map[int]RunResult, name func(*RunResult) string) (all runBlobs, err error) {
	for _, bucket := range slices.Sorted(maps.Keys(runs)) {
		run := runs[bucket]
		if name(&run) == "" {
			continue
		}
		r, err := p.blobs.Open(ctx, name(&run), p.key)
		if err != nil {
			return all, fmt.Errorf("open a run: %w", err)
		}
		all = append(all, runBlob{r, bucket})
	}
	return all, nil
}

// who reads the part that all entries share: a profile and a row.
type who struct {
	p      *Plan
	bucket int
	extsort.Window

	counter uint32 // of a created profile, or 0
	id      fold.ID
	row     int64
}

func (p *Plan) newWho(r runBlob, s section) who {
	return who{p: p, bucket: r.bucket, Window: extsort.NewWindow(func() io.Reader { return io.LimitReader(r.Stream(s.From), s.To-s.From) })}
}

// isCreated says that the job has created the profile of the entry.
func (c *who) isCreated() bool { return c.counter != 0 }

// readWho reads the profile and the row of an entry.
func (c *who) readWho() error {
	n, err := c.Uvarint()
	if err != nil {
		return err
	}
	if n == 0 {
		id, err := c.Bytes(uint64(len(c.id)))
		if err != nil {
			return err
		}
		copy(c.id[:], id)
	} else {
		c.id = c.p.mint(c.bucket, uint32(n))
	}
	c.counter = uint32(n)
	row, err := c.Uvarint()
	c.row = int64(row)
	return err
}

func (c *who) compareWho(o *who) int {
	if d := bytes.Compare(c.id[:], o.id[:]); d != 0 {
		return d
	}
	return int(c.row - o.row)
}

// rowCursor reads a section "who".
type rowCursor struct {
	who
	lo *fold.ID // profiles from it on; nil is open
}

func (c *rowCursor) Next() (bool, error) {
	for {
		if ok, err := c.More(); !ok {
			return false, err
		}
		if err := c.readWho(); err != nil {
			return false, err
		}
		if c.lo == nil || bytes.Compare(c.id[:], c.lo[:]) >= 0 {
			return true, nil
		}
	}
}

func (c *rowCursor) Prefix() uint64           { return binary.BigEndian.Uint64(c.id[:]) }
func (c *rowCursor) Compare(o *rowCursor) int { return c.compareWho(&o.who) }
