package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"kith/api"
	"kith/blob/disk"
	"kith/domain"
	"kith/node"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/schema"
	"kith/store/pebble"
)

// ground measures what the API stands on, without HTTP: a node in this process, on Pebble in a fresh folder. Beside the time on the
// clock it shows the processor time of the process, of all cores, which says more when the machine does other work.
func (b *bench) ground() error {
	dir, err := os.MkdirTemp(b.dir, "ground-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	st, err := pebble.Open(filepath.Join(dir, "store"), pebble.Options{})
	if err != nil {
		return err
	}
	blobs, err := disk.Open(filepath.Join(dir, "blob"))
	if err != nil {
		return errors.Join(err, st.Close())
	}
	defer blobs.Close()
	g := &ground{bench: b, store: st, ctx: context.Background()}
	g.start = func() (err error) {
		g.Node, err = node.Start(node.Config{Store: st, Blobs: blobs, Master: make([]byte, 32), Owner: "bench",
			Objects: write.Quotas{Objects: 10 * objectsOfMany, Bytes: 1 << 30}, // of what is merged
			Log:     slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		return err
	}
	for _, part := range []func() error{g.objects, g.imports} {
		if err = part(); err != nil {
			break
		}
	}
	return errors.Join(err, st.Close())
}

type ground struct {
	*bench
	ctx   context.Context
	store *pebble.Store
	start func() error // a Node on the store
	*node.Node
}

// spent is what something took: on the clock, and of processors.
type spent struct{ wall, cpu time.Duration }

func (s spent) String() string { return fmt.Sprintf("%s, CPU %s", short(s.wall), short(s.cpu)) }

// short rounds to three digits or so.
func short(d time.Duration) string {
	for unit := time.Duration(1); ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
}

func (s spent) by(n int) spent { return spent{s.wall / time.Duration(n), s.cpu / time.Duration(n)} }

// spend measures what do spends.
func spend(do func() error) (spent, error) {
	var before, after syscall.Rusage
	start := time.Now()
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		return spent{}, err
	}
	err := do()
	wall := time.Since(start)
	err = errors.Join(err, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
	return spent{wall, time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())}, err
}

func medianSpent(all []spent) spent {
	of := func(get func(spent) time.Duration) time.Duration {
		var v []float64
		for _, s := range all {
			v = append(v, float64(get(s)))
		}
		return time.Duration(median(v))
	}
	return spent{of(func(s spent) time.Duration { return s.wall }), of(func(s spent) time.Duration { return s.cpu })}
}

// often measures what one call of do spends: the median of rounds of half a second each.
func (g *ground) often(do func() error) (spent, error) {
	once, err := spend(do) // the first one warms caches up
	if err != nil {
		return spent{}, err
	}
	n := max(1, int(500*time.Millisecond/max(once.wall, 1)))
	var all []spent
	for range max(5, g.rounds) {
		runtime.GC()
		s, err := spend(func() error {
			for range n {
				if err := do(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return spent{}, err
		}
		all = append(all, s.by(n))
	}
	return medianSpent(all), nil
}

const (
	groundDomain  = "ground"
	objectsOfMany = 1000
	searched      = 20 // profiles that a search finds
	ownKeys       = 97 // distinct keys of a profile's objects, beside the three that all of them have
)

// objects measures profiles made of objects that were put through the API's writer: loads, searches, merges.
func (g *ground) objects() error {
	if err := g.start(); err != nil {
		return err
	}
	ids, err := g.putAll()
	g.Stop() // the completer has enough to do; nobody else shall be measured
	if err != nil {
		return err
	}
	rec, err := g.Domains.Lookup(g.ctx, groundDomain)
	if err != nil {
		return err
	}
	for _, n := range []int{1, 8, 100, objectsOfMany} {
		id := ids[n][0]
		s, err := g.often(func() error {
			p, err := g.Profiles.Load(g.ctx, rec.Incarnation, id)
			if err == nil && p == nil {
				err = fmt.Errorf("there is no profile %s", id)
			}
			return err
		})
		if err != nil {
			return err
		}
		g.add(fmt.Sprintf("load of a profile of %d objects", n), s.String(), "", "", map[int]string{objectsOfMany: "60 µs"}[n])
	}
	for _, n := range []int{1, objectsOfMany} {
		in := &api.SearchProfilesRequest{DomainName: api.Ptr(groundDomain), KeyName: api.Ptr("group"), Values: []string{fmt.Sprint("of ", n)}, MaxResults: api.Ptr(int32(searched))}
		s, err := g.often(func() error {
			out, err := g.Profiles.SearchProfiles(g.ctx, in)
			if err == nil && len(out.Items) != searched {
				err = fmt.Errorf("%d profiles are found, not %d", len(out.Items), searched)
			}
			return err
		})
		if err != nil {
			return err
		}
		g.add(fmt.Sprintf("search that finds %d profiles of %d objects each", searched, n), s.String(), "", "", "")
	}
	return g.merges(rec, ids[objectsOfMany][:4])
}

// putAll makes profiles of 1, 8, 100 and 1,000 objects each, several at once.
func (g *ground) putAll() (map[int][]fold.ID, error) {
	if _, err := g.Domains.CreateDomain(g.ctx, &api.CreateDomainRequest{DomainName: api.Ptr(groundDomain), DefaultExpirationDays: api.Ptr(int32(366))}); err != nil {
		return nil, err
	}
	ids := map[int][]fold.ID{}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for n, profiles := range map[int]int{1: searched, 8: 1, 100: 1, objectsOfMany: searched} {
		for p := range profiles {
			wg.Go(func() {
				var r write.Result
				var err error
				for i := 0; i < n && err == nil; i++ {
					r, err = g.Writer.Put(g.ctx, groundDomain, "bench", groundObject(n, p, i))
				}
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
				ids[n] = append(ids[n], r.ID)
			})
		}
	}
	wg.Wait()
	return ids, failed
}

// groundObject is an object of the p-th profile with n objects: an order with 20 values of the profile.
func groundObject(n, p, i int) *write.Object {
	who := index.Key{Name: schema.KeyEmail, Value: fmt.Sprintf("%d.%d@example.com", n, p)}
	o := &write.Object{Type: "Order", Incarnation: 1, UniqueKey: fmt.Sprint(n, p, i), JSON: fmt.Appendf(nil, `{"OrderId":"%d","Email":%q}`, i, who.Value),
		Life: 365 * 24 * time.Hour, Match: []index.Key{who}, Create: true,
		Keys: []index.Key{who, {Name: "group", Value: fmt.Sprint("of ", n)}, {Name: "article", Value: fmt.Sprint(p, " ", i%ownKeys)}}}
	o.Values = append(o.Values, fold.Value{Attr: schema.Attr{ID: schema.EmailAddress}, Text: who.Value})
	for a := range uint16(19) {
		o.Values = append(o.Values, fold.Value{Attr: schema.Attr{ID: schema.Address + a}, Text: fmt.Sprint("value ", i)})
	}
	return o
}

// merges measures MergeProfiles of four profiles, and its way back.
func (g *ground) merges(rec *domain.Record, ids []fold.ID) error {
	in := &api.MergeProfilesRequest{DomainName: &rec.Name, MainProfileId: api.Ptr(ids[0].String())}
	for _, id := range ids[1:] {
		in.ProfileIdsToBeMerged = append(in.ProfileIdsToBeMerged, id.String())
	}
	var merged, unmerged []spent
	for range max(7, g.rounds) {
		s, err := spend(func() error {
			_, err := g.Profiles.MergeProfiles(g.ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		people, err := g.Profiles.People(g.ctx, rec.Incarnation, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if people[id] == nil || people[id].ID != ids[0] {
				return errors.New("a merge does not hold")
			}
		}
		merged = append(merged, s)
		if s, err = spend(func() error { return g.Profiles.Unmerge(g.ctx, rec, people[ids[0]].State.Merges[0].ID) }); err != nil {
			return err
		}
		unmerged = append(unmerged, s)
	}
	what := fmt.Sprintf("%d profiles of %d objects each, %d distinct keys", len(ids), objectsOfMany, ownKeys+2)
	g.add("merge of "+what, medianSpent(merged).String(), "", "", "50 ms")
	g.add("the same taken back", medianSpent(unmerged).String(), "", "", "")
	return nil
}
