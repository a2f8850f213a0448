package deadletter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"kith/api"
	"kith/domain"
	"kith/internal/calm"
	"kith/store"
)

// The defaults of a Config.
const (
	DefaultKeep       = 14 * day
	DefaultMaxLetters = 50_000
	DefaultMaxBytes   = 256 << 20
	// MaxKeep is the longest that letters can be kept.
	MaxKeep = 366 * day
)

// Config is what operators choose. Zero values are the defaults.
type Config struct {
	Keep       time.Duration // how long letters are kept, at most MaxKeep
	MaxLetters int64         // of a domain
	MaxBytes   int64         // of the objects of a domain's letters
	// Endpoint is the base URL of the SQS-compatible service that all queues are at; "" takes it from each queue's URL.
	Endpoint string
}

// Service owns the dead letters.
type Service struct {
	Store   store.Store
	Domains *domain.Service
	Now     func() time.Time
	Log     *slog.Logger
	Config  Config
	// Put puts an object as PutProfileObject does.
	Put func(context.Context, *api.PutProfileObjectRequest) (*api.PutProfileObjectResponse, error)
	// Wake makes the sender of a domain run.
	Wake func(store.Incarnation)
	// Queue sends letters; nil is SQS.
	Queue Queue

	once   sync.Once
	calm   calm.Log
	stats  counters
	fresh  sync.Map // incarnation → *fresh
	passed sync.Map // incarnations that CleanUp has looked at as a whole
}

// Letter is an object that could not be attached.
type Letter struct {
	At         int64  // microseconds; 0 is now
	ObjectType string // its type's name
	Reason     string // a sentence that says why, without anything of the object
	Object     string // the JSON text as it was put
	// UniqueKey is the object's ProfileObjectUniqueKey: a letter replaces that of the same object. "": it replaces none.
	UniqueKey string
}

// fresh counts what this process has kept in a domain since the room was looked at.
type fresh struct{ letters, bytes atomic.Int64 }

// counters are what the process has done with letters.
type counters struct{ kept, crowded, sent, failed atomic.Int64 }

// Stats tells what this process has done with letters: kept them, removed them for want of room, sent them to queues, and failed to.
func (s *Service) Stats() (kept, crowded, sent, failed int64) {
	return s.stats.kept.Load(), s.stats.crowded.Load(), s.stats.sent.Load(), s.stats.failed.Load()
}

func (s *Service) keep() time.Duration {
	if s.Config.Keep == 0 {
		return DefaultKeep
	}
	return min(s.Config.Keep, MaxKeep)
}

func (s *Service) room() (letters, bytes int64) {
	letters, bytes = s.Config.MaxLetters, s.Config.MaxBytes
	if letters == 0 {
		letters = DefaultMaxLetters
	}
	if bytes == 0 {
		bytes = DefaultMaxBytes
	}
	return letters, bytes
}

// Keep keeps a letter: it is durable when Keep returns nil. It takes the place of an older letter of the same object; one of this day that says
// the same stays instead. In a replay it keeps none, because the letter is there already.
func (s *Service) Keep(ctx context.Context, rec *domain.Record, l Letter) error {
	if r, ok := ctx.Value(replayKey{}).(*replayed); ok {
		r.refused, r.reason = true, l.Reason
		return nil
	}
	if l.At == 0 {
		l.At = s.Now().UnixMicro()
	}
	kept, err := s.write(ctx, rec, &l)
	if err != nil {
		return fmt.Errorf("keep a dead letter: %w", err)
	}
	if !kept {
		return nil
	}
	s.stats.kept.Add(1)
	if rec.DeadLetterQueueURL != "" && s.Wake != nil {
		s.Wake(rec.Incarnation)
	}
	s.crowd(context.WithoutCancel(ctx), rec, int64(len(l.Object)))
	return nil
}

// write writes a letter; kept is false when one that says the same stands.
func (s *Service) write(ctx context.Context, rec *domain.Record, l *Letter) (kept bool, err error) {
	id := newID(l.At)
	letter, err := l.rows(rec, id)
	if err != nil {
		return false, err
	}
	if l.UniqueKey == "" {
		return true, s.Store.Write(ctx, letter.Partition, letter.Mutations)
	}
	old, err := s.ofObject(ctx, rec, l)
	if err != nil {
		return false, err
	}
	if same, err := s.stands(ctx, rec, old.id, l); same || err != nil {
		return false, err
	}
	return true, s.replace(ctx, rec, l, old, id, letter)
}

