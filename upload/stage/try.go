package stage

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
)

// matchJoined finds the profiles of the groups among those that join has found.
func (b *Resolver) matchJoined(ctx context.Context) error {
	byKey := make(map[string]uint32, len(b.groups))
	for i := range b.groups {
		byKey[string(frameKey(b.loaded.Frame(b.groups[i].at)))] = uint32(i)
	}
	r, done, err := b.openFrames(ctx, b.dry.Joined(), b.bucket)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	in := extsort.NewWindow(func() io.Reader { return r })
	for {
		if more, err := in.More(); !more {
			return err
		}
		n, err := in.Uvarint()
		if err != nil {
			return err
		}
		key, err := in.Bytes(n)
		if err != nil {
			return err
		}
		i, ok := byKey[string(key)]
		id, err := in.Bytes(uint64(len(fold.ID{})))
		if err != nil {
			return err
		}
		if g := &b.groups[i]; ok && g.matches < 2 {
			if g.matches++; g.matches == 1 {
				copy(g.match[:], id)
			}
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
	out.merger = nil // these are no rows
	defer out.abort()
	bt := &batch{buckets: make([][]byte, read.Buckets)}
	size := 0
	flush := func() error {
		err := out.take(ctx, bt)
		for i := range bt.buckets {
			bt.buckets[i] = bt.buckets[i][:0]
		}
		size = 0
		return err
	}
	err := r.profiles.EachWithKey(ctx, r.inc, *r.m.own, r.time, func(id fold.ID, value string) error {
		key := schema.IndexBytes([]byte(value))
		b := &bt.buckets[out.part.Bucket(key)]
		*b = append(binary.AppendUvarint(*b, uint64(len(key))), key...)
		*b = append(*b, id[:]...)
		if size += len(key) + len(id); size > 1<<20 {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return nil, fmt.Errorf("look for profiles by a key without an index: %w", err)
	}
	joined := &Buckets{Memory: out.buckets.Memory()}
	joined.Spills, err = out.commit()
	return joined, err
}

// Trial gathers what a run that publishes nothing finds out.
type Trial interface {
	// Joined are the profiles that have a key that is not indexed yet, as Join has found them; nil when there is an index.
	Joined() *Buckets
	// Wants says whether more changes are wanted, and Sample shows what would become of a profile by a row and others of its key.
	Wants() bool
	Sample(row int64, id fold.ID, before, after *fold.Profile)
}
