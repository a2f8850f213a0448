package match

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"

	"kith/fault"
	"kith/internal/extsort"
	"kith/match/link"
	"kith/profile"
	"kith/profile/fold"
	"kith/store"
)

// Groups are kept by rank: the one with the highest score is 0, equal scores are in the order of their match ids.

const (
	// chunkGroups is how many groups a partition has, and how many are merged between two publications.
	chunkGroups = 1024
	// lookupBucket is about how many look-ups a partition has.
	lookupBucket = 16 << 10
	// lookupBatch is for how many groups look-ups are sorted and written at a time.
	lookupBatch = 64 << 10
	maxBuckets  = 256
)

const (
	findPrefix = "find/"
	didPrefix  = "did/"
)

type matchID [16]byte

func (m matchID) String() string { return hex.EncodeToString(m[:]) }

func parseMatchID(text string) (m matchID, ok bool) {
	id, ok := fold.ParseID(text)
	return matchID(id), ok
}

// matchIDOf returns the id of a group of a job. Members are in the order of their ids.
func matchIDOf(jobID []byte, members []fold.ID) (m matchID) {
	h := sha256.New()
	_, _ = h.Write(jobID)
	for _, id := range members {
		_, _ = h.Write(id[:])
	}
	copy(m[:], h.Sum(nil))
	return m
}

// group is a group as it is stored.
type group struct {
	rank    int64
	id      matchID
	score   float64
	members []fold.ID
	weakest [2]fold.ID
}

// maxGroup is how many profiles a group has at most: more can't become one person.
const maxGroup = profile.MaxMembers

// found collects the groups of a run, outside of the heap: 44 bytes each, and 16 for each profile in one.
type found struct {
	job  []byte              // its id, 16 bytes
	buf  extsort.Table[byte] // encoded groups
	refs extsort.Table[groupRef]
	one  []byte // the group that is added
	size int64  // members of all
	// cut is how many groups were larger than maxGroup, and largest how many profiles the largest had.
	cut, largest int
}

type groupRef struct {
	score float64
	id    matchID
	at    int
}

// Encoding of a group, version 1: version | score (8) | number of members, uvarint | {profile (16)} | the weakest two, by their places, uvarints
const groupV1 = 1

func appendGroup(dst []byte, g *link.Group, score float64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, groupV1), math.Float64bits(score))
	dst = binary.AppendUvarint(dst, uint64(len(g.Members)))
	for _, id := range g.Members {
		dst = append(dst, id[:]...)
	}
	for _, id := range g.Weakest {
		dst = binary.AppendUvarint(dst, uint64(max(0, slices.Index(g.Members, id))))
	}
	return dst
}

// decodeGroup reads a group; n is how long it is.
func decodeGroup(b []byte) (g group, n int, err error) {
	corrupt := errors.New("a group of profiles is corrupt")
	all := len(b)
	if len(b) < 9 || b[0] != groupV1 {
		return g, 0, corrupt
	}
	g.score = math.Float64frombits(binary.BigEndian.Uint64(b[1:]))
	b = b[9:]
	count, k := binary.Uvarint(b)
	if k <= 0 || count > uint64(len(b)-k)/16 || count < 2 {
		return g, 0, corrupt
	}
	b = b[k:]
	g.members = make([]fold.ID, count)
	for i := range g.members {
		copy(g.members[i][:], b)
		b = b[16:]
	}
	for i := range g.weakest {
		at, k := binary.Uvarint(b)
		if k <= 0 || at >= count {
			return g, 0, corrupt
		}
		g.weakest[i], b = g.members[at], b[k:]
	}
	return g, all - len(b), nil
}

// add takes over a group of the matcher. Scores are kept to four decimals. One that is too large is cut, in the order of ids.
func (f *found) add(g *link.Group) {
	slices.SortFunc(g.Members, fold.ID.Compare)
	if n := len(g.Members); n > maxGroup {
		f.cut, f.largest = f.cut+1, max(f.largest, n)
	}
	score := math.Round(g.Score*1e4) / 1e4
	for rest := g.Members; len(rest) >= 2; {
		part := *g
		n := min(maxGroup, len(rest))
		if len(rest) == n+1 { // nobody is left alone
			n--
		}
		part.Members, rest = rest[:n], rest[n:]
		if !slices.Contains(part.Members, g.Weakest[0]) || !slices.Contains(part.Members, g.Weakest[1]) {
			part.Weakest = [2]fold.ID(part.Members[:2])
		}
		f.refs.Append(groupRef{score, matchIDOf(f.job, part.Members), len(f.buf.All)})
		f.one = appendGroup(f.one[:0], &part, score)
		f.buf.Append(f.one...)
		f.size += int64(n)
	}
}

