package pebble

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/store"
)

// Report is what Verify has found.
type Report struct {
	// Tables and Logs count the files whose checksums were verified, and Bytes what they hold.
	Tables, Logs int
	Bytes        int64
	// Log is the damage of logs and of the list of tables, Damage that of tables.
	Log    []*LogDamage
	Damage []Damage
	// Unopened says why the database can't be opened, when that is not told by Log and Damage.
	Unopened error
}

// Sound says that nothing was found.
func (r *Report) Sound() bool { return len(r.Log) == 0 && len(r.Damage) == 0 && r.Unopened == nil }

// Verify reads all that the database in dir is made of, and compares the checksums. It changes nothing. No other process may have the
// database open (store.ErrLocked); one that is in use is verified by its checkpoint.
func Verify(ctx context.Context, dir string) (*Report, error) {
	r := &Report{}
	bounds := map[string][2]Place{}
	s, err := Open(dir, Options{ReadOnly: true, AcceptDamage: true})
	switch d, isLog := errors.AsType[*LogDamage](err); {
	case isLog:
		r.Log = append(r.Log, d)
	case errors.Is(err, store.ErrDamaged):
		r.Unopened = err
	case err != nil:
		return nil, err
	default:
		r.Log = s.accepted
		r.Logs, r.Bytes = s.examined.files, s.examined.bytes
		err := tableBounds(s.db, bounds)
		if err := errors.Join(err, s.Close()); err != nil {
			return nil, err
		}
	}
	all, err := vfs.Default.List(dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(all)
	for _, name := range all {
		if filepath.Ext(name) != ".sst" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.Tables++
		n, err := verifyTable(ctx, filepath.Join(dir, name))
		r.Bytes += n
		if err == nil {
			continue
		}
		at := bounds[name]
		r.Damage = append(r.Damage, Damage{File: name, From: at[0], To: at[1], What: wrong(err)})
	}
	return r, nil
}

// wrong says in a few words what is wrong with a file.
func wrong(err error) string {
	if pebble.IsCorruptionError(err) {
		return "a checksum is wrong"
	}
	return safe(err)
}

// tableBounds tells which rows the table files may hold.
func tableBounds(db *pebble.DB, bounds map[string][2]Place) error {
	levels, err := db.SSTables()
	if err != nil {
		return convert(err)
	}
	for _, level := range levels {
		for _, t := range level {
			bounds[fmt.Sprintf("%s.sst", t.BackingSSTNum)] = [2]Place{placeOf(t.Smallest.UserKey), placeOf(t.Largest.UserKey)}
		}
	}
	return nil
}

// verifyTable reads all blocks of a table file and returns its length.
func verifyTable(ctx context.Context, path string) (n int64, err error) {
	f, err := vfs.Default.Open(path)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, errors.Join(err, f.Close())
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return 0, errors.Join(err, f.Close())
	}
	opts := Options{}.engine(vfs.Default, nil, &damages{})
	table, err := sstable.NewReader(ctx, readable, opts.MakeReaderOptions())
	if err != nil {
		return info.Size(), errors.Join(err, readable.Close())
	}
	err = table.ValidateBlockChecksums()
	return info.Size(), errors.Join(err, table.Close())
}
