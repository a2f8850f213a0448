package privacy

import (
	"context"
	"time"

	"kith/access"
	"kith/api"
	"kith/deadletter"
	"kith/domain"
	"kith/fault"
	"kith/match"
	"kith/objecttype"
	"kith/profile"
	"kith/profile/fold"
	"kith/upload"
)

// Service tells and forgets persons.
type Service struct {
	Domains  *domain.Service
	Types    *objecttype.Service
	Profiles *profile.Service
	Letters  *deadletter.Service
	Uploads  *upload.Service
	Matches  *match.Service
	Sealer   *access.Sealer
	Now      func() time.Time
}

// who is what a caller says of a person.
type who struct{ profileID, keyName, keyValue *string }

// find returns the one person that a caller means.
func (s *Service) find(ctx context.Context, rec *domain.Record, w who) (*profile.Known, error) {
	if (w.profileID != nil) == (w.keyName != nil || w.keyValue != nil) || (w.keyName != nil) != (w.keyValue != nil) {
		return nil, fault.BadRequestf("Say who it is: ProfileId, or KeyName with KeyValue.")
	}
	id := w.profileID
	if id == nil {
		out, err := s.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &rec.Name, KeyName: w.keyName, Values: []string{*w.keyValue}, MaxResults: api.Ptr(int32(2))})
		if err != nil {
			return nil, err
		}
		switch len(out.Items) {
		case 0:
			return nil, fault.NotFoundf("Nobody in domain %s has that value of key %s.", rec.Name, *w.keyName)
		case 2:
			return nil, fault.BadRequestf("Several persons in domain %s have that value of key %s, such as the profiles %s and %s: say which by ProfileId, or merge them first.",
				rec.Name, *w.keyName, *out.Items[0].ProfileId, *out.Items[1].ProfileId)
		}
		id = out.Items[0].ProfileId
	}
	parsed, _ := fold.ParseID(*id)
	return s.Profiles.Know(ctx, rec, parsed)
}

// place is where something of a person is outside of its profiles, and until when.
type place struct {
	What  string
	Where string `json:",omitzero"`
	Until string `json:",omitzero"` // RFC 3339, or a sentence
}

func timeText(micros int64, unknown string) string {
	if micros == 0 {
		return unknown
	}
	return time.UnixMicro(micros).UTC().Format(time.RFC3339)
}
