package query

import (
	"unicode/utf8"
)

// A name is found in spite of typos by what both have in common: a word with up to two letters left out equals the name with up to two
// left out, if they are at most two insertions, deletions, replacements or swaps of neighbours apart. Only the first variantLen letters
// are looked at; a change moves at most one letter over that border, and leaving out the last one undoes it.
const (
	minFuzzy   = 3 // letters of a name that is found in spite of typos
	variantLen = 8
)

// typos is how many a word may have: none in two letters, one in three or four, two in more.
func typos(word string) int {
	switch n := utf8.RuneCountInString(word); {
	case n < minFuzzy:
		return 0
	case n < 5:
		return 1
	}
	return 2
}

// variants lists the beginning of a word without up to n of its letters, each once.
func variants(word string, n int) []string {
	seen := map[string]bool{}
	var all []string
	var leave func(w []rune, from, n int)
	leave = func(w []rune, from, n int) {
		if s := string(w); !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
		if n == 0 {
			return
		}
		for i := from; i < len(w); i++ {
			leave(append(append(make([]rune, 0, len(w)), w[:i]...), w[i+1:]...), i, n-1)
		}
	}
	leave([]rune(cut(word, variantLen)), 0, n)
	return all
}

// distance returns how many insertions, deletions, replacements and swaps of neighbours make one word of another (optimal string
// alignment), or limit+1 if there are more.
func distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) > limit || len(y)-len(x) > limit {
		return limit + 1
	}
	var space [3][maxTerm + 2]int
	before, row, next := space[0][:len(y)+1], space[1][:len(y)+1], space[2][:len(y)+1]
	for j := range row {
		row[j] = j
	}
	for i := range x {
		next[0] = i + 1
		least := next[0]
		for j := range y {
			cost := row[j]
			if x[i] != y[j] {
				cost = 1 + min(row[j], row[j+1], next[j])
			}
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				cost = min(cost, before[j-1]+1)
			}
			next[j+1] = cost
			least = min(least, cost)
		}
		if least > limit+1 { // a swap may yet take one back
			return limit + 1
		}
		before, row, next = row, next, before
	}
	return min(row[len(y)], limit+1)
}
