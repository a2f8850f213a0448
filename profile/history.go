package profile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"kith/access"
	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/internal/restjson"
	"kith/profile/change"
	"kith/profile/fold"
)

// A profile's history is derived from what there is: its contributions, its state, and the record of imports that were
// undone. Nothing is written for it, so an import costs nothing more, and it reaches back as far as these are kept.

// historyRecord is one record of a profile's history.
type historyRecord struct {
	id     string
	at     int64
	row    int64
	action api.ActionType
	by     string
	// shown says that content is what the profile was after it.
	shown bool
}

// profileType is the object type of records about profiles themselves.
const profileType = "_profile"

// Who performed the records of no caller.
const (
	byUpload    = "upload-job/" // and the job's id
	byUndo      = "/undo"       // behind it
	byCompacted = "upload-job"  // of several jobs, which have been compacted
)

func newRecord(at, row int64, action api.ActionType, by, source string, shown bool) historyRecord {
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, []int64{at, row})
	_, _ = fmt.Fprintf(h, "%s\x00%s\x00%s", action, by, source)
	return historyRecord{hex.EncodeToString(h.Sum(nil)[:16]), at, row, action, by, shown}
}

// caller names who sent a request.
func caller(ctx context.Context) string {
	who := access.From(ctx)
	if who.KeyID == "" {
		return ""
	}
	return "arn:aws:iam::" + access.AccountID + ":user/" + who.KeyID
}

// past is all that is known of a profile's past.
type past struct {
	*stored                 // visible or expired, with its members
	records []historyRecord // newest first
}

// remember gathers the past of a profile. It is fault.NotFound when there is none.
func (s *Service) remember(ctx context.Context, rec *domain.Record, id ID) (*past, error) {
	imports, err := s.Feed.Imports(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	all, err := s.readAll(ctx, rec.Incarnation, []ID{id}, 0) // as of a time when nothing had expired
	if err == nil {
		err = s.withMembers(ctx, rec.Incarnation, all, 0)
	}
	if err != nil {
		return nil, err
	}
	p := &past{stored: all[id]}
	if p.stored == nil {
		p.stored = &stored{Member: fold.Member{ID: id}}
	}
	p.noteImports(imports)
	p.noteState()
	for _, j := range imports {
		if j.UndoneAt == 0 {
			continue
		}
		rows, err := s.Runs.Wrote(ctx, rec.Incarnation, j.Job, id)
		if err != nil {
			return nil, err
		}
		p.noteUndo(j, rows)
	}
	if p.records == nil {
		return nil, fault.NotFoundf("Profile %s is not found in domain %s.", id, rec.Name)
	}
	slices.SortFunc(p.records, func(a, b historyRecord) int {
		return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(b.row, a.row), strings.Compare(a.id, b.id))
	})
	return p, nil
}

func (p *past) note(d historyRecord) { p.records = append(p.records, d) }

// noteImports notes the contributions that are there.
func (p *past) noteImports(imports []change.Import) {
	for _, part := range p.Parts {
		by := byCompacted
		at, isImport := ImportTime(part.Source)
		if i := slices.IndexFunc(imports, func(j change.Import) bool { return isImport && j.Time == at }); i >= 0 {
			by = byUpload + imports[i].Job
		}
		p.note(newRecord(part.Stamp.Time, part.Stamp.Row, api.ActionTypeIngested, by, part.Source, true))
	}
}

// noteState notes merges and the deletion.
func (p *past) noteState() {
	if p.State == nil {
		return
	}
	for _, m := range p.State.Merges {
		p.note(newRecord(m.At, 0, api.ActionTypeMerged, m.By, string(m.ID[:]), true))
	}
	if into := p.State.Into; into != nil {
		p.note(newRecord(into.At, 0, api.ActionTypeDeletedByMerge, into.By, string(into.Merge[:]), false))
	}
	if d := p.State.Deleted; d != nil {
		p.note(newRecord(d.At, 0, api.ActionTypeDeletedByCustomer, d.By, "", false))
	}
}

// noteUndo notes an import that was undone, if it wrote rows to the profile.
func (p *past) noteUndo(j change.Import, rows []int64) {
	if rows == nil {
		return
	}
	for _, row := range rows {
		source := string(AppendImportSource(nil, j.Time, row))
		p.note(newRecord(j.Time, row, api.ActionTypeIngested, byUpload+j.Job, source, false))
	}
	action := api.ActionTypeUpdated
	if p.asOf(j.UndoneAt, 0) == nil {
		action = api.ActionTypeDeletedByCustomer
	}
	p.note(newRecord(j.UndoneAt, 0, action, byUpload+j.Job+byUndo, "", action == api.ActionTypeUpdated))
}

// asOf returns the profile as it was when a row of a time had been written, as far as what it was made of is still there; row 0 is
// all of that time.
func (p *past) asOf(at, row int64) *fold.Profile {
	return memberAsOf(&p.Member, at, row).Profile()
}

