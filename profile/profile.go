package profile

import (
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
	for i, text := range in.ProfileIds {
		if slices.Contains(in.ProfileIds[:i], text) {
			continue
		}
		id, _ := ParseID(text)
		p, err := s.Load(ctx, rec.Incarnation, id)
		if err != nil {
			return nil, err
		}
		if p == nil {
			out.Errors = append(out.Errors, api.BatchGetProfileError{
				Code: api.Ptr(string(fault.NotFound)), ProfileId: &text,
				Message: api.Ptr(fmt.Sprintf("Profile %s is not found in domain %s.", text, rec.Name)),
			})
			continue
		}
		out.Profiles = append(out.Profiles, *p.wire())
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
	deadline := time.Now().Add(mergePatience)
	for {
		err := s.delete(ctx, rec, id)
		if err == nil {
			return &api.DeleteProfileResponse{Message: api.Ptr("OK")}, nil
		}
		if !errors.Is(err, errBusy) {
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, fault.Throttledf("Merges of profile %s are under way. Try again.", id)
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
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

// bury removes what a deleted profile is made of, and what the profiles were made of that had come into it.
func (s *Service) bury(ctx context.Context, rec *domain.Record, id ID) error {
	all := func(string, int64) bool { return true }
	t, version, err := tiesOf(ctx, s.Store, rec.Incarnation, id)
	if err != nil {
		return err
	}
	if t != nil {
		var clearOf func(of []merged) error
		clearOf = func(of []merged) error {
			for _, m := range of {
				for _, b := range m.From {
					if m.Open { // nobody knows whether it has come
						continue
					}
					if err := s.clear(ctx, rec, b.ID, all); err != nil {
						return err
					}
					if err := clearOf(b.Of); err != nil {
						return err
					}
				}
			}
			return nil
		}
		if err := clearOf(t.Of); err != nil {
			return err
		}
	}
	if err := s.clear(ctx, rec, id, all); err != nil || t == nil {
		return err
	}
	return s.dropTies(ctx, rec.Incarnation, id, version)
}

// dropTies removes the row of ties of a profile that is no more, unless it has changed.
func (s *Service) dropTies(ctx context.Context, inc store.Incarnation, id ID, version uint64) error {
	_, err := s.Store.Swap(ctx, Partition(inc, id), []store.Swap{{Key: tiesKey, Op: store.Delete, Expect: version}})
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// clear removes the invisible contributions of a profile that gone approves of by their source and expiry.
func (s *Service) clear(ctx context.Context, rec *domain.Record, id ID, gone func(source string, expires int64) bool) error {
	c := s.newClearing(rec)
	if _, err := c.add(ctx, id, gone); err != nil {
		return err
	}
	return c.flush(ctx)
}

// clearing removes contributions of many profiles.
type clearing struct {
	s   *Service
	rec *domain.Record
	// What is to be written, in this order: a crash leaves the contributions, from which the rest is found again.
	heirs, index, profiles []store.RunRow
}

// clearChunk is how many rows a clearing writes together.
const clearChunk = 20_000

func (s *Service) newClearing(rec *domain.Record) *clearing { return &clearing{s: s, rec: rec} }

// add notes what goes of a profile, and returns how many contributions are left.
func (c *clearing) add(ctx context.Context, id ID, gone func(source string, expires int64) bool) (left int, err error) {
	var going, stay []oldPart
	part := Partition(c.rec.Incarnation, id)
	for row, err := range c.s.Store.Scan(ctx, part, store.Prefix(contributionPrefix)) {
		if err != nil {
			return 0, err
		}
		p, err := decodePart(row)
		if err != nil {
			return 0, fmt.Errorf("profile %s: %w", id, err)
		}
		if gone(p.source, p.Expires) {
			going = append(going, p)
		} else {
			stay = append(stay, p)
		}
	}
	heirs(going, stay, c.rec.Keys, func(k IndexKey, heir oldPart) {
		if err == nil {
			err = c.s.markHeir(ctx, c.rec, heir)
		}
		c.heirs = append(c.heirs, indexRunRow(c.rec, k, id, heir.source, store.Mutation{Time: heir.time}))
	})
	if err != nil {
		return 0, err
	}
	for _, p := range going {
		for _, k := range p.IndexKeys(c.rec.Keys) {
			c.index = append(c.index, indexRunRow(c.rec, k, id, p.source, store.Mutation{Delete: true, Time: p.time}))
		}
		if p.version == 0 {
			c.profiles = append(c.profiles, store.RunRow{Incarnation: c.rec.Incarnation, Partition: id[:],
				Mutation: store.Mutation{Key: ContributionKey(p.source), Delete: true, Time: p.time}})
			continue
		}
		if err := c.flush(ctx); err != nil { // its index rows first
			return 0, err
		}
		_, err = c.s.Store.Swap(ctx, part, []store.Swap{{Key: ContributionKey(p.source), Op: store.Delete, Expect: p.version}})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return 0, err
		}
	}
	if len(c.heirs)+len(c.index)+len(c.profiles) >= clearChunk {
		return len(stay), c.flush(ctx)
	}
	return len(stay), nil
}

// flush writes what is noted.
func (c *clearing) flush(ctx context.Context) error {
	for _, run := range []store.Run{{Table: store.Index, Rows: store.SortRows(c.heirs)}, {Table: store.Index, Rows: store.SortRows(c.index)}, {Table: store.Profile, Rows: store.SortRows(c.profiles)}} {
		if err := c.s.Store.WriteRun(ctx, run); err != nil {
			return err
		}
	}
	c.heirs, c.index, c.profiles = nil, nil, nil
	return nil
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
