package upload

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"kith/blob"
	"kith/job"
	"kith/profile"
	"kith/store"
)

// maxHits is how many index rows of a key are verified in sorted order with those of all other keys. A value that very many
// profiles hold, or held, is followed further one by one, until two profiles confirm it.
const maxHits = 64

// errSpillLost says that a spilled bucket can't be read: spills are scratch, and a power failure may take them.
var errSpillLost = errors.New("a spilled bucket is lost")

// resolve is the second stage: it publishes a run for every bucket that has none.
func (w *work) resolve(ctx context.Context, read *readResult, runs map[int]runResult) error {
	var err error
	if w.indexed, err = w.anyIndexed(ctx); err != nil {
		return err
	}
	var missing []int
	for bucket := range read.Buckets {
		if _, ok := runs[bucket]; !ok {
			missing = append(missing, bucket)
		}
	}
	return w.share(ctx, stage{
		name: "resolve", row: runKey, only: []store.Swap{w.unchanged()}, workers: min(runtime.NumCPU(), 4),
		worker: func() func(context.Context, int) (publisher, error) {
			b := &bucketWork{work: w}
			return func(ctx context.Context, bucket int) (publisher, error) {
				out, err := b.resolve(ctx, bucket)
				if err != nil {
					return nil, err
				}
				return func(ctx context.Context, part *job.Part) error {
					err := out.publish(ctx, part)
					if err == nil {
						w.dropSpill(ctx, bucket)
					}
					return err
				}, nil
			}
		},
	}, missing)
}

// dropSpill deletes a spilled bucket that has been resolved: what is written next finds its memory warm. Other nodes may still read it.
func (w *work) dropSpill(ctx context.Context, bucket int) {
	if w.task.Shared() || w.buckets.spills == nil {
		return
	}
	_ = w.Blobs.Delete(ctx, w.buckets.spills[bucket]) // the end of the job tries again
}

// anyIndexed says whether the domain has any index row yet; without one nothing needs to be looked up.
func (w *work) anyIndexed(ctx context.Context) (bool, error) {
	for _, err := range w.Store.Sweep(ctx, store.SweepRange{Table: store.Index, Incarnation: w.task.Incarnation}) {
		return err == nil, err
	}
	return false, nil
}

// openFrames returns what is in a bucket as a stream.
func (w *work) openFrames(ctx context.Context, all *buckets, bucket int) (io.Reader, func() error, error) {
	if all.memory != nil {
		return bytes.NewReader(all.memory[bucket]), func() error { return nil }, nil
	}
	r, err := w.Blobs.Open(ctx, all.spills[bucket], w.key)
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrSealed) {
		return nil, nil, fmt.Errorf("%w: %w", errSpillLost, err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open a spilled bucket: %w", err)
	}
	return r.Stream(0), r.Close, nil
}

// group is all rows of one unique key: the frame at a place of the bucket's buffer, and what was found for it.
type group struct {
	at      uint32
	counter uint32 // of a profile to be created, from 1; 0: the match is updated
	rows    int64
	first   int64      // row
	match   profile.ID // the first profile that has the key
	matches uint8      // how many have it, two at most
	hits    uint8      // index rows seen, up to maxHits
	covered bool       // index rows of the match stand for those of the group
}

// bucketWork resolves one bucket after the other, using its memory again.
type bucketWork struct {
	*work
	bucket int
	step   int // 0: loadStep
	buf    []byte
	refs   []ref
	groups []group
	// extra are keys that groups get besides those of their own values, by group.
	extra map[uint32][]profile.IndexKey
	// last is the newest index row seen of groups that have more of them.
	last map[uint32][]byte
	// deep counts profiles with many contributions.
	deep int64

	sorter  sorter
	keys    keyList
	values  []profile.Value
	rows    [][]byte // of a profile that is glanced at
	columns []column // by family
	spare   []byte
	out     []byte
}

func (b *bucketWork) frame(g *group) *frame {
	f, _, err := parseFrame(b.buf[g.at:])
	if err != nil {
		panic(err) // load has parsed it
	}
	return &f
}

func (b *bucketWork) resolve(ctx context.Context, bucket int) (*outcome, error) {
	b.bucket = bucket
	b.extra, b.last, b.deep = nil, nil, 0
	if err := b.load(ctx); err != nil {
		return nil, err
	}
	if b.dry != nil && b.dry.joined != nil {
		if err := b.matchJoined(ctx); err != nil {
			return nil, err
		}
	} else if b.indexed {
		if err := b.match(ctx); err != nil {
			return nil, err
		}
	}
	if b.dry != nil {
		return b.try(ctx)
	}
	return b.build(ctx)
}

