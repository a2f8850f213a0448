package e2e

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"

	"kith/access"
	"kith/api"
	"kith/blob/disk"
	"kith/job"
	"kith/node"
	"kith/server"
	"kith/store"
	"kith/store/cql"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/test/cluster"
	"kith/upload"
)

// cable is a network that can be cut: what is under way waits, in both directions or only on its way back, until it is mended.
type cable struct {
	mu      sync.Mutex
	mended  chan struct{} // closed while the cable is whole
	answers bool          // only answers are held up
}

func newCable() *cable {
	c := &cable{mended: make(chan struct{})}
	close(c.mended)
	return c
}

func (c *cable) cut(answers bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mended, c.answers = make(chan struct{}), answers
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.mended)
}

func (c *cable) wait(answer bool, closed <-chan struct{}) {
	c.mu.Lock()
	mended, pass := c.mended, c.answers && !answer
	c.mu.Unlock()
	if pass {
		return
	}
	select {
	case <-mended:
	case <-closed:
	}
}

// DialContext implements the driver's dialer.
func (c *cable) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c.wait(true, ctx.Done())
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: conn, cable: c, closed: make(chan struct{})}, nil
}

type wire struct {
	net.Conn
	cable  *cable
	once   sync.Once
	closed chan struct{}
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.cable.wait(true, w.closed)
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	w.cable.wait(false, w.closed)
	return w.Conn.Write(b)
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

// A node whose network is cut while it renews its lease loses its work to another one. When the network is mended its publication
// is refused: there is one outcome, and it is the other node's.
func TestSharedNodesFenceTheOneThatWasCutOff(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]bool{"both ways": false, "answers only": true} {
		t.Run(name, func(t *testing.T) {
			o := cluster.Options(t)
			cable := newCable()
			far := o
			far.Dialer = cable
			stores := map[string]store.Store{}
			for node, o := range map[string]cql.Options{"a": far, "b": o} {
				st, err := cql.Open(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = st.Close() })
				stores[node] = st
			}
			w := job.Work{Kind: "test", ID: "work", Incarnation: 7, Arrived: 1}
			if err := job.Enqueue(t.Context(), stores["b"], w); err != nil {
				t.Fatal(err)
			}
			begun, mended, published := make(chan struct{}), make(chan struct{}), make(chan error, 2)
			start := func(node string, run func(ctx context.Context, task *job.Task) error) {
				r := &job.Runner{
					Store: stores[node], Owner: node, Now: time.Now, Log: slog.New(slog.DiscardHandler), LeaseFor: 3 * time.Second, Poll: 100 * time.Millisecond,
					Domains:  func(context.Context) ([]job.Domain, error) { return []job.Domain{{Incarnation: 7}}, nil },
					Gone:     func(context.Context, store.Incarnation) (bool, error) { return false, nil },
					Handlers: map[string]job.Handler{"test": handler(run)},
				}
				ctx, cancel := context.WithCancel(context.Background())
				var wg sync.WaitGroup
				wg.Go(func() { r.Run(ctx) })
				t.Cleanup(func() { cancel(); wg.Wait() })
			}
			outcome := store.Swap{Key: []byte("outcome")}
			start("a", func(_ context.Context, task *job.Task) error {
				close(begun)
				<-mended
				op := outcome
				op.Value = []byte("a")
				// Whatever its context says: the fence has to hold by itself, also for rows that nobody else wrote.
				_, err := task.Swap(context.Background(), op)
				published <- err
				_, err = task.Swap(context.Background(), store.Swap{Key: []byte("late")})
				published <- err
				return err
			})
			<-begun
			time.Sleep(900 * time.Millisecond) // a renewal is due every second
			cable.cut(answers)
			done := make(chan struct{})
			start("b", func(ctx context.Context, task *job.Task) error {
				op := outcome
				op.Value = []byte("b")
				if _, err := task.Swap(ctx, op); err != nil {
					return err
				}
				close(done)
				return nil
			})
			select {
			case <-done:
			case <-time.After(patience):
				t.Fatal("the other node did not take over")
			}
			cable.mend()
			close(mended)
			for range 2 {
				if err := <-published; !errors.Is(err, job.ErrLost) {
					t.Errorf("a publication of the node that was cut off: %v, want ErrLost", err)
				}
			}
			if _, err := stores["b"].Get(t.Context(), job.Partition(7, "work"), []byte("late")); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the node that was cut off published a row of its own, %v", err)
			}
			row, err := stores["b"].Get(t.Context(), job.Partition(7, "work"), []byte("outcome"))
			if err != nil || string(row.Value) != "b" {
				t.Fatalf("the outcome is %q, %v", row.Value, err)
			}
		})
	}
}

