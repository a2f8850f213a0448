package fold

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
)

// MergeID names a merge: its time in microseconds (8 bytes, big-endian) and random bits (4).
type MergeID [12]byte

// NewMergeID returns the id of a merge at a time.
func NewMergeID(at int64, random uint32) (m MergeID) {
	binary.BigEndian.PutUint64(m[:8], uint64(at))
	binary.BigEndian.PutUint32(m[8:], random)
	return m
}

// At is the time of the merge.
func (m MergeID) At() int64 { return int64(binary.BigEndian.Uint64(m[:8])) }

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
// merge is being made or taken back: only the merge's record says whether it holds.
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

// Link leads from a member to the main profile of its merge.
type Link struct {
	Merge MergeID
	Main  ID
	Open  bool   `json:",omitzero"`
	By    string `json:",omitzero"` // who asked for it
}

// Merge is a merge as its main profile knows it.
type Merge struct {
	ID   MergeID
	Open bool   `json:",omitzero"`
	By   string `json:",omitzero"`
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

// Open lists the merges whose links are open, by id.
func (s *State) Open() (open []MergeID) {
	if s.Into != nil && s.Into.Open {
		open = append(open, s.Into.Merge)
	}
	for _, m := range s.Merges {
		if m.Open {
			open = append(open, m.ID)
		}
	}
	slices.SortFunc(open, func(a, b MergeID) int { return slices.Compare(a[:], b[:]) })
	return open
}

// Believe drops the open links of merges that do not hold, and closes those of the others. It changes the state.
func (s *State) Believe(holds func(MergeID) (bool, error)) error {
	var err error
	believe := func(id MergeID, open *bool) (drop bool) {
		if !*open || err != nil {
			return false
		}
		var ok bool
		ok, err = holds(id)
		*open = false
		return !ok
	}
	if s.Into != nil && believe(s.Into.Merge, &s.Into.Open) {
		s.Into = nil
	}
	s.Merges = slices.DeleteFunc(s.Merges, func(m Merge) bool { return m.Open && believe(m.ID, &m.Open) })
	for i := range s.Merges {
		s.Merges[i].Open = false
	}
	return err
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
