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

// fakeMemory is memory of some huge pages, from an address on that is not one of theirs.
const fakeMemory = "10001000-10a01000 rw-p 00000000 00:00 0\n20000000-20200000 rw-p 00000000 00:00 0\n30000000-30100000 rw-p 00000000 00:00 0\n"

// fakePages are the huge pages in it.
var fakePages = []uintptr{0x10200000, 0x10400000, 0x10600000, 0x10800000, 0x20000000}

// Only what is in memory as a whole is joined, and what can't be for the moment is passed over.
func TestOnlyMemoryInUseIsJoined(t *testing.T) {
	var joined []uintptr
	c := collapser{resident: func(at uintptr) bool { return at != fakePages[1] }, join: func(at uintptr) error {
		if at == fakePages[2] {
			return unix.EAGAIN
		}
		joined = append(joined, at)
		return nil
	}}
	if err := c.run(strings.NewReader(fakeMemory), time.Now().Add(time.Hour)); err != nil || c.next != 0 {
		t.Errorf("%v, the next run begins at %x", err, c.next)
	}
	if want := []uintptr{fakePages[0], fakePages[3], fakePages[4]}; !slices.Equal(joined, want) {
		t.Errorf("%x, want %x", joined, want)
	}
	c.join = func(uintptr) error { return unix.EINVAL }
	if err := c.run(strings.NewReader(fakeMemory), time.Now().Add(time.Hour)); !errors.Is(err, unix.EINVAL) {
		t.Errorf("of a kernel that joins nothing: %v", err)
	}
}

// A run that has no more time goes on where it ended, and all memory is come to, again and again.
func TestJoiningGoesOn(t *testing.T) {
	var joined []uintptr
	c := collapser{resident: func(uintptr) bool { return true }, join: func(at uintptr) error { joined = append(joined, at); return nil }}
	for range 2 * (len(fakePages) + 1) { // one that finds nothing more
		if err := c.run(strings.NewReader(fakeMemory), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if want := slices.Concat(fakePages, fakePages); !slices.Equal(joined, want) {
		t.Errorf("%x, want %x", joined, want)
	}
}

// Joining leaves what is in memory as it is, and takes no memory that was not used, whatever the kernel can.
func TestJoinedMemoryHoldsWhatItHeld(t *testing.T) {
	all, err := unix.Mmap(-1, 0, 3*hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(all) }()
	from := hugeFrom(uintptr(unsafe.Pointer(&all[0])))
	memory := all[from-uintptr(unsafe.Pointer(&all[0])):][:2*hugePage]
	for at := 0; at < hugePage; at += os.Getpagesize() {
		memory[at] = byte(at / os.Getpagesize())
	}
	if !resident(from) || resident(from+hugePage) {
		t.Errorf("a page in use: %t, one that was never used: %t", resident(from), resident(from+hugePage))
	}
	if err := join(from); err == nil {
		if kb := hugeAt(t, from); kb < hugePage>>10 {
			t.Errorf("%d kB are in huge pages, want %d", kb, hugePage>>10)
		}
	} else {
		t.Logf("the kernel does not join: %v", err)
	}
	for at := 0; at < hugePage; at += os.Getpagesize() {
		if memory[at] != byte(at/os.Getpagesize()) {
			t.Fatalf("byte %d has another content", at)
		}
	}
	if unmapped := uintptr(1) << 46; resident(unmapped) {
		t.Error("what is not mapped is in memory")
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
