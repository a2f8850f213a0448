package profile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
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
	"kith/profile/write"
)

// A profile's history has two sources. Records of API writes, of what expired and of merges that were taken back are rows of the table
// history. The others are derived from what there is: contributions, state, and the record of imports that were undone; nothing is
// written for them, so an import costs nothing more, and they reach back as far as these are kept.
//
// A page merges both, from new to old. Rows are streamed, and what is derived is bounded by compaction and by what a profile may own. A
// page token is the place of the last record that was looked at, so records that come or go meanwhile disturb nobody.

// historyRecord is one record of a profile's history.
type historyRecord struct {
	id                    string
	at, row               int64
	action                api.ActionType
	by                    string
	objectType, objectKey string
	// shown says that content is what the profile was after it, as far as that can be told.
	shown bool
	// stored is the row it was made from, in the history of a profile of the person; nil: it was derived.
	stored *write.Record
	of     ID
}

// compare is the order of the history: from new to old.
func (d *historyRecord) compare(o *historyRecord) int {
	return cmp.Or(cmp.Compare(o.at, d.at), cmp.Compare(o.row, d.row), strings.Compare(d.id, o.id))
}

// profileType is the object type of records about profiles themselves.
const profileType = "_profile"

// Who performed the records of no caller.
const (
	byUpload    = "upload-job/" // and the job's id
	byUndo      = "/undo"       // behind it
	byExpired   = "/expiry"     // behind it
	byCompacted = "upload-job"  // of several jobs, which have been compacted
)

func newRecord(at, row int64, action api.ActionType, by, source string, shown bool) historyRecord {
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, []int64{at, row})
	_, _ = fmt.Fprintf(h, "%s\x00%s\x00%s", action, by, source)
	return historyRecord{id: hex.EncodeToString(h.Sum(nil)[:16]), at: at, row: row, action: action, by: by, objectType: profileType, shown: shown}
}

// actions are those of the API by those of rows. What has none, such as that an object has moved to another profile, is not told.
var actions = map[byte]api.ActionType{
	write.Created: api.ActionTypeCreated, write.Updated: api.ActionTypeUpdated, write.Ingested: api.ActionTypeIngested,
	write.AddedKey: api.ActionTypeAddedProfileKey, write.DeletedKey: api.ActionTypeDeletedProfileKey,
	write.DeletedObject: api.ActionTypeDeletedByCustomer, write.Expired: api.ActionTypeExpired,
	write.MergedOthers: api.ActionTypeMerged, write.MergedAway: api.ActionTypeDeletedByMerge,
	write.ExpiredObject: api.ActionTypeExpired, write.DeletedType: api.ActionTypeDeletedByCustomer,
	write.Returned: api.ActionTypeCreated, write.LostOthers: api.ActionTypeUpdated,
	write.ExpiredImport: api.ActionTypeExpired,
}

// recordOf returns the record of a row; ok is false when it is not told.
func recordOf(of ID, r *write.Record) (d historyRecord, ok bool) {
	action, ok := actions[r.Action]
	d = historyRecord{id: hex.EncodeToString(r.ID[:]), at: r.At, action: action, by: r.By, objectType: cmp.Or(r.ObjectType, profileType),
		objectKey: r.ObjectKey, stored: r, of: of}
	return d, ok
}

// asChange returns a derived record as a row says it.
func (d *historyRecord) asChange(action byte) *fold.Change {
	c := &fold.Change{At: d.at, Action: action, By: d.by}
	if d.objectType != profileType {
		c.ObjectType, c.ObjectKey = d.objectType, d.objectKey
	}
	_, _ = hex.Decode(c.ID[:], []byte(d.id))
	return c
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
	all     map[ID]*stored  // it and its members
	records []historyRecord // derived, from new to old
}

