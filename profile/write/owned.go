package write

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"kith/domain"
	"kith/fault"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// Object is an object to put.
type Object struct {
	Type        string
	Incarnation uint64 // of the type
	UniqueKey   string
	JSON        []byte
	// Values are what it says about the profile; of a stamp only Priority and SourceTime are looked at.
	Values []fold.Value
	// Inferred are values that it says only if it makes a profile.
	Inferred []fold.Value
	Life     time.Duration
	// Keys are what it carries, NewKeys what it carries only if it makes a profile. Values are normalised.
	Keys, NewKeys []index.Key
	// Match and Fallback are the keys by which its profile is found, in order: those of the second only when none of the first finds one.
	Match, Fallback []index.Key
	// Create says that it makes a profile if it finds none.
	Create bool
	// Standard is what it says about standard objects, one of a type at most.
	Standard []StandardObject
	// MaxOfType is how many objects of its type a profile may have; 0: as many as there may be of any.
	MaxOfType int
	// Alive returns an error, which becomes that of the call, when the type does not live any more, as far as is known a second ago. Nil: it
	// does as long as the domain does not know of its end.
	Alive func(ctx context.Context, rec *domain.Record) error
	// Lazy says that the write need not be durable on return, only when Sync is called with its Result (PutLazy).
	Lazy bool
}

// StandardObject is what an object to put says about a standard object.
type StandardObject struct {
	Type string // "_asset"
	// IDKey is the name of the key that finds the standard object by its id: "_assetId".
	IDKey string
	// Keys are those of the object by which the standard object is found within its person, the first of them the most important.
	Keys []index.Key
	// Values are what it says. The name of a custom attribute is the path; the text of one that has "[]" in it is a JSON array of texts.
	Values []fold.Value
}

// Quotas bound what a profile owns.
type Quotas struct {
	Objects int   // 0: 1,000
	Bytes   int64 // of their JSON; 0: 51,200 KB
}

const (
	defaultObjects = 1000
	defaultBytes   = 51_200 << 10
)

// ErrFull says that a profile may not have one more object. It comes with a fault.BadRequest.
var ErrFull = errors.New("the profile has as many objects as it may have")

// objectKeyName names the key that every object carries, by which the place where it is is found: one object lives in one profile. A
// name of a caller can't have a colon.
const objectKeyName = "object:"

// objectKey returns the key by which an object is found.
func objectKey(incarnation uint64, hash [16]byte) index.Key {
	return index.Key{Name: objectKeyName, Value: hex.EncodeToString(append(binary.BigEndian.AppendUint64(nil, incarnation), hash[:]...))}
}

// PutObject puts an object, in place of an older version. Values that only the older one had stay.
func (d *Draft) PutObject(ctx context.Context, o *Object, creates bool) error {
	until := fold.ExpiryOf(d.Time, o.Life)
	ref := fold.ObjectRef{Type: o.Type, Incarnation: o.Incarnation, Hash: fold.HashObject(o.UniqueKey), Time: d.Time, Attempt: d.attempt, Expires: until, Size: uint32(len(o.JSON))}
	old, replaces := d.head.Object(o.Type, o.Incarnation, ref.Hash)
	if err := d.checkRoom(o, &ref, &old, replaces); err != nil {
		return err
	}
	values, keys := slices.Clone(o.Values), append(slices.Clone(o.Keys), objectKey(o.Incarnation, ref.Hash))
	if creates {
		values, keys = append(values, o.Inferred...), append(keys, o.NewKeys...)
	}
	values = d.stamped(values, until)
	body := Body{JSON: o.JSON, UniqueKey: o.UniqueKey, Values: d.said(nil, values)}
	was := &Body{}
	switch {
	case !replaces:
	case len(o.Standard) == 0 && d.replacesAll(&old, hashesOf(keys), body.Values, until):
		d.forget(&old, o.UniqueKey) // without reading it: its keys are those that come
	default:
		var err error
		if was, err = d.remove(ctx, &old); err != nil {
			return err
		}
		body.Values = d.said(was.Values, values)
	}
	for i := range o.Standard {
		s, err := d.standard(ctx, &o.Standard[i], &ref, was)
		if err != nil {
			return err
		}
		s.Values = d.said(s.Values, d.stamped(o.Standard[i].Values, until))
		body.Standard = append(body.Standard, s)
		keys = append(keys, index.Key{Name: o.Standard[i].IDKey, Value: s.ID})
	}
	body.Keys = keys
	d.touch(keys)
	ref.Keys, ref.Says = hashesOf(keys), d.says(&body)
	d.head.PutObject(ref)
	d.head.Write(values, d.barriers)
	d.Life(o.Life)
	d.put = append(d.put, store.Mutation{Key: BodyKey(ref), Value: body.append(nil), Time: d.Time})
	d.Note(Ingested, o.Type, o.UniqueKey, string(BodyKey(ref)))
	return nil
}

