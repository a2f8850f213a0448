// Package node is a running Kith: the services on given engines, the HTTP handler, and the background loops. Engines are
// chosen by who makes it: cmd/kith, or a test.
package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"kith/access"
	"kith/api"
	"kith/blob"
	"kith/catalog"
	"kith/deadletter"
	"kith/domain"
	"kith/fault"
	"kith/integration"
	"kith/internal/calm"
	"kith/job"
	"kith/match"
	"kith/match/merge"
	"kith/match/rule"
	"kith/objecttype"
	"kith/privacy"
	"kith/profile"
	"kith/profile/change"
	"kith/profile/write"
	"kith/query"
	"kith/server"
	"kith/store"
	"kith/upload"
)

// Config is what a node is made of.
type Config struct {
	Store  store.Store
	Blobs  blob.Store
	Master []byte // the master key
	Owner  string // this node's name in leases, kept across restarts
	Now    func() time.Time
	Log    *slog.Logger

	// Died is what this node's last process died of, as far as that is known to have been its own doing (job.Runner.Died).
	Died string
	// Shared says that other nodes work on the same data.
	Shared bool
	// Tidy removes what processes that died left behind; nil has nothing to do. It is called once an hour.
	Tidy func(ctx context.Context) error

	Upload upload.Config
	Match  match.Config
	// Exports is where results of matching go that domains want to have outside; nil: nowhere.
	Exports match.Exports
	Letters deadletter.Config
	Types   objecttype.Quotas
	Objects write.Quotas // of a profile
	Rules   rule.Config
	// Room tells how much of the disk is free; nil is enough.
	Room   upload.Room
	Job    *job.Runner // settings only, or nil; the node fills in the rest
	Server server.Config

	// Backup copies everything into a folder; nil refuses backups.
	Backup func(ctx context.Context, dir string) (int64, error)
	// Purge removes the bytes of deleted data from the store's files (server.Admin); nil refuses.
	Purge func(ctx context.Context) (before, after, left int64, err error)
	// CleanUpEvery is how often retention is looked after; 0 is ten minutes.
	CleanUpEvery time.Duration
	// SweepEvery is how often expired data is removed; 0 is a day.
	SweepEvery time.Duration
	// CountAfter is how long after a change the profiles of a domain are counted; 0 is 5 seconds.
	CountAfter time.Duration
	// IndexEvery is how often the query index and the matches by rules of a domain are looked at of which nobody says that it has changed;
	// 0 is a minute, below 0 never: other nodes do it.
	IndexEvery time.Duration
	// ScheduleEvery is how often the schedules of identity resolution are looked at; 0 is 20 seconds, below 0 never.
	ScheduleEvery time.Duration
}

// Node is a running Kith. Make it with Start.
type Node struct {
	Config
	Handler      http.Handler
	Server       *server.Server
	Access       *access.Service
	Domains      *domain.Service
	Types        *objecttype.Service
	Profiles     *profile.Service
	Writer       *write.Writer
	Uploads      *upload.Service
	Query        *query.Service
	Rules        *rule.Service
	Integrations *integration.Service
	Catalog      *catalog.Service
	Matches      *match.Service
	Letters      *deadletter.Service
	Privacy      *privacy.Service

	runner *job.Runner
	cancel context.CancelFunc // ends the background loops
	calm   calm.Log
	wg     sync.WaitGroup
	counts sync.Map // incarnations whose profiles will be counted soon
	words  sync.Map // incarnations whose query index will be looked at soon
	rules  sync.Map // incarnations that will be matched by rules soon
}

