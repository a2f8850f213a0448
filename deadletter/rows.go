package deadletter

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"time"

	"github.com/go-json-experiment/json"

	"kith/store"
)

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "dead letter", Table: store.Resource, Partition: partitionPrefix + "{day:4}", Key: store.Pattern(string(metaRow) + "{time:8}{random:8}"), Kind: store.WriteRows,
		Value: "version, JSON: object type, reason, size", Writers: "puts of objects that can't be attached; whoever removes it"},
	{Name: "object of a dead letter", Table: store.Resource, Partition: partitionPrefix + "{day:4}", Key: store.Pattern(string(objectRow) + "{time:8}{random:8}"), Kind: store.WriteRows,
		Value: "the object as it was put", Writers: "as the dead letter"},
	{Name: "dead letter to be sent", Table: store.Resource, Partition: partitionPrefix + "{day:4}", Key: store.Pattern(string(queueRow) + "{time:8}{random:8}"), Kind: store.WriteRows,
		Value: "empty", Writers: "as the dead letter; the sender, when the queue has it"},
	{Name: "letter of an object", Table: store.Resource, Partition: notesKey, Key: "{hash:16}", Kind: store.SwapRows,
		Value: "the id of the object's dead letter, if it is still there", Writers: "puts of objects that can't be attached; whoever makes room"},
}

const (
	partitionPrefix = "dead/"
	notesKey        = "dead-objects"
	metaRow         = 'm'
	objectRow       = 'o'
	queueRow        = 'q'
	metaVersion     = 1
)

const day = 24 * time.Hour

// letterID is the time of a letter in microseconds and a random number.
type letterID [16]byte

func newID(at int64) (id letterID) {
	binary.BigEndian.PutUint64(id[:8], uint64(at))
	_, _ = rand.Read(id[8:])
	return id
}

// parseID reads an id as callers have it; ok is false for what is none.
func parseID(text string) (id letterID, ok bool) {
	if len(text) != 2*len(id) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err == nil && id.String() == text
}

// String returns the id as callers have it: 32 hexadecimal digits.
func (id letterID) String() string { return hex.EncodeToString(id[:]) }

// at is the letter's time in microseconds.
func (id letterID) at() int64 { return int64(binary.BigEndian.Uint64(id[:8])) }

// next is the first id behind it.
func (id letterID) next() letterID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}

func (id letterID) partition() string { return dayPartition(id.at() / day.Microseconds()) }

func dayPartition(n int64) string {
	return string(binary.BigEndian.AppendUint32([]byte(partitionPrefix), uint32(n)))
}

func rowKey(kind byte, id letterID) []byte { return append([]byte{kind}, id[:]...) }

// meta is what is known of a letter besides its object.
type meta struct {
	id     letterID
	Type   string
	Reason string
	Bytes  int64
}

func (m *meta) encode() ([]byte, error) {
	b, err := json.Marshal(m, json.Deterministic(true))
	return append([]byte{metaVersion}, b...), err
}

func decodeMeta(id letterID, value []byte) (*meta, error) {
	if len(value) == 0 || value[0] != metaVersion {
		return nil, fmt.Errorf("dead letter %s: its record has a version that this program does not know", id)
	}
	m := &meta{}
	if err := json.Unmarshal(value[1:], m); err != nil {
		return nil, fmt.Errorf("dead letter %s: %w", id, err)
	}
	m.id = id
	return m, nil
}

// span is a range of ids, half-open.
type span struct{ from, to letterID }

// since is the span of the letters that came from a time on, in microseconds. It goes on into the future, for the clocks of other nodes.
func since(from int64, now time.Time) (s span) {
	binary.BigEndian.PutUint64(s.from[:8], uint64(max(from, 0)))
	binary.BigEndian.PutUint64(s.to[:8], uint64(now.Add(2*day).UnixMicro()))
	return s
}

// rows streams the rows of a kind of the letters of a span, oldest first.
func rows(ctx context.Context, st store.Store, inc store.Incarnation, kind byte, s span) iter.Seq2[letterRow, error] {
	return func(yield func(letterRow, error) bool) {
		if bytes.Compare(s.from[:], s.to[:]) >= 0 {
			return
		}
		in := store.Range{Start: rowKey(kind, s.from), End: rowKey(kind, s.to)}
		probes := func(yield func(store.Probe) bool) {
			for d := s.from.at() / day.Microseconds(); d <= s.to.at()/day.Microseconds(); d++ {
				if !yield(store.Probe{Partition: dayPartition(d), Range: in}) {
					return
				}
			}
		}
		for hit, err := range st.Probe(ctx, store.Resource, inc, probes) {
			if err == nil && len(hit.Row.Key) != 17 {
				err = fmt.Errorf("a row of dead letters has a key of %d bytes", len(hit.Row.Key))
			}
			if err != nil {
				yield(letterRow{}, fmt.Errorf("read dead letters: %w", err))
				return
			}
			if !yield(letterRow{letterID(hit.Row.Key[1:]), hit.Row.Value}, nil) {
				return
			}
		}
	}
}

// letterRow is a row of a letter; its value is good until the next one.
type letterRow struct {
	id    letterID
	value []byte
}

// erasure is the deletion of a row of a letter, later than it was written.
func erasure(kind byte, id letterID, now time.Time) store.Mutation {
	return store.Mutation{Key: rowKey(kind, id), Delete: true, Time: max(now.UnixMicro(), id.at()+1)}
}

// erase removes letters, which ascend.
func erase(ctx context.Context, st store.Store, inc store.Incarnation, ids []letterID, now time.Time) error {
	for len(ids) > 0 {
		n := 1
		for n < len(ids) && n < 1000 && ids[n].partition() == ids[0].partition() {
			n++
		}
		w := erasing(inc, ids[:n], now)
		if err := st.Write(ctx, w.Partition, w.Mutations); err != nil {
			return fmt.Errorf("remove dead letters: %w", err)
		}
		ids = ids[n:]
	}
	return nil
}

// erasing returns what removes letters of one day.
func erasing(inc store.Incarnation, ids []letterID, now time.Time) store.PartitionWrite {
	w := store.PartitionWrite{Partition: store.Partition{Table: store.Resource, Incarnation: inc, Key: ids[0].partition()}}
	for _, id := range ids {
		for _, kind := range []byte{metaRow, objectRow, queueRow} {
			w.Mutations = append(w.Mutations, erasure(kind, id, now))
		}
	}
	return w
}