// hashesOf returns what an ObjectRef has of keys: each once, in order.
func hashesOf(keys []index.Key) []uint64 {
	hashes := make([]uint64, len(keys))
	for i, k := range keys {
		hashes[i] = fold.KeyHash(k)
	}
	slices.Sort(hashes)
	return slices.Compact(hashes)
}

// says returns what an ObjectRef has of what an object says that this write puts.
func (d *Draft) says(b *Body) uint64 {
	older := func(v fold.Value) bool { return v.Stamp.Time != d.Time }
	if len(b.Standard) > 0 || slices.ContainsFunc(b.Values, older) {
		return 0
	}
	return fold.HashSaid(b.Values)
}

// replacesAll says whether a new version of an object, with the same keys, leaves nothing of the one before: rule 1 of package fold drops
// each of its values, for the new ones are of the same attributes, count as much, and expire no earlier.
func (d *Draft) replacesAll(old *fold.ObjectRef, keys []uint64, values []fold.Value, until int64) bool {
	return old.Says == fold.HashSaid(values) && slices.Equal(old.Keys, keys) && until >= old.Expires && !d.barriers.Merged(old.Time, d.Time)
}

// stamped returns values as an object says them in this write.
func (d *Draft) stamped(values []fold.Value, until int64) []fold.Value {
	values = slices.Clone(values)
	for i := range values {
		v := &values[i]
		v.Kind, v.Blank, v.Expires = fold.Object, false, until
		v.Stamp.Time, v.Stamp.Row = d.Time, 0
	}
	return values
}

// said returns what an object has said when it says more.
func (d *Draft) said(was, more []fold.Value) []fold.Value {
	h := fold.Head{Values: slices.Clone(was)}
	h.Write(more, d.barriers)
	return h.Values
}

// checkRoom says whether the person may have an object more, or a greater one.
func (d *Draft) checkRoom(o *Object, ref, old *fold.ObjectRef, replaces bool) error {
	now, dead := d.w.Now().UnixMicro(), d.Record.Dead()
	objects, bytes, ofType := 0, int64(0), 0
	for _, r := range d.Person.all {
		if r.member.Head == nil {
			continue
		}
		n, b := r.member.Head.Owned(now, dead)
		objects, bytes = objects+n, bytes+b
		if o.MaxOfType == 0 || n == 0 {
			continue
		}
		h, err := r.look()
		if err != nil {
			return err
		}
		for i := range h.Objects {
			if of := &h.Objects[i]; of.Type == o.Type && of.Incarnation == o.Incarnation && of.Expires > now {
				ofType++
			}
		}
	}
	counts := replaces && old.Expires > now
	if counts {
		bytes -= int64(old.Size)
	}
	full := func(format string, args ...any) error {
		return errors.Join(fault.BadRequestf("Profile %s "+format+" Delete objects of it, or have them expire sooner.", append([]any{d.Person.ID()}, args...)...), ErrFull)
	}
	quotas := d.w.Limits()
	switch {
	case !counts && objects >= quotas.Objects:
		return full("has %d objects, and a profile may have %d.", objects, quotas.Objects)
	case !counts && o.MaxOfType > 0 && ofType >= o.MaxOfType:
		return full("has %d objects of type %s, and the MaxProfileObjectCount of the type is %d.", ofType, o.Type, o.MaxOfType)
	case bytes+int64(ref.Size) > quotas.Bytes && (!counts || ref.Size > old.Size):
		return full("has %d bytes of other objects; with the %d of this one it would have more than %d, which a profile may have.", bytes, ref.Size, quotas.Bytes)
	}
	return nil
}

// Limits returns the quotas that hold.
func (w *Writer) Limits() (q Quotas) {
	if w != nil {
		q = w.Quotas
	}
	if q.Objects == 0 {
		q.Objects = defaultObjects
	}
	if q.Bytes == 0 {
		q.Bytes = defaultBytes
	}
	return q
}

