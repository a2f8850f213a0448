package resource

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"kith/store"
)

// partBytes is how much of a text a row holds: far below store.MaxValue, since large cells hurt a cluster.
const partBytes = 1 << 20

// writeTime is how long a writer of a text has before Tidy ends it.
const writeTime = time.Hour

// textName is what a record knows of its text. At is the time of the parts' rows, in microseconds.
type textName struct {
	ID    string
	Bytes int
	At    int64
}

// pending is the stored form of an "x/" row.
type pending struct {
	Garbage bool `json:",omitzero"` // nobody will name the text any more
	Text    textName
}

// writing is a text that no record names, and its "x/" row.
type writing struct {
	at      Scope
	part    store.Partition
	pending pending
	version uint64 // of the row
	text    string
}

func (w *writing) key() []byte { return []byte(pendingPrefix + w.pending.Text.ID) }

// put returns the Swap that puts the row, in place of the version it has.
func (w *writing) put() (store.Swap, error) {
	value, err := encode(w.pending)
	return store.Swap{Key: w.key(), Value: value, Expect: w.version}, err
}

// name returns the Swap that goes with a record which names the text: the row ends, if Tidy has not ended the writer.
func (w *writing) name() store.Swap {
	return store.Swap{Key: w.key(), Op: store.Delete, Expect: w.version}
}

// writeText writes a text under a new name. w is what the caller has written before: it serves again if it is the same text, and
// is dropped if not.
func (k Kind[R]) writeText(ctx context.Context, at Scope, w *writing, text string) (*writing, error) {
	if w != nil && w.text == text {
		row, err := at.Store.Get(ctx, w.part, w.key())
		if err == nil && row.Version == w.version {
			return w, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return w, fmt.Errorf("read the state of a text: %w", err)
		}
	}
	w.drop(ctx)
	w, err := k.beginText(ctx, at, text)
	for errors.Is(err, store.ErrUnknown) { // a row that has come to be, or yet comes, is Tidy's
		w, err = k.beginText(ctx, at, text)
	}
	if err != nil {
		return nil, fmt.Errorf("begin to write a text: %w", err)
	}
	for i := 0; i*partBytes < len(text); i++ {
		part := text[i*partBytes : min((i+1)*partBytes, len(text))]
		m := store.Mutation{Key: partKey(i), Value: []byte(part), Time: w.pending.Text.At}
		if err := at.Store.Write(ctx, textPartition(at.Incarnation, w.pending.Text.ID), []store.Mutation{m}); err != nil {
			return w, fmt.Errorf("write a text: %w", err)
		}
	}
	return w, nil
}

// beginText puts the row of a text under a new name.
func (k Kind[R]) beginText(ctx context.Context, at Scope, text string) (*writing, error) {
	var id [16]byte
	_, _ = rand.Read(id[:])
	w := &writing{
		at: at, part: partition(at.Incarnation, k.Name), text: text,
		pending: pending{Text: textName{ID: hex.EncodeToString(id[:]), Bytes: len(text), At: at.Now().UnixMicro()}},
	}
	op, err := w.put()
	if err != nil {
		return nil, err
	}
	w.version, err = at.Store.Swap(ctx, w.part, []store.Swap{op})
	return w, err
}

// drop removes a text that no record names, and its row. What fails is left to Tidy: the row stays until the parts are gone.
func (w *writing) drop(ctx context.Context) {
	if w == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second) // also for a caller that has gone
	defer cancel()
	_ = w.remove(ctx)
}

func (w *writing) remove(ctx context.Context) error {
	t := w.pending.Text
	var ms []store.Mutation
	for i := 0; i*partBytes < t.Bytes; i++ {
		ms = append(ms, store.Mutation{Key: partKey(i), Delete: true, Time: t.At})
	}
	if len(ms) > 0 {
		if err := w.at.Store.Write(ctx, textPartition(w.at.Incarnation, t.ID), ms); err != nil {
			return fmt.Errorf("remove a text: %w", err)
		}
	}
	_, err := w.at.Store.Swap(ctx, w.part, []store.Swap{{Key: w.key(), Op: store.Delete, Expect: w.version}})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("forget a text: %w", err)
	}
	return nil
}

func partKey(i int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(i)) }

func textPartition(inc store.Incarnation, id string) store.Partition {
	return store.Partition{Table: store.Resource, Incarnation: inc, Key: "t/" + id}
}

// Read returns a resource with its text, "" if it has none, or fault.NotFound. The two belong together, whoever writes.
func (k Kind[R]) Read(ctx context.Context, at Scope, name string) (*Record[R], string, error) {
	for torn := ""; ; {
		r, err := k.Get(ctx, at, name)
		if err != nil || r.text == nil {
			return r, "", err
		}
		if at.Room != nil {
			if err := at.Room.take(ctx, 2*r.text.Bytes); err != nil { // once as it is, once in the answer
				return nil, "", err
			}
		}
		text, err := readText(ctx, at, *r.text)
		if err == nil || !errors.Is(err, errTorn) {
			return r, text, err
		}
		if torn == r.text.ID { // nobody has changed the record: the parts should be there
			return nil, "", fmt.Errorf("the text of a resource of kind %s: %w", k.Name, err)
		}
		torn = r.text.ID
	}
}

// errTorn says that parts of a text are not there: it has been replaced, or the store is damaged.
var errTorn = errors.New("parts are missing")

func readText(ctx context.Context, at Scope, t textName) (string, error) {
	var b strings.Builder
	b.Grow(t.Bytes)
	for row, err := range at.Store.Scan(ctx, textPartition(at.Incarnation, t.ID), store.Range{}) {
		if err != nil {
			return "", fmt.Errorf("read a text: %w", err)
		}
		if string(row.Key) != string(partKey(b.Len()/partBytes)) {
			return "", errTorn
		}
		b.Write(row.Value)
	}
	if b.Len() != t.Bytes {
		return "", errTorn
	}
	return b.String(), nil
}

// Tidy removes the texts of a kind that writers left behind that died.
func (k Kind[R]) Tidy(ctx context.Context, at Scope) error {
	part := partition(at.Incarnation, k.Name)
	rows, err := store.Collect(at.Store.Scan(ctx, part, store.Prefix(pendingPrefix)))
	if err != nil {
		return fmt.Errorf("look for texts left behind: %w", err)
	}
	for _, row := range rows {
		w := &writing{at: at, part: part, version: row.Version}
		if err := decode(row.Value, &w.pending); err != nil {
			return err
		}
		if !w.pending.Garbage {
			if at.Now().Sub(time.UnixMicro(w.pending.Text.At)) < writeTime {
				continue
			}
			w.pending.Garbage = true // from here on the writer can't publish
			op, err := w.put()
			if err != nil {
				return err
			}
			w.version, err = at.Store.Swap(ctx, part, []store.Swap{op})
			if errors.Is(err, store.ErrConflict) {
				continue
			}
			if err != nil {
				return fmt.Errorf("end the writer of a text: %w", err)
			}
		}
		if err := w.remove(ctx); err != nil {
			return err
		}
	}
	return nil
}
