package e2e

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"kith/api"
	"kith/schema"
	"kith/store"
	"kith/upload"
)

// looks calls do before the nth look of whoever reads profiles; 0: never.
type looks struct {
	store.Store
	n  atomic.Int64
	do func()
}

func (s *looks) Probe(ctx context.Context, t store.Table, inc store.Incarnation, probes iter.Seq[store.Probe]) iter.Seq2[store.Hit, error] {
	if t == store.Profile && s.n.Add(-1) == 0 {
		s.do()
	}
	return s.Store.Probe(ctx, t, inc, probes)
}

// AsStager implements what store.StagerOf asks for.
func (s *looks) AsStager() store.Stager { return store.StagerOf(s.Store) }

// An import reads the profiles that its keys lead to one after another. Persons of several profiles that have one key are merged into others meanwhile,
// at any moment: they stay one person, and no row is rejected.
func TestPersonsAreMergedWhileKeysAreResolved(t *testing.T) {
	t.Parallel()
	const customers, others = 80, 1000
	onAllEngines(t, func(t *testing.T, engine store.Store) {
		st := &looks{Store: engine}
		r := newRig(t, st, upload.Config{})
		for n := int64(1); n <= 8; n++ {
			d := fmt.Sprint("d", n)
			r.domain(d)
			row := func(id int) string { return fmt.Sprintf("%d,F%d,L,m%d@x.com,1\n", id, id, id) }
			var first, again strings.Builder
			for _, f := range []*strings.Builder{&first, &again} {
				f.WriteString("id,first,last,mail,tier\n")
			}
			for c := range customers {
				first.WriteString(row(c))
				first.WriteString(row(others + c))
				again.WriteString(row(others + c))
			}
			first.WriteString(row(2 * others))
			r.expect(r.run(d, undoSpec, first.String()), fmt.Sprintf("SUCCEEDED %d/0/0", 2*customers+1))
			var mains []string
			for c := range customers { // each two are one person, and both have the key of one of them
				main, other := r.id(d, fmt.Sprint(c)), r.id(d, fmt.Sprint(others+c))
				_, err := r.Profiles.AddProfileKey(ctx, &api.AddProfileKeyRequest{DomainName: &d, ProfileId: &main, KeyName: api.Ptr(schema.KeyAccount), Values: []string{fmt.Sprint(others + c)}})
				if err == nil {
					err = r.tryMerge(d, nil, main, other)
				}
				if err != nil {
					t.Fatal(err)
				}
				mains = append(mains, main)
			}
			into := r.id(d, fmt.Sprint(2*others))
			st.do = func() {
				for some := range slices.Chunk(mains, 20) {
					if err := r.tryMerge(d, nil, into, some...); err != nil {
						t.Error(err)
					}
				}
			}
			st.n.Store(n)
			r.expect(r.run(d, undoSpec, again.String()), fmt.Sprintf("SUCCEEDED 0/%d/0", customers))
			if st.n.Load() > 0 && n == 1 {
				t.Fatal("no profile was looked at")
			}
		}
	})
}
