package deadletter

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"kith/store"
	"kith/store/faulty"
)

func (w *world) keepObject(key, object string) {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	if err := w.Keep(w.t.Context(), w.rec, Letter{ObjectType: "contact", Reason: "The profile is full.", Object: object, UniqueKey: key}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) notesLeft() (n int) {
	for _, err := range w.store.Scan(w.t.Context(), notes(w.rec), store.Range{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		n++
	}
	return n
}

// An object that is put again and again in vain has one letter, with what was put last.
func TestOneLetterAnObject(t *testing.T) {
	w := newWorld(t, Config{})
	w.useQueue("https://queue")
	q := &fakeQueue{}
	if err := w.sendAll(q); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.keepObject("1", "a")
		w.keepObject("2", "x")
	}
	w.want("a", "x")
	if err := w.sendAll(q); err != nil || len(q.got) != 2 {
		t.Errorf("%d messages of two objects, %v", len(q.got), err)
	}
	w.keepObject("1", "b")
	w.want("x", "b")
	if err := w.sendAll(q); err != nil || len(q.got) != 3 {
		t.Errorf("%d messages after one of two objects has changed, %v", len(q.got), err)
	}
	w.now = w.now.Add(time.Second)
	if err := w.Keep(t.Context(), w.rec, Letter{ObjectType: "order", Reason: "The profile is full.", Object: "c", UniqueKey: "1"}); err != nil {
		t.Fatal(err)
	}
	w.want("x", "b", "c")
	if n := w.rowsLeft(); n != 7 { // one is to be sent
		t.Errorf("%d rows for 3 letters", n)
	}
	// One that says the same is kept as long as one that is new, but for a day.
	w.now = w.now.Add(30 * time.Hour)
	w.keepObject("1", "b")
	w.want("x", "c", "b")
	w.now = w.now.Add(DefaultKeep - 3*time.Hour)
	w.want("b")
	w.now = w.now.Add(day)
	if err := w.CleanUp(t.Context(), w.rec); err != nil || w.rowsLeft() != 0 || w.notesLeft() != 0 {
		t.Errorf("%d rows of letters and %d of their objects are left, %v", w.rowsLeft(), w.notesLeft(), err)
	}
}

// Rows that say which letter is an object's do not outnumber the letters that there is room for.
func TestNotesAreBounded(t *testing.T) {
	w := newWorld(t, Config{MaxLetters: 32})
	for i := range 200 {
		w.keepObject(fmt.Sprint(i), "a")
		if n := w.notesLeft(); n > 32+2 {
			t.Fatalf("%d rows of objects where there is room for 32 letters", n)
		}
	}
}

// Whatever fails while a letter is kept, or takes the place of another, or has its answer lost, the object has a letter, and in the end one: at once where the store commits
// as a whole, else perhaps one too many.
func TestReplacingIsCutOff(t *testing.T) {
	for _, apart := range []bool{false, true} {
		for _, first := range []bool{false, true} {
			t.Run(fmt.Sprintf("apart %t, first %t", apart, first), func(t *testing.T) { replacingIsCutOff(t, apart, first) })
		}
	}
}

func replacingIsCutOff(t *testing.T, apart, first bool) {
	most := 1
	if apart {
		most = 2
	}
	for fail := 1; ; fail++ {
		for _, lost := range []bool{false, true} {
			w := newWorld(t, Config{})
			w.store.Apart = apart
			if !first {
				w.keepObject("1", "old")
			}
			n := 0
			hook := func(faulty.Op, store.Partition) error {
				if n++; n != fail {
					return nil
				}
				return store.ErrUnknown
			}
			if set := w.store.Before; lost {
				w.store.After(hook)
			} else {
				set(hook)
			}
			err := w.Keep(t.Context(), w.rec, Letter{At: w.now.UnixMicro() + 1, ObjectType: "contact", Reason: "The profile is full.", Object: "new", UniqueKey: "1"})
			w.store.Before(nil)
			w.store.After(nil)
			got, _ := w.list("", 10)
			if len(got) == 0 && !first || len(got) > most || err == nil && !slices.Equal(got, []string{"new"}) {
				t.Fatalf("call %d, answer lost %t: the letters are %q, %v", fail, lost, got, err)
			}
			w.keepObject("1", "newest")
			if got, _ := w.list("", 10); got[len(got)-1] != "newest" || len(got) > most {
				t.Fatalf("call %d, answer lost %t: the letters are %q", fail, lost, got)
			}
			if !lost && n < fail {
				return
			}
		}
	}
}

// Of calls that bring the same object side by side the latest letter stays.
func TestOneLetterInParallel(t *testing.T) {
	for _, apart := range []bool{false, true} {
		t.Run(fmt.Sprintf("apart %t", apart), func(t *testing.T) { oneLetterInParallel(t, apart) })
	}
}

func oneLetterInParallel(t *testing.T, apart bool) {
	w := newWorld(t, Config{})
	w.store.Apart = apart
	done := make(chan error)
	for i := range 16 {
		go func() {
			l := Letter{At: w.now.UnixMicro() + int64(i), ObjectType: "contact", Reason: "The profile is full.", Object: fmt.Sprint(i), UniqueKey: "1"}
			done <- w.Keep(context.Background(), w.rec, l)
		}()
	}
	for range 16 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	w.want("15")
}
