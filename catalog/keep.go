package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"kith/domain"
	"kith/job"
	"kith/store"
)

// Standing is the name of the work that keeps the catalogues of large domains.
const Standing = "catalogue"

const (
	// Every is how often a catalogue is made anew.
	Every = 24 * time.Hour
	// share is how many times as long as a pass took its catalogue stands at least, whoever asks; shortest is the least of it.
	share    = 20
	shortest = 10 * time.Minute
	// old is the age from which a question has a catalogue made anew.
	old = time.Hour
	// maxPath is the longest path that is kept, in bytes: it is in the key of a row.
	maxPath = 1000
	// maxWrite is how many bytes are written at a time.
	maxWrite = 1 << 20
)

// meta is what is known of a kept catalogue.
type meta struct {
	// Types are those of which there may be rows; the incarnation of a standard one is 0.
	Types map[string]uint64
	At    int64 // when the pass began, in microseconds; 0: none has ended
	Took  int64 // microseconds
}

// kept is what is kept of an attribute besides its values.
type kept struct {
	At    int64
	Stats *stats `json:",omitzero"`
}

var metaKey = []byte("m")

const (
	namePrefix  = "n"
	valuePrefix = "v"
)

func metaPartition(inc store.Incarnation) store.Partition {
	return store.Partition{Table: store.Resource, Incarnation: inc, Key: "catalogue"}
}

func typePartition(inc store.Incarnation, objectType string) store.Partition {
	return store.Partition{Table: store.Resource, Incarnation: inc, Key: "catalogue/" + objectType}
}

// format is the first byte of every value.
const format = 1

func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v, json.Deterministic(true))
	return append([]byte{format}, b...), err
}

func decode(b []byte, v any) error {
	if len(b) == 0 || b[0] != format {
		return fmt.Errorf("a catalogue of an unknown format: %w", store.ErrFormat)
	}
	return json.Unmarshal(b[1:], v)
}

// get reads a row, and says whether it is there.
func (s *Service) get(ctx context.Context, p store.Partition, key []byte, v any) (bool, error) {
	row, err := s.Store.Get(ctx, p, key)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read a catalogue: %w", err)
	}
	return true, decode(row.Value, v)
}

// current returns the meta row if what is kept of a type stands: the domain was large when it was last looked at, and has the type as it was. It has the
// catalogue made anew if it is old.
func (s *Service) current(ctx context.Context, rec *domain.Record, objectType string) (*meta, error) {
	var m meta
	if _, err := s.get(ctx, metaPartition(rec.Incarnation), metaKey, &m); err != nil {
		return nil, err
	}
	incarnation, ok := m.Types[objectType]
	if !ok || m.At == 0 {
		return nil, nil
	}
	if incarnation != 0 {
		t, err := s.Types.Find(ctx, rec, objectType)
		if err != nil {
			return nil, err
		}
		if t.Incarnation != incarnation {
			return nil, nil
		}
	}
	if s.Now().Sub(time.UnixMicro(m.At)) > old {
		s.wake(rec)
	}
	return &m, nil
}

func (s *Service) wake(rec *domain.Record) {
	if s.Wake != nil {
		s.Wake(rec.Incarnation)
	}
}

// keptNames returns the attributes that are kept of a type.
func (s *Service) keptNames(ctx context.Context, rec *domain.Record, objectType string) ([]named, error) {
	all := []named{}
	for row, err := range s.Store.Scan(ctx, typePartition(rec.Incarnation, objectType), store.Prefix(namePrefix)) {
		if err != nil {
			return nil, fmt.Errorf("read a catalogue: %w", err)
		}
		var k kept
		if err := decode(row.Value, &k); err != nil {
			return nil, err
		}
		all = append(all, named{string(row.Key[len(namePrefix):]), k.At})
	}
	return all, nil
}

// keptValues returns the values that are kept of an attribute, the newest first.
func (s *Service) keptValues(ctx context.Context, rec *domain.Record, name of) ([]valueAt, error) {
	all := []valueAt{}
	_, err := s.get(ctx, typePartition(rec.Incarnation, name.objectType), []byte(valuePrefix+name.path), &all)
	return all, err
}

// keptStats returns the statistics that are kept of an attribute, nil for none.
func (s *Service) keptStats(ctx context.Context, rec *domain.Record, name of) (*stats, error) {
	var k kept
	_, err := s.get(ctx, typePartition(rec.Incarnation, name.objectType), []byte(namePrefix+name.path), &k)
	return k.Stats, err
}

