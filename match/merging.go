package match

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/fault"
	"kith/match/merge"
	"kith/profile"
	"kith/profile/fold"
	"kith/store"
)

// mergeWorkers is how many groups are merged at a time: each waits for the disk, or for a cluster, most of its time.
const mergeWorkers = 16

// merging is a merge as it is written down before it is made.
type merging struct {
	ID        fold.MergeID
	Main      fold.ID
	From      []fold.ID
	Criterion int
	Score     float64
	Match     string
	// Plan is all that is to be merged of the group, with the first merge of it that was written down.
	Plan []merge.Step `json:",omitzero"`

	rank int64
	step int
}

func didPartition(inc store.Incarnation, jobID []byte, chunk int) store.Partition {
	return store.Partition{Table: store.Match, Incarnation: inc, Key: string(binary.BigEndian.AppendUint32(append([]byte(didPrefix), jobID...), uint32(chunk)))}
}

// mergings returns what was written down of a chunk, in the order of ranks, steps and takings.
func (s *Service) mergings(ctx context.Context, inc store.Incarnation, jobID []byte, chunk int, r store.Range) (all []merging, keys [][]byte, err error) {
	for row, err := range s.Store.Scan(ctx, didPartition(inc, jobID, chunk), r) {
		if err != nil {
			return nil, nil, fmt.Errorf("read merges of a job: %w", err)
		}
		m := merging{}
		if len(row.Key) != 14 {
			return nil, nil, fmt.Errorf("the key of a merge of a job has %d bytes", len(row.Key))
		}
		if err := json.Unmarshal(row.Value, &m); err != nil {
			return nil, nil, fmt.Errorf("a merge of a job: %w", err)
		}
		m.rank, m.step = int64(binary.BigEndian.Uint32(row.Key)), int(binary.BigEndian.Uint16(row.Key[4:]))
		all, keys = append(all, m), append(keys, slices.Clone(row.Key))
	}
	return all, keys, nil
}

// merge merges what the criteria say, a chunk after the other.
func (j *run) merge(ctx context.Context) error {
	if j.r.Status != api.IdentityResolutionJobStatusMerging {
		if err := j.set(ctx, func(r *record) { r.Status = api.IdentityResolutionJobStatusMerging }); err != nil {
			return err
		}
	}
	criteria, err := merge.Criteria(j.r.AutoMerging.Consolidation.MatchingAttributesList)
	if err != nil {
		return err
	}
	for chunk := j.r.Chunks; chunk < j.r.Found.chunks(); chunk++ {
		if on, err := j.on(ctx); err != nil {
			return err
		} else if !on {
			return j.stopped(ctx, disabled)
		}
		c, err := j.mergeChunk(ctx, criteria, chunk)
		if err != nil {
			return err
		}
		if err := j.set(ctx, func(r *record) { c.count(r, chunk) }); err != nil {
			return err
		}
	}
	return j.set(ctx, func(r *record) { r.AllDone = true })
}

// counted is what became of the groups of a chunk.
type counted struct {
	mu                                      sync.Mutex
	examined, merges, merged, refused, left int64
	reasons                                 map[string]int64
}

func (c *counted) count(r *record, chunk int) {
	r.Chunks = chunk + 1
	r.Examined, r.Merges, r.Merged, r.Refused, r.Left = r.Examined+c.examined, r.Merges+c.merges, r.Merged+c.merged, r.Refused+c.refused, r.Left+c.left
	reasons := maps.Clone(r.Reasons)
	for reason, n := range c.reasons {
		if reasons == nil {
			reasons = map[string]int64{}
		}
		if _, known := reasons[reason]; known || len(reasons) < 10 {
			reasons[reason] += n
		}
	}
	r.Reasons = reasons
}

func (c *counted) done(from int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.merges++
	c.merged += int64(from)
}

func (c *counted) refuse(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reasons == nil {
		c.reasons = map[string]int64{}
	}
	c.refused++
	c.reasons[reason]++
}

// mergeChunk merges the groups of a chunk.
func (j *run) mergeChunk(ctx context.Context, criteria []merge.Criterion, chunk int) (*counted, error) {
	inc := j.rec.Incarnation
	jobID, _ := hex.DecodeString(j.r.id)
	groups, err := j.groupsFrom(ctx, inc, j.r, int64(chunk)*chunkGroups, chunkGroups)
	if err != nil {
		return nil, err
	}
	written, _, err := j.mergings(ctx, inc, jobID, chunk, store.Range{})
	if err != nil {
		return nil, err
	}
	before := map[int64][]merging{}
	for _, m := range written {
		before[m.rank] = append(before[m.rank], m)
	}
	people, err := j.peopleOf(ctx, groups)
	if err != nil {
		return nil, err
	}
	said, err := j.saidOf(ctx, inc, people) // for each chunk anew: it obeys what is said while it runs
	if err != nil {
		return nil, err
	}
	c := &counted{examined: int64(len(groups))}
	work := make(chan *group)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range mergeWorkers {
		wg.Go(func() {
			for g := range work {
				var failed error
				if ctx.Err() == nil && g.score >= j.r.gate() {
					failed = j.mergeGroup(ctx, criteria, chunk, g, distinct(g.members, people), said, before[g.rank], c)
				}
				if failed != nil {
					cancel(failed)
				}
			}
		})
	}
	for i := range groups {
		work <- &groups[i]
	}
	close(work)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	c.left, err = j.severalLeft(ctx, groups)
	return c, err
}

