package profile

import (
	"context"

	"kith/api"
	"kith/domain"
	"kith/profile/fold"
	"kith/profile/write"
)

// What has expired is invisible at once: readers leave it out. The daily sweep removes it, and writes down what the history derives until
// then. A profile goes in steps, each of which may be the last for a while:
//
//	1  a record that it has expired, of the main profile, before anything of it is removed
//	2  contributions of imports with their index rows; what has expired of a head (write.Expire)
//	3  the head, which keeps the profile's time for a day (write.DropHead); the history becomes bare

// expired returns when the last of what a profile has has expired; 0: it has something, was merged or deleted, or never had anything.
func (p *past) expired(now int64) int64 {
	if p.gone() || p.State != nil && p.State.Into != nil {
		return 0
	}
	whole := p.Profile()
	if whole == nil || whole.Expires > now {
		return 0
	}
	return whole.Expires
}

// hidden says that nothing may be told of what the profile was: it was deleted, or has expired.
func (p *past) hidden(now int64) bool {
	merged := p.State != nil && p.State.Into != nil
	return p.gone() || !merged && (p.Profile() == nil || p.expired(now) > 0)
}

// noteExpiry notes that the profile has expired, unless a row says so already: some of it may have been swept.
func (s *Service) noteExpiry(ctx context.Context, rec *domain.Record, p *past) error {
	at := p.expired(s.Now().UnixMicro())
	if at == 0 {
		return nil
	}
	told, err := s.toldExpired(ctx, rec, p.ID, at)
	if err == nil && !told {
		p.note(expiryRecord(at))
	}
	return err
}

// toldExpired says whether a row of the history says that a profile has expired, at a time or later.
func (s *Service) toldExpired(ctx context.Context, rec *domain.Record, id ID, at int64) (bool, error) {
	for r, err := range write.Records(ctx, s.Store, rec.Incarnation, id, fold.EndOfTime) {
		if err != nil || r.At < at {
			return false, err
		}
		if r.Action == write.Expired {
			return true, nil
		}
	}
	return false, nil
}

func expiryRecord(at int64) historyRecord {
	return newRecord(at, 0, api.ActionTypeExpired, write.ByExpiry, "", false)
}

// noteExpiredObjects notes the objects of a head that have expired and were not swept yet.
func (s *Service) noteExpiredObjects(ctx context.Context, rec *domain.Record, p *past, id ID, h *fold.Head) error {
	gone, err := write.ExpiredObjects(ctx, s.Store, rec.Incarnation, id, h, s.Now().UnixMicro())
	if err != nil {
		return err
	}
	for _, c := range gone {
		if d, ok := recordOf(id, &write.Record{Change: *c}); ok && d.at > p.since(id) && d.at <= p.until() {
			p.note(d)
		}
	}
	return nil
}

// expire notes what has expired of a profile.
func (w *sweeping) expire(ctx context.Context, id ID, p *stored) error {
	person, err := w.s.expiredPerson(ctx, w.rec, id, p, w.now)
	if err != nil {
		return err
	}
	lives := int64(fold.EndOfTime) // until when the person does
	if person != nil {             // before anything of it goes
		if at := person.Profile(); at != nil {
			lives = at.Expires
			told, err := w.s.toldExpired(ctx, w.rec, person.ID, at.Expires)
			if err != nil {
				return err
			}
			if !told {
				d := expiryRecord(at.Expires)
				w.rewrite.history = append(w.rewrite.history, write.RecordRow(w.rec.Incarnation, person.ID, d.asChange(write.Expired)))
			}
		}
	}
	switch {
	case p.stale:
		w.stale = append(w.stale, id)
	case p.idle:
		err = write.DropHead(ctx, w.s.Store, w.rec, id, w.now, person != nil)
	case person != nil && p.Head == nil:
		err = write.BareHistory(ctx, w.s.Store, w.rec, id)
	}
	if err != nil {
		return err
	}
	return w.expireImports(ctx, id, lives)
}

// expireImports removes the contributions of a profile that have expired, and writes down which of them did while the person lived.
func (w *sweeping) expireImports(ctx context.Context, id ID, lives int64) error {
	gone, err := w.rewrite.expire(ctx, id, w.now)
	if err != nil {
		return err
	}
	for _, part := range gone {
		if part.Expires >= lives {
			continue
		}
		if w.imports == nil {
			if w.imports, err = w.s.Feed.Imports(ctx, w.rec.Incarnation); err != nil {
				return err
			}
		}
		d := expiredImport(w.imports, part)
		w.rewrite.history = append(w.rewrite.history, write.RecordRow(w.rec.Incarnation, id, d.asChange(write.ExpiredImport)))
	}
	return w.rewrite.flushMuch(ctx)
}

// expiredPerson returns the person that a profile belongs to, with what has expired, if nothing of it is visible; else nil. Its state is as
// it is believed.
func (s *Service) expiredPerson(ctx context.Context, rec *domain.Record, id ID, p *stored, now int64) (*stored, error) {
	if p.links == nil && p.Visible() {
		return nil, nil
	}
	all, err := s.consistently(ctx, func() (map[ID]*stored, error) { return s.readPeople(ctx, rec.Incarnation, []ID{id}, 0) })
	if err != nil {
		return nil, err
	}
	main := all[id]
	for main != nil && main.State != nil && main.State.Into != nil {
		main = all[main.State.Into.Main]
	}
	if main == nil || !main.isMain() {
		return nil, nil
	}
	if whole := main.Profile(); whole != nil && whole.Expires > now {
		return nil, nil
	}
	return main, nil
}
