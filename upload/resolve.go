package upload

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/zeebo/xxh3"

	"kith/blob"
	"kith/profile"
	"kith/store"
)

// group is all rows of one unique key.
type group struct {
	key   string // index value
	rows  int64
	first int64           // row number
	body  []byte          // encoded values of the only row
	all   []profile.Value // merged values when there are several
	// matches are the profiles that have the key, two at most.
	matches []profile.ID
	extra   []profile.IndexKey
	// hits counts the index rows seen; last is the newest of them when there may be more.
	hits int
	last []byte
}

// maxHits is how many index rows of a key are verified in sorted order with those of all other keys. A value that very many
// profiles hold, or held, is followed further one by one, until two profiles confirm it.
const maxHits = 64

// resolve is the second stage: it publishes a run for every bucket that has none.
func (w *work) resolve(ctx context.Context, read *readResult, runs map[int]runResult) error {
	todo := make(chan int)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range min(runtime.NumCPU(), 4, read.Buckets) {
		wg.Go(func() {
			for bucket := range todo {
				if err := w.resolveBucket(ctx, read, bucket); err != nil {
					cancel(err)
				}
			}
		})
	}
	for bucket := range read.Buckets {
		if _, ok := runs[bucket]; ok {
			continue
		}
		select {
		case todo <- bucket:
		case <-ctx.Done():
		}
	}
	close(todo)
	wg.Wait()
	return context.Cause(ctx)
}

// openBucket returns the rows of a bucket as a stream.
func (w *work) openBucket(ctx context.Context, read *readResult, bucket int) (io.ReadCloser, error) {
	if len(read.Spills) == 0 {
		return io.NopCloser(bytes.NewReader(w.memory[bucket].Bytes())), nil
	}
	r, err := w.Blobs.Open(ctx, read.Spills[bucket], w.key)
	if err != nil {
		return nil, fmt.Errorf("open a spilled bucket: %w", err)
	}
	return struct {
		io.Reader
		io.Closer
	}{blob.NewStream(r), r}, nil
}

// eachRow reads the rows of a bucket in file order. The row's bytes are valid during the call.
func (w *work) eachRow(ctx context.Context, read *readResult, bucket int, do func(bucketRow) error) error {
	r, err := w.openBucket(ctx, read, bucket)
	if err != nil {
		return err
	}
	defer r.Close()
	buf := bufio.NewReaderSize(r, 256<<10)
	var row bucketRow
	text := func(dst []byte) ([]byte, error) {
		n, err := binary.ReadUvarint(buf)
		if err != nil {
			return dst, err
		}
		if uint64(cap(dst)) < n {
			dst = make([]byte, n, 2*n)
		}
		dst = dst[:n]
		_, err = io.ReadFull(buf, dst)
		return dst, err
	}
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := buf.Peek(1); errors.Is(err, io.EOF) {
			return nil
		}
		var err error
		if row.key, err = text(row.key); err != nil {
			return fmt.Errorf("bucket %d is damaged: %w", bucket, err)
		}
		for _, dst := range [...]*int64{&row.row, &row.line, &row.offset, &row.length} {
			v, err := binary.ReadUvarint(buf)
			if err != nil {
				return fmt.Errorf("bucket %d is damaged: %w", bucket, err)
			}
			*dst = int64(v)
		}
		if row.body, err = text(row.body); err != nil {
			return fmt.Errorf("bucket %d is damaged: %w", bucket, err)
		}
		if err := do(row); err != nil {
			return err
		}
	}
}

func (w *work) resolveBucket(ctx context.Context, read *readResult, bucket int) error {
	groups, err := w.group(ctx, read, bucket)
	if err != nil {
		return err
	}
	if err := w.match(ctx, groups); err != nil {
		return err
	}
	res := runResult{}
	rejects := w.newRejects(fmt.Sprintf("%05d", bucket))
	defer rejects.abort()
	if err := w.rejectAmbiguous(ctx, read, bucket, groups, rejects); err != nil {
		return err
	}
	w.logRejects(rejects)
	res.Failed = rejects.n
	run, err := w.build(groups, bucket, &res.Counters)
	if err != nil {
		return err
	}
	if res.Run, res.IndexFrom, err = w.writeRun(ctx, run, bucket); err != nil {
		return err
	}
	if res.Rejects, err = rejects.commit(); err != nil {
		return err
	}
	value, err := encode(res)
	if err != nil {
		return err
	}
	if len(read.Spills) == 0 {
		w.memory[bucket] = nil // not needed again in this run
	}
	return w.publish(ctx, store.Swap{Key: runKey(bucket), Value: value})
}

