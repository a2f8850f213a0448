package e2e

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kith/api"
	"kith/blob"
	"kith/blob/disk"
	"kith/internal/people"
	"kith/job"
	"kith/match/link"
	"kith/node"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/store/storetest"
	"kith/test/cluster"
	"kith/upload"
)

var peopleSpec = spec{key: "id", fields: []string{"id:id:AccountNumber", "f:first_name:FirstName", "l:last_name:LastName", "g:gender:GenderString", "b:birth_date:BirthDate",
	"m:email:EmailAddress", "p:phone:PhoneNumber", "s:street:Address.Address1", "c:city:Address.City", "z:postal_code:Address.PostalCode", "t:state:Address.State", "n:country:Address.Country"}}

// searchers are nodes that share a store with a domain of people, whose jobs they make together.
type searchers struct {
	*rig
	nodes  []*node.Node
	faults []*faulty.Store

	// before is called before a node makes a piece: whether it helps tells it from the one that has the lease.
	before func(ctx context.Context, node int, helps bool, step string, piece int) error

	// around does what a node does with a piece, makes or takes it.
	around func(step string, make bool, do func() error) error

	mu       sync.Mutex
	made     map[int]int // pieces, by node
	searches map[int]int // begun with a team, by node
	running  int         // of these
	at       map[int]int // of these, by node
}

var errDead = errors.New("the node is dead")

// newSearchers has a mem engine, or a cluster's where there is one.
func newSearchers(t *testing.T, leaseFor time.Duration) *searchers {
	engine, blobs := searchEngines(t)
	return newSearchersOn(t, leaseFor, engine, blobs, 400)
}

