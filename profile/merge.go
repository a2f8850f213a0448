package profile

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/store"
)

// A merge spans several partitions. It becomes visible by one Swap of its record; every prefix of it is valid:
//
//  1. the record is made, open;
//  2. every profile of it notes the merge in its row of ties, open too: so no two merges, and no deletion, take the same profile;
//  3. the contributions are copied into the main profile under sources that name the merge, which nobody believes yet;
//  4. the record is swapped to done: readers who meet an open tie ask it;
//  5. the ties are closed, so that readers need not ask.
//
// What meets a tie that has been open for longer than mergeLease aborts the merge, by a Swap of the record: a process that was
// frozen can't finish it any more. Copies that an aborted merge leaves are removed by the sweep.

const (
	mergeLease    = 30 * time.Second
	mergePatience = 10 * time.Second // of a caller whose profiles are busy
	// keepMerges is how long what a merge was made from is kept.
	keepMerges = 31 * 24 * time.Hour
	// maxSource bounds the source of a contribution that was merged over and over.
	maxSource = 1024
)

type mergeState string

const (
	mergeOpen    mergeState = "open"
	mergeDone    mergeState = "done"
	mergeAborted mergeState = "aborted"
)

// mergeRecord is the row of a merge, in the partition of the hour of its time.
type mergeRecord struct {
	State mergeState
	Main  ID
	From  []ID
	Began int64 // microseconds, by the clock

	id      mergeID
	version uint64
}

// mergesPrefix begins the partitions of merge records, in table jobs.
const mergesPrefix = "merges/"

func mergesPartition(inc store.Incarnation, at int64) store.Partition {
	return store.Partition{Table: store.Jobs, Incarnation: inc, Key: fmt.Sprintf("%s%08x", mergesPrefix, at/time.Hour.Microseconds())}
}

func decodeMerge(row store.Row) (*mergeRecord, error) {
	rec := &mergeRecord{version: row.Version}
	if copy(rec.id[:], row.Key) != len(rec.id) {
		return nil, fmt.Errorf("a merge's row key of %d bytes", len(row.Key))
	}
	return rec, json.Unmarshal(row.Value, rec)
}

// loadMerge returns the record of a merge, or nil.
func loadMerge(ctx context.Context, st store.Store, inc store.Incarnation, id mergeID) (*mergeRecord, error) {
	row, err := st.Get(ctx, mergesPartition(inc, id.at()), id[:])
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a merge: %w", err)
	}
	return decodeMerge(row)
}

// errBusy says that a merge met another change of one of its profiles.
var errBusy = errors.New("another change of a profile is under way")

// MergeProfiles moves everything of some profiles to a main one; they exist no more. A field that several have keeps the main
// profile's value, else that of the first in the request, unless the caller names the profile whose value to take. Behaviour:
// spec/core.md 5.5.
func (s *Service) MergeProfiles(ctx context.Context, in *api.MergeProfilesRequest) (*api.MergeProfilesResponse, error) {
	want := merged{By: caller(ctx)}
	main, _ := ParseID(*in.MainProfileId)
	all := []ID{main}
	for _, text := range in.ProfileIdsToBeMerged {
		id, _ := ParseID(text)
		if id == main {
			return nil, fault.BadRequestf("ProfileIdsToBeMerged names the main profile %s. Name only the profiles to be merged into it.", text)
		}
		if slices.Contains(all, id) {
			return nil, fault.BadRequestf("ProfileIdsToBeMerged names profile %s twice.", text)
		}
		all = append(all, id)
		want.From = append(want.From, branch{ID: id})
	}
	want.Fields = fieldSources(in.FieldSourceProfileIds)
	for field, id := range want.Fields {
		if !slices.Contains(all, id) {
			return nil, fault.BadRequestf("FieldSourceProfileIds names profile %s for %s, which is not one of the profiles of this merge.", id, strings.TrimPrefix(field, "Attributes."))
		}
	}
	err := patiently(ctx, func() error {
		rec, err := s.Domains.Read(ctx, *in.DomainName)
		if err != nil {
			return err
		}
		return s.merge(ctx, rec, main, want)
	})
	if err != nil {
		return nil, err
	}
	return &api.MergeProfilesResponse{Message: api.Ptr("OK")}, nil
}

// patiently tries again while profiles are busy with other merges, for as long as a caller is patient.
func patiently(ctx context.Context, do func() error) error {
	deadline := time.Now().Add(mergePatience)
	for {
		err := do()
		if !errors.Is(err, errBusy) {
			return err
		}
		if time.Now().After(deadline) {
			return fault.Throttledf("Other merges of the same profiles are under way. Try again.")
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// pause waits a little while, at random.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(2+mathrand.IntN(30)) * time.Millisecond):
		return nil
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
			out[field], _ = ParseID(*text)
		}
	}
	for name, text := range in.Attributes {
		out["Attributes."+name], _ = ParseID(text)
	}
	return out
}

