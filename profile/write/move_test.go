package write

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kith/fault"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
	"kith/store/faulty"
)

// found is an object of a type whose unique key does not tell the person: it goes where the e-mail address leads.
func found(unique, address, tier string) *Object {
	o := object(unique, emailKey(address))
	o.Keys = append(o.Keys, orderKey(unique))
	o.Values = []fold.Value{custom("tier", tier)}
	return o
}

var tier = custom("tier", "").Attr

// owners returns the profiles that list an object of that unique key.
func (s *state) owners(unique string) (ids []fold.ID) {
	for id, h := range s.heads {
		if _, ok := h.Object("order", 3, fold.HashObject(unique)); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// An object whose keys lead to another profile goes there: with its keys, and with what it has said.
func TestObjectsMove(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		node := w.writer(0)
		a, b := create(t, w, "a@x.de"), create(t, w, "b@x.de")
		put := func(o *Object) Result {
			t.Helper()
			r, err := node.Put(t.Context(), name, "", o)
			return must(t, r, err)
		}
		put(found("other", "a@x.de", "iron"))
		if r := put(found("o", "a@x.de", "gold")); r.ID != a {
			t.Fatalf("the object is at %s", r.ID)
		}
		if r := put(found("o", "b@x.de", "lead")); r.ID != b || r.Created {
			t.Fatalf("the object has gone to %v, not to %s", r, b)
		}
		s := w.exact("moved")
		if got := s.owners("o"); len(got) != 1 || got[0] != b {
			t.Errorf("the object is at %v", got)
		}
		if got := s.holders(w, orderKey("o")); len(got) != 1 || got[0] != b {
			t.Errorf("its key leads to %v", got)
		}
		if got := s.persons[a].Profile.Get(tier); got != "iron" {
			t.Errorf("where it was, tier is %q", got)
		}
		if got := s.persons[b].Profile.Get(tier); got != "lead" {
			t.Errorf("where it is, tier is %q", got)
		}
		r := put(found("o", "new@x.de", "tin")) // to a profile that it makes
		if !r.Created || r.ID == a || r.ID == b {
			t.Errorf("the object has gone to %v", r)
		}
		w.complete()
		w.exact("settled")
	})
}

// Ground 1: a put that moves an object and stands still, or dies, anywhere: the object is whole in one of the places, and when all is
// settled in no other.
func TestMoveCutOffAnywhere(t *testing.T) {
	for calls := 1; calls <= maxCalls; calls++ {
		frozen := 0
		some(t, calls, func(t *testing.T, w *world) {
			create(t, w, "a@x.de")
			b := create(t, w, "b@x.de")
			r, err := w.writerOn(w.raw, 0).Put(t.Context(), name, "", found("o", "a@x.de", "gold"))
			must(t, r, err)
			stall := w.st.Stall(faulty.Match(func(faulty.Call) bool { return true }).Nth(calls))
			put := start(func() (Result, error) {
				return w.writer(0).Put(context.Background(), name, "", found("o", "b@x.de", "lead"))
			})
			select {
			case <-stall.Arrived():
				frozen++
			case <-put.done:
			}
			w.complete()
			w.sleep(10 * time.Second)
			w.complete() // what the first has struck off
			s := w.exact(fmt.Sprintf("stopped at call %d, settled", calls))
			if got := s.owners("o"); len(got) != 1 {
				t.Errorf("stopped at call %d: the object is at %v", calls, got)
			}
			stall.Release()
			put.wait(t)
			w.complete()
			w.sleep(change.Later)
			w.complete()
			if got := w.exact("in the end").owners("o"); len(got) != 1 || got[0] != b {
				t.Errorf("stopped at call %d: the object is at %v in the end", calls, got)
			}
		})
		if frozen == 0 {
			return
		}
	}
	t.Error("a call has more calls of the store")
}

// Two calls take an object to two places at once, one that is new or one that is elsewhere: it ends in one, whichever of them stands still,
// and wherever.
func TestMovesRace(t *testing.T) {
	for _, isNew := range []bool{true, false} {
		for calls := 1; moveRaces(t, calls, isNew); calls++ {
			if calls == maxCalls {
				t.Fatal("a call has more calls of the store")
			}
		}
	}
}

