package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/zeebo/xxh3"

	"kith/access"
	"kith/blob/s3"
	"kith/store"
	"kith/store/cql"
	"kith/store/pebble"
)

func copyCommand() *cobra.Command {
	var from, to, bucket string
	var again bool
	cmd := &cobra.Command{
		Use: "copy", Short: "Load a backup of a data folder into a cluster and a bucket", Args: cobra.NoArgs,
		Long: `Load what "kith backup" made into an empty keyspace (made by "kith migrate") and a bucket, and verify it: the rows of every table
are counted and hashed on both sides. No node may serve the keyspace meanwhile. The backup stays as it is.

Nodes on the cluster need the master key the backup was made under: its file master.key, or the KITH_MASTER_KEY of its server.
Imports that were under way in the backup go on when the first node starts.`,
		Example: `  kith backup /backup
  kith migrate --store cql://host1,host2,host3/kith --replication 3
  kith copy --from /backup --to cql://host1,host2,host3/kith \
      --blob "s3://kith?endpoint=https://s3.example.org"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" || to == "" || bucket == "" {
				return usageError("--from, --to and --blob are all needed")
			}
			return runCopy(cmd.Context(), from, to, bucket, again, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "folder of the backup")
	cmd.Flags().StringVar(&to, "to", "", "cluster: cql://host1,host2/keyspace")
	cmd.Flags().StringVar(&bucket, "blob", "", "bucket: s3://bucket/prefix?endpoint=https://host")
	cmd.Flags().BoolVar(&again, "again", false, "go on with a copy of the same backup that was interrupted")
	return cmd
}

func runCopy(ctx context.Context, from, to, bucket string, again bool, out io.Writer) (err error) {
	if err := isBackup(from); err != nil {
		return err
	}
	so, err := storeOptions(to)
	if err != nil {
		return err
	}
	bo, err := bucketOptions(bucket)
	if err != nil {
		return err
	}
	src, err := pebble.Open(filepath.Join(from, "store"), pebble.Options{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := cql.Open(ctx, so)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	blobs, err := s3.Open(ctx, bo)
	if err != nil {
		return fmt.Errorf("--blob: %w", err)
	}
	if err := checkBackupKey(ctx, src, from); err != nil {
		return err
	}
	if !again {
		for _, err := range dst.Sweep(ctx, store.SweepRange{Table: store.Catalog}) {
			if err != nil {
				return err
			}
			return usageError("the keyspace %s holds data already: name an empty one, or say --again to go on with an interrupted copy of this backup", so.Keyspace)
		}
	}
	start := time.Now()
	n, size, err := copyBlobs(ctx, filepath.Join(from, "blob"), blobs)
	if err != nil {
		return fmt.Errorf("copy files: %w", err)
	}
	fmt.Fprintf(out, "%d files, %.1f MB\n", n, float64(size)/1e6)
	// The catalogue last: until then no domain exists.
	tables := slices.Clone(store.Tables)
	slices.Reverse(tables)
	for _, t := range tables {
		want, err := copyTable(ctx, src, dst, t)
		if err != nil {
			return fmt.Errorf("copy table %s: %w", t, err)
		}
		got, err := digestOf(ctx, dst, t)
		if err != nil {
			return fmt.Errorf("verify table %s: %w", t, err)
		}
		if got != want {
			return fmt.Errorf("table %s differs: the backup has %s, the cluster %s; empty the keyspace and copy again, while no node serves it", t, want, got)
		}
		fmt.Fprintf(out, "table %-9s %s, verified\n", t, want)
	}
	_, err = fmt.Fprintf(out, "Copied in %s. Start the nodes with the backup's master key.\n", time.Since(start).Round(time.Second))
	return err
}

// checkBackupKey makes sure that the master key of the backup is at hand, before anything is copied that nobody could open.
func checkBackupKey(ctx context.Context, src store.Store, dir string) error {
	master, err := sharedMasterKey(dir)
	if err != nil {
		return err
	}
	sealer, err := access.NewSealer(master)
	if err != nil {
		return err
	}
	if bound, err := access.Bound(ctx, src); err != nil || !bound {
		return err
	}
	return (&access.Service{Store: src, Sealer: sealer, Now: time.Now}).CheckMaster(ctx)
}

// copyBlobs copies sealed blobs as they are: they are opened with their jobs' client tokens only.
func copyBlobs(ctx context.Context, dir string, blobs *s3.Store) (n int, size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err := errors.Join(err, ctx.Err()); err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		n, size = n+1, size+info.Size()
		return blobs.PutSealed(ctx, filepath.ToSlash(name), f, info.Size())
	})
	return n, size, err
}

// digest is what two tables are compared by: rows, and a sum of their hashes, which has no order. A Swap row's version is its
// store's own and left out.
type digest struct {
	rows int64
	sum  uint64
}

func (d digest) String() string { return fmt.Sprintf("%d rows, hash %016x", d.rows, d.sum) }

func (d *digest) add(r store.SweepRow) {
	var b []byte
	b = binary.BigEndian.AppendUint64(b, uint64(r.Partition.Incarnation))
	for _, part := range [][]byte{[]byte(r.Partition.Key), r.Row.Key, r.Row.Value} {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(part))), part...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(r.Row.Time))
	d.rows++
	d.sum += xxh3.Hash(b)
}

func digestOf(ctx context.Context, st store.Store, t store.Table) (d digest, err error) {
	for row, err := range st.Sweep(ctx, store.SweepRange{Table: t}) {
		if err != nil {
			return d, err
		}
		d.add(row)
	}
	return d, nil
}

// copyTable copies all rows of a table and returns their digest. It may be repeated.
func copyTable(ctx context.Context, src, dst store.Store, t store.Table) (d digest, err error) {
	rows := func(yield func(store.RunRow, error) bool) {
		for row, err := range src.Sweep(ctx, store.SweepRange{Table: t}) {
			if err != nil {
				yield(store.RunRow{}, err)
				return
			}
			d.add(row)
			if row.Row.Version > 0 {
				if err := copySwapRow(ctx, dst, row); err != nil {
					yield(store.RunRow{}, err)
					return
				}
				continue
			}
			m := store.Mutation{Key: row.Row.Key, Value: row.Row.Value, Time: row.Row.Time}
			if !yield(store.RunRow{Incarnation: row.Partition.Incarnation, Partition: []byte(row.Partition.Key), Mutation: m}, nil) {
				return
			}
		}
	}
	err = dst.WriteRun(ctx, store.Run{Table: t, Rows: rows})
	return d, err
}

func copySwapRow(ctx context.Context, dst store.Store, row store.SweepRow) error {
	r := row.Row.Clone()
	_, err := store.Certain(ctx, dst, row.Partition, []store.Swap{{Key: r.Key, Value: r.Value}}, nil)
	if errors.Is(err, store.ErrConflict) {
		return nil // from the copy before; the digest tells if not
	}
	return err
}
