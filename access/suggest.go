package access

import (
	"fmt"
	"strings"
)

// didYouMean suggests the nearest of some names, as the end of a sentence; "" when none is near.
func didYouMean(wrong string, names []string) string {
	best, bestDistance := "", 0
	core := strings.ToLower(strings.Trim(wrong, "*"))
	for _, name := range names {
		full := strings.ToLower(name)
		d := distance(core, full)
		if strings.HasSuffix(wrong, "*") && len(full) > len(core) {
			d = min(d, distance(core, full[:len(core)]))
		}
		if best == "" || d < bestDistance {
			best, bestDistance = name, d
		}
	}
	if best == "" || bestDistance > max(2, len(core)/4) {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the number of bytes to insert, delete, replace or swap with a neighbour that make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
