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

// collapseEvery is how long what is in memory may change until it is looked at again, which takes about a millisecond.
const collapseEvery = 10 * time.Second

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
		for range time.Tick(collapseEvery) {
			if collapse() != nil {
				return // the kernel can't: before Linux 6.1
			}
		}
	}()
})

// collapse joins all memory of the process that is in use.
func collapse() error {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer f.Close()
	for from, to := range anonymous(f) {
		if err := collapseIn(from, to); err != nil {
			return err
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

// collapseIn joins the huge pages between two addresses of which every usual page is in memory.
func collapseIn(from, to uintptr) error {
	inMemory := make([]byte, hugePage/os.Getpagesize())
	for at := (from + hugePage - 1) &^ (hugePage - 1); at+hugePage <= to; at += hugePage {
		_, _, failed := unix.Syscall(unix.SYS_MINCORE, at, hugePage, uintptr(unsafe.Pointer(&inMemory[0])))
		if failed != 0 || slices.ContainsFunc(inMemory, func(page byte) bool { return page&1 == 0 }) {
			continue // unmapped meanwhile, or not all in use
		}
		if _, _, failed = unix.Syscall(unix.SYS_MADVISE, at, hugePage, unix.MADV_COLLAPSE); failed == unix.EINVAL {
			return failed
		} // else there may be no free memory in one piece, or it was unmapped
	}
	return nil
}
