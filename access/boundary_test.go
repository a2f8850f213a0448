package access

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/fault"
	"kith/sigv4"
	"kith/store"
	"kith/store/mem"
)

func newService(t *testing.T) *Service {
	t.Helper()
	sealer, err := NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	return &Service{Store: mem.New(), Sealer: sealer, Now: time.Now}
}

// makeKey makes a key as maker, or as root when maker is "".
func makeKey(t *testing.T, s *Service, maker, policy string) (Key, error) {
	t.Helper()
	ctx := With(t.Context(), Identity{KeyID: maker, Root: maker == ""})
	out, err := s.CreateAccessKey(ctx, &api.CreateAccessKeyRequest{Policy: &policy})
	if err != nil {
		return Key{}, err
	}
	key, err := s.Lookup(ctx, *out.AccessKeyId)
	if err != nil {
		t.Fatal(err)
	}
	return key, nil
}

func mustMake(t *testing.T, s *Service, maker, policy string) Key {
	t.Helper()
	key, err := makeKey(t, s, maker, policy)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A key that may make keys makes none that may do more than itself.
func TestNoKeyMakesAStrongerOne(t *testing.T) {
	s := newService(t)
	minter := mustMake(t, s, "", two(`"Effect":"Allow","Action":["kith:CreateAccessKey","profile:Get*"],"Resource":"*"`, `"Effect":"Deny","Action":"*","Resource":"arn:aws:profile:*:*:domains/secret"`))
	shop, secret := []string{ARN("domains/shop")}, []string{ARN("domains/secret")}
	child := mustMake(t, s, minter.ID, Everything)
	if err := child.Authorize("profile:GetDomain", shop); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		action    string
		resources []string
		words     string
	}{
		"what the maker may not":    {"profile:DeleteProfile", shop, "because no permissions boundary allows the profile:DeleteProfile action"},
		"what the maker is denied":  {"profile:GetDomain", secret, "with an explicit deny in a permissions boundary"},
		"one of several resources":  {"profile:GetDomain", append(shop, secret...), "explicit deny"},
		"administration, no domain": {"kith:CreateBackup", []string{AnyResource}, "because no permissions boundary allows"},
	} {
		if err := child.Authorize(c.action, c.resources); !errors.Is(err, fault.AccessDenied) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, want %q", name, err, c.words)
		}
	}
	// Nor does its child, nor a child that only its own policy narrows.
	grandchild := mustMake(t, s, child.ID, Everything)
	narrow := mustMake(t, s, child.ID, statement(`"Effect":"Allow","Action":"profile:GetDomain","Resource":"*"`))
	for _, k := range []Key{grandchild, narrow} {
		if k.Authorize("profile:DeleteProfile", shop) == nil || k.Authorize("profile:GetDomain", secret) == nil || k.Authorize("profile:GetDomain", shop) != nil {
			t.Errorf("key of %d policies", len(k.Policies))
		}
	}
	if err := narrow.Authorize("profile:GetDomainLayout", shop); err == nil || !strings.Contains(err.Error(), "no identity-based policy") {
		t.Error(err)
	}
	// The children of a key that is deleted stay, and stay bound; the deleted key makes no more.
	if _, err := s.DeleteAccessKey(t.Context(), &api.DeleteAccessKeyRequest{AccessKeyId: &minter.ID}); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Lookup(t.Context(), grandchild.ID); err != nil || again.Authorize("profile:DeleteProfile", shop) == nil {
		t.Fatal(err)
	}
	if _, err := makeKey(t, s, minter.ID, Everything); !errors.Is(err, fault.AccessDenied) {
		t.Fatal(err)
	}
	// Who lists sees by whom a key was made and what binds it.
	page, err := s.ListAccessKeys(t.Context(), &api.ListAccessKeysRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range page.Items {
		switch *item.AccessKeyId {
		case child.ID:
			if !slices.Equal(item.CreatedBy, []string{minter.ID}) || len(item.Boundaries) != 1 {
				t.Errorf("%s: %v", child.ID, item)
			}
		case narrow.ID:
			if !slices.Equal(item.CreatedBy, []string{child.ID, minter.ID}) || len(item.Boundaries) != 1 { // the child's own policy bounds nothing
				t.Errorf("%s: %v", narrow.ID, item)
			}
		}
	}
}

// A root key stays root, and what it makes is bound by nothing but its own policy.
func TestRootStaysRoot(t *testing.T) {
	s := newService(t)
	root := mustMake(t, s, "", Everything)
	second := mustMake(t, s, root.ID, Everything)
	if len(second.Policies) != 1 || second.Authorize("kith:CreateBackup", []string{AnyResource}) != nil {
		t.Fatalf("%d policies", len(second.Policies))
	}
	// Nobody at all makes no keys: an identity must be there.
	if _, err := s.CreateAccessKey(context.Background(), &api.CreateAccessKeyRequest{Policy: api.Ptr(Everything)}); !errors.Is(err, fault.AccessDenied) {
		t.Fatal(err)
	}
}

