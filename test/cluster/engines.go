package cluster

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"kith/blob"
	"kith/blob/s3"
	"kith/store"
	"kith/store/cql"
)

// Options returns the address of the running cluster's keyspace for tests, emptied, or skips the test. KITH_TEST_KEYSPACE names another one, for
// what runs side by side.
func Options(t *testing.T) cql.Options {
	t.Helper()
	hosts := os.Getenv("KITH_TEST_CQL")
	if hosts == "" {
		t.Skip("no cluster: make test-cluster starts one and sets KITH_TEST_CQL")
	}
	ctx := context.Background()
	o, err := cql.ParseAddress("cql://" + hosts + "/" + cmp.Or(os.Getenv("KITH_TEST_KEYSPACE"), "kith_test"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := cql.Migrate(ctx, o, 1+strings.Count(hosts, ",")); err != nil {
		t.Fatal(err)
	}
	if err := cql.Clear(ctx, o); err != nil {
		t.Fatal(err)
	}
	return o
}

// Engines returns the engines of a running cluster, emptied, or skips the test. The caller closes the store.
func Engines(t *testing.T) (store.Store, blob.Store) {
	t.Helper()
	return EnginesOn(t, Options(t))
}

// EnginesOn is Engines on a keyspace.
func EnginesOn(t *testing.T, o cql.Options) (store.Store, blob.Store) {
	t.Helper()
	s3Address, ctx := os.Getenv("KITH_TEST_S3"), context.Background()
	if s3Address == "" {
		t.Skip("no bucket: make test-cluster starts a server and sets KITH_TEST_S3")
	}
	st, err := cql.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	bucket := fmt.Sprintf("kith-test-%d", time.Now().UnixNano())
	if err := MakeBucket(ctx, s3Address, bucket); err != nil {
		t.Fatal(err)
	}
	blobs, err := s3.Open(ctx, s3.Options{Endpoint: s3Address, Bucket: bucket, Region: "us-east-1", AccessKey: S3User, SecretKey: S3Secret})
	if err != nil {
		t.Fatal(err)
	}
	return st, blobs
}
