package change

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/go-json-experiment/json"

	"kith/profile/fold"
	"kith/store"
)

// Import is an entry of the registry of imports: what is known of one when its job's record is gone. Times are microseconds.
type Import struct {
	Time      int64 `json:"-"` // what it wrote with; names it within its domain
	Job       string
	AppliedAt int64
	UndoneAt  int64 `json:",omitzero"` // 0: it was not undone
}

// Runs is what is known of whom an import touched, from its published runs, as long as these are kept. Package upload has it.
type Runs interface {
	// Touched streams the profiles that an import created or updated, ascending, as it knew them: they may have been merged since.
	Touched(ctx context.Context, inc store.Incarnation, job string) iter.Seq2[fold.ID, error]
	// Wrote returns the rows, each the first of its unique key, by which an import wrote to a profile, ascending. It knows also when the
	// import has been undone; nil when its runs are gone.
	Wrote(ctx context.Context, inc store.Incarnation, job string, id fold.ID) ([]int64, error)
}

func importsPartition(inc store.Incarnation) store.Partition {
	return store.Partition{Table: store.Change, Incarnation: inc, Key: "imports"}
}

// NoteImport registers an import that has been applied, or taken back, and announces it. It is called by the holder of the domain's turn
// when all that the import writes, or takes back, is done, or was given up half done, and may be repeated.
func (f *Feed) NoteImport(ctx context.Context, inc store.Incarnation, im Import) error {
	value, err := json.Marshal(im, json.Deterministic(true))
	if err != nil {
		return err
	}
	at, kind := im.AppliedAt, Imported
	if im.UndoneAt != 0 {
		at, kind = max(im.UndoneAt, im.AppliedAt+1), Undone
	}
	err = f.Store.Write(ctx, importsPartition(inc), []store.Mutation{{Key: timeKey(im.Time), Value: value, Time: at}})
	if err != nil {
		return fmt.Errorf("register an import: %w", err)
	}
	r := &Row{Kind: kind, Job: im.Job, Time: im.Time}
	binary.BigEndian.PutUint64(r.Call[:], uint64(im.Time))
	return f.AnnounceBeyond(ctx, inc, r)
}

// Imports lists the imports of a domain, from old to new.
func (f *Feed) Imports(ctx context.Context, inc store.Incarnation) (all []Import, err error) {
	for row, err := range f.Store.Scan(ctx, importsPartition(inc), store.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("list imports: %w", err)
		}
		var im Import
		if len(row.Key) != 8 {
			return nil, fmt.Errorf("%w: not an import", fold.ErrCorrupt)
		}
		if err := json.Unmarshal(row.Value, &im); err != nil {
			return nil, fmt.Errorf("registry of imports: %w", err)
		}
		im.Time = int64(binary.BigEndian.Uint64(row.Key))
		all = append(all, im)
	}
	return all, nil
}
