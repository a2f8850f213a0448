package profile

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"time"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/profile/change"
	"kith/profile/fingerprint"
	"kith/profile/fold"
	"kith/store"
)

// A merge is membership: a record of its own (settle.go), and a link in the state row of each profile that takes part. Besides these it
// writes index rows of the full names that show by it, and nothing that its profiles own. So it can be taken back (unmerge.go).
//
// It spans several partitions, and happens by one Swap of its record. A change row announces it first, so that the completer takes it to its
// end if nobody else does (announceMerge). merge and Unmerge do step 1; settle does the others, by make and end:
//
//	MERGE                                       UNMERGE
//	1. the record is inserted, open             1. the main profile's link is marked as ending (beginUnmerge)
//	2. each profile, lowest id first, gets its  2. the record becomes ending, then each other link is marked as ending, and all
//	   link, marked as making (place), and all     other state rows of the person get new versions (touch); the
//	   other state rows of these persons new       merge still holds
//	   versions (touch)
//	3. the record becomes done, with the time   3. the record becomes undone, with a time that nothing written before is later than
//	   of the merge (newest)
//	4. the links are closed                     4. the links are removed
//	                                            5. the history is told, objects go where their keys are (tidy), and the record says so
//
// While a link is open only the record says whether a link holds: readers ask it (holds). A writer that meets an open link does not wait for
// whoever left it there: it rolls the merge forward from the record (settle), from any step, and any number of them may do so at once.
// So a process that dies or freezes at any point delays nobody. A merge that the server makes by itself is aborted instead of step 3 if of two of its
// persons somebody has said that they are not the same (areApart, Decided). What makes that safe:
//
//   - A link is written by a Swap of the state row that expects the version that was read, and every Swap of a head or a tombstone checks
//     the state row. So when all links of a merge are in place, its profiles stand still until it is decided: that is when its time is
//     chosen, later than everything in them.
//   - Links are placed in the order of ids, and a link of another merge that stands in the way is settled first. So of two merges
//     that share profiles the one with the lowest of them goes first, and no two wait for each other.
//   - An unmerge begins at the state row of the main profile, where a deletion has its tombstone: of the two one meets the other. A deleted
//     person's members get tombstones from the main profile down, before anything of them is removed (erase): so an unmerge frees all
//     members of a merge, whole, or none.
//   - An unmerge changes every state row, even one whose link is open already. So a helper that read "done" long ago, and
//     would now close a link, meets a conflict; and so does a write that has read the profile before.
//   - A write that goes by what a merge changes may be one to any profile of the person: to the main one above, or to a member, where an object
//     is. So before either is decided all state rows of the person have got new versions.
//   - A record never goes back, except from done to ending. A helper that is late places at worst an open link of a merge that does
//     not hold: a hint that nobody believes, removed by the next writer.

// The limits of persons. A reader reads a level of merges at a time.
const (
	MaxMembers = 500
	MaxLevels  = 20
)

// mergePatience is how long a caller waits while others win every race for its profiles.
const mergePatience = 10 * time.Second

// errRefused says that a merge can't be: a profile of it is gone, or it would be larger than merges may be. It comes with a fault.BadRequest.
var errRefused = errors.New("the merge can't be")

func refused(format string, args ...any) error {
	return errors.Join(fault.BadRequestf(format, args...), errRefused)
}

// errBusy says that another change was faster: what was to happen has not been decided by this attempt, and it may be made again.
var errBusy = errors.New("another change of a profile is under way")

// What Merge returns when there is no merge. ErrBusy: another change was faster, and it may be asked for again by another id. ErrRefused, with
// a fault.BadRequest: a profile is gone, or the person would be larger than persons may be.
var (
	ErrBusy    = errBusy
	ErrRefused = errRefused
)

// ErrApart comes with ErrRefused where somebody has said that two of the persons are not the same.
var ErrApart = errors.New("persons are said not to be the same")

