package main

import (
	"bytes"
	"os"
	"strconv"
)

// The block cache of the embedded store is a sixteenth of the memory that there is, within these bounds: with less, requests that go all over a
// hundred thousand customers unpack the same blocks again and again; more is for the page cache.
const (
	leastCache = 64 << 20
	mostCache  = 128 << 20
)

// cacheBytes is the size of the block cache on this machine, or in this container.
func cacheBytes() int64 {
	total, _ := os.ReadFile("/proc/meminfo")
	limit, _ := os.ReadFile("/sys/fs/cgroup/memory.max")
	return cacheFor(total, limit)
}

// cacheFor returns the size of the block cache by the texts of /proc/meminfo and of cgroup v2's memory.max; what is not there limits nothing.
func cacheFor(meminfo, cgroup []byte) int64 {
	memory := int64(mostCache * 16)
	for line := range bytes.Lines(meminfo) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == "MemTotal:" {
			if kb, err := strconv.ParseInt(string(f[1]), 10, 64); err == nil {
				memory = min(memory, kb<<10)
			}
		}
	}
	if n, err := strconv.ParseInt(string(bytes.TrimSpace(cgroup)), 10, 64); err == nil {
		memory = min(memory, n)
	}
	return max(leastCache, memory/16)
}