// The line of descent is bounded, so that a request asks a bounded number of policies.
func TestDescentIsBounded(t *testing.T) {
	s := newService(t)
	maker := ""
	for i := range 2 * maxBoundaries {
		policy := fmt.Sprintf(`{"Id":"%d","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, i)
		key, err := makeKey(t, s, maker, policy)
		if err != nil {
			if !errors.Is(err, fault.BadRequest) || i != maxBoundaries+1 {
				t.Fatalf("after %d: %v", i, err)
			}
			return
		}
		if len(key.Policies) > maxBoundaries+1 {
			t.Fatalf("%d policies", len(key.Policies))
		}
		maker = key.ID
	}
	t.Fatal("no end")
}

// The line is bounded even when it adds no policies.
func TestLineIsBounded(t *testing.T) {
	s := newService(t)
	maker := ""
	for i := range 2 * maxLine {
		key, err := makeKey(t, s, maker, Everything)
		if err != nil {
			if !errors.Is(err, fault.BadRequest) || i != maxLine+1 {
				t.Fatalf("after %d: %v", i, err)
			}
			return
		}
		maker = key.ID
	}
	t.Fatal("no end")
}

// A key that is deleted while it makes another one has made it before, or makes none.
func TestADeletedKeyMakesNoOther(t *testing.T) {
	s := newService(t)
	maker := mustMake(t, s, "", Everything)
	s.Store = &deletesAt{Store: s.Store, do: func() {
		if _, err := s.DeleteAccessKey(t.Context(), &api.DeleteAccessKeyRequest{AccessKeyId: &maker.ID}); err != nil {
			t.Error(err)
		}
	}}
	if _, err := makeKey(t, s, maker.ID, Everything); !errors.Is(err, fault.AccessDenied) {
		t.Fatalf("a key was made by one that is deleted: %v", err)
	}
	if empty, err := s.Empty(t.Context()); err != nil || !empty {
		t.Fatal(empty, err)
	}
}

// deletesAt does something right before the first Swap.
type deletesAt struct {
	store.Store
	do func()
}

func (d *deletesAt) Swap(ctx context.Context, p store.Partition, ops []store.Swap) (uint64, error) {
	if do := d.do; do != nil {
		d.do = nil
		do()
	}
	return d.Store.Swap(ctx, p, ops)
}

// Along any line of descent, no key may do what its maker may not, whatever the policies.
func TestBoundariesAtRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	policy := func() string {
		var all []string
		for range 1 + r.IntN(3) {
			all = append(all, fmt.Sprintf(`{"Effect":"%s","%s":"%s","%s":"%s"}`, pick("Allow", "Allow", "Deny"),
				pick("Action", "Action", "NotAction"), pick("*", "profile:*", "profile:get*", "kith:*", "profile:DeleteProfile"),
				pick("Resource", "Resource", "NotResource"), pick("*", "*", "*")))
		}
		return `{"Statement":[` + strings.Join(all, ",") + `]}`
	}
	requests := [][2]string{{"profile:GetDomain", ARN("domains/a")}, {"profile:DeleteProfile", ARN("domains/b")}, {"kith:CreateBackup", AnyResource}, {"kith:CreateAccessKey", AnyResource}}
	for range 200 {
		s := newService(t)
		parent := mustMake(t, s, "", policy())
		for range 4 {
			child, err := makeKey(t, s, parent.ID, policy())
			if err != nil {
				break
			}
			for _, q := range requests {
				if child.Authorize(q[0], []string{q[1]}) == nil && parent.Authorize(q[0], []string{q[1]}) != nil {
					t.Fatalf("the child may %s on %s and its maker may not", q[0], q[1])
				}
			}
			parent = child
		}
	}
}

// What was made in development mode is good for that mode only.
func TestDevKeysDoNotOutliveDevelopmentMode(t *testing.T) {
	s := newService(t)
	kept := mustMake(t, s, "", Everything)
	s.Dev = true
	made := mustMake(t, s, "", Everything)
	s.Dev = false
	if _, err := s.Lookup(t.Context(), made.ID); !errors.Is(err, sigv4.ErrUnknownKey) {
		t.Fatalf("a key made in development mode: %v", err)
	}
	if n, err := s.DropDevKeys(t.Context()); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if _, err := s.Lookup(t.Context(), kept.ID); err != nil {
		t.Fatal(err)
	}
	s.Dev = true
	if _, err := s.Lookup(t.Context(), made.ID); !errors.Is(err, sigv4.ErrUnknownKey) {
		t.Fatalf("after it was removed: %v", err)
	}
}
