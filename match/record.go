package match

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/job"
	"kith/match/link"
	"kith/store"
)

// record is what is stored of a job. Times are microseconds.
type record struct {
	Status  api.IdentityResolutionJobStatus
	Planned int64  // when it was to begin, or was asked for
	By      string `json:",omitzero"` // who asked for it; empty: the schedule
	Began   int64  `json:",omitzero"`
	Ended   int64  `json:",omitzero"`
	Updated int64
	Message string `json:",omitzero"`
	// AutoMerging and Exporting are the domain's settings when it began.
	AutoMerging *api.AutoMerging       `json:",omitzero"`
	Exporting   *api.S3ExportingConfig `json:",omitzero"`

	// Attempts are those at writing groups: what the rows of each are called.
	Attempts []written `json:",omitzero"`
	// Found is the attempt whose groups count; nil: there is none yet.
	Found    *written `json:",omitzero"`
	Reviewed int64    `json:",omitzero"` // profiles
	Compared int64    `json:",omitzero"` // pairs
	Pairs    int64    `json:",omitzero"` // pairs that match
	// Bounded says in words what was bounded, and Glued are profiles that seem to be of two people, the first of them.
	Bounded []string `json:",omitzero"`
	Glued   []string `json:",omitzero"`

	// Chunks are the chunks of groups in which nothing is left to merge, and Examined the groups in them. Merges is how many merges were made, and
	// Merged how many profiles became part of another by them.
	Chunks   int              `json:",omitzero"`
	Examined int64            `json:",omitzero"`
	Merges   int64            `json:",omitzero"`
	Merged   int64            `json:",omitzero"`
	Refused  int64            `json:",omitzero"`
	Reasons  map[string]int64 `json:",omitzero"` // of refused merges
	Left     int64            `json:",omitzero"` // groups that had two profiles at least when all was merged
	AllDone  bool             `json:",omitzero"` // merging is over

	Exported []string `json:",omitzero"` // the keys of files
	// Dropped says that the groups were removed: a later job has found others.
	Dropped bool `json:",omitzero"`

	id      string
	version uint64
}

// written names the rows of groups: the fence of the taking under which they were written, how many groups there are, and over how many
// partitions their look-ups are spread.
type written struct {
	Fence   uint64 `json:",string"`
	Groups  int64
	Buckets int
}

func (w *written) chunks() int { return int((w.Groups + chunkGroups - 1) / chunkGroups) }

// over says that a job has ended.
func (r *record) over() bool {
	return slices.Contains([]api.IdentityResolutionJobStatus{
		api.IdentityResolutionJobStatusCompleted, api.IdentityResolutionJobStatusPartialSuccess, api.IdentityResolutionJobStatusFailed}, r.Status)
}

// merges says whether the job merges what it finds.
func (r *record) merges() bool { return r.AutoMerging != nil && api.Val(r.AutoMerging.Enabled) }

// gate is the least score of a group that is merged.
func (r *record) gate() float64 {
	return api.Val(r.AutoMerging.MinAllowedConfidenceScoreForMerging)
}

var (
	recordKey = []byte("match")
	modelKey  = []byte("model")
)

func decodeRecord(id string, row store.Row) (*record, error) {
	r := &record{id: id, version: row.Version}
	if err := json.Unmarshal(row.Value, r); err != nil {
		return nil, fmt.Errorf("an identity resolution job: %w", err)
	}
	return r, nil
}

// load returns a job, or nil.
func (s *Service) load(ctx context.Context, inc store.Incarnation, id string) (*record, error) {
	row, err := s.Store.Get(ctx, job.Partition(inc, id), recordKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read an identity resolution job: %w", err)
	}
	return decodeRecord(id, row)
}

// loadModel returns what a job has learned, or nil.
func (s *Service) loadModel(ctx context.Context, inc store.Incarnation, id string) (*link.Model, error) {
	row, err := s.Store.Get(ctx, job.Partition(inc, id), modelKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what a job has learned: %w", err)
	}
	return link.Parse(row.Value)
}

func listPartition(inc store.Incarnation) store.Partition {
	return store.Partition{Table: store.Jobs, Incarnation: inc, Key: "identity-resolution-jobs"}
}

// listKey orders jobs from the newest.
func listKey(planned int64, id string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, math.MaxUint64-uint64(planned)), id...)
}

// listed is a job in the list.
type listed struct {
	id      string
	planned int64
}

// list returns the jobs of a domain from the newest. There are few: what has expired is removed.
func (s *Service) list(ctx context.Context, inc store.Incarnation) (all []listed, err error) {
	for row, err := range s.Store.Scan(ctx, listPartition(inc), store.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("list identity resolution jobs: %w", err)
		}
		if len(row.Key) > 8 {
			all = append(all, listed{string(row.Key[8:]), int64(math.MaxUint64 - binary.BigEndian.Uint64(row.Key))})
		}
	}
	return all, nil
}

// serves says whether a job has ended and found something: the newest that has is served.
func (r *record) serves() bool { return r != nil && r.over() && r.Found != nil }

// latest returns the newest job that has found something, or nil. Its groups are those that are served.
func (s *Service) latest(ctx context.Context, inc store.Incarnation) (*record, error) {
	all, err := s.list(ctx, inc)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		r, err := s.load(ctx, inc, l.id)
		if err != nil {
			return nil, err
		}
		if r.serves() {
			if r.Dropped {
				return nil, nil
			}
			return r, nil
		}
	}
	return nil, nil
}