// group merges the rows of a bucket by unique key, sorted by key.
func (w *work) group(ctx context.Context, read *readResult, bucket int) ([]*group, error) {
	byKey := map[string]*group{}
	var arena []byte
	err := w.eachRow(ctx, read, bucket, func(row bucketRow) error {
		g := byKey[string(row.key)]
		if g == nil {
			g = &group{key: string(row.key), first: row.row}
			byKey[g.key] = g
			if len(row.body) > cap(arena)-len(arena) {
				arena = make([]byte, 0, max(1<<20, len(row.body)))
			}
			from := len(arena)
			arena = append(arena, row.body...)
			g.body = arena[from:len(arena):len(arena)]
		} else {
			if g.all == nil {
				var err error
				if g.all, err = profile.DecodeValues(g.body, w.stamp(g.first)); err != nil {
					return err
				}
			}
			later, err := profile.DecodeValues(row.body, w.stamp(row.row))
			if err != nil {
				return err
			}
			g.all = profile.MergeRows(g.all, later)
		}
		g.rows++
		return nil
	})
	if err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(byKey), func(a, b *group) int { return strings.Compare(a.key, b.key) }), nil
}

func (w *work) stamp(row int64) profile.Stamp { return profile.Stamp{Time: w.job.Time, Row: row} }

// source returns the source of a group's contribution.
func (w *work) source(g *group) string {
	var h [8]byte
	binary.BigEndian.PutUint64(h[:], xxh3.HashString(g.key))
	return profile.ImportSource(w.job.idBytes(), h)
}

// contribution returns what a group says, in full.
func (w *work) contribution(g *group) (*profile.Contribution, error) {
	c := &profile.Contribution{Kind: profile.Import, Expires: w.job.expires(), Stamp: w.stamp(g.first), Values: g.all}
	if g.all == nil {
		var err error
		if c.Values, err = profile.DecodeValues(g.body, c.Stamp); err != nil {
			return nil, err
		}
	}
	if w.m.private {
		c.Extra = append(c.Extra, profile.IndexKey{Name: w.m.index, Value: g.key})
	}
	return c, nil
}

// match finds the profiles that have the groups' keys: it probes the index in sorted order, and verifies the hits against
// their profiles, in sorted order too.
func (w *work) match(ctx context.Context, groups []*group) error {
	type candidate struct {
		id    profile.ID
		group *group
	}
	var all []candidate
	probes := func(yield func(store.Probe) bool) {
		for _, g := range groups {
			if !yield(store.Probe{Partition: w.m.index + "\x01" + g.key, Range: store.Range{Limit: maxHits}}) {
				return
			}
		}
	}
	for hit, err := range w.Store.Probe(ctx, store.Index, w.task.Incarnation, probes) {
		if err != nil {
			return fmt.Errorf("probe the index: %w", err)
		}
		id, ok := profile.IndexedID(hit.Row.Key)
		if !ok {
			continue
		}
		c := candidate{id, groups[hit.Index]}
		if c.group.hits++; c.group.hits == maxHits {
			c.group.last = bytes.Clone(hit.Row.Key)
		}
		if n := len(all); n == 0 || all[n-1] != c {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return bytes.Compare(a.id[:], b.id[:]) })
	profiles := func(yield func(store.Probe) bool) {
		for _, c := range all {
			if !yield(store.Probe{Partition: string(c.id[:])}) {
				return
			}
		}
	}
	var r profile.Reader
	open := -1
	now := w.job.Time
	settle := func() error {
		if open < 0 {
			return nil
		}
		return w.verify(&r, all[open].id, all[open].group)
	}
	for hit, err := range w.Store.Probe(ctx, store.Profile, w.task.Incarnation, profiles) {
		if err != nil {
			return fmt.Errorf("verify matches: %w", err)
		}
		if hit.Index != open {
			if err := settle(); err != nil {
				return err
			}
			r.Reset()
			open = hit.Index
		}
		if err := r.Add(hit.Row, now); err != nil {
			return err
		}
	}
	if err := settle(); err != nil {
		return err
	}
	for _, g := range groups {
		if g.last != nil && len(g.matches) < 2 {
			if err := w.matchRest(ctx, g); err != nil {
				return err
			}
		}
	}
	return nil
}