// severalLeft counts the groups of which two profiles at least are there.
func (s *Service) severalOf(groups []group, live map[fold.ID]bool) (n int64) {
	for _, g := range groups {
		if len(alive(&g, live)) >= 2 {
			n++
		}
	}
	return n
}

func (j *run) severalLeft(ctx context.Context, groups []group) (int64, error) {
	live, err := j.live(ctx, j.rec.Incarnation, groups)
	return j.severalOf(groups, live), err
}

func alive(g *group, live map[fold.ID]bool) (ids []fold.ID) {
	for _, id := range g.members {
		if live[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// peopleOf reads the persons of groups, by the ids of the groups' members.
func (j *run) peopleOf(ctx context.Context, groups []group) (map[fold.ID]*merge.Person, error) {
	var ids []fold.ID
	for _, g := range groups {
		if g.score >= j.r.gate() {
			ids = append(ids, g.members...)
		}
	}
	return j.merger().PeopleOf(ctx, j.rec, ids, merge.ResolutionOf(j.r.AutoMerging.ConflictResolution))
}

// mergeGroup merges what the criteria say of a group. before is what earlier attempts have written down of it.
func (j *run) mergeGroup(ctx context.Context, criteria []merge.Criterion, chunk int, g *group, people []*merge.Person, said said, before []merging, c *counted) error {
	resolution := merge.ResolutionOf(j.r.AutoMerging.ConflictResolution)
	var plan []merge.Step
	planned := slices.IndexFunc(before, func(m merging) bool { return m.Plan != nil })
	if planned >= 0 {
		plan = before[planned].Plan
	} else {
		plan = merge.Plan(criteria, people, resolution, said.of(people))
	}
	for i, step := range plan {
		made := 0
		for _, m := range before {
			if m.step != i {
				continue
			}
			ok, err := j.Profiles.Merged(ctx, j.rec, m.ID)
			if err != nil {
				return err
			}
			if ok {
				made = len(m.From)
			}
		}
		if made == 0 {
			done, err := j.merger().Merge(ctx, j.rec, merge.Request{IDs: step.IDs, Resolution: resolution, By: merge.JobBy(j.r.id),
				Intend: func(ctx context.Context, d *merge.Done) error {
					m := merging{ID: d.ID, Main: d.Main, From: d.From, Criterion: step.Criterion + 1, Score: g.score, Match: g.id.String(), rank: g.rank, step: i}
					if planned < 0 { // the first that is written of the group
						m.Plan, planned = plan, 0
					}
					return j.writeDown(ctx, chunk, &m)
				}})
			switch {
			case errors.Is(err, profile.ErrApart): // said meanwhile, or of somebody who has become one of them meanwhile
				continue
			case errors.Is(err, profile.ErrRefused):
				c.refuse(refusal(err))
				continue
			case err != nil:
				return err
			case done == nil:
				continue
			}
			made = len(done.From)
		}
		c.done(made)
	}
	return nil
}

// refusal is the sentence of a refused merge.
func refusal(err error) string {
	text, _, _ := strings.Cut(fault.Message(err), "\n")
	return text
}

// distinct returns the persons of some profiles, each once.
func distinct(ids []fold.ID, people map[fold.ID]*merge.Person) (all []*merge.Person) {
	for _, id := range ids {
		if p := people[id]; p != nil && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// writeDown notes a merge that is about to be made. Each taking of the lease has rows of its own, so that a stale one spoils nothing.
func (j *run) writeDown(ctx context.Context, chunk int, m *merging) error {
	value, err := json.Marshal(m, json.Deterministic(true))
	if err != nil {
		return err
	}
	jobID, _ := hex.DecodeString(j.r.id)
	key := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint16(rankKey(m.rank), uint16(m.step)), j.t.Fence())
	if err := j.Store.Write(ctx, didPartition(j.rec.Incarnation, jobID, chunk), []store.Mutation{{Key: key, Value: value, Time: m.ID.Asked()}}); err != nil {
		return fmt.Errorf("note a merge: %w", err)
	}
	return nil
}

// countOpen counts the merges of the chunk in which a job was stopped.
func (j *run) countOpen(ctx context.Context) error {
	if j.r.Chunks >= j.r.Found.chunks() {
		return nil
	}
	jobID, _ := hex.DecodeString(j.r.id)
	written, _, err := j.mergings(ctx, j.rec.Incarnation, jobID, j.r.Chunks, store.Range{})
	if err != nil {
		return err
	}
	c := &counted{}
	for _, m := range written {
		made, err := j.Profiles.Merged(ctx, j.rec, m.ID)
		if err != nil {
			return err
		}
		if made {
			c.done(len(m.From))
		}
	}
	return j.set(ctx, func(r *record) {
		r.Merges, r.Merged = r.Merges+c.merges, r.Merged+c.merged
		r.Chunks = r.Found.chunks() // so that they are counted once
	})
}

// sorted iterates over a map in the order of its keys.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
