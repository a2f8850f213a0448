package privacy

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/go-json-experiment/json"

	"kith/access"
	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/profile"
)

// statement says what a ForgetPerson has done, without anything of the person. Its members are documented in docs/privacy.md.
type statement struct {
	Version     int
	StatementId string
	DomainName  string
	ForgottenAt string
	RequestedBy string   `json:",omitzero"`
	ProfileIds  []string // ids are random and lead to nothing any more
	Removed     removed
	// LeftAfterwards is what a look found after the removal: zeros.
	LeftAfterwards removed
	// RejectedRows are rows of imports that hold a key of the person, which can't be removed one by one.
	RejectedRows int64
	Remains      []place
}

type removed struct {
	Profiles, ImportedSources, Objects, IndexRows, HistoryContents, DeadLetters, MatchAnswers int64
}

func removedOf(f profile.Footprint, letters, answers int64) removed {
	return removed{f.Profiles, f.Contributions, f.Objects, f.IndexRows, f.Contents, letters, answers}
}

// ForgetPerson deletes a person, with all profiles that were merged into it and the dead letters that carry its keys, looks whether anything is
// left, and answers a signed statement of that. It may be repeated, by ProfileId: what was cut off is completed.
func (s *Service) ForgetPerson(ctx context.Context, in *api.ForgetPersonRequest) (*api.ForgetPersonResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	known, err := s.find(ctx, rec, who{in.ProfileId, in.KeyName, in.KeyValue})
	if err != nil {
		return nil, err
	}
	before, err := s.Profiles.Footprint(ctx, rec, known)
	if err != nil {
		return nil, err
	}
	// Letters first: a person that is gone has no keys any more by which they could be found.
	keys := newKeySet(rec, known.Keys)
	letters, err := s.eachLetter(ctx, rec, keys, true)
	if err != nil {
		return nil, err
	}
	answers, err := s.Matches.Forget(ctx, rec, known.IDs)
	if err != nil {
		return nil, err
	}
	if err := s.Profiles.Forget(ctx, rec, known); err != nil {
		return nil, err
	}
	answersLeft, err := s.Matches.Forget(ctx, rec, known.IDs) // of a call that was under way
	if err != nil {
		return nil, err
	}
	answers += answersLeft
	after, err := s.Profiles.Footprint(ctx, rec, known)
	if err != nil {
		return nil, err
	}
	left, err := s.eachLetter(ctx, rec, keys, false)
	if err != nil {
		return nil, err
	}
	if after != (profile.Footprint{}) || left > 0 {
		return nil, fault.Internalf("Something was written to profile %s while it was removed. It is deleted for all calls; repeat ForgetPerson with ProfileId %s.", known.Main, known.Main)
	}
	st := statement{Version: 1, StatementId: newID(), DomainName: rec.Name, ForgottenAt: s.Now().UTC().Format(time.RFC3339),
		RequestedBy: requester(ctx), Removed: removedOf(before, letters, answers), LeftAfterwards: removedOf(after, left, 0)}
	for _, id := range known.IDs {
		st.ProfileIds = append(st.ProfileIds, id.String())
	}
	if st.Remains, st.RejectedRows, err = s.remains(ctx, rec, keys); err != nil {
		return nil, err
	}
	return s.sign(&st)
}

// eachLetter counts the dead letters that carry the keys, and removes them if remove says so.
func (s *Service) eachLetter(ctx context.Context, rec *domain.Record, keys *keySet, remove bool) (n int64, err error) {
	types := &types{find: s.Types.Find, rec: rec}
	for l, err := range s.Letters.Known(ctx, rec) {
		if err != nil {
			return n, err
		}
		t, err := types.of(ctx, l.Type)
		if err != nil {
			return n, err
		}
		if !keys.carries(t, l.Object) {
			continue
		}
		n++
		if !remove {
			continue
		}
		if err := s.Letters.Remove(ctx, rec, l); err != nil {
			return n, err
		}
	}
	return n, nil
}

// remains says what may still hold something of the person, and until when.
func (s *Service) remains(ctx context.Context, rec *domain.Record, keys *keySet) (all []place, rejected int64, err error) {
	for f, err := range s.Uploads.KeptFiles(ctx, rec) {
		if err != nil {
			return nil, 0, err
		}
		if f.File {
			what := "uploaded file, sealed, which may name the person"
			if f.Writes {
				what = "uploaded file of a job that may still write what it says"
			}
			all = append(all, place{what, "upload job " + f.Job, timeText(f.FileUntil, "the job's end and --keep-files")})
		}
		if !f.Rejects {
			continue
		}
		rows := int64(0)
		for r, err := range s.Uploads.KeptRejects(ctx, rec, f.Job) {
			if err != nil {
				return nil, 0, err
			}
			if keys.in(r.Cells) {
				rows++
			}
		}
		if rows > 0 {
			all = append(all, place{"rejected rows that hold a key of the person, sealed", "upload job " + f.Job, timeText(f.RejectsUntil, "the job's end and --keep-rejects")})
		}
		rejected += rows
	}
	files, err := s.Matches.Exported(ctx, rec)
	if err != nil {
		return nil, 0, err
	}
	for _, f := range files {
		all = append(all, place{"exported matches, which may hold ids of its profiles", f, "whoever has it removes it"})
	}
	return append(all,
		place{"ids of its profiles in matches and lists of merges", "store", "later matches have been found; 30 days at most"},
		place{"key values in the feed of changes", "store", "7 days from now, or earlier when there are many changes"},
		place{"words of the search by QueryProfiles, where the domain has it on", "store", "its indexer has read the deletion: usually seconds"},
		place{"bytes of what was removed, in files of the store that were not written anew yet", "store", "the next purge: within --purge-every, or kith purge; on a cluster gc_grace_seconds and a compaction"},
		place{What: "ids, times and actions of the history, and who deleted it", Where: "store", Until: "the domain's deletion"},
		place{What: "backups, exports and messages in queues that were made before", Until: "whoever made them removes them"},
	), rejected, nil
}

// sign returns the answer: the statement, its hash, and its signature by a key that is derived from the master key.
func (s *Service) sign(st *statement) (*api.ForgetPersonResponse, error) {
	b, err := json.Marshal(st, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(s.Sealer.Subkey("statements of forgetting"))
	sum := sha256.Sum256(b)
	return &api.ForgetPersonResponse{
		Statement: api.Ptr(string(b)), StatementSha256: api.Ptr(hex.EncodeToString(sum[:])),
		Signature: api.Ptr(base64.StdEncoding.EncodeToString(ed25519.Sign(key, b))),
		PublicKey: api.Ptr(base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))),
	}, nil
}

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// requester names who asked, as the history does.
func requester(ctx context.Context) string {
	if k := access.From(ctx).KeyID; k != "" {
		return "arn:aws:iam::" + access.AccountID + ":user/" + k
	}
	return ""
}
