package pebble

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// pace is the engine's compaction scheduler. It starts as many compactions as the engine asks for, as the stock one does, but while other work keeps
// the cores busy (Store.Busy) it starts none, and holds those that run: what they tidy up is what earlier work has left, and nobody waits for it. It
// goes on regardless when the tables have become too many (crowded), or when somebody waits for a compaction (hurry).
//
// Its mutex comes behind the engine's, which may be held by who calls TrySchedule and UpdateGetAllowedWithoutPermission, and not by who calls Done.
type pace struct {
	db    pebble.DBForCompaction
	calls sync.WaitGroup // of the engine, under way

	mu      sync.Mutex
	moved   sync.Cond // told when held may have become false
	running int
	busy    bool
	crowded bool
	hurried int
	closed  bool
}

var _ interface {
	pebble.CompactionScheduler
	pebble.CompactionGrantHandle
} = (*pace)(nil)

func newPace() *pace {
	p := &pace{}
	p.moved.L = &p.mu
	return p
}

// held says that compactions wait. The mutex is held.
func (p *pace) held() bool { return p.busy && !p.crowded && p.hurried == 0 && !p.closed }

// take says whether one more compaction may start, which then counts. The mutex is held.
func (p *pace) take() bool {
	if p.closed || p.held() || p.running >= p.db.GetAllowedWithoutPermission() {
		return false
	}
	p.running++
	return true
}

// set changes what decides, and starts what may go on.
func (p *pace) set(change func()) {
	p.mu.Lock()
	change()
	p.moved.Broadcast()
	p.mu.Unlock()
	p.grant()
}

// hurry has compactions go on, whatever else there is to do, until the function that it returns is called.
func (p *pace) hurry() (done func()) {
	p.set(func() { p.hurried++ })
	return func() { p.set(func() { p.hurried-- }) }
}

// grant starts the compactions that wait.
func (p *pace) grant() {
	for {
		p.mu.Lock()
		if p.db == nil || !p.take() {
			p.mu.Unlock()
			return
		}
		p.calls.Add(1) // not behind Unregister
		p.mu.Unlock()
		ok := p.db.Schedule(p)
		p.calls.Done()
		if !ok {
			p.mu.Lock()
			p.running--
			p.mu.Unlock()
			return
		}
	}
}

// Register implements pebble.CompactionScheduler.
func (p *pace) Register(_ int, db pebble.DBForCompaction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.db = db
}

// Unregister implements pebble.CompactionScheduler.
func (p *pace) Unregister() {
	p.set(func() { p.closed = true })
	p.calls.Wait()
}

// TrySchedule implements pebble.CompactionScheduler.
func (p *pace) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.take(), p
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler.
func (p *pace) UpdateGetAllowedWithoutPermission() { go p.grant() }

// Started implements pebble.CompactionGrantHandle.
func (p *pace) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (p *pace) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle: a compaction calls it every thousand rows.
func (p *pace) CumulativeStats(pebble.CompactionGrantHandleStats) {
	p.mu.Lock()
	for p.held() {
		p.moved.Wait()
	}
	p.mu.Unlock()
}

// Done implements pebble.CompactionGrantHandle.
func (p *pace) Done() { p.set(func() { p.running-- }) }

const (
	// crowdedAt is how many tables of level 0 may lie above each other before compactions go on beside other work: writers are held up at 24.
	crowdedAt = 16
	// lookEvery is how often that is looked at.
	lookEvery = 200 * time.Millisecond
)

// Busy tells that other work keeps the cores busy, such as an import, or that it no longer does. Meanwhile compactions wait, as long as level 0 is
// shallow and what waits is no more than there is in the store.
func (s *Store) Busy(is bool) {
	s.watching.Lock()
	defer s.watching.Unlock()
	if is == (s.watch != nil) || s.readOnly {
		return
	}
	s.pace.mu.Lock()
	s.pace.busy, s.pace.crowded = is, false
	s.pace.moved.Broadcast()
	s.pace.mu.Unlock()
	if !is {
		close(s.watch)
		s.watch = nil
		go s.pace.grant()
		return
	}
	stop := make(chan struct{})
	s.watch = stop
	s.watches.Go(func() { s.watchTables(stop) })
}

// watchTables looks at the tables until it is told to stop.
func (s *Store) watchTables(stop chan struct{}) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		m := s.db.Metrics()
		total := m.Total()
		crowded := m.Levels[0].Sublevels >= crowdedAt || m.Compact.EstimatedDebt > uint64(total.TablesSize)
		s.pace.set(func() { s.pace.crowded = crowded })
	}
}
