// Package e2e tests whole nodes: imports under concurrency, faults, restarts and kills, on every embedded engine.
package e2e

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/api"
	"kith/blob"
	"kith/blob/disk"
	"kith/internal/dump"
	"kith/internal/extsort"
	"kith/job"
	"kith/match"
	"kith/node"
	"kith/profile"
	"kith/profile/change"
	"kith/server"
	"kith/store"
	"kith/store/mem"
	"kith/store/pebble"
	"kith/store/storetest"
	"kith/test/cluster"
	"kith/upload"
)

var ctx = context.Background()

// rig is a node with its engines, which outlive restarts of the node.
type rig struct {
	t      *testing.T
	store  store.Store
	blobs  blob.Store
	clock  *clock
	config upload.Config
	room   upload.Room
	server server.Config
	finder finder // of identity resolution jobs; nil: link.Find
	// matches is match.Config but for that.
	matches match.Config
	log     *strings.Builder
	logMu   sync.Mutex
	shared  bool // other nodes work on the same engines
	// leaseFor is how long their leases are.
	leaseFor time.Duration
	// countAfter is node.Config.CountAfter; 0 is never.
	countAfter time.Duration
	*node.Node
	feeds []*change.Feed // beside the node's
}

// clock is the real time plus what a test adds.
type clock struct {
	mu    sync.Mutex
	extra time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.extra)
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.extra += d
}

func newRig(t *testing.T, st store.Store, config upload.Config) *rig {
	t.Helper()
	return newRigOn(t, st, config, nil, nil)
}

// newRigOn is newRig with a hook below the blobs and a disk that may be full.
func newRigOn(t *testing.T, st store.Store, config upload.Config, hook disk.Hook, room upload.Room) *rig {
	t.Helper()
	blobs, err := disk.OpenWith(t.TempDir(), hook)
	if err != nil {
		t.Fatal(err)
	}
	return newRigWith(t, st, blobs, config, room)
}

