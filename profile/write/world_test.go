package write

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kith/domain"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
	"kith/store/cql"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/test/engines"
)

const (
	inc  = store.Incarnation(7)
	name = "shop"
	day  = 24 * time.Hour
)

var email = schema.Attr{ID: schema.EmailAddress}

// world is a store with a domain, a clock that all nodes share, and what is needed to look at the outcome.
type world struct {
	t   *testing.T
	st  *faulty.Store
	raw store.Store // without faults
	at  *atomic.Int64
	job atomic.Int64 // the domain's last job
	// local is what the writers of a process share that has the store to itself; nil: each of them is a node of a cluster.
	local *change.Local
}

// patience is how long calls of tests make attempts, however busy the machine is.
const patience = 10 * time.Minute

// each runs a test on each engine, as its nodes use it, and on the first one also as a cluster commits: part by part.
func each(t *testing.T, test func(t *testing.T, w *world)) { some(t, 1, test) }

// some is each for the i-th of many interleavings, of which a cluster gets some.
func some(t *testing.T, i int, test func(t *testing.T, w *world)) {
	engines.Some(t, i, "kith_write_test", func(t *testing.T, st store.Store) {
		_, onCluster := st.(*cql.Store)
		test(t, newWorld(t, st, onCluster))
	})
	t.Run("apart", func(t *testing.T) { test(t, newWorld(t, mem.New(), true)) })
}

func newWorld(t *testing.T, st store.Store, apart bool) *world {
	w := &world{t: t, st: &faulty.Store{Store: st, Apart: apart}, raw: st, at: &atomic.Int64{}}
	w.at.Store(time.Now().UnixMicro())
	if w.st.Whole() {
		w.local = &change.Local{}
	}
	return w
}

func (w *world) sleep(d time.Duration) { w.at.Add(d.Microseconds()) }

// writer returns a node whose clock is off by so much.
func (w *world) writer(off time.Duration) *Writer {
	return w.writerOn(w.st, off)
}

func (w *world) writerOn(st store.Store, off time.Duration) *Writer {
	now := func() time.Time { return time.UnixMicro(w.at.Add(1)).Add(off) }
	return &Writer{
		Store: st, Feed: &change.Feed{Store: st, Now: now, Alone: true, Local: w.local}, Now: now, Patience: 10 * time.Millisecond,
		Lookup: func(context.Context, string) (*domain.Record, error) { return w.record(), nil },
		Settle: func(context.Context, *domain.Record, fold.ID) error {
			return errors.New("no merges here")
		},
	}
}

func (w *world) record() *domain.Record {
	return &domain.Record{Name: name, Incarnation: inc, LastJobTime: w.job.Load(), Keys: []domain.Key{{
		Name: "own.key", Ready: true, Parts: []domain.KeyPart{{Attribute: "Attributes.a", ContentType: "STRING"}, {Attribute: "Attributes.b", ContentType: "STRING"}},
	}}}
}

// sealer returns the completer of a node without faults, whose clock is right.
func (w *world) sealer() *change.Sealer {
	node := w.writerOn(w.raw, 0)
	return &change.Sealer{Feed: node.Feed, Settler: &Settler{Writer: node, Domain: func(context.Context, store.Incarnation) (*domain.Record, error) {
		return w.record(), nil
	}}}
}

// complete lets time pass until everything announced so far is settled.
func (w *world) complete() {
	w.t.Helper()
	w.sleep(change.Window + time.Second)
	if err := w.tryComplete(); err != nil {
		w.t.Fatal(err)
	}
}

// tryComplete is what a node does that believes it has the completer's lease.
func (w *world) tryComplete() error {
	p := change.StandingPartition(inc, change.Completer)
	_, err := w.sealer().Run(context.Background(), inc, change.Place{Partition: p, Swap: func(ctx context.Context, ops ...store.Swap) (uint64, error) {
		return w.raw.Swap(ctx, p, ops)
	}})
	return err
}