// remember gathers the past of a profile but for its rows of the history.
func (s *Service) remember(ctx context.Context, rec *domain.Record, id ID) (*past, error) {
	imports, err := s.Feed.Imports(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	all, err := s.consistently(ctx, func() (map[ID]*stored, error) { // as of a time when nothing had expired
		all, err := s.readAll(ctx, rec.Incarnation, []ID{id}, 0)
		if err == nil {
			err = s.withMembers(ctx, rec.Incarnation, all, 0)
		}
		return all, err
	})
	if err != nil {
		return nil, err
	}
	p := &past{stored: all[id], all: all}
	if p.stored == nil {
		p.stored = &stored{Member: fold.Member{ID: id}}
	}
	p.noteImports(imports, s.Now().UnixMicro())
	p.noteState()
	if err := s.noteHeads(ctx, rec, p); err != nil {
		return nil, err
	}
	if err := s.noteExpiry(ctx, rec, p); err != nil {
		return nil, err
	}
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
	slices.SortFunc(p.records, func(a, b historyRecord) int { return a.compare(&b) })
	return p, nil
}

// since returns from when on the history of a member of the person is that of the person; the main profile's is so from the beginning.
func (p *past) since(id ID) int64 {
	if st := p.all[id]; id != p.ID && st != nil && st.State != nil && st.State.Into != nil {
		return st.State.Into.At
	}
	return 0
}

// until returns until when what was written to the profile is of its own history: later, of a merged one, it is of its main profile's.
func (p *past) until() int64 {
	if p.State != nil && p.State.Into != nil {
		return p.State.Into.At
	}
	return fold.EndOfTime
}

// noteHeads notes the last changes of heads, whose rows may yet be missing.
func (s *Service) noteHeads(ctx context.Context, rec *domain.Record, p *past) error {
	if p.gone() {
		return nil
	}
	return s.eachWholeHead(ctx, rec.Incarnation, idsOf(&p.Member), func(id ID, h *fold.Head) error {
		if err := s.noteExpiredObjects(ctx, rec, p, id, h); err != nil {
			return err
		}
		if h.Change == nil || h.Change.At <= p.since(id) || h.Change.At > p.until() {
			return nil
		}
		if d, ok := recordOf(id, &write.Record{Change: *h.Change}); ok {
			if h.Change.Action == write.Created || h.Change.Action == write.Updated { // what it showed is in the row alone
				d.shown, d.stored = true, nil
			}
			p.note(d)
		}
		return nil
	})
}

// gone says that the profile was deleted.
func (p *past) gone() bool { return p.State != nil && p.State.Deleted != nil }

func (p *past) note(d historyRecord) { p.records = append(p.records, d) }

// noteImports notes the contributions that are there, and of those that have expired that they have.
func (p *past) noteImports(imports []change.Import, now int64) {
	end := int64(fold.EndOfTime)
	if whole := p.Profile(); whole != nil {
		end = whole.Expires
	}
	p.Walk(func(of *fold.Member) {
		mine := func(at int64) bool { return at > p.since(of.ID) && at <= p.until() }
		for _, part := range of.Parts {
			if mine(part.Stamp.Time) {
				p.note(newRecord(part.Stamp.Time, part.Stamp.Row, api.ActionTypeIngested, importer(imports, part.Source), part.Source, true))
			}
			if part.Expires <= now && part.Expires < end && mine(part.Expires) {
				p.note(expiredImport(imports, part))
			}
		}
	})
}

// importer names the import that a contribution is of.
func importer(imports []change.Import, source string) string {
	at, isImport := ImportTime(source)
	if i := slices.IndexFunc(imports, func(j change.Import) bool { return isImport && j.Time == at }); i >= 0 {
		return byUpload + imports[i].Job
	}
	return byCompacted
}

// expiredImport is the record that what an import brought to a profile has expired, while the profile lives on. Its id does not depend on
// whether the import is still known.
func expiredImport(imports []change.Import, part fold.Part) historyRecord {
	d := newRecord(part.Expires, 0, api.ActionTypeExpired, write.ByExpiry, part.Source, false)
	d.by = importer(imports, part.Source) + byExpired
	return d
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
		for id := range then.State.Members() {
			if of := m.Of[id]; of != nil {
				then.Of[id] = memberAsOf(of, at, row)
			}
		}
	}
	return then
}

const (
	// defaultHistoryPage is how many records a page has when the caller does not say.
	defaultHistoryPage = 20
	// maxLooked is how many records are looked at for a page: one whose filters few pass is short, and the next goes on.
	maxLooked = 10_000
)

