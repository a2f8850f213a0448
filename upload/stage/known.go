package stage

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"kith/internal/extsort"
	"kith/profile/fingerprint"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// readShare is the share of the customers of a bucket, as one of so many, whose rows are read all the same: somebody has to notice that there is something to
// compact. They are another stretch in each import, for single profiles all over the store cost many times as much.
const readShare = 64

// recognise settles the candidates that show what their groups say, or say something else in the same outline, by their fingerprints, and returns the others. Most
// customers of a file that is imported every day are like that.
func (b *Resolver) recognise(ctx context.Context, all []candidate) ([]candidate, error) {
	if b.dry != nil || b.live == nil || !b.keepsPrints() {
		return all, nil
	}
	probes := func(yield func(store.Probe) bool) {
		for _, c := range all {
			id := c.id()
			if !yield(store.Probe{Partition: string(id[:])}) {
				return
			}
		}
	}
	stretch := int(uint64(b.time) % readShare)
	from, to := stretch*len(all)/readShare, (stretch+1)*len(all)/readShare
	marked := -1
	for hit, err := range b.store.Probe(ctx, store.Fingerprint, b.inc, probes) {
		if err != nil {
			return nil, fmt.Errorf("read fingerprints: %w", err)
		}
		if string(hit.Row.Key) == string(fingerprint.MarkKey) {
			marked = hit.Index
			continue
		}
		b.prefetch(all[hit.Index:])
		if g := &b.groups[all[hit.Index].group]; marked != hit.Index && !g.several && (hit.Index < from || hit.Index >= to) {
			if err := b.recogniseBy(ctx, hit.Row.Value, g, all[hit.Index].id()); err != nil {
				return nil, err
			}
		}
	}
	rest := all[:0]
	for _, c := range all {
		if b.groups[c.group].matches == 0 {
			rest = append(rest, c)
		}
	}
	return rest, nil
}

// recogniseBy settles a group by the print of its only candidate, if that says what the group says, or something else in the same outline: then it has the group's
// key, one of its values changes, and the index rows that are missing, if any, are among those of the group's own values.
func (b *Resolver) recogniseBy(ctx context.Context, print []byte, g *group, id fold.ID) error {
	p, ok := fingerprint.Parse(print)
	if !ok || p.Time >= b.time || p.Expires <= b.time {
		return nil
	}
	said := b.says(b.frame(g))
	same := p.Hash.All() == fingerprint.AllOf(said, b.secret)
	if !same {
		h, err := b.hash(g, said)
		if err != nil || p.Hash.Outline() != h.Outline() {
			return err
		}
	}
	live, err := b.live(ctx, p.Time)
	if err != nil || !live {
		return err
	}
	g.matches, g.match, g.covered, g.same, g.known = 1, id, same, same, same
	if same {
		g.repeats = source{p.Time, p.Row}
	}
	return nil
}

// says returns what the contribution of a frame says, until the next call.
func (b *Resolver) says(f *frame) []byte {
	b.norm = append(fold.AppendPrivate(b.norm[:0], b.private(f.key)), f.body...)
	return b.norm
}

// hash returns the fingerprints of what the contribution of a group says. Its outline has the key that it is matched by, too.
func (b *Resolver) hash(g *group, said []byte) (_ fingerprint.Hash, err error) {
	b.outline = append(append(b.outline[:0], b.m.index...), 0)
	b.outline = append(binary.AppendUvarint(b.outline, uint64(len(b.keyOf(g)))), b.keyOf(g)...)
	if b.outline, err = index.AppendOutline(b.outline, said); err != nil {
		return fingerprint.Hash{}, fmt.Errorf("fingerprint of row %d: %w", g.first, err)
	}
	return fingerprint.HashOf(said, b.outline, b.secret), nil
}

// printer makes the prints of profiles that contributions come to, given all contributions of the import to them, by profile.
type printer struct {
	*Plan
	put func(id, print []byte) error

	id    []byte // of the last profile; nil: none
	n     int    // its contributions
	known bool   // it was recognised for all of them
	print fingerprint.Print
	buf   []byte
}

// add takes in a contribution. The bytes of id must stay as they are until the next call.
func (p *printer) add(id []byte, s *said) error {
	if p.id == nil || string(p.id) != string(id) {
		if err := p.flush(); err != nil {
			return err
		}
		p.id, p.n, p.known = id, 0, true
	}
	p.n++
	if s.kind == entryKnown {
		return nil
	}
	p.known = false
	if p.n == 1 {
		p.print = fingerprint.Print{Time: p.time, Row: s.row, Expires: p.expires, Hash: s.hash}
	}
	return nil
}

// flush puts the print of the last profile. Of several contributions it does not tell which one is the newest.
func (p *printer) flush() error {
	id := p.id
	if p.id = nil; id == nil || p.known {
		return nil
	}
	if p.n > 1 {
		return p.put(id, fingerprint.Void)
	}
	p.buf = p.print.Append(p.buf[:0])
	return p.put(id, p.buf)
}

// prefetch asks for what the candidates behind the first will need: groups and frames come in another order.
func (b *Resolver) prefetch(all []candidate) {
	if len(all) > 2*ahead {
		extsort.PrefetchAt(&b.groups[all[2*ahead].group])
	}
	if len(all) > ahead {
		extsort.Prefetch(b.loaded.at(b.groups[all[ahead].group].at))
	}
}

// voids returns the prints that no longer hold when the contributions of the resolved bucket have come, as far as there are any: where buckets are written
// one by one, nobody sees all contributions that come to a profile.
func (b *Resolver) voids(ctx context.Context) (rows []store.RunRow, err error) {
	var ids []fold.ID
	for i := range b.groups {
		if g := &b.groups[i]; g.matches == 1 && !g.known {
			ids = append(ids, g.match)
		}
	}
	return b.voidsOf(ctx, ids)
}

// keepsPrints says that imports put prints and make them void: only tables have prints. Where the engine builds none there may be some all the same, which came with
// a copy from one that does, and which nothing keeps true.
func (p *Plan) keepsPrints() bool { return store.StagerOf(p.store) != nil }

// voidsOf returns what makes the prints of some profiles void.
func (p *Plan) voidsOf(ctx context.Context, ids []fold.ID) (rows []store.RunRow, err error) {
	if len(ids) == 0 || !p.keepsPrints() {
		return nil, nil
	}
	slices.SortFunc(ids, fold.ID.Compare)
	ids = slices.Compact(ids)
	probes := func(yield func(store.Probe) bool) {
		for _, id := range ids {
			if !yield(store.Probe{Partition: string(id[:]), Range: store.Range{Start: fingerprint.PrintKey, End: store.After(fingerprint.PrintKey)}}) {
				return
			}
		}
	}
	for hit, err := range p.store.Probe(ctx, store.Fingerprint, p.inc, probes) {
		if err != nil {
			return nil, fmt.Errorf("read fingerprints: %w", err)
		}
		rows = append(rows, fingerprint.Row(p.inc, ids[hit.Index], store.Mutation{Value: fingerprint.Void, Time: p.time}))
	}
	return rows, nil
}