// moveRaces is one race; false: the call has fewer calls of the store.
func moveRaces(t *testing.T, calls int, isNew bool) bool {
	frozen := 0
	some(t, calls, func(t *testing.T, w *world) {
		ids := []fold.ID{create(t, w, "a@x.de"), create(t, w, "b@x.de"), create(t, w, "c@x.de")}
		put := func(node *Writer, address, tier string) (Result, error) {
			node.Patience = time.Millisecond
			return node.Put(context.Background(), name, "", found("o", address, tier))
		}
		if !isNew {
			r, err := put(w.writerOn(w.raw, 0), "a@x.de", "gold")
			must(t, r, err)
		}
		stall := w.st.Stall(faulty.Match(func(faulty.Call) bool { return true }).Nth(calls))
		first := start(func() (Result, error) { return put(w.writer(3*time.Second), "b@x.de", "lead") })
		select {
		case <-stall.Arrived():
			frozen++
		case <-first.done:
		}
		others := []string{"a@x.de", "c@x.de"} // to where it may be, and on
		if isNew {
			others = others[1:] // no row says that an object moves
		}
		second := start(func() (r Result, err error) {
			for _, address := range others {
				if r, err = put(w.writerOn(w.raw, 0), address, "tin"); err != nil {
					break
				}
			}
			return r, err
		})
		if w.local == nil { // else it waits for the first
			<-second.done
		}
		stall.Release()
		first.wait(t)
		second.wait(t)
		w.complete()
		w.sleep(change.Later)
		w.complete()
		if got := w.exact("settled").owners("o"); len(got) != 1 || !slices.Contains(ids[1:], got[0]) {
			t.Errorf("stopped at call %d: the object is at %v of %v", calls, got, ids)
		}
	})
	return frozen > 0
}

// A put that was cut off when the object was in two places does not mislead the next one: the keys that only the object has are those of
// one profile.
func TestPutAfterAMoveThatWasCutOff(t *testing.T) {
	gone := errors.New("the process died")
	each(t, func(t *testing.T, w *world) {
		a, b := create(t, w, "a@x.de"), create(t, w, "b@x.de")
		r, err := w.writerOn(w.raw, 0).Put(t.Context(), name, "", found("o", "a@x.de", "gold"))
		must(t, r, err)
		swaps := 0
		w.st.Before(func(op faulty.Op, p store.Partition) error {
			if p.Table == store.Profile && op == map[bool]faulty.Op{false: faulty.Commit, true: faulty.Swap}[w.st.Apart] {
				if swaps++; swaps > 1 {
					return gone
				}
			}
			return nil
		})
		if r, err := w.writer(0).Put(t.Context(), name, "", found("o", "b@x.de", "lead")); must(t, r, err).ID != b {
			t.Fatalf("the object is at %s", r.ID)
		}
		w.st.Before(nil)
		if got := w.covered("cut off").owners("o"); len(got) != 2 {
			t.Fatalf("the object is at %v: the call was not cut off where it should be", got)
		}
		o := object("o", orderKey("o")) // by a key that both places have
		if r, err = w.writer(0).Put(t.Context(), name, "", o); must(t, r, err).ID != b || r.Created {
			t.Errorf("the object went to %v; it was at %s before, and at %s last", r, a, b)
		}
		w.complete()
		w.exact("settled")
	})
}

// An object that is taken back to a profile which still lists an old version of it that has expired takes its place: no index row of the
// old one is left, and the history tells that it had expired.
func TestMoveOverAnExpiredVersion(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		node := w.writer(0)
		a, b := create(t, w, "a@x.de"), create(t, w, "b@x.de")
		put := func(o *Object) {
			t.Helper()
			r, err := node.Put(t.Context(), name, "", o)
			must(t, r, err)
		}
		old := found("o", "a@x.de", "gold")
		old.Keys = append(old.Keys, orderKey("old"))
		put(old)
		w.complete() // what its change row names is not looked at again
		w.sleep(51 * day)
		put(found("o", "b@x.de", "lead"))
		ref, _ := w.covered("put again").heads[b].Object("order", 3, fold.HashObject("o"))
		if err := node.Move(t.Context(), w.record(), "", b, a, ref); err != nil {
			t.Fatal(err)
		}
		w.complete()
		s := w.exact("settled")
		if got := s.owners("o"); len(got) != 1 || got[0] != a {
			t.Errorf("the object is at %v, not at %s", got, a)
		}
		if got := s.actions(a, ExpiredObject); got != 1 {
			t.Errorf("the history tells %d times that the old version had expired", got)
		}
	})
}

