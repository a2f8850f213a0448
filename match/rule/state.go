package rule

import (
	"context"
	"fmt"

	"kith/api"
	"kith/domain"
	"kith/job"
	"kith/profile/change"
	"kith/store"
)

// Name is the name of the matcher, the standing work.
const Name = "rules"

var stateKey = []byte("state")

// state is how far the matcher of a domain is. Times are microseconds.
type state struct {
	// Rules names the rules that are matched by, or will be when it is Building: Rules.print.
	Rules string `json:",omitzero"`
	// Gen is the generation of documents and holders, Series that of matches; 0: there is none. Old are those whose rows are being removed.
	Gen, Series, Newest uint32
	Old                 []uint32 `json:",omitzero"`

	// Building is what has to be done before all there is has been evaluated; "": nothing. Rest is from where on.
	Building phase  `json:",omitzero"`
	Rest     string `json:",omitzero"`
	// Again says that the rules have been evaluated before: it is done again because the feed does not reach back, or much has changed.
	Again bool `json:",omitzero"`
	// BuildAt is when the building began, ActiveAt since when these rules are in use.
	BuildAt, ActiveAt int64 `json:",omitzero"`

	// Profiles is how many documents there are, about.
	Profiles int64 `json:",omitzero"`
	// Changes is when the first profile changes by itself; 0: none does.
	Changes int64 `json:",omitzero"`
	// ChangedAt is when a match changed last, ExportedAt when they were exported, ExportFiles into how many files.
	ChangedAt, ExportedAt int64 `json:",omitzero"`
	ExportFiles           int   `json:",omitzero"`
	// Marks is how far imports have been evaluated.
	change.Marks
	// Time is the newest of a row that was written.
	Time int64 `json:",omitzero"`

	published change.Published
}

// phase is a step of evaluating all there is.
type phase string

const (
	reading  phase = "read"  // profiles; Rest is a profile.Cursor
	matching phase = "match" // tuples with several holders; Rest is the level and the first byte of the hash
	leaving  phase = "leave" // matches of which nothing was met
	ready    phase = ""
)

// read returns the state of a domain.
func (s *Service) read(ctx context.Context, inc store.Incarnation) (*state, error) {
	st := &state{}
	if err := st.published.Read(ctx, s.Store, job.StandingPartition(inc, Name), stateKey, st); err != nil {
		return nil, fmt.Errorf("read the state of rule-based matching: %w", err)
	}
	return st, nil
}

// save publishes the state, if it has changed.
func (x *pass) save(ctx context.Context) error {
	if err := x.st.published.Save(ctx, x.place, stateKey, x.st); err != nil {
		return fmt.Errorf("write the state of rule-based matching: %w", err)
	}
	return nil
}

// enabled says whether a domain has rules to match by.
func enabled(rec *domain.Record) bool {
	rb := rec.RuleBasedMatching
	return rb != nil && api.Val(rb.Enabled) && len(rb.MatchingRules) > 0
}

// rules compiles those of a domain.
func (s *Service) rules(rec *domain.Record) *Rules {
	return Compile(rec.RuleBasedMatching, rec.Incarnation, s.Config.Strict)
}

// Status implements domain.Rules. PENDING: the rules wait to be evaluated; IN_PROGRESS: they are evaluated over all there is, or the domain is
// new; ACTIVE: matches are what these rules say.
func (s *Service) Status(ctx context.Context, rec *domain.Record) (api.RuleBasedMatchingStatus, error) {
	st, err := s.read(ctx, rec.Incarnation)
	if err != nil {
		return "", err
	}
	switch {
	case st.Rules != s.rules(rec).print:
		if st.Rules == "" && rec.RulesChangedAt <= rec.CreatedAt {
			return api.RuleBasedMatchingStatusInProgress, nil
		}
		return api.RuleBasedMatchingStatusPending, nil
	case st.Building != ready && !st.Again:
		return api.RuleBasedMatchingStatusInProgress, nil
	}
	return api.RuleBasedMatchingStatusActive, nil
}

// MayChange implements domain.Rules: rules that are being evaluated stand still, and those that have been in use for less than
// Config.ChangeAfter. They can be turned off at any time.
func (s *Service) MayChange(ctx context.Context, rec *domain.Record) error {
	st, err := s.read(ctx, rec.Incarnation)
	if err != nil || st.Rules != s.rules(rec).print {
		return err
	}
	if st.Building != ready && !st.Again {
		return frozen(rec.Name)
	}
	if left := s.Config.ChangeAfter.Microseconds() - (s.Now().UnixMicro() - st.ActiveAt); left > 0 {
		return tooSoon(rec.Name, s.Config.ChangeAfter, left)
	}
	return nil
}
