package profile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"kith/domain"
	"kith/profile/fold"
	"kith/store"
)

// mergeState is how far a merge is.
type mergeState string

// The states of a merge, in the order in which a record goes through them; aborted and undone are the ends.
const (
	mergeOpen    mergeState = "open"    // its links are being placed; it does not hold yet
	mergeAborted mergeState = "aborted" // a profile of it is gone, or some are said not to be the same; it never held
	mergeDone    mergeState = "done"    // it holds
	mergeEnding  mergeState = "ending"  // it holds, and its links are being opened to take it back
	mergeUndone  mergeState = "undone"  // it holds no more
)

// mergeRecord is the row of a merge, in the partition of the hour in which it was asked for.
type mergeRecord struct {
	State  mergeState
	Main   ID
	From   []ID
	Fields map[string]ID `json:",omitzero"`
	By     string        `json:",omitzero"`
	// Automatic says that nobody has asked for it: it is made only of persons of whom nobody says that they are not the same.
	Automatic bool  `json:",omitzero"`
	At        int64 `json:",omitzero"` // microseconds; its time, once it is done
	Ended     int64 `json:",omitzero"` // when it was taken back: later than all that was written while it held
	// EndedBy is who asked for it to be taken back, and Tidied says that nothing is left to do after that.
	EndedBy string `json:",omitzero"`
	Tidied  bool   `json:",omitzero"`

	id      fold.MergeID
	version uint64
}

// mergesPrefix begins the partitions of merge records, in table jobs.
const mergesPrefix = "merges/"

func mergesPartition(inc store.Incarnation, asked int64) store.Partition {
	return store.Partition{Table: store.Jobs, Incarnation: inc, Key: fmt.Sprintf("%s%08x", mergesPrefix, asked/time.Hour.Microseconds())}
}

func decodeMerge(row store.Row) (*mergeRecord, error) {
	rec := &mergeRecord{version: row.Version}
	if copy(rec.id[:], row.Key) != len(rec.id) {
		return nil, fmt.Errorf("a merge's row key of %d bytes", len(row.Key))
	}
	return rec, json.Unmarshal(row.Value, rec)
}

// loadMerge returns the record of a merge, or nil.
func (s *Service) loadMerge(ctx context.Context, inc store.Incarnation, id fold.MergeID) (*mergeRecord, error) {
	row, err := s.Store.Get(ctx, mergesPartition(inc, id.Asked()), id[:])
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a merge: %w", err)
	}
	return decodeMerge(row)
}

// holds returns how readers judge open links: by the merge's record.
func (s *Service) holds(ctx context.Context, inc store.Incarnation) func(fold.MergeID) (int64, bool, error) {
	return func(id fold.MergeID) (int64, bool, error) {
		m, err := s.loadMerge(ctx, inc, id)
		if m == nil || err != nil {
			return 0, false, err
		}
		return m.At, m.State == mergeDone || m.State == mergeEnding, nil
	}
}

// beginMerge puts the record of a new merge.
func (s *Service) beginMerge(ctx context.Context, inc store.Incarnation, m *mergeRecord) error {
	value, err := json.Marshal(m, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = store.Certain(ctx, s.Store, mergesPartition(inc, m.id.Asked()), []store.Swap{{Key: m.id[:], Value: value}}, func([]byte) bool { return true }) // its id is random
	if err != nil {
		return fmt.Errorf("write a merge: %w", err)
	}
	return nil
}

// swapMerge changes a merge's record. errBusy: another process was faster, or nobody knows.
func (s *Service) swapMerge(ctx context.Context, inc store.Incarnation, m *mergeRecord, change func(*mergeRecord)) error {
	changed := *m
	change(&changed)
	value, err := json.Marshal(changed, json.Deterministic(true))
	if err != nil {
		return err
	}
	changed.version, err = s.Store.Swap(ctx, mergesPartition(inc, m.id.Asked()), []store.Swap{{Key: m.id[:], Value: value, Expect: m.version}})
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) {
		return errBusy
	}
	if err != nil {
		return fmt.Errorf("write a merge: %w", err)
	}
	*m = changed
	return nil
}