// Merging is a merge that is asked for by the server itself.
type Merging struct {
	// ID is its id, of fold.NewMergeID: who notes it beforehand can ask later what became of it (Merged).
	ID     fold.MergeID
	Main   ID
	From   []ID
	Fields map[string]ID // fold.Merge.Fields
	By     string        // who did it, for the history and the provenance
}

// Merge makes a merge, by one attempt.
func (s *Service) Merge(ctx context.Context, rec *domain.Record, m Merging) error {
	return s.merge(ctx, rec, mergeRecord{Main: m.Main, From: m.From, Fields: m.Fields, By: m.By, Automatic: true, id: m.ID})
}

// Merged takes a merge to its end if somebody has begun it, and says whether it was made, perhaps to be taken back since. One that nobody
// has begun was not.
func (s *Service) Merged(ctx context.Context, rec *domain.Record, id fold.MergeID) (bool, error) {
	state, err := s.settle(ctx, rec, id)
	return state == mergeDone || state == mergeUndone, err
}

// MergeProfiles makes profiles members of a main one; they exist no more by themselves. A field that several have keeps the main
// profile's value, else that of the first in the request, unless the caller names the profile whose value to take. Behaviour:
// docs/spec/core.md 5.5.
func (s *Service) MergeProfiles(ctx context.Context, in *api.MergeProfilesRequest) (*api.MergeProfilesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	want := mergeRecord{By: caller(ctx)}
	want.Main, _ = fold.ParseID(*in.MainProfileId)
	all := []ID{want.Main}
	for _, text := range in.ProfileIdsToBeMerged {
		id, _ := fold.ParseID(text)
		if id == want.Main {
			return nil, fault.BadRequestf("ProfileIdsToBeMerged names the main profile %s. Name only the profiles to be merged into it.", text)
		}
		if slices.Contains(all, id) {
			return nil, fault.BadRequestf("ProfileIdsToBeMerged names profile %s twice.", text)
		}
		all = append(all, id)
		want.From = append(want.From, id)
	}
	want.Fields = fieldSources(in.FieldSourceProfileIds)
	for field, id := range want.Fields {
		if !slices.Contains(all, id) {
			return nil, fault.BadRequestf("FieldSourceProfileIds names profile %s for %s, which is not one of the profiles of this merge.", id, strings.TrimPrefix(field, "Attributes."))
		}
	}
	if err := patiently(ctx, func() error { return s.merge(ctx, rec, want) }); err != nil {
		return nil, err
	}
	return &api.MergeProfilesResponse{Message: api.Ptr("OK")}, nil
}

// patiently tries again while others are faster, for as long as a caller is patient.
func patiently(ctx context.Context, do func() error) error {
	deadline := time.Now().Add(mergePatience)
	for {
		err := do()
		if !errors.Is(err, errBusy) {
			return err
		}
		if time.Now().After(deadline) {
			return fault.Throttledf("Other changes of the same profiles are under way. Try again.")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(2+mathrand.IntN(30)) * time.Millisecond):
		}
	}
}

// fieldSources returns the choices of a request by field.
func fieldSources(in *api.FieldSourceProfileIds) map[string]ID {
	if in == nil {
		return nil
	}
	out := map[string]ID{}
	for field, text := range map[string]*string{
		"AccountNumber": in.AccountNumber, "AdditionalInformation": in.AdditionalInformation, "PartyType": in.PartyType,
		"BusinessName": in.BusinessName, "FirstName": in.FirstName, "MiddleName": in.MiddleName, "LastName": in.LastName,
		"BirthDate": in.BirthDate, "Gender": in.Gender, "PhoneNumber": in.PhoneNumber, "MobilePhoneNumber": in.MobilePhoneNumber,
		"HomePhoneNumber": in.HomePhoneNumber, "BusinessPhoneNumber": in.BusinessPhoneNumber, "EmailAddress": in.EmailAddress,
		"PersonalEmailAddress": in.PersonalEmailAddress, "BusinessEmailAddress": in.BusinessEmailAddress, "Address": in.Address,
		"ShippingAddress": in.ShippingAddress, "MailingAddress": in.MailingAddress, "BillingAddress": in.BillingAddress,
		"ProfileType": in.ProfileType, "EngagementPreferences": in.EngagementPreferences,
	} {
		if text != nil {
			out[field], _ = fold.ParseID(*text)
		}
	}
	for name, text := range in.Attributes {
		out["Attributes."+name], _ = fold.ParseID(text)
	}
	return out
}