// standard returns the standard object that an object is about, with what the object's version before has said about it: the one that
// objects of the person name which carry one of its keys, or a new one.
func (d *Draft) standard(ctx context.Context, o *StandardObject, ref *fold.ObjectRef, was *Body) (s Standard, err error) {
	found := map[string]bool{}
	note := func(b *Body) {
		if slices.ContainsFunc(b.Keys, func(k index.Key) bool { return slices.Contains(o.Keys, k) }) {
			if i := slices.IndexFunc(b.Standard, func(s Standard) bool { return s.Type == o.Type }); i >= 0 {
				found[b.Standard[i].ID] = true
			}
		}
	}
	note(was)
	if err := d.eachWith(ctx, o, ref, found, note); err != nil {
		return s, err
	}
	if len(found) > 1 {
		var names []string
		for _, k := range o.Keys {
			names = append(names, k.Name)
		}
		return s, fault.BadRequestf("The keys %v of the object find %d different objects of type %s in profile %s. Give it keys that find one of them.", names, len(found), o.Type, d.Person.ID())
	}
	s = Standard{Type: o.Type}
	for id := range found {
		s.ID = id
	}
	if s.ID == "" {
		s.ID = d.newStandardID(o, ref)
	}
	for _, before := range was.Standard {
		if before.Type == s.Type && before.ID == s.ID {
			s.Values = before.Values
		}
	}
	return s, nil
}

// eachWith calls note for the bodies of objects that carry a key of a standard object, but for ref's and those that carry the id of one that
// has been found.
func (d *Draft) eachWith(ctx context.Context, o *StandardObject, ref *fold.ObjectRef, found map[string]bool, note func(*Body)) error {
	var hashes []uint64
	for _, k := range o.Keys {
		hashes = append(hashes, fold.KeyHash(k))
	}
	now := d.w.Now().UnixMicro()
	for _, r := range d.Person.all {
		h := d.head
		if r != d.target {
			var err error
			if h, err = r.look(); err != nil {
				return err
			}
		}
		for i := range h.Objects {
			of := &h.Objects[i]
			carries := func(hash uint64) bool { return slices.Contains(of.Keys, hash) }
			if of.Expires <= now || d.Record.IsDead(of.Incarnation) || of.Hash == ref.Hash && of.Incarnation == ref.Incarnation || !slices.ContainsFunc(hashes, carries) {
				continue
			}
			known := false
			for id := range found {
				known = known || carries(fold.KeyHash(index.Key{Name: o.IDKey, Value: id}))
			}
			if known {
				continue
			}
			b, err := d.body(ctx, r, *of)
			if err != nil {
				return err
			}
			note(b)
		}
	}
	return nil
}

// newStandardID derives the id of a standard object from the first of its keys. Another one may have that id, because this was the first
// of its keys once: then the object's hash goes into it as well.
func (d *Draft) newStandardID(o *StandardObject, ref *fold.ObjectRef) string {
	sum := sha256.New()
	seed := fmt.Appendf(nil, "%016x %s %q %q", uint64(d.Record.Incarnation), o.Type, o.Keys[0].Name, o.Keys[0].Value)
	for {
		sum.Reset()
		sum.Write(seed)
		id := hex.EncodeToString(sum.Sum(nil)[:16])
		if !d.otherCarries(index.Key{Name: o.IDKey, Value: id}, ref) {
			return id
		}
		seed = append(seed, ref.Hash[:]...)
	}
}

// otherCarries says whether an object of the person carries a key, but for one.
func (d *Draft) otherCarries(k index.Key, but *fold.ObjectRef) bool {
	hash := fold.KeyHash(k)
	for _, r := range d.Person.all {
		if r.member.Head == nil || !r.member.Head.Carries(k, 0, nil) {
			continue
		}
		h, err := r.look()
		if err != nil {
			return true
		}
		for i := range h.Objects {
			if o := &h.Objects[i]; slices.Contains(o.Keys, hash) && (o.Hash != but.Hash || o.Incarnation != but.Incarnation) {
				return true
			}
		}
	}
	return false
}

// touch notes keys of objects that come or go.
func (d *Draft) touch(keys []index.Key) {
	for _, k := range keys {
		d.objectKeys = append(d.objectKeys, index.PartitionKey(k))
	}
}

