package profile

import (
	"encoding/binary"
	"errors"
	"fmt"

	"kith/profile/fold"
	"kith/profile/write"
	"kith/store"
)

// ID is a profile id.
type ID = fold.ID

// The row keys of a profile's partition, in the order in which they are read.
var (
	stateKey = []byte(fold.StateKey)
	headKey  = []byte(fold.HeadKey)
)

const contributionPrefix = fold.ContributionPrefix

// Partition returns the partition of a profile.
func Partition(inc store.Incarnation, id ID) store.Partition {
	return store.Partition{Table: store.Profile, Incarnation: inc, Key: string(id[:])}
}

// AppendContributionKey appends the row key of an import's contribution.
func AppendContributionKey(dst []byte, jobTime, row int64) []byte {
	return AppendImportSource(append(dst, contributionPrefix...), jobTime, row)
}

// sourceSize is the length of an import's source.
const sourceSize = 1 + 8 + 5

// AppendImportSource appends the source of the contribution of one unique key of an upload job, given the job's time, which
// no other job of the domain has, and the number of the first row that has the key: 'i', time (8), row (5), big-endian.
func AppendImportSource(dst []byte, jobTime, row int64) []byte {
	dst = append(dst, byte(fold.Import))
	dst = binary.BigEndian.AppendUint64(dst, uint64(jobTime))
	return append(dst, byte(row>>32), byte(row>>24), byte(row>>16), byte(row>>8), byte(row))
}

// ImportTime returns the time of the upload job that a source belongs to.
func ImportTime(source string) (jobTime int64, ok bool) {
	if len(source) != sourceSize || source[0] != byte(fold.Import) {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64([]byte(source[1:9]))), true
}

// ParseContributionKey returns the time of the upload job and the first row that the row key of an import's contribution is made of; false for others.
func ParseContributionKey(key []byte) (jobTime, row int64, ok bool) {
	if !IsContribution(key) || len(key) != len(contributionPrefix)+sourceSize || key[1] != byte(fold.Import) {
		return 0, 0, false
	}
	b := key[2:]
	return int64(binary.BigEndian.Uint64(b)), int64(b[8])<<32 | int64(binary.BigEndian.Uint32(b[9:])), true
}

// compactedSource returns the source of the n-th contribution that a compaction leaves in a profile.
func compactedSource(at int64, n int) string {
	return string(append(binary.BigEndian.AppendUint64([]byte{'f'}, uint64(at)), byte(n)))
}

func isCompacted(source string) bool { return len(source) == 10 && source[0] == 'f' }

// IsContribution says whether a row of a profile's partition is a contribution.
func IsContribution(key []byte) bool {
	return len(key) > 0 && key[0] == contributionPrefix[0]
}

// sourceOf returns the source of a contribution's row.
func sourceOf(key []byte) string { return string(key[len(contributionPrefix):]) }

// contributionRow is a mutation of a contribution's row, as a part of a run.
func contributionRow(inc store.Incarnation, id ID, source string, m store.Mutation) store.RunRow {
	m.Key = []byte(contributionPrefix + source)
	return store.RunRow{Incarnation: inc, Partition: id[:], Mutation: m}
}

// stored is a profile as its rows say.
type stored struct {
	fold.Member
	// links is the state row as it stands, with its open links; nil: there is none. Member.State has what is believed.
	links *fold.State
	// versions of the Swap rows; 0: there is none.
	stateVersion, headVersion uint64
	// times of the contributions' rows, parallel to Parts.
	times []int64
	// expired counts contributions and heads that were left out because they have expired.
	expired int
	// stale says that the head holds something that has expired, idle that it says nothing; only for a Reader that looks for it.
	stale, idle bool
}

// isMain says that the profile is one for callers: neither deleted nor merged into another.
func (p *stored) isMain() bool {
	return p.State == nil || p.State.Into == nil && p.State.Deleted == nil
}

// room is a profile together with the memory that most of them need: so it is one piece for who keeps it.
type room struct {
	stored
	parts [2]fold.Part
	at    [2]int64
	first fold.Contribution
}