// held is a profile that a merge has, or wants to have, tied.
type held struct {
	id      ID
	ties    ties
	version uint64 // of the row of ties
	tied    bool
}

// merge tries to do a merge. errBusy: nothing has happened, it may be tried again.
func (s *Service) merge(ctx context.Context, rec *domain.Record, main ID, m merged) (err error) {
	inc := rec.Incarnation
	all := []*held{{id: main}}
	for _, b := range m.From {
		all = append(all, &held{id: b.ID})
	}
	at := WriteTime(s.Now().UnixMicro(), 0, rec.LastJobTime)
	var unknown []string
	for _, h := range all {
		if err := s.hold(ctx, inc, h); err != nil {
			return err
		}
		r, err := s.read(ctx, inc, h.id)
		if err != nil {
			return err
		}
		if r.Profile(h.id) == nil {
			unknown = append(unknown, h.id.String())
		}
		at = WriteTime(at, newest(r.parts, &h.ties), 0)
	}
	if unknown != nil {
		return fault.BadRequestf("Unknown profile IDs: %s", strings.Join(unknown, ", "))
	}
	record := &mergeRecord{State: mergeOpen, Main: main, Began: s.Now().UnixMicro()}
	binary.BigEndian.PutUint64(record.id[:], uint64(at))
	_, _ = rand.Read(record.id[8:])
	m.Merge, m.Open = record.id, true
	m.From = slices.Clone(m.From)
	for i := range m.From {
		m.From[i].Of = all[1+i].ties.Of
		record.From = append(record.From, m.From[i].ID)
	}
	if err := s.swapMerge(ctx, inc, record, mergeOpen); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		ctx := context.WithoutCancel(ctx)
		if s.swapMerge(ctx, inc, record, mergeAborted) != nil {
			return // who meets the ties asks the record
		}
		for _, h := range all {
			if h.tied {
				_ = s.untie(ctx, inc, h.id, record.id, false) // who meets the ties asks the record
			}
		}
	}()

	order := slices.SortedFunc(slices.Values(all), func(a, b *held) int { return strings.Compare(string(a.id[:]), string(b.id[:])) })
	for _, h := range order {
		t := h.ties
		if h.id == main {
			t.Of = append(slices.Clip(t.Of), m)
		} else {
			t.Into = &passage{Merge: record.id, Main: main, Open: true, By: m.By}
		}
		if err := s.tie(ctx, inc, h, &t); err != nil {
			return err
		}
	}
	if err := s.bring(ctx, rec, main, m); err != nil {
		return err
	}
	// A key that came to be meanwhile may have been indexed before this profile was whole.
	now, err := s.Domains.Read(ctx, rec.Name)
	if err != nil {
		return err
	}
	if now.Incarnation != inc || len(now.Keys) != len(rec.Keys) {
		return errBusy
	}
	if err := s.swapMerge(ctx, inc, record, mergeDone); err != nil {
		return err
	}
	for _, h := range all {
		if s.untie(ctx, inc, h.id, record.id, true) != nil {
			break // it has happened all the same: who meets the ties asks the record
		}
	}
	return nil
}

// hold reads the ties of a profile. errBusy: a merge of it is under way.
func (s *Service) hold(ctx context.Context, inc store.Incarnation, h *held) error {
	t, version, err := tiesOf(ctx, s.Store, inc, h.id)
	if err != nil {
		return err
	}
	h.version = version
	if t == nil {
		return nil
	}
	h.ties = *t
	var open []mergeID
	if t.Into != nil && t.Into.Open {
		open = append(open, t.Into.Merge)
	}
	for _, m := range t.Of {
		if m.Open {
			open = append(open, m.Merge)
		}
	}
	for _, id := range open {
		done, err := s.decided(ctx, inc, id)
		if err != nil {
			return err
		}
		if err := s.untie(ctx, inc, h.id, id, done); err != nil {
			return err
		}
	}
	if open != nil {
		return errBusy // its row has changed
	}
	return nil
}

// decided says whether a merge has happened. errBusy: it is under way. One that takes too long is ended.
func (s *Service) decided(ctx context.Context, inc store.Incarnation, id mergeID) (bool, error) {
	record, err := loadMerge(ctx, s.Store, inc, id)
	if err != nil || record == nil {
		return false, err
	}
	if record.State == mergeOpen {
		if s.Now().UnixMicro()-record.Began < mergeLease.Microseconds() {
			return false, errBusy
		}
		if err := s.swapMerge(ctx, inc, record, mergeAborted); err != nil {
			return false, err
		}
	}
	return record.State == mergeDone, nil
}

