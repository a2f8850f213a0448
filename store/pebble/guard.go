package pebble

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"kith/store"
)

// Loss counts rows of an incarnation in a table that were written last and can't be kept.
type Loss struct {
	Table       store.Table
	Incarnation store.Incarnation
	Rows        int
}

// LogDamage is damage of a log, or of the manifest, that was found when the database was opened. Its text names files and counts,
// no keys.
type LogDamage struct {
	File   string // within the database's folder
	Offset int    // of the first chunk that is not sound
	// Flipped says that one bit was wrong; it has been put right, or can be, and nothing is lost.
	Flipped bool
	// Manifest says that the list of tables is damaged: without it there is no database.
	Manifest bool
	// Writes counts the later writes that go with the damaged one, and Lost the rows in them.
	Writes int
	Lost   []Loss
	// Kept is a copy of the damaged file, when the damage has been accepted.
	Kept string
}

// Error implements error.
func (d *LogDamage) Error() string {
	what := "log"
	if d.Manifest {
		what = "list of tables"
	}
	text := fmt.Sprintf("%s %s has damaged bytes at %d, although more was written after them", what, d.File, d.Offset)
	switch {
	case d.Flipped:
		return text + "; one bit has flipped and can be put right"
	case d.Manifest:
		return text
	}
	return fmt.Sprintf("%s; what these bytes held is lost, and %s", text, d.loss())
}

// loss says what goes with the damaged write.
func (d *LogDamage) loss() string {
	if d.Writes == 0 {
		return "no later write with it"
	}
	rows, tables := 0, map[store.Table]int{}
	for _, l := range d.Lost {
		rows += l.Rows
		tables[l.Table] += l.Rows
	}
	var parts []string
	for _, t := range store.Tables {
		if n := tables[t]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", t, n))
		}
	}
	return fmt.Sprintf("%d later writes with %d rows (%s) go with it", d.Writes, rows, strings.Join(parts, ", "))
}

// Unwrap makes the damage store.ErrDamaged.
func (d *LogDamage) Unwrap() error { return store.ErrDamaged }

// guard is the file system while a database is opened. It examines the logs and the manifest that are about to be read: exactly
// those that count. Damage is an error; when it has been accepted, the database reads the file as it would be with the flipped bit
// put right, or cut in front of the damage; a log behind one that is cut is empty, so that what is left is what there was at one
// moment. The database then writes what it has read to tables, and removes its logs.
type guard struct {
	vfs.FS
	dir     string
	accept  bool
	keeps   bool // damaged files that are accepted
	opening atomic.Bool
	fresh   atomic.Bool // files are not used again: Purge

	mu       sync.Mutex
	examined examined
	damage   []*LogDamage
	cut      *LogDamage // what logs behind it are counted to
}

// examined counts what was examined.
type examined struct {
	files int
	bytes int64
}

// Unwrap implements vfs.FS.
func (g *guard) Unwrap() vfs.FS { return g.FS }

// ReuseForWrite implements vfs.FS. The engine calls it with an old log, whose bytes stay behind what is written over them.
func (g *guard) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if !g.fresh.Load() {
		return g.FS.ReuseForWrite(oldname, newname, category)
	}
	f, err := g.FS.Create(newname, category)
	if err != nil {
		return nil, err
	}
	if err := g.FS.Remove(oldname); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Open implements vfs.FS.
func (g *guard) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := g.FS.Open(name, opts...)
	if err != nil || !g.opening.Load() {
		return f, err
	}
	base := g.PathBase(name)
	number, _, isLog := wal.ParseLogFilename(base)
	if !isLog && !strings.HasPrefix(base, "MANIFEST-") {
		return f, nil
	}
	data, err := io.ReadAll(f)
	if err == nil {
		data, err = g.examine(base, &chunkFile{data: data, number: uint32(number), log: isLog})
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &memFile{File: f, r: bytes.NewReader(data)}, nil
}

// examine returns what the database shall read.
func (g *guard) examine(base string, f *chunkFile) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.examined.files++
	g.examined.bytes += int64(len(f.data))
	if g.cut != nil && f.log {
		g.cut.count(f, 0)
		return nil, g.keep(base, f.data, &LogDamage{})
	}
	found := f.examine()
	if !found.damaged && f.log && !f.ended(found.end) && !g.newest(f.number) {
		found.damaged = true // a log that others follow was closed
	}
	if !found.damaged {
		return f.data, nil
	}
	d := &LogDamage{File: base, Offset: found.end, Flipped: found.flipped, Manifest: !f.log}
	if !found.flipped && f.log {
		d.count(f, found.end+1)
	}
	if !g.accept || d.Manifest && !d.Flipped {
		return nil, d
	}
	if err := g.keep(base, f.data, d); err != nil {
		return nil, err
	}
	g.damage = append(g.damage, d)
	if found.flipped {
		f.data[found.flip] ^= found.mask
		if again := f.examine(); again.damaged {
			return nil, &LogDamage{File: base, Offset: again.end, Manifest: !f.log} // more than one bit
		}
		return f.data, nil
	}
	g.cut = d
	return f.data[:found.end], nil
}

// newest says that no log follows.
func (g *guard) newest(number uint32) bool {
	names, err := g.List(g.dir)
	for _, name := range names {
		if n, _, ok := wal.ParseLogFilename(name); ok && uint32(n) > number {
			return false
		}
	}
	return err == nil
}

// count adds the writes of a log from a position on.
func (d *LogDamage) count(f *chunkFile, from int) {
	for record := range f.records(from) {
		h, ok := batchrepr.ReadHeader(record)
		if !ok || h.Count == 0 {
			continue
		}
		d.Writes++
		for r := batchrepr.Read(record); ; {
			kind, key, _, ok, err := r.Next()
			if !ok || err != nil {
				break
			}
			if p, _, err := store.DecodeKey(key); err == nil && kind != pebble.InternalKeyKindRangeDelete {
				d.add(p)
			}
		}
	}
}

func (d *LogDamage) add(p store.Partition) {
	for i := range d.Lost {
		if l := &d.Lost[i]; l.Table == p.Table && l.Incarnation == p.Incarnation {
			l.Rows++
			return
		}
	}
	d.Lost = append(d.Lost, Loss{Table: p.Table, Incarnation: p.Incarnation, Rows: 1})
}

// damagedDir is where damaged files are kept, within the database's folder.
const damagedDir = "damaged"

// keep copies a file aside before the database removes it.
func (g *guard) keep(base string, data []byte, d *LogDamage) error {
	if !g.keeps {
		return nil
	}
	dir := g.PathJoin(g.dir, damagedDir)
	if err := g.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep a damaged file: %w", err)
	}
	d.Kept = g.PathJoin(dir, fmt.Sprintf("%s.%d", base, time.Now().Unix()))
	f, err := g.Create(d.Kept, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("keep a damaged file: %w", err)
	}
	_, err = f.Write(bytes.Clone(data)) // it may change what it is given
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("keep a damaged file: %w", err)
	}
	return nil
}

// memFile is a file whose bytes are in memory.
type memFile struct {
	vfs.File
	r *bytes.Reader
}

// Read implements vfs.File.
func (f *memFile) Read(p []byte) (int, error) { return f.r.Read(p) }

// ReadAt implements vfs.File.
func (f *memFile) ReadAt(p []byte, off int64) (int, error) { return f.r.ReadAt(p, off) }

// Fd implements vfs.File: nobody may read ahead around it.
func (f *memFile) Fd() uintptr { return vfs.InvalidFd }