// An object that has expired is not there for who deletes it, and goes with its type: either way the history still tells that it had expired.
func TestExpiredObjectsAreNotDeleted(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		node := w.writer(0)
		a := create(t, w, "a@x.de")
		for _, unique := range []string{"o", "p"} {
			r, err := node.Put(t.Context(), name, "", found(unique, "a@x.de", "gold"))
			must(t, r, err)
		}
		w.complete() // else it would read the feed of 51 days
		w.sleep(51 * day)
		if _, err := node.DeleteObject(t.Context(), name, "", a, "order", 3, "o"); !errors.Is(err, fault.NotFound) {
			t.Errorf("an object that has expired was deleted: %v", err)
		}
		if err := node.StripTypes(t.Context(), name, "", a, []uint64{3}); err != nil {
			t.Fatal(err)
		}
		w.complete()
		s := w.exact("settled")
		if got := s.actions(a, ExpiredObject); got != 2 || len(s.heads[a].Objects) != 0 {
			t.Errorf("the history tells %d times that an object had expired, and %d are left", got, len(s.heads[a].Objects))
		}
	})
}

// actions returns how many records of a profile's history are of an action.
func (s *state) actions(id fold.ID, action byte) (n int) {
	for _, r := range s.history[id] {
		if r.Action == action {
			n++
		}
	}
	return n
}

// A profile owns as many objects, and as many bytes of them, as it may. Replacing one, and another profile, is no matter.
func TestQuotas(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		node := w.writer(0)
		node.Quotas = Quotas{Objects: 3, Bytes: 100}
		create(t, w, "a@x.de")
		put := func(unique string, size, most int) error {
			o := found(unique, "a@x.de", "gold")
			o.JSON, o.MaxOfType = []byte(strings.Repeat(" ", size)), most
			_, err := node.Put(t.Context(), name, "", o)
			return err
		}
		for _, c := range []struct {
			unique     string
			size, most int
			full       bool
		}{
			{"1", 40, 2, false}, {"2", 40, 2, false}, {"3", 10, 2, true}, {"2", 40, 2, false}, {"3", 21, 3, true}, {"3", 20, 3, false},
			{"4", 0, 0, true}, {"3", 21, 0, true}, {"1", 30, 0, false}, {"3", 30, 0, false},
		} {
			err := put(c.unique, c.size, c.most)
			if full := errors.Is(err, ErrFull) && errors.Is(err, fault.BadRequest); full != c.full || !full && err != nil {
				t.Errorf("object %s of %d bytes, at most %d of the type: %v", c.unique, c.size, c.most, err)
			}
		}
		r, err := node.Put(t.Context(), name, "", found("5", "b@x.de", "gold"))
		must(t, r, err)
		w.sleep(51 * day) // all have expired
		if err := put("6", 100, 1); err != nil {
			t.Error(err)
		}
	})
}

// A write that others overtake each time gives up, says what clients look for, and holds nothing.
func TestGivesUp(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := create(t, w, "a@x.de")
		r, err := w.writerOn(w.raw, 0).Put(t.Context(), name, "", found("o", "a@x.de", "gold"))
		must(t, r, err)
		node := w.writerOn(&overtaken{Store: w.raw, by: func() {
			r, err := w.writerOn(w.raw, 0).Change(t.Context(), name, "", id, set(Updated, custom("n", fmt.Sprint(w.at.Load()))))
			must(t, r, err)
		}}, 0)
		node.GiveUp = time.Millisecond
		for _, call := range []func() (Result, error){
			func() (Result, error) { return node.Change(t.Context(), name, "", id, set(Updated, custom("a", "1"))) },
			func() (Result, error) { return node.Put(t.Context(), name, "", found("p", "a@x.de", "lead")) },
		} {
			if _, err := call(); !errors.Is(err, fault.BadRequest) || !strings.HasPrefix(fault.Message(err), "concurrent update in-progress") {
				t.Errorf("a call that always loses ended with %v", err)
			}
		}
		if s := w.covered("given up"); len(s.claims) > 0 {
			t.Errorf("claims are left: %q", s.claims)
		}
		w.complete()
		w.sleep(change.Later)
		w.complete()
		w.exact("settled")
	})
}

// overtaken is a store on which another write comes before every Swap of a head.
type overtaken struct {
	store.Store
	by func()
}

func (o *overtaken) Commit(ctx context.Context, g store.Group) (uint64, error) {
	if len(g.Swap) > 0 && g.Partition.Table == store.Profile {
		o.by()
	}
	return o.Store.Commit(ctx, g)
}