func memberAsOf(m *fold.Member, at, row int64) *fold.Member {
	then := &fold.Member{ID: m.ID}
	before := func(values []fold.Value) []fold.Value {
		return slices.DeleteFunc(slices.Clone(values), func(v fold.Value) bool {
			return v.Expires != 0 && v.Expires <= at || v.Stamp.Time > at || v.Stamp.Time == at && row > 0 && v.Stamp.Row > row
		})
	}
	for _, part := range m.Parts {
		if part.Stamp.Time > at || part.Stamp.Time == at && row > 0 && part.Stamp.Row > row || part.Expires <= at {
			continue
		}
		c := *part.Contribution
		c.Values = before(c.Values)
		then.Parts = append(then.Parts, fold.Part{Source: part.Source, Contribution: &c})
	}
	if m.Head != nil {
		if values := before(m.Head.Values); len(values) > 0 {
			then.Head = &fold.Head{Time: m.Head.Time, Expires: m.Head.Expires, Values: values}
		}
	}
	if m.State != nil {
		then.State = &fold.State{Merges: slices.DeleteFunc(slices.Clone(m.State.Merges), func(g fold.Merge) bool { return g.At > at })}
		then.Of = map[ID]*fold.Member{}
		for _, g := range then.State.Merges {
			for _, id := range g.From {
				if of := m.Of[id]; of != nil {
					then.Of[id] = memberAsOf(of, at, row)
				}
			}
		}
	}
	return then
}

// defaultHistoryPage is how many records a page has when the caller does not say.
const defaultHistoryPage = 20

// ListProfileHistoryRecords lists what happened to a profile, newest first; also to one that is gone. The filters are exact. Behaviour:
// docs/spec/core.md 5.6.
func (s *Service) ListProfileHistoryRecords(ctx context.Context, in *api.ListProfileHistoryRecordsRequest) (*api.ListProfileHistoryRecordsResponse, error) {
	p, err := s.pastOf(ctx, *in.DomainName, *in.ProfileId)
	if err != nil {
		return nil, err
	}
	records := p.records
	if in.NextToken != nil {
		i := slices.IndexFunc(records, func(d historyRecord) bool { return d.id == *in.NextToken })
		if i < 0 {
			return nil, fault.BadRequestf("NextToken is not valid any more: the history has changed. List it from the start.")
		}
		records = records[i+1:]
	}
	limit := defaultHistoryPage
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	out := &api.ListProfileHistoryRecordsResponse{ProfileHistoryRecords: []api.ProfileHistoryRecord{}}
	for _, d := range records {
		if in.ActionType != nil && d.action != *in.ActionType || in.PerformedBy != nil && d.by != *in.PerformedBy ||
			in.ObjectTypeName != nil && *in.ObjectTypeName != profileType {
			continue
		}
		if n := len(out.ProfileHistoryRecords); n == limit {
			out.NextToken = out.ProfileHistoryRecords[n-1].Id
			break
		}
		out.ProfileHistoryRecords = append(out.ProfileHistoryRecords, d.wire())
	}
	return out, nil
}

// GetProfileHistoryRecord returns one record, with the profile as it was after it where that can still be told.
func (s *Service) GetProfileHistoryRecord(ctx context.Context, in *api.GetProfileHistoryRecordRequest) (*api.GetProfileHistoryRecordResponse, error) {
	p, err := s.pastOf(ctx, *in.DomainName, *in.ProfileId)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(p.records, func(d historyRecord) bool { return d.id == *in.Id })
	if i < 0 {
		return nil, fault.NotFoundf("Profile %s has no history record %s.", *in.ProfileId, *in.Id)
	}
	d := p.records[i]
	r := d.wire()
	out := &api.GetProfileHistoryRecordResponse{Id: r.Id, ObjectTypeName: r.ObjectTypeName, CreatedAt: r.CreatedAt, ActionType: r.ActionType, PerformedBy: r.PerformedBy}
	if then := p.asOf(d.at, d.row); d.shown && then != nil {
		b, err := restjson.Encode(wire(then))
		if err != nil {
			return nil, err
		}
		out.Content = api.Ptr(string(b))
	}
	return out, nil
}

func (s *Service) pastOf(ctx context.Context, name, text string) (*past, error) {
	rec, err := s.Domains.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	id, _ := fold.ParseID(text)
	return s.remember(ctx, rec, id)
}

func (d historyRecord) wire() api.ProfileHistoryRecord {
	r := api.ProfileHistoryRecord{Id: &d.id, ObjectTypeName: api.Ptr(profileType), CreatedAt: restjson.At(time.UnixMicro(d.at).UTC()), ActionType: &d.action}
	if d.by != "" {
		r.PerformedBy = &d.by
	}
	return r
}
