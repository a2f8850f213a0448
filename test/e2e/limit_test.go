package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// limitMemory has the kernel end a process that takes more memory, its share of the page cache included, and says whether it could: it needs root, and a
// hierarchy of control groups (of either version) that may be written.
func limitMemory(t *testing.T, pid int, most int64) bool {
	t.Helper()
	for root, limits := range map[string][]string{
		"/sys/fs/cgroup":        {"memory.max", "memory.swap.max"},
		"/sys/fs/cgroup/memory": {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"},
	} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			continue
		}
		group := filepath.Join(root, fmt.Sprintf("kith-test-%d", pid))
		if err := os.Mkdir(group, 0o700); err != nil {
			continue
		}
		t.Cleanup(func() {
			_ = os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0) // a group with processes stays
			removeGroup(t, group)
		})
		limit := strconv.FormatInt(most, 10)
		err := os.WriteFile(filepath.Join(group, limits[0]), []byte(limit), 0)
		if limits[1] == "memory.swap.max" {
			limit = "0"
		}
		_ = os.WriteFile(filepath.Join(group, limits[1]), []byte(limit), 0) // absent where there is no swap
		if err == nil {
			err = os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
		}
		if err == nil {
			return true
		}
	}
	return false
}

// removeGroup removes a control group, which is possible a moment after its last process has left it.
func removeGroup(t *testing.T, group string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); os.Remove(group) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%s can't be removed", group)
			return
		}
	}
}

// diskUse is how many bytes a process keeps in a folder, and in files that it has deleted and still holds open.
func diskUse(pid int, folder string) (n int64) {
	_ = filepath.WalkDir(folder, func(_ string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it went meanwhile
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	open := fmt.Sprintf("/proc/%d/fd", pid)
	files, _ := os.ReadDir(open)
	for _, f := range files {
		path := filepath.Join(open, f.Name())
		if to, err := os.Readlink(path); err != nil || !strings.HasSuffix(to, " (deleted)") {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
	}
	return n
}
