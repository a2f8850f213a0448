package write

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"kith/domain"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/store"
	"kith/store/faulty"
)

// async is a call that runs on its own.
type async struct {
	result Result
	err    error
	done   chan struct{}
}

func start(call func() (Result, error)) *async {
	a := &async{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.result, a.err = call()
	}()
	return a
}

// wait waits for the end of the call.
func (a *async) wait(t *testing.T) Result {
	t.Helper()
	<-a.done
	return must(t, a.result, a.err)
}

// arrives waits until a call stands still.
func arrives(t *testing.T, s *faulty.Stall, a *async) {
	t.Helper()
	select {
	case <-s.Arrived():
	case <-a.done:
		t.Fatalf("the call has ended without standing still: %v, %v", a.result, a.err)
	}
}

// headSwap picks the Swap of a head: as part of a Commit, or alone where it is done part by part.
func headSwap(w *world, behind bool) faulty.Match {
	op, on := faulty.Commit, faulty.On
	if w.st.Apart {
		op = faulty.Swap
	}
	if behind {
		on = faulty.Behind
	}
	return on(op, store.Profile).Key(func(k []byte) bool { return bytes.Equal(k, headKey) })
}

// create makes a profile with an e-mail address.
func create(t *testing.T, w *world, address string) fold.ID {
	t.Helper()
	r, err := w.writerOn(w.raw, 0).Create(t.Context(), name, "", set(Created, value(email, address)))
	return must(t, r, err).ID
}

// Ground 1: W2 takes a key away, swaps, and stands still before it deletes the row. W3 puts the key again and swaps. W2's delete must
// not kill the row, whatever W3's clock shows.
func TestLateDeleteOfAnIndexRow(t *testing.T) {
	for _, off := range []time.Duration{0, -20 * time.Second, 20 * time.Second} {
		each(t, func(t *testing.T, w *world) {
			if !w.st.Apart {
				return // a Commit is one batch: nothing comes between
			}
			id := create(t, w, "a@x.de")
			w2 := w.writer(0)
			// The last write of the commit: the Swap is behind it, the row's deletion ahead.
			stall := w.st.Stall(faulty.On(faulty.Write, store.Index).Nth(2))
			a := start(func() (Result, error) {
				return w2.Change(context.Background(), name, "", id, set(Updated, value(email, "b@x.de")))
			})
			arrives(t, stall, a)
			if got := w.covered("w2 stands still").holders(w, emailKey("b@x.de")); len(got) != 1 {
				t.Fatalf("W2 has not swapped: %v", got)
			}
			r, err := w.writerOn(w.raw, off).Change(t.Context(), name, "", id, set(Updated, value(email, "a@x.de")))
			must(t, r, err)
			stall.Release()
			a.wait(t)
			w.covered("w2 has deleted")
			w.complete()
			w.exact("settled")
		})
	}
}

// Ground 1: an attempt that conflicts puts its rows anew, with the new time: the other writer's delete of the same row must not kill it.
func TestAttemptsPutTheirRowsAnew(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := create(t, w, "a@x.de")
		stall := w.st.Stall(headSwap(w, false))
		a := start(func() (Result, error) {
			return w.writer(0).Change(context.Background(), name, "", id, set(Updated, value(email, "b@x.de")))
		})
		arrives(t, stall, a)
		other := w.writerOn(w.raw, 5*time.Second)
		for _, address := range []string{"b@x.de", "c@x.de"} { // puts the row of b, and deletes it
			r, err := other.Change(t.Context(), name, "", id, set(Updated, value(email, address)))
			must(t, r, err)
		}
		stall.Release()
		a.wait(t)
		s := w.covered("afterwards")
		if len(s.holders(w, emailKey("b@x.de"))) != 1 {
			t.Error("the last write is not visible")
		}
		w.complete()
		w.exact("settled")
	})
}

// Ground 1: whoever deletes rows that a head does not require fences first if an attempt under way may have put them later.
func TestCompleterDeletesOnlyWhatCannotCome(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := create(t, w, "a@x.de")
		fast := w.writer(8 * time.Second) // its rows have a later time than the head that stands
		stall := w.st.Stall(headSwap(w, false))
		a := start(func() (Result, error) {
			return fast.Change(context.Background(), name, "", id, set(Updated, value(email, "b@x.de")))
		})
		arrives(t, stall, a)
		w.complete() // the write has been cut off, as far as anybody can tell
		w.sleep(10 * time.Second)
		w.complete()
		w.exact("settled while it stands still")
		stall.Release()
		a.wait(t)
		if s := w.covered("afterwards"); len(s.holders(w, emailKey("b@x.de"))) != 1 {
			t.Error("the write is not visible")
		}
		w.complete()
		w.exact("settled")
	})
}

