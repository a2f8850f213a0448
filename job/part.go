package job

import (
	"context"
	"errors"
	"time"

	"kith/store"
)

// ErrTaken says that a part can't be claimed now: another node has it, or what it depends on does not hold.
var ErrTaken = errors.New("the part is taken")

// Part is a part of a piece of work that this node has claimed. Publish or GiveUp must be called once.
type Part struct {
	task *Task
	hold *hold // nil: no other node takes parts, the task's lease is enough
	stop func()
}

// Shared says whether other nodes may take parts of the work.
func (t *Task) Shared() bool { return t.parts != nil }

// Claim takes a part of the work for this node, which keeps it by heartbeats; the returned context ends, with cause ErrLost, when
// another node has got it. It returns ErrTaken when another node has it already, or when one of the checks fails, which are of
// rows of the work's partition. Two goroutines of a node must not claim the same part.
func (t *Task) Claim(ctx context.Context, name string, checks ...store.Swap) (*Part, context.Context, error) {
	if t.parts == nil {
		return &Part{task: t, stop: func() {}}, ctx, nil
	}
	r, key := t.parts, []byte("part/"+name)
	l, version, err := readLease(ctx, r.Store, t.Partition(), key)
	if err != nil {
		return nil, nil, err
	}
	if version != 0 && l.Owner != r.Owner && r.watch.unchanged(t.Partition(), key, version) < l.length() {
		return nil, nil, ErrTaken
	}
	since := r.Clock()
	h, err := take(ctx, r.Store, t.Partition(), key, version, r.lease(), checks...)
	// A claim in doubt is this node's or nobody's: the next try takes it.
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) {
		return nil, nil, ErrTaken
	}
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	beat := make(chan struct{})
	go func() {
		defer close(beat)
		h.keep(ctx, cancel, r.Clock, since, func(context.Context) {})
	}()
	p := &Part{task: t, hold: h, stop: func() {
		cancel(nil)
		<-beat
	}}
	return p, ctx, nil
}

// Publish puts rows beside the work's and ends the claim, all or nothing. ErrLost: another node has the part, or the work.
// store.ErrConflict: another expectation failed.
func (p *Part) Publish(ctx context.Context, ops ...store.Swap) error {
	if p.hold == nil {
		_, err := p.task.Swap(ctx, ops...)
		return err
	}
	p.stop()
	_, err := p.hold.swap(ctx, store.Delete, ops)
	if err != nil && !errors.Is(err, ErrLost) {
		p.drop(ctx)
	}
	return err
}

// GiveUp leaves the part to whoever claims it next.
func (p *Part) GiveUp(ctx context.Context) {
	p.stop()
	if p.hold != nil {
		p.drop(ctx)
	}
}

// drop makes the part free at once; if that fails, it is free when its lease has run out.
func (p *Part) drop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = p.hold.drop(ctx)
}
