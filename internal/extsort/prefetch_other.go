//go:build !amd64 && !arm64

package extsort

// Prefetch does nothing where nobody has written down how to.
func Prefetch([]byte) {}

// PrefetchAt does nothing where nobody has written down how to.
func PrefetchAt[T any](*T) {}
