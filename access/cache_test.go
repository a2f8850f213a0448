package access

import (
	"context"
	"errors"
	"testing"
	"time"

	"kith/api"
	"kith/sigv4"
	"kith/store"
	"kith/store/mem"
)

// counting counts reads of single rows.
type counting struct {
	store.Store
	reads int
}

func (c *counting) Get(ctx context.Context, p store.Partition, key []byte) (store.Row, error) {
	c.reads++
	return c.Store.Get(ctx, p, key)
}

// A key is read once for many requests; the node that deletes it refuses it at once, the others within KeyStaleness.
func TestKeysAreRememberedForKeyStaleness(t *testing.T) {
	ctx := With(t.Context(), Identity{Root: true})
	sealer, err := NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	shared := &counting{Store: mem.New()}
	here, there := &Service{Store: shared, Sealer: sealer, Now: time.Now}, &Service{Store: shared, Sealer: sealer, Now: time.Now}
	made, err := here.CreateAccessKey(ctx, &api.CreateAccessKeyRequest{Policy: api.Ptr(Everything)})
	if err != nil {
		t.Fatal(err)
	}
	id, before := *made.AccessKeyId, shared.reads
	start := time.Now()
	for range 1000 {
		for _, s := range []*Service{here, there} {
			if key, err := s.Lookup(ctx, id); err != nil || key.Secret != *made.SecretAccessKey {
				t.Fatalf("%v", err)
			}
		}
	}
	if most := 2 * (1 + int(time.Since(start)/KeyStaleness)); shared.reads-before > most {
		t.Errorf("%d reads for 2000 lookups, want at most %d", shared.reads-before, most)
	}
	if _, err := here.DeleteAccessKey(ctx, &api.DeleteAccessKeyRequest{AccessKeyId: &id}); err != nil {
		t.Fatal(err)
	}
	deleted := time.Now()
	if _, err := here.Lookup(ctx, id); !errors.Is(err, sigv4.ErrUnknownKey) {
		t.Fatalf("the node that deleted a key takes it: %v", err)
	}
	for {
		asked := time.Now()
		_, err := there.Lookup(ctx, id)
		if errors.Is(err, sigv4.ErrUnknownKey) {
			break
		}
		if err != nil || asked.Sub(deleted) >= KeyStaleness {
			t.Fatalf("another node takes the key %s after its deletion: %v", asked.Sub(deleted), err)
		}
		time.Sleep(time.Millisecond)
	}
}
