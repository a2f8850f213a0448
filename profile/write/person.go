package write

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"kith/domain"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// The row keys of a profile's partition.
var (
	stateKey = []byte(fold.StateKey)
	headKey  = []byte(fold.HeadKey)
)

func profilePartition(inc store.Incarnation, id fold.ID) store.Partition {
	return store.Partition{Table: store.Profile, Incarnation: inc, Key: string(id[:])}
}

// rows is what is stored of one profile.
type rows struct {
	member       fold.Member // as of the moment of reading
	head         []byte      // nil: there is none
	headVersion  uint64
	stateVersion uint64
	decoded      *fold.Head // by look
}

// look returns the whole head, which must not be changed.
func (r *rows) look() (h *fold.Head, err error) {
	if r.decoded == nil {
		r.decoded, err = r.Head()
	}
	return r.decoded, err
}

// Head returns the whole head, one that says nothing if there is none.
func (r *rows) Head() (*fold.Head, error) {
	if r.head == nil {
		return &fold.Head{}, nil
	}
	h, err := fold.DecodeHead(r.head)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", r.member.ID, err)
	}
	return h, nil
}

func (r *rows) deleted() bool { return r.member.State != nil && r.member.State.Deleted != nil }

// add takes in a row; repeats is what completes the contributions of the profile.
func (r *rows) add(row store.Row, now int64, repeats *fold.Repeats) (err error) {
	switch {
	case string(row.Key) == string(stateKey):
		r.stateVersion = row.Version
		r.member.State, err = fold.DecodeState(row.Value)
	case string(row.Key) == string(headKey):
		r.head, r.headVersion = bytes.Clone(row.Value), row.Version
		r.member.Head, err = fold.DecodeHeadView(r.head, now)
	case len(row.Key) > 0 && row.Key[0] == fold.ContributionPrefix[0]:
		source := bytes.Clone(row.Key[len(fold.ContributionPrefix):])
		var whole []byte
		if whole, err = repeats.Complete(source, bytes.Clone(row.Value)); errors.Is(err, fold.ErrNothingToRepeat) && r.deleted() {
			return nil
		}
		part := fold.Part{Source: string(source), Contribution: &fold.Contribution{}}
		if err == nil {
			err = part.DecodeView(whole, now)
		}
		if err == nil && part.Expires > now {
			r.member.Parts = append(r.member.Parts, part)
		}
	}
	return err
}

// Person is a person as read: the main profile with all its members.
type Person struct {
	*rows
	Profile *fold.Profile     // the fold; nil: nothing is visible
	all     map[fold.ID]*rows // main and members
	torn    bool              // a merge was decided, or taken back, while it was read
	mark    uint64            // of the store, before it was read
}

// ID returns the id of the main profile.
func (p *Person) ID() fold.ID { return p.member.ID }

// Visible says whether there is such a person for callers.
func (p *Person) Visible() bool { return p.Profile != nil }

// confirms says whether the person has a key.
func (p *Person) confirms(rec *domain.Record, k index.Key, now int64) bool {
	return index.Confirms(&p.member, p.Profile, k, rec.Keys, rec.Dead(), now)
}

// maxLevels bounds how long a chain of merges is followed; there are at most 20.
const maxLevels = 64

// maxRereads bounds how often a person is read again. Each time a merge must have been decided between two reads.
const maxRereads = 100

// errLinks says that links of merges do not come to rest.
var errLinks = errors.New("links of merges form a chain that is too long")

// read returns the person that a profile belongs to. Links that are open are settled first. A profile that was deleted, or has never been,
// is a Person that is not visible.
func (w *Writer) read(ctx context.Context, rec *domain.Record, id fold.ID) (*Person, error) {
	now := w.Now().UnixMicro()
	rereads := 0
	for range maxLevels + maxRereads {
		found, open, err := w.readPerson(ctx, rec.Incarnation, id, now)
		if err != nil {
			return nil, err
		}
		if found != nil && found.torn && rereads < maxRereads {
			rereads++
			continue
		}
		if found != nil {
			return found, nil
		}
		if err := w.Settle(ctx, rec, open); err != nil {
			return nil, err
		}
	}
	return nil, errLinks
}

// readPerson returns a person, or the id of a profile whose links are open.
func (w *Writer) readPerson(ctx context.Context, inc store.Incarnation, id fold.ID, now int64) (*Person, fold.ID, error) {
	all, mark := map[fold.ID]*rows{}, w.Store.Mark()
	main := id
	for range maxLevels {
		if err := w.readRows(ctx, inc, []fold.ID{main}, all, now); err != nil {
			return nil, id, err
		}
		s := all[main].member.State
		if len(s.OpenMerges()) > 0 {
			return nil, main, nil
		}
		if s == nil || s.Into == nil || s.Deleted != nil {
			break
		}
		main = s.Into.Main
	}
	p := &Person{rows: all[main], mark: mark, all: map[fold.ID]*rows{main: all[main]}}
	for level := []*rows{p.rows}; len(level) > 0; {
		var missing []fold.ID
		for _, r := range level {
			for of := range r.member.State.Members() {
				if p.all[of] == nil {
					missing = append(missing, of)
				}
			}
		}
		if err := w.readRows(ctx, inc, missing, p.all, now); err != nil {
			return nil, id, err
		}
		level = level[:0]
		for _, of := range missing {
			r := p.all[of]
			if len(r.member.State.OpenMerges()) > 0 {
				return nil, of, nil
			}
			level = append(level, r)
		}
	}
	for _, r := range p.all {
		for of := range r.member.State.Members() {
			if r.member.Of == nil {
				r.member.Of = map[fold.ID]*fold.Member{}
			}
			r.member.Of[of] = &p.all[of].member
		}
	}
	p.Profile = p.member.Profile()
	p.torn = torn(all) || torn(p.all)
	return p, id, nil
}

// torn says whether profiles that were read one after another do not agree about their merges.
func torn(all map[fold.ID]*rows) bool {
	of := func(id fold.ID) *fold.Member {
		if r := all[id]; r != nil && r.stored() {
			return &r.member
		}
		return nil
	}
	for _, r := range all {
		if !r.member.FitsTogether(of) {
			return true
		}
	}
	return false
}

// stored says whether anything of a profile is.
func (r *rows) stored() bool {
	return r.member.State != nil || r.head != nil || len(r.member.Parts) > 0
}

// readRows reads profiles by one Probe. Those without rows are added, empty.
func (w *Writer) readRows(ctx context.Context, inc store.Incarnation, ids []fold.ID, all map[fold.ID]*rows, now int64) error {
	if len(ids) == 0 {
		return nil
	}
	if len(ids) > 1 {
		ids = slices.Clone(ids)
		slices.SortFunc(ids, fold.ID.Compare)
		ids = slices.Compact(ids)
	}
	for _, id := range ids {
		all[id] = &rows{member: fold.Member{ID: id}}
	}
	probes := func(yield func(store.Probe) bool) {
		for _, id := range ids {
			if !yield(store.Probe{Partition: string(id[:])}) {
				return
			}
		}
	}
	var repeats fold.Repeats
	open := -1
	for hit, err := range w.Store.Probe(ctx, store.Profile, inc, probes) {
		if err != nil {
			return fmt.Errorf("read a profile: %w", err)
		}
		if hit.Index != open {
			open = hit.Index
			repeats.Reset()
		}
		if err := all[ids[open]].add(hit.Row, now, &repeats); err != nil {
			return fmt.Errorf("profile %s: %w", ids[hit.Index], err)
		}
	}
	return nil
}
