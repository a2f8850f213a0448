package profile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/store"
)

// Service owns the profiles.
type Service struct {
	Store   store.Store
	Domains *domain.Service
	Now     func() time.Time
	// Imports tells about upload jobs.
	Imports ImportLog

	stats statsCache
}

// Reader gathers the rows of one profile's partition, in the order of their keys, and folds them. Reset makes it ready for the
// next; what it returns is good until then.
type Reader struct {
	parts []sourced
	ties  *ties           // what decided merges have left
	dead  bool            // deleted, or gone into another profile
	pool  []*Contribution // parts use them from the front

	merged func(mergeID) (bool, error)
}

// NewReader returns a reader of profiles of an incarnation. The context is for asking whether a merge has happened that was cut
// off on its way.
func NewReader(ctx context.Context, st store.Store, inc store.Incarnation) *Reader {
	return &Reader{merged: func(m mergeID) (bool, error) {
		rec, err := loadMerge(ctx, st, inc, m)
		return rec != nil && rec.State == mergeDone, err
	}}
}

// Reset forgets all rows.
func (r *Reader) Reset() { r.parts, r.ties, r.dead = r.parts[:0], nil, false }

// Sources lists where the visible contributions come from.
func (r *Reader) Sources() []string {
	var all []string
	for _, part := range r.parts {
		all = append(all, part.source)
	}
	return all
}

// Depth is the number of visible contributions.
func (r *Reader) Depth() int { return len(r.parts) }

// Add takes in a row as of a moment in microseconds.
func (r *Reader) Add(row store.Row, now int64) error {
	if IsContribution(row.Key) {
		expires, err := expiry(row.Value)
		if err != nil {
			return err
		}
		source := sourceOf(row.Key)
		if expires <= now || !r.ties.knows(source) {
			return nil
		}
		if len(r.pool) == len(r.parts) {
			r.pool = append(r.pool, &Contribution{})
		}
		c := r.pool[len(r.parts)]
		if err := c.decode(row.Value); err != nil {
			return err
		}
		if row.Value[0] == contributionV2 {
			c.Values = slices.DeleteFunc(c.Values, func(v Value) bool { return v.Expires != 0 && v.Expires <= now })
		}
		r.parts = append(r.parts, sourced{source, c})
		return nil
	}
	switch string(row.Key) {
	case string(tombstoneKey):
		r.dead = true
	case string(tiesKey):
		t, err := decodeTies(row.Value)
		if err == nil {
			err = t.settle(r.merged)
		}
		if err != nil {
			return err
		}
		r.ties = t
		r.dead = r.dead || t.Into != nil
	}
	return nil
}

// Profile returns the fold of what was added, or nil when no profile is visible.
func (r *Reader) Profile(id ID) *Profile {
	if r.dead || len(r.parts) == 0 {
		return nil
	}
	return foldAll(id, r.parts, r.ties)
}

// With returns the fold as it will be when c, from source, has been added.
func (r *Reader) With(id ID, source string, c *Contribution) *Profile {
	return foldAll(id, append(slices.Clip(r.parts), sourced{source, c}), r.ties)
}

// Mixed returns the keys of several attributes that a contribution can have part in when what was added brings the rest.
func (r *Reader) Mixed(c *Contribution, own []domain.Key) []IndexKey { return mixed(c, r.parts, own) }

// Load returns a visible profile, or nil when there is none.
func (s *Service) Load(ctx context.Context, inc store.Incarnation, id ID) (*Profile, error) {
	r, err := s.read(ctx, inc, id)
	if err != nil {
		return nil, err
	}
	return r.Profile(id), nil
}

// read returns a reader with all rows of a profile.
func (s *Service) read(ctx context.Context, inc store.Incarnation, id ID) (*Reader, error) {
	r := NewReader(ctx, s.Store, inc)
	now := s.Now().UnixMicro()
	for row, err := range s.Store.Scan(ctx, Partition(inc, id), store.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("read a profile: %w", err)
		}
		if err := r.Add(row, now); err != nil {
			return nil, fmt.Errorf("profile %s: %w", id, err)
		}
	}
	return r, nil
}

