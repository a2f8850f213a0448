package domain

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/fault"
	"kith/internal/cache"
	"kith/internal/restjson"
	"kith/job"
	"kith/resource"
	"kith/store"
)

// Record is what is stored of a domain. Times are microseconds.
type Record struct {
	Name        string            `json:"-"`
	Version     uint64            `json:"-"` // of the row
	Incarnation store.Incarnation `json:",string"`
	CreatedAt   int64
	UpdatedAt   int64

	DefaultExpirationDays int32
	DefaultEncryptionKey  string                         `json:",omitzero"`
	DeadLetterQueueURL    string                         `json:",omitzero"`
	Matching              *api.MatchingResponse          `json:",omitzero"`
	RuleBasedMatching     *api.RuleBasedMatchingResponse `json:",omitzero"`
	// RulesChangedAt is when RuleBasedMatching was changed last.
	RulesChangedAt int64 `json:",omitzero"`
	// MatchingSince is when Matching was enabled, and MatchingChanged when that or its schedule changed last; microseconds.
	MatchingSince   int64             `json:",omitzero"`
	MatchingChanged int64             `json:",omitzero"`
	DataStore       bool              `json:",omitzero"`
	Tags            map[string]string `json:",omitzero"`

	// LastJobTime is the newest time given to a job; the next is later.
	LastJobTime int64 `json:",omitzero"`
	// Country is the one in which phone numbers are written that API writes bring, and jobs that name none: its two letters, "": nobody knows.
	Country string `json:",omitzero"`
	// Countries are those that it ever was, and those that jobs named.
	Countries []string `json:",omitzero"`
	// Keys are the attributes that imports made keys of this domain, besides the predefined ones.
	Keys []Key `json:",omitzero"`
	// DeadTypes are the lives of profile object types that have ended, as long as profiles may have objects of them.
	DeadTypes []DeadType `json:",omitzero"`
	// Calls are those that changed the record last.
	Calls store.Calls `json:",omitzero"`
}

// DeadType is an object type that was deleted, or the one that a name had before.
type DeadType struct {
	Name        string
	Incarnation uint64 `json:",string"`
	At          int64  // when it was deleted, microseconds
}

// Dead returns what tells incarnations of object types that have ended; nil: there are none.
func (rec *Record) Dead() func(incarnation uint64) bool {
	if len(rec.DeadTypes) == 0 {
		return nil
	}
	return rec.IsDead
}

// IsDead says whether an incarnation of an object type has ended, as far as that has to be known still.
func (rec *Record) IsDead(incarnation uint64) bool {
	return slices.ContainsFunc(rec.DeadTypes, func(t DeadType) bool { return t.Incarnation == incarnation })
}

// BuryType ends an incarnation of an object type: its objects count no more, from this moment on where this node is asked, and
// MaxStaleness later everywhere.
func (s *Service) BuryType(ctx context.Context, name string, inc store.Incarnation, dead DeadType) (*Record, error) {
	return s.Update(ctx, name, inc, func(rec *Record) error {
		if !rec.IsDead(dead.Incarnation) {
			rec.DeadTypes = append(rec.DeadTypes, dead)
		}
		return nil
	})
}

// ForgetType notes that no profile has objects of some incarnations of object types any more, and none can get one.
func (s *Service) ForgetType(ctx context.Context, name string, inc store.Incarnation, gone func(DeadType) bool) (*Record, error) {
	return s.Update(ctx, name, inc, func(rec *Record) error {
		rec.DeadTypes = slices.DeleteFunc(slices.Clone(rec.DeadTypes), gone)
		return nil
	})
}

// Key is an attribute, or a tuple of them, that is indexed because an import matches on it.
type Key struct {
	// Name is the index's name. It holds a character no KeyName may have, so that searches can't reach it.
	Name  string
	Parts []KeyPart
	// Ready is set when the profiles that were there before have been indexed.
	Ready bool `json:",omitzero"`
}

// KeyPart is an attribute of a Key with the content type that normalises it.
type KeyPart struct {
	Attribute   string // path below _profile
	ContentType string
}