// Start wires the services and starts the background loops. It does not listen; Handler answers requests.
func Start(c Config) (*Node, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	sealer, err := access.NewSealer(c.Master)
	if err != nil {
		return nil, err
	}
	n := &Node{Config: c}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	if n.runner = c.Job; n.runner == nil {
		n.runner = &job.Runner{}
	}
	n.Access = &access.Service{Store: c.Store, Sealer: sealer, Now: c.Now, Dev: c.Server.AnyKey}
	if err := n.Access.CheckMaster(ctx); err != nil {
		cancel()
		return nil, err
	}
	n.dropDevKeys(ctx)
	n.services(sealer)
	n.Domains.Stats = n.Profiles.Stats
	n.Domains.CancelWork, n.Domains.OnUpdate = n.runner.Cancel, n.runner.Wake
	n.Domains.OnDelete = func(inc store.Incarnation) {
		n.runner.Abort(inc)
		n.Letters.Forget(inc)
		n.runner.Wake()
	}
	n.runner.Store, n.runner.Now, n.runner.Log, n.runner.Owner, n.runner.Shared = c.Store, c.Now, c.Log, c.Owner, c.Shared
	n.runner.Domains, n.runner.Gone = n.Domains.Domains, n.Domains.Gone
	n.runner.Passing = func(err error) bool {
		return errors.Is(err, fault.ErrUnavailable) || errors.Is(err, store.ErrUnknown)
	}
	n.runner.Handlers, n.runner.AtMost = n.handlers(), map[string]int{match.Kind: 1}
	n.runner.Undertakers = map[string]bool{domain.UndertakerKind: true}
	n.runner.Standing, n.runner.Died = n.standing(), c.Died

	sc := c.Server
	sc.Domains, sc.Profiles, sc.Uploads, sc.Letters, sc.Access, sc.Sealer, sc.Now, sc.Log = n.Domains, n.Profiles, n.Uploads, n.Letters, n.Access, sealer, c.Now, c.Log
	sc.Query, sc.Rules, sc.Integrations, sc.Types, sc.Privacy, sc.Catalog, sc.Matches = n.Query, n.Rules, n.Integrations, n.Types, n.Privacy, n.Catalog, n.Matches
	sc.Admin = c.admin()
	n.Server = server.New(sc)
	n.Server.Registry().MustRegister(workMetrics{n.runner}, letterMetrics{n.Letters})
	n.Handler = n.Server

	n.wg.Go(func() { n.runner.Run(ctx) })
	if c.Tidy != nil {
		n.wg.Go(func() { n.keepTidy(ctx) })
	}
	if c.Shared {
		n.wg.Go(func() { n.keepMember(ctx) })
	}
	if c.ScheduleEvery >= 0 {
		n.wg.Go(func() { n.keepSchedule(ctx) })
	}
	return n, nil
}

// handlers are the kinds of queued work.
func (n *Node) handlers() map[string]job.Handler {
	return map[string]job.Handler{
		upload.Kind:            n.Uploads,
		upload.UndoKind:        upload.Undoer{Service: n.Uploads},
		upload.DryKind:         upload.DryRunner{Service: n.Uploads},
		profile.SweepKind:      profile.Sweeper{Service: n.Profiles},
		profile.CompactKind:    profile.Compactor{Service: n.Profiles, Close: n.Uploads.CloseJob},
		profile.IndexSweepKind: profile.IndexSweeper{Service: n.Profiles},
		profile.DeadTypesKind:  profile.TypeRemover{Service: n.Profiles},
		match.Kind:             match.Runner{Service: n.Matches},
		domain.UndertakerKind:  &domain.Undertaker{Store: n.Store, Drop: n.drop, Wait: undertakerWait(n.Shared)},
	}
}

