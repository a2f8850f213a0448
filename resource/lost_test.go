package resource_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"kith/fault"
	"kith/resource"
	"kith/store"
	"kith/store/faulty"
)

// lose loses the answer of the n-th Swap of records from now on, one that has happened or one that has not. meanwhile is what others do before
// anybody hears of it.
func (r *rig) lose(n int, happened bool, meanwhile func()) {
	hook := func(op faulty.Op, p store.Partition) error {
		if op != faulty.Swap || !strings.HasPrefix(p.Key, "k/") {
			return nil
		}
		if n--; n != 0 {
			return nil
		}
		meanwhile()
		return store.ErrUnknown
	}
	r.store.Before(nil)
	r.store.After(nil)
	if happened {
		r.store.After(hook)
	} else {
		r.store.Before(hook)
	}
}

// A call whose answer is lost finds out what became of it: it has its effect once, and says so.
func TestResourceLostAnswers(t *testing.T) {
	onAllEngines(t, func(t *testing.T, r *rig) {
		record := func(name string) string {
			rec, err := things.Get(ctx, r.Scope, name)
			if errors.Is(err, fault.NotFound) {
				return "none"
			}
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("%d at %d, default %t, tags %v", rec.Data.N, rec.Revision, rec.Default, rec.Tags)
		}
		set := func(n int) func(*resource.Record[thing]) error {
			return func(rec *resource.Record[thing]) error {
				rec.Data.N = n
				return nil
			}
		}
		mine := func() (*resource.Record[thing], error) { return things.Update(ctx, r.Scope, "a", set(2)) }
		others := func(n int) func() {
			return func() { must[*resource.Record[thing]](t)(things.Update(ctx, r.Scope, "a", set(n))) }
		}
		create := func() error {
			_, err := things.Create(ctx, r.Scope, "a", set(1))
			return err
		}
		tag := func() error {
			return resource.ChangeTags(ctx, r.Scope, "things", "a", func(tags map[string]string) error {
				tags["k"] = "v"
				return nil
			})
		}
		remove := func() error { return things.Delete(ctx, r.Scope, "a", nil) }
		nothing := func() {}
		for _, c := range []struct {
			what                string
			there               bool // the record, with 1 at revision 1
			nth                 int  // Swap that is lost, if not the first
			call                func() error
			meanwhile           func()
			happened, otherwise string
		}{
			{"create", false, 0, create, nothing, "1 at 1, default false, tags map[]", ""},
			{"create, and another changes it", false, 0, create, func() {
				_, err := things.Update(ctx, r.Scope, "a", set(3))
				if err != nil && !errors.Is(err, fault.NotFound) {
					t.Error(err)
				}
			}, "3 at 2, default false, tags map[]", "1 at 1, default false, tags map[]"},
			{"update", true, 0, func() error { _, err := mine(); return err }, nothing, "2 at 2, default false, tags map[]", ""},
			{"update, and another changes it", true, 0, func() error { _, err := mine(); return err }, others(3), "3 at 3, default false, tags map[]", "2 at 3, default false, tags map[]"},
			{"update, and another tags it", true, 0, func() error { _, err := mine(); return err }, func() {
				if err := tag(); err != nil {
					t.Error(err)
				}
			}, "2 at 2, default false, tags map[k:v]", ""},
			{"update, and another is the default now", true, 0, func() error {
				_, err := things.Update(ctx, r.Scope, "a", func(rec *resource.Record[thing]) error { rec.Default = true; return nil })
				return err
			}, func() {
				must[*resource.Record[thing]](t)(things.Put(ctx, r.Scope, "b", func(rec *resource.Record[thing]) error { rec.Default = true; return nil }))
			}, "1 at 2, default false, tags map[]", "1 at 2, default true, tags map[]"},
			{"tag", true, 0, tag, nothing, "1 at 1, default false, tags map[k:v]", ""},
			{"delete", true, 0, remove, nothing, "none", ""},
			{"delete, and another creates it", true, 0, remove, func() {
				_, err := things.Create(ctx, r.Scope, "a", set(4))
				if err != nil && !errors.Is(err, fault.BadRequest) {
					t.Error(err)
				}
			}, "4 at 1, default false, tags map[]", "none"},
			{"delete, and another deletes it", true, 0, remove, func() {
				if err := remove(); err != nil && !errors.Is(err, fault.NotFound) {
					t.Error(err)
				}
			}, "none", ""},
			{"the beginning of a text", true, 0, func() error {
				_, err := things.Update(ctx, r.Scope, "a", fill(2, true))
				return err
			}, nothing, "2 at 2, default false, tags map[]", ""},
			{"a text", true, 2, func() error {
				_, err := things.Update(ctx, r.Scope, "a", fill(2, true))
				return err
			}, nothing, "2 at 2, default false, tags map[]", ""},
		} {
			for _, happened := range []bool{true, false} {
				r.store.Before(nil)
				r.store.After(nil)
				for _, name := range []string{"a", "b"} {
					if err := things.Delete(ctx, r.Scope, name, nil); err != nil && !errors.Is(err, fault.NotFound) {
						t.Fatal(err)
					}
				}
				if c.there {
					must[*resource.Record[thing]](t)(things.Create(ctx, r.Scope, "a", set(1)))
				}
				want := c.happened
				if !happened && c.otherwise != "" {
					want = c.otherwise
				}
				r.lose(max(c.nth, 1), happened, c.meanwhile)
				if err := c.call(); err != nil || record("a") != want {
					t.Errorf("%s, happened %t: %v, and there is %s, want %s", c.what, happened, err, record("a"), want)
				}
				r.store.Before(nil)
				r.store.After(nil)
				r.whole(t)
			}
		}
	})
}

// A refusal after a lost answer is told where it can't be wrong any more; else the answer is lost.
func TestResourceRefusalsAfterLostAnswers(t *testing.T) {
	onAllEngines(t, func(t *testing.T, r *rig) {
		one := resource.Kind[thing]{Name: "ones", Title: "Thing", Max: 1}
		r.lose(1, false, func() { must[*resource.Record[thing]](t)(one.Create(ctx, r.Scope, "b", fill(1, false))) })
		if _, err := one.Create(ctx, r.Scope, "a", fill(1, false)); !errors.Is(err, fault.BadRequest) {
			t.Errorf("somebody else was faster: %v", err)
		}
		r.lose(1, false, func() { must[*resource.Record[thing]](t)(things.Create(ctx, r.Scope, "a", fill(1, false))) })
		if _, err := things.Create(ctx, r.Scope, "a", fill(2, false)); !errors.Is(err, fault.BadRequest) {
			t.Errorf("somebody else has the name: %v", err)
		}
		refuse := false
		r.lose(1, false, func() { refuse = true })
		if _, err := things.Update(ctx, r.Scope, "a", func(*resource.Record[thing]) error {
			if refuse {
				return fault.BadRequestf("no more")
			}
			return nil
		}); !errors.Is(err, store.ErrUnknown) {
			t.Errorf("the first attempt may yet happen: %v", err)
		}
		refuse = false
		r.lose(1, false, func() { refuse = true })
		if err := things.Delete(ctx, r.Scope, "a", func(*resource.Record[thing]) error {
			if refuse {
				return fault.BadRequestf("no more")
			}
			return nil
		}); !errors.Is(err, store.ErrUnknown) {
			t.Errorf("the deletion may yet happen: %v", err)
		}
	})
}
