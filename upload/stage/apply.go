package stage

import (
	"context"
	"errors"
	"iter"

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
	voids, err := b.voids(ctx)
	if err != nil {
		return err
	}
	parts := []store.Run{{Table: store.Fingerprint, Rows: store.SortRows(voids)}}
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
		a.yieldIndexRows(family, 0, store.Mutation{Time: p.time}, yield)
	}
}

// yieldIndexRows yields mutations like a given one of the index rows of a part of a shelf, and says whether more are wanted.
func (a *applier) yieldIndexRows(family, part int, m store.Mutation, yield func(store.RunRow, error) bool) bool {
	row := store.RunRow{Incarnation: a.inc, Mutation: m}
	err := a.indexRows(a.shelves[family], part, func(value []byte, id fold.ID) error {
		row.Partition = append(append(append(row.Partition[:0], a.families[family]...), 1), value...)
		row.Mutation.Key = index.AppendRowKey(row.Mutation.Key[:0], id, index.ByImport)
		if !yield(row, nil) {
			return errEnough
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return false
	case err != nil:
		return yield(row, err)
	}
	return true
}

// contributionRows streams the contributions of a part of their shelf.
func (p *Plan) contributionRows(a *applier, part int) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		a := &applier{Output: a.Output, live: a.live}
		row := store.RunRow{Incarnation: p.inc, Mutation: store.Mutation{Time: p.time}}
		head := fold.Contribution{Expires: p.expires}
		err := a.saidRows(part, func(id []byte, s *said) error {
			head.Stamp = p.stamp(s.row)
			row.Partition = id
			row.Mutation.Key = profile.AppendContributionKey(row.Mutation.Key[:0], p.time, s.row)
			if s.kind == entrySays {
				row.Mutation.Value = append(head.AppendStamped(row.Mutation.Value[:0]), s.says...)
			} else {
				row.Mutation.Value = head.AppendRepeat(row.Mutation.Value[:0], s.says)
			}
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
