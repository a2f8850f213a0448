package main

import (
	"bufio"
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
		var c collapser
		for range time.Tick(collapseEvery) {
			if c.run(time.Now().Add(collapseFor)) != nil {
				return // the kernel can't: before Linux 6.1
			}
		}
	}()
})

// collapser goes through the memory of the process again and again.
type collapser struct{ next uintptr }

// run joins memory that is in use, from where the last run ended, until a time, or the end of memory.
func (c *collapser) run(until time.Time) error {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer f.Close()
	from := c.next
	c.next = 0
	for start, end := range anonymous(f) {
		for at := hugeFrom(max(start, from)); at+hugePage <= end; at += hugePage {
			if err := collapsePage(at); err != nil {
				return err
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

// collapsePage joins a huge page if all usual pages of it are in memory.
func collapsePage(at uintptr) error {
	var inMemory [hugePage >> 12]byte // pages have 4 KiB at least
	_, _, failed := unix.Syscall(unix.SYS_MINCORE, at, hugePage, uintptr(unsafe.Pointer(&inMemory[0])))
	pages := inMemory[:hugePage/os.Getpagesize()]
	if failed != 0 || slices.ContainsFunc(pages, func(page byte) bool { return page&1 == 0 }) {
		return nil // unmapped meanwhile, or not all in use
	}
	if _, _, failed = unix.Syscall(unix.SYS_MADVISE, at, hugePage, unix.MADV_COLLAPSE); failed == unix.EINVAL {
		return failed
	} // else there may be no free memory in one piece, or it was unmapped
	return nil
}
