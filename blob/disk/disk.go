// Package disk keeps blobs as files in a folder. A blob is written under a temporary name in the same folder, synced,
// renamed, and its directory synced, so that a name is always a whole blob and a crash leaves only temporary files, which
// Open of the store removes.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"kith/blob"
)

const tmpDir = ".tmp"

// Store is the engine. Make it with Open.
type Store struct {
	dir  string
	hook Hook
	// folders is held by a Commit from making the folder until its blob is in it, and alone by whoever removes folders that have become empty.
	folders sync.RWMutex
}

// Hook is asked before every operation on files that changes something: "create", "write", "sync", "rename", "sync folder",
// "remove". Its error is returned in the place of the operation's. For tests of what a failing disk does.
type Hook func(op, path string) error

func (h Hook) ask(op, path string) error {
	if h == nil {
		return nil
	}
	return h(op, path)
}

// Open opens or creates the folder.
func Open(dir string) (*Store, error) { return OpenWith(dir, nil) }

// OpenWith is Open with a hook.
func OpenWith(dir string, hook Hook) (*Store, error) {
	s := &Store{dir: dir, hook: hook}
	if err := s.clearTmp(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, tmpDir), 0o700); err != nil {
		return nil, fmt.Errorf("create the blob folder: %w", err)
	}
	return s, nil
}

func (s *Store) clearTmp() error {
	if err := os.RemoveAll(filepath.Join(s.dir, tmpDir)); err != nil {
		return fmt.Errorf("clear unfinished blobs: %w", err)
	}
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// Create implements blob.Store.
func (s *Store) Create(ctx context.Context, name string, key blob.Key) (blob.Writer, error) {
	return s.create(ctx, name, key, true)
}

// CreateScratch implements blob.Store: nothing is synced.
func (s *Store) CreateScratch(ctx context.Context, name string, key blob.Key) (blob.Writer, error) {
	return s.create(ctx, name, key, false)
}

func (s *Store) create(ctx context.Context, name string, key blob.Key, durable bool) (blob.Writer, error) {
	if err := errors.Join(ctx.Err(), blob.CheckName(name)); err != nil {
		return nil, err
	}
	if err := s.hook.ask("create", name); err != nil {
		return nil, fmt.Errorf("create a blob: %w", err)
	}
	f, err := os.CreateTemp(filepath.Join(s.dir, tmpDir), "blob-*")
	if err != nil {
		return nil, fmt.Errorf("create a blob: %w", err)
	}
	w := &writer{s: s, ctx: ctx, name: name, file: f, durable: durable}
	w.sealed, err = blob.Seal(hooked{w}, key)
	if err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

type writer struct {
	s      *Store
	ctx    context.Context
	name   string
	file   *os.File
	sealed io.WriteCloser
	size   int64
	done   bool
	// durable says that the bytes must outlive a power failure.
	durable bool
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.sealed.Write(p)
	w.size += int64(n)
	return n, err
}

// hooked writes to the file of a writer.
type hooked struct{ w *writer }

func (h hooked) Write(p []byte) (int, error) {
	if err := h.w.s.hook.ask("write", h.w.name); err != nil {
		return 0, err
	}
	return h.w.file.Write(p)
}

func (w *writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	_ = w.file.Close()
	_ = os.Remove(w.file.Name())
}

func (w *writer) Commit() (blob.Info, error) {
	info, err := w.commit()
	if err != nil {
		w.Abort()
		return blob.Info{}, fmt.Errorf("commit a blob: %w", err)
	}
	return info, nil
}

func (w *writer) commit() (blob.Info, error) {
	if w.done {
		return blob.Info{}, errors.New("the writer has ended")
	}
	if err := w.ctx.Err(); err != nil {
		return blob.Info{}, err
	}
	if err := w.sealed.Close(); err != nil {
		return blob.Info{}, err
	}
	if w.durable {
		if err := w.s.hook.ask("sync", w.name); err != nil {
			return blob.Info{}, err
		}
		if err := w.file.Sync(); err != nil {
			return blob.Info{}, err
		}
	}
	stat, err := w.file.Stat()
	if err != nil {
		return blob.Info{}, err
	}
	if err := w.s.hook.ask("rename", w.name); err != nil {
		return blob.Info{}, err
	}
	path := w.s.path(w.name)
	if err := w.s.place(w.file.Name(), path); err != nil {
		return blob.Info{}, err
	}
	w.done = true
	err = w.file.Close()
	if w.durable {
		err = errors.Join(err, w.s.hook.ask("sync folder", w.name), syncFolderOf(path))
	}
	if err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Name: w.name, Size: w.size, ModTime: stat.ModTime()}, nil
}

// place gives a file its name.
func (s *Store) place(file, path string) error {
	s.folders.RLock()
	defer s.folders.RUnlock()
	if err := s.mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	return os.Rename(file, path)
}

// syncFolderOf syncs the folder of a blob, unless that is gone: whoever has deleted the blob meanwhile has removed it.
func syncFolderOf(path string) error {
	if err := syncDir(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// mkdir makes a directory below the store's and syncs every parent that gained one.
func (s *Store) mkdir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if len(parent) >= len(s.dir) {
		if err := s.mkdir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open implements blob.Store.
func (s *Store) Open(ctx context.Context, name string, key blob.Key) (blob.Reader, error) {
	if err := errors.Join(ctx.Err(), blob.CheckName(name)); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, blob.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("open a blob: %w", err)
	}
	stat, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	plain, err := blob.Unseal(f, stat.Size(), key)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &reader{Plain: plain, Closer: f}, nil
}

type reader struct {
	*blob.Plain
	io.Closer
}

// Delete implements blob.Store. Directories that became empty go too.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := errors.Join(ctx.Err(), blob.CheckName(name)); err != nil {
		return err
	}
	if err := s.hook.ask("remove", name); err != nil {
		return fmt.Errorf("delete a blob: %w", err)
	}
	path := s.path(name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete a blob: %w", err)
	}
	s.folders.Lock()
	defer s.folders.Unlock()
	for dir := filepath.Dir(path); len(dir) > len(s.dir); dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			break
		}
	}
	return nil
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		root := s.path(prefix)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err := errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			if d.IsDir() {
				if d.Name() == tmpDir {
					return fs.SkipDir
				}
				return nil
			}
			stat, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			size, err := blob.PlainSize(stat.Size())
			if err != nil {
				return nil // not a blob of ours
			}
			name, _ := filepath.Rel(s.dir, path)
			name = filepath.ToSlash(name)
			if !strings.HasPrefix(name, prefix) {
				return nil
			}
			if !yield(blob.Info{Name: name, Size: size, ModTime: stat.ModTime()}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(blob.Info{}, err)
		}
	}
}

// Close implements blob.Store.
func (s *Store) Close() error { return s.clearTmp() }
