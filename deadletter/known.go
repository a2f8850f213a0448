package deadletter

import (
	"context"
	"iter"
	"time"

	"kith/domain"
)

// KnownLetter is a letter as who looks for a person's data sees it.
type KnownLetter struct {
	ID       string
	Received time.Time
	Type     string
	Reason   string
	Object   string

	id letterID
}

// Known streams all letters of a domain, oldest first, with their objects.
func (s *Service) Known(ctx context.Context, rec *domain.Record) iter.Seq2[KnownLetter, error] {
	return func(yield func(KnownLetter, error) bool) {
		all, err := s.from(nil)
		if err != nil {
			yield(KnownLetter{}, err)
			return
		}
		for row, err := range rows(ctx, s.Store, rec.Incarnation, metaRow, all) {
			var m *meta
			if err == nil {
				m, err = decodeMeta(row.id, row.value)
			}
			if err != nil {
				yield(KnownLetter{}, err)
				return
			}
			object, ok, err := s.object(ctx, rec.Incarnation, m.id)
			if err == nil && !ok { // it went meanwhile
				continue
			}
			l := KnownLetter{ID: m.id.String(), Received: time.UnixMicro(m.id.at()).UTC(), Type: m.Type, Reason: m.Reason, Object: object, id: m.id}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// Remove removes a letter.
func (s *Service) Remove(ctx context.Context, rec *domain.Record, l KnownLetter) error {
	return erase(ctx, s.Store, rec.Incarnation, []letterID{l.id}, s.Now())
}