func must(t *testing.T, r Result, err error) Result {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// set is a Rule that sets values by hand.
func set(action byte, values ...fold.Value) Rule {
	return func(_ context.Context, d *Draft) error {
		if action != Created {
			if err := d.FindProfile(d.Person.ID()); err != nil {
				return err
			}
		}
		d.Note(action, "", "", "")
		return d.Set(values, 100*day)
	}
}

func value(a schema.Attr, text string) fold.Value { return fold.Value{Attr: a, Text: text} }

func custom(name, text string) fold.Value { return value(schema.Attr{Custom: name}, text) }

func emailKey(text string) index.Key { return index.Key{Name: schema.KeyEmail, Value: text} }

// object is an object that is found by keys of its own and makes a profile.
func object(unique string, match ...index.Key) *Object {
	return &Object{Type: "order", Incarnation: 3, UniqueKey: unique, JSON: fmt.Appendf(nil, `{"id":%q}`, unique), Life: 50 * day,
		Keys: match, Match: match, Create: true}
}

func orderKey(text string) index.Key { return index.Key{Name: "order_id", Value: text} }

// state is everything that is stored of profiles, but for the feed.
type state struct {
	heads   map[fold.ID]*fold.Head
	persons map[fold.ID]*Person // that profiles belong to
	own     map[fold.ID]*rows
	index   map[string]bool                // partition, class and id
	bodies  map[string]bool                // id and row key
	history map[fold.ID]map[string]*Record // by row key
	claims  []string
}

func (w *world) state() *state {
	w.t.Helper()
	s := &state{map[fold.ID]*fold.Head{}, map[fold.ID]*Person{}, map[fold.ID]*rows{}, map[string]bool{}, map[string]bool{}, map[fold.ID]map[string]*Record{}, nil}
	node := w.writerOn(w.raw, 0)
	for _, tb := range []store.Table{store.Profile, store.Index, store.Body, store.History, store.Jobs} {
		for row, err := range w.raw.Sweep(w.t.Context(), store.SweepRange{Table: tb, Incarnation: inc}) {
			if err != nil {
				w.t.Fatal(err)
			}
			part := row.Partition.Key
			switch tb {
			case store.Profile:
				id := fold.ID([]byte(part))
				p, err := node.read(w.t.Context(), w.record(), id)
				if err != nil {
					w.t.Fatal(err)
				}
				s.persons[id], s.own[id] = p, p.all[id]
				if s.heads[id], err = s.own[id].Head(); err != nil {
					w.t.Fatal(err)
				}
			case store.Index:
				s.index[part+"\x02"+string(row.Row.Key)] = true
			case store.Body:
				s.bodies[part+string(row.Row.Key)] = true
				if _, err := DecodeBody(row.Row.Value); err != nil {
					w.t.Error(err)
				}
			case store.History:
				r, err := DecodeRecord(row.Row.Value)
				if err != nil {
					w.t.Fatal(err)
				}
				id := fold.ID([]byte(part))
				if s.history[id] == nil {
					s.history[id] = map[string]*Record{}
				}
				s.history[id][string(row.Row.Key)] = r
			case store.Jobs:
				if strings.HasPrefix(part, "claim/") {
					s.claims = append(s.claims, part)
				}
			}
		}
	}
	return s
}

// required returns the index rows of class 'a' and the bodies that the heads call for.
func (w *world) required(s *state) (rows, bodies map[string]bool) {
	rows, bodies = map[string]bool{}, map[string]bool{}
	for id, own := range s.own {
		if own.deleted() {
			continue
		}
		h := s.heads[id]
		row := func(part string) { rows[part+"\x02"+string(index.AppendRowKey(nil, id, index.ByAPI))] = true }
		for _, part := range index.RequiredByAPI(h, own.member.Profile(), w.record().Keys).Partitions() {
			row(part)
		}
		for _, o := range h.Objects {
			body, err := w.raw.Get(w.t.Context(), bodyPartition(inc, id), BodyKey(o))
			if err != nil {
				w.t.Errorf("an object's body: %v", err)
				continue
			}
			b, err := DecodeBody(body.Value)
			if err != nil {
				w.t.Fatal(err)
			}
			older := func(v fold.Value) bool { return v.Stamp.Time != o.Time || v.Expires != o.Expires }
			if o.Says != 0 && (o.Says != fold.HashSaid(b.Values) || len(b.Standard) > 0 || slices.ContainsFunc(b.Values, older)) {
				w.t.Errorf("the head does not tell right what object %x says", o.Hash)
			}
			for _, k := range b.Keys {
				row(index.PartitionKey(k))
			}
			bodies[string(id[:])+string(BodyKey(o))] = true
		}
	}
	return rows, bodies
}

// covered checks what must hold at any time: no required index row and no body is missing.
func (w *world) covered(when string) *state {
	w.t.Helper()
	s := w.state()
	rows, bodies := w.required(s)
	for row := range rows {
		if !s.index[row] {
			w.t.Errorf("%s: index row %q is missing", when, row)
		}
	}
	for key := range bodies {
		if !s.bodies[key] {
			w.t.Errorf("%s: body %q is missing", when, key)
		}
	}
	return s
}

// exact checks what holds when everything is settled: there is what is required, and nothing else.
func (w *world) exact(when string) *state {
	w.t.Helper()
	s := w.covered(when)
	rows, bodies := w.required(s)
	for row := range s.index {
		if !rows[row] && strings.HasSuffix(row, "a") {
			w.t.Errorf("%s: index row %q is in excess", when, row)
		}
	}
	for key := range s.bodies {
		if !bodies[key] {
			w.t.Errorf("%s: body %q is garbage", when, key)
		}
	}
	for id, h := range s.heads {
		if h.Change != nil && s.history[id][string(recordKey(h.Change))] == nil {
			w.t.Errorf("%s: the history record of the last change of %s is missing", when, id)
		}
	}
	places := map[index.Key]int{}
	for _, h := range s.heads {
		for _, o := range h.Objects {
			places[objectKey(o.Incarnation, o.Hash)]++
		}
	}
	for k, n := range places {
		if n > 1 {
			w.t.Errorf("%s: object %s is in %d profiles", when, k.Value, n)
		}
	}
	if len(s.claims) > 0 {
		w.t.Errorf("%s: claims are left: %q", when, s.claims)
	}
	return s
}

// holders returns the profiles that have a key.
func (s *state) holders(w *world, k index.Key) (ids []fold.ID) {
	for _, id := range slices.SortedFunc(maps.Keys(s.persons), func(a, b fold.ID) int { return strings.Compare(a.String(), b.String()) }) {
		if p := s.persons[id]; p.Visible() && p.ID() == id && p.confirms(w.record(), k, w.at.Load()) {
			ids = append(ids, id)
		}
	}
	return ids
}

func memStore() store.Store { return mem.New() }