var catalog = store.Partition{Table: store.Catalog, Key: "domains"}

const (
	livePrefix = "d/"
	deadPrefix = "x/"
)

func liveKey(name string) []byte { return []byte(livePrefix + name) }

func deadKey(inc store.Incarnation) []byte {
	return []byte(deadPrefix + strconv.FormatUint(uint64(inc), 16))
}

func newIncarnation() store.Incarnation {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:])
		if inc := store.Incarnation(binary.BigEndian.Uint64(b[:])); inc != 0 {
			return inc
		}
	}
}

// Service owns the domains.
type Service struct {
	Store store.Store
	Now   func() time.Time
	// Stats counts the profiles of a domain; nil counts nothing.
	Stats func(ctx context.Context, inc store.Incarnation) (*api.DomainStats, error)
	// TypeNames lists the profile object types of a domain; nil has none.
	TypeNames func(ctx context.Context, rec *Record) ([]string, error)
	// OnDelete is told when a domain is gone, so that work in it stops at once.
	OnDelete func(store.Incarnation)
	// CanExport says whether the results of matching may be written to where a domain wants them; nil doesn't ask. Its error is the caller's.
	CanExport func(ctx context.Context, name string, to *api.ExportingConfig) error
	// CancelWork cancels background work, on this node at once; nil leaves it to the next heartbeat.
	CancelWork func(ctx context.Context, inc store.Incarnation, id string) (job.Work, bool, error)
	// OnUpdate is told when a domain may have new background work.
	OnUpdate func()
	// Rules matches by the rules of domains; nil: nobody does.
	Rules Rules

	once    sync.Once
	records *cache.Cache[string, *Record]
	texts   resource.Room
}

// Rules is what matches by RuleBasedMatching.
type Rules interface {
	// Status tells whether the rules of a domain that has any turned on are in use.
	Status(ctx context.Context, rec *Record) (api.RuleBasedMatchingStatus, error)
	// MayChange refuses that the rules of a domain change now, or returns nil. It is asked before others than the present ones are written; turning
	// them off is always possible.
	MayChange(ctx context.Context, rec *Record) error
	// Changed is told that the rules of a domain were changed, or that it is new.
	Changed(rec *Record)
}

// MaxStaleness is how old a record may be that Lookup returns, when another node has changed it; what this node changes is seen
// at once. Who changes a record and relies on every node having seen that waits so long.
const MaxStaleness = time.Second

// maxRemembered bounds the records that are remembered.
const maxRemembered = 1000

// Lookup returns a living domain, or fault.NotFound. It precedes every other lookup of an operation. The record is as it was at
// most MaxStaleness ago; its maps and slices are shared and must not be changed.
func (s *Service) Lookup(ctx context.Context, name string) (*Record, error) {
	rec, err := s.remembered().Get(ctx, name, func(ctx context.Context) (*Record, error) { return s.Read(ctx, name) })
	if err != nil {
		return nil, err
	}
	own := *rec
	return &own, nil
}

// Read is Lookup of the record as it is now, for decisions that no later Swap of the record checks.
func (s *Service) Read(ctx context.Context, name string) (*Record, error) {
	row, err := s.Store.Get(ctx, catalog, liveKey(name))
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound(name)
	}
	if err != nil {
		return nil, fmt.Errorf("read a domain: %w", err)
	}
	return decode(name, row)
}

func (s *Service) remembered() *cache.Cache[string, *Record] {
	s.once.Do(func() { s.records = &cache.Cache[string, *Record]{MaxAge: MaxStaleness, Max: maxRemembered} })
	return s.records
}

const accountID = "000000000000"

func decode(name string, row store.Row) (*Record, error) {
	rec := &Record{Name: name, Version: row.Version}
	if err := json.Unmarshal(row.Value, rec); err != nil {
		return nil, fmt.Errorf("domain record: %w", err)
	}
	return rec, nil
}

