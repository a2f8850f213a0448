// Package access owns who may do what: access keys with their policies, and what is sealed under the master key.
//
// Operations: CreateAccessKey, ListAccessKeys, DeleteAccessKey (additions).
//
// No key can make a stronger one. A key made by another keeps copies of its maker's policy and of all that bound the maker: its
// boundaries. What it may do is what its own policy and each boundary allow. Keys are never changed, so copies can't fall behind; a key
// whose maker is deleted lives on within them, and names all keys it descends from. What a server's own commands make, and who may do
// everything, bounds nothing.
//
// Rows: table catalog, partition "access-keys", row key = access key id, a Swap row holding a JSON record; the secret in it
// is sealed. A secret leaves the server once, in the answer of CreateAccessKey. Partition "master-key" holds a text sealed
// under the master key, so that another key is noticed at the start.
package access

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/fault"
	"kith/internal/cache"
	"kith/internal/restjson"
	"kith/sigv4"
	"kith/store"
)

var keysPartition = store.Partition{Table: store.Catalog, Key: "access-keys"}

// Service owns the access keys.
type Service struct {
	Store  store.Store
	Sealer *Sealer
	Now    func() time.Time
	// Dev says that the server is in development mode: whoever asks gets keys, and they are good for that mode only.
	Dev bool

	once sync.Once
	keys *cache.Cache[string, Key]
}

// KeyStaleness is how long a key that another node has deleted may still be taken; this node refuses it at once.
const KeyStaleness = time.Second

// maxRemembered bounds the keys that are remembered.
const maxRemembered = 10_000

// keyRecord is what is stored of an access key.
type keyRecord struct {
	Secret      []byte // sealed, purpose "access key", context the id
	Description string `json:",omitzero"`
	Policy      string
	Boundaries  []string `json:",omitzero"` // the maker's policy, and its boundaries
	CreatedBy   []string `json:",omitzero"` // the keys it descends from: the maker, the maker's maker, and so on
	CreatedAt   int64    // microseconds
	Dev         bool     `json:",omitzero"` // made in development mode
}

// Key is an access key as a request is checked against it.
type Key struct {
	ID     string
	Secret string
	// Policies are its own and its boundaries: all of them must allow a request.
	Policies []*Policy
	dev      bool // good for development mode only
}

// Authorize returns an AccessDenied fault unless every policy of the key allows an action on every resource.
func (k *Key) Authorize(action string, resources []string) error {
	for _, resource := range resources {
		denied := func(why string) error {
			return fault.AccessDeniedf("User: %s is not authorized to perform: %s on resource: %s %s", k.ID, action, resource, why)
		}
		weakest, in := Allowed, "identity-based policy"
		if len(k.Policies) == 0 {
			weakest = NotAllowed
		}
		for i, p := range k.Policies {
			where := "identity-based policy"
			if i > 0 {
				where = "permissions boundary"
			}
			switch p.Evaluate(action, resource) {
			case Denied:
				return denied("with an explicit deny in a " + where)
			case NotAllowed:
				if weakest == Allowed {
					weakest, in = NotAllowed, where
				}
			}
		}
		if weakest != Allowed {
			return denied("because no " + in + " allows the " + action + " action")
		}
	}
	return nil
}

// Lookup returns a key, or sigv4.ErrUnknownKey. It is as it was at most KeyStaleness ago; the policies are shared.
func (s *Service) Lookup(ctx context.Context, id string) (Key, error) {
	key, err := s.remembered().Get(ctx, id, func(ctx context.Context) (Key, error) { return s.read(ctx, id) })
	if err == nil && key.dev && !s.Dev {
		return Key{}, sigv4.ErrUnknownKey
	}
	return key, err
}

func (s *Service) remembered() *cache.Cache[string, Key] {
	s.once.Do(func() { s.keys = &cache.Cache[string, Key]{MaxAge: KeyStaleness, Max: maxRemembered} })
	return s.keys
}

// read is Lookup in the store: the secret is unsealed and the policies are parsed.
func (s *Service) read(ctx context.Context, id string) (Key, error) {
	row, err := s.Store.Get(ctx, keysPartition, []byte(id))
	if errors.Is(err, store.ErrNotFound) {
		return Key{}, sigv4.ErrUnknownKey
	}
	if err != nil {
		return Key{}, fmt.Errorf("read an access key: %w", err)
	}
	rec, err := decodeKey(row.Value)
	if err != nil {
		return Key{}, err
	}
	secret, err := s.Sealer.Open("access key", id, rec.Secret)
	if err != nil {
		return Key{}, fmt.Errorf("access key %s: %w: was the master key changed?", id, err)
	}
	key := Key{ID: id, Secret: string(secret), dev: rec.Dev}
	for _, text := range append([]string{rec.Policy}, rec.Boundaries...) {
		policy, err := ParsePolicy(text)
		if err != nil {
			return Key{}, fmt.Errorf("access key %s: %w", id, err)
		}
		key.Policies = append(key.Policies, policy)
	}
	return key, nil
}

