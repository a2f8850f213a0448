package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// startRoom is what the store writes when it opens, besides the rows that its log holds.
const startRoom = 4 << 20

// roomToStart refuses to open a data folder on a disk without room for what opening writes. The store would try for ever, and neither
// listen nor end.
func roomToStart(dir string, free func(dir string) (int64, error)) error {
	have, err := free(dir)
	if err != nil {
		return fmt.Errorf("how full the disk of %s is can't be found out: %w", dir, err)
	}
	need := int64(startRoom)
	entries, err := os.ReadDir(filepath.Join(dir, "store"))
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("read the data folder: %w", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".log") && info.Mode().Type()&fs.ModeType == 0 {
			need += info.Size()
		}
	}
	if have < need {
		return fmt.Errorf("the disk of the data folder %s is full: starting needs %d KiB and %d KiB are free. Nothing that was stored is lost; make room and start again", dir, need>>10, have>>10)
	}
	return nil
}

// freeBytes is the room that is left for us on the disk that holds dir.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
