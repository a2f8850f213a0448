package deadletter

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/internal/restjson"
	"kith/store"
)

const (
	defaultPage = 20
	// maxPageBytes ends a page early whose objects are large.
	maxPageBytes = 4 << 20
	// defaultReplay is how many letters a call replays when it does not say.
	defaultReplay = 100
)

// ListDeadLetters lists the letters of a domain, oldest first, with their objects.
func (s *Service) ListDeadLetters(ctx context.Context, in *api.ListDeadLettersRequest) (*api.ListDeadLettersResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	span, err := s.from(in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := defaultPage
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	found, more, err := s.find(ctx, rec, span, api.Val(in.ObjectTypeName), limit, maxPageBytes)
	if err != nil {
		return nil, err
	}
	out := &api.ListDeadLettersResponse{Items: []api.DeadLetter{}}
	for _, m := range found {
		object, ok, err := s.object(ctx, rec.Incarnation, m.id)
		if err != nil {
			return nil, err
		}
		if !ok { // it went meanwhile
			continue
		}
		_, err = s.Store.Get(ctx, store.Partition{Table: store.Resource, Incarnation: rec.Incarnation, Key: m.id.partition()}, rowKey(queueRow, m.id))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		out.Items = append(out.Items, api.DeadLetter{
			DeadLetterId: api.Ptr(m.id.String()), ReceivedAt: at(m.id), ObjectTypeName: &m.Type, Reason: &m.Reason, Object: &object,
			ToBeSent: api.Ptr(err == nil),
		})
	}
	if more {
		out.NextToken = api.Ptr(found[len(found)-1].id.String())
	}
	return out, nil
}

func at(id letterID) *restjson.Time { return restjson.At(time.UnixMicro(id.at()).UTC()) }

// from is the span of all letters that are kept, behind a cursor if there is one.
func (s *Service) from(cursor *string) (span, error) {
	now := s.Now()
	all := since(now.Add(-s.keep()).UnixMicro(), now)
	if cursor != nil {
		id, ok := parseID(*cursor)
		if !ok {
			return span{}, fault.BadRequestf("NextToken is not valid: begin without one.")
		}
		if id = id.next(); bytes.Compare(id[:], all.from[:]) > 0 {
			all.from = id
		}
	}
	return all, nil
}

// find returns the first letters of a span and of a type, "" for any, and whether there are more. It ends behind the letter by which their
// objects are larger than maxBytes together; 0 bounds nothing.
func (s *Service) find(ctx context.Context, rec *domain.Record, in span, objectType string, limit int, maxBytes int64) (found []*meta, more bool, err error) {
	total := int64(0)
	for row, err := range rows(ctx, s.Store, rec.Incarnation, metaRow, in) {
		if err != nil {
			return nil, false, err
		}
		m, err := decodeMeta(row.id, row.value)
		if err != nil {
			return nil, false, err
		}
		if objectType != "" && m.Type != objectType {
			continue
		}
		if len(found) == limit || maxBytes > 0 && total > maxBytes {
			return found, true, nil
		}
		found = append(found, m)
		total += m.Bytes
	}
	return found, false, nil
}

// named returns the letters that a caller names, oldest first. One that there is not is fault.NotFound.
func (s *Service) named(ctx context.Context, rec *domain.Record, ids []string) ([]*meta, error) {
	old := s.Now().Add(-s.keep()).UnixMicro()
	var found []*meta
	for _, text := range ids {
		id, ok := parseID(text)
		var row store.Row
		err := store.ErrNotFound
		if ok && id.at() >= old {
			row, err = s.Store.Get(ctx, store.Partition{Table: store.Resource, Incarnation: rec.Incarnation, Key: id.partition()}, rowKey(metaRow, id))
		}
		if errors.Is(err, store.ErrNotFound) {
			return nil, fault.NotFoundf("Dead letter %s is not found in domain %s: it was replayed, deleted, replaced by a newer one of its object, or is too old. ListDeadLetters tells what there is.", text, rec.Name)
		}
		if err != nil {
			return nil, err
		}
		m, err := decodeMeta(id, row.Value)
		if err != nil {
			return nil, err
		}
		found = append(found, m)
	}
	slices.SortFunc(found, func(a, b *meta) int { return bytes.Compare(a.id[:], b.id[:]) })
	return slices.CompactFunc(found, func(a, b *meta) bool { return a.id == b.id }), nil
}

// chosen returns the letters that a call is about: those it names, or a page of all that match.
func (s *Service) chosen(ctx context.Context, rec *domain.Record, ids []string, objectType, cursor *string, limit int) (found []*meta, next *string, err error) {
	if ids != nil {
		if objectType != nil || cursor != nil {
			return nil, nil, fault.BadRequestf("DeadLetterIds names the letters; leave out ObjectTypeName and NextToken, or DeadLetterIds.")
		}
		found, err = s.named(ctx, rec, ids)
		return found, nil, err
	}
	in, err := s.from(cursor)
	if err != nil {
		return nil, nil, err
	}
	found, more, err := s.find(ctx, rec, in, api.Val(objectType), limit, 0)
	if more {
		next = api.Ptr(found[len(found)-1].id.String())
	}
	return found, next, err
}

type replayKey struct{}

// replayed is what became of an object that is put again.
type replayed struct {
	refused bool
	reason  string
}

// ReplayDeadLetters puts the objects of letters again, oldest first, and removes the letters whose objects are attached now. An object that
// can't be attached stays the letter it is. It may be repeated after any failure: an object that is put twice replaces itself.
func (s *Service) ReplayDeadLetters(ctx context.Context, in *api.ReplayDeadLettersRequest) (*api.ReplayDeadLettersResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	limit := defaultReplay
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	letters, next, err := s.chosen(ctx, rec, in.DeadLetterIds, in.ObjectTypeName, in.NextToken, limit)
	if err != nil {
		return nil, err
	}
	out := &api.ReplayDeadLettersResponse{Attached: api.Ptr(int64(0)), Failed: []api.DeadLetterFailure{}, NextToken: next}
	for _, m := range letters {
		object, ok, err := s.object(ctx, rec.Incarnation, m.id)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		reason, err := s.replay(ctx, rec, m, object)
		if err != nil {
			return nil, err
		}
		if reason != "" {
			out.Failed = append(out.Failed, api.DeadLetterFailure{DeadLetterId: api.Ptr(m.id.String()), Reason: &reason})
			continue
		}
		if err := erase(ctx, s.Store, rec.Incarnation, []letterID{m.id}, s.Now()); err != nil {
			return nil, err
		}
		*out.Attached++
	}
	return out, nil
}

// replay puts the object of a letter again. reason says why it can't be attached, "" that it is.
func (s *Service) replay(ctx context.Context, rec *domain.Record, m *meta, object string) (reason string, err error) {
	outcome := &replayed{}
	_, err = s.Put(context.WithValue(ctx, replayKey{}, outcome), &api.PutProfileObjectRequest{DomainName: &rec.Name, ObjectTypeName: &m.Type, Object: &object})
	switch {
	case errors.Is(err, fault.BadRequest) || errors.Is(err, fault.NotFound):
		return fault.Message(err), nil
	case err != nil:
		return "", err
	case outcome.refused:
		return outcome.reason, nil
	}
	return "", nil
}

// DeleteDeadLetters removes letters: those that are named, those of a type, or all. It answers how many there were.
func (s *Service) DeleteDeadLetters(ctx context.Context, in *api.DeleteDeadLettersRequest) (*api.DeleteDeadLettersResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	if in.DeadLetterIds == nil && in.ObjectTypeName == nil && !api.Val(in.All) {
		return nil, fault.BadRequestf("Say which dead letters are to be deleted: DeadLetterIds, ObjectTypeName, or All as true.")
	}
	if api.Val(in.All) && (in.DeadLetterIds != nil || in.ObjectTypeName != nil) {
		return nil, fault.BadRequestf("All is for every dead letter of the domain; leave out DeadLetterIds and ObjectTypeName, or All.")
	}
	out := &api.DeleteDeadLettersResponse{Deleted: api.Ptr(int64(0))}
	for cursor := (*string)(nil); ; {
		letters, next, err := s.chosen(ctx, rec, in.DeadLetterIds, in.ObjectTypeName, cursor, 1000)
		if err != nil {
			return nil, err
		}
		var ids []letterID
		for _, m := range letters {
			ids = append(ids, m.id)
		}
		if err := erase(ctx, s.Store, rec.Incarnation, ids, s.Now()); err != nil {
			return nil, err
		}
		*out.Deleted += int64(len(ids))
		if next == nil {
			return out, nil
		}
		cursor = next
	}
}
