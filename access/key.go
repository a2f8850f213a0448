// Package access owns who may do what: access keys with their policies, and what is sealed under the master key.
//
// Operations: CreateAccessKey, ListAccessKeys, DeleteAccessKey (additions).
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
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/fault"
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
}

// keyRecord is what is stored of an access key.
type keyRecord struct {
	Secret      []byte // sealed, purpose "access key", context the id
	Description string `json:",omitzero"`
	Policy      string
	CreatedAt   int64 // microseconds
}

// Key is an access key as a request is checked against it.
type Key struct {
	ID     string
	Secret string
	Policy *Policy
}

// Lookup returns a key, or sigv4.ErrUnknownKey.
func (s *Service) Lookup(ctx context.Context, id string) (Key, error) {
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
	policy, err := ParsePolicy(rec.Policy)
	if err != nil {
		return Key{}, fmt.Errorf("access key %s: %w", id, err)
	}
	return Key{ID: id, Secret: string(secret), Policy: policy}, nil
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

// CreateAccessKey makes a key. The answer is the only place where its secret is ever shown.
func (s *Service) CreateAccessKey(ctx context.Context, in *api.CreateAccessKeyRequest) (*api.CreateAccessKeyResponse, error) {
	if _, err := ParsePolicy(*in.Policy); err != nil {
		return nil, fault.BadRequestf("%s", err)
	}
	id, secret := NewKeyPair()
	rec, err := json.Marshal(keyRecord{
		Secret:      s.Sealer.Seal("access key", id, []byte(secret)),
		Description: api.Val(in.Description),
		Policy:      *in.Policy,
		CreatedAt:   s.Now().UnixMicro(),
	})
	if err != nil {
		return nil, err
	}
	if _, err := s.Store.Swap(ctx, keysPartition, []store.Swap{{Key: []byte(id), Value: rec}}); err != nil {
		return nil, fmt.Errorf("write an access key: %w", err)
	}
	return &api.CreateAccessKeyResponse{AccessKeyId: &id, SecretAccessKey: &secret}, nil
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
		item := api.AccessKeyItem{AccessKeyId: api.Ptr(string(row.Key)), Policy: &rec.Policy, CreatedAt: restjson.At(time.UnixMicro(rec.CreatedAt))}
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
		_, err = s.Store.Swap(ctx, keysPartition, []store.Swap{{Key: id, Op: store.Delete, Expect: row.Version}})
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

// CheckMaster compares the master key with the one the data was made under, which it writes down the first time.
func (s *Service) CheckMaster(ctx context.Context) error {
	const text = "kith"
	key := []byte("sealed")
	p := store.Partition{Table: store.Catalog, Key: "master-key"}
	row, err := s.Store.Get(ctx, p, key)
	if errors.Is(err, store.ErrNotFound) {
		_, err = s.Store.Swap(ctx, p, []store.Swap{{Key: key, Value: s.Sealer.Seal("master key check", "", []byte(text))}})
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

// Identity is who sent a request.
type Identity struct {
	KeyID  string
	Region string
}

// With returns a context that carries the caller.
func With(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, who)
}

// From returns the caller of a request.
func From(ctx context.Context) Identity {
	who, _ := ctx.Value(identityKey{}).(Identity)
	return who
}