func searchEngines(t *testing.T) (engine store.Store, blobs blob.Store) {
	engine = mem.New()
	if os.Getenv("KITH_TEST_CQL") != "" {
		engine, blobs = cluster.Engines(t)
	} else {
		var err error
		if blobs, err = disk.Open(t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine, blobs
}

func newSearchersOn(t *testing.T, leaseFor time.Duration, engine store.Store, blobs blob.Store, customers int) *searchers {
	counted := &storetest.Census{Store: engine, Families: node.Families, Report: t.Errorf}
	s := &searchers{made: map[int]int{}, searches: map[int]int{}, at: map[int]int{}, around: func(_ string, _ bool, do func() error) error { return do() }}
	s.rig = &rig{t: t, store: counted, blobs: blobs, clock: &clock{}, log: &strings.Builder{}, shared: true, leaseFor: leaseFor, config: upload.Config{CacheWait: 20 * time.Millisecond}}
	s.matches.ShareFrom = 1 << 40 // nobody shares yet
	s.start()
	s.nodes = append(s.nodes, s.Node)
	s.people("d", customers)
	return s
}

// people makes a domain of people.
func (s *searchers) people(domain string, customers int) {
	s.t.Helper()
	s.domain(domain)
	var file strings.Builder
	if err := people.Write(&file, &strings.Builder{}, people.Options{Records: customers, Seed: 3, Repeats: 0.5}); err != nil {
		s.t.Fatal(err)
	}
	s.expect(s.run(domain, peopleSpec, file.String()), fmt.Sprintf("SUCCEEDED %d/0/0", customers))
	s.matching(domain)
}

// share stops the node that was alone and starts those that work together.
func (s *searchers) share(nodes int) {
	s.t.Helper()
	s.nodes[0].Stop()
	s.nodes = nil
	s.matches.ShareFrom = 1
	for range nodes {
		s.add(&faulty.Store{Store: s.store})
	}
	s.Node = s.nodes[0]
}

// add starts one more node.
func (s *searchers) add(faults *faulty.Store) {
	s.t.Helper()
	i := len(s.nodes)
	s.finder = s.find(i)
	n := s.startNode(fmt.Sprintf("node-%d", i+1), faults)
	s.nodes, s.faults = append(s.nodes, n), append(s.faults, faults)
	s.t.Cleanup(n.Stop)
}

// find is link.Find of a node. Of each step the first piece is made when two nodes are about to make one.
func (s *searchers) find(node int) finder {
	return func(ctx context.Context, src link.Source, o link.Options, emit func(*link.Group) error) (*link.Model, *link.Report, error) {
		if o.Team == nil {
			return link.Find(ctx, src, o, emit)
		}
		s.mu.Lock()
		if s.at[node] > 0 {
			s.t.Error("a node makes or helps with two searches at a time")
		}
		s.searches[node]++
		s.running++
		s.at[node]++
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.running--
			s.at[node]--
		}()
		team, share := *o.Team, o.Team.Share
		team.Share = func(ctx context.Context, step string, n int, make func(context.Context, int, io.Writer) error, take func(int, io.Reader) error) error {
			return share(ctx, step, n, func(ctx context.Context, piece int, w io.Writer) error {
				if s.before != nil {
					if err := s.before(ctx, node, team.Helps, step, piece); err != nil {
						return err
					}
				}
				s.mu.Lock()
				s.made[node]++
				s.mu.Unlock()
				return s.around(step, true, func() error { return make(ctx, piece, w) })
			}, func(piece int, r io.Reader) error {
				return s.around(step, false, func() error { return take(piece, r) })
			})
		}
		o.Team = &team
		return link.Find(ctx, src, o, emit)
	}
}

// atTwo is a hook that holds up the first pieces of a step until two nodes are about to make one.
func atTwo() func(context.Context, int, bool, string, int) error {
	var mu sync.Mutex
	nodes, open := map[string]map[int]bool{}, map[string]chan struct{}{}
	return func(ctx context.Context, node int, _ bool, step string, _ int) error {
		step, _, _ = strings.Cut(step, "=")
		mu.Lock()
		if nodes[step] == nil {
			nodes[step], open[step] = map[int]bool{}, make(chan struct{})
		}
		if nodes[step][node] = true; len(nodes[step]) == 2 {
			select {
			case <-open[step]:
			default:
				close(open[step])
			}
		}
		wait := open[step]
		mu.Unlock()
		select {
		case <-wait:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// kill has a node do nothing more, as if its process were gone.
func (s *searchers) kill(node int) {
	s.faults[node].Before(func(faulty.Op, store.Partition) error { return errDead })
}

// start starts a job at a node.
func (s *searchers) begin() string {
	s.t.Helper()
	out, err := s.Matches.StartIdentityResolutionJob(ctx, &api.StartIdentityResolutionJobRequest{DomainName: api.Ptr("d")})
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.JobId
}

// found is what a job that has ended found and learned, counters included.
func (s *searchers) found(id string) string {
	s.t.Helper()
	j := s.matched("d", id)
	d, err := s.Matches.GetIdentityResolutionJobDetails(ctx, &api.GetIdentityResolutionJobDetailsRequest{DomainName: api.Ptr("d"), JobId: &id})
	if err != nil {
		s.t.Fatal(err)
	}
	var groups []string
	in := &api.GetMatchesRequest{DomainName: api.Ptr("d"), MaxResults: api.Ptr(int32(100))}
	for {
		out, err := s.Matches.GetMatches(ctx, in)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, m := range out.Matches {
			groups = append(groups, fmt.Sprint(m.ProfileIds, *m.ConfidenceScore))
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	slices.Sort(groups)
	row, err := s.store.Get(ctx, job.Partition(s.incarnation(), id), []byte("model"))
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintln(jobLine(j), *d.ProfilesRead, *d.PairsCompared, *d.PairsMatched, hex.EncodeToString(row.Value)) + strings.Join(groups, "\n")
}

func (s *searchers) incarnation() store.Incarnation {
	s.t.Helper()
	rec, err := s.Domains.Lookup(ctx, "d")
	if err != nil {
		s.t.Fatal(err)
	}
	return rec.Incarnation
}

// nothingLeft waits until no rows and blobs are left of what nodes shared.
func (s *searchers) nothingLeft(id string) {
	s.t.Helper()
	inc := s.incarnation()
	s.until("the end of all rows and blobs that were shared", func() bool {
		for range s.store.Scan(ctx, job.Partition(inc, id), store.Prefix(job.PartPrefix)) {
			return false
		}
		for range s.blobs.List(ctx, inc.Dir()+"match/") {
			return false
		}
		return true
	})
}

// Nodes that share a store make a job together and find what one alone finds, to the last bit. A node of another program stays out.
func TestNodesShareASearch(t *testing.T) {
	t.Parallel()
	s := newSearchers(t, time.Minute)
	id := s.begin()
	want := s.found(id)
	s.nothingLeft(id)
	meet, looked := atTwo(), make(chan struct{})
	s.before = func(ctx context.Context, node int, helps bool, step string, piece int) error {
		if strings.HasPrefix(step, "pairs") {
			<-looked
		}
		return meet(ctx, node, helps, step, piece)
	}
	s.share(2)
	id = s.begin()
	s.until("a search", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.made[0] > 0 && s.made[1] > 0
	})
	var looks atomic.Int64
	stranger := &faulty.Store{Store: s.store}
	stranger.Before(func(op faulty.Op, p store.Partition) error {
		if op == faulty.Get && p.Key == "work/"+id && looks.Add(1) == 20 { // two of them are a look at the job and the plan
			close(looked)
		}
		return nil
	})
	s.matches.Program = "another"
	s.add(stranger)
	if got := s.found(id); got != want || !strings.Contains(got, "COMPLETED 400/") {
		t.Errorf("together\n%.2000s\nalone\n%.2000s", got, want)
	}
	s.nothingLeft(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made[0] < 4 || s.made[1] < 4 || s.searches[2] > 0 {
		t.Errorf("pieces by node: %v, searches: %v", s.made, s.searches)
	}
}

// A node that helps and dies leaves its pieces to others; one that has the lease leaves the job to others, who begin anew.
func TestNodesDieWhileTheyShareASearch(t *testing.T) {
	t.Parallel()
	for n, at := range []string{"survey", "records", "pairs-2", "pairs-1"} {
		for name, helper := range map[string]bool{"who helps": true, "who has the lease": false} {
			if helper && !often(n) || !helper && !often(n+1) {
				continue
			}
			t.Run(name+" at "+at, func(t *testing.T) {
				t.Parallel()
				s := newSearchers(t, 3*time.Second)
				want := s.found(s.begin())
				meet, dead, died := atTwo(), -1, make(chan struct{})
				s.before = func(ctx context.Context, node int, helps bool, step string, piece int) error {
					s.mu.Lock()
					victim := dead < 0 && helps == helper && strings.HasPrefix(step, at)
					if victim {
						dead = node
						s.kill(node)
						close(died)
					}
					gone, alive := dead == node, dead < 0
					waits := alive && strings.HasPrefix(step, at)
					s.mu.Unlock()
					switch {
					case gone:
						return errDead
					case waits:
						<-died
					case alive:
						return meet(ctx, node, helps, step, piece)
					}
					return nil
				}
				s.share(3)
				id := s.begin()
				<-died
				s.Node = s.nodes[(dead+1)%3]
				if got := s.found(id); got != want {
					t.Errorf("together\n%.2000s\nalone\n%.2000s", got, want)
				}
				if err := s.CleanUp(ctx); err != nil { // what the dead could not remove
					t.Fatal(err)
				}
				s.nothingLeft(id)
			})
		}
	}
}

// A job whose domain does not want its profiles matched any more ends at all nodes. A piece that is made when it has ended counts nowhere.
func TestNodesStopASearchTogether(t *testing.T) {
	t.Parallel()
	s := newSearchers(t, time.Minute)
	var once sync.Once
	var id string
	var leader atomic.Pointer[node.Node]
	begun, ended, published := make(chan struct{}), make(chan struct{}), make(chan struct{})
	meet := atTwo()
	s.before = func(ctx context.Context, node int, helps bool, step string, piece int) error {
		<-begun
		if err := meet(ctx, node, helps, step, piece); err != nil || step != "records" {
			return err
		}
		if helps {
			if leader.CompareAndSwap(nil, s.nodes[1-node]) {
				s.until("the end of the job", func() bool {
					j, err := leader.Load().Matches.GetIdentityResolutionJob(ctx, &api.GetIdentityResolutionJobRequest{DomainName: api.Ptr("d"), JobId: &id})
					return err == nil && j.JobEndTime != nil
				})
				close(ended)
			}
			return nil
		}
		once.Do(func() {
			if _, err := s.Domains.UpdateDomain(ctx, &api.UpdateDomainRequest{DomainName: api.Ptr("d"), Matching: &api.MatchingRequest{Enabled: api.Ptr(false)}}); err != nil {
				t.Error(err)
			}
		})
		<-ctx.Done()
		return context.Cause(ctx)
	}
	s.share(2)
	id = s.begin()
	calm := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.running == 0
	}
	for i, faults := range s.faults {
		var once sync.Once
		faults.Before(func(op faulty.Op, p store.Partition) error {
			at := leader.Load()
			switch {
			case at == nil || p.Key != "work/"+id:
			case at == s.nodes[i]:
				if op != faulty.Scan {
					break
				}
				if j, err := at.Matches.GetIdentityResolutionJob(ctx, &api.GetIdentityResolutionJobRequest{DomainName: api.Ptr("d"), JobId: &id}); err == nil && j.JobEndTime != nil {
					s.until("the end of all searches, before what is left is removed", calm)
					for row, err := range s.store.Scan(ctx, p, store.Prefix(job.PartPrefix)) {
						if err != nil || strings.Contains(string(row.Key), "records=") {
							t.Errorf("a piece was published when the job had ended: %s, %v", row.Key, err)
						}
					}
					for info, err := range s.blobs.List(ctx, p.Incarnation.Dir()+"match/") {
						if err != nil || strings.Contains(info.Name, "/records-") {
							t.Errorf("who came too late has left a blob: %s, %v", info.Name, err)
						}
					}
				}
			case op == faulty.Get: // who helps does not know yet that the job has ended when it publishes its piece
				<-published
			case op == faulty.Swap:
				select {
				case <-ended:
					once.Do(func() { close(published) })
				default: // a heartbeat
				}
			}
			return nil
		})
	}
	close(begun)
	if j := s.matched("d", id); *j.Status != api.IdentityResolutionJobStatusFailed || !strings.Contains(*j.Message, "disabled") {
		t.Errorf("%s: %s", *j.Status, *j.Message)
	}
	s.until("the end of all searches", calm)
	if s.searches[0] != 1 || s.searches[1] != 1 {
		t.Errorf("searches: %v", s.searches)
	}
	s.nothingLeft(id)
}

// A node has memory for one search: while it makes one, or helps with one, other domains wait, unless another node is free.
func TestNodesMakeOneSearchEach(t *testing.T) {
	t.Parallel()
	s := newSearchers(t, time.Minute)
	s.people("e", 300)
	s.people("f", 200)
	looked := make(chan struct{})
	s.before = func(ctx context.Context, _ int, _ bool, _ string, _ int) error {
		select {
		case <-looked:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	s.share(2)
	ids := map[string]string{}
	for _, domain := range []string{"d", "e", "f"} {
		out, err := s.Matches.StartIdentityResolutionJob(ctx, &api.StartIdentityResolutionJobRequest{DomainName: &domain})
		if err != nil {
			t.Fatal(err)
		}
		ids[domain] = *out.JobId
	}
	s.until("a search of each node", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.at[0] == 1 && s.at[1] == 1
	})
	var looks [2]atomic.Int64
	for i, faults := range s.faults {
		faults.Before(func(op faulty.Op, p store.Partition) error {
			if op == faulty.Get && p.Table == store.Jobs && p.Key == "queue" { // a look for work
				looks[i].Add(1)
			}
			return nil
		})
	}
	s.until("looks for work", func() bool { return looks[0].Load() > 20 && looks[1].Load() > 20 })
	close(looked)
	for domain, id := range ids {
		if j := s.matched(domain, id); *j.Status != api.IdentityResolutionJobStatusCompleted {
			t.Errorf("%s: %s", domain, jobLine(j))
		}
	}
}

// damaged is a folder of blobs one of which is damaged before it is first read.
type damaged struct {
	blob.Store
	dir    string
	within string // its name
	mu     sync.Mutex
	done   string
}

func (d *damaged) Open(ctx context.Context, name string, key blob.Key) (blob.Reader, error) {
	d.mu.Lock()
	if d.done == "" && strings.Contains(name, d.within) {
		d.done = name
		err := filepath.WalkDir(d.dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, filepath.FromSlash(name)) {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				b[len(b)/2] ^= 1
				return os.WriteFile(path, b, 0o600)
			}
			return err
		})
		if err != nil {
			d.mu.Unlock()
			return nil, err
		}
	}
	d.mu.Unlock()
	return d.Store.Open(ctx, name, key)
}

// A piece that is damaged fails the attempt, and the next one finds what there is.
func TestNodesMeetADamagedPiece(t *testing.T) {
	t.Parallel()
	for _, of := range []string{"/task-", "/survey-", "/records-", "/pairs-"} {
		t.Run(strings.Trim(of, "/-"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			files, err := disk.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			d := &damaged{Store: files, dir: dir, within: of}
			s := newSearchersOn(t, time.Minute, mem.New(), d, 400)
			want := s.found(s.begin())
			s.share(2)
			id := s.begin()
			if got := s.found(id); got != want {
				t.Errorf("together\n%.2000s\nalone\n%.2000s", got, want)
			}
			s.nothingLeft(id)
			s.mu.Lock()
			defer s.mu.Unlock()
			if of != "/task-" && (d.done == "" || s.searches[0]+s.searches[1] < 2) {
				t.Errorf("damaged: %q; searches: %v", d.done, s.searches)
			}
		})
	}
}

// What processes that died have left of searches goes, and what a search works with stays.
func TestNodesLeaveNoPieces(t *testing.T) {
	t.Parallel()
	s := newSearchers(t, time.Minute)
	var id string
	var once sync.Once
	begun := make(chan struct{})
	s.before = func(ctx context.Context, _ int, _ bool, step string, _ int) error {
		<-begun
		if !strings.HasPrefix(step, "pairs") {
			return nil
		}
		once.Do(func() {
			dir := s.incarnation().Dir() + "match/"
			left := []string{dir + id + "/0000000000000001/records-0001-left", dir + strings.Repeat("a", 32) + "/0000000000000001/records-0001-left"}
			for _, name := range left {
				w, err := s.blobs.CreateScratch(ctx, name, blob.Key{})
				if err == nil {
					_, err = w.Commit()
				}
				if err != nil {
					t.Error(err)
				}
			}
			if err := s.CleanUp(ctx); err != nil {
				t.Error(err)
			}
			mine := 0
			for info, err := range s.blobs.List(ctx, dir) {
				if err != nil || slices.Contains(left, info.Name) {
					t.Errorf("%s is left, %v", info.Name, err)
				}
				mine++
			}
			if mine < 32 { // what profiles show, and their records
				t.Errorf("%d pieces of the search are there", mine)
			}
		})
		return nil
	}
	s.share(1)
	id = s.begin()
	close(begun)
	got := s.found(id)
	s.nothingLeft(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.Contains(got, "COMPLETED 400/") || s.searches[0] != 1 {
		t.Errorf("searches: %v\n%.2000s", s.searches, got)
	}
}

// TestSharedSearchScale measures, with as many customers as KITH_SHARE says, which share of a search's processor time nodes divide among themselves: of a node that has
// nobody beside it and works as in a team, what it does in pieces and what it does besides. Nobody but who asks for it runs it: it judges nothing.
func TestSharedSearchScale(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("KITH_SHARE"))
	if n == 0 {
		t.Skip("KITH_SHARE says no number of customers")
	}
	engine, blobs := searchEngines(t)
	s := newSearchersOn(t, time.Minute, engine, blobs, n)
	cpu := func() time.Duration {
		var u unix.Rusage
		_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	job := func() time.Duration {
		before := cpu()
		if j := s.matched("d", s.begin()); *j.Status != api.IdentityResolutionJobStatusCompleted {
			t.Fatal(api.Val(j.Message))
		}
		return cpu() - before
	}
	t.Logf("%d customers: alone %v of a processor", n, job().Round(time.Millisecond))
	var making, taking time.Duration
	steps := map[string]time.Duration{}
	s.around = func(step string, make bool, do func() error) error {
		before := cpu()
		err := do()
		if spent := cpu() - before; make {
			making += spent
			steps[strings.TrimRight(step, "0123456789abcdef")] += spent
		} else {
			taking += spent
		}
		return err
	}
	s.share(1)
	all := job()
	t.Logf("in pieces %v of a processor: making them %v (%v), taking them %v", all.Round(time.Millisecond), making.Round(time.Millisecond), steps, taking.Round(time.Millisecond))
}