// matchRest goes on behind the first maxHits index rows of a key.
func (w *work) matchRest(ctx context.Context, g *group) error {
	part := store.Partition{Table: store.Index, Incarnation: w.task.Incarnation, Key: w.m.index + "\x01" + g.key}
	previous, _ := profile.IndexedID(g.last)
	var r profile.Reader
	for row, err := range w.Store.Scan(ctx, part, store.Range{Start: append(g.last, 0)}) {
		if err != nil {
			return fmt.Errorf("follow a popular key: %w", err)
		}
		id, ok := profile.IndexedID(row.Key)
		if !ok || id == previous {
			continue
		}
		previous = id
		r.Reset()
		for row, err := range w.Store.Scan(ctx, profile.Partition(w.task.Incarnation, id), store.Range{}) {
			if err != nil {
				return fmt.Errorf("verify matches: %w", err)
			}
			if err := r.Add(row, w.job.Time); err != nil {
				return err
			}
		}
		if err := w.verify(&r, id, g); err != nil {
			return err
		}
		if len(g.matches) > 1 {
			return nil
		}
	}
	return nil
}

// verify notes the profile as a match of the group if it confirms the group's key.
func (w *work) verify(r *profile.Reader, id profile.ID, g *group) error {
	if len(g.matches) > 1 {
		return nil
	}
	p := r.Profile(id)
	if p == nil || !p.Has(w.m.index, g.key, w.rec.Keys) {
		return nil
	}
	g.matches = append(g.matches, id)
	if len(g.matches) > 1 {
		return nil
	}
	// Keys of several attributes may come to be from old and new parts together; they need index rows of their own.
	c, err := w.contribution(g)
	if err != nil {
		return err
	}
	if !profile.MayCombine(p.Values, c.Values, w.rec.Keys) {
		return nil
	}
	known := map[profile.IndexKey]bool{}
	note := func(name, value string) { known[profile.IndexKey{Name: name, Value: value}] = true }
	profile.Keys(p.Values, w.rec.Keys, note)
	profile.Keys(c.Values, w.rec.Keys, note)
	profile.Keys(r.With(id, w.source(g), c).Values, w.rec.Keys, func(name, value string) {
		k := profile.IndexKey{Name: name, Value: value}
		if !known[k] {
			known[k] = true
			g.extra = append(g.extra, k)
		}
	})
	return nil
}

// rejectAmbiguous writes the rows of groups that match two or more profiles to the rejects.
func (w *work) rejectAmbiguous(ctx context.Context, read *readResult, bucket int, groups []*group, rejects *rejectWriter) error {
	ambiguous := map[string]bool{}
	for _, g := range groups {
		if len(g.matches) > 1 {
			ambiguous[g.key] = true
		}
	}
	if len(ambiguous) == 0 {
		return nil
	}
	var columns []string
	for _, f := range w.m.unique {
		columns = append(columns, f.source.Paths()...)
	}
	var cellBuf [][]byte
	var scratch []byte
	return w.eachRow(ctx, read, bucket, func(row bucketRow) error {
		if !ambiguous[string(row.key)] {
			return nil
		}
		text := make([]byte, row.length)
		if _, err := w.file.ReadAt(text, row.offset); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read a rejected row again: %w", err)
		}
		cellBuf, scratch = cells(text, read.delim(), cellBuf, scratch)
		return rejects.add(newReject(row.line, row.row, strings.Join(columns, ", "), reasonAmbiguousKey,
			"Two or more profiles have this unique key, so it is not clear which one the row is about. Merge or delete the duplicates, or choose another unique key.", cellBuf))
	})
}

// runRow is a row of a run. Within a section rows ascend by partition and key.
type runRow struct{ part, key, value []byte }

func compareRunRows(a, b *runRow) int {
	if c := bytes.Compare(a.part, b.part); c != 0 {
		return c
	}
	return bytes.Compare(a.key, b.key)
}

// run is the outcome of a bucket before it is stored. Index rows are kept by the name of their key.
type run struct {
	profiles []runRow
	index    map[string][]runRow
	arena    []byte
}

