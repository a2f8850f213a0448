package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestAnonymousMemoryIsTold(t *testing.T) {
	const maps = `00400000-00c2d000 r-xp 00001000 08:01 1234       /usr/bin/kith
01a00000-01b00000 rw-p 01600000 08:01 1234       /usr/bin/kith
01b00000-01c00000 rw-p 00000000 00:00 0
3c0000000000-3c0004000000 rw-p 00000000 00:00 0
3c0004000000-3c0008000000 ---p 00000000 00:00 0
7f0000000000-7f0000200000 rw-s 00000000 00:05 7          /dev/shm/x
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0          [stack]
`
	var got []string
	for from, to := range anonymous(strings.NewReader(maps)) {
		got = append(got, fmt.Sprintf("%x-%x", from, to))
	}
	if want := []string{"1b00000-1c00000", "3c0000000000-3c0004000000", "7ffc00000000-7ffc00021000"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Two huge pages' worth of memory, in the second of which one page was never used: the first is joined, and the second takes no more memory than before.
func TestOnlyMemoryInUseIsJoined(t *testing.T) {
	if enabled, err := os.ReadFile(hugePagesEnabled); err != nil || !strings.Contains(string(enabled), "[madvise]") {
		t.Skip("the kernel has no huge pages, or joins memory by itself")
	}
	all, err := unix.Mmap(-1, 0, 3*hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(all) }()
	page := os.Getpagesize()
	from := uintptr(unsafe.Pointer(&all[0]))
	memory := all[(hugePage-from%hugePage)%hugePage:][:2*hugePage]
	const unused = 3 // page of the second
	for at := 0; at < len(memory); at += page {
		if at != hugePage+unused*page {
			memory[at] = byte(at / page)
		}
	}
	from = uintptr(unsafe.Pointer(&memory[0]))
	for _, at := range []uintptr{from, from + hugePage} {
		if err := collapsePage(at); errors.Is(err, unix.EINVAL) {
			t.Skip("the kernel can't join pages: before Linux 6.1")
		}
	}
	if kb := hugeAt(t, from); kb != hugePage>>10 {
		t.Errorf("%d kB are in huge pages, want %d", kb, hugePage>>10)
	}
	in := make([]byte, 2*hugePage/page)
	if _, _, failed := unix.Syscall(unix.SYS_MINCORE, from, 2*hugePage, uintptr(unsafe.Pointer(&in[0]))); failed != 0 {
		t.Fatal(failed)
	}
	if in[hugePage/page+unused]&1 != 0 {
		t.Error("a page that was never used takes memory")
	}
	for at := 0; at < len(memory); at += page {
		if at != hugePage+unused*page && memory[at] != byte(at/page) {
			t.Fatalf("page %d has another content", at/page)
		}
	}
}

// A run that has no more time goes on where it ended, and all memory is come to.
func TestJoiningGoesOn(t *testing.T) {
	if enabled, err := os.ReadFile(hugePagesEnabled); err != nil || !strings.Contains(string(enabled), "[madvise]") {
		t.Skip("the kernel has no huge pages, or joins memory by itself")
	}
	const pages = 3
	all, err := unix.Mmap(-1, 0, (pages+1)*hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(all) }()
	for at := 0; at < len(all); at += os.Getpagesize() {
		all[at] = 1
	}
	var c collapser
	for runs := 1; ; runs++ {
		before := c.next
		if err := c.run(time.Time{}); errors.Is(err, unix.EINVAL) {
			t.Skip("the kernel can't join pages: before Linux 6.1")
		} else if err != nil {
			t.Fatal(err)
		}
		if c.next == 0 {
			if runs <= pages {
				t.Errorf("%d runs without time have come to all memory", runs)
			}
			break
		}
		if c.next <= before {
			t.Fatalf("a run ended at %x, the one before at %x", c.next, before)
		}
	}
	if kb := hugeAt(t, hugeFrom(uintptr(unsafe.Pointer(&all[0])))); kb < pages*hugePage>>10 {
		t.Errorf("%d kB are in huge pages, want %d", kb, pages*hugePage>>10)
	}
}

// hugeAt returns how many kB of the mapping that holds an address are in huge pages.
func hugeAt(t *testing.T, at uintptr) (kb int) {
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			inside = from <= at && at < to
		}
		if n, _ := fmt.Sscanf(line, "AnonHugePages: %d kB", &kb); n == 1 && inside {
			return kb
		}
	}
	t.Fatal("/proc/self/smaps does not tell")
	return 0
}