// BatchGetProfile returns profiles in the order of the request, duplicates once; ids without a profile are in Errors.
func (s *Service) BatchGetProfile(ctx context.Context, in *api.BatchGetProfileRequest) (*api.BatchGetProfileResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	out := &api.BatchGetProfileResponse{Profiles: []api.Profile{}, Errors: []api.BatchGetProfileError{}}
	ids := make([]ID, 0, len(in.ProfileIds))
	for _, text := range in.ProfileIds {
		id, _ := ParseID(text)
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	found := make(map[string]*api.Profile, len(ids))
	err = s.loadMany(ctx, rec.Incarnation, ids, func(id ID, p *Profile) bool {
		if p != nil {
			found[id.String()] = p.wire()
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	for i, text := range in.ProfileIds {
		switch p := found[text]; {
		case slices.Contains(in.ProfileIds[:i], text):
		case p != nil:
			out.Profiles = append(out.Profiles, *p)
		default:
			out.Errors = append(out.Errors, api.BatchGetProfileError{
				Code: api.Ptr(string(fault.NotFound)), ProfileId: &text,
				Message: api.Ptr(fmt.Sprintf("Profile %s is not found in domain %s.", text, rec.Name)),
			})
		}
	}
	return out, nil
}

// DeleteProfile removes a profile and everything attached to it. Its id is dead for good.
func (s *Service) DeleteProfile(ctx context.Context, in *api.DeleteProfileRequest) (*api.DeleteProfileResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	id, _ := ParseID(*in.ProfileId)
	if err := patiently(ctx, func() error { return s.delete(ctx, rec, id) }); err != nil {
		return nil, err
	}
	return &api.DeleteProfileResponse{Message: api.Ptr("OK")}, nil
}

// delete deletes a profile. errBusy: a merge of it is under way, or was faster.
func (s *Service) delete(ctx context.Context, rec *domain.Record, id ID) error {
	h := &held{id: id}
	if err := s.hold(ctx, rec.Incarnation, h); err != nil {
		return err
	}
	p, err := s.Load(ctx, rec.Incarnation, id)
	if err != nil {
		return err
	}
	if p == nil {
		return fault.NotFoundf("Profile %s is not found in domain %s.", id, rec.Name)
	}
	// The tombstone hides everything at once; what follows may be cut off, the sweep goes on with it.
	value, err := json.Marshal(grave{s.Now().UnixMicro(), caller(ctx)})
	if err != nil {
		return err
	}
	_, err = s.Store.Swap(ctx, Partition(rec.Incarnation, id), []store.Swap{
		{Key: tombstoneKey, Value: value},
		{Key: tiesKey, Op: store.Check, Expect: h.version},
	})
	if errors.Is(err, store.ErrConflict) {
		return errBusy
	}
	if err != nil {
		return fmt.Errorf("delete a profile: %w", err)
	}
	return s.bury(ctx, rec, id)
}

// IndexKeys returns all keys a contribution has index rows for, each once.
func (c *Contribution) IndexKeys(own []domain.Key) []IndexKey {
	var all []IndexKey
	add := func(name, value string) {
		if k := (IndexKey{name, value}); !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	Keys(c.Values, own, add)
	for _, k := range c.Extra {
		add(k.Name, k.Value)
	}
	return all
}

// wire returns the profile in the API's form. Unset attributes are omitted.
func (p *Profile) wire() *api.Profile {
	out := &api.Profile{ProfileId: api.Ptr(p.ID.String())}
	for i := range p.Values {
		v := &p.Values[i]
		if base, part := v.Attr.AddressPart(); base != 0 {
			*addressPart(out, base, part) = &v.Text
			continue
		}
		switch v.Attr.ID {
		case 0:
			if out.Attributes == nil {
				out.Attributes = map[string]string{}
			}
			out.Attributes[v.Attr.Custom] = v.Text
		case objecttype.PartyType:
			out.PartyType = api.Ptr(api.PartyType(v.Text))
		case objecttype.Gender:
			out.Gender = api.Ptr(api.Gender(v.Text))
		case objecttype.ProfileType:
			out.ProfileType = api.Ptr(api.ProfileType(v.Text))
		default:
			if dst := scalar(out, v.Attr.ID); dst != nil {
				*dst = &v.Text
			}
		}
	}
	return out
}

func scalar(p *api.Profile, id uint16) **string {
	switch id {
	case objecttype.AccountNumber:
		return &p.AccountNumber
	case objecttype.AdditionalInformation:
		return &p.AdditionalInformation
	case objecttype.BusinessName:
		return &p.BusinessName
	case objecttype.FirstName:
		return &p.FirstName
	case objecttype.MiddleName:
		return &p.MiddleName
	case objecttype.LastName:
		return &p.LastName
	case objecttype.BirthDate:
		return &p.BirthDate
	case objecttype.PhoneNumber:
		return &p.PhoneNumber
	case objecttype.MobilePhoneNumber:
		return &p.MobilePhoneNumber
	case objecttype.HomePhoneNumber:
		return &p.HomePhoneNumber
	case objecttype.BusinessPhoneNumber:
		return &p.BusinessPhoneNumber
	case objecttype.EmailAddress:
		return &p.EmailAddress
	case objecttype.PersonalEmailAddress:
		return &p.PersonalEmailAddress
	case objecttype.BusinessEmailAddress:
		return &p.BusinessEmailAddress
	case objecttype.PartyTypeString:
		return &p.PartyTypeString
	case objecttype.GenderString:
		return &p.GenderString
	}
	return nil
}

func addressPart(p *api.Profile, base uint16, part int) **string {
	var block **api.Address
	switch base {
	case objecttype.Address:
		block = &p.Address
	case objecttype.ShippingAddress:
		block = &p.ShippingAddress
	case objecttype.MailingAddress:
		block = &p.MailingAddress
	default:
		block = &p.BillingAddress
	}
	if *block == nil {
		*block = &api.Address{}
	}
	a := *block
	return [...]**string{&a.Address1, &a.Address2, &a.Address3, &a.Address4, &a.City, &a.County, &a.State, &a.Province, &a.Country, &a.PostalCode}[part]
}
