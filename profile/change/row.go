package change

import (
	"encoding/binary"
	"fmt"
	"slices"

	"kith/profile/fold"
	"kith/store"
)

// Kind says what a row announces.
type Kind byte

// The kinds. They are on disk.
const (
	Write    Kind = 'w' // an API call changes a profile
	Imported Kind = 'i' // an import has been applied
	Undone   Kind = 'u' // an import has been taken back
	Merged   Kind = 'm' // a merge is made or taken back, into the profile ID; Call begins with the merge's id
)

// CallID names a call that changes a profile, whatever attempts it takes. It is the id of the history record, too.
type CallID [16]byte

// Row is a row of the feed.
type Row struct {
	At   int64   // by the clock of the writer, in microseconds: its place in the feed
	ID   fold.ID // the profile
	Call CallID
	Kind Kind

	// Of a Write:

	Action  byte // as fold.Change numbers them
	Creates bool // there was no such profile: resolution by keys found none, and the write makes it
	// Time is what the head's time will be: later than that of the head which the Swap replaces. So the write has not happened, and may
	// yet, only as long as the head's time is earlier.
	Time int64
	// Keys are the index partitions of which the call has put rows of class 'a', or will put or delete one: in all its attempts.
	Keys []string
	// Claims are the index partitions that the call has claimed for the profile.
	Claims []string
	// Bodies are the row keys of bodies that the call has put, or will put or delete.
	Bodies []string

	// Moves is the index partition of the key of an object that may be in two profiles until the write has ended; empty: there is none.
	Moves string

	// Again says that the row was settled before, and is settled a second time.
	Again bool
	// Whole says that the row was committed with its write, as a whole. So the write has happened and left nothing undone but its move, and
	// the row names keys only if it Creates, and neither claims nor bodies.
	Whole bool

	// Job is the upload job of an Imported or Undone.
	Job string
}

// shards is how many partitions a minute has.
const shards = 8

const (
	minute    = int64(60e6)
	partLen   = 5
	rowKeyLen = 8 + 16 + 16
)

// appendPart appends the partition key of a minute's shard.
func appendPart(dst []byte, at int64, shard byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(at/minute)), shard)
}

func (r *Row) partition(inc store.Incarnation) store.Partition {
	return store.Partition{Table: store.Change, Incarnation: inc, Key: string(appendPart(nil, r.At, r.ID[len(r.ID)-1]%shards))}
}

// write returns what puts the row.
func (r *Row) write(inc store.Incarnation) store.PartitionWrite {
	return store.PartitionWrite{Partition: r.partition(inc), Mutations: []store.Mutation{{Key: r.key(), Value: r.append(nil), Time: r.At}}}
}

func (r *Row) key() []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, rowKeyLen), uint64(r.At))
	return append(append(key, r.ID[:]...), r.Call[:]...)
}

// Encoding, version 2: version | kind | action | flags | time (8) | job | moves | keys | claims | bodies, where a text is
// its length as a uvarint and its bytes, and a list the number of its texts and these. Flags: 1 creates, 2 again, 4 whole.
const (
	rowV2       = 2
	rowFixed    = 4 + 8
	flagCreates = 1
	flagAgain   = 2
	flagWhole   = 4
)

func (r *Row) append(dst []byte) []byte {
	flags := byte(0)
	if r.Creates {
		flags |= flagCreates
	}
	if r.Again {
		flags |= flagAgain
	}
	if r.Whole {
		flags |= flagWhole
	}
	dst = append(slices.Grow(dst, r.size()), rowV2, byte(r.Kind), r.Action, flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Time))
	dst = appendText(appendText(dst, r.Job), r.Moves)
	for _, list := range [][]string{r.Keys, r.Claims, r.Bodies} {
		dst = binary.AppendUvarint(dst, uint64(len(list)))
		for _, s := range list {
			dst = appendText(dst, s)
		}
	}
	return dst
}

// size is about how many bytes a row takes in the store.
func (r *Row) size() (n int) {
	n = partLen + rowKeyLen + rowFixed + len(r.Job) + len(r.Moves)
	for _, list := range [][]string{r.Keys, r.Claims, r.Bodies} {
		for _, s := range list {
			n += 1 + len(s)
		}
	}
	return n
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// decodeRow reads a row of the feed.
func decodeRow(key, value []byte) (Row, error) {
	if len(key) != rowKeyLen || len(value) < rowFixed || value[0] != rowV2 {
		return Row{}, fmt.Errorf("%w: not a change row", fold.ErrCorrupt)
	}
	r := Row{At: int64(binary.BigEndian.Uint64(key)), ID: fold.ID(key[8:24]), Call: CallID(key[24:]),
		Kind: Kind(value[1]), Action: value[2], Creates: value[3]&flagCreates != 0, Again: value[3]&flagAgain != 0, Whole: value[3]&flagWhole != 0,
		Time: int64(binary.BigEndian.Uint64(value[4:]))}
	d := decoder{b: value[rowFixed:]}
	r.Job, r.Moves = d.text(), d.text()
	r.Keys, r.Claims, r.Bodies = d.list(), d.list(), d.list()
	if d.bad || len(d.b) > 0 {
		return Row{}, fmt.Errorf("%w: a change row", fold.ErrCorrupt)
	}
	return r, nil
}

type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) list() (all []string) {
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		all = append(all, d.text())
	}
	return all
}