func decodeKey(b []byte) (*keyRecord, error) {
	rec := &keyRecord{}
	if err := json.Unmarshal(b, rec); err != nil {
		return nil, fmt.Errorf("access key record: %w", err)
	}
	return rec, nil
}

// NewKeyPair returns a random access key id and secret in the forms AWS uses.
func NewKeyPair() (id, secret string) {
	b := make([]byte, 40)
	_, _ = rand.Read(b)
	return "KITH" + base32.StdEncoding.EncodeToString(b[:10]), base64.RawURLEncoding.EncodeToString(b[10:])
}

// CreateAccessKey makes a key that may do what its policy allows and its maker may do, too. The answer is the only place where its secret
// is ever shown.
func (s *Service) CreateAccessKey(ctx context.Context, in *api.CreateAccessKeyRequest) (*api.CreateAccessKeyResponse, error) {
	policy, err := ParsePolicy(*in.Policy)
	if err == nil {
		err = policy.Check()
	}
	if err != nil {
		text := "Policy is not valid: " + err.Error()
		if !strings.HasSuffix(text, "?") {
			text += "."
		}
		return nil, fault.BadRequestf("%s", text)
	}
	rec := keyRecord{Description: api.Val(in.Description), Policy: *in.Policy, CreatedAt: s.Now().UnixMicro(), Dev: s.Dev}
	id, secret := NewKeyPair()
	rec.Secret = s.Sealer.Seal("access key", id, []byte(secret))
	for {
		checks, err := s.bind(ctx, &rec)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(rec)
		if err != nil {
			return nil, err
		}
		_, err = store.Certain(ctx, s.Store, keysPartition, append([]store.Swap{{Key: []byte(id), Value: value}}, checks...), nil) // a sealed secret is unique
		if errors.Is(err, store.ErrConflict) {
			continue // the maker is gone: bind says so
		}
		if err != nil {
			return nil, fmt.Errorf("write an access key: %w", err)
		}
		return &api.CreateAccessKeyResponse{AccessKeyId: &id, SecretAccessKey: &secret}, nil
	}
}

const (
	// maxBoundaries is how many different policies may bound a key: each is asked at each of its requests.
	maxBoundaries = 8
	// maxLine is how many keys a key may descend from: all of them are kept, so that who deletes one finds what it has made.
	maxLine = 32
)

// bind gives a new key the boundaries that its maker imposes, and returns what must hold when the key is written: that the maker is still
// there. One that was deleted makes no more keys, not even at the same moment.
func (s *Service) bind(ctx context.Context, rec *keyRecord) ([]store.Swap, error) {
	who := From(ctx)
	if who.Root {
		return nil, nil
	}
	row, err := s.Store.Get(ctx, keysPartition, []byte(who.KeyID))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.AccessDeniedf("Access key %s does not exist any more, so it makes no others.", who.KeyID)
	}
	if err != nil {
		return nil, fmt.Errorf("read the maker's access key: %w", err)
	}
	maker, err := decodeKey(row.Value)
	if err != nil {
		return nil, err
	}
	rec.CreatedBy, rec.Boundaries = append([]string{who.KeyID}, maker.CreatedBy...), nil
	for _, text := range append([]string{maker.Policy}, maker.Boundaries...) {
		if !slices.Contains(rec.Boundaries, text) && text != rec.Policy && text != Everything {
			rec.Boundaries = append(rec.Boundaries, text)
		}
	}
	if len(rec.Boundaries) > maxBoundaries || len(rec.CreatedBy) > maxLine {
		return nil, fault.BadRequestf("Access key %s descends from %d keys and is bound by %d policies, which is the most there may be; make the new key with one nearer to the root.",
			who.KeyID, len(maker.CreatedBy), len(maker.Boundaries))
	}
	return []store.Swap{{Key: []byte(who.KeyID), Op: store.Check, Expect: row.Version}}, nil
}