func (f *found) close() {
	f.buf.Close()
	f.refs.Close()
}

// bounded says what was cut; empty: nothing.
func (f *found) bounded() string {
	if f.cut == 0 {
		return ""
	}
	if f.cut == 1 {
		return fmt.Sprintf("One match of %d profiles was cut into matches of %d: no person has more.", f.largest, maxGroup)
	}
	return fmt.Sprintf("%d matches of more than %d profiles, the largest of %d, were cut into matches of %d: no person has more.", f.cut, maxGroup, f.largest, maxGroup)
}

// rank puts the groups in their order.
func (f *found) rank() {
	slices.SortFunc(f.refs.All, func(a, b groupRef) int {
		return cmp.Or(cmp.Compare(b.score, a.score), bytes.Compare(a.id[:], b.id[:]))
	})
}

func (f *found) written(fence uint64) written {
	return written{Fence: fence, Groups: int64(len(f.refs.All)), Buckets: int(min(maxBuckets, 1+(f.size+int64(len(f.refs.All)))/lookupBucket))}
}

// at returns the encoded group of a rank, and its members.
func (f *found) at(rank int) ([]byte, group, error) {
	b := f.buf.All[f.refs.All[rank].at:]
	g, n, err := decodeGroup(b)
	return b[:n], g, err
}

// place begins the partitions of a job's groups.
func (w *written) place(jobID []byte) string {
	return string(binary.BigEndian.AppendUint64(append([]byte(findPrefix), jobID...), w.Fence))
}

func (w *written) chunk(jobID []byte, n int) string {
	return string(binary.BigEndian.AppendUint32([]byte(w.place(jobID)+"g"), uint32(n)))
}

func (w *written) lookup(jobID []byte, id [16]byte) string {
	return w.place(jobID) + "p" + string([]byte{byte(int(id[15]) % w.Buckets)})
}

func rankKey(rank int64) []byte { return binary.BigEndian.AppendUint32(nil, uint32(rank)) }

// write writes all groups of a run, and what finds them, side by side.
func (f *found) write(ctx context.Context, st store.Store, inc store.Incarnation, w *written, at int64) error {
	ended := make(chan error)
	go func() { ended <- f.writeGroups(ctx, st, inc, w, at) }()
	return errors.Join(f.writeLookups(ctx, st, inc, w, at), <-ended)
}

func (f *found) writeGroups(ctx context.Context, st store.Store, inc store.Incarnation, w *written, at int64) error {
	var failed error
	rows := func(yield func(store.RunRow, error) bool) {
		for rank := range f.refs.All {
			b, _, err := f.at(rank)
			if err != nil {
				failed = err
				yield(store.RunRow{}, err)
				return
			}
			m := store.Mutation{Key: rankKey(int64(rank)), Value: bytes.Clone(b), Time: at} // a store may keep it, and b is no longer there when f is closed
			if !yield(store.RunRow{Incarnation: inc, Partition: []byte(w.chunk(f.job, rank/chunkGroups)), Mutation: m}, nil) {
				return
			}
		}
	}
	return errors.Join(st.WriteRun(ctx, store.Run{Table: store.Match, Rows: rows}), failed)
}

func (f *found) writeLookups(ctx context.Context, st store.Store, inc store.Incarnation, w *written, at int64) error {
	for from := 0; from < len(f.refs.All); from += lookupBatch {
		var all []store.RunRow
		add := func(kind byte, id [16]byte, rank int) {
			m := store.Mutation{Key: append([]byte{kind}, id[:]...), Value: rankKey(int64(rank)), Time: at}
			all = append(all, store.RunRow{Incarnation: inc, Partition: []byte(w.lookup(f.job, id)), Mutation: m})
		}
		for rank := from; rank < min(from+lookupBatch, len(f.refs.All)); rank++ {
			_, g, err := f.at(rank)
			if err != nil {
				return err
			}
			add('m', f.refs.All[rank].id, rank)
			for _, id := range g.members {
				add('p', id, rank)
			}
		}
		if err := st.WriteRun(ctx, store.Run{Table: store.Match, Rows: store.SortRows(all)}); err != nil {
			return err
		}
	}
	return nil
}