// Ground 2: a write that was cut off between the body and the head has not put a new body under the old head; the next one writes the
// record that the head names.
func TestCutOffAroundTheSwap(t *testing.T) {
	gone := errors.New("the process died")
	each(t, func(t *testing.T, w *world) {
		if !w.st.Apart {
			return // a Commit is one batch: it is cut off as a whole
		}
		node := w.writer(0)
		put := func(text string) (Result, error) {
			o := object("o", orderKey("o"))
			o.JSON = []byte(text)
			return node.Put(t.Context(), name, "", o)
		}
		first, err := put("old")
		id := must(t, first, err).ID
		body := func() string {
			h := w.covered("").heads[id]
			row, err := w.raw.Get(t.Context(), bodyPartition(inc, id), BodyKey(h.Objects[0]))
			if err != nil {
				t.Fatal(err)
			}
			b, err := DecodeBody(row.Value)
			if err != nil {
				t.Fatal(err)
			}
			return string(b.JSON)
		}
		w.st.Before(func(op faulty.Op, p store.Partition) error {
			if op == faulty.Swap && p.Table == store.Profile {
				return gone
			}
			return nil
		})
		if _, err := put("new"); !errors.Is(err, gone) {
			t.Fatalf("Put: %v", err)
		}
		if got := body(); got != "old" {
			t.Errorf("the body is %q although the head was not swapped", got)
		}
		w.st.Before(func(op faulty.Op, p store.Partition) error {
			if p.Table == store.History && op == faulty.Write {
				return gone
			}
			return nil
		})
		if r, err := put("newer"); err != nil || r.ID != id {
			t.Errorf("a write whose Swap has happened: %v, %v", r, err)
		}
		w.st.Before(nil)
		if s := w.covered("no record"); len(s.history[id]) != 1 {
			t.Fatalf("%d records, want the first alone", len(s.history[id]))
		}
		if r, err := put("newest"); err != nil || r.ID != id {
			t.Fatal(r, err)
		}
		if s := w.covered("afterwards"); len(s.history[id]) != 3 || body() != "newest" {
			t.Errorf("%d records, want 3; the body is %q", len(s.history[id]), body())
		}
		w.st.Before(func(op faulty.Op, p store.Partition) error {
			if p.Table == store.History && op == faulty.Write {
				return gone
			}
			return nil
		})
		if r, err := put("last"); err != nil || r.ID != id {
			t.Fatal(r, err)
		}
		w.st.Before(nil)
		w.complete()
		if s := w.exact("settled"); len(s.history[id]) != 4 {
			t.Errorf("%d records when all is settled, want 4", len(s.history[id]))
		}
	})
}

// Ground 4: a writer that is frozen anywhere, for however long, is neither missed nor seen late by who follows the feed: when it has been
// settled, either its change was there or it comes with a row that is settled later. Its clock may be wrong.
func TestFrozenWriterIsNotMissed(t *testing.T) {
	for _, off := range []time.Duration{0, -time.Hour, 9 * time.Second} {
		for calls := 1; calls <= 16; calls++ {
			frozen := 0
			some(t, calls, func(t *testing.T, w *world) {
				follower := &follower{w: w, shows: map[fold.ID]string{}}
				id := create(t, w, "a@x.de")
				w.complete()
				follower.follow()
				stall := w.st.Stall(faulty.Match(func(faulty.Call) bool { return true }).Nth(calls))
				a := start(func() (Result, error) {
					return w.writer(off).Change(context.Background(), name, "", id, set(Updated, value(email, "b@x.de")))
				})
				select {
				case <-stall.Arrived():
					frozen++
				case <-a.done: // it makes fewer calls
				}
				w.sleep(time.Hour)
				w.complete()
				follower.follow()
				follower.check("while it is frozen")
				stall.Release()
				a.wait(t)
				for range 3 {
					w.sleep(time.Hour)
					w.complete()
					follower.follow()
				}
				if got := follower.shows[id]; got != "b@x.de" {
					t.Errorf("the follower has %q", got)
				}
				follower.check("in the end")
				w.exact("in the end")
			})
			if frozen == 0 {
				break
			}
		}
	}
}

