package change

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kith/profile/fold"
	"kith/store"
)

// Follower keeps what a reactor makes of profiles up to date with them: it reads the feed of a domain and names the profiles to look at again. A
// row is looked at early, as soon as its write has happened as a rule, and once more when it is settled. An import is looked at once, for what
// changes after it was announced has rows of its own. A follower is at work under one taking of a lease, and may be cut off anywhere.
type Follower struct {
	Feed        *Feed
	Incarnation store.Incarnation
	Place       Place // of the reactor: its cursor is there
	Runs        Runs
	// MergedBy returns the profiles that a merge is about.
	MergedBy func(ctx context.Context, inc store.Incarnation, id fold.MergeID) ([]fold.ID, error)

	// Young is how old a row is when it is looked at first, and Grown when that need not be done again before it is settled. Settling is how
	// often the feed is looked at as long as rows of it are not settled.
	Young, Grown, Settling time.Duration

	// Marks is a part of the reactor's state, which Save publishes.
	Marks *Marks
	Save  func(ctx context.Context) error
	// Look makes what the reactor keeps say what profiles are now. It is called with at least one, and with Most at a time, or MostImported
	// if an import has touched them; ids may repeat.
	Look               func(ctx context.Context, ids []fold.ID, imported bool) error
	Most, MostImported int
	// Whole says that the reactor would rather look at all profiles than at those that an import touched (ErrWhole). Nil: it never would.
	Whole func(ctx context.Context, job string) (bool, error)

	seen int64 // up to where rows have been looked at early, and need not be again before they are settled
}

// Marks is how far the imports are that the feed has told of.
type Marks struct {
	Mark *Mark  `json:",omitzero"`  // the import that is being looked at
	Done []Mark `json:",omitempty"` // those that have been before they were settled
}

// Mark is a bookmark in what an import touched.
type Mark struct {
	At   int64  // of its row in the feed, microseconds
	Job  string // its upload job
	Last string `json:",omitzero"` // the last profile that was looked at
}

func (m *Mark) is(r *Row) bool { return m.At == r.At && m.Job == r.Job }

// ErrWhole says that the reactor is to start anew with a scan, because it would rather (Follower.Whole). The scan covers the import.
var ErrWhole = errors.New("so much has changed that all profiles are looked at")

// Start puts the cursor where the feed is settled now. Call it before the scan with which the reactor starts.
func (f *Follower) Start(ctx context.Context) error {
	f.seen = 0
	return f.consumer().Start(ctx, f.Incarnation, f.Place)
}

// Follow looks at everything that the feed tells. again is how soon there is more to look at; 0: when something changes. ErrBehind, ErrWhole:
// the reactor has to start with a scan.
func (f *Follower) Follow(ctx context.Context) (again time.Duration, err error) {
	if err := f.consumer().Run(ctx, f.Incarnation, f.Place); err != nil {
		return 0, err
	}
	cursor, _, err := f.consumer().Cursor(ctx, f.Place)
	if err != nil {
		return 0, err
	}
	f.Marks.Done = slices.DeleteFunc(f.Marks.Done, func(m Mark) bool { return m.At <= cursor }) // the feed will not tell of them again
	return f.early(ctx, cursor)
}

func (f *Follower) consumer() *Consumer { return &Consumer{Feed: f.Feed, Final: f.final} }

// early looks at what is not settled, and says how soon there is more to do.
func (f *Follower) early(ctx context.Context, cursor int64) (again time.Duration, err error) {
	if f.seen > cursor { // what has been seen has to be seen again when it is settled
		for _, err := range f.Feed.Rows(ctx, f.Incarnation, cursor, f.seen) {
			if err != nil {
				return 0, err
			}
			again = f.Settling
			break
		}
	}
	var ids []fold.ID
	now := f.Feed.Now()
	for r, err := range f.Feed.Unsettled(ctx, f.Incarnation, max(cursor, f.seen)) {
		if err != nil {
			return 0, err
		}
		age := now.Sub(time.UnixMicro(r.At))
		if age < f.Young {
			again = f.Young
			continue
		}
		if age < f.Grown {
			if again != f.Young {
				again = f.Grown
			}
		} else if f.seen = max(f.seen, r.At); again == 0 {
			again = f.Settling
		}
		if err := f.react(ctx, &r, &ids); err != nil {
			return 0, err
		}
	}
	return again, f.look(ctx, &ids)
}

// final looks at rows that are settled.
func (f *Follower) final(ctx context.Context, _ store.Incarnation, rows []Row) error {
	var ids []fold.ID
	for i := range rows {
		if err := f.react(ctx, &rows[i], &ids); err != nil {
			return err
		}
	}
	if err := f.look(ctx, &ids); err != nil {
		return err
	}
	return f.Save(ctx) // before the cursor moves, so that what was learned of them stays
}

// react gathers the profiles that a row names, and looks at them when there are many.
func (f *Follower) react(ctx context.Context, r *Row, ids *[]fold.ID) error {
	switch r.Kind {
	case Imported, Undone:
		return f.imported(ctx, r)
	case Write:
		*ids = append(*ids, r.ID)
	case Merged:
		var id fold.MergeID
		copy(id[:], r.Call[:])
		named, err := f.MergedBy(ctx, f.Incarnation, id)
		if err != nil {
			return err
		}
		*ids = append(append(*ids, named...), r.ID)
	}
	if len(*ids) < f.Most {
		return nil
	}
	return f.look(ctx, ids)
}

func (f *Follower) look(ctx context.Context, ids *[]fold.ID) error {
	if len(*ids) == 0 {
		return nil
	}
	err := f.Look(ctx, *ids, false)
	*ids = (*ids)[:0]
	return err
}

// imported looks at what an import touched, from the bookmark on.
func (f *Follower) imported(ctx context.Context, r *Row) error {
	if slices.ContainsFunc(f.Marks.Done, func(m Mark) bool { return m.is(r) }) {
		return nil
	}
	if m := f.Marks.Mark; m == nil || !m.is(r) {
		f.Marks.Mark = &Mark{At: r.At, Job: r.Job}
		if f.Whole != nil {
			whole, err := f.Whole(ctx, r.Job)
			if err != nil {
				return err
			}
			if whole {
				f.Marks.Done, f.Marks.Mark = append(f.Marks.Done, *f.Marks.Mark), nil
				return ErrWhole
			}
		}
	}
	var ids []fold.ID
	flush := func() error {
		if len(ids) == 0 {
			return nil
		}
		last := ids[len(ids)-1].String()
		if err := f.Look(ctx, ids, true); err != nil {
			return err
		}
		f.Marks.Mark.Last = last
		ids = ids[:0]
		return f.Save(ctx)
	}
	for id, err := range f.Runs.Touched(ctx, f.Incarnation, r.Job) {
		if err != nil {
			return fmt.Errorf("read what an import touched: %w", err)
		}
		if strings.Compare(id.String(), f.Marks.Mark.Last) <= 0 {
			continue
		}
		if ids = append(ids, id); len(ids) >= f.MostImported {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	f.Marks.Done, f.Marks.Mark = append(f.Marks.Done, Mark{At: r.At, Job: r.Job}), nil
	return f.Save(ctx)
}
