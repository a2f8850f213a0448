package extsort

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"
)

// Memory that an arena gives back in pieces is in small pages: joined, the system would fill the gaps again.
func TestReturnedMemoryIsNotJoined(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("a kernel without huge pages joins nothing")
	}
	for _, back := range []bool{false, true} {
		a := &Arena{Return: back}
		s := a.slab()
		if small := strings.Contains(flagsOf(t, s), " nh"); small != back {
			t.Errorf("Return is %v: small pages: %v", back, small)
		}
		a.release(s)
	}
}

// flagsOf are the flags of the mapping that a slice lies in, as /proc/self/smaps has them.
func flagsOf(t *testing.T, b []byte) string {
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	at, inside := uint64(uintptr(unsafe.Pointer(&b[0]))), false
	for line := range strings.Lines(string(text)) {
		var from, to uint64
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			inside = from <= at && at < to
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && inside {
			return flags
		}
	}
	t.Fatal("the system tells no flags of this memory")
	return ""
}
