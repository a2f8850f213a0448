package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"kith/blob"
	"kith/blob/blobtest"
	"kith/blob/s3"
	"kith/test/cluster"
)

// server starts an S3 server whose files the test can reach.
func server(t *testing.T) (address, dir string) {
	if os.Getenv("KITH_TEST_S3") == "" {
		t.Skip("no S3 server: KITH_TEST_S3=1 has the tests build and start one; make test-cluster does")
	}
	address, err := cluster.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	p, err := cluster.S3At(ctx, dir, address)
	if err == nil {
		err = p.Start(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return address, filepath.Join(dir, "s3", "data")
}

func client(t *testing.T, address string) *minio.Client {
	c, err := minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(cluster.S3User, cluster.S3Secret, "")})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func options(address, bucket string) s3.Options {
	return s3.Options{Endpoint: address, Bucket: bucket, Prefix: "some/prefix/", Region: "us-east-1", AccessKey: cluster.S3User, SecretKey: cluster.S3Secret}
}

// TestStore runs the suite against a real server.
func TestStore(t *testing.T) {
	address, dir := server(t)
	buckets := map[blob.Store]string{}
	path := func(s blob.Store, name string) string {
		return filepath.Join(dir, buckets[s], "some", "prefix", filepath.FromSlash(name))
	}
	n := 0
	blobtest.Run(t, blobtest.Engine{
		New: func(t *testing.T) blob.Store {
			n++
			bucket := "kith-test-" + string(rune('a'+n))
			if err := client(t, address).MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}); err != nil {
				t.Fatal(err)
			}
			s, err := s3.Open(t.Context(), options(address, bucket))
			if err != nil {
				t.Fatal(err)
			}
			buckets[s] = bucket
			return s
		},
		Replaced: true,
		Raw:      func(t *testing.T, s blob.Store) []byte { return blobtest.ReadFiles(t, filepath.Join(dir, buckets[s])) },
		Damage:   func(t *testing.T, s blob.Store, name string, cut bool) { blobtest.DamageFile(t, path(s, name), cut) },
	})
	t.Run("PartsAndLeftovers", func(t *testing.T) { parts(t, address) })
	t.Run("OpenExplains", func(t *testing.T) { explains(t, address) })
	t.Run("Outside", func(t *testing.T) { outside(t, address) })
}

