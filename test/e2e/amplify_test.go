package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// peakMemory returns the most memory that a process has had, in bytes.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("no VmHWM in %s", b)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// A few kB of gzip become millions of rows: all bad, and all of one key. The server stays within half a GB of memory, and the disk
// holds little more than the files.
func TestLittleFilesOfMuchText(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("it reads /proc")
	}
	data := t.TempDir()
	server := serve(t, data)
	importOf := func(name, header, row string, rows int) (stdout, stderr string) {
		t.Helper()
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(header))
		for range rows / 1000 {
			_, _ = z.Write([]byte(strings.Repeat(row, 1000)))
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, _ = kith(t, "import", path, "--data", data)
		return stdout, stderr
	}
	out, info := importOf("bad.csv.gz", "id,name\n", "a,,x\n", 600_000)
	if !strings.Contains(out, "FAILED: 0 created, 0 updated, 600000 failed") || !strings.Contains(out, "Of these 600000 rejected rows, ") {
		t.Fatalf("%s%s", out, info)
	}
	id := jobID.FindStringSubmatch(out + info)
	csv, note, err := kith(t, "rejects", id[1], "--data", data)
	if err != nil || !strings.Contains(note, "are kept") {
		t.Fatalf("%v: %s", err, note)
	}
	if kept := int64(strings.Count(csv, "\n") - 1); kept < 100_000 || !strings.Contains(note, fmt.Sprintf(", %d are kept", kept)) {
		t.Errorf("there are %d rejects, and it is said: %s", kept, note)
	}
	out, info = importOf("one.csv.gz", "id\n", "1\n", 1_000_000)
	if !strings.Contains(out, "SUCCEEDED: 1 created, 999999 updated, 0 failed") {
		t.Fatalf("%s%s", out, info)
	}
	if peak := peakMemory(t, server.Process.Pid); peak > 512<<20 {
		t.Errorf("the server took %d MB", peak>>20)
	}
	size := int64(0)
	err = filepath.WalkDir(filepath.Join(data, "blob"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			info, err := d.Info()
			if err != nil {
				return err
			}
			size += info.Size()
		}
		return err
	})
	if err != nil || size > 80<<20 {
		t.Errorf("%d MB are kept of files of some kB, %v", size>>20, err)
	}
}