// each streams the history from a place on, from new to old, each record once.
func (s *Service) each(ctx context.Context, rec *domain.Record, p *past, from *historyRecord) iter.Seq2[historyRecord, error] {
	until := int64(fold.EndOfTime)
	if from != nil {
		until = from.at
	}
	sources := []iter.Seq2[historyRecord, error]{func(yield func(historyRecord, error) bool) {
		for _, d := range p.records {
			if !yield(d, nil) {
				return
			}
		}
	}}
	ids := []ID{p.ID}
	if !p.gone() {
		ids = slices.AppendSeq(ids[:0], maps.Keys(p.all))
		if len(ids) == 0 {
			ids = append(ids, p.ID)
		}
	}
	until = min(until, p.until())
	for _, id := range ids {
		since := p.since(id)
		sources = append(sources, func(yield func(historyRecord, error) bool) {
			for r, err := range write.Records(ctx, s.Store, rec.Incarnation, id, until) {
				if err != nil {
					yield(historyRecord{}, err)
					return
				}
				if r.At <= since {
					return
				}
				if d, ok := recordOf(id, r); ok && !yield(d, nil) {
					return
				}
			}
		})
	}
	return func(yield func(historyRecord, error) bool) {
		last := from
		for d, err := range inOrder(sources) {
			if err != nil {
				yield(d, err)
				return
			}
			if last != nil && last.compare(&d) >= 0 { // before the place, or told already
				continue
			}
			if last = &d; !yield(d, nil) {
				return
			}
		}
	}
}

// inOrder merges streams of records that are in order; of equal records the one with a row comes first.
func inOrder(sources []iter.Seq2[historyRecord, error]) iter.Seq2[historyRecord, error] {
	type source struct {
		d    historyRecord
		next func() (historyRecord, error, bool)
	}
	return func(yield func(historyRecord, error) bool) {
		var open []*source
		for _, seq := range sources {
			next, stop := iter.Pull2(seq)
			defer stop()
			o := &source{next: next}
			d, err, ok := next()
			if err != nil {
				yield(d, err)
				return
			}
			if o.d = d; ok {
				open = append(open, o)
			}
		}
		for len(open) > 0 {
			least := slices.MinFunc(open, func(a, b *source) int {
				if c := a.d.compare(&b.d); c != 0 || (a.d.stored == nil) == (b.d.stored == nil) {
					return c
				}
				if a.d.stored != nil {
					return -1
				}
				return 1
			})
			if !yield(least.d, nil) {
				return
			}
			d, err, ok := least.next()
			if err != nil {
				yield(d, err)
				return
			}
			if least.d = d; !ok {
				open = slices.DeleteFunc(open, func(o *source) bool { return o == least })
			}
		}
	}
}

// ListProfileHistoryRecords lists what happened to a profile, newest first; also to one that is gone. The filters are exact. Behaviour:
// docs/spec/core.md 5.6.
func (s *Service) ListProfileHistoryRecords(ctx context.Context, in *api.ListProfileHistoryRecordsRequest) (*api.ListProfileHistoryRecordsResponse, error) {
	rec, p, err := s.pastOf(ctx, *in.DomainName, *in.ProfileId)
	if err != nil {
		return nil, err
	}
	var from *historyRecord
	if in.NextToken != nil {
		from = &historyRecord{}
		if _, err := fmt.Sscanf(*in.NextToken, "%d:%d:%s", &from.at, &from.row, &from.id); err != nil {
			return nil, fault.BadRequestf("NextToken is not valid.")
		}
	}
	limit := defaultHistoryPage
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	out := &api.ListProfileHistoryRecordsResponse{ProfileHistoryRecords: []api.ProfileHistoryRecord{}}
	looked := 0
	var last historyRecord
	for d, err := range s.each(ctx, rec, p, from) {
		if err != nil {
			return nil, err
		}
		if p.gone() {
			d.objectType, d.objectKey = profileType, ""
		}
		if looked++; looked > maxLooked {
			out.NextToken = api.Ptr(last.place())
			break
		}
		if in.ActionType == nil || d.action == *in.ActionType {
			if (in.PerformedBy == nil || d.by == *in.PerformedBy) && (in.ObjectTypeName == nil || d.objectType == *in.ObjectTypeName) {
				if len(out.ProfileHistoryRecords) == limit {
					out.NextToken = api.Ptr(last.place())
					break
				}
				out.ProfileHistoryRecords = append(out.ProfileHistoryRecords, d.wire())
			}
		}
		last = d
	}
	if looked == 0 && from == nil {
		return nil, noHistory(rec, p.ID)
	}
	return out, nil
}