// loadStep is how many bytes of a bucket are read before rows of equal keys are merged; twice what is left is the next step, if that
// is more, so that memory is bounded by the distinct keys of a bucket.
const loadStep = 32 << 20

// loadRefs is how many rows are read before that. Sorting takes 32 bytes for each, which is more than a short row has itself.
const loadRefs = 512 << 10

// load reads the bucket and merges the rows of equal keys; b.groups is sorted by key.
func (b *bucketWork) load(ctx context.Context) error {
	r, done, err := b.openFrames(ctx, b.buckets, b.bucket)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	return b.loadFrom(ctx, r)
}

// loadFrom is load for frames that are read from r.
func (b *bucketWork) loadFrom(ctx context.Context, r io.Reader) error {
	b.buf, b.groups = b.buf[:0], b.groups[:0]
	step := b.step
	if step == 0 {
		step = loadStep
	}
	from, most := 0, loadRefs // from: of the bytes that are not parsed yet
	b.refs = b.refs[:0]
	for end := false; !end; {
		if cap(b.buf)-len(b.buf) < 1<<20 {
			b.buf = slices.Grow(b.buf, max(1<<20, min(len(b.buf), 8<<20)))
		}
		n, err := io.ReadFull(r, b.buf[len(b.buf):len(b.buf)+1<<20])
		b.buf = b.buf[:len(b.buf)+n]
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			end = true
		} else if errors.Is(err, blob.ErrSealed) {
			return fmt.Errorf("%w: %w", errSpillLost, err)
		} else if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for from < len(b.buf) {
			size, k := binary.Uvarint(b.buf[from:])
			if k == 0 || size > uint64(len(b.buf)-from-k) {
				break // the rest comes
			}
			f, n, err := parseFrame(b.buf[from:])
			if err != nil {
				return err
			}
			b.refs = append(b.refs, ref{prefixOf(f.key), uint32(from)})
			from += n
		}
		if end && from < len(b.buf) {
			return errFrame
		}
		if (len(b.buf) > step || len(b.refs) > most) && !end {
			rest := bytes.Clone(b.buf[from:])
			if err := b.merge(); err != nil {
				return err
			}
			from = len(b.buf)
			b.buf = append(b.buf, rest...)
			step, most = max(step, 2*len(b.buf)), max(most, 2*len(b.refs))
		}
	}
	return b.merge()
}

// merge sorts the frames of b.refs by key and makes groups of them, with one frame each; b.refs are these frames then. The
// frames stand in the order of the groups, so that all that follows reads memory from front to back.
func (b *bucketWork) merge() error {
	buf := func(at uint32) []byte { return frameKey(b.buf[at:]) }
	b.sorter.key = buf
	b.sorter.compare = func(x, y uint32) int { return cmp.Or(bytes.Compare(buf(x), buf(y)), cmp.Compare(x, y)) }
	b.sorter.sort(b.refs)
	b.groups = b.groups[:0]
	out := slices.Grow(b.spare[:0], len(b.buf))
	kept := 0
	for i := 0; i < len(b.refs); {
		j := i + 1
		for j < len(b.refs) && b.refs[j].prefix == b.refs[i].prefix && bytes.Equal(buf(b.refs[j].at), buf(b.refs[i].at)) {
			j++
		}
		g := group{at: uint32(len(out))}
		if j-i > 1 {
			var err error
			if out, err = b.mergeFrames(out, b.refs[i:j]); err != nil {
				return err
			}
		} else {
			frame := b.buf[b.refs[i].at:]
			size, k := binary.Uvarint(frame)
			out = append(out, frame[:k+int(size)]...)
		}
		g.rows, g.first = frameRow(out[g.at:])
		b.groups = append(b.groups, g)
		b.refs[kept] = ref{prefixOf(frameKey(out[g.at:])), g.at}
		kept++
		i = j
	}
	b.refs = b.refs[:kept]
	b.spare, b.buf = b.buf, out
	return nil
}