// services makes the services on what is below them.
func (n *Node) services(sealer *access.Sealer) {
	c := &n.Config
	n.Domains = &domain.Service{Store: c.Store, Now: c.Now}
	n.Types = &objecttype.Service{Domains: n.Domains, Quotas: c.Types}
	n.Domains.TypeNames = n.Types.Names
	n.Letters = &deadletter.Service{
		Store: c.Store, Domains: n.Domains, Now: c.Now, Log: c.Log, Config: c.Letters,
		Wake: func(inc store.Incarnation) { n.runner.WakeStanding(inc, deadletter.Standing) },
	}
	feed := &change.Feed{Store: c.Store, Now: c.Now, Alone: !c.Shared, OnChange: n.changed}
	if !c.Shared && c.Store.Whole() {
		feed.Local = &change.Local{}
	}
	n.Profiles = &profile.Service{Store: c.Store, Domains: n.Domains, Now: c.Now, Feed: feed, Types: n.Types,
		Importing: func() bool { return n.runner.Running(upload.Kind) }}
	n.Writer = &write.Writer{Store: c.Store, Feed: feed, Lookup: n.Domains.Lookup, Now: c.Now, Settle: n.Profiles.SettleLinks, Quotas: c.Objects}
	n.Uploads = &upload.Service{
		Store: c.Store, Blobs: c.Blobs, Domains: n.Domains, Profiles: n.Profiles, Sealer: sealer, Now: c.Now, Log: c.Log,
		Feed: feed, Writer: n.Writer, Wake: n.runner.Wake, Room: c.Room, Config: c.Upload,
	}
	n.Profiles.Writer, n.Profiles.Runs = n.Writer, n.Uploads
	n.Types.OnDelete = n.Profiles.EndType
	n.Profiles.Letters, n.Letters.Put = n.Letters, n.Profiles.PutProfileObject
	n.Query = &query.Service{Store: c.Store, Domains: n.Domains, Profiles: n.Profiles, Feed: feed, Now: c.Now,
		Wake: func(inc store.Incarnation) { n.runner.WakeStanding(inc, query.Name) }}
	n.Rules = &rule.Service{Store: c.Store, Domains: n.Domains, Profiles: n.Profiles, Feed: feed, Merger: &merge.Merger{Profiles: n.Profiles}, Letters: n.Letters,
		Now: c.Now, Log: c.Log, Config: c.Rules, Shared: c.Shared, Wake: func(inc store.Incarnation) { n.runner.WakeStanding(inc, rule.Name) }}
	n.Domains.Rules = n.Rules
	n.Integrations = &integration.Service{Store: c.Store, Domains: n.Domains, Types: n.Types}
	n.Privacy = &privacy.Service{Domains: n.Domains, Types: n.Types, Profiles: n.Profiles, Letters: n.Letters, Uploads: n.Uploads, Sealer: sealer, Now: c.Now}
	n.Matches = &match.Service{
		Store: c.Store, Domains: n.Domains, Profiles: n.Profiles, Now: c.Now, Log: c.Log, Wake: n.runner.Wake, Exports: c.Exports, Config: c.Match,
		Rules: n.Rules, Blobs: c.Blobs, Sealer: sealer,
	}
	n.Rules.Apart, n.Profiles.Apart, n.Privacy.Matches, n.Profiles.Unmerging = n.Matches.Apart, n.Matches.Apart, n.Matches, n.Matches.Unmerging
	if c.Exports != nil {
		n.Rules.Export = n.exportRules
	}
	n.Domains.CanExport = func(ctx context.Context, name string, to *api.ExportingConfig) error {
		return n.Matches.May(ctx, *to.S3Exporting.S3BucketName, match.ExportPrefix(name, to.S3Exporting))
	}
	n.Catalog = &catalog.Service{
		Store: c.Store, Domains: n.Domains, Types: n.Types, Profiles: n.Profiles, Now: c.Now,
		Wake: func(inc store.Incarnation) { n.runner.WakeStanding(inc, catalog.Standing) },
	}
}

// exportRules writes a file of matches by rules beside those of identity resolution jobs.
func (n *Node) exportRules(ctx context.Context, rec *domain.Record, file string, r io.Reader) error {
	to := rec.RuleBasedMatching.ExportingConfig.S3Exporting
	return n.Exports.Put(ctx, *to.S3BucketName, match.ExportPrefix(rec.Name, to)+"/rules/"+file, r)
}

// admin is what belongs to the program as a whole. What a cluster does itself is refused with a sentence that says so.
func (c Config) admin() *server.Admin {
	a := &server.Admin{Backup: c.Backup, Purge: c.Purge}
	if a.Backup == nil {
		a.Backup = func(context.Context, string) (int64, error) {
			return 0, fault.BadRequestf("A cluster is not backed up by its nodes: take a snapshot of the keyspace and a copy of the bucket (docs/operations.md).")
		}
	}
	if a.Purge == nil {
		a.Purge = func(context.Context) (before, after, left int64, err error) {
			return 0, 0, 0, fault.BadRequestf("A cluster is not purged by its nodes: its own compactions remove what was deleted, after gc_grace_seconds (docs/privacy.md).")
		}
	}
	return a
}

// dropDevKeys removes what development mode has left, unless the node is in it. A store that takes no writes now is no reason not to start:
// the keys are refused as long as they are there.
func (n *Node) dropDevKeys(ctx context.Context) {
	if n.Access.Dev {
		return
	}
	dropped, err := n.Access.DropDevKeys(ctx)
	if err != nil {
		n.Log.Warn("access keys made in development mode could not be removed; they are refused", "error", err)
	}
	if dropped > 0 {
		n.Log.Info("access keys made in development mode were removed", "keys", dropped)
	}
}

// drop removes what a deleted domain left outside its own rows.
func (n *Node) drop(ctx context.Context, inc store.Incarnation) error {
	n.Profiles.Feed.Forget(inc)
	return errors.Join(n.Integrations.DropDomain(ctx, inc), n.Uploads.DropDomain(ctx, inc))
}

