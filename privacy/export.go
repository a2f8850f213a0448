package privacy

import (
	"context"
	"io"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/internal/restjson"
	"kith/profile"
)

// ExportPerson streams everything that is known of a person as one JSON document, in memory that does not grow with it. docs/privacy.md has its
// members.
func (s *Service) ExportPerson(ctx context.Context, in *api.ExportPersonRequest) (*api.ExportPersonResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	known, err := s.find(ctx, rec, who{in.ProfileId, in.KeyName, in.KeyValue})
	if err != nil {
		return nil, err
	}
	if known.Dead {
		return nil, fault.NotFoundf("Profile %s was deleted; nothing is known of it but its id, and when and by whom it was deleted.", known.Main)
	}
	body := &restjson.Stream{ContentType: "application/json", FileName: "person-" + known.Main.String() + ".json"}
	body.Write = func(w io.Writer) error {
		x := &exporter{Service: s, rec: rec, known: known, enc: jsontext.NewEncoder(w, jsontext.WithIndent("  "), jsontext.AllowInvalidUTF8(true))}
		return x.run(ctx)
	}
	return &api.ExportPersonResponse{Body: body}, nil
}

// exporter writes one document.
type exporter struct {
	*Service
	rec   *domain.Record
	known *profile.Known
	enc   *jsontext.Encoder
	err   error
}

func (x *exporter) token(t jsontext.Token) {
	if x.err == nil {
		x.err = x.enc.WriteToken(t)
	}
}

func (x *exporter) value(v any) {
	if x.err == nil {
		x.err = json.MarshalEncode(x.enc, v, json.Deterministic(true))
	}
}

func (x *exporter) raw(b []byte) {
	if x.err == nil {
		x.err = x.enc.WriteValue(b)
	}
}

// list writes a member that is a list of what do writes.
func (x *exporter) list(name string, do func() error) {
	x.token(jsontext.String(name))
	x.token(jsontext.BeginArray)
	if x.err == nil {
		x.err = do()
	}
	x.token(jsontext.EndArray)
}

func (x *exporter) run(ctx context.Context) error {
	x.token(jsontext.BeginObject)
	x.token(jsontext.String("Version"))
	x.value(1)
	x.token(jsontext.String("DomainName"))
	x.value(x.rec.Name)
	x.token(jsontext.String("ExportedAt"))
	x.value(x.Now().UTC().Format(time.RFC3339))
	x.token(jsontext.String("ProfileId"))
	x.value(x.known.Main.String())
	x.profile(ctx)
	x.list("Keys", func() error {
		for _, k := range x.known.Keys {
			if k.Name != "" && k.Name[0] > ' ' { // others are the index's own
				x.value(map[string]string{"KeyName": k.Name, "Value": k.Value})
			}
		}
		return nil
	})
	x.list("Fields", func() error { return x.fields(ctx) })
	x.list("Sources", func() error { return x.sources(ctx) })
	x.list("Objects", func() error { return x.objects(ctx) })
	x.list("History", func() error { return x.history(ctx) })
	x.matching(ctx)
	keys := newKeySet(x.rec, x.known.Keys)
	x.list("DeadLetters", func() error { return x.letters(ctx, keys) })
	x.list("RejectedRows", func() error { return x.rejects(ctx, keys) })
	x.list("NotSearched", func() error { return x.notSearched(ctx) })
	x.token(jsontext.EndObject)
	return x.err
}

func (x *exporter) profile(ctx context.Context) {
	if x.err != nil {
		return
	}
	b, err := x.Profiles.KnownProfile(ctx, x.rec, x.known)
	if err != nil {
		x.err = err
		return
	}
	x.token(jsontext.String("Profile"))
	if b == nil {
		b = []byte("null")
	}
	x.raw(b)
}

// fields writes where the value of each field comes from, and what it won against.
func (x *exporter) fields(ctx context.Context) error {
	fields, err := x.Profiles.KnownFields(ctx, x.rec, x.known)
	if err != nil {
		return err
	}
	for i := range fields {
		b, err := restjson.Encode(&fields[i])
		if err != nil {
			return err
		}
		x.raw(b)
	}
	return x.err
}