// mergeFrames appends one frame that says what several of the same key say, the later rows replacing the earlier ones'.
func (b *bucketWork) mergeFrames(dst []byte, same []ref) ([]byte, error) {
	var out frame
	var values []profile.Value
	last, known := int64(0), 0
	f, _, err := parseFrame(b.buf[same[0].at:])
	if err != nil {
		return dst, err
	}
	out.first, out.key = f.first, f.key
	for i := range same {
		f.eachRow(func(row int64) {
			if known > 0 && known < maxFrameRows {
				out.more = binary.AppendUvarint(out.more, uint64(row-last))
			}
			known++
			last = row
		})
		out.rows += f.rows
		var following frame
		if i+1 < len(same) {
			if following, _, err = parseFrame(b.buf[same[i+1].at:]); err != nil {
				return dst, err
			}
		}
		// A row that the next one repeats is replaced by it as a whole.
		if f.rows > 1 || following.rows != 1 || !bytes.Equal(f.body, following.body) {
			next, err := profile.DecodeValues(f.body, b.stamp(f.first))
			if err != nil {
				return dst, err
			}
			values = profile.MergeRows(values, next)
		}
		f = following
	}
	base := b.stamp(out.first)
	for _, v := range values {
		out.body = profile.AppendValue(out.body, v, base)
	}
	b.keysOf(out.key, values, &b.keys)
	out.keys = b.keys.appendTo(nil)
	return appendFrame(dst, &out), nil
}

func (w *work) stamp(row int64) profile.Stamp { return profile.Stamp{Time: w.job.Time, Row: row} }

// contribution returns what a group says, in full.
func (b *bucketWork) contribution(f *frame) (*profile.Contribution, error) {
	c := &profile.Contribution{Kind: profile.Import, Expires: b.job.expires(), Stamp: b.stamp(f.first)}
	var err error
	if b.values, err = profile.AppendValues(b.values[:0], f.body, c.Stamp); err != nil {
		return nil, err
	}
	c.Values = b.values
	if b.m.private {
		c.Extra = append(c.Extra, profile.IndexKey{Name: b.m.index, Value: string(f.key)})
	}
	return c, nil
}

// candidate is a profile that the index names for a group.
type candidate struct {
	hi, lo uint64 // of the profile's id
	group  uint32
}

func (c candidate) id() (id profile.ID) {
	binary.BigEndian.PutUint64(id[:8], c.hi)
	binary.BigEndian.PutUint64(id[8:], c.lo)
	return id
}