// undertakerWait is how long the removal of a deleted domain waits for requests of other nodes that do not know of it yet.
func undertakerWait(shared bool) time.Duration {
	if !shared {
		return 0
	}
	return domain.MaxStaleness
}

// Stop ends the background loops. Work in progress gives its lease back and is continued by the next start.
func (n *Node) Stop() {
	n.cancel()
	n.wg.Wait()
}

// standing is the work that every domain has at all times.
func (n *Node) standing() []job.Standing {
	every, sweepEvery := n.CleanUpEvery, n.SweepEvery
	if every == 0 {
		every = 10 * time.Minute
	}
	if sweepEvery == 0 {
		sweepEvery = 24 * time.Hour
	}
	completer := &change.Sealer{Feed: n.Profiles.Feed, Settler: &profile.Completer{Service: n.Profiles,
		Writes: &write.Settler{Writer: n.Writer, Domain: n.Domains.OfIncarnation}}}
	all := []job.Standing{
		{Name: "retention", Every: every, AtStart: true, Run: func(ctx context.Context, t *job.Task) (time.Duration, error) {
			rec, err := n.living(ctx, t.Incarnation)
			if err != nil {
				return 0, err
			}
			return 0, n.cleanUp(ctx, rec)
		}},
		{Name: "daily", Every: sweepEvery, Run: func(ctx context.Context, t *job.Task) (time.Duration, error) {
			rec, err := n.living(ctx, t.Incarnation)
			if err != nil || n.Now().Sub(time.UnixMicro(rec.CreatedAt)) < sweepEvery {
				return 0, err
			}
			return 0, n.queueSweeps(ctx, rec)
		}},
		{Name: "index", Every: indexSweepEvery * sweepEvery, Run: func(ctx context.Context, t *job.Task) (time.Duration, error) {
			rec, err := n.living(ctx, t.Incarnation)
			if err != nil || n.Now().Sub(time.UnixMicro(rec.CreatedAt)) < indexSweepEvery*sweepEvery {
				return 0, err
			}
			err = n.Profiles.QueueIndexSweep(ctx, rec)
			n.runner.Wake()
			return 0, err
		}},
		{Name: deadletter.Standing, Every: sendEvery, AtStart: true, Idle: n.Letters.Idle, Pause: sendPause, Run: n.Letters.SendAll},
		{Name: catalog.Standing, Every: catalog.Every, Heavy: true, Run: n.Catalog.Keep},
		{Name: profile.Statistics, Every: countEvery, AtStart: true, Heavy: true, Run: n.Profiles.CountProfiles},
		{Name: change.Completer, Every: completeEvery, Pause: change.Window, AtStart: true, Run: func(ctx context.Context, t *job.Task) (time.Duration, error) {
			more, err := completer.Run(ctx, t.Incarnation, change.Place{Partition: t.Partition(), Swap: t.Swap})
			if more {
				return change.Window, err
			}
			return 0, err
		}},
	}
	if n.IndexEvery >= 0 {
		all = append(all, job.Standing{Name: query.Name, Every: cmp.Or(n.IndexEvery, indexEvery), AtStart: true, Idle: n.Query.Idle,
			Run: func(ctx context.Context, t *job.Task) (time.Duration, error) {
				return n.Query.Index(ctx, t.Incarnation, change.Place{Partition: t.Partition(), Swap: t.Swap}, t.Fence())
			}}, job.Standing{Name: rule.Name, Every: cmp.Or(n.IndexEvery, indexEvery), AtStart: true, Idle: n.Rules.Idle,
			Run: func(ctx context.Context, t *job.Task) (time.Duration, error) {
				return n.Rules.Match(ctx, t.Incarnation, change.Place{Partition: t.Partition(), Swap: t.Swap}, t.Fence())
			}})
	}
	return all
}

// changed is told of all changes in a domain.
func (n *Node) changed(inc store.Incarnation) {
	n.runner.WakeStanding(inc, change.Completer)
	n.countSoon(inc)
	if n.Query.On(inc) {
		soon(&n.words, inc, indexAfter, func() { n.Query.Wake(inc) })
	}
	if n.Rules.On(inc) {
		soon(&n.rules, inc, matchAfter, func() { n.Rules.Wake(inc) })
	}
}

