package write

import (
	"context"
	"errors"
	"testing"

	"kith/domain"
	"kith/fault"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
)

// The five operations' changes, one after the other, on every engine: what the profile shows, what it is found by, and what its history
// says.
func TestWrites(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, node := t.Context(), w.writer(0)
		r, err := node.Create(ctx, name, "me", set(Created, value(email, "a@x.de"), custom("a", "1"), custom("b", "2"), value(schema.Attr{ID: schema.FirstName}, "Ann"), value(schema.Attr{ID: schema.LastName}, "Lee")))
		id := must(t, r, err).ID
		if !r.Created {
			t.Error("a new profile is not said to be created")
		}
		s := w.exact("created")
		for _, k := range []index.Key{emailKey("a@x.de"), {Name: "own.key", Value: "1" + schema.TupleSep + "2"}, {Name: schema.KeyFullName, Value: "ann lee"}} {
			if got := s.holders(w, k); len(got) != 1 || !s.index[index.PartitionKey(k)+"\x02"+string(index.AppendRowKey(nil, id, index.ByAPI))] {
				t.Errorf("key %v finds %v", k, got)
			}
		}
		r, err = node.Change(ctx, name, "me", id, set(Updated, value(email, "b@x.de"), custom("b", "")))
		if must(t, r, err); r.Created {
			t.Error("an old profile is said to be created")
		}
		s = w.exact("updated")
		if len(s.holders(w, emailKey("a@x.de"))) != 0 || len(s.holders(w, emailKey("b@x.de"))) != 1 {
			t.Error("the e-mail address was not replaced")
		}
		r, err = node.Change(ctx, name, "me", id, func(_ context.Context, d *Draft) error {
			d.Note(AddedKey, "", "", "c1")
			return d.AddKeys([]index.Key{{Name: "_ctrContactId", Value: "c1"}})
		})
		must(t, r, err)
		w.exact("key added")

		o := object("o1", orderKey("o1"), emailKey("b@x.de"))
		o.Values = []fold.Value{custom("tier", "gold"), value(email, "c@x.de")}
		r, err = node.Put(ctx, name, "", o)
		if must(t, r, err); r.ID != id || r.Created {
			t.Errorf("the object went to %v", r)
		}
		o2 := object("o2", orderKey("o2"))
		o2.Match = append(o2.Match, index.Key{Name: "_ctrContactId", Value: "c1"})
		o2.Values = []fold.Value{custom("tier", "iron")}
		if r, err = node.Put(ctx, name, "", o2); must(t, r, err).ID != id {
			t.Errorf("the object went to %v, not where a key added by hand leads", r)
		}
		s = w.exact("objects")
		if got := s.persons[id].Profile.Get(schema.Attr{Custom: "tier"}); got != "iron" {
			t.Errorf("tier is %q", got)
		}
		again := object("o1", orderKey("o1"))
		again.Keys = append(again.Keys, orderKey("o1-b"))
		r, err = node.Put(ctx, name, "", again)
		must(t, r, err)
		w.exact("object replaced")
		r, err = node.DeleteObject(ctx, name, "me", id, "order", 3, "o2")
		must(t, r, err)
		s = w.exact("object deleted")
		if got := s.persons[id].Profile.Get(schema.Attr{Custom: "tier"}); got != "gold" {
			t.Errorf("tier is %q after the object that said iron is gone", got)
		}
		if got := s.persons[id].Profile.Get(email); got != "b@x.de" {
			t.Errorf("e-mail is %q: an object without priority has replaced what a hand has set", got)
		}
		if _, err = node.DeleteObject(ctx, name, "me", id, "order", 3, "o2"); !errors.Is(err, fault.NotFound) {
			t.Errorf("deleting it again: %v", err)
		}
		if got := len(s.history[id]); got != 7 {
			t.Errorf("%d history records, want 7", got)
		}
		w.complete()
		w.exact("settled")
	})
}

// An object without a profile is refused when its type makes none, and leaves nothing.
func TestPutWithoutProfile(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		o := object("o1", orderKey("o1"))
		o.Create = false
		if _, err := w.writer(0).Put(t.Context(), name, "", o); !errors.Is(err, ErrNoProfile) {
			t.Fatalf("Put: %v", err)
		}
		if s := w.exact("refused"); len(s.persons) != 0 {
			t.Error("there is a profile")
		}
	})
}

