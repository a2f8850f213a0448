// Package fingerprint keeps, in a few bytes, what profiles show by imports, so that an import that says the same again need not read them. A partition is a
// profile, with two rows:
//
//   - The mark is put by whoever gives the profile its first head or state row, before that row or with it, and stays: from then on others than imports have a say.
//   - The print is put by imports. It names the contribution that was the profile's newest when it was put, and has fingerprints of what that says, and of its outline.
//
// A profile shows what its print says if
//
//	there is no mark: it has contributions only;
//	the contribution counts: its import has been applied as a whole, nobody has asked for its undo, and none of it has been compacted; it has not expired.
//
// For each later import that brought the profile something has put a print of its own, or none, because it repeats that contribution. It puts it with its
// contributions, or before them: a print whose import has failed half done counts no more than one whose import was undone. One that came between, and
// that has gone or expired, has said the same. A print that names nothing (Void) is put where that can't be told.
package fingerprint

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/zeebo/xxh3"

	"kith/profile/fold"
	"kith/store"
)

// The row keys of a partition; the mark comes first.
var (
	MarkKey  = []byte("m")
	PrintKey = []byte("p")
)

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "mark of a profile", Table: store.Fingerprint, Partition: "{profile id:16}", Key: "m", Kind: store.WriteRows,
		Value: "empty", Writers: "whoever gives a profile its first head or state row, before it or with it"},
	{Name: "print of a profile", Table: store.Fingerprint, Partition: "{profile id:16}", Key: "p", Kind: store.WriteRows,
		Value: "version, source and expiry of the contribution that was its newest, fingerprints of what that says (fingerprint.Print); empty: it can't be told", Writers: "imports; the sweep and DeleteProfile remove it"},
}

// Print says what the newest contribution of a profile was when it was put.
type Print struct {
	Time    int64 // of its import, microseconds
	Row     int64 // the first one of its unique key
	Expires int64 // microseconds
	Hash    Hash
}

// Hash has a fingerprint of what a contribution says, its encoded private keys and values (16 bytes), and one of its outline (8): of what has to stay the same, so
// that a row which says something else need not read the profile.
type Hash [allSize + outlineSize]byte

const (
	allSize     = 16
	outlineSize = 8
)

// Outline is the second fingerprint.
func (h *Hash) Outline() [outlineSize]byte { return [outlineSize]byte(h[allSize:]) }

// All is the first fingerprint.
func (h *Hash) All() [allSize]byte { return [allSize]byte(h[:allSize]) }

// Void is the value of a print that names nothing.
var Void = []byte{}

// Encoding of a print: version | time (8) | row (5) | expires (8) | hash (24), big-endian.
const (
	version   = 1
	printSize = 1 + 8 + 5 + 8 + len(Hash{})
)

// Append appends the encoded print.
func (p *Print) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, version), uint64(p.Time))
	dst = append(dst, byte(p.Row>>32))
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.Row))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Expires))
	return append(dst, p.Hash[:]...)
}

// Parse reads an encoded print; false when it names nothing.
func Parse(b []byte) (p Print, ok bool) {
	if len(b) != printSize || b[0] != version {
		return p, false
	}
	p.Time = int64(binary.BigEndian.Uint64(b[1:]))
	p.Row = int64(b[9])<<32 | int64(binary.BigEndian.Uint32(b[10:]))
	p.Expires = int64(binary.BigEndian.Uint64(b[14:]))
	p.Hash = Hash(b[22:])
	return p, true
}

// HashOf returns the fingerprints of what a contribution says and of its outline. The seed is not known to who has made the file: nobody can make two customers
// whose fingerprints are the same. Only a profile's own are ever compared, so that by chance one of 10^12 comparisons finds an outline that has changed to be the
// same with a probability of 10^-7, and values with one of 10^-26.
func HashOf(said, outline []byte, seed uint64) (h Hash) {
	all := AllOf(said, seed)
	copy(h[:], all[:])
	binary.BigEndian.PutUint64(h[allSize:], xxh3.HashSeed(outline, seed))
	return h
}

// AllOf returns the first of the two.
func AllOf(said []byte, seed uint64) [allSize]byte { return xxh3.Hash128Seed(said, seed).Bytes() }

// Mark is the mutation that marks a profile.
func Mark(inc store.Incarnation, id fold.ID, at int64) store.PartitionWrite {
	return store.PartitionWrite{Partition: partition(inc, id), Mutations: []store.Mutation{{Key: MarkKey, Time: at}}}
}

// Put puts the mark of a profile.
func Put(ctx context.Context, st store.Store, inc store.Incarnation, id fold.ID, at int64) error {
	m := Mark(inc, id, at)
	if err := st.Write(ctx, m.Partition, m.Mutations); err != nil {
		return fmt.Errorf("mark a profile: %w", err)
	}
	return nil
}

func partition(inc store.Incarnation, id fold.ID) store.Partition {
	return store.Partition{Table: store.Fingerprint, Incarnation: inc, Key: string(id[:])}
}

// Row is a mutation of a profile's print, as a part of a run.
func Row(inc store.Incarnation, id fold.ID, m store.Mutation) store.RunRow {
	m.Key = PrintKey
	return store.RunRow{Incarnation: inc, Partition: id[:], Mutation: m}
}
