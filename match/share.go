package match

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"kith/blob"
	"kith/job"
	"kith/match/link"
	"kith/profile"
	"kith/profile/fold"
	"kith/store"
)

// Nodes that share a store make the search of a job together (link.Team). The one that has the lease writes a plan; the others join the plan, and all make pieces. A piece is
// claimed as a part of the work, lies in a sealed scratch blob, and counts when its row is published, by a Swap that inserts the row and checks that the plan stands. The
// plan goes by the Swap that publishes the groups or ends the job, or when another attempt replaces it: from then on no piece can be published or claimed, and what is left of
// rows and blobs is removed. All these rows begin with job.PartPrefix: they are no progress, for another attempt begins anew.

// planKey is the row of the plan.
var planKey = []byte(job.PartPrefix + "plan")

// plan is what nodes have to know to join a search.
type plan struct {
	// Fence is of the attempt: it is in the names of its rows and blobs.
	Fence uint64 `json:",string"`
	// Program tells the program of the node that has the lease: others, of another version or for another processor, might find something else.
	Program string
	// Key is that of the blobs, sealed.
	Key []byte
	// Blob has the rest, a task.
	Blob string

	version uint64
}

// task is what is searched.
type task struct {
	Now     int64
	Cuts    []profile.Cursor
	Answers []link.Answer
}

const (
	// shareFrom is Config.ShareFrom when nobody says: below, a job takes some seconds.
	shareFrom = 100_000
	// cuts is into how many pieces profiles are cut to be read, of so many ranges each.
	cuts, cutRanges = 16, 8
	// pollPieces is how often a node looks whether others have made their pieces.
	pollPieces = 500 * time.Millisecond
)

// program tells this program from others: a hash of its file, as it was when the process began, where the system has that.
var program = sync.OnceValue(func() string {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		var path string
		if path, err = os.Executable(); err == nil {
			f, err = os.Open(path)
		}
	}
	h := sha256.New()
	if err == nil {
		_, err = io.Copy(h, f)
		_ = f.Close()
	}
	if err != nil { // like none
		return rand.Text()
	}
	return hex.EncodeToString(h.Sum(nil))
})

func (s *Service) program() string { return cmp.Or(s.Program, program()) }

// scratchDir is where the blobs of searches are, by job and fence.
func scratchDir(inc store.Incarnation) string { return inc.Dir() + "match/" }

// rowsOf is what the keys of an attempt's rows begin with.
func rowsOf(fence uint64) string { return fmt.Sprintf("%s%016x/", job.PartPrefix, fence) }

