package stage

import (
	"context"
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

	arena      *extsort.Arena
	scratchDir string

	country schema.Country // in which its phone numbers are written; 0: nobody knows

	m   *Mapping
	own []domain.Key // of the domain
	// dead tells the incarnations of object types whose objects count no more; nil: there are none.
	dead func(uint64) bool
	// families are the names of the keys that rows can have, by number; family is the other way round.
	families []string
	family   map[string]int
	// keyPlan says which keys a row yields.
	keyPlan *keyPlan
	// fillsNames says that the mapping fills a part of the person's name.
	fillsNames bool
	// keyed are the attributes that keys are made of.
	keyed *index.Attrs
	// seed is where the random bits of created ids come from.
	seed uint64
	// secret is the seed of fingerprints.
	secret uint64
	// live says whether an import counts whose contributions prints name; nil: no customer is recognised by a print.
	live func(ctx context.Context, jobTime int64) (bool, error)
}

func (p *Plan) stamp(row int64) fold.Stamp { return fold.Stamp{Time: p.time, Row: row} }

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

	// Arena is the memory of rows that wait, and ScratchDir is where what has no room in it goes; empty is the system's folder for temporary files.
	Arena      *extsort.Arena
	ScratchDir string

	Country schema.Country // in which the file's phone numbers are written; 0: nobody knows
	Mapping *Mapping
	Keys    []domain.Key // of the domain
	// Dead tells the incarnations of object types whose objects count no more; nil: there are none.
	Dead func(uint64) bool
	// Secret is the seed of fingerprints, for all imports of the store; nobody who makes a file knows it.
	Secret uint64
	// Live says of the import that wrote with a time whether it has been applied as a whole, nobody has asked for its undo, and none of it has been compacted. It is
	// asked from several goroutines; nil: every customer is read.
	Live func(ctx context.Context, jobTime int64) (bool, error)
}

// NewPlan derives what the stages need to know.
func NewPlan(f Facts) *Plan {
	p := &Plan{
		arena: f.Arena, scratchDir: f.ScratchDir, store: f.Store, blobs: f.Blobs, log: f.Log, profiles: f.Profiles, inc: f.Incarnation, id: f.Job, dir: f.Dir, key: f.Key, attempt: f.Attempt,
		time: f.Time, expires: f.Expires, country: f.Country, m: f.Mapping, own: f.Keys, dead: f.Dead, families: families(f.Mapping, f.Keys), family: map[string]int{},
		keyed: index.NewAttrs(f.Keys), seed: xxh3.Hash(f.JobID[:]), secret: f.Secret, live: f.Live,
	}
	for i, name := range p.families {
		p.family[name] = i
	}
	p.keyPlan = newKeyPlan(p.m, p.own, p.country)
	p.fillsNames = slices.ContainsFunc(p.m.fields, func(f field) bool { return f.attr.ID >= schema.FirstName && f.attr.ID <= schema.LastName })
	return p
}
