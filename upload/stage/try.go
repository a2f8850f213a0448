package stage

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
)

// matchJoined finds the profiles of the groups among those that Join has found, chunk by chunk: there may be very many for few rows.
func (b *Resolver) matchJoined(ctx context.Context) error {
	from := b.dry.Joined()
	for _, piece := range from.pieces[b.bucket] {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := from.pool.Load(piece)
		if err != nil {
			return err
		}
		for rest := data; len(rest) > 0; {
			n := frameSize(rest)
			if n < frameHead {
				return extsort.ErrFrame
			}
			b.matchOne(rest[:n])
			rest = rest[n:]
		}
		from.pool.Drop(piece, data)
	}
	from.pieces[b.bucket] = nil
	return nil
}

// matchOne notes the profile of a frame that Join has made as a match of the group of its key, if there is one.
func (b *Resolver) matchOne(found []byte) {
	i, ok := slices.BinarySearchFunc(b.groups, frameKey(found), func(g group, key []byte) int { return bytes.Compare(b.keyOf(&g), key) })
	if !ok {
		return
	}
	if g := &b.groups[i]; g.matches < 2 {
		if g.matches++; g.matches == 1 {
			f := frameOf(found, len(b.keyPlan.lean))
			copy(g.match[:], f.body)
		}
	}
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