// meeting holds up the first calls of each kind until two nodes have made one, so that nodes share work however fast one of them is.
type meeting struct {
	mu    sync.Mutex
	nodes map[faulty.Op]map[int]bool
	open  map[faulty.Op]chan struct{}
}

// newMeeting holds up calls of some kinds, until end is called at the latest.
func newMeeting(ops ...faulty.Op) *meeting {
	m := &meeting{nodes: map[faulty.Op]map[int]bool{}, open: map[faulty.Op]chan struct{}{}}
	for _, op := range ops {
		m.nodes[op], m.open[op] = map[int]bool{}, make(chan struct{})
	}
	return m
}

func (m *meeting) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for op := range m.open {
		m.release(op)
	}
}

func (m *meeting) release(op faulty.Op) {
	select {
	case <-m.open[op]:
	default:
		close(m.open[op])
	}
}

// call returns when the call may go on.
func (m *meeting) call(op faulty.Op, node int) {
	if m.open[op] == nil {
		return
	}
	m.mu.Lock()
	m.nodes[op][node] = true
	if len(m.nodes[op]) > 1 {
		m.release(op)
	}
	m.mu.Unlock()
	<-m.open[op]
}

// crewOptions say how the nodes of a crew work together.
type crewOptions struct {
	// freezing stops each of the nodes now and then, for longer than its leases last; then it goes on with what it was doing. The
	// first to be stopped is one that has a lease, until another has taken it.
	freezing bool
	// meeting makes at least two nodes resolve, and apply.
	meeting bool
}

// newCrew is a node with others beside it, on engines that answer as slowly as over a network. Only where nodes are to be frozen are
// leases short: elsewhere none may be lost, however busy the machine is.
func newCrew(t *testing.T, nodes int, config upload.Config, o crewOptions) *rig {
	blobs, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	engine := mem.New()
	m := newMeeting()
	if o.meeting {
		m = newMeeting(faulty.Probe, faulty.WriteRun)
	}
	frozen := make(chan struct{})
	var cables []*cable
	far := func(node int) store.Store {
		c, st := newCable(), &faulty.Store{Store: engine}
		st.Before(func(op faulty.Op, p store.Partition) error {
			if (op == faulty.Probe || op == faulty.WriteRun) && (p.Table == store.Index || p.Table == store.Profile) { // others are read and written by other work too
				time.Sleep(time.Millisecond)
				m.call(op, node)
				if o.meeting && o.freezing && op == faulty.WriteRun {
					<-frozen
				}
			}
			c.wait(false, nil)
			return nil
		})
		st.After(func(faulty.Op, store.Partition) error {
			c.wait(true, nil)
			return nil
		})
		cables = append(cables, c)
		return st
	}
	r := &rig{t: t, store: far(0), blobs: blobs, clock: &clock{}, config: config, log: &strings.Builder{}, shared: true, leaseFor: time.Minute}
	if o.freezing {
		r.leaseFor = 200 * time.Millisecond
	}
	r.start()
	t.Cleanup(func() { r.Stop() })
	for i := 1; i < nodes; i++ {
		t.Cleanup(r.startNode(fmt.Sprintf("node-%d", i+1), far(i)).Stop)
	}
	t.Cleanup(m.end) // before the nodes end
	if o.freezing {
		freezeNodes(t, engine, cables, r.leaseFor, frozen)
	} else {
		close(frozen)
	}
	return r
}