// merge makes a merge, by its id if it has one. errBusy: nothing has happened, because another merge or deletion was faster.
func (s *Service) merge(ctx context.Context, rec *domain.Record, want mergeRecord) error {
	all := append([]ID{want.Main}, want.From...)
	for _, id := range all {
		if err := s.SettleLinks(ctx, rec, id); err != nil {
			return err
		}
	}
	mains, err := s.loadMains(ctx, rec.Incarnation, all)
	if err != nil {
		return err
	}
	var unknown []string
	members, levels, objects, bytes := 0, 0, 0, int64(0)
	for _, id := range all {
		p := mains[id]
		if p == nil {
			unknown = append(unknown, id.String())
			continue
		}
		p.Walk(func(m *fold.Member) {
			members++
			if m.Head != nil {
				n, b := m.Head.Owned(s.Now().UnixMicro(), rec.Dead())
				objects, bytes = objects+n, bytes+b
			}
		})
		if n := p.Levels(); id != want.Main {
			levels = max(levels, n+1)
		} else {
			levels = max(levels, n)
		}
	}
	switch {
	case unknown != nil:
		return refused("Unknown profile IDs: %s", strings.Join(unknown, ", "))
	case objects > s.Writer.Limits().Objects || bytes > s.Writer.Limits().Bytes:
		return refused("The merge would make a profile of %d objects with %d bytes; %d with %d bytes are possible. Delete objects first.", objects, bytes, s.Writer.Limits().Objects, s.Writer.Limits().Bytes)
	case members > MaxMembers:
		return refused("The merge would make a profile of %d profiles; %d are possible.", members, MaxMembers)
	case levels > MaxLevels:
		return refused("The profiles have been merged too many times, one into the other: %d levels, and %d are possible.", levels, MaxLevels)
	}
	if apart, err := s.areApart(ctx, rec, &want); err != nil {
		return err
	} else if apart {
		return errors.Join(refused("Of two of the profiles somebody has answered that they are not the same."), ErrApart)
	}
	if want.State = mergeOpen; want.id == (fold.MergeID{}) {
		want.id = s.NewMergeID()
	}
	if err := s.announceMerge(ctx, rec, want.Main, want.id); err != nil {
		return err
	}
	if err := s.beginMerge(ctx, rec.Incarnation, &want); err != nil {
		return err
	}
	state, err := s.settle(ctx, rec, want.id)
	if err == nil && state != mergeDone {
		return errBusy
	}
	return err
}

// NewMergeID mints the id of a merge that is about to be asked for.
func (s *Service) NewMergeID() fold.MergeID {
	var random [4]byte
	_, _ = rand.Read(random[:])
	return fold.NewMergeID(s.Now().UnixMicro(), binary.BigEndian.Uint32(random[:]))
}

