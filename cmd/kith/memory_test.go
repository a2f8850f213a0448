package main

import "testing"

func TestCacheFor(t *testing.T) {
	for _, c := range []struct {
		meminfo, cgroup string
		want            int64
	}{
		{"", "", mostCache},
		{"MemFree:  7 kB\nMemTotal:  24684012 kB\n", "max\n", mostCache},
		{"MemTotal:  2097152 kB\n", "max\n", 128 << 20},
		{"MemTotal:  524288 kB\n", "", leastCache},
		{"MemTotal:  24684012 kB\n", "1610612736\n", 96 << 20},
		{"MemTotal:  24684012 kB\n", "268435456\n", leastCache},
		{"MemTotal:  nonsense kB\n", "nonsense", mostCache},
	} {
		if got := cacheFor([]byte(c.meminfo), []byte(c.cgroup)); got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.meminfo, c.cgroup, got, c.want)
		}
	}
	if got := cacheBytes(); got < leastCache || got > mostCache {
		t.Error(got)
	}
}
