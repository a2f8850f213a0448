package fold

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
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
	Deleted *Deletion
	// Into is the merge by which this profile became a member of another; it is a profile of its own no more.
	Into *Link
	// Merges are the merges by which others became members of this one, by their times.
	Merges []Merge
}

// Deletion is a tombstone.
type Deletion struct {
	At int64  // microseconds
	By string // who asked for it
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
	Open  Pending
	At    int64  // the merge's time in microseconds, once closed
	By    string // who asked for it
}

// Merge is a merge as its main profile knows it.
type Merge struct {
	ID   MergeID
	Open Pending
	At   int64 // as in Link
	By   string
	From []ID
	// Fields are the profiles whose value the caller chose, by field: a name of FieldSourceProfileIds, with "Attributes." before
	// that of a custom attribute.
	Fields map[string]ID
}

// ErrCorrupt says that stored bytes are not what they should be.
var ErrCorrupt = errors.New("corrupt row")

// Encoding, version 1. Integers are uvarints unless a size is given.
//
//	version | flags: 1 deleted, 2 into another
//	| [time (8) | length, by]
//	| [main (16) | merge (12) | open (1) | time (8) | length, by]
//	| number { merge (12) | open (1) | time (8) | length, by | number { profile (16) } | number { length, field, profile (16) } }
const (
	stateV1     = 1
	flagDeleted = 1
	flagInto    = 2
)

// Append appends the encoded state.
func (s *State) Append(dst []byte) []byte {
	dst = append(dst, stateV1, 0)
	if s.Deleted != nil {
		dst[len(dst)-1] |= flagDeleted
	}
	if s.Into != nil {
		dst[len(dst)-1] |= flagInto
	}
	if d := s.Deleted; d != nil {
		dst = appendText(binary.BigEndian.AppendUint64(dst, uint64(d.At)), d.By)
	}
	if l := s.Into; l != nil {
		dst = append(append(append(dst, l.Main[:]...), l.Merge[:]...), byte(l.Open))
		dst = appendText(binary.BigEndian.AppendUint64(dst, uint64(l.At)), l.By)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Merges)))
	for i := range s.Merges {
		m := &s.Merges[i]
		dst = append(append(dst, m.ID[:]...), byte(m.Open))
		dst = appendText(binary.BigEndian.AppendUint64(dst, uint64(m.At)), m.By)
		dst = binary.AppendUvarint(dst, uint64(len(m.From)))
		for _, id := range m.From {
			dst = append(dst, id[:]...)
		}
		dst = binary.AppendUvarint(dst, uint64(len(m.Fields)))
		for _, field := range slices.Sorted(maps.Keys(m.Fields)) {
			id := m.Fields[field]
			dst = append(appendText(dst, field), id[:]...)
		}
	}
	return dst
}

// DecodeState reads an encoded state.
func DecodeState(b []byte) (*State, error) {
	s := &State{}
	return s, s.decode(string(b))
}

// decode is DecodeState into a state whose slices are used again. It keeps parts of text.
func (s *State) decode(text string) error {
	if len(text) < 2 || text[0] != stateV1 {
		return fmt.Errorf("%w: not a state", ErrCorrupt)
	}
	d := decoder{s: text[2:]}
	s.Deleted, s.Into = nil, nil
	if text[1]&flagDeleted != 0 {
		s.Deleted = &Deletion{At: d.time(), By: d.text()}
	}
	if text[1]&flagInto != 0 {
		s.Into = &Link{Main: d.id(), Merge: d.merge(), Open: d.pending(), At: d.time(), By: d.text()}
	}
	s.Merges = s.Merges[:0]
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		m := Merge{ID: d.merge(), Open: d.pending(), At: d.time(), By: d.text()}
		if n := len(s.Merges); n < cap(s.Merges) {
			m.From = s.Merges[:n+1][n].From[:0]
		}
		for n := d.uvarint(); n > 0 && d.err == nil; n-- {
			m.From = append(m.From, d.id())
		}
		if n := d.uvarint(); n > 0 {
			m.Fields = map[string]ID{}
			for ; n > 0 && d.err == nil; n-- {
				field := d.text()
				m.Fields[field] = d.id()
			}
		}
		s.Merges = append(s.Merges, m)
	}
	return d.end()
}

// end says whether everything was read, and no more.
func (d *decoder) end() error {
	if d.s != "" {
		d.fail()
	}
	return d.err
}

func (d *decoder) id() (id ID) {
	d.bytes(id[:])
	return id
}

func (d *decoder) merge() (m MergeID) {
	d.bytes(m[:])
	return m
}

func (d *decoder) pending() Pending {
	var b [1]byte
	d.bytes(b[:])
	return Pending(b[0])
}

// bytes fills b.
func (d *decoder) bytes(b []byte) {
	if len(d.s) < len(b) {
		d.fail()
		return
	}
	copy(b, d.s)
	d.s = d.s[len(b):]
}

// Links is what a sweep wants to know of a profile's state.
type Links struct {
	Deleted bool
	// Linked says that there is a link of a merge, Open that some link is open.
	Linked, Open bool
	// Main is the profile that Into leads to, else zero.
	Main ID
}

// PeekLinks returns the links of an encoded state, without decoding them.
func PeekLinks(b []byte) (l Links, err error) {
	if len(b) < 2 || b[0] != stateV1 {
		return l, fmt.Errorf("%w: not a state", ErrCorrupt)
	}
	d := decoder{s: unsafeText(b[2:])}
	if l.Deleted = b[1]&flagDeleted != 0; l.Deleted {
		d.time()
		d.text()
	}
	if b[1]&flagInto != 0 {
		l.Linked, l.Main = true, d.id()
		d.merge()
		l.Open = d.pending() != 0
		d.time()
		d.text()
	}
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		l.Linked = true
		d.merge()
		l.Open = d.pending() != 0 || l.Open
		d.time()
		d.text()
		for n := d.uvarint(); n > 0 && d.err == nil; n-- {
			d.id()
		}
		for n := d.uvarint(); n > 0 && d.err == nil; n-- {
			d.text()
			d.id()
		}
	}
	return l, d.end()
}

// Empty says that the state says nothing.
func (s *State) Empty() bool { return s.Deleted == nil && s.Into == nil && len(s.Merges) == 0 }

// OpenMerges lists the merges whose links are open. Of a nil state there are none.
func (s *State) OpenMerges() (open []MergeID) {
	if s == nil {
		return nil
	}
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

// Members streams the profiles that became members of this one, merge by merge. Of a nil state there are none.
func (s *State) Members() iter.Seq[ID] {
	return func(yield func(ID) bool) {
		if s == nil {
			return
		}
		for i := range s.Merges {
			for _, id := range s.Merges[i].From {
				if !yield(id) {
					return
				}
			}
		}
	}
}

// Linked returns how the links of a merge stand, and whether there is one. In a nil state there is none.
func (s *State) Linked(id MergeID) (Pending, bool) {
	if s == nil {
		return 0, false
	}
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
