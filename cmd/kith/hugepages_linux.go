package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a huge page: one entry of the processor's translation buffers stands for 512 usual pages.
const hugePage = 2 << 20

// Memory is looked at every collapseEvery, for collapseFor at most: joining a page takes about two milliseconds, and an import has new memory all the
// time, which is not worth it. What is in use for longer is joined within half a minute.
const (
	collapseEvery = 2 * time.Second
	collapseFor   = 25 * time.Millisecond
)

// hugePagesEnabled tells what the system does with huge pages.
const hugePagesEnabled = "/sys/kernel/mm/transparent_hugepage/enabled"

// useHugePages has the system join memory into huge pages, as long as the process lives. Requests touch a little of very much memory, most of it the
// store's cache, and finding where a page is costs them as much as the page. Only stretches that are in use anyway, all of them, are joined, so the
// process has no more memory than before. Go leaves this to the system, which by itself joins what was never used, too, or nothing.
var useHugePages = sync.OnceFunc(func() {
	if enabled, err := os.ReadFile(hugePagesEnabled); err != nil || strings.Contains(string(enabled), "[never]") {
		return // the operator's wish
	}
	go func() {
		c := collapser{resident: resident, join: join}
		for range time.Tick(collapseEvery) {
			if c.runOn("/proc/self/maps", time.Now().Add(collapseFor)) != nil {
				return // the kernel can't: before Linux 6.1
			}
		}
	}()
})

// collapser goes through the memory of the process again and again.
type collapser struct {
	next uintptr // where the next run begins
	// resident says whether all of a huge page is in memory, and join joins it.
	resident func(at uintptr) bool
	join     func(at uintptr) error
}

// runOn is run on the memory that a /proc/PID/maps tells of.
func (c *collapser) runOn(maps string, until time.Time) error {
	f, err := os.Open(maps)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.run(f, until)
}

// run joins memory that is in use, from where the last run ended, until a time, or the end of memory. It fails if the kernel joins nothing.
func (c *collapser) run(maps io.Reader, until time.Time) error {
	from := c.next
	c.next = 0
	for start, end := range anonymous(maps) {
		for at := hugeFrom(max(start, from)); at+hugePage <= end; at += hugePage {
			if c.resident(at) {
				if err := c.join(at); errors.Is(err, unix.EINVAL) {
					return err
				} // else there may be no free memory in one piece, or it was unmapped
			}
			if time.Now().After(until) {
				c.next = at + hugePage
				return nil
			}
		}
	}
	return nil
}

// anonymous tells the stretches of a process's memory that are writable and of no file, by its /proc/PID/maps.
func anonymous(maps io.Reader) func(yield func(from, to uintptr) bool) {
	return func(yield func(from, to uintptr) bool) {
		for lines := bufio.NewScanner(maps); lines.Scan(); {
			var from, to uintptr
			var mode, offset, device string
			var inode int64
			// What follows the inode is a file's name, or one that the kernel gave, as to a stack.
			n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s %s %s %d", &from, &to, &mode, &offset, &device, &inode)
			if n == 6 && mode == "rw-p" && inode == 0 && !yield(from, to) {
				return
			}
		}
	}
}

// hugeFrom is the first huge page at or behind an address.
func hugeFrom(at uintptr) uintptr { return (at + hugePage - 1) &^ (hugePage - 1) }

// resident says whether every usual page of a huge page is in memory; not if it was unmapped.
func resident(at uintptr) bool {
	var pages [hugePage >> 12]byte // of 4 KiB at least
	_, _, failed := unix.Syscall(unix.SYS_MINCORE, at, hugePage, uintptr(unsafe.Pointer(&pages[0])))
	return failed == 0 && !slices.ContainsFunc(pages[:hugePage/os.Getpagesize()], func(page byte) bool { return page&1 == 0 })
}

// join makes one huge page of usual ones. What they hold stays.
func join(at uintptr) error {
	if _, _, failed := unix.Syscall(unix.SYS_MADVISE, at, hugePage, unix.MADV_COLLAPSE); failed != 0 {
		return failed
	}
	return nil
}