// The passes of resolution: a key with one hit decides, ambiguous keys are passed over, fallback keys come last.
func TestResolution(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, node := t.Context(), w.writer(0)
		make := func(keys ...index.Key) fold.ID {
			o := object("of"+keys[0].Value, keys...)
			o.Match = keys[:1]
			r, err := node.Put(ctx, name, "", o)
			return must(t, r, err).ID
		}
		k := func(text string) index.Key { return index.Key{Name: "k", Value: text} }
		a := make(k("a"), k("shared"), k("fall"))
		b := make(k("b"), k("shared"))
		for _, c := range []struct {
			name            string
			match, fallback []index.Key
			want            fold.ID
		}{
			{"first hit wins", []index.Key{k("b"), k("a")}, nil, b},
			{"no hit, next", []index.Key{k("none"), k("a")}, nil, a},
			{"ambiguous, next", []index.Key{k("shared"), k("b")}, nil, b},
			{"fallback", []index.Key{k("shared"), k("none2")}, []index.Key{k("fall")}, a},
			{"fallback comes last", []index.Key{k("none3"), k("b")}, []index.Key{k("fall")}, b},
			{"nothing", []index.Key{k("shared")}, []index.Key{k("none4")}, fold.ID{}},
		} {
			o := object("x"+c.name, c.match...)
			o.Keys, o.Fallback = nil, c.fallback
			r, err := node.Put(ctx, name, "", o)
			must(t, r, err)
			if c.want != (fold.ID{}) && r.ID != c.want || r.Created != (c.want == fold.ID{}) {
				t.Errorf("%s: %v, want %v", c.name, r, c.want)
			}
		}
		// What comes again stays, though others have its key too, and goes where another key leads.
		again := object("again", k("shared"))
		first, err := node.Put(ctx, name, "", again)
		must(t, first, err)
		if r, err := node.Put(ctx, name, "", again); must(t, r, err).ID != first.ID || r.Created || !first.Created {
			t.Errorf("the object that made %v comes again, to %v", first, r)
		}
		if r, err := node.Put(ctx, name, "", object("again", k("shared"), k("b"))); must(t, r, err).ID != b {
			t.Errorf("it goes to %v, want %v", r, b)
		}
		if r, err := node.Put(ctx, name, "", object("again", k("fall2"))); !must(t, r, err).Created {
			t.Errorf("a key that nobody has leads to %v", r)
		}
		w.complete()
		w.exact("settled")
	})
}

// A profile's write is later than an import that holds the turn.
func TestWritesAreLaterThanTheJob(t *testing.T) {
	w := newWorld(t, memStore(), false)
	w.job.Store(w.at.Load() + 1e9)
	r, err := w.writer(0).Create(t.Context(), name, "", set(Created, value(email, "a")))
	if must(t, r, err); r.Time <= w.job.Load() {
		t.Errorf("written at %d, the job has %d", r.Time, w.job.Load())
	}
}

// An answer that was lost is decided: whether the Swap had happened or not, and whether another write has come since, the write happens
// once.
func TestLostAnswers(t *testing.T) {
	for _, c := range []struct{ happened, another bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		each(t, func(t *testing.T, w *world) {
			node := w.writer(0)
			r, err := node.Create(t.Context(), name, "", set(Created, value(email, "a")))
			id := must(t, r, err).ID
			want := 2
			st := &doubtful{Store: w.raw, happened: c.happened, left: 1, then: func() {}}
			if c.another {
				want++
				st.then = func() {
					r, err := w.writerOn(w.raw, 0).Change(t.Context(), name, "", id, set(Updated, custom("b", "1")))
					must(t, r, err)
				}
			}
			r, err = w.writerOn(st, 0).Change(t.Context(), name, "", id, set(Updated, custom("a", "1")))
			must(t, r, err)
			if st.left != 0 {
				t.Fatal("no answer was lost")
			}
			s := w.exact("afterwards")
			if n := len(s.history[id]); n != want {
				t.Errorf("%v: %d history records, want %d", c, n, want)
			}
			if got := s.persons[id].Profile.Get(schema.Attr{Custom: "a"}); got != "1" {
				t.Errorf("%v: the profile shows %q", c, got)
			}
			w.complete()
			w.exact("settled")
		})
	}
}

// doubtful loses the answer to the next Swaps of heads.
type doubtful struct {
	store.Store
	happened bool
	left     int
	then     func() // what others do before the call learns of it
}

func (d *doubtful) Commit(ctx context.Context, g store.Group) (uint64, error) {
	if len(g.Swap) == 0 || g.Partition.Table != store.Profile || d.left == 0 {
		return d.Store.Commit(ctx, g)
	}
	d.left--
	if d.happened {
		g.After = nil
		if _, err := d.Store.Commit(ctx, g); err != nil {
			return 0, err
		}
	}
	d.then()
	return 0, store.ErrUnknown
}

// A write that goes by a record of the domain from before an attribute became a key puts no index row for it, and the job that made it
// one may have passed the profile before: the completer puts the row.
func TestKeyOfTheDomainMeetsAWrite(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		node := w.writer(0)
		node.Lookup = func(context.Context, string) (*domain.Record, error) {
			old := *w.record()
			old.Keys = nil
			return &old, nil
		}
		r, err := node.Create(t.Context(), name, "", set(Created, custom("a", "1"), custom("b", "2")))
		must(t, r, err)
		w.complete()
		w.exact("settled")
	})
}
