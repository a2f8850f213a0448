package profile

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"kith/api"
	"kith/profile/change"
	"kith/store/pebble"
)

// shopObject is an object of about 1 KB.
func shopObject(n, person int) string {
	return fmt.Sprintf(`{"id":"%d","email":"p%d@example.com","first":"Ann","tier":"gold","more":"%01000d"}`, n, person, n)
}

// onDisk is a node on the embedded engine.
func onDisk(b *testing.B) *Service {
	st, err := pebble.Open(b.TempDir(), pebble.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	w := newShop(b, st)
	w.Writer.Lookup, w.Feed.Local = w.Domains.Lookup, &change.Local{} // as a node does
	return w.Service
}

// How many objects a second 64 callers put durably, in batches of ten and one by one.
func BenchmarkPutObjects(b *testing.B) {
	const callers = 64
	for _, c := range []struct {
		name    string
		batch   int
		persons int // of the objects; 0: one each
	}{{"batches, a profile each", 10, 0}, {"batches, 20 a profile", 10, 20}, {"one by one, a profile each", 1, 0}} {
		b.Run(c.name, func(b *testing.B) {
			s := onDisk(b)
			var wg sync.WaitGroup
			b.ResetTimer()
			for caller := range callers {
				wg.Go(func() {
					for n := caller; n*c.batch < b.N; n += callers {
						var items []api.BatchPutProfileObjectRequestItem
						for i := range c.batch {
							at := n*c.batch + i
							person := at
							if c.persons > 0 {
								person = at / c.persons
							}
							items = append(items, api.BatchPutProfileObjectRequestItem{Id: api.Ptr(fmt.Sprint("i", i)), Object: api.Ptr(shopObject(at, person))})
						}
						var err error
						if c.batch == 1 {
							_, err = s.PutProfileObject(context.Background(), &api.PutProfileObjectRequest{DomainName: api.Ptr("d"), ObjectTypeName: api.Ptr("Shop"), Object: items[0].Object})
						} else {
							_, err = s.BatchPutProfileObject(context.Background(), &api.BatchPutProfileObjectRequest{DomainName: api.Ptr("d"), ObjectTypeName: api.Ptr("Shop"), Items: items})
						}
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
		})
	}
}

// What a put costs when its profile has many objects already.
func BenchmarkPutToFullProfile(b *testing.B) {
	for _, objects := range []int{1, 100, 999} {
		b.Run(fmt.Sprint(objects, " objects"), func(b *testing.B) {
			s := onDisk(b)
			put := func(n int) {
				if _, err := s.PutProfileObject(context.Background(), &api.PutProfileObjectRequest{DomainName: api.Ptr("d"), ObjectTypeName: api.Ptr("Shop"), Object: api.Ptr(shopObject(n, 0))}); err != nil {
					b.Fatal(err)
				}
			}
			for n := range objects {
				put(n)
			}
			var took []time.Duration
			b.ResetTimer()
			for i := range b.N {
				start := time.Now()
				put(i % objects)
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
