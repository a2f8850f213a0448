package match

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"kith/access"
	"kith/blob"
	"kith/domain"
	"kith/fault"
	"kith/match/link"
	"kith/match/merge"
	"kith/match/rule"
	"kith/profile"
	"kith/profile/fold"
	"kith/store"
)

// Config are the operator's settings. Zero values are replaced by the defaults in brackets.
type Config struct {
	Workers int    // [number of cores]
	Memory  int64  // of a job, bytes [768 MiB]
	Dir     string // where a job puts what does not fit [the system's folder for temporary files]
	// ShareFrom is how many profiles a domain has whose jobs nodes make together [100,000].
	ShareFrom int64
	// Program tells which nodes may do that: those of one program [a hash of its file]; tests may have another.
	Program string
	// Find is the matcher [link.Find]; tests may have another.
	Find func(context.Context, link.Source, link.Options, func(*link.Group) error) (*link.Model, *link.Report, error)
}

// Service owns identity resolution.
type Service struct {
	Store    store.Store
	Domains  *domain.Service
	Profiles *profile.Service
	Now      func() time.Time
	Log      *slog.Logger
	// Wake tells the runner that work was queued; nil: it looks when it does.
	Wake func()
	// Exports is where results go that a domain wants to have outside; nil: nowhere.
	Exports Exports
	// Rules tells of matching by rules; nil: there is none.
	Rules Rules
	// Blobs is where nodes that make a job together put what they hand to each other, and Sealer seals the keys of that.
	Blobs  blob.Store
	Sealer *access.Sealer
	Config

	helped sync.Map // the search in which this node has helped last, by incarnation
}

// Exports is a place outside, such as S3.
type Exports interface {
	// May returns nil if this server may write to a bucket below a prefix; else a fault.BadRequest that says what to do.
	May(ctx context.Context, bucket, prefix string) error
	// Put writes a file, whole or not at all, in place of one that is there.
	Put(ctx context.Context, bucket, key string, r io.Reader) error
}

// Rules is matching by rules, as far as GetSimilarProfiles asks it (rule.Service).
type Rules interface {
	Similar(ctx context.Context, rec *domain.Record, matchID string, id fold.ID) (rule.Similar, error)
	// Reconsider has profiles matched again, because what is answered about them is about to change.
	Reconsider(ctx context.Context, inc store.Incarnation, ids ...fold.ID) error
}

// May is domain.Service.CanExport, for the address of one bucket.
func (s *Service) May(ctx context.Context, bucket, prefix string) error {
	if s.Exports == nil {
		return fault.BadRequestf("This server exports nothing: leave ExportingConfig out, or start it with --exports (docs/operations.md).")
	}
	return s.Exports.May(ctx, bucket, prefix)
}

func (s *Service) merger() *merge.Merger { return &merge.Merger{Profiles: s.Profiles} }

func (s *Service) finder() func(context.Context, link.Source, link.Options, func(*link.Group) error) (*link.Model, *link.Report, error) {
	if s.Find != nil {
		return s.Find
	}
	return link.Find
}

func (s *Service) workers() int { return cmp.Or(s.Workers, runtime.GOMAXPROCS(0)) }

// caller names who sent a request.
func caller(ctx context.Context) string {
	who := access.From(ctx)
	if who.KeyID == "" {
		return ""
	}
	return "arn:aws:iam::" + access.AccountID + ":user/" + who.KeyID
}

// enabled returns a domain whose matching is on.
func (s *Service) enabled(ctx context.Context, name string) (*domain.Record, error) {
	rec, err := s.Domains.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	if !rec.MatchingOn() {
		return nil, fault.BadRequestf("Matching is not enabled in domain %s. Enable it by UpdateDomain with Matching.Enabled = true.", name)
	}
	return rec, nil
}