// swapMerge gives a merge's record a state. errBusy: another process was faster.
func (s *Service) swapMerge(ctx context.Context, inc store.Incarnation, m *mergeRecord, state mergeState) error {
	changed := *m
	changed.State = state
	value, err := json.Marshal(changed, json.Deterministic(true))
	if err != nil {
		return err
	}
	changed.version, err = s.Store.Swap(ctx, mergesPartition(inc, m.id.at()), []store.Swap{{Key: m.id[:], Value: value, Expect: m.version}})
	if errors.Is(err, store.ErrConflict) {
		return errBusy
	}
	if err != nil {
		return fmt.Errorf("write a merge: %w", err)
	}
	*m = changed
	return nil
}

// tie swaps the ties of a living profile. errBusy: they have changed, or the profile was deleted.
func (s *Service) tie(ctx context.Context, inc store.Incarnation, h *held, t *ties) error {
	value, err := t.encode()
	if err != nil {
		return err
	}
	_, err = s.Store.Swap(ctx, Partition(inc, h.id), []store.Swap{
		{Key: tiesKey, Value: value, Expect: h.version},
		{Key: tombstoneKey, Op: store.Check},
	})
	switch {
	case errors.Is(err, store.ErrConflict):
		return errBusy
	case errors.Is(err, store.ErrTooLarge):
		return fault.BadRequestf("Profile %s has been merged with too many others.", h.id)
	case err != nil:
		h.tied = errors.Is(err, store.ErrUnknown)
		return fmt.Errorf("tie a profile: %w", err)
	}
	h.tied = true
	return nil
}

// untie closes the tie of a merge that has happened, and removes that of one that has not.
func (s *Service) untie(ctx context.Context, inc store.Incarnation, id ID, m mergeID, done bool) error {
	for {
		t, version, err := tiesOf(ctx, s.Store, inc, id)
		if err != nil || t == nil {
			return err
		}
		err = t.settle(func(open mergeID) (bool, error) { return open != m || done, nil })
		if err != nil {
			return err
		}
		if t.Into != nil && t.Into.Merge == m {
			t.Into.Open = false
		}
		for i := range t.Of {
			if t.Of[i].Merge == m {
				t.Of[i].Open = false
			}
		}
		op := store.Swap{Key: tiesKey, Op: store.Delete, Expect: version}
		if !t.empty() {
			op.Op = store.Put
			if op.Value, err = t.encode(); err != nil {
				return err
			}
		}
		if _, err = s.Store.Swap(ctx, Partition(inc, id), []store.Swap{op}); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// bring copies the contributions of a merge's profiles into the main one.
func (s *Service) bring(ctx context.Context, rec *domain.Record, main ID, m merged) error {
	r, err := s.read(ctx, rec.Incarnation, main)
	if err != nil {
		return err
	}
	var fresh []sourced
	for i, b := range m.From {
		from, err := s.read(ctx, rec.Incarnation, b.ID)
		if err != nil {
			return err
		}
		for _, part := range from.parts {
			part.source = m.Merge.path(i) + part.source
			if len(part.source) > maxSource {
				return fault.BadRequestf("Profile %s has been merged too many times, one into the other.", b.ID)
			}
			fresh = append(fresh, part)
		}
	}
	return s.add(ctx, rec, main, r.parts, fresh, m.Merge.at())
}

// add writes contributions of other profiles into one, with their index rows. It may be repeated.
func (s *Service) add(ctx context.Context, rec *domain.Record, id ID, have, fresh []sourced, at int64) error {
	if len(fresh) == 0 {
		return nil
	}
	all := slices.Concat(have, fresh)
	var index, rows []store.RunRow
	for _, part := range fresh {
		part.Extra = distinct(append(slices.Clip(part.Extra), mixed(part.Contribution, all, rec.Keys)...))
		for _, k := range part.IndexKeys(rec.Keys) {
			index = append(index, indexRunRow(rec.Incarnation, k, id, part.source, store.Mutation{Time: at}))
		}
		rows = append(rows, contributionRunRow(rec.Incarnation, id, part.source, store.Mutation{Value: part.Append(nil), Time: at}))
	}
	return s.Store.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows(index)}, store.Run{Table: store.Profile, Rows: store.SortRows(rows)})
}