// outside writes plain objects with the credentials that AWS's tools find, and says what is wrong before anything is written.
func outside(t *testing.T, address string) {
	t.Setenv("AWS_ACCESS_KEY_ID", cluster.S3User)
	t.Setenv("AWS_SECRET_ACCESS_KEY", cluster.S3Secret)
	c := client(t, address)
	if err := c.MakeBucket(t.Context(), "kith-outside", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := s3.NewOutside(s3.Options{Endpoint: address, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context(), "kith-outside", "a/b"); err != nil {
		t.Fatal(err)
	}
	for o := range c.ListObjects(t.Context(), "kith-outside", minio.ListObjectsOptions{Recursive: true}) {
		t.Errorf("a check has left %s, %v", o.Key, o.Err)
	}
	for name, text := range map[string]string{"a/b/empty.csv": "", "a/b/small.csv": "MatchId\n", "a/b/large.csv": strings.Repeat("a line of many\n", 2<<20)} {
		if err := s.Put(t.Context(), "kith-outside", name, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		o, err := c.GetObject(t.Context(), "kith-outside", name, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(o)
		if err != nil || string(got) != text {
			t.Fatalf("%s: %d bytes, want %d, %v", name, len(got), len(text), err)
		}
	}
	failing := io.MultiReader(strings.NewReader(strings.Repeat("x", 20<<20)), iotest.ErrReader(errors.New("the source broke")))
	if err := s.Put(t.Context(), "kith-outside", "a/b/half.csv", failing); err == nil {
		t.Fatal("a half was written")
	}
	if _, err := c.StatObject(t.Context(), "kith-outside", "a/b/half.csv", minio.StatObjectOptions{}); err == nil {
		t.Fatal("a half is there")
	}
	if err := s.Check(t.Context(), "kith-none", "a"); err == nil || !strings.Contains(err.Error(), `there is no bucket "kith-none"`) {
		t.Fatal(err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	if s, err = s3.NewOutside(s3.Options{Endpoint: address, Region: "us-east-1"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context(), "kith-outside", "a/b"); err == nil || !strings.Contains(err.Error(), "may not write to the bucket") {
		t.Fatal(err)
	}
}

func parts(t *testing.T, address string) {
	c := client(t, address)
	if err := c.MakeBucket(t.Context(), "kith-parts", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := s3.Open(t.Context(), options(address, "kith-parts"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, key := t.Context(), blob.Key{1}
	data := bytes.Repeat([]byte("a line of many\n"), 2<<20) // 30 MB: several parts
	w, err := s.Create(ctx, "d/large", key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(ctx, "d/large", key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make([]byte, len(data))
	if n, err := r.ReadAt(got, 0); n != len(data) || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes came back, %v", n, err)
	}
	// What was replaced is told from what is damaged, even where the sizes are equal.
	over, err := s.Create(ctx, "d/large", key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := over.Write(data); err != nil {
		t.Fatal(err)
	}
	if _, err := over.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(got[:10], 0); err == nil || errors.Is(err, blob.ErrSealed) {
		t.Fatalf("reading a blob that was replaced: %v", err)
	}
	scratch, err := s.CreateScratch(ctx, "d/scratch", key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := scratch.Write(data); err != nil {
		t.Fatal(err)
	}
	if info, err := scratch.Commit(); err != nil || info.Size != int64(len(data)) {
		t.Fatalf("%+v, %v", info, err)
	}
	if _, err := scratch.Commit(); err == nil {
		t.Fatal("a second Commit succeeded")
	}
	if r, err := s.Open(ctx, "d/scratch", key); err != nil || r.Size() != int64(len(data)) {
		t.Fatalf("the scratch blob: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "kith-scratch-*")); len(left) > 0 {
		t.Fatalf("temporary files are left: %v", left)
	}
	uploads := func() (n int) {
		for u := range c.ListIncompleteUploads(ctx, "kith-parts", "", true) {
			if u.Err != nil {
				t.Fatal(u.Err)
			}
			n++
		}
		return n
	}
	// A writer whose process dies leaves an upload, and an aborted one does not.
	for _, abort := range []bool{true, false} {
		w, err := s.Create(ctx, "d/lost", key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if abort {
			w.Abort()
			if n := uploads(); n != 0 {
				t.Fatalf("%d uploads after Abort", n)
			}
		}
	}
	if n := uploads(); n != 1 {
		t.Fatalf("%d uploads are left behind, want 1", n)
	}
	if err := s.Sweep(ctx, time.Hour); err != nil || uploads() != 1 {
		t.Fatalf("a young upload was swept, %v", err)
	}
	// A part that was on its way can come behind the sweep, and brings the upload back: then the next one has it.
	for left := 1; left > 0; left = uploads() {
		if err := s.Sweep(ctx, -time.Second); err != nil { // the server's times are rounded
			t.Fatal(err)
		}
	}
}

func explains(t *testing.T, address string) {
	bad := options(address, "kith-parts")
	bad.SecretKey = "wrong"
	unknown := options(address, "kith-parts")
	unknown.AccessKey = "nobody"
	absent, err := cluster.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]s3.Options{
		"there is no bucket":                  options(address, "kith-none"),
		"refuses the access key or its":       bad,
		"refuses the bucket":                  unknown,
		"does not answer: check the endpoint": options(absent, "kith-parts"),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if _, err := s3.Open(ctx, o); err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%v, want %q", err, want)
		}
		cancel()
	}
}

// Without a key of its own a node finds one where AWS's tools look.
func TestCredentialsOfTheEnvironment(t *testing.T) {
	address, _ := server(t)
	if err := client(t, address).MakeBucket(t.Context(), "bucket", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	o := options(address, "bucket")
	o.AccessKey, o.SecretKey = "", ""
	t.Setenv("AWS_ACCESS_KEY_ID", cluster.S3User)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	if _, err := s3.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "refuses the access key or its secret") {
		t.Errorf("with a wrong secret: %v", err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", cluster.S3Secret)
	if _, err := s3.Open(t.Context(), o); err != nil {
		t.Errorf("from the environment: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	file := filepath.Join(t.TempDir(), "credentials")
	text := "[default]\naws_access_key_id = " + cluster.S3User + "\naws_secret_access_key = " + cluster.S3Secret + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	if _, err := s3.Open(t.Context(), o); err != nil {
		t.Errorf("from the file of AWS's tools: %v", err)
	}
}

// Whatever keeps a bucket from being used is one sentence that says what to do.
func TestOpenExplains(t *testing.T) {
	for code, want := range map[string]string{
		"InvalidAccessKeyId":           "refuses the access key or its secret (InvalidAccessKeyId): give the bucket's own",
		"SignatureDoesNotMatch":        "refuses the access key or its secret (SignatureDoesNotMatch): give the bucket's own",
		"AccessDenied":                 `the access key may not use the bucket "bucket" at`,
		"NoSuchBucket":                 `there is no bucket "bucket" at`,
		"RequestTimeTooSkewed":         "are too far apart: set both by NTP",
		"AuthorizationHeaderMalformed": `the bucket "bucket" is in another region (a message): add ?region=`,
		"Strange":                      `refuses the bucket "bucket": Strange a message`,
	} {
		t.Run(code, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/xml")
				w.WriteHeader(http.StatusForbidden)
				_, _ = fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>a message</Message></Error>", code)
			}))
			defer server.Close()
			_, err := s3.Open(t.Context(), options(server.Listener.Addr().String(), "bucket"))
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
	if _, err := s3.Open(t.Context(), options("127.0.0.1:1", "bucket")); err == nil || !strings.Contains(err.Error(), "does not answer: check the endpoint and the network") {
		t.Errorf("an address where nobody listens: %v", err)
	}
}
