//go:build amd64 || arm64

package extsort

import "unsafe"

// Prefetch asks for the first 256 bytes of b to be in the cache soon, and waits for nothing. What is asked for beyond the end of b is not read.
func Prefetch(b []byte) { prefetch(unsafe.Pointer(unsafe.SliceData(b))) }

// PrefetchAt is Prefetch for what a pointer leads to.
func PrefetchAt[T any](p *T) { prefetch(unsafe.Pointer(p)) }

// prefetch asks for four lines of the cache. No address is wrong: the processor passes over what is not mapped.
//
//go:noescape
func prefetch(p unsafe.Pointer)
