package extsort

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of large pages. First touches of small ones were a tenth of an import.
const hugePage = 2 << 20

// mapMemory returns zeroed memory of n bytes, and what unmapMemory wants to have back.
func mapMemory(n int) (usable, all []byte, err error) {
	all, err = unix.Mmap(-1, 0, n+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, err
	}
	_ = unix.Madvise(all, unix.MADV_HUGEPAGE)
	skip := int(-uintptr(unsafe.Pointer(&all[0])) & (hugePage - 1))
	return all[skip : skip+n], all, nil
}

// smallPages keeps the system from joining pages of memory that is given back in pieces: it would fill the gaps again, in the background, with zeros.
func smallPages(all []byte) { _ = unix.Madvise(all, unix.MADV_NOHUGEPAGE) }

func unmapMemory(all []byte) { _ = unix.Munmap(all) }

// forgetMemory lets the system have pages; they read as zeros then. What is no whole pages of a mapping, as memory of the heap may be, is left alone.
func forgetMemory(b []byte) {
	if uintptr(unsafe.Pointer(&b[:1][0]))%slabSize == 0 {
		_ = unix.Madvise(b[:cap(b)], unix.MADV_DONTNEED)
	}
}
