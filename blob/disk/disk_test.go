package disk_test

import (
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
		Raw: func(t *testing.T, s blob.Store) []byte { return blobtest.ReadFiles(t, dirs[s]) },
		Damage: func(t *testing.T, s blob.Store, name string, cut bool) {
			blobtest.DamageFile(t, filepath.Join(dirs[s], name), cut)
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

// A blob that is deleted as soon as it has its name, and its folder with it, is committed all the same.
func TestDeletedBeforeItsFolderIsSynced(t *testing.T) {
	var s *disk.Store
	s, err := disk.OpenWith(t.TempDir(), func(op, name string) error {
		if op == "sync folder" {
			return s.Delete(t.Context(), name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Create(t.Context(), "d/e/x", blob.Key{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}
