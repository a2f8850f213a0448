package catalog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"kith/domain"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/write"
	"kith/schema"
	"kith/store"
)

// errEnough ends a pass that has seen as much as it was to see.
var errEnough = errors.New("enough was seen")

// bounded is a store that gives out so many rows of sweeps, and so many bytes of them, and then errEnough.
type bounded struct {
	store.Store
	rows, bytes int
}

// Sweep implements store.Store.
func (b *bounded) Sweep(ctx context.Context, r store.SweepRange) iter.Seq2[store.SweepRow, error] {
	return func(yield func(store.SweepRow, error) bool) {
		for row, err := range b.Store.Sweep(ctx, r) {
			b.rows--
			if b.bytes -= len(row.Row.Key) + len(row.Row.Value); err == nil && (b.rows < 0 || b.bytes < 0) {
				err = errEnough
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// pass is a way through the objects of a domain.
type pass struct {
	s     *Service
	store store.Store
	rec   *domain.Record
	now   int64
	// alive are the incarnations of the types that are looked at, standard those of standard objects.
	alive    map[string]uint64
	standard map[string]bool
	add      func(name of, text string, at int64) error

	batch []candidate
	size  int
}

// candidate is a body that counts if the head of its profile lists it.
type candidate struct {
	owner fold.ID
	key   string
	body  *write.Body
}

const (
	// batchSize and batchBytes bound the bodies that wait for their heads; those of one profile stay together.
	batchSize  = 512
	batchBytes = 8 << 20
)

// run reads all bodies.
func (p *pass) run(ctx context.Context) error {
	var last fold.ID
	for row, err := range p.store.Sweep(ctx, store.SweepRange{Table: store.Body, Incarnation: p.rec.Incarnation}) {
		if err != nil {
			return errors.Join(p.flush(ctx), err) // what was met so far counts when it was enough
		}
		var owner fold.ID
		copy(owner[:], row.Partition.Key)
		if owner != last && (len(p.batch) >= batchSize || p.size >= batchBytes) {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
		last = owner
		if err := p.take(owner, row.Row); err != nil {
			return err
		}
	}
	return p.flush(ctx)
}

// take puts a body into the batch if it may say something that is looked for.
func (p *pass) take(owner fold.ID, row store.Row) error {
	name, rest, ok := bytes.Cut(row.Key, []byte{0})
	if !ok || len(rest) < 8 {
		return fmt.Errorf("%w: the key of a body", fold.ErrCorrupt)
	}
	incarnation, wanted := p.alive[string(name)]
	wanted = wanted && incarnation == binary.BigEndian.Uint64(rest)
	if !wanted && len(p.standard) == 0 {
		return nil
	}
	body, err := write.DecodeBody(bytes.Clone(row.Value))
	if err != nil {
		return err
	}
	if !wanted {
		body.JSON = nil
	}
	body.Standard = slices.DeleteFunc(body.Standard, func(s write.Standard) bool { return !p.standard[s.Type] })
	if body.JSON == nil && len(body.Standard) == 0 {
		return nil
	}
	body.Values, body.Keys = nil, nil
	p.batch = append(p.batch, candidate{owner, string(row.Key), body})
	p.size += len(row.Value)
	return nil
}

// flush reads the heads of the batch's profiles, and takes in the bodies that they list.
func (p *pass) flush(ctx context.Context) error {
	listed, err := p.listed(ctx)
	if err != nil {
		return err
	}
	standards := map[[2]string][]fold.Value{} // by type and id; the ids of two profiles are never the same
	for i := range p.batch {
		c := &p.batch[i]
		o, ok := listed[place{c.owner, c.key}]
		if !ok {
			continue
		}
		if c.body.JSON != nil {
			if err := leaves(c.body.JSON, func(path, text string) error { return p.add(of{o.Type, path}, text, o.Time) }); err != nil {
				return err
			}
		}
		for _, s := range c.body.Standard {
			id := [2]string{s.Type, s.ID}
			for _, v := range s.Values {
				if v.Expires > p.now {
					standards[id] = append(standards[id], v)
				}
			}
		}
	}
	p.batch, p.size = p.batch[:0], 0
	for id, values := range standards {
		for _, v := range fold.Fold(values) {
			if err := p.addStandard(id[0], v); err != nil {
				return err
			}
		}
	}
	return nil
}

// addStandard takes in a value of a standard object. One whose path has "[]" is a list.
func (p *pass) addStandard(objectType string, v fold.Value) error {
	name := of{objectType, strings.ReplaceAll(v.Attr.Custom, "[]", "")}
	if name.path == v.Attr.Custom {
		return p.add(name, v.Text, v.Stamp.Time)
	}
	var list []string
	if err := json.Unmarshal([]byte(v.Text), &list); err != nil {
		return fmt.Errorf("%w: a list of a standard object", fold.ErrCorrupt)
	}
	for _, text := range list {
		if text != "" {
			if err := p.add(name, text, v.Stamp.Time); err != nil {
				return err
			}
		}
	}
	return nil
}

// place is where a body is.
type place struct {
	owner fold.ID
	key   string
}

// listed returns the visible objects that the heads of the batch's profiles list, by their bodies' places.
func (p *pass) listed(ctx context.Context) (map[place]fold.ObjectRef, error) {
	var owners []fold.ID
	for i := range p.batch {
		if owner := p.batch[i].owner; len(owners) == 0 || owners[len(owners)-1] != owner {
			owners = append(owners, owner)
		}
	}
	slices.SortFunc(owners, func(a, b fold.ID) int { return bytes.Compare(a[:], b[:]) })
	owners = slices.Compact(owners)
	out := map[place]fold.ObjectRef{}
	err := profile.EachHead(ctx, p.s.Store, p.rec.Incarnation, owners, func(owner fold.ID, h *fold.Head) error {
		for _, o := range h.Objects {
			if o.Expires > p.now && !p.rec.IsDead(o.Incarnation) {
				out[place{owner, string(write.BodyKey(o))}] = o
			}
		}
		return nil
	})
	return out, err
}

// profiles takes in the attributes of all profiles.
func (s *Service) profiles(ctx context.Context, st store.Store, rec *domain.Record, now int64, add func(of, string, int64) error) error {
	few := *s.Profiles
	few.Store = st
	return few.Each(ctx, profile.Pass{Incarnation: rec.Incarnation, Now: now, Workers: 1}, func(_ int, p *fold.Profile) error {
		for i := range p.Values {
			v := &p.Values[i]
			if err := add(of{profileType, v.Attr.Path()}, v.Text, v.Stamp.Time); err != nil {
				return err
			}
		}
		return nil
	})
}

// profileType is the type of the standard profile.
const profileType = "_profile"

// standardTypes are all others.
func standardTypes() map[string]bool {
	all := map[string]bool{}
	for _, s := range schema.Standards {
		all[s.Name] = true
	}
	return all
}
