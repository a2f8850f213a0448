package write

import (
	"context"
	"slices"
	"time"

	"kith/domain"
	"kith/fault"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
)

// Rule decides what a write changes. It is called once for each attempt, with what that attempt has read; an error of it is the call's.
type Rule func(ctx context.Context, d *Draft) error

// Draft is a write on its way: a profile as it is, and what its head is to say.
type Draft struct {
	Record *domain.Record
	// Person is as it was read. It need not be visible: a Rule that changes an existing profile returns an error then.
	Person *Person
	// Time is that of the write, in microseconds.
	Time int64
	// By is who asked for it.
	By string

	w        *Writer
	target   *rows // whose head is to change: of the main profile, or of the member that has an object
	head     *fold.Head
	change   *fold.Change
	attempt  uint32
	barriers fold.Barriers
	before   *fold.Head       // as it was read
	put      []store.Mutation // bodies
	drop     []string         // row keys of bodies
	// happened are changes that have happened whether the write does or not, each with an id of its own: the write puts their records.
	happened []*fold.Change
	// objectKeys are the index partitions of the keys of objects that come or go.
	objectKeys []string
	// lost are index partitions whose rows go unless the head requires them.
	lost []string
}

// Note says what the history is to tell of the write. Each Rule calls it once.
func (d *Draft) Note(action byte, objectType, objectKey, detail string) {
	d.change.Action, d.change.ObjectType, d.change.ObjectKey, d.change.Detail = action, objectType, objectKey, detail
}

// Life lets the profile live for some time from now. What was set by hand, values and keys, lives as long: a customer whose objects
// come every week keeps the name that somebody typed in.
func (d *Draft) Life(life time.Duration) { d.live(fold.ExpiryOf(d.Time, life)) }

// live lets the profile live until a time.
func (d *Draft) live(until int64) {
	d.head.Expires = max(d.head.Expires, until)
	for i := range d.head.Values {
		if v := &d.head.Values[i]; v.Kind == fold.Manual && v.Expires > d.barriers.Now {
			v.Expires = d.head.Expires
		}
	}
}

// MaxByHand is how many bytes a profile's values that were set by hand may have, with their names, and how many keys it may have that
// were added by hand.
const (
	MaxByHand     = 256_000
	MaxKeysByHand = 1000
)

// Set sets values by hand; an empty text is a blank, which masks older values. They live for life from now, and the profile as well. It
// is fault.BadRequest when the profile becomes too large.
func (d *Draft) Set(values []fold.Value, life time.Duration) error {
	until := fold.ExpiryOf(d.Time, life)
	values = slices.Clone(values)
	index.ReadIn(values, d.Record.WrittenIn(), d.Record.Keys)
	for i := range values {
		v := &values[i]
		v.Kind, v.Blank, v.Stamp, v.Expires = fold.Manual, v.Text == "", fold.Stamp{Time: d.Time}, until
	}
	d.head.Write(values, d.barriers)
	d.Life(life)
	size := 0
	for _, v := range d.head.Values {
		if v.Kind == fold.Manual {
			size += len(v.Attr.Custom) + len(v.Text)
		}
	}
	if size > MaxByHand {
		return fault.BadRequestf("The profile would have %d bytes of values; %d are possible. Blank attributes that are not needed.", size, MaxByHand)
	}
	return nil
}

// AddKeys adds keys by hand, with normalised values. It is fault.BadRequest when they are too many.
func (d *Draft) AddKeys(keys []index.Key) error {
	for _, k := range keys {
		if !slices.Contains(d.head.Keys, k) {
			d.head.Keys = append(d.head.Keys, k)
		}
	}
	if n := len(d.head.Keys); n > MaxKeysByHand {
		return fault.BadRequestf("The profile would have %d keys that were added by hand; %d are possible. Delete some with DeleteProfileKey.", n, MaxKeysByHand)
	}
	return nil
}

// DeleteKeys deletes keys that were added by hand. It returns how many there were.
func (d *Draft) DeleteKeys(keys []index.Key) int {
	n := len(d.head.Keys)
	d.head.Keys = slices.DeleteFunc(d.head.Keys, func(k index.Key) bool { return slices.Contains(keys, k) })
	return n - len(d.head.Keys)
}

// FindProfile returns the error of a Rule that wants an existing profile, or nil. One that was merged into another does not exist.
func (d *Draft) FindProfile(id fold.ID) error {
	switch main := d.Person.ID(); {
	case !d.Person.Visible():
		return fault.NotFoundf("Profile %s is not found in domain %s.", id, d.Record.Name)
	case main != id:
		return fault.NotFoundf("Profile %s is not found in domain %s: it was merged into profile %s.", id, d.Record.Name, main)
	}
	return nil
}

// Text returns the value that the profile shows for an attribute.
func (d *Draft) Text(a schema.Attr) string {
	if d.Person.Profile == nil {
		return ""
	}
	return d.Person.Profile.Get(a)
}

// draft begins the write of a plan.
func (w *Writer) draft(pl *plan, c *call) (*Draft, error) {
	rec, p, target := pl.rec, pl.person, pl.target
	before, err := target.look()
	if err != nil {
		return nil, err
	}
	now := w.Now().UnixMicro()
	at := fold.WriteTime(now, max(p.member.Newest(), before.Time, pl.after), rec.LastJobTime)
	d := &Draft{Record: rec, Person: p, Time: at, By: c.by, w: w, target: target, head: before.Clone(), before: before, change: changeOf(c.row.Call, at), attempt: c.nextAttempt()}
	d.change.By = c.by
	d.barriers = p.member.Barriers(now, rec.LastJobTime) // of the whole person: a member gets more than it needs
	return d, nil
}