// place is where a record stands in the history.
func (d *historyRecord) place() string { return fmt.Sprintf("%d:%d:%s", d.at, d.row, d.id) }

func noHistory(rec *domain.Record, id ID) error {
	return fault.NotFoundf("Profile %s is not found in domain %s.", id, rec.Name)
}

// GetProfileHistoryRecord returns one record, with what it is about as it was after it where that can still be told.
func (s *Service) GetProfileHistoryRecord(ctx context.Context, in *api.GetProfileHistoryRecordRequest) (*api.GetProfileHistoryRecordResponse, error) {
	rec, p, err := s.pastOf(ctx, *in.DomainName, *in.ProfileId)
	if err != nil {
		return nil, err
	}
	any := false
	for d, err := range s.each(ctx, rec, p, nil) {
		if err != nil {
			return nil, err
		}
		if any = true; d.id != *in.Id {
			continue
		}
		if p.gone() {
			d.objectType, d.objectKey = profileType, ""
		}
		r := d.wire()
		out := &api.GetProfileHistoryRecordResponse{Id: r.Id, ObjectTypeName: r.ObjectTypeName, CreatedAt: r.CreatedAt, ActionType: r.ActionType,
			PerformedBy: r.PerformedBy, ProfileObjectUniqueKey: r.ProfileObjectUniqueKey}
		out.Content, err = s.content(ctx, rec, p, &d)
		return out, err
	}
	if !any {
		return nil, noHistory(rec, p.ID)
	}
	return nil, fault.NotFoundf("Profile %s has no history record %s.", *in.ProfileId, *in.Id)
}

// content returns what a record is about as it was after it, as JSON, or nil. Of a profile that was deleted or has expired nothing is told.
func (s *Service) content(ctx context.Context, rec *domain.Record, p *past, d *historyRecord) (*string, error) {
	var then *fold.Profile
	switch {
	case p.hidden(s.Now().UnixMicro()):
		return nil, nil
	case d.stored == nil && d.shown:
		then = p.asOf(d.at, d.row)
	case d.stored == nil:
	case d.action == api.ActionTypeAddedProfileKey || d.action == api.ActionTypeDeletedProfileKey:
		return api.Ptr(d.stored.Detail), nil
	case d.action == api.ActionTypeIngested:
		b, err := write.ReadBody(ctx, s.Store, rec.Incarnation, d.of, []byte(d.stored.Detail))
		if b == nil || err != nil {
			return nil, err
		}
		return api.Ptr(string(b.JSON)), nil
	case d.stored.Action == write.Created || d.stored.Action == write.Updated:
		then = &fold.Profile{ID: p.ID, Values: d.stored.Shown}
	}
	if then == nil {
		return nil, nil
	}
	b, err := restjson.Encode(wire(then))
	return api.Ptr(string(b)), err
}

func (s *Service) pastOf(ctx context.Context, name, text string) (*domain.Record, *past, error) {
	rec, err := s.Domains.Lookup(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	id, _ := fold.ParseID(text)
	p, err := s.remember(ctx, rec, id)
	return rec, p, err
}

func (d *historyRecord) wire() api.ProfileHistoryRecord {
	r := api.ProfileHistoryRecord{Id: &d.id, ObjectTypeName: &d.objectType, CreatedAt: restjson.At(time.UnixMicro(d.at).UTC()), ActionType: &d.action}
	if d.by != "" {
		r.PerformedBy = &d.by
	}
	if d.objectKey != "" {
		r.ProfileObjectUniqueKey = &d.objectKey
	}
	return r
}