// Keep is the standing work: it makes the catalogue of a large domain anew, unless that was done so lately that it would take too much of the machine;
// then it says when to come back. A small domain keeps none.
func (s *Service) Keep(ctx context.Context, t *job.Task) (again time.Duration, err error) {
	rec, err := s.Domains.OfIncarnation(ctx, t.Incarnation)
	if err != nil {
		return 0, err
	}
	if rec == nil {
		return 0, job.ErrGone
	}
	var m meta
	if _, err := s.get(ctx, metaPartition(rec.Incarnation), metaKey, &m); err != nil {
		return 0, err
	}
	now := s.Now()
	stands := min(max(share*time.Duration(m.Took)*time.Microsecond, shortest), Every)
	if age := now.Sub(time.UnixMicro(m.At)); age >= 0 && age < stands {
		return stands - age, nil
	}
	large, err := s.large(ctx, rec)
	if err != nil {
		return 0, err
	}
	c := newCensus(true, true)
	defer c.close()
	next := &meta{Types: map[string]uint64{}, At: max(now.UnixMicro(), m.At+2)}
	start := time.Now()
	if large {
		if err := s.all(ctx, rec, c); err != nil {
			return 0, fmt.Errorf("make a catalogue: %w", err)
		}
		if next.Types, err = s.typesOf(ctx, rec); err != nil {
			return 0, err
		}
	} else if len(m.Types) == 0 {
		return 0, nil
	}
	return 0, s.write(ctx, rec, c, &m, next, start)
}

// large says whether there is more than is read for a call.
func (s *Service) large(ctx context.Context, rec *domain.Record) (bool, error) {
	for _, table := range []store.Table{store.Body, store.Profile} {
		for _, err := range s.few().Sweep(ctx, store.SweepRange{Table: table, Incarnation: rec.Incarnation}) {
			if errors.Is(err, errEnough) {
				return true, nil
			}
			if err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// typesOf returns all types that a catalogue has.
func (s *Service) typesOf(ctx context.Context, rec *domain.Record) (map[string]uint64, error) {
	alive, err := s.alive(ctx, rec)
	if err != nil {
		return nil, err
	}
	all := map[string]uint64{profileType: 0}
	for name := range standardTypes() {
		all[name] = 0
	}
	for name, incarnation := range alive {
		all[name] = incarnation
	}
	return all, nil
}

// write replaces what is kept. It may be cut off anywhere: the next pass replaces it again.
func (s *Service) write(ctx context.Context, rec *domain.Record, c *census, was, next *meta, start time.Time) error {
	both := &meta{Types: map[string]uint64{}, At: was.At, Took: was.Took}
	for _, types := range []map[string]uint64{was.Types, next.Types} {
		for name, incarnation := range types {
			both.Types[name] = incarnation
		}
	}
	if err := s.writeMeta(ctx, rec.Incarnation, both, next.At); err != nil {
		return err
	}
	all, err := c.statsOf()
	if err != nil {
		return err
	}
	for name := range both.Types {
		if err := s.writeType(ctx, rec.Incarnation, name, c, all, next.At); err != nil {
			return err
		}
	}
	next.Took = time.Since(start).Microseconds()
	return s.writeMeta(ctx, rec.Incarnation, next, next.At+1)
}

func (s *Service) writeMeta(ctx context.Context, inc store.Incarnation, m *meta, at int64) error {
	value, err := encode(m)
	if err != nil {
		return err
	}
	return s.Store.Write(ctx, metaPartition(inc), []store.Mutation{{Key: metaKey, Value: value, Time: at}})
}

// writeType writes what a pass has found of a type, and removes what is older.
func (s *Service) writeType(ctx context.Context, inc store.Incarnation, objectType string, c *census, all map[of]*stats, at int64) error {
	w := &writer{s: s, p: typePartition(inc, objectType)}
	for _, name := range c.keepable(objectType) {
		a := c.attrs[name]
		err := w.put(ctx, namePrefix+name.path, kept{a.at, all[name]}, at)
		if err == nil {
			err = w.put(ctx, valuePrefix+name.path, a.newest(c.most), at)
		}
		if err != nil {
			return err
		}
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	for row, err := range s.Store.Scan(ctx, w.p, store.Range{}) {
		if err != nil {
			return err
		}
		if row.Time < at {
			if err := w.add(ctx, store.Mutation{Key: bytes.Clone(row.Key), Delete: true, Time: row.Time}); err != nil {
				return err
			}
		}
	}
	return w.flush(ctx)
}

// writer writes rows of a partition, some at a time.
type writer struct {
	s    *Service
	p    store.Partition
	ms   []store.Mutation
	size int
}

func (w *writer) put(ctx context.Context, key string, v any, at int64) error {
	value, err := encode(v)
	if err != nil {
		return err
	}
	return w.add(ctx, store.Mutation{Key: []byte(key), Value: value, Time: at})
}

func (w *writer) add(ctx context.Context, m store.Mutation) error {
	w.ms = append(w.ms, m)
	if w.size += len(m.Key) + len(m.Value); w.size < maxWrite {
		return nil
	}
	return w.flush(ctx)
}

func (w *writer) flush(ctx context.Context) error {
	if len(w.ms) == 0 {
		return nil
	}
	err := w.s.Store.Write(ctx, w.p, w.ms)
	w.ms, w.size = nil, 0
	return err
}

// keepable returns the newest attributes of a type.
func (c *census) keepable(objectType string) []of {
	var all []of
	for name := range c.attrs {
		if name.objectType == objectType && len(name.path) <= maxPath {
			all = append(all, name)
		}
	}
	slices.SortFunc(all, func(a, b of) int {
		return valueAt{a.path, c.attrs[a].at}.compare(valueAt{b.path, c.attrs[b].at})
	})
	return all[:min(len(all), maxListed)]
}