// groupsFrom returns the groups of a job from a rank on, at most so many.
func (s *Service) groupsFrom(ctx context.Context, inc store.Incarnation, r *record, from int64, limit int) (all []group, err error) {
	jobID, _ := hex.DecodeString(r.id)
	for from < r.Found.Groups && len(all) < limit {
		chunk := int(from / chunkGroups)
		p := store.Partition{Table: store.Match, Incarnation: inc, Key: r.Found.chunk(jobID, chunk)}
		for row, err := range s.Store.Scan(ctx, p, store.Range{Start: rankKey(from), Limit: limit - len(all)}) {
			if err != nil {
				return nil, fmt.Errorf("read groups of profiles: %w", err)
			}
			g, err := readGroup(jobID, row)
			if err != nil {
				return nil, err
			}
			all = append(all, g)
		}
		from = int64(chunk+1) * chunkGroups
	}
	return all, nil
}

func readGroup(jobID []byte, row store.Row) (group, error) {
	g, _, err := decodeGroup(row.Value)
	if err == nil && len(row.Key) != 4 {
		err = fmt.Errorf("the key of a group has %d bytes", len(row.Key))
	}
	if err != nil {
		return g, err
	}
	g.rank, g.id = int64(binary.BigEndian.Uint32(row.Key)), matchIDOf(jobID, g.members)
	return g, nil
}

// groupAt returns the group of a rank; fault.NotFound when a later job's have taken its place.
func (s *Service) groupAt(ctx context.Context, inc store.Incarnation, r *record, rank int64) (*group, error) {
	jobID, _ := hex.DecodeString(r.id)
	p := store.Partition{Table: store.Match, Incarnation: inc, Key: r.Found.chunk(jobID, int(rank/chunkGroups))}
	row, err := s.Store.Get(ctx, p, rankKey(rank))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a group of profiles: %w", err)
	}
	g, err := readGroup(jobID, row)
	return &g, err
}

// groupOf returns the group that a profile ('p') or a match id ('m') leads to, or nil.
func (s *Service) groupOf(ctx context.Context, inc store.Incarnation, r *record, kind byte, id [16]byte) (*group, error) {
	jobID, _ := hex.DecodeString(r.id)
	p := store.Partition{Table: store.Match, Incarnation: inc, Key: r.Found.lookup(jobID, id)}
	row, err := s.Store.Get(ctx, p, append([]byte{kind}, id[:]...))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up a group of profiles: %w", err)
	}
	if len(row.Value) != 4 {
		return nil, fmt.Errorf("a look-up of %d bytes", len(row.Value))
	}
	return s.groupAt(ctx, inc, r, int64(binary.BigEndian.Uint32(row.Value)))
}

// live returns those members of groups that are profiles by themselves still.
func (s *Service) live(ctx context.Context, inc store.Incarnation, groups []group) (map[fold.ID]bool, error) {
	var ids []fold.ID
	for _, g := range groups {
		ids = append(ids, g.members...)
	}
	people, err := s.Profiles.People(ctx, inc, ids)
	if err != nil {
		return nil, err
	}
	all := map[fold.ID]bool{}
	for id, p := range people {
		all[id] = p.ID == id
	}
	return all, nil
}

// replaced is what a page token or an id is told whose job's groups are gone.
func replaced() error {
	return fault.BadRequestf("A later identity resolution job has found other matches meanwhile. Begin again, without NextToken.")
}

// drop removes the rows of groups of all attempts of a job, but for keep.
func (s *Service) drop(ctx context.Context, inc store.Incarnation, r *record, keep *written) error {
	jobID, _ := hex.DecodeString(r.id)
	for _, w := range r.Attempts {
		if keep != nil && keep.Fence == w.Fence {
			continue
		}
		from := w.place(jobID)
		keys := func(yield func(string) bool) {
			for n := range w.chunks() {
				if !yield(w.chunk(jobID, n)) {
					return
				}
			}
			for n := range w.Buckets {
				if !yield(from + "p" + string([]byte{byte(n)})) {
					return
				}
			}
		}
		if err := s.Store.DropPartitions(ctx, store.Match, inc, from, string(store.After([]byte(from))), keys); err != nil {
			return fmt.Errorf("remove groups of profiles: %w", err)
		}
	}
	return nil
}