// follower keeps a copy of what profiles show, by the feed alone.
type follower struct {
	w     *world
	at    int64
	shows map[fold.ID]string
}

func (f *follower) follow() {
	f.w.t.Helper()
	feed := &change.Feed{Store: f.w.raw, Now: func() time.Time { return time.UnixMicro(f.w.at.Load()) }}
	settled, err := feed.Settled(f.w.t.Context(), inc)
	if err != nil {
		f.w.t.Fatal(err)
	}
	for row, err := range feed.Rows(f.w.t.Context(), inc, f.at, settled) {
		if err != nil {
			f.w.t.Fatal(err)
		}
		p, err := f.w.writerOn(f.w.raw, 0).read(f.w.t.Context(), f.w.record(), row.ID)
		if err != nil {
			f.w.t.Fatal(err)
		}
		f.shows[row.ID] = shownEmail(p)
	}
	f.at = settled
}

func shownEmail(p *Person) string {
	if !p.Visible() {
		return ""
	}
	return p.Profile.Get(email)
}

// check holds the copy to what there is: nothing is in flight that could change it without a row to come.
func (f *follower) check(when string) {
	f.w.t.Helper()
	for id, p := range f.w.state().persons {
		if got, want := f.shows[id], shownEmail(p); got != want {
			f.w.t.Errorf("%s: the follower has %q for %s, which shows %q", when, got, id, want)
		}
	}
}

// A write to a profile that was merged goes to the main one, and one that was begun before the merge starts over.
func TestWritesFollowMerges(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		main, other := create(t, w, "a@x.de"), create(t, w, "b@x.de")
		stall := w.st.Stall(headSwap(w, false))
		a := start(func() (Result, error) {
			return w.writer(0).Change(context.Background(), name, "", other, set(Updated, custom("a", "1")))
		})
		arrives(t, stall, a)
		if err := w.merge(main, other); err != nil {
			t.Fatal(err)
		}
		stall.Release()
		if r := a.wait(t); r.ID != main {
			t.Errorf("the write went to %s, the main profile is %s", r.ID, main)
		}
		r, err := w.writer(0).Put(t.Context(), name, "", object("o", orderKey("o"), emailKey("b@x.de")))
		if must(t, r, err); r.ID != main {
			t.Errorf("the object went to %s, the main profile is %s", r.ID, main)
		}
		w.complete()
		w.exact("settled")
	})
}

// A write that meets an open link has it settled first.
func TestOpenLinksAreSettled(t *testing.T) {
	w := newWorld(t, memStore(), true)
	id := create(t, w, "a@x.de")
	s := &fold.State{Merges: []fold.Merge{{ID: fold.NewMergeID(1, 1), Open: fold.Making, From: []fold.ID{{1}}}}}
	v, err := w.raw.Swap(t.Context(), profilePartition(inc, id), []store.Swap{{Key: stateKey, Value: s.Append(nil)}})
	if err != nil {
		t.Fatal(err)
	}
	node := w.writer(0)
	node.Settle = func(_ context.Context, _ *domain.Record, open fold.ID) error {
		if open != id {
			t.Errorf("%s is settled", open)
		}
		_, err := w.raw.Swap(t.Context(), profilePartition(inc, id), []store.Swap{{Key: stateKey, Op: store.Delete, Expect: v}})
		return err
	}
	r, err := node.Change(t.Context(), name, "", id, set(Updated, custom("a", "1")))
	must(t, r, err)
}

