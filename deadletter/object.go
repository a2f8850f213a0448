package deadletter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"kith/domain"
	"kith/store"
)

// note is the row that says which letter is that of an object. The id is zero when there is none.
type note struct {
	id      letterID
	version uint64
}

func notes(rec *domain.Record) store.Partition {
	return store.Partition{Table: store.Resource, Incarnation: rec.Incarnation, Key: notesKey}
}

func noteKey(l *Letter) []byte {
	sum := sha256.Sum256(append(append(binary.AppendUvarint(nil, uint64(len(l.ObjectType))), l.ObjectType...), l.UniqueKey...))
	return sum[:16]
}

// ofObject returns which letter is that of an object.
func (s *Service) ofObject(ctx context.Context, rec *domain.Record, l *Letter) (n note, err error) {
	row, err := s.Store.Get(ctx, notes(rec), noteKey(l))
	if errors.Is(err, store.ErrNotFound) {
		return n, nil
	}
	if err == nil && len(row.Value) != len(n.id) {
		err = fmt.Errorf("a row of %d bytes", len(row.Value))
	}
	if err != nil {
		return n, fmt.Errorf("read the dead letter of an object: %w", err)
	}
	return note{letterID(row.Value), row.Version}, nil
}

// stands says whether a letter is there, is not older than a day, and says what another one would say.
func (s *Service) stands(ctx context.Context, rec *domain.Record, id letterID, l *Letter) (bool, error) {
	if id.at() <= l.At-day.Microseconds() {
		return false, nil
	}
	row, err := s.Store.Get(ctx, store.Partition{Table: store.Resource, Incarnation: rec.Incarnation, Key: id.partition()}, rowKey(metaRow, id))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read a dead letter: %w", err)
	}
	m, err := decodeMeta(id, row.Value)
	if err != nil || m.Type != l.ObjectType || m.Reason != l.Reason || m.Bytes != int64(len(l.Object)) {
		return false, err
	}
	object, ok, err := s.object(ctx, rec.Incarnation, id)
	return ok && object == l.Object, err
}

// replace writes a letter, makes it that of its object, and removes the one before: by one Commit, as a whole where the store does that. Of two calls that bring the
// same object side by side the letter of the later one stays.
func (s *Service) replace(ctx context.Context, rec *domain.Record, l *Letter, old note, id letterID, letter store.PartitionWrite) error {
	for {
		if bytes.Compare(old.id[:], id[:]) > 0 { // and what attempts on a cluster have left goes
			return erase(ctx, s.Store, rec.Incarnation, []letterID{id}, s.Now())
		}
		g := store.Group{Before: []store.PartitionWrite{letter}, Partition: notes(rec), Swap: []store.Swap{{Key: noteKey(l), Value: id[:], Expect: old.version}}}
		if old.id != (letterID{}) {
			g.After = []store.PartitionWrite{erasing(rec.Incarnation, []letterID{old.id}, s.Now())}
		}
		version, err := s.Store.Commit(ctx, g)
		switch {
		case err == nil:
			return nil
		case version == 0 && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrUnknown):
			return err
		}
		before := old.id
		if old, err = s.ofObject(ctx, rec, l); err != nil {
			return err
		}
		if old.id != id {
			continue
		}
		if before == (letterID{}) { // it has happened, and the answer was lost
			return nil
		}
		return erase(ctx, s.Store, rec.Incarnation, []letterID{before}, s.Now())
	}
}

// dropNotes removes the rows of objects whose letters have gone. alive are letters that are known to be there.
func (s *Service) dropNotes(ctx context.Context, rec *domain.Record, alive map[letterID]bool) error {
	var gone []store.Swap
	for row, err := range s.Store.Scan(ctx, notes(rec), store.Range{}) {
		if err != nil {
			return fmt.Errorf("read the dead letters of objects: %w", err)
		}
		if id := letterID(row.Value); !alive[id] {
			_, err := s.Store.Get(ctx, store.Partition{Table: store.Resource, Incarnation: rec.Incarnation, Key: id.partition()}, rowKey(metaRow, id))
			if err == nil { // it came meanwhile
				continue
			}
			if !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("read a dead letter: %w", err)
			}
			gone = append(gone, store.Swap{Key: bytes.Clone(row.Key), Op: store.Delete, Expect: row.Version})
		}
	}
	for _, swap := range gone {
		_, err := s.Store.Swap(ctx, notes(rec), []store.Swap{swap})
		if err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrUnknown) { // else the next pass looks again
			return fmt.Errorf("remove the note of a dead letter: %w", err)
		}
	}
	return nil
}
