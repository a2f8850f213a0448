package change

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"kith/fault"
	"kith/profile/fold"
	"kith/store"
)

const (
	// Window is how far behind the clock the seal is: how long a write may take from its row to its Swap.
	Window = 30 * time.Second
	// maxSkew is how far the clocks of two nodes may differ.
	maxSkew = 10 * time.Second
)

// Completer is the name of the standing work that moves the seal.
const Completer = "completer"

// Place is where standing work keeps its rows: the partition of its task, and the task's Swap, which fails when its lease was lost.
type Place struct {
	Partition store.Partition
	Swap      func(ctx context.Context, ops ...store.Swap) (uint64, error)
}

// StandingPartition returns the partition of standing work. It is that of package job.
func StandingPartition(inc store.Incarnation, name string) store.Partition {
	return store.Partition{Table: store.Jobs, Incarnation: inc, Key: "standing/" + name}
}

var sealKey, hoursKey = []byte("seal"), []byte("hours")

// Seal is how far a domain's feed is closed. Times are microseconds; they only rise. The zero Seal is that of a domain whose completer
// has never run.
type Seal struct {
	At      int64 // nobody announces at or before it
	Settled int64 // everything at or before it is settled; at most At
	Floor   int64 // everything before it may have been dropped
	Clock   int64 // of the node that published the seal, when it did

	version uint64
}

const (
	sealV1   = 1
	sealSize = 1 + 4*8
)

func (s *Seal) encode() []byte {
	b := append(make([]byte, 0, sealSize), sealV1)
	for _, t := range []int64{s.At, s.Settled, s.Floor, s.Clock} {
		b = binary.BigEndian.AppendUint64(b, uint64(t))
	}
	return b
}

// Seal returns the seal of a domain as it stands.
func (f *Feed) Seal(ctx context.Context, inc store.Incarnation) (*Seal, error) {
	row, err := f.Store.Get(ctx, StandingPartition(inc, Completer), sealKey)
	if errors.Is(err, store.ErrNotFound) {
		return &Seal{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the seal of the feed: %w", err)
	}
	if len(row.Value) != sealSize || row.Value[0] != sealV1 {
		return nil, fmt.Errorf("%w: not a seal", fold.ErrCorrupt)
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(row.Value[1+8*i:])) }
	return &Seal{At: at(0), Settled: at(1), Floor: at(2), Clock: at(3), version: row.Version}, nil
}

// judged returns the seal, or ErrClock beside it.
func (f *Feed) judged(ctx context.Context, inc store.Incarnation) (*Seal, error) {
	before := f.Now().UnixMicro()
	s, err := f.Seal(ctx, inc)
	if err != nil || f.Alone {
		return s, err
	}
	return s, f.clocks.judge(inc, s, before, f.Now().UnixMicro())
}

// Settled returns the time up to which nothing is in flight any more: whatever was announced by then is visible, or never will be.
func (f *Feed) Settled(ctx context.Context, inc store.Incarnation) (int64, error) {
	s, err := f.Seal(ctx, inc)
	if err != nil {
		return 0, err
	}
	return s.Settled, nil
}

// hour is what the completer knows of the size of the feed.
type hour struct{ Hour, Bytes int64 }

func (f *Feed) hours(ctx context.Context, p store.Partition) (all []hour, version uint64, err error) {
	row, err := f.Store.Get(ctx, p, hoursKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the size of the feed: %w", err)
	}
	if err := json.Unmarshal(row.Value, &all); err != nil {
		return nil, 0, fmt.Errorf("size of the feed: %w", err)
	}
	return all, row.Version, nil
}

// ErrClock says that this node's clock differs from that of the node that moves the seal by more than maxSkew, for certain: what it
// writes would be ordered wrongly.
var ErrClock = fmt.Errorf("this node's clock differs from other nodes' by more than %s: set it right; its writes are %w", maxSkew, fault.ErrUnavailable)

// clocks compares this node's clock with that of whoever publishes seals, by what it reads anyway: a seal that was new at a reading was
// published before it, and after the reading before. So the publisher's clock, which the seal holds, lies between two moments of
// this clock. What is not certain is let pass.
type clocks struct {
	mu   sync.Mutex
	last map[store.Incarnation]reading
}

// reading is the last look at a seal.
type reading struct {
	version uint64
	at      int64  // by this node's clock, microseconds
	ahead   bool   // this node's clock is certainly ahead of the seal's
	left    uint64 // the seal at which this node left the completer's work to another, because their clocks differ
}

// maxReadings bounds what is remembered; whoever is forgotten is judged a little later.
const maxReadings = 10_000

// leave says whether this node leaves the completer's work to another one: once for each seal. If no other takes it, this clock is the
// one that there is.
func (c *clocks) leave(inc store.Incarnation, s *Seal) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.last[inc]
	if last.left == s.version {
		return false
	}
	last.left = s.version
	c.last[inc] = last
	return true
}

// judge notes a reading and returns ErrClock if this node's clock is off. now is that clock when the seal had been read, before when
// the reading began.
func (c *clocks) judge(inc store.Incarnation, s *Seal, before, now int64) error {
	if s.version == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.last[inc]
	switch {
	case ok && last.version != s.version:
		last.ahead = last.at-s.Clock > maxSkew.Microseconds()
	case !ok && len(c.last) >= maxReadings:
		clear(c.last)
	}
	if c.last == nil {
		c.last = map[store.Incarnation]reading{}
	}
	last.version, last.at = s.version, before
	c.last[inc] = last
	if last.ahead || s.Clock-now > maxSkew.Microseconds() {
		return ErrClock
	}
	return nil
}
