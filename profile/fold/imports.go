package fold

import (
	"cmp"
	"slices"
)

// ComparePartTimes is the order of contributions by their times, then rows, then sources.
func ComparePartTimes(a, b Part) int {
	return cmp.Or(cmp.Compare(a.Stamp.Time, b.Stamp.Time), cmp.Compare(a.Stamp.Row, b.Stamp.Row), cmp.Compare(a.Source, b.Source))
}

// BetweenMerges cuts contributions into groups, by time, such that no merge lies between two of one group. Times of merges ascend.
func BetweenMerges(parts []Part, merges []int64) (groups [][]Part) {
	parts = slices.SortedFunc(slices.Values(parts), ComparePartTimes)
	for len(parts) > 0 {
		n := len(parts)
		for len(merges) > 0 {
			// What has the time of a merge was there before it.
			n, _ = slices.BinarySearchFunc(parts, merges[0]+1, func(p Part, at int64) int { return cmp.Compare(p.Stamp.Time, at) })
			if n > 0 {
				break
			}
			merges = merges[1:]
			n = len(parts)
		}
		groups = append(groups, parts[:n])
		parts = parts[n:]
	}
	return groups
}

// CompactImports returns one contribution that says what several say from a time on. Values keep their stamps and their expiries; of an
// attribute the newest stays, and each older one that expires later than all newer ones. Imports have no priorities, so a later one
// replaces whatever an earlier one has brought: what is dropped could never be shown again.
func CompactImports(parts []Part, now int64) *Contribution {
	newest := slices.MaxFunc(parts, ComparePartTimes)
	c := &Contribution{Stamp: newest.Stamp}
	for _, p := range parts {
		c.Expires = max(c.Expires, p.Expires)
		for i, k := range p.Private {
			c.addPrivate(k, p.privateExpiry(i), now)
		}
		for _, v := range p.Values {
			if v.Expires == 0 {
				v.Expires = p.Expires
			}
			if v.Expires > now {
				c.Values = append(c.Values, v)
			}
		}
	}
	c.Values = outliving(c.Values)
	return c
}

// outliving leaves of the values of imports, attribute by attribute, the newest and those older ones that expire later than all
// newer ones. The result is in order; values of one attribute are from old to new.
func outliving(values []Value) []Value {
	slices.SortStableFunc(values, func(a, b Value) int {
		return cmp.Or(a.Attr.Compare(b.Attr), inTime(b, a)) // newest first
	})
	kept := values[:0]
	for i := 0; i < len(values); {
		first := len(kept)
		until := int64(0)
		attr := values[i].Attr
		for ; i < len(values) && values[i].Attr == attr; i++ {
			if values[i].Expires > until {
				until = values[i].Expires
				kept = append(kept, values[i])
			}
		}
		slices.Reverse(kept[first:])
	}
	return kept
}

// addPrivate adds a private key; one that is there already lasts as long as the longer of the two.
func (c *Contribution) addPrivate(k Key, expires, now int64) {
	if expires <= now {
		return
	}
	i := slices.Index(c.Private, k)
	if i < 0 {
		c.Private, c.PrivateExpires = append(c.Private, k), append(c.PrivateExpires, expires)
		return
	}
	c.PrivateExpires[i] = max(c.PrivateExpires[i], expires)
}

// expire drops what has expired alone.
func (c *Contribution) expire(now int64) {
	c.Values = slices.DeleteFunc(c.Values, func(v Value) bool { return v.Expires != 0 && v.Expires <= now })
	n := 0
	for i, expires := range c.PrivateExpires {
		if expires == 0 || expires > now {
			c.Private[n], c.PrivateExpires[n] = c.Private[i], expires
			n++
		}
	}
	if len(c.PrivateExpires) > 0 {
		c.Private, c.PrivateExpires = c.Private[:n], c.PrivateExpires[:n]
	}
}