// settle takes a merge from wherever it is to the end of what it is about, and returns how it stands then. Any number of callers may
// do that at once.
func (s *Service) settle(ctx context.Context, rec *domain.Record, id fold.MergeID) (mergeState, error) {
	for {
		m, err := s.loadMerge(ctx, rec.Incarnation, id)
		if err != nil {
			return "", err
		}
		if m == nil { // its record has been swept: only a helper that was late can have left a link
			return mergeAborted, nil
		}
		switch m.State {
		case mergeOpen:
			err = s.make(ctx, rec, m)
		case mergeEnding:
			err = s.end(ctx, rec, m)
		case mergeDone:
			unmerging := false
			err = s.eachState(ctx, rec, m, func(id ID, st *fold.State) (bool, error) {
				open, ok := st.Linked(m.id)
				unmerging = unmerging || id == m.Main && open == fold.Ending
				if !ok || open != fold.Making {
					return false, nil
				}
				st.Close(m.id, m.At)
				return true, nil
			})
			if err != nil || !unmerging {
				return m.State, err
			}
			err = s.swapMerge(ctx, rec.Incarnation, m, func(m *mergeRecord) { m.State = mergeEnding })
		default:
			err = s.eachState(ctx, rec, m, func(_ ID, st *fold.State) (bool, error) {
				_, ok := st.Linked(id)
				st.Unlink(id)
				return ok, nil
			})
			if err != nil || m.State != mergeUndone || m.Tidied {
				return m.State, err
			}
			if err = s.tidy(ctx, rec, m); err == nil {
				err = s.swapMerge(ctx, rec.Incarnation, m, func(m *mergeRecord) { m.Tidied = true })
			}
		}
		if err != nil && !errors.Is(err, errBusy) {
			return "", err
		}
	}
}

// eachState changes the state rows of a merge's profiles, lowest id first.
func (s *Service) eachState(ctx context.Context, rec *domain.Record, m *mergeRecord, change func(ID, *fold.State) (bool, error)) error {
	ids := append([]ID{m.Main}, m.From...)
	slices.SortFunc(ids, ID.Compare)
	for _, id := range ids {
		if err := s.swapState(ctx, rec.Incarnation, id, func(st *fold.State) (bool, error) { return change(id, st) }); err != nil {
			return err
		}
	}
	return nil
}

// errGone says that a profile can't take part in a merge: it was deleted or merged.
var errGone = errors.New("a profile of the merge is gone")

// make places the links of an open merge and decides it. errBusy: it was decided meanwhile.
func (s *Service) make(ctx context.Context, rec *domain.Record, m *mergeRecord) error {
	ids := append([]ID{m.Main}, m.From...)
	slices.SortFunc(ids, ID.Compare)
	for _, id := range ids {
		err := s.place(ctx, rec, m, id)
		if errors.Is(err, errGone) {
			return s.swapMerge(ctx, rec.Incarnation, m, func(m *mergeRecord) { m.State = mergeAborted })
		}
		if err != nil {
			return err
		}
	}
	if err := s.touch(ctx, rec, m, ids); err != nil {
		return err
	}
	// All profiles stand still now, and those below them: who they are is known, and what is said of them. An answer that is written after this look
	// finds the links, and has the merge decided before it counts (Decided).
	apart, err := s.areApart(ctx, rec, m)
	if err != nil {
		return err
	}
	if apart {
		return s.swapMerge(ctx, rec.Incarnation, m, func(m *mergeRecord) { m.State = mergeAborted })
	}
	// The merge is later than everything in them.
	at, err := s.newest(ctx, rec, ids)
	if err != nil {
		return err
	}
	if err := s.indexMerged(ctx, rec, m, ids, at); err != nil {
		return err
	}
	return s.swapMerge(ctx, rec.Incarnation, m, func(m *mergeRecord) { m.State, m.At = mergeDone, at })
}

// areApart says whether a merge that nobody has asked for would put persons together of whom somebody has said that they are not the same.
func (s *Service) areApart(ctx context.Context, rec *domain.Record, m *mergeRecord) (bool, error) {
	if !m.Automatic || s.Apart == nil {
		return false, nil
	}
	ids := append([]ID{m.Main}, m.From...)
	slices.SortFunc(ids, ID.Compare)
	pairs, err := s.Apart(ctx, rec.Incarnation, ids)
	if err != nil {
		return false, fmt.Errorf("read who is not the same: %w", err)
	}
	return len(pairs) > 0, nil
}

// Decided has the merges decided that the persons of two profiles take part in now, and says whether the two are one person then. Who writes that they
// are not the same asks afterwards: no automatic merge that has not heard of it puts them together later.
func (s *Service) Decided(ctx context.Context, rec *domain.Record, a, b ID) (main ID, one bool, err error) {
	for range 2 {
		people, err := s.People(ctx, rec.Incarnation, []ID{a, b})
		if err != nil {
			return main, false, err
		}
		if people[a] == nil || people[b] == nil {
			return main, false, nil
		}
		if people[a].ID == people[b].ID {
			return people[a].ID, true, nil
		}
		for _, id := range []ID{people[a].ID, people[b].ID} {
			if err := s.SettleLinks(ctx, rec, id); err != nil {
				return main, false, err
			}
		}
	}
	return main, false, nil
}

