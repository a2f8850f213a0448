package resource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kith/fault"
	"kith/store"
)

// Kind describes a kind of resource, whose records hold an R.
type Kind[R any] struct {
	// Name is the kind's in paths and ARNs: domains/<domain>/<Name>/<resource>. It is in the rows' keys.
	Name string
	// Title is what sentences call one: "Layout".
	Title string
	// Max is how many a domain may have; 0 is any number.
	Max int
	// Serial says that every change of a record but of its tags takes its turn, so that a rule about several records holds: what a
	// callback lists is still so when its change counts, or it is called again.
	Serial bool
}

// Scope is the domain that a call works in, and what it needs for it.
type Scope struct {
	Store store.Store
	Now   func() time.Time
	// Room bounds the texts in memory; nil does not.
	Room *Room
	// Domain is the name in sentences.
	Domain      string
	Incarnation store.Incarnation
	// Alive returns fault.NotFound if the domain has been deleted, as the store knows it now.
	Alive func(ctx context.Context) error
}

// MaxRecord bounds a record as it is stored, without its text.
const MaxRecord = 1 << 20

// maxPage bounds the records of a page as they are stored; a page of large ones is shorter.
const maxPage = 4 << 20

// Create makes a resource. fill sets Data, Tags, Default and the text; it may be called again when others write at the same time.
// It returns fault.BadRequest if the name is taken, or the domain has as many as it may.
func (k Kind[R]) Create(ctx context.Context, at Scope, name string, fill func(*Record[R]) error) (*Record[R], error) {
	return k.write(ctx, at, name, func(r *Record[R]) error {
		if r.version != 0 {
			return fault.BadRequestf("%s %s already exists in domain %s.", k.Title, name, at.Domain)
		}
		return fill(r)
	})
}

// Update changes a resource, or returns fault.NotFound. change may be called several times, each time on the newest record.
func (k Kind[R]) Update(ctx context.Context, at Scope, name string, change func(*Record[R]) error) (*Record[R], error) {
	return k.write(ctx, at, name, func(r *Record[R]) error {
		if r.version == 0 {
			return k.notFound(at, name)
		}
		return change(r)
	})
}

// Put creates a resource or changes the one there is; in change, Exists tells which.
func (k Kind[R]) Put(ctx context.Context, at Scope, name string, change func(*Record[R]) error) (*Record[R], error) {
	return k.write(ctx, at, name, change)
}

// Get returns a resource without its text, or fault.NotFound.
func (k Kind[R]) Get(ctx context.Context, at Scope, name string) (*Record[R], error) {
	r, err := k.load(ctx, at, name)
	if err == nil && !r.Exists() {
		return nil, k.notFound(at, name)
	}
	return r, err
}

// List returns the resources by name, max at most, from the cursor on; a nil cursor is the beginning. next is the cursor of the
// next page, nil at the end. A nil max is 100.
func (k Kind[R]) List(ctx context.Context, at Scope, cursor *string, max *int32) (page []*Record[R], next *string, err error) {
	limit := 100
	if max != nil {
		limit = int(*max)
	}
	r := store.Prefix(recordPrefix)
	if cursor != nil {
		r.Start = recordKey(*cursor)
	}
	r.Limit = limit + 1
	size := 0
	for row, err := range at.Store.Scan(ctx, partition(at.Incarnation, k.Name), r) {
		if err != nil {
			return nil, nil, fmt.Errorf("list resources: %w", err)
		}
		if size += len(row.Value); len(page) == limit || len(page) > 0 && size > maxPage {
			name := strings.TrimPrefix(string(row.Key), recordPrefix)
			return page, &name, nil
		}
		rec, err := decodeRecord[R](row)
		if err != nil {
			return nil, nil, err
		}
		page = append(page, rec)
	}
	return page, nil, nil
}