// ErrGone says that a domain was deleted while it was being worked on.
var ErrGone = errors.New("the domain is gone")

// Update changes the record of a living domain; change may be called several times. The incarnation 0 is any; another one
// returns ErrGone when the domain was deleted, or deleted and created again.
func (s *Service) Update(ctx context.Context, name string, inc store.Incarnation, change func(*Record) error) (*Record, error) {
	call := store.NewCall()
	for {
		rec, err := s.Read(ctx, name)
		if inc != 0 && (errors.Is(err, fault.NotFound) || err == nil && rec.Incarnation != inc) {
			return nil, ErrGone
		}
		if err != nil {
			return nil, err
		}
		if err := change(rec); err != nil {
			return nil, err
		}
		rec.Calls = rec.Calls.With(call)
		value, err := json.Marshal(rec, json.Deterministic(true))
		if err != nil {
			return nil, err
		}
		rec.Version, err = store.Certain(ctx, s.Store, catalog, []store.Swap{{Key: liveKey(name), Value: value, Expect: rec.Version}}, func(value []byte) bool {
			now := &Record{}
			return json.Unmarshal(value, now) == nil && now.Calls.Has(call)
		})
		s.remembered().Drop(name) // whatever became of the Swap
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("write a domain: %w", err)
		}
		return rec, nil
	}
}

// TakeJobTime gives a job its time, later than every time given before, makes key a key of the domain if it is none yet, and notes that phone
// numbers are written in a country. A nil key changes no keys; a job that names no country takes the record's.
func (s *Service) TakeJobTime(ctx context.Context, name string, inc store.Incarnation, key *Key, country string) (int64, *Record, error) {
	var at int64
	rec, err := s.Update(ctx, name, inc, func(rec *Record) error {
		at = max(s.Now().UnixMicro(), rec.LastJobTime+1)
		rec.LastJobTime = at
		rec.noteCountry(country)
		if key != nil && rec.key(key.Name) == nil {
			rec.Keys = append(rec.Keys, *key)
		}
		return nil
	})
	return at, rec, err
}

// KeyReady notes that the profiles there were before a key have been indexed.
func (s *Service) KeyReady(ctx context.Context, name string, inc store.Incarnation, key string) (*Record, error) {
	return s.Update(ctx, name, inc, func(rec *Record) error {
		if k := rec.key(key); k != nil {
			k.Ready = true
		}
		return nil
	})
}

// Ready says whether all profiles are indexed by one of the domain's own keys.
func (rec *Record) Ready(key string) bool {
	k := rec.key(key)
	return k != nil && k.Ready
}

func (rec *Record) key(name string) *Key {
	for i := range rec.Keys {
		if rec.Keys[i].Name == name {
			return &rec.Keys[i]
		}
	}
	return nil
}

// Live lists the living domains.
func (s *Service) Live(ctx context.Context) ([]*Record, error) {
	var all []*Record
	for row, err := range s.Store.Scan(ctx, catalog, store.Prefix(livePrefix)) {
		if err != nil {
			return nil, err
		}
		rec, err := decode(strings.TrimPrefix(string(row.Key), livePrefix), row)
		if err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	return all, nil
}

// Gone says whether an incarnation is no living domain's.
func (s *Service) Gone(ctx context.Context, inc store.Incarnation) (bool, error) {
	live, err := s.Live(ctx)
	return err == nil && !slices.ContainsFunc(live, func(rec *Record) bool { return rec.Incarnation == inc }), err
}

// Dead lists the deleted domains whose rows are not all removed yet.
func (s *Service) Dead(ctx context.Context) ([]store.Incarnation, error) {
	var all []store.Incarnation
	for row, err := range s.Store.Scan(ctx, catalog, store.Prefix(deadPrefix)) {
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(strings.TrimPrefix(string(row.Key), deadPrefix), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("dead domain row: %w", err)
		}
		all = append(all, store.Incarnation(n))
	}
	return all, nil
}

func at(micros int64) *restjson.Time { return restjson.At(time.UnixMicro(micros).UTC()) }
