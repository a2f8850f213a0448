package main

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"kith/access"
	"kith/api"
)

// A leaked key is deleted with all that descends from it, also where the line was cut in the middle; what others made stays.
func TestKeysAreDeletedWithTheirDescendants(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := open(t, data)
	defer closeProgram(t, p)
	root := p.local.client()
	with := func(maker *client) (string, *client) {
		t.Helper()
		var key api.CreateAccessKeyResponse
		in := api.CreateAccessKeyRequest{Policy: api.Ptr(access.Everything)}
		if err := maker.call(t.Context(), http.MethodPost, "/kith/access-keys", nil, in, &key); err != nil {
			t.Fatal(err)
		}
		return *key.AccessKeyId, newClient(p.url, credentials.NewStaticCredentialsProvider(*key.AccessKeyId, *key.SecretAccessKey, ""), http.DefaultClient)
	}
	leaked, leakedClient := with(root)
	child, childClient := with(leakedClient)
	_, grandchildClient := with(childClient)
	with(grandchildClient)
	other, otherClient := with(root)
	otherChild, _ := with(otherClient)
	// The line is cut in the middle, as somebody would do it who wants to stay.
	if err := deleteKey(t.Context(), grandchildClient, child); err != nil {
		t.Fatal(err)
	}
	for range 2 { // again when the key itself is gone
		run(context.Background(), []string{"keys", "delete", leaked, "--descendants", "--data", data})
		left := map[string]bool{}
		if err := eachKey(t.Context(), root, func(k api.AccessKeyItem) { left[*k.AccessKeyId] = true }); err != nil {
			t.Fatal(err)
		}
		if len(left) != 3 || !left[other] || !left[otherChild] { // and the folder's root key
			t.Fatalf("left are %v", left)
		}
	}
}