// Delete removes a resource, or returns fault.NotFound. may, if it is not nil, looks at the record first, and its error refuses.
func (k Kind[R]) Delete(ctx context.Context, at Scope, name string, may func(*Record[R]) error) error {
	for lost := (*change[R])(nil); ; {
		c, err := k.begin(ctx, at, name)
		if err != nil {
			return lost.instead(nil, err)
		}
		if lost != nil && c.rec.CreatedAt != lost.rec.CreatedAt {
			return nil // what was to be removed has gone, by this call or by another one at the same time
		}
		if !c.rec.Exists() {
			return k.notFound(at, name)
		}
		if may != nil {
			if err := may(c.rec); err != nil {
				return lost.instead(c, err)
			}
		}
		c.state.Count--
		c.turn()
		if c.state.Default == name {
			c.state.Default = ""
		}
		c.ops = []store.Swap{{Key: recordKey(name), Op: store.Delete, Expect: c.rec.version}}
		c.gone = c.rec.text
		again, err := c.publish(ctx)
		if errors.Is(err, store.ErrUnknown) {
			c.lost, lost, again = err, c, true
		}
		if !again {
			return err
		}
	}
}

// write is every change of a record but its deletion: read, change, publish, until nobody else was in between. When the answer of an attempt is lost
// it reads whether the record has the call's id, and else makes another one.
func (k Kind[R]) write(ctx context.Context, at Scope, name string, do func(*Record[R]) error) (*Record[R], error) {
	var text *writing // what this call has written and no record names yet
	defer func() { text.drop(ctx) }()
	id := store.NewCall()
	for lost := (*change[R])(nil); ; {
		c, err := k.begin(ctx, at, name)
		if err != nil {
			return nil, lost.instead(nil, err)
		}
		if lost != nil && c.rec.calls.Has(id) {
			return c.rec, at.stillThere(ctx)
		}
		if err = do(c.rec); err == nil {
			err = c.advance(ctx, id)
		}
		if err == nil && c.rec.newText != nil {
			if text, err = k.writeText(ctx, at, text, *c.rec.newText); err == nil {
				c.ops = append(c.ops, text.name())
				c.gone, c.rec.text = c.rec.text, &text.pending.Text
			}
		}
		if err == nil {
			err = c.put(c.rec)
		}
		if err != nil {
			return nil, lost.instead(c, err)
		}
		again, err := c.publish(ctx)
		if again {
			continue
		}
		if c.rec.newText != nil {
			text = nil // the record names it, or after an error perhaps: its row tells Tidy
		}
		if errors.Is(err, store.ErrUnknown) {
			c.lost, lost = err, c
			continue
		}
		if err != nil {
			return nil, lost.instead(c, err)
		}
		return c.rec, at.stillThere(ctx)
	}
}

// change is one attempt to change a record.
type change[R any] struct {
	kind       Kind[R]
	at         Scope
	rec        *Record[R]
	was, state state
	ops        []store.Swap
	gone       *textName // the text that the record named before
	lost       error     // why nobody knows whether it has happened
}

// instead returns what a call says that ends with an error after c, an attempt whose answer was lost, or nil. As long as c may yet happen it says that
// it does not know. now is what the call has read since; nil: it could not.
func (c *change[R]) instead(now *change[R], err error) error {
	if c == nil || now != nil && (now.rec.version != c.rec.version || c.state != c.was && now.was.version != c.was.version) {
		return err
	}
	return c.lost
}

func (k Kind[R]) begin(ctx context.Context, at Scope, name string) (*change[R], error) {
	rec, err := k.load(ctx, at, name)
	if err != nil {
		return nil, err
	}
	was, err := k.loadState(ctx, at)
	if err != nil {
		return nil, err
	}
	return &change[R]{kind: k, at: at, rec: rec, was: was, state: was}, nil
}

// loadState returns what is stored of all records together.
func (k Kind[R]) loadState(ctx context.Context, at Scope) (s state, err error) {
	row, err := at.Store.Get(ctx, partition(at.Incarnation, k.Name), []byte(stateKey))
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read the state of a kind of resource: %w", err)
	}
	s.version = row.Version
	return s, decode(row.Value, &s)
}

