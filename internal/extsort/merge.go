package extsort

import "iter"

// Cursor is a position in a sorted stream of entries.
type Cursor[C any] interface {
	// Next moves on and reports whether there is an entry.
	Next() (bool, error)
	// Prefix is a number that sorts like the beginning of the entry's key.
	Prefix() uint64
	// Compare orders the entries of two cursors.
	Compare(C) int
}

// Merge streams the entries of all cursors in order. The cursor it yields stands at the entry.
func Merge[C Cursor[C]](cursors []C) iter.Seq2[C, error] {
	return func(yield func(C, error) bool) {
		var h mergeHeap[C]
		for _, c := range cursors {
			ok, err := c.Next()
			if err != nil {
				yield(c, err)
				return
			}
			if ok {
				h = append(h, head[C]{c.Prefix(), c})
			}
		}
		for i := len(h)/2 - 1; i >= 0; i-- {
			h.down(i)
		}
		for len(h) > 0 {
			c := h[0].cursor
			if !yield(c, nil) {
				return
			}
			ok, err := c.Next()
			if err != nil {
				yield(c, err)
				return
			}
			if ok {
				h[0].prefix = c.Prefix()
			} else {
				h[0] = h[len(h)-1]
				h = h[:len(h)-1]
			}
			h.down(0)
		}
	}
}

type head[C any] struct {
	prefix uint64
	cursor C
}

// mergeHeap is a binary heap of cursors by their entries. It is what container/heap does, without a call per comparison.
type mergeHeap[C Cursor[C]] []head[C]

func (h mergeHeap[C]) less(i, j int) bool {
	if h[i].prefix != h[j].prefix {
		return h[i].prefix < h[j].prefix
	}
	return h[i].cursor.Compare(h[j].cursor) < 0
}

func (h mergeHeap[C]) down(i int) {
	for {
		least := 2*i + 1
		if least >= len(h) {
			return
		}
		if right := least + 1; right < len(h) && h.less(right, least) {
			least = right
		}
		if !h.less(least, i) {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