// Ground 1: rows of an attempt that has died may be later than the head that stands: a writer whose clock is slower has swapped it since.
// They go all the same.
func TestRowsLaterThanTheHead(t *testing.T) {
	gone := errors.New("the process died")
	each(t, func(t *testing.T, w *world) {
		id := create(t, w, "a@x.de")
		r, err := w.writerOn(w.raw, 0).Put(t.Context(), name, "", object("o", orderKey("o"), emailKey("a@x.de")))
		must(t, r, err)
		fast := w.writer(9 * time.Second)
		stall := w.st.Stall(headSwap(w, false))
		a := start(func() (Result, error) {
			return fast.Change(context.Background(), name, "", id, set(Updated, value(email, "b@x.de")))
		})
		arrives(t, stall, a)
		r, err = w.writerOn(w.raw, 0).Change(t.Context(), name, "", id, set(Updated, custom("a", "1")))
		must(t, r, err)
		w.st.Before(func(faulty.Op, store.Partition) error { return gone })
		stall.Release()
		if <-a.done; !errors.Is(a.err, gone) && !errors.Is(a.err, errAgain) {
			t.Fatalf("the write ended with %v, %v", a.result, a.err)
		}
		w.st.Before(nil)
		w.complete()
		w.sleep(change.Later)
		w.complete()
		w.exact("settled")
	})
}

// Ground 2: two attempts at one object that take the same time do not share a body.
func TestAttemptsOfOneTime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if !w.st.Apart {
			return // a Commit that conflicts writes nothing
		}
		put := func(node *Writer, text string) func() (Result, error) {
			return func() (Result, error) {
				o := object("o", orderKey("o"))
				o.JSON = []byte(text)
				return node.Put(context.Background(), name, "", o)
			}
		}
		first := start(put(w.writerOn(w.raw, 0), "first")).wait(t)
		w.job.Store(w.at.Load() + time.Hour.Microseconds()) // times follow each other, clocks don't matter
		body := w.st.Stall(faulty.On(faulty.Write, store.Body))
		swap := w.st.Stall(headSwap(w, false))
		a := start(put(w.writer(0), "slow"))
		arrives(t, body, a)
		b := start(put(w.writerOn(w.raw, 0), "fast")).wait(t)
		body.Release()
		arrives(t, swap, a)
		s := w.covered("both bodies are written")
		o := s.heads[first.ID].Objects[0]
		row, err := w.raw.Get(t.Context(), bodyPartition(inc, first.ID), BodyKey(o))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeBody(row.Value); err != nil || string(got.JSON) != "fast" || o.Time != b.Time {
			t.Errorf("the head of %q has the body %q, %v", "fast", got.JSON, err)
		}
		swap.Release()
		a.wait(t)
		w.complete()
		w.exact("settled")
	})
}

// What a member of a profile that has been deleted has left undone is settled, too.
func TestMemberOfADeletedProfile(t *testing.T) {
	w := newWorld(t, memStore(), true)
	main, other := create(t, w, "a@x.de"), create(t, w, "b@x.de")
	if err := w.merge(main, other); err != nil {
		t.Fatal(err)
	}
	row, err := w.raw.Get(t.Context(), profilePartition(inc, main), stateKey)
	if err != nil {
		t.Fatal(err)
	}
	deleted := fold.State{Deleted: &fold.Deletion{At: 1}}
	if _, err := w.raw.Swap(t.Context(), profilePartition(inc, main), []store.Swap{{Key: stateKey, Value: deleted.Append(nil), Expect: row.Version}}); err != nil {
		t.Fatal(err)
	}
	w.complete()
	if r, err := w.writer(0).Change(t.Context(), name, "", other, set(Updated, custom("a", "1"))); err == nil {
		t.Errorf("a profile that was deleted was changed: %v", r)
	}
}

// A merge that is taken back while its person is read does not leave the member to it.
func TestPersonsAreReadWhole(t *testing.T) {
	w := newWorld(t, memStore(), true)
	main, other := create(t, w, "a@x.de"), create(t, w, "b@x.de")
	if err := w.merge(main, other); err != nil {
		t.Fatal(err)
	}
	stall := w.st.Stall(faulty.On(faulty.Probe, store.Profile).Nth(2)) // main has been read, members have not
	var p *Person
	a := start(func() (r Result, err error) {
		p, err = w.writer(0).read(context.Background(), w.record(), main)
		return r, err
	})
	arrives(t, stall, a)
	for _, id := range []fold.ID{main, other} {
		row, err := w.raw.Get(t.Context(), profilePartition(inc, id), stateKey)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.raw.Swap(t.Context(), profilePartition(inc, id), []store.Swap{{Key: stateKey, Op: store.Delete, Expect: row.Version}}); err != nil {
			t.Fatal(err)
		}
	}
	stall.Release()
	a.wait(t)
	if p.ID() != main || len(p.all) != 1 {
		t.Errorf("the person has %d profiles although the merge was taken back", len(p.all))
	}
}