// rows returns what writes a letter.
func (l *Letter) rows(rec *domain.Record, id letterID) (store.PartitionWrite, error) {
	m := &meta{id: id, Type: l.ObjectType, Reason: l.Reason, Bytes: int64(len(l.Object))}
	w := store.PartitionWrite{Partition: store.Partition{Table: store.Resource, Incarnation: rec.Incarnation, Key: id.partition()}}
	value, err := m.encode()
	w.Mutations = []store.Mutation{
		{Key: rowKey(metaRow, id), Value: value, Time: l.At},
		{Key: rowKey(objectRow, id), Value: []byte(l.Object), Time: l.At},
	}
	if rec.DeadLetterQueueURL != "" {
		w.Mutations = append(w.Mutations, store.Mutation{Key: rowKey(queueRow, id), Time: l.At})
	}
	return w, err
}

// crowd makes room when much has been kept since that was done last. What goes wrong is left to the next letter and to CleanUp.
func (s *Service) crowd(ctx context.Context, rec *domain.Record, bytes int64) {
	v, _ := s.fresh.LoadOrStore(rec.Incarnation, &fresh{})
	f := v.(*fresh)
	letters, n := f.letters.Add(1), f.bytes.Add(bytes)
	maxLetters, maxBytes := s.room()
	if letters < max(1, maxLetters/16) && n < max(1, maxBytes/16) {
		return
	}
	if !f.letters.CompareAndSwap(letters, 0) { // another call has come behind this one, and sees to it
		return
	}
	f.bytes.Add(-n)
	if err := s.trim(ctx, rec, s.Now().Add(-s.keep()).Add(-day)); err != nil {
		s.calm.Failing(s.Log, "room", "old dead letters could not be removed; it is tried again", "domain", rec.Name, "error", err)
		return
	}
	s.calm.Well(s.Log, "room")
}

// trim removes the letters that came before the time to keep them and, oldest first, those that there is no room for. It looks at what came
// from a time on.
func (s *Service) trim(ctx context.Context, rec *domain.Record, from time.Time) error {
	now := s.Now()
	old := now.Add(-s.keep()).UnixMicro()
	type sized struct {
		id    letterID
		bytes int64
	}
	var all []sized
	var gone []letterID
	total := int64(0)
	for row, err := range rows(ctx, s.Store, rec.Incarnation, metaRow, since(from.UnixMicro(), now)) {
		if err != nil {
			return err
		}
		if row.id.at() < old {
			if gone = append(gone, row.id); len(gone) == 1000 {
				if err := erase(ctx, s.Store, rec.Incarnation, gone, now); err != nil {
					return err
				}
				gone = gone[:0]
			}
			continue
		}
		m, err := decodeMeta(row.id, row.value)
		if err != nil {
			return err
		}
		all = append(all, sized{row.id, m.Bytes})
		total += m.Bytes
	}
	letters, bytes := s.room()
	crowded := 0
	for crowded < len(all) && (int64(len(all)-crowded) > letters || total > bytes) {
		total -= all[crowded].bytes
		gone = append(gone, all[crowded].id)
		crowded++
	}
	if err := erase(ctx, s.Store, rec.Incarnation, gone, now); err != nil {
		return err
	}
	if crowded > 0 {
		s.stats.crowded.Add(int64(crowded))
		s.Log.Warn("a domain has more dead letters than there is room for; the oldest were removed", "domain", rec.Name, "removed", crowded)
	}
	alive := make(map[letterID]bool, len(all)-crowded)
	for _, l := range all[crowded:] {
		alive[l.id] = true
	}
	return s.dropNotes(ctx, rec, alive)
}

// CleanUp removes the letters of a domain that are older than they are kept, and those that there is no room for. The first time in a process
// it looks as far back as letters can ever have been kept, because the setting may have been changed.
func (s *Service) CleanUp(ctx context.Context, rec *domain.Record) error {
	from := s.Now().Add(-s.keep()).Add(-2 * day)
	_, passed := s.passed.Load(rec.Incarnation)
	if !passed {
		from = s.Now().Add(-MaxKeep).Add(-2 * day)
	}
	if err := s.trim(ctx, rec, from); err != nil {
		return err
	}
	s.passed.Store(rec.Incarnation, true)
	return nil
}

// Forget drops what this process remembers of a domain that is gone.
func (s *Service) Forget(inc store.Incarnation) {
	s.fresh.Delete(inc)
	s.passed.Delete(inc)
}

// object returns the object of a letter; ok is false when the letter has gone.
func (s *Service) object(ctx context.Context, inc store.Incarnation, id letterID) (text string, ok bool, err error) {
	row, err := s.Store.Get(ctx, store.Partition{Table: store.Resource, Incarnation: inc, Key: id.partition()}, rowKey(objectRow, id))
	if errors.Is(err, store.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read a dead letter: %w", err)
	}
	return string(row.Value), true, nil
}
