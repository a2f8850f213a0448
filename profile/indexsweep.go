package profile

import (
	"context"
	"strings"
	"time"

	"kith/domain"
	"kith/job"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
)

// IndexSweepKind is the kind of background work that removes index rows that no profile requires.
const IndexSweepKind = "index-sweep"

// IndexSweeper removes index rows that no profile requires: those of class ByImport, of which a change of contributions that was cut off may
// leave some, and those of class ByAPI that are full names, which merges put. They are hints that nobody confirms, but each search and
// each import looks at them. It holds the domain's turn.
type IndexSweeper struct{ *Service }

// QueueIndexSweep has the index of a domain swept.
func (s *Service) QueueIndexSweep(ctx context.Context, rec *domain.Record) error {
	return job.Enqueue(ctx, s.Store, job.Work{Kind: IndexSweepKind, ID: IndexSweepKind, Incarnation: rec.Incarnation, Arrived: s.Now().UnixMicro()})
}

// sweepChunk is how many index rows are compared with their profiles together.
const sweepChunk = 10_000

// Run implements job.Handler.
func (s IndexSweeper) Run(ctx context.Context, t *job.Task) error {
	rec, at, err := s.begin(ctx, t)
	if rec == nil || err != nil {
		return err
	}
	var chunk []hint
	for row, err := range s.Store.Sweep(ctx, store.SweepRange{Table: store.Index, Incarnation: rec.Incarnation}) {
		if err != nil {
			return err
		}
		id, class, ok := index.ParseRowKey(row.Row.Key)
		if !ok || class == index.ByAPI && !s.isOldName(row) {
			continue
		}
		chunk = append(chunk, hint{row.Partition.Key, id, class, row.Row.Time})
		if len(chunk) == sweepChunk {
			if err := s.judge(ctx, rec, at, chunk); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
	}
	return s.judge(ctx, rec, at, chunk)
}

// GiveUp implements job.Handler: the next sweep goes on.
func (s IndexSweeper) GiveUp(context.Context, *job.Task, error) error { return nil }

// nameAge is how old a full name's row must be before it is judged: whoever put it has long written what shows it, or given up.
const nameAge = time.Minute

func (s IndexSweeper) isOldName(row store.SweepRow) bool {
	return strings.HasPrefix(row.Partition.Key, schema.KeyFullName+"\x01") && row.Row.Time < s.Now().Add(-nameAge).UnixMicro()
}

// hint is an index row.
type hint struct {
	partition string
	id        ID
	class     index.Class
	time      int64
}

// judge deletes the index rows of a chunk that their profiles do not require.
func (s *Service) judge(ctx context.Context, rec *domain.Record, at int64, chunk []hint) error {
	var ids []ID
	for _, h := range chunk {
		ids = append(ids, h.id)
	}
	all, err := s.readAll(ctx, rec.Incarnation, ids, 0) // what has expired is the other sweep's
	if err != nil {
		return err
	}
	// A member's rows may stand for the full name of its person.
	people, err := s.people(ctx, rec.Incarnation, ids)
	if err != nil {
		return err
	}
	required := map[ID]map[string]bool{}
	for id, p := range all {
		var keys index.Set
		m := p.Member.Alone()
		keys.RequiredByImports(m, m.Profile(), rec.Keys)
		keys.AddFullName(m.Profile())
		if person := people[id]; person != nil {
			keys.AddFullName(person.Profile())
		}
		required[id] = map[string]bool{}
		for _, k := range keys.Keys() {
			required[id][index.PartitionKey(k)] = true
		}
	}
	var gone []store.RunRow
	for _, h := range chunk {
		if !required[h.id][h.partition] {
			gone = append(gone, store.RunRow{Incarnation: rec.Incarnation, Partition: []byte(h.partition),
				Mutation: store.Mutation{Key: index.AppendRowKey(nil, h.id, h.class), Delete: true, Time: max(at, h.time)}})
		}
	}
	return s.Store.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows(gone)})
}
