package storetest

import (
	"context"
	"iter"
	"sync"

	"kith/store"
)

// Census is a store that holds every row it is given to a list of families: each row has exactly one, and is of its kind. Only the
// first row of each kind of mistake is reported.
type Census struct {
	store.Store
	Families []store.Family
	// Report is told of a mistake.
	Report func(format string, args ...any)

	mu    sync.Mutex
	known map[string]bool
}

func (c *Census) check(kind store.RowKind, p store.Partition, key []byte) {
	n := 0
	var family store.Family
	for _, f := range c.Families {
		if f.Has(p, key) {
			n++
			family = f
		}
	}
	switch {
	case n == 0:
		c.report(p.Table.String()+p.Key[:min(len(p.Key), 5)], "a row of table %s with partition %q and key %q belongs to no family", p.Table, p.Key, key)
	case n > 1:
		c.report(family.Name, "a row of table %s with partition %q and key %q belongs to %d families, one of them is %q", p.Table, p.Key, key, n, family.Name)
	case family.Kind != kind:
		c.report(family.Name, "a row of family %q is written by %s, it is of kind %s", family.Name, kind, family.Kind)
	}
}

func (c *Census) report(what, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[string]bool{}
	}
	if !c.known[what] {
		c.known[what] = true
		c.Report(format, args...)
	}
}

// Write implements store.Store.
func (c *Census) Write(ctx context.Context, p store.Partition, ms []store.Mutation) error {
	c.writes([]store.PartitionWrite{{Partition: p, Mutations: ms}})
	return c.Store.Write(ctx, p, ms)
}

func (c *Census) writes(all []store.PartitionWrite) {
	for _, w := range all {
		for _, m := range w.Mutations {
			c.check(store.WriteRows, w.Partition, m.Key)
		}
	}
}

// Swap implements store.Store.
func (c *Census) Swap(ctx context.Context, p store.Partition, ops []store.Swap) (uint64, error) {
	c.swaps(p, ops)
	return c.Store.Swap(ctx, p, ops)
}

func (c *Census) swaps(p store.Partition, ops []store.Swap) {
	for _, op := range ops {
		c.check(store.SwapRows, p, op.Key)
	}
}

// Commit implements store.Store.
func (c *Census) Commit(ctx context.Context, g store.Group) (uint64, error) {
	c.writes(g.Before)
	c.swaps(g.Partition, g.Swap)
	c.writes(g.After)
	return c.Store.Commit(ctx, g)
}

// WriteRun implements store.Store.
func (c *Census) WriteRun(ctx context.Context, runs ...store.Run) error {
	counted := make([]store.Run, len(runs))
	for i, run := range runs {
		counted[i] = store.Run{Table: run.Table, Rows: c.run(run)}
	}
	return c.Store.WriteRun(ctx, counted...)
}

func (c *Census) run(run store.Run) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		for row, err := range run.Rows {
			if err == nil {
				c.check(store.WriteRows, store.Partition{Table: run.Table, Incarnation: row.Incarnation, Key: string(row.Partition)}, row.Mutation.Key)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// AsStager implements what store.StagerOf asks for.
func (c *Census) AsStager() store.Stager {
	if engine := store.StagerOf(c.Store); engine != nil {
		return stagedCensus{engine, c}
	}
	return nil
}

// stagedCensus holds rows that are built aside to the families.
type stagedCensus struct {
	store.Stager
	c *Census
}

func (s stagedCensus) Stage(o store.StageOptions) (store.Staged, error) {
	t, err := s.Stager.Stage(o)
	return &countedTable{t, s.c, o}, err
}

func (s stagedCensus) Land(ctx context.Context, tables ...store.Staged) error {
	below := make([]store.Staged, len(tables))
	for i, t := range tables {
		below[i] = t.(*countedTable).Staged
	}
	return s.Stager.Land(ctx, below...)
}

type countedTable struct {
	store.Staged
	c *Census
	o store.StageOptions
}

func (t *countedTable) Add(partition, key, value, more []byte) error {
	t.c.check(store.WriteRows, store.Partition{Table: t.o.Table, Incarnation: t.o.Incarnation, Key: string(partition)}, key)
	return t.Staged.Add(partition, key, value, more)
}

func (t *countedTable) Delete(partition, key []byte) error {
	t.c.check(store.WriteRows, store.Partition{Table: t.o.Table, Incarnation: t.o.Incarnation, Key: string(partition)}, key)
	return t.Staged.Delete(partition, key)
}
