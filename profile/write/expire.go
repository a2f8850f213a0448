package write

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"kith/domain"
	"kith/fault"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// ByExpiry is who did it, of records that something has expired.
const ByExpiry = "expiry"

// HasExpired says whether an encoded head holds something that has expired, which Expire would remove.
func HasExpired(head []byte, now int64) (bool, error) {
	whole, err := fold.DecodeHeadView(head, 0)
	if err != nil || whole.Expires == 0 {
		return false, err
	}
	all, _ := whole.Owned(0, nil)
	left, _ := whole.Owned(now, nil)
	stale := whole.Expires <= now || left < all
	for i := range whole.Values {
		stale = stale || whole.Values[i].Expires <= now
	}
	return stale, nil
}

// Expire removes what has expired of a profile's head, with its bodies and index rows: objects, each of which gets a record that it has
// expired, and values; keys go with the last of it. What is left then is the time. There may be nothing to do.
func (w *Writer) Expire(ctx context.Context, domain string, id fold.ID) error {
	pick := func(p *Person) (*rows, error) {
		if r := p.all[id]; r != nil && !r.deleted() {
			return r, nil
		}
		return nil, errNothing
	}
	_, err := w.change(ctx, domain, ByExpiry, func() fold.ID { return id }, pick, func(ctx context.Context, d *Draft) error {
		return d.expire(ctx)
	})
	if errors.Is(err, fault.NotFound) { // it was deleted meanwhile
		return nil
	}
	return err
}

// expire removes what has expired. No value of what is left can come back by it: the head drops a value only because of one that lives as
// long.
func (d *Draft) expire(ctx context.Context) error {
	now := d.barriers.Now
	gone, rest, err := d.strikeOff(ctx, func(o *fold.ObjectRef) bool { return o.Expires <= now })
	if err != nil {
		return err
	}
	values := len(d.head.Values)
	d.head.Objects = rest
	d.head.Write(nil, d.barriers)
	if d.head.Expires <= now && d.head.Expires != 0 {
		d.dropNames()
		d.head.Values, d.head.Keys, d.head.Expires = nil, nil, 0
	} else if len(gone) == 0 && len(d.head.Values) == values {
		return errNothing
	}
	d.Note(Swept, "", "", "")
	return nil
}

// dropNames has the index rows of the full names deleted that the head shows alone. What it showed together with others is left to the sweep
// of the index.
func (d *Draft) dropNames() {
	alone := fold.Member{ID: d.target.member.ID, Head: d.head}
	if p := alone.Profile(); p != nil {
		var names index.Set
		names.AddFullName(p)
		for _, k := range names.Keys() {
			d.lost = append(d.lost, index.PartitionKey(k))
		}
	}
}

// expiryOf is what the history tells of an object that has expired: the same, with the same id, whoever writes it, and however often.
func expiryOf(o *fold.ObjectRef, uniqueKey string) *fold.Change {
	c := &fold.Change{At: o.Expires, Action: ExpiredObject, By: ByExpiry, ObjectType: o.Type, ObjectKey: uniqueKey}
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%s\x00expired\x00", o.Type)
	_ = binary.Write(sum, binary.BigEndian, []uint64{o.Incarnation, uint64(o.Time), uint64(o.Expires)})
	sum.Write(o.Hash[:])
	copy(c.ID[:], sum.Sum(nil))
	return c
}

// ExpiredObjects returns what the history tells of the objects of a head that have expired.
func ExpiredObjects(ctx context.Context, st store.Store, inc store.Incarnation, id fold.ID, h *fold.Head, now int64) (all []*fold.Change, err error) {
	for i := range h.Objects {
		o := &h.Objects[i]
		if o.Expires > now {
			continue
		}
		b, err := ReadBody(ctx, st, inc, id, BodyKey(*o))
		if err != nil {
			return nil, err
		}
		if b != nil { // else it has been swept since the head was read
			all = append(all, expiryOf(o, b.UniqueKey))
		}
	}
	return all, nil
}

// HeadRest is how long a head that says nothing keeps its time: index rows of writes that were overtaken are long settled then, and a
// write that read the profile without a head has given up (maxAge).
const HeadRest = 24 * time.Hour

// maxAge is how old the announcement of a write may be that is committed. A process that stood still for longer starts over: the head that
// told it that it was late may be gone.
const maxAge = time.Hour

// BareHistory has the history of a profile of which nothing is left say no more than ids, times and actions.
func BareHistory(ctx context.Context, st store.Store, rec *domain.Record, id fold.ID) error {
	records, err := bareRecords(ctx, st, rec.Incarnation, id, nil, 0)
	if err != nil {
		return err
	}
	if err := st.WriteRun(ctx, store.Run{Table: store.History, Rows: store.SortRows(rowsOf(rec.Incarnation, id, records))}); err != nil {
		return fmt.Errorf("write the history of a profile: %w", err)
	}
	return nil
}

// DropHead removes a head that says nothing, once it has rested. bare has its history say no more than ids, times and actions: nothing of
// the profile is left.
func DropHead(ctx context.Context, st store.Store, rec *domain.Record, id fold.ID, now int64, bare bool) error {
	inc := rec.Incarnation
	row, err := st.Get(ctx, profilePartition(inc, id), headKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read a profile: %w", err)
	}
	h, err := fold.DecodeHead(row.Value)
	if err != nil {
		return fmt.Errorf("profile %s: %w", id, err)
	}
	if h.Expires != 0 || len(h.Objects) > 0 || h.Time > now-HeadRest.Microseconds() {
		return nil
	}
	last := h.Change
	if last != nil && last.Action == Swept {
		last = nil
	}
	var records []store.Mutation
	switch {
	case bare:
		if records, err = bareRecords(ctx, st, inc, id, last, h.Time); err != nil {
			return err
		}
	case last != nil:
		_, err := st.Get(ctx, historyPartition(inc, id), recordKey(last))
		if errors.Is(err, store.ErrNotFound) {
			records = append(records, recordOf(last, nil))
		} else if err != nil {
			return fmt.Errorf("read a history record: %w", err)
		}
	}
	if err := st.WriteRun(ctx, store.Run{Table: store.History, Rows: store.SortRows(rowsOf(inc, id, records))}); err != nil {
		return fmt.Errorf("write the history of a profile: %w", err)
	}
	_, err = st.Swap(ctx, profilePartition(inc, id), []store.Swap{{Key: headKey, Op: store.Delete, Expect: row.Version}})
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) { // the next sweep looks again
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the head of a profile: %w", err)
	}
	return nil
}