// loadPlan returns the plan of a job, or nil.
func (s *Service) loadPlan(ctx context.Context, inc store.Incarnation, id string) (*plan, error) {
	row, err := s.Store.Get(ctx, job.Partition(inc, id), planKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	p := &plan{version: row.Version}
	if err == nil {
		err = json.Unmarshal(row.Value, p)
	}
	if err != nil {
		return nil, fmt.Errorf("read the plan of a search: %w", err)
	}
	return p, nil
}

// unchanged checks that a plan still stands.
func (p *plan) unchanged() store.Swap {
	return store.Swap{Key: planKey, Op: store.Check, Expect: p.version}
}

// crew is the part of one node in a search that nodes share.
type crew struct {
	*Service
	t    *job.Task
	plan *plan
	key  blob.Key
	dir  string // of its blobs
	done atomic.Int64
}

func (s *Service) newCrew(t *job.Task, p *plan) (*crew, error) {
	c := &crew{Service: s, t: t, plan: p, dir: fmt.Sprintf("%s%s/%016x/", scratchDir(t.Incarnation), t.ID, p.Fence)}
	key, err := s.Sealer.Open(sealedKey, t.ID, p.Key)
	copy(c.key[:], key)
	return c, err
}

// sealedKey is the purpose for which a plan's key is sealed.
const sealedKey = "pieces of a search"

// put writes a blob.
func (c *crew) put(ctx context.Context, name string, write func(w io.Writer) error) (blob.Writer, error) {
	w, err := c.Blobs.CreateScratch(ctx, name, c.key)
	if err != nil {
		return nil, fmt.Errorf("write a piece of a search: %w", err)
	}
	if err := write(w); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// get reads a blob.
func (c *crew) get(ctx context.Context, name string, read func(r io.Reader) error) error {
	r, err := c.Blobs.Open(ctx, name, c.key)
	if err != nil {
		return fmt.Errorf("read a piece of a search: %w", err)
	}
	defer r.Close()
	return read(r.Stream(0))
}

// team is the crew as the matcher has it.
func (c *crew) team(inc store.Incarnation, t *task) *link.Team {
	team := &link.Team{Share: c.share, Helps: c.t.Helping()}
	for i := range t.Cuts {
		team.Cuts = append(team.Cuts, c.source(inc, t.Now, &t.Cuts[i]))
	}
	return team
}

// source are the profiles of a domain, or of a cut of it.
func (s *Service) source(inc store.Incarnation, now int64, from *profile.Cursor) link.Source {
	return func(ctx context.Context, do func(int, *fold.Profile) error) error {
		return s.Profiles.Each(ctx, profile.Pass{Incarnation: inc, Now: now, Workers: s.workers(), Dir: s.Dir, From: from}, do)
	}
}

// share is link.Team.Share.
func (c *crew) share(ctx context.Context, step string, n int, make func(context.Context, int, io.Writer) error, take func(int, io.Reader) error) error {
	made, err := c.made(ctx, step)
	if err != nil {
		return err
	}
	var missing []int
	for piece := range n {
		if made[piece] == "" {
			missing = append(missing, piece)
		}
	}
	sharer := &job.Sharer{Task: c.t, Store: c.Store, Poll: pollPieces, Done: &c.done}
	err = sharer.Share(ctx, job.Stage{
		Name: strings.TrimPrefix(rowsOf(c.plan.Fence), job.PartPrefix) + step, Row: func(piece int) []byte { return c.row(step, piece) },
		Only: []store.Swap{c.plan.unchanged()}, Workers: 1, Together: true,
		Worker: func() func(context.Context, int) (job.Publisher, error) {
			return func(ctx context.Context, piece int) (job.Publisher, error) {
				name := fmt.Sprintf("%s%s-%04d-%s", c.dir, step, piece, strings.ToLower(rand.Text()))
				w, err := c.put(ctx, name, func(w io.Writer) error { return make(ctx, piece, w) })
				return func(ctx context.Context, part *job.Part) error {
					return c.publish(ctx, part, c.row(step, piece), name, w)
				}, err
			}
		},
	}, missing)
	if err != nil {
		return err
	}
	if made, err = c.made(ctx, step); err != nil {
		return err
	}
	for piece := range n {
		if err := c.get(ctx, made[piece], func(r io.Reader) error { return take(piece, r) }); err != nil {
			return err
		}
	}
	return nil
}

// row is the key of the row that names the blob of a piece.
func (c *crew) row(step string, piece int) []byte {
	return fmt.Appendf(nil, "%s%s=%04d", rowsOf(c.plan.Fence), step, piece)
}

// made returns the blobs of the pieces of a step that were published.
func (c *crew) made(ctx context.Context, step string) (map[int]string, error) {
	made := map[int]string{}
	prefix := rowsOf(c.plan.Fence) + step + "="
	for row, err := range c.Store.Scan(ctx, c.t.Partition(), store.Prefix(prefix)) {
		if err != nil {
			return nil, fmt.Errorf("read which pieces of a search were made: %w", err)
		}
		if piece, err := strconv.Atoi(string(row.Key[len(prefix):])); err == nil {
			made[piece] = string(row.Value)
		}
	}
	return made, nil
}

// publish makes a piece count, unless another node was faster or the plan stands no more: then it is somebody else's, or nobody's.
func (c *crew) publish(ctx context.Context, part *job.Part, row []byte, name string, w blob.Writer) error {
	defer w.Abort()
	if _, err := w.Commit(); err != nil {
		part.GiveUp(ctx)
		return fmt.Errorf("write a piece of a search: %w", err)
	}
	err := part.Publish(ctx, store.Swap{Key: row, Value: []byte(name)}, c.plan.unchanged())
	gone := err != nil && errors.Is(context.Cause(ctx), errReplanned) // without the plan nothing can be published, however the call was cut off
	if conflict := errors.Is(err, store.ErrConflict); conflict || gone || errors.Is(err, job.ErrLost) {
		if dropErr := c.Blobs.Delete(context.WithoutCancel(ctx), name); dropErr != nil {
			return dropErr
		}
		if conflict {
			return job.ErrTaken
		}
	} else if errors.Is(err, store.ErrUnknown) { // it is looked for
		return job.ErrTaken
	}
	return err
}

// together returns the team of a search whose job this node has the lease of, nil if it makes it alone.
func (j *run) together(ctx context.Context, now int64, answers []link.Answer) (*link.Team, error) {
	if !j.t.Shared() {
		return nil, nil
	}
	stats, err := j.Profiles.Stats(ctx, j.rec.Incarnation)
	if err != nil || *stats.ProfileCount < cmp.Or(j.ShareFrom, shareFrom) {
		return nil, err
	}
	whole, err := j.Profiles.Start(ctx, j.rec.Incarnation, cuts*cutRanges)
	if err != nil {
		return nil, err
	}
	t := &task{Now: now, Answers: answers}
	for _, cut := range whole.Cut(cuts) {
		t.Cuts = append(t.Cuts, *cut)
	}
	c, err := j.draw(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("plan a search: %w", err)
	}
	if err := j.tidy(ctx, j.rec.Incarnation, j.r.id, c.plan.Fence); err != nil {
		return nil, err
	}
	return c.team(j.rec.Incarnation, t), nil
}

// draw writes the plan of a search.
func (j *run) draw(ctx context.Context, t *task) (*crew, error) {
	before, err := j.loadPlan(ctx, j.rec.Incarnation, j.r.id)
	if err != nil {
		return nil, err
	}
	var key blob.Key
	_, _ = rand.Read(key[:])
	p := &plan{Fence: j.t.Fence(), Program: j.program(), Key: j.Sealer.Seal(sealedKey, j.t.ID, key[:])}
	c, err := j.newCrew(j.t, p)
	if err != nil {
		return nil, err
	}
	p.Blob = c.dir + "task-" + strings.ToLower(rand.Text())
	w, err := c.put(ctx, p.Blob, func(w io.Writer) error { return gob.NewEncoder(w).Encode(t) })
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	if _, err := w.Commit(); err != nil {
		return nil, err
	}
	op := store.Swap{Key: planKey}
	if op.Value, err = json.Marshal(p, json.Deterministic(true)); err != nil {
		return nil, err
	}
	if before != nil {
		op.Expect = before.version
	}
	p.version, err = j.t.Swap(ctx, op)
	return c, err
}

// unplan is what removes the plan, if there is one.
func (j *run) unplan(ctx context.Context) ([]store.Swap, error) {
	if !j.t.Shared() {
		return nil, nil
	}
	row, err := j.Store.Get(ctx, j.t.Partition(), planKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return []store.Swap{{Key: planKey, Op: store.Delete, Expect: row.Version}}, err
}

// tidy removes what is left of searches that nodes shared, but for the attempt of a fence, if that is not 0.
func (s *Service) tidy(ctx context.Context, inc store.Incarnation, id string, keep uint64) error {
	if err := s.deleteParts(ctx, inc, id, keep); err != nil {
		return fmt.Errorf("remove rows of a search: %w", err)
	}
	dir := scratchDir(inc) + id + "/"
	for info, err := range s.Blobs.List(ctx, dir) {
		if err == nil && (keep == 0 || !strings.HasPrefix(info.Name, fmt.Sprintf("%s%016x/", dir, keep))) {
			err = s.Blobs.Delete(ctx, info.Name)
		}
		if err != nil {
			return fmt.Errorf("remove pieces of a search: %w", err)
		}
	}
	return nil
}

// deleteParts removes the rows of a job's pieces and claims, but for those of one fence and the plan, if that is not 0.
func (s *Service) deleteParts(ctx context.Context, inc store.Incarnation, id string, keep uint64) error {
	p := job.Partition(inc, id)
	var rows []store.Swap
	for row, err := range s.Store.Scan(ctx, p, store.Prefix(job.PartPrefix)) {
		if err != nil {
			return err
		}
		if keep == 0 || !bytes.Equal(row.Key, planKey) && !bytes.HasPrefix(row.Key, []byte(rowsOf(keep))) {
			rows = append(rows, store.Swap{Key: bytes.Clone(row.Key), Op: store.Delete, Expect: row.Version})
		}
	}
	for _, row := range rows {
		// A claim that is renewed meanwhile: its node ends by itself, or the next clean-up removes it.
		if _, err := s.Store.Swap(ctx, p, []store.Swap{row}); err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrUnknown) {
			return err
		}
	}
	return nil
}

// tidyBlobs removes the blobs of searches of a domain that nobody goes on with: that a process left behind which died before it could publish or delete them.
func (s *Service) tidyBlobs(ctx context.Context, inc store.Incarnation) error {
	names := map[string][]string{} // by job
	for info, err := range s.Blobs.List(ctx, scratchDir(inc)) {
		if err != nil {
			return err
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(info.Name, scratchDir(inc)), "/")
		names[id] = append(names[id], info.Name)
	}
	for id, all := range names { // they are read behind the blobs: what these are of is older
		r, err := s.load(ctx, inc, id)
		if err != nil {
			return err
		}
		p, err := s.loadPlan(ctx, inc, id)
		if err != nil {
			return err
		}
		for _, name := range all {
			if over := r == nil || r.over() || r.Found != nil; !over && (p == nil || name >= fmt.Sprintf("%s%s/%016x/", scratchDir(inc), id, p.Fence)) {
				continue
			}
			if err := s.Blobs.Delete(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// helped is a search in which this node has done what it could.
type helped struct {
	id    string
	fence uint64
}

var errReplanned = errors.New("the plan of the search stands no more")

// Help implements job.Helper: it makes pieces of a search whose job another node has the lease of.
func (s Runner) Help(ctx context.Context, t *job.Task) error {
	r, err := s.load(ctx, t.Incarnation, t.ID)
	if err != nil || r == nil || r.over() || r.Found != nil {
		return err
	}
	p, err := s.loadPlan(ctx, t.Incarnation, t.ID)
	if err != nil || p == nil || p.Program != s.program() {
		return err
	}
	this := helped{t.ID, p.Fence}
	if last, _ := s.helped.Load(t.Incarnation); last == this {
		return nil
	}
	c, err := s.newCrew(t, p)
	if err != nil {
		return err
	}
	helping, cancel := context.WithCancelCause(ctx)
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer cancel(nil)
	watcher.Go(func() { c.watch(helping, cancel) })
	start := time.Now()
	err = c.help(helping)
	if n := c.done.Load(); n > 0 {
		s.Log.Info("helped with identity resolution", "job", t.ID, "pieces", n, "took", time.Since(start).Round(time.Millisecond))
	}
	switch {
	case errors.Is(err, link.ErrHelped):
		err = nil
	case errors.Is(context.Cause(helping), errReplanned):
		return nil
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrSealed): // who has the lease meets it, too, and begins anew
		err = nil
	}
	if err == nil {
		s.helped.Store(t.Incarnation, this)
	}
	return err
}

// help searches as the plan says.
func (c *crew) help(ctx context.Context) error {
	var t task
	if err := c.get(ctx, c.plan.Blob, func(r io.Reader) error { return gob.NewDecoder(r).Decode(&t) }); err != nil {
		return err
	}
	o := link.Options{Workers: c.workers(), Memory: c.Memory, Dir: c.Dir, Answers: t.Answers, Team: c.team(c.t.Incarnation, &t)}
	_, _, err := c.finder()(ctx, c.source(c.t.Incarnation, t.Now, nil), o, func(*link.Group) error { return nil })
	return err
}

// watch cancels when the plan stands no more.
func (c *crew) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p, err := c.loadPlan(ctx, c.t.Incarnation, c.t.ID)
		if err == nil && (p == nil || p.version != c.plan.version) {
			cancel(errReplanned)
			return
		}
	}
}