// merges streams the merges from a time on, roughly in the order of their times, each when it is decided; those that did not happen
// are left out.
func (s *Service) merges(ctx context.Context, rec *domain.Record, since int64) iter.Seq2[*mergeRecord, error] {
	return func(yield func(*mergeRecord, error) bool) {
		inc, hour := rec.Incarnation, time.Hour.Microseconds()
		// A merge may be ahead of the clock, behind a job that is.
		for at := since; at < max(s.Now().UnixMicro(), rec.LastJobTime)+hour; at += hour {
			for row, err := range s.Store.Scan(ctx, mergesPartition(inc, at), store.Range{}) {
				if err != nil {
					yield(nil, fmt.Errorf("list merges: %w", err))
					return
				}
				m, err := decodeMerge(row)
				for err == nil && m != nil && m.State == mergeOpen {
					if _, err = s.decided(ctx, inc, m.id); errors.Is(err, errBusy) {
						err = pause(ctx)
					}
					if err == nil {
						m, err = loadMerge(ctx, s.Store, inc, m.id)
					}
				}
				if err == nil && (m == nil || m.State != mergeDone) {
					continue
				}
				if !yield(m, err) || err != nil {
					return
				}
			}
		}
	}
}

// sinceImport is from when on merges may have moved something of an import: clocks of nodes may differ a little.
func sinceImport(jobTime int64) int64 { return jobTime - (10 * time.Minute).Microseconds() }

// FollowImport copies what an import has written to profiles that were merged into others since it got its turn. It holds the
// domain's turn, and may be repeated.
func (s *Service) FollowImport(ctx context.Context, rec *domain.Record, jobTime int64) error {
	for m, err := range s.merges(ctx, rec, sinceImport(jobTime)) {
		if err != nil {
			return err
		}
		main, err := s.read(ctx, rec.Incarnation, m.Main)
		if err != nil {
			return err
		}
		var fresh []sourced
		for i, id := range m.From {
			parts, err := s.partsOf(ctx, rec.Incarnation, id, jobTime)
			if err != nil {
				return err
			}
			for _, part := range parts {
				part.source = m.id.path(i) + part.source
				if main.ties.knows(part.source) && !slices.ContainsFunc(main.parts, func(p sourced) bool { return p.source == part.source }) {
					fresh = append(fresh, part.sourced)
				}
			}
		}
		if err := s.add(ctx, rec, m.Main, main.parts, fresh, m.id.at()); err != nil {
			return err
		}
	}
	return nil
}

// partsOf returns the contributions of an import in a profile, whether it is one still or has been merged.
func (s *Service) partsOf(ctx context.Context, inc store.Incarnation, id ID, jobTime int64) (parts []storedPart, err error) {
	for row, err := range s.Store.Scan(ctx, Partition(inc, id), store.Prefix(contributionPrefix)) {
		if err != nil {
			return nil, fmt.Errorf("read a profile: %w", err)
		}
		_, first := splitSource(sourceOf(row.Key))
		if at, ok := ImportTime(first); !ok || at != jobTime {
			continue
		}
		p, err := decodePart(row)
		if err != nil {
			return nil, fmt.Errorf("profile %s: %w", id, err)
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// ForgetImport removes what merges have copied of an import that is being undone, when the import's own contributions are gone. It
// holds the domain's turn, and may be repeated.
func (s *Service) ForgetImport(ctx context.Context, rec *domain.Record, jobTime int64) error {
	for m, err := range s.merges(ctx, rec, sinceImport(jobTime)) {
		if err != nil {
			return err
		}
		parts, err := s.partsOf(ctx, rec.Incarnation, m.Main, jobTime)
		if err != nil {
			return err
		}
		parts = slices.DeleteFunc(parts, func(p storedPart) bool { path, _ := splitSource(p.source); return path == "" })
		if err := s.remove(ctx, rec, m.Main, parts); err != nil {
			return err
		}
	}
	return nil
}

// remove takes contributions out of a profile: they become invisible at once; then their index rows go, and they last.
func (s *Service) remove(ctx context.Context, rec *domain.Record, id ID, parts []storedPart) error {
	if len(parts) == 0 {
		return nil
	}
	r, err := s.read(ctx, rec.Incarnation, id)
	if err != nil {
		return err
	}
	var own []IndexKey // of the domain's keys, which parts may be indexed by together
	if p := r.Profile(id); p != nil {
		own = p.OwnKeys(rec.Keys)
	}
	var index []store.RunRow
	var hide, gone []store.Mutation
	for _, part := range parts {
		for _, k := range append(part.IndexKeys(rec.Keys), own...) {
			index = append(index, indexRunRow(rec.Incarnation, k, id, part.source, store.Mutation{Delete: true, Time: part.time + 1}))
		}
		expired := *part.Contribution
		expired.Expires = 1
		key := ContributionKey(part.source)
		hide = append(hide, store.Mutation{Key: key, Value: expired.Append(nil), Time: part.time + 1})
		gone = append(gone, store.Mutation{Key: key, Delete: true, Time: part.time + 1})
	}
	partition := Partition(rec.Incarnation, id)
	if err := s.Store.Write(ctx, partition, hide); err != nil {
		return err
	}
	if err := s.Store.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows(index)}); err != nil {
		return err
	}
	return s.Store.Write(ctx, partition, gone)
}