// Unmerge takes a merge back: every member of it is a profile by itself again, as it was and with what was imported to it since. It
// returns fault.NotFound when there is no such merge.
func (s *Service) Unmerge(ctx context.Context, rec *domain.Record, id fold.MergeID) error {
	return patiently(ctx, func() error {
		m, err := s.loadMerge(ctx, rec.Incarnation, id)
		if err != nil {
			return err
		}
		if m == nil || m.State == mergeAborted || m.State == mergeUndone {
			return fault.NotFoundf("There is no such merge in domain %s.", rec.Name)
		}
		if m.State == mergeDone {
			if err := s.announceMerge(ctx, rec, m.Main, id); err != nil {
				return err
			}
			if err := s.swapMerge(ctx, rec.Incarnation, m, func(m *mergeRecord) { m.EndedBy = caller(ctx) }); err != nil {
				return err
			}
			if err := s.beginUnmerge(ctx, rec, m); err != nil {
				return err
			}
		}
		state, err := s.settle(ctx, rec, id)
		if err == nil && state != mergeUndone {
			return errBusy
		}
		return err
	})
}

// beginUnmerge marks the main profile's link of a merge as ending. From then on whoever meets it takes the merge back.
func (s *Service) beginUnmerge(ctx context.Context, rec *domain.Record, m *mergeRecord) error {
	gone := fault.BadRequestf("Profile %s was deleted; its merges can't be taken back.", m.Main)
	for id := m.Main; ; {
		if err := s.SettleLinks(ctx, rec, id); err != nil { // only links that hold lead upwards
			return err
		}
		row, err := s.stateOf(ctx, rec.Incarnation, id)
		switch {
		case err != nil:
			return err
		case row.links != nil && row.links.Deleted != nil:
			return gone
		case row.links == nil || row.links.Into == nil:
			return s.swapState(ctx, rec.Incarnation, m.Main, func(st *fold.State) (bool, error) {
				if st.Deleted != nil {
					return false, gone
				}
				open, ok := st.Linked(m.id)
				if !ok || open == fold.Ending {
					return false, nil
				}
				st.Reopen(m.id)
				return true, nil
			})
		}
		id = row.links.Into.Main
	}
}

// announceMerge has others told of a merge, and has it taken to its end if that is not done here.
func (s *Service) announceMerge(ctx context.Context, rec *domain.Record, main ID, id fold.MergeID) error {
	row := &change.Row{ID: main, Kind: change.Merged}
	copy(row.Call[:], id[:])
	return s.Feed.AnnounceBeyond(ctx, rec.Incarnation, row)
}

// MergeImported merges a profile that an import made into one that an object made for the same key meanwhile. If one of them is gone,
// or the merge would be larger than merges may be, it does nothing.
func (s *Service) MergeImported(ctx context.Context, rec *domain.Record, main, imported ID, by string) error {
	err := patiently(ctx, func() error { return s.merge(ctx, rec, mergeRecord{Main: main, From: []ID{imported}, By: by}) })
	if errors.Is(err, errRefused) {
		return nil
	}
	return err
}

// indexMerged puts index rows for what a merge will show and none of its profiles has shown alone: a full name of parts of several. A
// merge that does not happen leaves them as hints.
func (s *Service) indexMerged(ctx context.Context, rec *domain.Record, m *mergeRecord, ids []ID, at int64) error {
	now := s.Now().UnixMicro()
	all, err := s.readAll(ctx, rec.Incarnation, ids, now)
	if err == nil {
		err = s.withMembers(ctx, rec.Incarnation, all, now)
	}
	if err != nil {
		return err
	}
	main := fold.Member{ID: m.Main}
	if p := all[m.Main]; p != nil {
		main = p.Member
	}
	state := &fold.State{}
	if main.State != nil {
		state = main.State.Clone()
	}
	state.Merges = append(state.Merges, fold.Merge{ID: m.id, At: at, From: m.From, Fields: m.Fields})
	main.State = state
	of := maps.Clone(main.Of)
	if of == nil {
		of = map[ID]*fold.Member{}
	}
	for _, id := range m.From {
		if p := all[id]; p != nil {
			of[id] = &p.Member
		}
	}
	main.Of = of
	return s.putFullNames(ctx, rec, at, &main)
}