// match finds the profiles that have the groups' keys: it probes the index in sorted order, and verifies the hits against
// their profiles, in sorted order too.
func (b *bucketWork) match(ctx context.Context) error {
	var all []candidate
	part := []byte(b.m.index + "\x01")
	name := len(part)
	probes := func(yield func(store.Probe) bool) {
		for i := range b.groups {
			part = append(part[:name], frameKey(b.buf[b.groups[i].at:])...)
			if !yield(store.Probe{Partition: string(part), Range: store.Range{Limit: maxHits}}) {
				return
			}
		}
	}
	for hit, err := range b.Store.Probe(ctx, store.Index, b.task.Incarnation, probes) {
		if err != nil {
			return fmt.Errorf("probe the index: %w", err)
		}
		id, ok := profile.IndexedID(hit.Row.Key)
		if !ok {
			continue
		}
		g := &b.groups[hit.Index]
		if g.hits++; g.hits == maxHits {
			if b.last == nil {
				b.last = map[uint32][]byte{}
			}
			b.last[uint32(hit.Index)] = bytes.Clone(hit.Row.Key)
		}
		c := candidate{binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:]), uint32(hit.Index)}
		if n := len(all); n == 0 || all[n-1] != c {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo), cmp.Compare(a.group, b.group))
	})
	profiles := func(yield func(store.Probe) bool) {
		for _, c := range all {
			id := c.id()
			if !yield(store.Probe{Partition: string(id[:])}) {
				return
			}
		}
	}
	r := profile.NewReader(ctx, b.Store, b.task.Incarnation)
	var held []store.Row // of the open profile, as long as they may be few
	open, rows := -1, 0
	settle := func() error {
		if open < 0 {
			return nil
		}
		c := all[open]
		if rows < profile.DeepAt {
			done, err := b.glance(held[:rows], c)
			if done || err != nil {
				return err
			}
			for _, row := range held[:rows] {
				if err := r.Add(row, b.job.Time); err != nil {
					return err
				}
			}
		}
		return b.verify(r, c.id(), c.group)
	}
	for hit, err := range b.Store.Probe(ctx, store.Profile, b.task.Incarnation, profiles) {
		if err != nil {
			return fmt.Errorf("verify matches: %w", err)
		}
		if hit.Index != open {
			if err := settle(); err != nil {
				return err
			}
			r.Reset()
			open, rows = hit.Index, 0
		}
		if rows++; rows < profile.DeepAt {
			if rows > len(held) {
				held = append(held, store.Row{})
			}
			h := &held[rows-1]
			h.Key, h.Value = append(h.Key[:0], hit.Row.Key...), append(h.Value[:0], hit.Row.Value...)
			continue
		}
		if rows == profile.DeepAt {
			for _, row := range held {
				if err := r.Add(row, b.job.Time); err != nil {
					return err
				}
			}
		}
		if err := r.Add(hit.Row, b.job.Time); err != nil {
			return err
		}
	}
	if err := settle(); err != nil {
		return err
	}
	for i := range b.last {
		if b.groups[i].matches < 2 {
			if err := b.matchRest(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// glance settles a candidate by its rows as they are, if that is enough.
func (b *bucketWork) glance(rows []store.Row, c candidate) (done bool, err error) {
	if b.dry != nil || b.combine.own {
		return false, nil
	}
	g := &b.groups[c.group]
	if g.matches > 1 {
		return true, nil
	}
	b.rows = b.rows[:0]
	for _, row := range rows {
		if !profile.IsOwn(row.Key) {
			return false, nil
		}
		b.rows = append(b.rows, row.Value)
	}
	f := b.frame(g)
	has, combine, known := profile.Glance(b.rows, b.job.Time, b.m.index, f.key, f.body)
	if !known || combine {
		return false, nil
	}
	if has {
		if g.matches++; g.matches == 1 {
			g.match = c.id()
			g.covered = slices.ContainsFunc(b.rows, func(row []byte) bool { return b.keyed.Covers(row, f.body) })
		}
	}
	return true, nil
}

// matchRest goes on behind the first maxHits index rows of a key.
func (b *bucketWork) matchRest(ctx context.Context, i uint32) error {
	g := &b.groups[i]
	part := store.Partition{Table: store.Index, Incarnation: b.task.Incarnation, Key: b.m.index + "\x01" + string(frameKey(b.buf[g.at:]))}
	previous, _ := profile.IndexedID(b.last[i])
	r := profile.NewReader(ctx, b.Store, b.task.Incarnation)
	for row, err := range b.Store.Scan(ctx, part, store.Range{Start: append(b.last[i], 0)}) {
		if err != nil {
			return fmt.Errorf("follow a popular key: %w", err)
		}
		id, ok := profile.IndexedID(row.Key)
		if !ok || id == previous {
			continue
		}
		previous = id
		r.Reset()
		for row, err := range b.Store.Scan(ctx, profile.Partition(b.task.Incarnation, id), store.Range{}) {
			if err != nil {
				return fmt.Errorf("verify matches: %w", err)
			}
			if err := r.Add(row, b.job.Time); err != nil {
				return err
			}
		}
		if err := b.verify(r, id, i); err != nil {
			return err
		}
		if g.matches > 1 {
			return nil
		}
	}
	return nil
}

// verify notes the profile as a match of the group if it confirms the group's key.
func (b *bucketWork) verify(r *profile.Reader, id profile.ID, i uint32) error {
	g := &b.groups[i]
	if g.matches > 1 {
		return nil
	}
	p := r.Profile(id)
	if p == nil {
		return nil
	}
	f := b.frame(g)
	if !p.Has(b.m.index, string(f.key), b.rec.Keys) {
		return nil
	}
	if g.matches++; g.matches > 1 {
		return nil
	}
	g.match = id
	if r.Depth() >= profile.DeepAt {
		b.deep++
	}
	if b.dry != nil || !b.combine.own && !(b.combine.names && profile.MayCombineNames(p.Values, f.body)) {
		return nil
	}
	c, err := b.contribution(f)
	if err != nil {
		return err
	}
	// Keys of several attributes may come to be from old and new parts together; they need index rows of their own.
	if !profile.MayCombine(p.Values, c.Values, b.rec.Keys) {
		return nil
	}
	if keys := r.Mixed(c, b.rec.Keys); keys != nil {
		if b.extra == nil {
			b.extra = map[uint32][]profile.IndexKey{}
		}
		b.extra[i] = keys
	}
	return nil
}
