//go:build !linux

package extsort

func mapMemory(n int) (usable, all []byte, err error) {
	all = make([]byte, n)
	return all, all, nil
}

func unmapMemory([]byte) {}

func forgetMemory([]byte) {}

func smallPages([]byte) {}
