package profile

import (
	"context"
	"fmt"
	"slices"

	"kith/domain"
	"kith/objecttype"
	"kith/store"
)

// An import whose contribution says nothing new about the keys of a profile writes no index rows: those of an earlier contribution
// stand for it. So each key that an import's contribution yields has an index row of that contribution or of another import's that
// is there. When a contribution goes, others may lose what stands for them: they are its heirs, and get the rows first.

// heirs calls put for the keys of contributions that go and the contribution of those that stay that is to have an index row of it.
// Those that merges brought, and those that are no imports', have rows of their own.
func heirs(gone, stay []oldPart, own []domain.Key, put func(IndexKey, oldPart)) {
	stay = slices.DeleteFunc(slices.Clone(stay), func(p oldPart) bool {
		path, _ := splitSource(p.source)
		return path != "" || p.Kind != Import || p.version != 0
	})
	if len(stay) == 0 {
		return
	}
	var keys []IndexKey
	for _, p := range gone {
		keys = append(keys, p.IndexKeys(own)...)
	}
	keys = distinct(keys)
	for _, heir := range slices.Backward(stay) {
		has := heir.IndexKeys(own)
		keys = slices.DeleteFunc(keys, func(k IndexKey) bool {
			if !slices.Contains(has, k) {
				return false
			}
			put(k, heir)
			return true
		})
	}
}

// markHeir has it noted that a contribution has got index rows that its import does not know of.
func (s *Service) markHeir(ctx context.Context, rec *domain.Record, p oldPart) error {
	if at, ok := ImportTime(p.source); ok {
		return s.Imports.NoteHeir(ctx, rec, at)
	}
	return nil
}

func indexRow(rec *domain.Record, k IndexKey, id ID, source string, m store.Mutation) store.RunRow {
	m.Key = IndexRowKey(nil, id, source)
	return store.RunRow{Incarnation: rec.Incarnation, Partition: []byte(IndexPartition(k.Name, k.Value)), Mutation: m}
}

// Inherit gives the heirs of an import in some profiles, ascending, their index rows before the import's contributions go. all also
// removes all index rows of these, for the import is an heir itself. It may be repeated.
func (s *Service) Inherit(ctx context.Context, rec *domain.Record, jobTime int64, ids []ID, all bool) error {
	var index, old []store.RunRow
	var parts []oldPart
	settle := func(id ID) error {
		defer func() { parts = parts[:0] }()
		var gone, stay []oldPart
		for _, p := range parts {
			if at, ok := ImportTime(p.source); ok && at == jobTime {
				gone = append(gone, p)
			} else {
				stay = append(stay, p)
			}
		}
		var err error
		heirs(gone, stay, rec.Keys, func(k IndexKey, heir oldPart) {
			if err == nil {
				err = s.markHeir(ctx, rec, heir)
			}
			index = append(index, indexRow(rec, k, id, heir.source, store.Mutation{Time: heir.time}))
		})
		for _, p := range gone {
			if all {
				for _, k := range p.IndexKeys(rec.Keys) {
					old = append(old, indexRow(rec, k, id, p.source, store.Mutation{Delete: true, Time: p.time}))
				}
			}
		}
		return err
	}
	probes := func(yield func(store.Probe) bool) {
		for _, id := range ids {
			if !yield(store.Probe{Partition: string(id[:]), Range: store.Prefix(contributionPrefix)}) {
				return
			}
		}
	}
	open := -1
	for hit, err := range s.Store.Probe(ctx, store.Profile, rec.Incarnation, probes) {
		if err != nil {
			return fmt.Errorf("look for heirs: %w", err)
		}
		if open >= 0 && hit.Index != open {
			if err := settle(ids[open]); err != nil {
				return err
			}
		}
		open = hit.Index
		p, err := decodePart(hit.Row)
		if err != nil {
			return fmt.Errorf("profile %s: %w", ids[open], err)
		}
		parts = append(parts, p)
	}
	if open >= 0 {
		if err := settle(ids[open]); err != nil {
			return err
		}
	}
	if err := s.Store.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows(index)}); err != nil {
		return err
	}
	return s.Store.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows(old)})
}

// KeyAttrs are the attributes that keys are made of, but for the person's name, which is looked at as a whole.
type KeyAttrs struct {
	ids    [2]uint64 // a bit for each number
	custom map[string]bool
}

// NewKeyAttrs returns those of the predefined keys and of a domain's own.
func NewKeyAttrs(own []domain.Key) *KeyAttrs {
	k := &KeyAttrs{custom: map[string]bool{}}
	for id := range uint16(64 * len(k.ids)) {
		if name, _ := objecttype.PredefinedKey(objecttype.Attr{ID: id}); name != "" {
			k.add(objecttype.Attr{ID: id})
		}
	}
	for _, key := range own {
		for _, a := range partsOf(key) {
			k.add(a)
		}
	}
	return k
}

func (k *KeyAttrs) add(a objecttype.Attr) {
	if a.ID == 0 {
		k.custom[a.Custom] = true
	} else {
		k.ids[a.ID/64] |= 1 << (a.ID % 64)
	}
}

func (k *KeyAttrs) has(id uint16, custom string) bool {
	if id == 0 {
		return k.custom[custom]
	}
	return int(id) < 64*len(k.ids) && k.ids[id/64]&(1<<(id%64)) != 0
}

// Covers says whether an encoded contribution of an import yields all the keys that encoded values yield, so that its index rows
// stand for theirs. It may say no without need.
func (k *KeyAttrs) Covers(contribution, values []byte) bool {
	c := contribution
	if len(c) < fixedHeader || c[0] != contributionV1 || Kind(c[1]) != Import {
		return false
	}
	have := decoder{s: unsafeText(c[10:])}
	have.stamp()
	if have.uvarint() != 0 || have.err != nil { // with extras
		return false
	}
	if have.s == unsafeText(values) {
		return true
	}
	var names, wanted [len(nameAttrs)]string
	next := func(d *decoder) (id uint16, custom, text string, ok bool) {
		if len(d.s) == 0 {
			return 0, "", "", false
		}
		head := d.uvarint()
		if id = uint16(head >> 2); id == 0 {
			custom = d.text()
		}
		if head&(flagStamp|flagBlank) != 0 {
			d.fail()
		}
		text = d.text()
		return id, custom, text, d.err == nil
	}
	less := func(id uint16, custom string, than uint16, thanCustom string) bool {
		return objecttype.Attr{ID: id, Custom: custom}.Less(objecttype.Attr{ID: than, Custom: thanCustom})
	}
	id, custom, text, ok := next(&have)
	want := decoder{s: unsafeText(values)}
	note := func(to *[len(nameAttrs)]string, id uint16, text string) {
		if id >= objecttype.FirstName && id <= objecttype.LastName {
			to[id-objecttype.FirstName] = text
		}
	}
	for {
		wantID, wantCustom, wantText, more := next(&want)
		if !more {
			break
		}
		for ok && less(id, custom, wantID, wantCustom) {
			note(&names, id, text)
			id, custom, text, ok = next(&have)
		}
		note(&wanted, wantID, wantText)
		if k.has(wantID, wantCustom) && (!ok || id != wantID || custom != wantCustom || text != wantText) {
			return false
		}
	}
	for ok {
		note(&names, id, text)
		id, custom, text, ok = next(&have)
	}
	return have.err == nil && want.err == nil && (wanted == names || wanted == [len(nameAttrs)]string{})
}