// freezeNodes stops nodes now and then until the test ends.
func freezeNodes(t *testing.T, engine store.Store, cables []*cable, leaseFor time.Duration, frozen chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	owner := func() string {
		for row, err := range engine.Sweep(ctx, store.SweepRange{Table: store.Jobs}) {
			if err != nil || row.Partition.Key != "queue" {
				continue
			}
			all, err := job.List(ctx, engine, row.Partition.Incarnation)
			if err == nil && len(all) > 0 {
				return all[0].Owner
			}
		}
		return ""
	}
	wg.Go(func() {
		defer close(frozen)
		var had string
		for ; had == "" && ctx.Err() == nil; time.Sleep(time.Millisecond) {
			had = owner()
		}
		if ctx.Err() != nil {
			return
		}
		c := cables[had[len("node-")]-'1']
		c.cut(false)
		for now := had; (now == had || now == "") && ctx.Err() == nil; time.Sleep(time.Millisecond) {
			now = owner()
		}
		c.mend()
	})
	for _, c := range cables {
		wg.Go(func() {
			<-frozen
			for ctx.Err() == nil {
				time.Sleep(time.Duration(rand.IntN(int(leaseFor / 2))))
				c.cut(rand.IntN(2) == 0)
				time.Sleep(time.Duration(rand.IntN(int(3 * leaseFor))))
				c.mend()
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
}

type handler func(ctx context.Context, t *job.Task) error

func (h handler) Run(ctx context.Context, t *job.Task) error { return h(ctx, t) }

func (h handler) GiveUp(context.Context, *job.Task, error) error { return nil }

// What one node gives out works at every other: access keys, page tokens, upload URLs and client tokens.
func TestSharedNodesKnowWhatOthersGaveOut(t *testing.T) {
	t.Parallel()
	st, blobs := cluster.Engines(t)
	t.Cleanup(func() { _ = st.Close() })
	clients := map[string]*customerprofiles.Client{}
	addresses := map[string]string{}
	var keyID, secret string
	for _, owner := range []string{"a", "b"} {
		n, err := node.Start(node.Config{
			Store: st, Blobs: blobs, Master: make([]byte, 32), Owner: owner, Shared: true, Log: slog.New(slog.DiscardHandler),
			Server: server.Config{PublicURL: "http://kith.example.org"}, // the balancer's name
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Stop)
		if keyID == "" { // made at a, used at both
			key, err := n.Access.CreateAccessKey(access.With(t.Context(), access.Identity{Root: true}), &api.CreateAccessKeyRequest{Policy: api.Ptr(access.Everything)})
			if err != nil {
				t.Fatal(err)
			}
			keyID, secret = *key.AccessKeyId, *key.SecretAccessKey
		}
		web := httptest.NewServer(n.Handler)
		t.Cleanup(web.Close)
		addresses[owner] = web.URL
		clients[owner] = customerprofiles.New(customerprofiles.Options{
			BaseEndpoint: &web.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""),
		})
	}
	a, b := clients["a"], clients["b"]
	for _, name := range []string{"one", "two", "three"} {
		if _, err := a.CreateDomain(t.Context(), &customerprofiles.CreateDomainInput{DomainName: &name, DefaultExpirationDays: api.Ptr(int32(366))}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := a.ListDomains(t.Context(), &customerprofiles.ListDomainsInput{MaxResults: api.Ptr(int32(2))})
	if err != nil || first.NextToken == nil {
		t.Fatalf("%+v, %v", first, err)
	}
	rest, err := b.ListDomains(t.Context(), &customerprofiles.ListDomainsInput{MaxResults: api.Ptr(int32(2)), NextToken: first.NextToken})
	if err != nil || len(first.Items)+len(rest.Items) != 3 {
		t.Fatalf("%d and %d domains, %v; want 3 in all", len(first.Items), len(rest.Items), err)
	}

	domain := api.Ptr("one")
	job, err := a.CreateUploadJob(t.Context(), &customerprofiles.CreateUploadJobInput{
		DomainName: domain, DisplayName: api.Ptr("x"), UniqueKey: api.Ptr("id"),
		Fields: map[string]types.ObjectTypeField{"id": {Source: api.Ptr("_source.id"), Target: api.Ptr("_profile.AccountNumber")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path, err := a.GetUploadJobPath(t.Context(), &customerprofiles.GetUploadJobPathInput{DomainName: domain, JobId: job.JobId})
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.GetUploadJobPath(t.Context(), &customerprofiles.GetUploadJobPathInput{DomainName: domain, JobId: job.JobId})
	if err != nil || *again.ClientToken != *path.ClientToken {
		t.Fatalf("the client token differs between nodes, %v", err)
	}
	u, err := url.Parse(*path.Url)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, addresses["b"]+u.RequestURI(), strings.NewReader("id\nC1\nC2\n"))
	if err != nil {
		t.Fatal(err)
	}
	key := decodeKey(t, *path.ClientToken)
	sum := md5.Sum(key[:])
	req.Host = u.Host
	req.Header.Set(upload.HeaderAlgorithm, "AES256")
	req.Header.Set(upload.HeaderKey, *path.ClientToken)
	req.Header.Set(upload.HeaderKeyMD5, base64.StdEncoding.EncodeToString(sum[:]))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("a URL of the other node: %s", res.Status)
	}
	if _, err := b.StartUploadJob(t.Context(), &customerprofiles.StartUploadJobInput{DomainName: domain, JobId: job.JobId}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		j, err := a.GetUploadJob(t.Context(), &customerprofiles.GetUploadJobInput{DomainName: domain, JobId: job.JobId})
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%+v, %v", j, err)
		}
		if j.Status == types.UploadJobStatusSucceeded {
			break
		}
	}
	found, err := a.SearchProfiles(t.Context(), &customerprofiles.SearchProfilesInput{DomainName: domain, KeyName: api.Ptr("_account"), Values: []string{"C2"}})
	if err != nil || len(found.Items) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
}

// A stop holds for all nodes, those included that are frozen while they resolve: no run is published after it, and what was
// published before is applied and counted.
func TestSharedNodesStopTogether(t *testing.T) {
	t.Parallel()
	file := sampleFile(t, 3000, 1)
	for range 4 {
		r := newCrew(t, 3, upload.Config{MemoryBytes: 1, BucketBytes: 1 << 13, StopPollEvery: 20 * time.Millisecond, CacheWait: 20 * time.Millisecond}, crewOptions{freezing: true})
		r.domain("d")
		id := r.uploaded("d", sampleSpec, strings.NewReader(file))
		if err := r.startJob("d", id); err != nil {
			t.Fatal(err)
		}
		rec, err := r.Domains.Lookup(ctx, "d")
		if err != nil {
			t.Fatal(err)
		}
		runs := func() (n int) {
			for _, err := range r.store.Scan(ctx, job.Partition(rec.Incarnation, id), store.Prefix("run/")) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			return n
		}
		for runs() < 3 {
			time.Sleep(time.Millisecond)
		}
		if _, err := r.Uploads.StopUploadJob(ctx, &api.StopUploadJobRequest{DomainName: api.Ptr("d"), JobId: &id}); err != nil {
			t.Logf("the job was faster: %v", err)
		}
		j, published := r.wait("d", id), runs()
		time.Sleep(4 * r.leaseFor) // frozen nodes go on
		if n := runs(); n != published {
			t.Errorf("%d runs, and %d when the job had ended", n, published)
		}
		if n := int64(len(r.dump("d"))); n != *j.ResultsSummary.CreatedRecords {
			t.Errorf("%d profiles, created %d", n, *j.ResultsSummary.CreatedRecords)
		}
	}
}