// indexEvery is how often a node looks at the query index and the matches of a domain, and whether they are on; indexAfter and matchAfter are how
// long after a change.
const (
	indexEvery = time.Minute
	indexAfter = time.Second
	matchAfter = 150 * time.Millisecond
)

// soon does something for a domain, once for all calls of a while. After Stop it wakes nobody.
func soon(waiting *sync.Map, inc store.Incarnation, after time.Duration, do func()) {
	if _, waits := waiting.Load(inc); waits {
		return
	}
	if _, waits := waiting.LoadOrStore(inc, true); waits {
		return
	}
	time.AfterFunc(after, func() {
		waiting.Delete(inc)
		do()
	})
}

// countSoon has the profiles of a domain that has changed counted, once for all changes of a while.
func (n *Node) countSoon(inc store.Incarnation) {
	after := n.CountAfter
	if after == 0 {
		after = 5 * time.Second
	}
	soon(&n.counts, inc, after, func() { n.runner.WakeStanding(inc, profile.Statistics) })
}

// countEvery is how often the profiles of a domain are counted that nobody says has changed: some expire.
const countEvery = time.Hour

// sendEvery is how often domains are looked at for dead letters that are still to be sent, and sendPause how much time is left between
// two runs, so that many letters are few calls.
const (
	sendEvery = 5 * time.Minute
	sendPause = time.Second
)

// completeEvery is how often the feed of a domain is looked at that no node says it has written to.
const completeEvery = 10 * time.Minute

// living returns the domain of standing work, or job.ErrGone.
func (n *Node) living(ctx context.Context, inc store.Incarnation) (*domain.Record, error) {
	rec, err := n.Domains.OfIncarnation(ctx, inc)
	if rec == nil && err == nil {
		err = job.ErrGone
	}
	return rec, err
}

// tidyEvery is how often what processes that died left behind is removed.
const tidyEvery = time.Hour

// keepTidy removes what processes that died left behind on this machine.
func (n *Node) keepTidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		if err := n.Tidy(ctx); err == nil {
			n.calm.Well(n.Log, "tidying")
		} else if ctx.Err() == nil {
			n.calm.Failing(n.Log, "tidying", "what died processes left could not be removed; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// scheduleEvery is Config.ScheduleEvery when nobody says.
const scheduleEvery = 20 * time.Second

// keepSchedule starts the identity resolution jobs that are due. Every node does: of several the first one starts a job.
func (n *Node) keepSchedule(ctx context.Context) {
	tick := time.NewTicker(cmp.Or(n.ScheduleEvery, scheduleEvery))
	defer tick.Stop()
	for {
		if err := n.Matches.StartDue(ctx); err == nil {
			n.calm.Well(n.Log, "schedule")
		} else if ctx.Err() == nil {
			n.calm.Failing(n.Log, "schedule", "identity resolution jobs that are due could not be started; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// CleanUp looks after the retention of all domains once.
func (n *Node) CleanUp(ctx context.Context) error {
	live, err := n.Domains.Live(ctx)
	if err != nil {
		return err
	}
	for _, rec := range live {
		if err := n.cleanUp(ctx, rec); err != nil {
			return fmt.Errorf("domain %s: %w", rec.Name, err)
		}
	}
	return nil
}

// cleanUp looks after the retention of a domain once.
func (n *Node) cleanUp(ctx context.Context, rec *domain.Record) error {
	return errors.Join(n.Domains.CleanUp(ctx, rec), n.Uploads.CleanUp(ctx, rec), n.Letters.CleanUp(ctx, rec), n.Matches.CleanUp(ctx, rec))
}

// indexSweepEvery is how many sweeps pass between two of the index, which reads all of it.
const indexSweepEvery = 7

// QueueSweeps queues the removal of expired data and the compaction of old imports in all domains.
func (n *Node) QueueSweeps(ctx context.Context) error {
	live, err := n.Domains.Live(ctx)
	if err != nil {
		return err
	}
	for _, rec := range live {
		if err := n.queueSweeps(ctx, rec); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) queueSweeps(ctx context.Context, rec *domain.Record) error {
	for _, kind := range []string{profile.SweepKind, profile.CompactKind} {
		w := job.Work{Kind: kind, ID: kind, Incarnation: rec.Incarnation, Arrived: n.Now().UnixMicro()}
		if err := job.Enqueue(ctx, n.Store, w); err != nil {
			return err
		}
	}
	n.runner.Wake()
	return nil
}