// Reader gathers the rows of one profile after the other. Its memory is used again: what it returns is good until Reset.
type Reader struct {
	now    int64
	sweeps bool // it looks whether heads hold what has expired
	p      *room
	// repeats completes contributions.
	repeats fold.Repeats
	pool    []*fold.Contribution // Parts use them from the front, behind the first
}

// NewReader returns a Reader of what is visible at a time, in microseconds.
func NewReader(now int64) *Reader { return &Reader{now: now} }

// Reset forgets all rows and begins with another profile.
func (r *Reader) Reset(id ID) {
	if r.p == nil {
		r.p = &room{}
		r.p.Parts, r.p.times = r.p.parts[:0], r.p.at[:0]
	}
	r.p.stored = stored{Member: fold.Member{ID: id, Parts: r.p.Parts[:0]}, times: r.p.times[:0]}
	r.repeats.Reset()
}

// contribution returns the memory for the next contribution.
func (r *Reader) contribution() *fold.Contribution {
	n := len(r.p.Parts)
	if n == 0 {
		return &r.p.first
	}
	if len(r.pool) < n {
		r.pool = append(r.pool, &fold.Contribution{})
	}
	return r.pool[n-1]
}

// Add takes in a row.
func (r *Reader) Add(row store.Row) error {
	err := r.add(row)
	if err != nil {
		return fmt.Errorf("profile %s: %w", r.p.ID, err)
	}
	return nil
}

func (r *Reader) add(row store.Row) error {
	switch {
	case IsContribution(row.Key):
		return r.addContribution(row)
	case string(row.Key) == string(stateKey):
		s, err := fold.DecodeState(row.Value)
		if err != nil {
			return err
		}
		r.p.links, r.p.stateVersion = s, row.Version
		r.p.State = s.Clone()
	case string(row.Key) == string(headKey):
		h, err := fold.DecodeHeadView(row.Value, r.now)
		if err != nil {
			return err
		}
		r.p.Head, r.p.headVersion = h, row.Version
		if h.Expires == 0 {
			r.p.expired++
		}
		if r.sweeps {
			expires, err := fold.HeadExpiry(row.Value)
			if err != nil {
				return err
			}
			r.p.idle = expires == 0
			if r.p.stale, err = write.HasExpired(row.Value, r.now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Reader) addContribution(row store.Row) error {
	expires, err := fold.Expiry(row.Value)
	if err != nil {
		return err
	}
	source := row.Key[len(contributionPrefix):]
	kept := append(append(make([]byte, 0, len(source)+len(row.Value)), source...), row.Value...)
	whole, err := r.repeats.Complete(kept[:len(source)], kept[len(source):])
	dangling := errors.Is(err, fold.ErrNothingToRepeat) && r.p.links != nil && r.p.links.Deleted != nil
	if err != nil && !dangling {
		return err
	}
	if expires <= r.now {
		r.p.expired++
		return nil
	}
	part := fold.Part{Source: string(source), Contribution: r.contribution()}
	if dangling { // it is there to be removed
		*part.Contribution = fold.Contribution{Expires: expires}
	} else if err := part.DecodeView(whole, r.now); err != nil {
		return err
	}
	if of, ok := fold.RepeatOf(row.Value); ok {
		part.Repeats = string(of)
	}
	r.p.Parts = append(r.p.Parts, part)
	r.p.times = append(r.p.times, row.Time)
	return nil
}

// Alone says that the profile takes part in no merge and was not deleted, so that its own rows are all there is.
func (r *Reader) Alone() bool { return r.p.links == nil }

// Depth is the number of visible contributions.
func (r *Reader) Depth() int { return len(r.p.Parts) }

// Member returns the profile. Links are not judged yet: it is for profiles that are Alone.
func (r *Reader) Member() *fold.Member { return &r.p.Member }

// take returns the profile as one that the caller may keep.
func (r *Reader) take() *stored {
	p := &r.p.stored
	r.p, r.pool = nil, nil
	return p
}
