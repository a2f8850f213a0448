package rule

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"kith/profile/fold"
	"kith/store"
)

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "state of rule-based matching", Table: store.Jobs, Partition: "standing/" + Name, Key: "state", Kind: store.SwapRows,
		Value: "JSON: rules, generation, how far it is", Writers: "the matcher"},
	{Name: "tuples of a profile", Table: store.Match, Partition: "r{generation:4}d{profile id:16}", Key: "t", Kind: store.WriteRows,
		Value: "version, when it changes by itself, tuples", Writers: "the matcher"},
	{Name: "holder of a tuple", Table: store.Match, Partition: "r{generation:4}i{level:1}{hash:1}", Key: "{hash:11}{profile id:16}", Kind: store.WriteRows,
		Value: "empty", Writers: "the matcher"},
	{Name: "tuple with too many holders", Table: store.Match, Partition: "r{generation:4}x", Key: "{level:1}{hash:12}", Kind: store.WriteRows,
		Value: "empty", Writers: "the matcher"},
	{Name: "match by rules", Table: store.Match, Partition: "r{series:4}g{match id:1}", Key: "{match id:16}", Kind: store.WriteRows,
		Value: "version, level, profile ids", Writers: "the matcher"},
	{Name: "matches of a profile", Table: store.Match, Partition: "r{series:4}p{profile id:16}", Key: "{level:1}", Kind: store.WriteRows,
		Value: "match id", Writers: "the matcher"},
	{Name: "profiles whose matches are being written", Table: store.Match, Partition: "r{series:4}w", Key: "{time:8}{number:4}", Kind: store.WriteRows,
		Value: "profile ids", Writers: "the matcher"},
}

// The letters of partitions, behind a generation or, for matches, a series: both are numbered together. What a partition of one that has gone
// held is never written again.
const (
	docLetter    = 'd'
	holderLetter = 'i'
	crowdLetter  = 'x'
	groupLetter  = 'g'
	memberLetter = 'p'
	intentLetter = 'w'
)

var docKey = []byte("t")

func generation(gen uint32) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 24), 'r'), gen)
}

func docPartition(gen uint32, id fold.ID) string {
	return string(append(append(generation(gen), docLetter), id[:]...))
}

func holderPartition(gen uint32, level Level, first byte) string {
	return string(append(generation(gen), holderLetter, byte(level), first))
}

func crowdPartition(gen uint32) string { return string(append(generation(gen), crowdLetter)) }

func crowdKey(t Tuple) []byte { return append([]byte{byte(t.Level)}, t.Hash[:]...) }

// holdersOf is the range of the holders of a tuple.
func holdersOf(t Tuple, limit int) store.Range {
	return store.Range{Start: t.Hash[1:], End: store.After(t.Hash[1:]), Limit: limit}
}

// holderKey is the key of a holder of a tuple.
func holderKey(t Tuple, id fold.ID) []byte { return append(slices.Clone(t.Hash[1:]), id[:]...) }

// holderOf reads the key of a holder.
func holderOf(key []byte) (hash []byte, id fold.ID, err error) {
	if len(key) != hashLen-1+len(id) {
		return nil, id, fmt.Errorf("%w: a holder of a tuple", fold.ErrCorrupt)
	}
	copy(id[:], key[hashLen-1:])
	return key[:hashLen-1], id, nil
}

// MatchID names a match. It stays the same as long as the match lives.
type MatchID [16]byte

// String returns 32 hexadecimal digits.
func (m MatchID) String() string { return hex.EncodeToString(m[:]) }

// ParseMatchID is the reverse of MatchID.String.
func ParseMatchID(text string) (m MatchID, ok bool) {
	b, err := hex.DecodeString(text)
	return MatchID(append(b, make([]byte, 16)...)[:16]), err == nil && len(b) == len(m)
}

func groupPartition(series uint32, first byte) string {
	return string(append(generation(series), groupLetter, first))
}

func memberPartition(series uint32, id fold.ID) string {
	return string(append(append(generation(series), memberLetter), id[:]...))
}

// rowVersion begins the values of documents and groups.
const rowVersion = 1

// doc is what a profile has been indexed with.
type doc struct {
	changes int64 // when it changes by itself, microseconds
	tuples  []Tuple
}

// append appends the encoded document: version (1) | changes (8) | level (1) and hash (12) of each tuple.
func (d *doc) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, rowVersion), uint64(d.changes))
	for i := range d.tuples {
		dst = append(append(dst, byte(d.tuples[i].Level)), d.tuples[i].Hash[:]...)
	}
	return dst
}

func decodeDoc(b []byte) (*doc, error) {
	if len(b) < 9 || b[0] != rowVersion || (len(b)-9)%(1+hashLen) != 0 {
		return nil, fmt.Errorf("%w: the tuples of a profile", fold.ErrCorrupt)
	}
	d := &doc{changes: int64(binary.BigEndian.Uint64(b[1:]))}
	if n := (len(b) - 9) / (1 + hashLen); n > 0 {
		d.tuples = make([]Tuple, 0, n)
	}
	for b = b[9:]; len(b) > 0; b = b[1+hashLen:] {
		t := Tuple{Level: Level(b[0])}
		copy(t.Hash[:], b[1:])
		d.tuples = append(d.tuples, t)
	}
	return d, nil
}

// group is a match.
type group struct {
	id      MatchID
	level   Level
	members []fold.ID // ascending
	time    int64     // of the row
}

// append appends the encoded group: version (1) | level (1) | profile ids (16 each).
func (g *group) append(dst []byte) []byte {
	dst = append(dst, rowVersion, byte(g.level))
	for i := range g.members {
		dst = append(dst, g.members[i][:]...)
	}
	return dst
}

func decodeGroup(row store.Row) (*group, error) {
	b := row.Value
	if len(row.Key) != len(MatchID{}) || len(b) < 2 || b[0] != rowVersion || (len(b)-2)%16 != 0 {
		return nil, fmt.Errorf("%w: a match", fold.ErrCorrupt)
	}
	g := &group{id: MatchID(row.Key), level: Level(b[1]), time: row.Time, members: make([]fold.ID, 0, len(b)/16)}
	for b = b[2:]; len(b) > 0; b = b[16:] {
		g.members = append(g.members, fold.ID(b))
	}
	return g, nil
}
