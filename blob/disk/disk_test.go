package disk_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"kith/blob"
	"kith/blob/blobtest"
	"kith/blob/disk"
)

func TestStore(t *testing.T) {
	dirs := map[blob.Store]string{}
	blobtest.Run(t, blobtest.Engine{
		New: func(t *testing.T) blob.Store {
			dir := t.TempDir()
			s, err := disk.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			dirs[s] = dir
			return s
		},
		Raw: func(t *testing.T, s blob.Store) (all []byte) {
			err := filepath.WalkDir(dirs[s], func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				b, err := os.ReadFile(path)
				all = append(all, b...)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return all
		},
		Damage: func(t *testing.T, s blob.Store, name string, cut bool) {
			path := filepath.Join(dirs[s], name)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if cut {
				b = append(b[:40+2*(65536+32)], b[len(b)-16:]...) // at a package boundary, where the length alone tells nothing
			} else {
				b[len(b)/2] ^= 1
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestCrashLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Create(t.Context(), "d/x", blob.Key{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	// The process dies here: neither Commit nor Abort.
	if _, err := disk.Open(dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, ".tmp"))
	if err != nil || len(left) != 0 {
		t.Fatalf("%d unfinished files left, %v", len(left), err)
	}
}