// newRigWith is newRig on other blobs.
func newRigWith(t *testing.T, st store.Store, blobs blob.Store, config upload.Config, room upload.Room) *rig {
	t.Helper()
	st = &storetest.Census{Store: st, Families: node.Families, Report: t.Errorf}
	if config.TableRows == 0 {
		config.TableRows = 1 // where the engine can, the small files of tests go the way of large ones
	}
	if config.Arena == nil {
		config.Arena = &extsort.Arena{Budget: 16 << 20, Poison: true}
	}
	r := &rig{t: t, store: st, blobs: blobs, clock: &clock{}, config: config, room: room, log: &strings.Builder{}}
	r.start()
	t.Cleanup(func() {
		r.Stop()
		if !config.Arena.Empty() {
			t.Error("what has ended holds memory")
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// newPebble is the embedded engine on a disk in memory, which it need not wait for: what a test opens again after its process is gone, or
// disturbs below the engine, opens a folder itself.
func newPebble(t *testing.T) store.Store {
	t.Helper()
	disk := vfs.NewMem()
	t.Cleanup(func() { // when the store is closed
		if left, err := disk.List("db/ingest"); len(left) > 0 || err != nil {
			t.Errorf("%d tables are left aside, %v", len(left), err)
		}
	})
	st, err := pebble.Open("db", pebble.Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// Write implements io.Writer: the node's log.
func (r *rig) Write(p []byte) (int, error) {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	return r.log.Write(p)
}

func (r *rig) logText() string {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	return r.log.String()
}

func (r *rig) start() {
	r.t.Helper()
	r.Node = r.startNode("node-1", r.store)
	for _, f := range r.feeds {
		f.Local = r.Profiles.Feed.Local
	}
}

// feed is the node's feed on another store, for calls that are cut off.
func (r *rig) feed(st store.Store) *change.Feed {
	f := &change.Feed{Store: st, Now: r.clock.now, Alone: true, Local: r.Profiles.Feed.Local}
	r.feeds = append(r.feeds, f)
	return f
}

const never = 10 * 365 * 24 * time.Hour

func (r *rig) startNode(owner string, st store.Store) *node.Node {
	r.t.Helper()
	matches := r.matches
	matches.Find = r.finder
	runner := &job.Runner{Poll: 10 * time.Millisecond, Backoff: 5 * time.Millisecond}
	if r.shared {
		runner.LeaseFor = r.leaseFor
	}
	n, err := node.Start(node.Config{
		Store: st, Blobs: r.blobs, Master: make([]byte, 32), Owner: owner, Now: r.clock.now, Upload: r.config, Match: matches, Room: r.room, Server: r.server,
		Log: slog.New(slog.NewTextHandler(r, nil)).With("node", owner), Job: runner, Shared: r.shared,
		SweepEvery: never, CleanUpEvery: never, CountAfter: cmp.Or(r.countAfter, never), IndexEvery: -1, ScheduleEvery: -1, // whatever a test adds to the clock: it sweeps itself
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// finds has jobs find profiles by a matcher of the test, after restarts too: a job that was cut off goes on as soon as a node starts.
func (r *rig) finds(find finder) {
	r.finder, r.Matches.Find = find, find
}

func (r *rig) restart() {
	r.Stop()
	r.start()
}

func (r *rig) domain(name string) {
	r.t.Helper()
	if _, err := r.Domains.CreateDomain(ctx, &api.CreateDomainRequest{DomainName: &name, DefaultExpirationDays: api.Ptr(int32(366))}); err != nil {
		r.t.Fatal(err)
	}
}

// spec describes a job: columns as "label:Source:Target:ContentType", the key, and the file.
type spec struct {
	fields []string
	key    string
	expiry int32
}

func (s spec) request(domain string) *api.CreateUploadJobRequest {
	in := &api.CreateUploadJobRequest{DomainName: &domain, DisplayName: api.Ptr("test"), UniqueKey: &s.key, Fields: map[string]api.ObjectTypeField{}}
	for _, f := range s.fields {
		p := append(strings.Split(f, ":"), "", "", "")
		field := api.ObjectTypeField{Source: api.Ptr("_source." + p[1])}
		if strings.Contains(p[1], "{{") {
			field.Source = &p[1]
		}
		if p[2] != "" {
			field.Target = api.Ptr("_profile." + p[2])
		}
		if p[3] != "" {
			field.ContentType = api.Ptr(api.FieldContentType(p[3]))
		}
		in.Fields[p[0]] = field
	}
	if s.expiry > 0 {
		in.DataExpiry = &s.expiry
	}
	return in
}

// uploaded creates a job and stores its file.
func (r *rig) uploaded(domain string, s spec, file io.Reader) string {
	r.t.Helper()
	id := r.created(domain, s)
	r.put(domain, id, file)
	return id
}

// created creates a job.
func (r *rig) created(domain string, s spec) string {
	r.t.Helper()
	job, err := r.Uploads.CreateUploadJob(ctx, s.request(domain))
	if err != nil {
		r.t.Fatal(err)
	}
	return *job.JobId
}

func (r *rig) put(domain, id string, file io.Reader) {
	r.t.Helper()
	if err := r.tryPut(domain, id, file); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) tryPut(domain, id string, file io.Reader) error {
	r.t.Helper()
	path, err := r.Uploads.GetUploadJobPath(upload.WithBaseURL(ctx, "http://h"), &api.GetUploadJobPathRequest{DomainName: &domain, JobId: &id})
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = r.Uploads.ReceiveFile(ctx, domain, id, decodeKey(r.t, *path.ClientToken), file, func() error { return nil })
	return err
}

func (r *rig) startJob(domain, id string) error {
	_, err := r.Uploads.StartUploadJob(ctx, &api.StartUploadJobRequest{DomainName: &domain, JobId: &id})
	return err
}

func (r *rig) get(domain, id string) *api.GetUploadJobResponse {
	r.t.Helper()
	job, err := r.Uploads.GetUploadJob(ctx, &api.GetUploadJobRequest{DomainName: &domain, JobId: &id})
	if err != nil {
		r.t.Fatal(err)
	}
	return job
}

func (r *rig) details(domain, id string) *api.GetUploadJobDetailsResponse {
	r.t.Helper()
	d, err := r.Uploads.GetUploadJobDetails(ctx, &api.GetUploadJobDetailsRequest{DomainName: &domain, JobId: &id})
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// patience is how long a test waits for what must come, however busy the machine is.
const patience = 8 * time.Minute

// wait waits until a job's counters stand.
func (r *rig) wait(domain, id string) *api.GetUploadJobResponse {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if api.Val(r.details(domain, id).Stage) == "finished" {
			return r.get(domain, id)
		}
	}
	r.t.Fatalf("job %s did not end: %+v\n%s", id, r.details(domain, id), r.logText())
	return nil
}

// run imports a file and returns the ended job.
func (r *rig) run(domain string, s spec, file string) *api.GetUploadJobResponse {
	r.t.Helper()
	id := r.uploaded(domain, s, strings.NewReader(file))
	if err := r.startJob(domain, id); err != nil {
		r.t.Fatal(err)
	}
	return r.wait(domain, id)
}

// outcome is a job's end in one line.
func outcome(j *api.GetUploadJobResponse) string {
	s := api.Val(j.ResultsSummary)
	text := fmt.Sprintf("%s %d/%d/%d", *j.Status, api.Val(s.CreatedRecords), api.Val(s.UpdatedRecords), api.Val(s.FailedRecords))
	if j.StatusReason != nil {
		text += " " + string(*j.StatusReason)
	}
	return text
}

func (r *rig) expect(j *api.GetUploadJobResponse, want string) {
	r.t.Helper()
	if got := outcome(j); got != want {
		r.t.Fatalf("the job ended as %s, want %s (%s)\n%s", got, want, api.Val(r.details(r.domainOf(j), *j.JobId).Reason), r.logText())
	}
}

func (r *rig) domainOf(j *api.GetUploadJobResponse) string {
	live, err := r.Domains.Live(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, rec := range live {
		if _, err := r.Uploads.GetUploadJob(ctx, &api.GetUploadJobRequest{DomainName: &rec.Name, JobId: j.JobId}); err == nil {
			return rec.Name
		}
	}
	return ""
}

// dump returns all profiles of a domain as sorted JSON without ids.
func (r *rig) dump(domain string) []string {
	r.t.Helper()
	all, err := dump.Profiles(ctx, r.store, r.Profiles, domain)
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

func hash(profiles []string) string { return dump.Sum(profiles) }

// search returns the account numbers found by a key.
func (r *rig) search(domain, key string, values ...string) []string {
	r.t.Helper()
	out, err := r.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &domain, KeyName: &key, Values: values, MaxResults: api.Ptr(int32(100))})
	if err != nil {
		r.t.Fatal(err)
	}
	found := []string{}
	for _, p := range out.Items {
		found = append(found, api.Val(p.AccountNumber))
	}
	slices.Sort(found)
	return found
}

func (r *rig) rejects(domain, id string, size int32) []api.Reject {
	r.t.Helper()
	var all []api.Reject
	in := &api.ListUploadJobRejectsRequest{DomainName: &domain, JobId: &id, MaxResults: &size}
	for {
		page, err := r.Uploads.ListUploadJobRejects(ctx, in)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, page.Items...)
		if page.NextToken == nil {
			return all
		}
		in.NextToken = page.NextToken
	}
}

// onEngines runs a test on both embedded engines.
func onEngines(t *testing.T, test func(t *testing.T, st store.Store)) {
	t.Run("mem", func(t *testing.T) { test(t, mem.New()) })
	t.Run("pebble", func(t *testing.T) { test(t, newPebble(t)) })
}

// onAllEngines is onEngines, or a cluster if there is one: each engine has its turn in make test or in make test-cluster.
func onAllEngines(t *testing.T, test func(t *testing.T, st store.Store)) {
	if os.Getenv("KITH_TEST_CQL") == "" {
		onEngines(t, test)
	}
	t.Run("cql", func(t *testing.T) {
		st, _ := cluster.EnginesOn(t, cluster.Options(t))
		test(t, st)
	})
}

// seeds is how many random runs a test makes: a third of them on Pebble too, for what they do is hardly a matter of the engine, and few on a cluster, where
// each takes long. KITH_TEST_SEEDS is how many times as many they are (.ci/run, make random).
func seeds(t *testing.T, n uint64) uint64 {
	switch {
	case strings.HasSuffix(t.Name(), "/cql"):
		return 2
	case strings.HasSuffix(t.Name(), "/pebble"):
		n = (n + 2) / 3
	}
	if more, err := strconv.ParseUint(os.Getenv("KITH_TEST_SEEDS"), 10, 64); err == nil {
		n *= more
	}
	return n
}

// often says whether the nth of many cases that are much alike, and take long, is tried every day: half of them are, and all by .ci/run.
func often(n int) bool { return n%2 == 0 || os.Getenv("KITH_TEST_SEEDS") != "" }

// compactNow compacts the old imports of a domain.
func (r *rig) compactNow(inc store.Incarnation) {
	r.t.Helper()
	err := job.Enqueue(ctx, r.store, job.Work{Kind: profile.CompactKind, ID: profile.CompactKind, Incarnation: inc, Arrived: r.clock.now().UnixMicro()})
	if err != nil {
		r.t.Fatal(err)
	}
	r.idle()
}
