package access

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/fault"
	"kith/sigv4"
	"kith/store"
	"kith/store/mem"
)

func TestSealer(t *testing.T) {
	a, err := NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := NewSealer(append(make([]byte, 31), 1))
	sealed := a.Seal("token", "job 1", []byte("secret"))
	if strings.Contains(string(sealed), "secret") {
		t.Fatal("sealed in clear")
	}
	if plain, err := a.Open("token", "job 1", sealed); err != nil || string(plain) != "secret" {
		t.Fatal(err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"other key":     func() ([]byte, error) { return b.Open("token", "job 1", sealed) },
		"other purpose": func() ([]byte, error) { return a.Open("page", "job 1", sealed) },
		"other context": func() ([]byte, error) { return a.Open("token", "job 2", sealed) },
		"cut":           func() ([]byte, error) { return a.Open("token", "job 1", sealed[:10]) },
		"empty":         func() ([]byte, error) { return a.Open("token", "job 1", nil) },
	} {
		if _, err := open(); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewSealer([]byte("short")); err == nil {
		t.Error("a short master key was accepted")
	}
}

func TestMasterKey(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadMasterKey("", dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Fatalf("looking for a key wrote %v, %v", files, err)
	}
	a, err := MakeMasterKey(dir)
	if err != nil || len(a) != 32 {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	info, err := os.Stat(filepath.Join(dir, MasterKeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if b, err := LoadMasterKey("", dir); err != nil || string(a) != string(b) {
		t.Fatal("the key changed")
	}
	if err := os.WriteFile(filepath.Join(dir, MasterKeyFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadMasterKey("", dir); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Fatal(err)
	}
}

func TestAccessKeys(t *testing.T) {
	ctx := With(context.Background(), Identity{Root: true})
	sealer, _ := NewSealer(make([]byte, 32))
	s := &Service{Store: mem.New(), Sealer: sealer, Now: time.Now}
	if empty, err := s.Empty(ctx); err != nil || !empty {
		t.Fatal(err)
	}
	var ids []string
	for range 5 {
		key, err := s.CreateAccessKey(ctx, &api.CreateAccessKeyRequest{Policy: api.Ptr(Everything)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Lookup(ctx, *key.AccessKeyId)
		if err != nil || got.Secret != *key.SecretAccessKey {
			t.Fatalf("%v", err)
		}
		ids = append(ids, *key.AccessKeyId)
	}
	for row, err := range s.Store.Scan(ctx, keysPartition, store.Range{}) {
		if err != nil || strings.Contains(string(row.Value), "SecretAccessKey") {
			t.Fatal(err)
		}
	}
	seen := 0
	in := &api.ListAccessKeysRequest{MaxResults: api.Ptr(int32(2))}
	for {
		page, err := s.ListAccessKeys(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		seen += len(page.Items)
		if page.NextToken == nil {
			break
		}
		in.NextToken = page.NextToken
	}
	if seen != 5 {
		t.Fatalf("listed %d", seen)
	}
	if _, err := s.DeleteAccessKey(ctx, &api.DeleteAccessKeyRequest{AccessKeyId: &ids[0]}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(ctx, ids[0]); !errors.Is(err, sigv4.ErrUnknownKey) {
		t.Fatal(err)
	}
	if _, err := s.DeleteAccessKey(ctx, &api.DeleteAccessKeyRequest{AccessKeyId: &ids[0]}); !errors.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	if _, err := s.CreateAccessKey(ctx, &api.CreateAccessKeyRequest{Policy: api.Ptr("{}")}); !errors.Is(err, fault.BadRequest) {
		t.Fatal(err)
	}
}
