package write

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"

	"kith/domain"
	"kith/fault"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// An object lives in one profile. When its keys say another one, it moves: first it is put there, with a time later than that of its version
// in the old place, then it is struck off there. So for a moment it is in two places, and if the call is cut off, until its change row,
// which says so (Row.Moves), is settled, or the object is put again. Of several places the one with the newest version is it, and
// the others are struck off: whoever does that, and however often, comes to the same end.
//
// So whoever has put an object where it was not, new ones included, looks where it is afterwards. With a change.Local only whoever has found it
// elsewhere does: calls that put or move the same object come one after the other. Of two calls that put it into different
// places side by side the one whose Swap comes last sees the other's. A call that puts it where it is already need not look: either its
// Swap comes before another call strikes the object off there, which compares the times of what it finds, or it conflicts and starts over.

// place is where an object is.
type place struct {
	id  fold.ID // of the profile: a person's main one, or a member
	ref fold.ObjectRef
}

func (p place) same(o place) bool {
	return p.id == o.id && p.ref.Time == o.ref.Time && p.ref.Attempt == o.ref.Attempt
}

// compare is the order in which versions of an object come.
func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.ref.Time, o.ref.Time), cmp.Compare(p.ref.Attempt, o.ref.Attempt), bytes.Compare(p.id[:], o.id[:]))
}

// objectOf returns the object of a head that has the key of an object, or nil.
func objectOf(h *fold.Head, k index.Key) *fold.ObjectRef {
	hash := fold.KeyHash(k)
	for i := range h.Objects {
		if o := &h.Objects[i]; slices.Contains(o.Keys, hash) && objectKey(o.Incarnation, o.Hash) == k {
			return o
		}
	}
	return nil
}

// places returns where an object is, given its key. What has expired is nowhere.
func (w *Writer) places(ctx context.Context, rec *domain.Record, k index.Key, named iter.Seq2[fold.ID, error], seen persons) (at []place, err error) {
	now := w.Now().UnixMicro()
	for id, err := range named {
		if err != nil {
			return nil, err
		}
		p, err := w.person(ctx, rec, id, seen)
		if err != nil {
			return nil, err
		}
		r := p.all[id]
		if r == nil || r.deleted() || r.member.Head == nil || !r.member.Head.Carries(k, now, nil) {
			continue
		}
		h, err := r.look()
		if err != nil {
			return nil, err
		}
		if o := objectOf(h, k); o != nil {
			at = append(at, place{id, *o})
		}
	}
	return at, nil
}

// moved strikes an object off wherever an older version of it is.
func (w *Writer) moved(ctx context.Context, rec *domain.Record, k index.Key, by string) error {
	if more, err := w.severalHints(ctx, rec, k); !more || err != nil {
		return err
	}
	at, err := w.places(ctx, rec, k, w.named(ctx, rec.Incarnation, index.PartitionKey(k)), persons{})
	if err != nil {
		return err
	}
	return w.unify(ctx, rec, by, k, at)
}

// severalHints says whether the index names more than one profile for a key.
func (w *Writer) severalHints(ctx context.Context, rec *domain.Record, k index.Key) (bool, error) {
	n := 0
	for _, err := range w.named(ctx, rec.Incarnation, index.PartitionKey(k)) {
		if err != nil {
			return false, err
		}
		if n++; n > 1 {
			return true, nil
		}
	}
	return false, nil
}

// unify leaves an object in one of the places where it is.
func (w *Writer) unify(ctx context.Context, rec *domain.Record, by string, k index.Key, at []place) error {
	if len(at) < 2 {
		return nil
	}
	newest := slices.MaxFunc(at, place.compare)
	for _, p := range at {
		if p.same(newest) {
			continue
		}
		if err := w.strike(ctx, rec, by, k, p.id, newest); err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

// strike strikes an object off a profile, as long as its version there is older than the newest.
func (w *Writer) strike(ctx context.Context, rec *domain.Record, by string, k index.Key, id fold.ID, newest place) error {
	pick := func(p *Person) (*rows, error) {
		if r := p.all[id]; r != nil {
			return r, nil
		}
		return nil, errNothing
	}
	_, err := w.change(ctx, rec.Name, by, func() fold.ID { return id }, pick, func(ctx context.Context, d *Draft) error {
		old := objectOf(d.head, k)
		if old == nil || (place{id, *old}).compare(newest) >= 0 {
			return errNothing
		}
		was := *old
		gone, err := d.dropObjects(ctx, func(o *fold.ObjectRef) bool { return o.Incarnation == was.Incarnation && o.Hash == was.Hash })
		if err != nil {
			return err
		}
		d.Note(MovedObject, gone[0].Type, gone[0].uniqueKey, "")
		return nil
	})
	return err
}

// Move takes an object from one profile to another, with all it has said. It does nothing when the object has been replaced, or is there.
func (w *Writer) Move(ctx context.Context, rec *domain.Record, by string, from, to fold.ID, o fold.ObjectRef) error {
	k := objectKey(o.Incarnation, o.Hash)
	c := w.newCall(rec.Name, by)
	r, err := c.run(ctx, func(ctx context.Context, rec *domain.Record) (Result, error) {
		c.keep(rec.Incarnation, index.PartitionKey(k))
		p, err := c.read(ctx, rec, to)
		if err != nil {
			return Result{}, err
		}
		target := p.all[to]
		if target == nil || p.all[from] != nil { // merged again
			return Result{}, errNothing
		}
		pl := &plan{rec: rec, person: p, target: target, moves: index.PartitionKey(k), after: o.Time}
		pl.rule = func(ctx context.Context, d *Draft) error {
			if err := d.FindProfile(p.ID()); err != nil {
				return err
			}
			// In each attempt: what was put or deleted meanwhile counts.
			b, err := ReadBody(ctx, w.Store, rec.Incarnation, from, BodyKey(o))
			if err == nil && b == nil {
				err = errNothing
			}
			if err != nil {
				return err
			}
			return d.adopt(ctx, o, b)
		}
		return c.write(ctx, pl)
	})
	if err == nil && r.Time != 0 {
		err = w.moved(ctx, rec, k, by)
	}
	return err
}

// adopt puts an object of another profile, as it is, in place of an older version: values that only this one had stay, as when an object is
// put.
func (d *Draft) adopt(ctx context.Context, o fold.ObjectRef, b *Body) error {
	body := *b
	if here, ok := d.head.Object(o.Type, o.Incarnation, o.Hash); ok {
		if here.Time >= o.Time {
			return errNothing
		}
		was, err := d.remove(ctx, &here)
		if err != nil {
			return err
		}
		body.Values = d.said(was.Values, b.Values)
	}
	o.Time, o.Attempt, o.Says = d.Time, d.attempt, d.says(&body)
	d.touch(b.Keys)
	d.head.PutObject(o)
	d.head.Write(slices.Clone(b.Values), d.barriers)
	d.live(o.Expires)
	d.put = append(d.put, store.Mutation{Key: BodyKey(o), Value: body.append(nil), Time: d.Time})
	d.Note(Ingested, o.Type, b.UniqueKey, string(BodyKey(o)))
	return nil
}
