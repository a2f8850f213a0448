package stage

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
)

// matchJoined finds the profiles of the groups among those that Join has found.
func (b *Resolver) matchJoined(ctx context.Context) error {
	found := b.newRowSet(nil)
	defer found.reset()
	if err := b.loadBucket(ctx, b.dry.Joined(), b.bucket, found); err != nil {
		return err
	}
	found.sort()
	i := 0
	for _, r := range found.refs {
		key := found.key(r.At)
		for i < len(b.groups) && bytes.Compare(b.keyOf(&b.groups[i]), key) < 0 {
			i++
		}
		if i == len(b.groups) {
			break
		}
		g := &b.groups[i]
		if g.matches > 1 || !bytes.Equal(b.keyOf(g), key) {
			continue
		}
		if g.matches++; g.matches == 1 {
			copy(g.match[:], found.frame(r.At).body)
		}
	}
	return nil
}

// show adds to the sample what the groups that match would change.
func (b *Resolver) show(ctx context.Context) error {
	for i := range b.groups {
		g := &b.groups[i]
		if g.matches != 1 || !b.dry.Wants() {
			continue
		}
		people, err := b.profiles.People(ctx, b.inc, []fold.ID{g.match})
		if err != nil {
			return err
		}
		person := people[g.match]
		if person == nil {
			continue
		}
		part, err := b.part(b.frame(g))
		if err != nil {
			return err
		}
		b.dry.Sample(g.first, person.ID, person.Profile(), profile.With(person, g.match, part).Profile())
	}
	return nil
}

// compare notes which of the groups whose profiles join has found would change nothing.
func (b *Resolver) compare(ctx context.Context) error {
	var found []uint32
	for i := range b.groups {
		if b.groups[i].matches == 1 {
			found = append(found, uint32(i))
		}
	}
	for chunk := range slices.Chunk(found, maxHits) {
		ids := make([]fold.ID, len(chunk))
		for n, i := range chunk {
			ids[n] = b.groups[i].match
		}
		people, err := b.profiles.People(ctx, b.inc, ids)
		if err != nil {
			return fmt.Errorf("look at what would change: %w", err)
		}
		for _, i := range chunk {
			g := &b.groups[i]
			if person := people[g.match]; person != nil {
				if p := person.Profile(); p != nil {
					g.same = index.Keeps(p, b.frame(g).body)
				}
			}
		}
	}
	return nil
}

// try decides what would become of every group.
func (b *Resolver) try(ctx context.Context) (*Outcome, error) {
	if err := b.show(ctx); err != nil {
		return nil, err
	}
	if b.dry.Joined() != nil {
		if err := b.compare(ctx); err != nil {
			return nil, err
		}
	}
	o := &Outcome{p: b.Plan, Bucket: b.bucket}
	if err := b.decide(ctx, o); err != nil {
		o.Abort()
		return nil, err
	}
	return o, nil
}

// Join sweeps the profiles once for the key that rows are matched by, which has no index yet.
func (r *Reader) Join(ctx context.Context, read *ReadResult) (*Buckets, error) {
	out := r.newSinks(r.partition(read.Buckets, read.Bounds), true)
	defer out.abort()
	out.rows = false // these are none
	w := out.newWriter()
	err := r.profiles.EachWithKey(ctx, r.inc, *r.m.own, r.time, func(id fold.ID, value string) error {
		return w.putID(schema.IndexBytes([]byte(value)), id)
	})
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		return nil, fmt.Errorf("look for profiles by a key without an index: %w", err)
	}
	return out.commit()
}

// Trial gathers what a run that publishes nothing finds out.
type Trial interface {
	// Joined are the profiles that have a key that is not indexed yet, as Join has found them; nil when there is an index.
	Joined() *Buckets
	// Wants says whether more changes are wanted, and Sample shows what would become of a profile by a row and others of its key.
	Wants() bool
	Sample(row int64, id fold.ID, before, after *fold.Profile)
}
