package cluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// MakeBucket makes the bucket of the nodes, if there is none.
func MakeBucket(ctx context.Context, address, bucket string) error {
	c, err := minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(S3User, S3Secret, ""), Region: "us-east-1"})
	if err != nil {
		return err
	}
	exists, err := c.BucketExists(ctx, bucket)
	if err != nil || exists {
		return err
	}
	return c.MakeBucket(ctx, bucket, minio.MakeBucketOptions{})
}

// Build builds the program into dir.
func Build(ctx context.Context, dir string) (string, error) {
	bin, err := filepath.Abs(filepath.Join(dir, "kith"))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "kith/cmd/kith")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build kith: %w\n%s", err, out)
	}
	return bin, nil
}

// StoreAddress returns what --store is given.
func (c *Cluster) StoreAddress() string { return "cql://" + c.Hosts() + "/" + c.Name }

// BlobAddress returns what --blob is given.
func (c *Cluster) BlobAddress() string {
	return "s3://" + c.Name + "?endpoint=http://127.0.0.1:" + S3Port + "&region=us-east-1"
}

// Env returns the environment that every Kith command on the cluster needs: the bucket's keys, and the master key, which is made
// once and kept in the cluster's folder.
func (c *Cluster) Env() ([]string, error) {
	path := filepath.Join(c.Dir, "master.key")
	key, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		raw := make([]byte, 32)
		_, _ = rand.Read(raw)
		key = []byte(base64.StdEncoding.EncodeToString(raw))
		err = os.WriteFile(path, key, 0o600)
	}
	return []string{"KITH_MASTER_KEY=" + string(key), "KITH_S3_ACCESS_KEY=" + S3User, "KITH_S3_SECRET_KEY=" + S3Secret}, err
}

// Migrate makes the bucket and the keyspace.
func (c *Cluster) Migrate(ctx context.Context, bin string) error {
	if err := MakeBucket(ctx, "127.0.0.1:"+S3Port, c.Name); err != nil {
		return err
	}
	env, err := c.Env()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, bin, "migrate", "--store", c.StoreAddress(), "--replication", fmt.Sprint(len(c.Cassandra)))
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Kith prepares a node named name that listens on an address; the caller starts it. args follow "serve"; store is where its
// cluster is, which may be a proxy in front of it.
func (c *Cluster) Kith(bin, name, listen, store string, args ...string) (*Process, error) {
	env, err := c.Env()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Join(c.Dir, name))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	all := append([]string{bin, "serve", "--store", store, "--blob", c.BlobAddress(), "--data", filepath.Join(dir, "data"), "--listen", listen}, args...)
	return &Process{Name: name, Dir: dir, Args: all, Env: env, Ready: func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/healthz", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", res.Status)
		}
		return nil
	}}, nil
}
