package stage

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"slices"

	"github.com/zeebo/xxh3"

	"kith/blob"
	"kith/domain"
	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
)

// Plan is what every stage needs to know of a job. Nothing of it changes while the stages run, and none of them knows more of the job's
// record, its lease or its progress than it is given besides.
type Plan struct {
	store store.Store
	blobs blob.Store
	log   *slog.Logger
	// profiles answers who the persons are that candidates belong to.
	profiles *profile.Service

	inc     store.Incarnation
	id      string // of the job
	dir     string // of its blobs
	key     blob.Key
	attempt string
	time    int64 // of the job, microseconds
	expires int64 // when its contributions do

	country schema.Country // in which its phone numbers are written; 0: nobody knows

	m   *Mapping
	own []domain.Key // of the domain
	// dead tells the incarnations of object types whose objects count no more; nil: there are none.
	dead func(uint64) bool
	// families are the names of the keys that rows can have, by number; family is the other way round.
	families []string
	family   map[string]int
	// fillsNames says that the mapping fills a part of the person's name.
	fillsNames bool
	// keyed are the attributes that keys are made of.
	keyed *index.Attrs
	// seed is where the random bits of created ids come from.
	seed uint64
}

func (p *Plan) stamp(row int64) fold.Stamp { return fold.Stamp{Time: p.time, Row: row} }

// rowGroups are rows, grouped by their unique key.
type rowGroups struct {
	*Plan
	extsort.Groups
	keys keyList
}

func (p *Plan) newRowGroups() *rowGroups {
	g := &rowGroups{Plan: p}
	g.Groups = extsort.Groups{
		Key:   frameKey,
		Check: func(frame []byte) error { _, _, err := parseFrame(frame); return err },
		Merge: g.merge,
	}
	return g
}

// merge appends one frame that says what several of the same key say, the later rows replacing the earlier ones'.
func (g *rowGroups) merge(dst []byte, n int, at func(i int) []byte) ([]byte, error) {
	var out frame
	var values []fold.Value
	last, known := int64(0), 0
	f, _, err := parseFrame(at(0))
	if err != nil {
		return dst, err
	}
	out.first, out.key = f.first, f.key
	for i := range n {
		f.eachRow(func(row int64) {
			if known > 0 && known < maxFrameRows {
				out.more = binary.AppendUvarint(out.more, uint64(row-last))
			}
			known++
			last = row
		})
		out.rows += f.rows
		var following frame
		if i+1 < n {
			if following, _, err = parseFrame(at(i + 1)); err != nil {
				return dst, err
			}
		}
		// A row that the next one repeats is replaced by it as a whole.
		if f.rows > 1 || following.rows != 1 || !bytes.Equal(f.body, following.body) {
			next, err := fold.DecodeValues(f.body, g.stamp(f.first))
			if err != nil {
				return dst, err
			}
			values = fold.MergeRows(values, next)
		}
		f = following
	}
	base := g.stamp(out.first)
	for _, v := range values {
		out.body = fold.AppendValue(out.body, v, base)
	}
	g.keysOf(out.key, values, &g.keys)
	out.keys = g.keys.appendTo(nil)
	return appendFrame(dst, &out), nil
}

// Facts are what a plan is made of.
type Facts struct {
	Store    store.Store
	Blobs    blob.Store
	Log      *slog.Logger
	Profiles *profile.Service

	Incarnation store.Incarnation
	JobID       [16]byte
	Job         string // its id, as text
	Dir         string // of its blobs, with a slash at the end
	Key         blob.Key
	Attempt     string // sets the blobs of this run apart from those of other runs
	Time        int64  // of the job, microseconds
	Expires     int64  // when its contributions do

	Country schema.Country // in which the file's phone numbers are written; 0: nobody knows
	Mapping *Mapping
	Keys    []domain.Key // of the domain
	// Dead tells the incarnations of object types whose objects count no more; nil: there are none.
	Dead func(uint64) bool
}

// NewPlan derives what the stages need to know.
func NewPlan(f Facts) *Plan {
	p := &Plan{
		store: f.Store, blobs: f.Blobs, log: f.Log, profiles: f.Profiles, inc: f.Incarnation, id: f.Job, dir: f.Dir, key: f.Key, attempt: f.Attempt,
		time: f.Time, expires: f.Expires, country: f.Country, m: f.Mapping, own: f.Keys, dead: f.Dead, families: families(f.Mapping, f.Keys), family: map[string]int{},
		keyed: index.NewAttrs(f.Keys), seed: xxh3.Hash(f.JobID[:]),
	}
	for i, name := range p.families {
		p.family[name] = i
	}
	p.fillsNames = slices.ContainsFunc(p.m.fields, func(f field) bool { return f.attr.ID >= schema.FirstName && f.attr.ID <= schema.LastName })
	return p
}