// newest returns a time later than everything in some persons, and than all jobs that have begun.
func (s *Service) newest(ctx context.Context, rec *domain.Record, ids []ID) (int64, error) {
	rec, err := s.Domains.Read(ctx, rec.Name)
	if err != nil {
		return 0, err
	}
	all, err := s.readAll(ctx, rec.Incarnation, ids, 0) // what has expired, too
	if err == nil {
		err = s.withMembers(ctx, rec.Incarnation, all, 0)
	}
	if err != nil {
		return 0, err
	}
	at := fold.WriteTime(s.Now().UnixMicro(), 0, rec.LastJobTime)
	for _, p := range all {
		at = fold.WriteTime(at, p.Newest(), 0)
	}
	return at, nil
}

// place puts the link of a merge into a profile's state, unless it is there. errGone: the profile can't take part.
func (s *Service) place(ctx context.Context, rec *domain.Record, m *mergeRecord, id ID) error {
	for {
		var inTheWay []fold.MergeID
		err := s.swapState(ctx, rec.Incarnation, id, func(st *fold.State) (bool, error) {
			if _, ok := st.Linked(m.id); ok {
				return false, nil
			}
			if inTheWay = st.OpenMerges(); inTheWay != nil {
				return false, nil
			}
			if st.Deleted != nil || st.Into != nil {
				return false, errGone
			}
			if id == m.Main {
				st.Merges = append(st.Merges, fold.Merge{ID: m.id, Open: fold.Making, By: m.By, From: m.From, Fields: m.Fields})
			} else {
				st.Into = &fold.Link{Merge: m.id, Main: m.Main, Open: fold.Making, By: m.By}
			}
			return true, nil
		})
		if err != nil || inTheWay == nil {
			return err
		}
		if err := s.settleAll(ctx, rec, id, inTheWay); err != nil {
			return err
		}
	}
}

// end opens the links of a merge that is taken back, and takes it back. errBusy: that has happened meanwhile.
func (s *Service) end(ctx context.Context, rec *domain.Record, m *mergeRecord) error {
	err := s.eachState(ctx, rec, m, func(_ ID, st *fold.State) (bool, error) {
		open, ok := st.Linked(m.id)
		if !ok || open == fold.Ending {
			return false, nil
		}
		st.Reopen(m.id)
		return true, nil
	})
	if err == nil {
		err = s.touch(ctx, rec, m, []ID{m.Main})
	}
	if err == nil {
		err = s.indexUnmerged(ctx, rec, m)
	}
	if err != nil {
		return err
	}
	all, err := s.readPeople(ctx, rec.Incarnation, append([]ID{m.Main}, m.From...), 0)
	if err != nil {
		return err
	}
	at := s.Now().UnixMicro()
	for _, p := range all {
		at = max(at, p.Newest())
	}
	return s.swapMerge(ctx, rec.Incarnation, m, func(m *mergeRecord) { m.State, m.Ended = mergeUndone, at })
}

// touch gives the state rows of the persons of some profiles new versions, but for those of a merge itself, whose links it has just written: of
// all main profiles above, and of all members below any of these. A write that has read one of them before may go by what a merge
// that is made or ends is about to change, whatever profile of the person it writes to: it conflicts and starts over.
func (s *Service) touch(ctx context.Context, rec *domain.Record, m *mergeRecord, ids []ID) error {
	seen := map[ID]bool{}
	queue := slices.Clone(ids)
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		if seen[id] {
			continue
		}
		seen[id] = true
		row, err := s.stateOf(ctx, rec.Incarnation, id)
		if err != nil {
			return err
		}
		if row.links == nil {
			continue
		}
		queue = slices.AppendSeq(queue, row.links.Members())
		if into := row.links.Into; into != nil {
			queue = append(queue, into.Main)
		}
		if _, of := row.links.Linked(m.id); of {
			continue
		}
		if err := s.swapState(ctx, rec.Incarnation, id, func(st *fold.State) (bool, error) { return !st.Empty(), nil }); err != nil {
			return err
		}
	}
	return nil
}

// SettleLinks settles all merges of which a profile has open links. Writers call it before they read a profile to change it.
func (s *Service) SettleLinks(ctx context.Context, rec *domain.Record, id ID) error {
	row, err := s.stateOf(ctx, rec.Incarnation, id)
	if err != nil || row.links == nil {
		return err
	}
	return s.settleAll(ctx, rec, id, row.links.OpenMerges())
}

// settleAll settles merges of a profile, and removes its links of merges that have no record any more.
func (s *Service) settleAll(ctx context.Context, rec *domain.Record, id ID, open []fold.MergeID) error {
	for _, merge := range open {
		if _, err := s.settle(ctx, rec, merge); err != nil {
			return err
		}
		err := s.swapState(ctx, rec.Incarnation, id, func(st *fold.State) (bool, error) {
			m, err := s.loadMerge(ctx, rec.Incarnation, merge)
			if _, ok := st.Linked(merge); !ok || m != nil || err != nil {
				return false, err
			}
			st.Unlink(merge)
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
