package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"kith/access"
	"kith/fault"
)

// Everything the program writes is for its own user: customers' data is not encrypted in the store. This is one setting of the process,
// because the storage engine, like most libraries, creates files as the process allows.
func keepPrivate() { unix.Umask(0o077) }

// unfinishedFile is in a folder while a backup or a restore fills it.
const unfinishedFile = "unfinished"

// errNotEmpty says that a folder to be filled has something in it.
var errNotEmpty = errors.New("the folder is not empty")

// finished refuses a folder that was not filled to the end.
func finished(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, unfinishedFile)); err == nil {
		return usageError("%s is the rest of a backup or a restore that was cut off: remove the folder, and do it again", dir)
	}
	return nil
}

// fillFolder makes a folder, or takes an empty one, closes it to other users, and has it filled. When it returns, all of it is on the disk, or
// nothing is left of it.
func fillFolder(dir string, fill func() error) (err error) {
	made := true
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		made = false
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			return errNotEmpty
		}
		_ = os.Chmod(dir, 0o700) // may be somebody else's; what is in it is closed, too
	} else if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, clearFolder(dir, made))
		}
	}()
	marker := filepath.Join(dir, unfinishedFile)
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		return err
	}
	if err := fill(); err != nil {
		return err
	}
	if err := syncFolders(dir); err != nil {
		return err
	}
	return errors.Join(os.Remove(marker), syncFolder(dir))
}

// clearFolder removes what is in a folder, the mark that it is unfinished last, and the folder itself if it was made here.
func clearFolder(dir string, made bool) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != unfinishedFile {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return err
	}
	if made {
		return os.RemoveAll(dir)
	}
	if err := os.Remove(filepath.Join(dir, unfinishedFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncFolders makes sure that the names of all files below a folder are on the disk.
func syncFolders(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncFolder(path)
	})
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// backup copies the folder into dir while it is in use. What is wrong with dir is a fault that says so.
func (f *folder) backup(ctx context.Context, dir string) (n int64, err error) {
	f.blobs.gate.Lock()
	defer f.blobs.gate.Unlock()
	inside, err := lies(dir, f.dir)
	if err == nil && inside {
		return 0, fault.BadRequestf("Directory %s is in the data folder itself; name one outside of it.", dir)
	}
	if err == nil {
		err = fillFolder(dir, func() error { return f.copyTo(ctx, dir) })
	}
	if err == nil {
		return treeSize(dir)
	}
	for _, c := range []struct {
		is   error
		text string
	}{
		{errNotEmpty, "is not empty; name a new one"},
		{fs.ErrNotExist, "can't be made: its parent must exist"},
		{fs.ErrPermission, "can't be written by the server's user"},
		{syscall.ENOTDIR, "is no directory, or its parent is none"},
		{syscall.ELOOP, "has symbolic links that go in circles"},
		{syscall.ENAMETOOLONG, "has too long a name"},
		{syscall.EROFS, "is on a file system that can only be read"},
		{syscall.ENOSPC, "is on a disk without enough room; nothing was left there"},
		{syscall.EDQUOT, "has a quota without enough room; nothing was left there"},
	} {
		if errors.Is(err, c.is) {
			return 0, fault.BadRequestf("Directory %s %s.", dir, c.text)
		}
	}
	return 0, err
}

// copyTo copies the store's checkpoint, then the blobs, then the master key: what the store names is there when it is copied.
func (f *folder) copyTo(ctx context.Context, dir string) error {
	if err := f.store.Checkpoint(ctx, filepath.Join(dir, "store")); err != nil {
		return err
	}
	if err := copyTree(ctx, filepath.Join(f.dir, "blob"), filepath.Join(dir, "blob"), true); err != nil {
		return err
	}
	// The key may come from the environment. The node's name lets a restored folder go on with its imports at once.
	for _, name := range []string{access.MasterKeyFile, nodeIDFile} {
		if err := copyFile(filepath.Join(f.dir, name), filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// lies says whether a path, which need not exist, is a folder or in it, whatever links lead there.
func lies(path, folder string) (bool, error) {
	folder, err := filepath.Abs(folder)
	if err == nil {
		folder, err = filepath.EvalSymlinks(folder)
	}
	if err != nil {
		return false, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return false, err
	}
	rest := ""
	real, err := filepath.EvalSymlinks(path)
	for errors.Is(err, fs.ErrNotExist) && path != filepath.Dir(path) {
		rest = filepath.Join(filepath.Base(path), rest)
		path = filepath.Dir(path)
		real, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return false, err
	}
	rel, err := filepath.Rel(folder, filepath.Join(real, rest))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../"), err
}

// copyTree copies a folder's files, by hard links where link is set and possible. Names that begin with a dot are left out.
func copyTree(ctx context.Context, from, to string, link bool) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && rel != "." {
				return fs.SkipDir
			}
			return os.MkdirAll(target, 0o700)
		}
		if link && os.Link(path, target) == nil {
			return nil
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Sync(), dst.Close())
}

func treeSize(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
