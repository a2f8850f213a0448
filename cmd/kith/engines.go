package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kith/access"
	"kith/blob"
	"kith/blob/s3"
	"kith/store"
	"kith/store/cql"
	"kith/upload"
)

// engines are what a server keeps its data in, and what only some of them can do.
type engines struct {
	store  store.Store
	blobs  blob.Store
	master []byte
	owner  string // this node's name in leases
	died   string // what this node's last process died of, if it left word; a node that keeps no name can't know
	// shared says that other nodes work on the same data.
	shared bool
	// where is how messages call it.
	where string

	backup func(ctx context.Context, dir string) (int64, error)             // nil: the operator's business
	purge  func(ctx context.Context) (before, after, left int64, err error) // nil: the operator's business
	room   upload.Room                                                      // nil: not ours to watch
	tidy   func(ctx context.Context) error                                  // removes what died processes left; nil: nothing to do
	// damaged says that stored data was found damaged since the start; nil: the cluster's business.
	damaged func() bool
	// purgeDue says whether the store was not purged for so long; nil with purge.
	purgeDue func(ctx context.Context, every time.Duration, now time.Time) (bool, error)
	metrics  []prometheus.Collector
	close    func() error
}

// openEngines opens what the configuration names. Its errors say what to do.
func openEngines(ctx context.Context, c *Config, log *slog.Logger) (*engines, error) {
	if c.Store == "" {
		f, err := openFolder(c.Data, log, c.AcceptDamage)
		if err != nil {
			return nil, err
		}
		return f.engines(), nil
	}
	master, err := sharedMasterKey(c.Data)
	if err != nil {
		return nil, err
	}
	so, err := storeOptions(c.Store)
	if err != nil {
		return nil, err
	}
	bo, err := bucketOptions(c.Blob)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	st, err := cql.Open(ctx, so)
	if err != nil {
		return nil, fmt.Errorf("--store: %w", err)
	}
	blobs, err := s3.Open(ctx, bo)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--blob: %w", err), st.Close())
	}
	return &engines{
		store: st, blobs: blobs, master: master, owner: nodeName(), shared: true,
		where: "keyspace " + so.Keyspace + ", bucket " + bo.Bucket,
		tidy:  func(ctx context.Context) error { return blobs.Sweep(ctx, 24*time.Hour) },
		metrics: []prometheus.Collector{
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kith_store_requests_bound", Help: "Requests to the cluster that this node may have in flight; it follows what the cluster bears."},
				func() float64 { return float64(st.Bound()) }),
		},
		close: func() error { return errors.Join(blobs.Close(), st.Close()) },
	}, nil
}

// storeOptions reads the address of a cluster and the environment that belongs to it.
func storeOptions(address string) (cql.Options, error) {
	o, err := cql.ParseAddress(address)
	if err != nil {
		return o, usageError("--store: %w", err)
	}
	if user := os.Getenv("KITH_CQL_USER"); user != "" {
		o.User, o.Password = user, os.Getenv("KITH_CQL_PASSWORD")
	}
	return o, nil
}

// bucketOptions reads the address of a bucket and the environment that belongs to it.
func bucketOptions(address string) (s3.Options, error) {
	o, err := s3.ParseAddress(address)
	if err != nil {
		return o, usageError("--blob: %w", err)
	}
	o.AccessKey, o.SecretKey = os.Getenv("KITH_S3_ACCESS_KEY"), os.Getenv("KITH_S3_SECRET_KEY")
	return o, nil
}

// sharedMasterKey returns the master key that all nodes of a cluster are given. None is made up here: two nodes would make two.
func sharedMasterKey(dir string) ([]byte, error) {
	env := os.Getenv("KITH_MASTER_KEY")
	if env == "" {
		if _, err := os.Stat(filepath.Join(dir, access.MasterKeyFile)); errors.Is(err, fs.ErrNotExist) {
			return nil, usageError("nodes on a cluster share one master key: give all of them the same KITH_MASTER_KEY (`openssl rand -base64 32` makes one), or the same file %s", filepath.Join(dir, access.MasterKeyFile))
		}
	}
	return access.LoadMasterKey(env, dir)
}

// nodeName is a new name for a node that keeps no state: what it held before a restart goes to whoever is first when the lease
// has run out.
func nodeName() string {
	var id [8]byte
	_, _ = rand.Read(id[:])
	host, _ := os.Hostname()
	return strings.ToLower(host) + "-" + hex.EncodeToString(id[:])
}