// sources writes what each import, and API writes, say about each profile of the person.
func (x *exporter) sources(ctx context.Context) error {
	for _, id := range x.known.IDs {
		parts, err := x.Profiles.KnownParts(ctx, x.rec, x.known, id)
		if err != nil {
			return err
		}
		for _, p := range parts {
			type value struct {
				Attribute, Value, WrittenAt string
				EmptiedByHand               bool `json:",omitzero"`
			}
			out := struct {
				ProfileId   string
				UploadJobId string `json:",omitzero"`
				RowNumber   int64  `json:",omitzero"`
				WrittenAt   string
				ExpiresAt   string `json:",omitzero"`
				Values      []value
				Keys        []map[string]string `json:",omitzero"`
			}{ProfileId: id.String(), UploadJobId: p.Job, RowNumber: p.Row, WrittenAt: timeText(p.Written, ""), ExpiresAt: timeText(p.Expires, ""), Values: []value{}}
			for _, v := range p.Values {
				out.Values = append(out.Values, value{v.Attribute, v.Value, timeText(v.Written, ""), v.Blank})
			}
			for _, k := range p.Keys {
				out.Keys = append(out.Keys, map[string]string{"KeyName": k.Name, "Value": k.Value})
			}
			x.value(out)
		}
	}
	return x.err
}

func (x *exporter) objects(ctx context.Context) error {
	for _, id := range x.known.IDs {
		for o, err := range x.Profiles.KnownObjects(ctx, x.rec, id) {
			if err != nil {
				return err
			}
			x.value(struct {
				ProfileId, ObjectTypeName, ProfileObjectUniqueKey, WrittenAt string
				ExpiresAt                                                    string `json:",omitzero"`
				Object                                                       string
			}{id.String(), o.Type, o.Body.UniqueKey, timeText(o.Ref.Time, ""), timeText(o.Ref.Expires, ""), string(o.Body.JSON)})
		}
	}
	return x.err
}

func (x *exporter) history(ctx context.Context) error {
	for _, id := range x.known.IDs {
		for r, err := range x.Profiles.KnownHistory(ctx, x.rec, id) {
			if err != nil {
				return err
			}
			b, err := restjson.Encode(&r)
			if err != nil {
				return err
			}
			x.token(jsontext.BeginObject)
			x.token(jsontext.String("ProfileId"))
			x.value(id.String())
			x.token(jsontext.String("Record"))
			x.raw(b)
			x.token(jsontext.EndObject)
		}
	}
	return x.err
}

// matching writes what matching has found of the person, and what was answered.
func (x *exporter) matching(ctx context.Context) {
	if x.err != nil {
		return
	}
	known, err := x.Matches.Know(ctx, x.rec, x.known.IDs)
	if err != nil {
		x.err = err
		return
	}
	x.token(jsontext.String("Matching"))
	x.token(jsontext.BeginObject)
	x.token(jsontext.String("Matches"))
	x.value(known.Matches)
	x.list("Answers", func() error {
		for i := range known.Answers {
			b, err := restjson.Encode(&known.Answers[i])
			if err != nil {
				return err
			}
			x.raw(b)
		}
		return nil
	})
	x.token(jsontext.String("ExportedFiles"))
	x.value(known.Exported)
	x.token(jsontext.EndObject)
}

func (x *exporter) letters(ctx context.Context, keys *keySet) error {
	types := &types{find: x.Types.Find, rec: x.rec}
	for l, err := range x.Letters.Known(ctx, x.rec) {
		if err != nil {
			return err
		}
		t, err := types.of(ctx, l.Type)
		if err != nil {
			return err
		}
		if keys.carries(t, l.Object) {
			x.value(struct{ DeadLetterId, ReceivedAt, ObjectTypeName, Reason, Object string }{l.ID, l.Received.Format(time.RFC3339), l.Type, l.Reason, l.Object})
		}
	}
	return x.err
}

func (x *exporter) rejects(ctx context.Context, keys *keySet) error {
	for f, err := range x.Uploads.KeptFiles(ctx, x.rec) {
		if err != nil {
			return err
		}
		if !f.Rejects {
			continue
		}
		for r, err := range x.Uploads.KeptRejects(ctx, x.rec, f.Job) {
			if err != nil {
				return err
			}
			if keys.in(r.Cells) {
				x.value(struct {
					UploadJobId, KeptUntil string
					LineNumber             int64
					Reason                 string
					Cells                  []string
				}{f.Job, timeText(f.RejectsUntil, "the job's end and --keep-rejects"), r.Line, r.Code, r.Cells})
			}
		}
	}
	return x.err
}

func (x *exporter) notSearched(ctx context.Context) error {
	for f, err := range x.Uploads.KeptFiles(ctx, x.rec) {
		if err != nil {
			return err
		}
		if f.File {
			x.value(place{"uploaded file", "upload job " + f.Job, timeText(f.FileUntil, "the job's end and --keep-files")})
		}
	}
	x.value(place{What: "backups and exports that were made before"})
	return x.err
}