// advance gives a changed record its call, its revision, its time and its place among the records of its kind.
func (c *change[R]) advance(ctx context.Context, call uint64) error {
	r := c.rec
	c.turn()
	r.calls = r.calls.With(call)
	r.UpdatedAt = max(c.at.Now().UnixMicro(), r.UpdatedAt+1000) // the wire shows milliseconds
	r.Revision++
	if !r.Exists() {
		if c.kind.Max > 0 && c.state.Count >= c.kind.Max {
			return fault.BadRequestf("%s %s can't be created: domain %s has %d already, and that is the limit.", c.kind.Title, r.Name, c.at.Domain, c.state.Count)
		}
		r.CreatedAt = r.UpdatedAt
		c.state.Count++
	}
	switch {
	case r.Default && c.state.Default != r.Name:
		if c.state.Default != "" {
			other, err := c.kind.load(ctx, c.at, c.state.Default)
			if err != nil {
				return err
			}
			other.Default = false // if it has gone meanwhile, so has the state that is expected here
			if err := c.put(other); err != nil {
				return err
			}
		}
		c.state.Default = r.Name
	case !r.Default && c.state.Default == r.Name:
		c.state.Default = ""
	}
	return nil
}

// turn makes the change conflict with every other one since it began, where a kind is Serial.
func (c *change[R]) turn() {
	if c.kind.Serial {
		c.state.Turns++
	}
}

// Turns returns how many changes a Serial kind has seen in a domain: while it is the same, so are the records but for their tags.
func (k Kind[R]) Turns(ctx context.Context, at Scope) (int64, error) {
	s, err := k.loadState(ctx, at)
	return s.Turns, err
}

func (c *change[R]) put(r *Record[R]) error {
	value, err := r.encode()
	if err != nil {
		return err
	}
	if len(value) > MaxRecord {
		return fault.BadRequestf("%s %s is too large: it takes %d bytes to store, and the limit is %d.", c.kind.Title, r.Name, len(value), MaxRecord)
	}
	c.ops = append(c.ops, store.Swap{Key: recordKey(r.Name), Value: value, Expect: r.version})
	return nil
}

// publish makes the change, all of it or nothing, and removes the text that went. again says that somebody else wrote, and that
// the caller must begin again.
func (c *change[R]) publish(ctx context.Context) (again bool, err error) {
	ops := c.ops
	if c.state != c.was {
		value, err := encode(c.state)
		if err != nil {
			return false, err
		}
		ops = append(ops, store.Swap{Key: []byte(stateKey), Value: value, Expect: c.was.version})
	}
	part := partition(c.at.Incarnation, c.kind.Name)
	var gone *writing
	if c.gone != nil {
		gone = &writing{at: c.at, part: part, pending: pending{Garbage: true, Text: *c.gone}}
		op, err := gone.put()
		if err != nil {
			return false, err
		}
		ops = append(ops, op)
	}
	version, err := c.at.Store.Swap(ctx, part, ops)
	if errors.Is(err, store.ErrConflict) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("write a resource: %w", err)
	}
	if gone != nil {
		gone.version = version
		gone.drop(ctx)
	}
	return false, nil
}

// load returns a record, or one that does not exist.
func (k Kind[R]) load(ctx context.Context, at Scope, name string) (*Record[R], error) {
	row, err := at.Store.Get(ctx, partition(at.Incarnation, k.Name), recordKey(name))
	if errors.Is(err, store.ErrNotFound) {
		return &Record[R]{Name: name}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a resource: %w", err)
	}
	return decodeRecord[R](row)
}

// Path is what names a resource in its ARN: access.ARN(k.Path(scope, name)).
func (k Kind[R]) Path(at Scope, name string) string {
	return "domains/" + at.Domain + "/" + k.Name + "/" + name
}

func (k Kind[R]) notFound(at Scope, name string) error {
	return fault.NotFoundf("%s %s is not found in domain %s.", k.Title, name, at.Domain)
}

// stillThere takes back what was written into a domain that has been deleted meanwhile: what removes its rows may have passed.
func (at Scope) stillThere(ctx context.Context) error {
	err := at.Alive(ctx)
	if !errors.Is(err, fault.NotFound) {
		return err
	}
	return errors.Join(err, at.Store.DropRange(ctx, store.Resource, at.Incarnation))
}
