package fold

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
)

// MergeID names a merge: when it was asked for, in microseconds (8 bytes, big-endian), and random bits (4).
type MergeID [12]byte

// NewMergeID returns the id of a merge that is asked for at a time.
func NewMergeID(asked int64, random uint32) (m MergeID) {
	binary.BigEndian.PutUint64(m[:8], uint64(asked))
	binary.BigEndian.PutUint32(m[8:], random)
	return m
}

// Asked is when the merge was asked for.
func (m MergeID) Asked() int64 { return int64(binary.BigEndian.Uint64(m[:8])) }

// MarshalText implements encoding.TextMarshaler.
func (m MergeID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, m[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MergeID) UnmarshalText(b []byte) error {
	if len(b) != 2*len(m) {
		return fmt.Errorf("a merge id of %d characters", len(b))
	}
	_, err := hex.Decode(m[:], b)
	return err
}

// State says whether a profile was deleted, and which merges it takes part in. A profile without one was neither.
//
// Merge links come in pairs: Into of the profile that was merged, and an element of Merges of the main one. An Open link is one whose
// merge is being made or taken back: only the merge's record says whether it holds, and since when.
type State struct {
	// Deleted is the tombstone. The id is dead for good.
	Deleted *Deletion `json:",omitzero"`
	// Into is the merge by which this profile became a member of another; it is a profile of its own no more.
	Into *Link `json:",omitzero"`
	// Merges are the merges by which others became members of this one, by their times.
	Merges []Merge `json:",omitzero"`
}

// Deletion is a tombstone.
type Deletion struct {
	At int64  // microseconds
	By string `json:",omitzero"` // who asked for it
}

// Pending says what a link waits for; the zero value is a closed one.
type Pending byte

// The reasons why a link is open. They are on disk.
const (
	Making Pending = 1 // the merge is being made
	Ending Pending = 2 // the merge is being taken back
)

// Link leads from a member to the main profile of its merge.
type Link struct {
	Merge MergeID
	Main  ID
	Open  Pending `json:",omitzero"`
	At    int64   `json:",omitzero"` // the merge's time in microseconds, once closed
	By    string  `json:",omitzero"` // who asked for it
}

// Merge is a merge as its main profile knows it.
type Merge struct {
	ID   MergeID
	Open Pending `json:",omitzero"`
	At   int64   `json:",omitzero"` // as in Link
	By   string  `json:",omitzero"`
	From []ID
	// Fields are the profiles whose value the caller chose, by field: a name of FieldSourceProfileIds, with "Attributes." before
	// that of a custom attribute.
	Fields map[string]ID `json:",omitzero"`
}

const stateV1 = 1

// ErrCorrupt says that stored bytes are not what they should be.
var ErrCorrupt = errors.New("corrupt row")

// Append appends the encoded state: a version byte and JSON.
func (s *State) Append(dst []byte) ([]byte, error) {
	b, err := json.Marshal(s, json.Deterministic(true))
	return append(append(dst, stateV1), b...), err
}

// DecodeState reads an encoded state.
func DecodeState(b []byte) (*State, error) {
	if len(b) == 0 || b[0] != stateV1 {
		return nil, fmt.Errorf("%w: not a state", ErrCorrupt)
	}
	s := &State{}
	if err := json.Unmarshal(b[1:], s); err != nil {
		return nil, fmt.Errorf("%w: a state: %w", ErrCorrupt, err)
	}
	return s, nil
}

// Empty says that the state says nothing.
func (s *State) Empty() bool { return s.Deleted == nil && s.Into == nil && len(s.Merges) == 0 }

// OpenMerges lists the merges whose links are open.
func (s *State) OpenMerges() (open []MergeID) {
	if s.Into != nil && s.Into.Open != 0 {
		open = append(open, s.Into.Merge)
	}
	for _, m := range s.Merges {
		if m.Open != 0 {
			open = append(open, m.ID)
		}
	}
	return open
}

// Believe drops the open links of merges that do not hold, and closes those of the others, whose times holds tells. It changes the
// state.
func (s *State) Believe(holds func(MergeID) (at int64, ok bool, err error)) error {
	for _, id := range s.OpenMerges() {
		at, ok, err := holds(id)
		if err != nil {
			return err
		}
		if ok {
			s.Close(id, at)
		} else {
			s.Unlink(id)
		}
	}
	return nil
}

// Close closes the links of a merge that happened at a time.
func (s *State) Close(id MergeID, at int64) {
	if s.Into != nil && s.Into.Merge == id {
		s.Into.Open, s.Into.At = 0, at
	}
	for i := range s.Merges {
		if m := &s.Merges[i]; m.ID == id {
			m.Open, m.At = 0, at
		}
	}
	slices.SortStableFunc(s.Merges, func(a, b Merge) int { return cmp.Compare(a.order(), b.order()) })
}

// order is where a merge comes among those of its main profile: open ones are the latest.
func (m *Merge) order() int64 {
	if m.Open == Making {
		return EndOfTime
	}
	return m.At
}

// Reopen opens the links of a merge that is being taken back.
func (s *State) Reopen(id MergeID) {
	if s.Into != nil && s.Into.Merge == id {
		s.Into.Open = Ending
	}
	for i := range s.Merges {
		if s.Merges[i].ID == id {
			s.Merges[i].Open = Ending
		}
	}
}

// Unlink removes the links of a merge.
func (s *State) Unlink(id MergeID) {
	if s.Into != nil && s.Into.Merge == id {
		s.Into = nil
	}
	s.Merges = slices.DeleteFunc(s.Merges, func(m Merge) bool { return m.ID == id })
}

// Linked returns how the links of a merge stand, and whether there is one.
func (s *State) Linked(id MergeID) (Pending, bool) {
	if s.Into != nil && s.Into.Merge == id {
		return s.Into.Open, true
	}
	for _, m := range s.Merges {
		if m.ID == id {
			return m.Open, true
		}
	}
	return 0, false
}

// Clone returns a copy that may be changed.
func (s *State) Clone() *State {
	c := *s
	if s.Into != nil {
		into := *s.Into
		c.Into = &into
	}
	c.Merges = slices.Clone(s.Merges)
	return &c
}