// errMoved says that a body has gone with the head that lists it: the head has been changed since it was read.
var errMoved = fmt.Errorf("the profile has changed meanwhile: %w", errAgain)

// body reads the body of an object that the head of a profile of the person lists.
func (d *Draft) body(ctx context.Context, of *rows, o fold.ObjectRef) (*Body, error) {
	b, err := ReadBody(ctx, d.w.Store, d.Record.Incarnation, of.member.ID, BodyKey(o))
	if b == nil && err == nil {
		err = errMoved
	}
	return b, err
}

// remove has the body and index rows of an object removed that the head lists no more, in this version, and returns what it was.
func (d *Draft) remove(ctx context.Context, o *fold.ObjectRef) (*Body, error) {
	b, err := d.body(ctx, d.target, *o)
	if err != nil {
		return nil, err
	}
	d.touch(b.Keys)
	d.forget(o, b.UniqueKey)
	return b, nil
}

// forget has the body of an object removed that the head lists no more. That it had expired is written down: until now the history derived it.
func (d *Draft) forget(o *fold.ObjectRef, uniqueKey string) {
	d.drop = append(d.drop, string(BodyKey(*o)))
	if o.Expires <= d.barriers.Now {
		d.happened = append(d.happened, expiryOf(o, uniqueKey))
	}
}

// DeleteObject deletes an object and takes back what it said: the head is made again from what the other objects say. It is
// fault.NotFound when the profile has no such object; one that has expired is none.
func (d *Draft) DeleteObject(ctx context.Context, objectType string, incarnation uint64, uniqueKey string) error {
	hash := fold.HashObject(uniqueKey)
	gone, err := d.dropObjects(ctx, func(o *fold.ObjectRef) bool {
		return o.Type == objectType && o.Incarnation == incarnation && o.Hash == hash && o.Expires > d.barriers.Now
	})
	if err == nil && len(gone) == 0 {
		err = fault.NotFoundf("Profile %s has no object of type %s with that unique key.", d.Person.ID(), objectType)
	}
	if err != nil {
		return err
	}
	d.Note(DeletedObject, objectType, uniqueKey, "")
	return nil
}

// dropped is an object that a draft strikes off.
type dropped struct {
	fold.ObjectRef
	uniqueKey string
}

// dropObjects strikes objects off the head and takes back what they said.
func (d *Draft) dropObjects(ctx context.Context, pick func(*fold.ObjectRef) bool) (gone []dropped, err error) {
	gone, rest, err := d.strikeOff(ctx, pick)
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	values, err := d.saidBy(ctx, rest)
	if err != nil {
		return nil, err
	}
	d.head.Objects = rest
	d.head.Rebuild(values, d.barriers)
	return gone, nil
}

// strikeOff has the bodies and index rows of objects removed, and returns what the head is to list.
func (d *Draft) strikeOff(ctx context.Context, pick func(*fold.ObjectRef) bool) (gone []dropped, rest []fold.ObjectRef, err error) {
	for i := range d.head.Objects {
		o := &d.head.Objects[i]
		if !pick(o) {
			rest = append(rest, *o)
			continue
		}
		b, err := d.remove(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		gone = append(gone, dropped{*o, b.UniqueKey})
	}
	return gone, rest, nil
}

// saidBy returns what objects of the head say about the profile.
func (d *Draft) saidBy(ctx context.Context, refs []fold.ObjectRef) (values []fold.Value, err error) {
	const few = 8
	if len(refs) <= few {
		for _, o := range refs {
			b, err := d.body(ctx, d.target, o)
			if err != nil {
				return nil, err
			}
			values = append(values, b.Values...)
		}
		return values, nil
	}
	wanted := make(map[string]bool, len(refs))
	for _, o := range refs {
		wanted[string(BodyKey(o))] = true
	}
	for row, err := range d.w.Store.Scan(ctx, bodyPartition(d.Record.Incarnation, d.target.member.ID), store.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("read the objects of a profile: %w", err)
		}
		if !wanted[string(row.Key)] {
			continue
		}
		delete(wanted, string(row.Key))
		b, err := DecodeBody(row.Value)
		if err != nil {
			return nil, err
		}
		values = append(values, b.Values...)
	}
	if len(wanted) > 0 {
		return nil, errMoved
	}
	return values, nil
}