// bytes returns a slice of the arena that holds the parts one after another.
func (r *run) bytes(parts ...string) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > cap(r.arena)-len(r.arena) {
		r.arena = make([]byte, 0, max(256<<10, n))
	}
	from := len(r.arena)
	for _, p := range parts {
		r.arena = append(r.arena, p...)
	}
	return r.arena[from:len(r.arena):len(r.arena)]
}

// build decides what becomes of every group and collects the rows to write.
func (w *work) build(groups []*group, bucket int, c *Counters) (*run, error) {
	out := &run{index: map[string][]runRow{}}
	var minted uint32
	for _, g := range groups {
		if len(g.matches) > 1 {
			continue
		}
		id := profile.ImportID(w.job.Time, bucket, minted)
		if len(g.matches) == 1 {
			id = g.matches[0]
			c.Updated += g.rows
		} else {
			minted++
			c.Created++
			c.Updated += g.rows - 1
		}
		con, err := w.contribution(g)
		if err != nil {
			return nil, err
		}
		con.Extra = append(con.Extra, g.extra...)
		source := w.source(g)
		rowKey := profile.IndexRowKey(make([]byte, 0, len(id)+len(source)), id, source)
		for _, k := range con.IndexKeys(w.rec.Keys) {
			out.index[k.Name] = append(out.index[k.Name], runRow{part: out.bytes(profile.IndexPartition(k.Name, k.Value)), key: rowKey})
		}
		value := con.AppendHeader(make([]byte, 0, 64+len(g.body)))
		if g.all == nil {
			value = append(value, g.body...)
		} else {
			value = con.Append(value[:0])
		}
		out.profiles = append(out.profiles, runRow{part: rowKey[:len(id)], key: profile.ContributionKey(source), value: value})
	}
	return out, nil
}

// inOrder calls do for rows in ascending order. All partitions share their first skip bytes. It sorts by the eight bytes
// behind them, and by the rows themselves where these agree.
func inOrder(rows []runRow, skip int, do func(*runRow) error) error {
	type head struct {
		prefix uint64
		row    int32
	}
	heads := make([]head, len(rows))
	for i := range rows {
		var b [8]byte
		copy(b[:], rows[i].part[skip:])
		heads[i] = head{binary.BigEndian.Uint64(b[:]), int32(i)}
	}
	slices.SortFunc(heads, func(a, b head) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		return compareRunRows(&rows[a.row], &rows[b.row])
	})
	for _, h := range heads {
		if err := do(&rows[h.row]); err != nil {
			return err
		}
	}
	return nil
}

// runBlock is the size of a compressed block of a run: what a reader of a run holds in memory.
const runBlock = 32 << 10

// writeRun stores a run: the rows of profiles, then those of the index, each row as three lengths-and-bytes, each section as
// an S2 stream of its own. It returns where the index section begins.
func (w *work) writeRun(ctx context.Context, r *run, bucket int) (name string, indexFrom int64, err error) {
	if len(r.profiles) == 0 {
		return "", 0, nil
	}
	name = fmt.Sprintf("%srun-%s-%05d", blobDir(w.task.Incarnation, w.job.ID), w.attempt, bucket)
	b, err := w.Blobs.Create(ctx, name, w.key)
	if err != nil {
		return "", 0, err
	}
	defer b.Abort()
	buf := bufio.NewWriterSize(b, 256<<10)
	out := &counter{w: buf}
	packed := s2.NewWriter(out, s2.WriterConcurrency(1), s2.WriterBlockSize(runBlock))
	var frame []byte
	put := func(row *runRow) error {
		frame = append(binary.AppendUvarint(frame[:0], uint64(len(row.part))), row.part...)
		frame = append(binary.AppendUvarint(frame, uint64(len(row.key))), row.key...)
		frame = append(binary.AppendUvarint(frame, uint64(len(row.value))), row.value...)
		_, err := packed.Write(frame)
		return err
	}
	if err := inOrder(r.profiles, 0, put); err != nil {
		return "", 0, err
	}
	if err := packed.Close(); err != nil {
		return "", 0, err
	}
	indexFrom = out.n
	packed.Reset(out)
	for _, key := range slices.Sorted(maps.Keys(r.index)) {
		if err := inOrder(r.index[key], len(key)+1, put); err != nil {
			return "", 0, err
		}
	}
	if err := errors.Join(packed.Close(), buf.Flush()); err != nil {
		return "", 0, err
	}
	_, err = b.Commit()
	return name, indexFrom, err
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