// What an object says about a standard object is found again by its keys, keeps its id, and joins what other objects say.
func TestStandardObjects(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		node := w.writer(0)
		a := create(t, w, "a@x.de")
		serial := func(text string) index.Key { return index.Key{Name: "_serialNumber", Value: text} }
		put := func(unique string, keys []index.Key, values ...fold.Value) error {
			o := found(unique, "a@x.de", "gold")
			o.Keys = append(o.Keys, keys...)
			o.Standard = []StandardObject{{Type: "_asset", IDKey: "_assetId", Keys: keys, Values: values}}
			_, err := node.Put(t.Context(), name, "", o)
			return err
		}
		ids := func() map[string]string { // by the object's unique key
			out := map[string]string{}
			for row, err := range w.raw.Scan(t.Context(), bodyPartition(inc, a), store.Range{}) {
				if err != nil {
					t.Fatal(err)
				}
				b, err := DecodeBody(row.Value)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range b.Standard {
					out[b.UniqueKey] = s.ID
					if !slices.Contains(b.Keys, index.Key{Name: "_assetId", Value: s.ID}) {
						t.Errorf("object %s does not carry the id of its asset", b.UniqueKey)
					}
				}
			}
			return out
		}
		for _, c := range []struct {
			unique string
			keys   []index.Key
		}{{"1", []index.Key{serial("s1")}}, {"2", []index.Key{serial("s1"), serial("s1b")}}, {"3", []index.Key{serial("s1b")}}, {"4", []index.Key{serial("s4")}}} {
			if err := put(c.unique, c.keys, custom("Status", c.unique)); err != nil {
				t.Fatal(err)
			}
		}
		got := ids()
		if got["1"] == "" || got["1"] != got["2"] || got["1"] != got["3"] || got["4"] == got["1"] {
			t.Errorf("the assets are %v", got)
		}
		if err := put("5", []index.Key{serial("s4"), serial("s1")}); !errors.Is(err, fault.BadRequest) {
			t.Errorf("an object that finds two assets: %v", err)
		}
		if len(w.covered("refused").owners("5")) != 0 {
			t.Error("an object that was refused is there")
		}
		if err := put("1", []index.Key{serial("s1")}, custom("Price", "3")); err != nil {
			t.Fatal(err)
		}
		if again := ids(); again["1"] != got["1"] {
			t.Errorf("the asset has another id: %v, %v", got, again)
		}
		// The first key of the asset goes to a new one.
		if err := put("1", []index.Key{serial("s9")}); err != nil {
			t.Fatal(err)
		}
		if err := put("2", []index.Key{serial("s1b")}); err != nil {
			t.Fatal(err)
		}
		if err := put("6", []index.Key{serial("s1")}); err != nil {
			t.Fatal(err)
		}
		if again := ids(); again["2"] != got["2"] || again["6"] == again["2"] || again["1"] == again["2"] {
			t.Errorf("the assets are %v", again)
		}
		w.complete()
		w.exact("settled")
	})
}

// An object that is put anew while it is taken to another profile, wherever that stands still: the version that was put is the one that
// stays, in one place.
func TestMoveMeetsAPut(t *testing.T) {
	for calls := 1; ; calls++ {
		frozen := false
		w := newWorld(t, memStore(), false)
		a, b := create(t, w, "a@x.de"), create(t, w, "b@x.de")
		r, err := w.writerOn(w.raw, 0).Put(t.Context(), name, "", found("o", "a@x.de", "gold"))
		must(t, r, err)
		ref, ok := w.state().heads[a].Object("order", 3, fold.HashObject("o"))
		if !ok {
			t.Fatal("no object")
		}
		stall := w.st.Stall(faulty.Match(func(faulty.Call) bool { return true }).Nth(calls))
		move := start(func() (Result, error) {
			return Result{}, w.writer(0).Move(context.Background(), w.record(), "", a, b, ref)
		})
		select {
		case <-stall.Arrived():
			frozen = true
		case <-move.done:
		}
		put := start(func() (Result, error) {
			return w.writerOn(w.raw, 0).Put(context.Background(), name, "", found("o", "a@x.de", "tin"))
		})
		stall.Release()
		move.wait(t)
		put.wait(t)
		w.complete()
		s := w.exact("settled")
		owners := s.owners("o")
		if len(owners) != 1 {
			t.Fatalf("stopped at call %d: the object is at %v", calls, owners)
		}
		if got := s.persons[owners[0]].Profile.Get(tier); got != "tin" {
			t.Errorf("stopped at call %d: the object says %q", calls, got)
		}
		if !frozen {
			return
		}
	}
}
