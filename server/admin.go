package server

import (
	"context"
	"path/filepath"

	"kith/api"
	"kith/fault"
)

// Admin does what belongs to the program as a whole.
type Admin struct {
	// Backup writes a consistent copy of everything into a folder that does not exist or is empty, and returns its size. What the caller
	// can mend is a fault.
	Backup func(ctx context.Context, dir string) (int64, error)
	// Purge removes the bytes of deleted data from the store's files. It returns the store's size before and after, and how many deletions
	// could not be carried out yet.
	Purge func(ctx context.Context) (before, after, left int64, err error)
}

// PurgeStore removes the bytes of deleted data from the files of the store, while the server goes on.
func (a *Admin) PurgeStore(ctx context.Context, _ *api.PurgeStoreRequest) (*api.PurgeStoreResponse, error) {
	before, after, left, err := a.Purge(ctx)
	if err != nil {
		return nil, err
	}
	return &api.PurgeStoreResponse{BytesBefore: &before, BytesAfter: &after, DeletionsLeft: &left}, nil
}

// CreateBackup writes a consistent copy into a folder on the server's machine, while the server goes on.
func (a *Admin) CreateBackup(ctx context.Context, in *api.CreateBackupRequest) (*api.CreateBackupResponse, error) {
	dir := *in.Directory
	if !filepath.IsAbs(dir) {
		return nil, fault.BadRequestf("Directory must be an absolute path on the server's machine.")
	}
	n, err := a.Backup(ctx, filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	return &api.CreateBackupResponse{Directory: &dir, Bytes: &n}, nil
}
