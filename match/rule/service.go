package rule

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"kith/deadletter"
	"kith/domain"
	"kith/fault"
	"kith/match/merge"
	"kith/profile"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/store"
)

// The limits of matches.
const (
	// MaxHolders is how many profiles may share a tuple: what more have in common says nothing about any of them.
	MaxHolders = 500
	// MaxMembers is how many profiles a match may have.
	MaxMembers = 500
	// MaxLevels is how many rules a domain may have.
	MaxLevels = 15
)

// Config is what operators choose.
type Config struct {
	// StartAfter is how long changed rules wait before they are evaluated, and ChangeAfter how long rules are in use before they may be
	// changed again. AWS has an hour and a day.
	StartAfter, ChangeAfter time.Duration
	// Strict compares values as they are: case, blanks and the spelling of phone numbers count.
	Strict bool
}

// Service owns rule-based matching.
type Service struct {
	Store    store.Store
	Domains  *domain.Service
	Profiles *profile.Service
	Feed     *change.Feed
	Merger   *merge.Merger
	Letters  *deadletter.Service
	Now      func() time.Time
	Log      *slog.Logger
	Config   Config
	// Apart returns the pairs among some profiles, whose ids ascend, of which somebody has said that they are not the same; nil: nobody says
	// so. Reconsider is called for both when that changes.
	Apart func(ctx context.Context, inc store.Incarnation, ids []fold.ID) ([][2]fold.ID, error)
	// Export writes a file of matches to where a domain wants them (ExportingConfig); nil: nowhere.
	Export func(ctx context.Context, rec *domain.Record, file string, r io.Reader) error
	// Wake makes the matcher look at a domain now; nil: it looks when it does.
	Wake func(store.Incarnation)
	// Shared says that other nodes work on the same store.
	Shared bool
	// Dir is where passes over large domains put what does not fit; empty: the system's folder for temporary files.
	Dir string
	// For tests: Chunk is about how many profiles are read and evaluated together (pass.piece, pass.chunk), and Holders and Members take the place
	// of MaxHolders and MaxMembers, SweepRest that of sweepRest, AtOnce that of atOnce; 0: they do not. Pause gives others a turn whenever
	// what has been read of all there is is written.
	Chunk, Holders, Members, SweepRest, AtOnce int
	Pause                                      bool

	on sync.Map // incarnations of which this node has read last that they have rules

	passes change.Passes[*pass]

	mu     sync.Mutex
	live   map[store.Incarnation]bool // domains with rules, as of liveAt
	liveAt time.Time
}

func (s *Service) maxHolders() int { return cmp.Or(s.Holders, MaxHolders) }

func (s *Service) maxMembers() int { return cmp.Or(s.Members, MaxMembers) }

// On says whether a domain has rules to match by, as far as this node has heard, without a read: a minute may pass until it does.
func (s *Service) On(inc store.Incarnation) bool {
	_, on := s.on.Load(inc)
	return on
}

func (s *Service) note(inc store.Incarnation, on bool) {
	if on {
		s.on.Store(inc, true)
	} else {
		s.on.Delete(inc)
	}
}

// Reconsider has profiles matched again, because what is said about them, apart from their values, is about to change: it announces them in
// the feed, so call it before that is written. They are looked at a moment later, and once more when that must have been written.
func (s *Service) Reconsider(ctx context.Context, inc store.Incarnation, ids ...fold.ID) error {
	for _, id := range ids {
		row := &change.Row{ID: id, Kind: change.Write, Whole: true} // of no write that could be undone
		if err := s.Feed.AnnounceBeyond(ctx, inc, row); err != nil {
			return err
		}
	}
	return nil
}

// Changed implements domain.Rules: the rules of a domain were changed.
func (s *Service) Changed(rec *domain.Record) {
	s.mu.Lock()
	s.live = nil
	s.mu.Unlock()
	s.note(rec.Incarnation, enabled(rec))
	if s.Wake != nil {
		s.Wake(rec.Incarnation)
	}
}

// liveFor is how old the list of domains with rules may be by which domains are passed over.
const liveFor = 10 * time.Second

// Idle says whether there is nothing to do in a domain: it has no rules, and nothing is left of any.
func (s *Service) Idle(ctx context.Context, inc store.Incarnation) (bool, error) {
	has, err := s.hasRules(ctx, inc)
	if err != nil || has {
		s.note(inc, has)
		return false, err
	}
	s.note(inc, false)
	st, err := s.read(ctx, inc)
	return err == nil && st.Gen == 0 && len(st.Old) == 0 && st.Building == ready, err
}

// hasRules says whether a domain had rules a moment ago.
func (s *Service) hasRules(ctx context.Context, inc store.Incarnation) (bool, error) {
	s.mu.Lock()
	live, at := s.live, s.liveAt
	s.mu.Unlock()
	if live == nil || time.Since(at) > liveFor {
		all, err := s.Domains.Live(ctx)
		if err != nil {
			return false, err
		}
		live, at = map[store.Incarnation]bool{}, time.Now()
		for _, rec := range all {
			if enabled(rec) {
				live[rec.Incarnation] = true
			}
		}
		s.mu.Lock()
		s.live, s.liveAt = live, at
		s.mu.Unlock()
	}
	return live[inc], nil
}

func frozen(name string) error {
	return fault.BadRequestf("The matching rules of domain %s are being evaluated (IN_PROGRESS), and can't be changed meanwhile. Wait until GetDomain says ACTIVE, or turn RuleBasedMatching off first.", name)
}

func tooSoon(name string, after time.Duration, left int64) error {
	return fault.BadRequestf("The matching rules of domain %s may be changed once they have been in use for %s, in %s. They can be turned off now.", name, after, (time.Duration(left) * time.Microsecond).Round(time.Second))
}