// indexUnmerged puts index rows for the full names that profiles show when a merge has been taken back: those that became members by it,
// and the person that they leave. What was written since the merge may have combined with what each of them has alone.
func (s *Service) indexUnmerged(ctx context.Context, rec *domain.Record, m *mergeRecord) error {
	all, err := s.readPeople(ctx, rec.Incarnation, append([]ID{m.Main}, m.From...), s.Now().UnixMicro())
	if err != nil {
		return err
	}
	at := fold.WriteTime(s.Now().UnixMicro(), 0, rec.LastJobTime)
	for _, p := range all {
		at = fold.WriteTime(at, p.Newest(), 0)
	}
	for _, p := range all {
		if p.State != nil {
			p.State.Unlink(m.id)
		}
	}
	var shown []*fold.Member
	for _, id := range append([]ID{m.Main}, m.From...) {
		p := all[id]
		for p != nil && p.State != nil && p.State.Into != nil {
			p = all[p.State.Into.Main]
		}
		if p != nil {
			shown = append(shown, &p.Member)
		}
	}
	return s.putFullNames(ctx, rec, at, shown...)
}

// stateRow is a profile's state row: nil links when there is none.
type stateRow struct {
	links   *fold.State
	version uint64
}

func (s *Service) stateOf(ctx context.Context, inc store.Incarnation, id ID) (stateRow, error) {
	row, err := s.Store.Get(ctx, Partition(inc, id), stateKey)
	if errors.Is(err, store.ErrNotFound) {
		return stateRow{}, nil
	}
	if err != nil {
		return stateRow{}, fmt.Errorf("read the merges of a profile: %w", err)
	}
	links, err := fold.DecodeState(row.Value)
	return stateRow{links, row.Version}, err
}

// swapState changes a profile's state row; change returns false when there is nothing to do. A state that says nothing is removed.
func (s *Service) swapState(ctx context.Context, inc store.Incarnation, id ID, change func(*fold.State) (bool, error)) error {
	for {
		row, err := s.stateOf(ctx, inc, id)
		if err != nil {
			return err
		}
		if row.links == nil {
			row.links = &fold.State{}
		}
		ok, err := change(row.links)
		if err != nil || !ok {
			return err
		}
		op := store.Swap{Key: stateKey, Op: store.Delete, Expect: row.version}
		if !row.links.Empty() {
			op.Op, op.Value = store.Put, row.links.Append(nil)
		} else if row.version == 0 {
			return nil
		}
		if row.version == 0 {
			mark := fingerprint.Mark(inc, id, s.Now().UnixMicro())
			_, err = s.Store.Commit(ctx, store.Group{Before: []store.PartitionWrite{mark}, Partition: Partition(inc, id), Swap: []store.Swap{op}})
		} else {
			_, err = s.Store.Swap(ctx, Partition(inc, id), []store.Swap{op})
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrUnknown) { // unknown: read again
			if err != nil {
				err = fmt.Errorf("write the merges of a profile: %w", err)
			}
			return err
		}
	}
}

// Made is a merge as its record tells it.
type Made struct {
	Main ID
	From []ID
	By   string
	At   int64 // microseconds
	// Holds says that it has not been taken back.
	Holds bool
}

// MergeNamed returns a merge that was made, or nil.
func (s *Service) MergeNamed(ctx context.Context, rec *domain.Record, id fold.MergeID) (*Made, error) {
	m, err := s.loadMerge(ctx, rec.Incarnation, id)
	if err != nil || m == nil || m.State == mergeOpen || m.State == mergeAborted {
		return nil, err
	}
	return m.made(), nil
}

func (m *mergeRecord) made() *Made {
	return &Made{Main: m.Main, From: m.From, By: m.By, At: m.At, Holds: m.State == mergeDone}
}

// Revisit has those who follow the feed of changes look at a profile again, though nothing of it has changed: by announcing a merge that will
// never be.
func (s *Service) Revisit(ctx context.Context, rec *domain.Record, id ID) error {
	return s.announceMerge(ctx, rec, id, s.NewMergeID())
}
