package cql

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"sync"

	"kith/store"
)

// probes is how many probes are asked ahead.
const probes = 256

// Probe implements store.Store: the first page of many probes is asked for side by side, and the answers are put back in order.
func (s *Store) Probe(ctx context.Context, t store.Table, inc store.Incarnation, asked iter.Seq[store.Probe]) iter.Seq2[store.Hit, error] {
	return func(yield func(store.Hit, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var asking sync.WaitGroup
		defer asking.Wait() // the caller may use again what its probes are made of
		defer cancel()
		type answer struct {
			p    store.Partition
			r    store.Range
			page page
			err  error
			done chan struct{}
		}
		queue := make(chan *answer, probes)
		asking.Go(func() {
			defer close(queue)
			var last store.Probe
			i := 0
			for pr := range asked {
				a := &answer{p: store.Partition{Table: t, Incarnation: inc, Key: pr.Partition}, r: pr.Range, done: make(chan struct{})}
				if i > 0 && (pr.Partition < last.Partition || pr.Partition == last.Partition && string(pr.Range.Start) < string(last.Range.Start)) {
					a.err = fmt.Errorf("probe %d: %w", i, store.ErrOrder)
					close(a.done)
				} else {
					first := pageRows
					if pr.Range.Limit > 0 {
						first = min(first, pr.Range.Limit)
					}
					// The caller may use the bytes of its probe again.
					a.r.Start, a.r.End = bytes.Clone(a.r.Start), bytes.Clone(a.r.End)
					go func() {
						defer close(a.done)
						if a.r.End == nil || string(a.r.Start) < string(a.r.End) {
							a.page, a.err = s.fetch(ctx, placeOf(a.p), a.r.Start, a.r.End, first)
						}
					}()
				}
				last = store.Probe{Partition: pr.Partition, Range: a.r}
				i++
				select {
				case queue <- a:
				case <-ctx.Done():
					return
				}
				if a.err != nil {
					return
				}
			}
		})
		i := 0
		for a := range queue {
			<-a.done
			for row, err := range s.rest(ctx, a.p, a.r, a.page, a.err) {
				if !yield(store.Hit{Index: i, Row: row}, err) || err != nil {
					return
				}
			}
			i++
		}
		if err := ctx.Err(); err != nil {
			yield(store.Hit{}, err)
		}
	}
}