// ListAccessKeys lists the keys by id, without their secrets.
func (s *Service) ListAccessKeys(ctx context.Context, in *api.ListAccessKeysRequest) (*api.ListAccessKeysResponse, error) {
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	out := &api.ListAccessKeysResponse{Items: []api.AccessKeyItem{}}
	r := store.Range{Start: []byte(api.Val(in.NextToken)), Limit: limit + 1}
	for row, err := range s.Store.Scan(ctx, keysPartition, r) {
		if err != nil {
			return nil, err
		}
		if len(out.Items) == limit {
			out.NextToken = api.Ptr(string(row.Key))
			break
		}
		rec, err := decodeKey(row.Value)
		if err != nil {
			return nil, err
		}
		item := api.AccessKeyItem{AccessKeyId: api.Ptr(string(row.Key)), Policy: &rec.Policy, Boundaries: rec.Boundaries, CreatedBy: rec.CreatedBy, CreatedAt: restjson.At(time.UnixMicro(rec.CreatedAt))}
		if rec.Description != "" {
			item.Description = &rec.Description
		}
		out.Items = append(out.Items, item)
	}
	return out, nil
}

// DeleteAccessKey removes a key; requests signed with it fail from then on.
func (s *Service) DeleteAccessKey(ctx context.Context, in *api.DeleteAccessKeyRequest) (*api.DeleteAccessKeyResponse, error) {
	id := []byte(*in.AccessKeyId)
	for {
		row, err := s.Store.Get(ctx, keysPartition, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fault.NotFoundf("Access key %s does not exist.", id)
		}
		if err != nil {
			return nil, err
		}
		_, err = store.Certain(ctx, s.Store, keysPartition, []store.Swap{{Key: id, Op: store.Delete, Expect: row.Version}}, nil)
		s.remembered().Drop(string(id)) // whatever became of the Swap
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &api.DeleteAccessKeyResponse{}, nil
	}
}

// Empty says whether there is no key yet, as on the first start.
func (s *Service) Empty(ctx context.Context) (bool, error) {
	for _, err := range s.Store.Scan(ctx, keysPartition, store.Range{Limit: 1}) {
		return false, err
	}
	return true, nil
}

// DropDevKeys removes the keys that were made in development mode, and returns how many there were. Lookup refuses them anyway; without
// them it shows that a folder has no key yet.
func (s *Service) DropDevKeys(ctx context.Context) (n int, err error) {
	var drop []string
	for row, err := range s.Store.Scan(ctx, keysPartition, store.Range{}) {
		if err != nil {
			return 0, err
		}
		rec, err := decodeKey(row.Value)
		if err != nil {
			return 0, err
		}
		if rec.Dev {
			drop = append(drop, string(row.Key))
		}
	}
	for _, id := range drop {
		if _, err := s.DeleteAccessKey(ctx, &api.DeleteAccessKeyRequest{AccessKeyId: &id}); err != nil && !errors.Is(err, fault.NotFound) {
			return n, err
		}
		n++
	}
	return n, nil
}

// masterRow is where a text sealed under the master key lies.
var (
	masterPartition = store.Partition{Table: store.Catalog, Key: "master-key"}
	masterRow       = []byte("sealed")
)

// Bound says whether data was made under a master key, so that only that one will do.
func Bound(ctx context.Context, st store.Store) (bool, error) {
	_, err := st.Get(ctx, masterPartition, masterRow)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// CheckMaster compares the master key with the one the data was made under, which it writes down the first time.
func (s *Service) CheckMaster(ctx context.Context) error {
	const text = "kith"
	p, key := masterPartition, masterRow
	row, err := s.Store.Get(ctx, p, key)
	if errors.Is(err, store.ErrNotFound) {
		_, err = store.Certain(ctx, s.Store, p, []store.Swap{{Key: key, Value: s.Sealer.Seal("master key check", "", []byte(text))}}, nil)
		if errors.Is(err, store.ErrConflict) {
			return s.CheckMaster(ctx)
		}
		return err
	}
	if err != nil {
		return err
	}
	if _, err := s.Sealer.Open("master key check", "", row.Value); err != nil {
		return errors.New("the master key is not the one this data was made under: restore master.key or KITH_MASTER_KEY")
	}
	return nil
}

type identityKey struct{}

// callerContext is a context with a value, in one piece: every request has one.
type callerContext struct {
	context.Context
	who Identity
}

func (c *callerContext) Value(key any) any {
	if key == (identityKey{}) {
		return &c.who
	}
	return c.Context.Value(key)
}

// Identity is who sent a request.
type Identity struct {
	KeyID  string
	Region string
	// Root is set for who may do everything without a stored key: the commands on the server's machine, everybody in development mode.
	Root bool
}

// With returns a context that carries the caller.
func With(ctx context.Context, who Identity) context.Context {
	return &callerContext{ctx, who}
}

// From returns the caller of a request.
func From(ctx context.Context) Identity {
	if who, ok := ctx.Value(identityKey{}).(*Identity); ok {
		return *who
	}
	return Identity{}
}
