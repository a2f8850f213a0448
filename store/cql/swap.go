package cql

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"kith/store"
)

// tries is how often a Swap is sent when its answers get lost.
const tries = 6

// Swap implements store.Store by one conditional batch. All its puts carry one write id, new for every call: when an answer
// is lost, a read at SERIAL, which finishes or rules out what was under way, tells by it whether the batch was applied. A put
// also leaves the version it replaced, by which a loser learns that it lost.
func (s *Store) Swap(ctx context.Context, p store.Partition, ops []store.Swap) (uint64, error) {
	if err := errors.Join(ctx.Err(), store.CheckSwaps(p, ops)); err != nil || len(ops) == 0 {
		return 0, err
	}
	w := s.newAttempt(p, ops)
	doubt := false // whether a batch of ours may be under way
	var cause error
	for try := range tries {
		if try > 0 {
			if err := pause(ctx, time.Duration(rand.Int64N(int64(50*time.Millisecond)<<try))); err != nil {
				return 0, w.undecided(doubt, err)
			}
		}
		var applied bool
		err := s.once(ctx, func() (err error) {
			applied, err = w.send(ctx, s.session)
			return err
		})
		if err == nil && s.o.Fault != nil {
			err = s.o.Fault()
		}
		switch {
		case err == nil && applied:
			return w.version, nil
		case err == nil && !doubt:
			return 0, store.ErrConflict
		case err != nil && ctx.Err() != nil:
			return 0, w.undecided(true, ctx.Err())
		case err != nil && !passing(err):
			return 0, w.undecided(doubt, convert(ctx, err))
		case err != nil && never(err) && !doubt:
			cause = err
			continue
		}
		if err != nil {
			cause, doubt = err, true
		}
		how, err := w.look(ctx, s)
		if err != nil {
			return 0, w.undecided(true, err)
		}
		switch how {
		case happened:
			return w.version, nil
		case lost:
			return 0, store.ErrConflict
		case impossible:
			return 0, w.undecided(true, convert(ctx, cause))
		}
	}
	return 0, w.undecided(doubt, convert(ctx, cause))
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// attempt is one Swap, sent any number of times.
type attempt struct {
	p       store.Partition
	ops     []store.Swap
	version uint64
	id      []byte
}

func (s *Store) newAttempt(p store.Partition, ops []store.Swap) *attempt {
	w := &attempt{p: p, ops: ops, id: make([]byte, 16)}
	_, _ = crand.Read(w.id)
	var newest uint64
	for _, op := range ops {
		newest = max(newest, op.Expect)
	}
	w.version = s.versions.Next(newest)
	return w
}

func (w *attempt) undecided(doubt bool, err error) error {
	if !doubt {
		return err
	}
	if err == nil {
		err = errors.New("others have written since")
	}
	return fmt.Errorf("%w: %w", store.ErrUnknown, err)
}

// statement returns the conditional statement of an operation.
func (w *attempt) statement(op store.Swap) (string, []any) {
	pl := placeOf(w.p)
	key, expect, version := full(op.Key), int64(op.Expect), int64(w.version)
	switch {
	case op.Op == store.Put && op.Expect == 0:
		return pl.insert, pl.with(nil, key, full(op.Value), version, w.id)
	case op.Op == store.Put:
		return pl.update, pl.with([]any{full(op.Value), version, expect, w.id}, key, expect)
	case op.Op == store.Delete:
		return pl.remove, pl.with(nil, key, expect)
	case op.Expect == 0:
		return pl.absent, pl.with(nil, key)
	}
	return pl.check, pl.with([]any{expect}, key, expect)
}

// send runs the conditional batch once. The driver must not send it again by itself.
func (w *attempt) send(ctx context.Context, session *gocql.Session) (bool, error) {
	answer := map[string]any{}
	if len(w.ops) == 1 {
		stmt, args := w.statement(w.ops[0])
		return session.Query(stmt, args...).Idempotent(false).RetryPolicy(nil).MapScanCASContext(ctx, answer)
	}
	b := session.Batch(gocql.LoggedBatch)
	for _, op := range w.ops {
		stmt, args := w.statement(op)
		b.Query(stmt, args...)
	}
	applied, it, err := b.RetryPolicy(nil).MapExecCASContext(ctx, answer)
	if it != nil {
		if closed := it.Close(); err == nil {
			err = closed
		}
	}
	return applied, err
}

// outcome is what a serial read tells of an attempt.
type outcome int

const (
	possible   outcome = iota // it has not happened; all expectations hold
	happened                  // a row has its write id
	lost                      // it has not happened and can't: another write replaced a version that this one expected to replace
	impossible                // others have written since, before or after it
)

// look reads the rows of the attempt at SERIAL.
func (w *attempt) look(ctx context.Context, s *Store) (outcome, error) {
	how, pl := possible, placeOf(w.p)
	for _, op := range w.ops {
		var ver, prev *int64
		var id []byte
		err := s.repeat(ctx, func() error {
			ver, prev, id = nil, nil, nil
			return s.session.Query(pl.getSerial, pl.with(nil, full(op.Key))...).Consistency(s.o.serial()).ScanContext(ctx, &ver, &prev, &id)
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return how, err
		}
		if op.Op == store.Put && bytes.Equal(id, w.id) {
			return happened, nil
		}
		var have uint64
		if ver != nil {
			have = uint64(*ver)
		}
		if have == op.Expect {
			continue
		}
		if op.Op != store.Check && op.Expect > 0 && prev != nil && uint64(*prev) == op.Expect {
			return lost, nil
		}
		how = impossible
	}
	return how, nil
}
