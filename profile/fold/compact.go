package fold

import (
	"cmp"
	"slices"
	"time"
)

// Compaction drops values that can never count again, so that a profile's size and the time to read it do not grow with what has been
// written to it. The person that callers see is the same before and after, at every later time, whatever is taken back or joins later:
// TestCompactionKeepsTheFold compares the two.
//
// All rules compare two values of one attribute, an older and a newer one, and ask whether the fold can ever tell that one of them is
// missing. Other values may lie between them, and any of those may vanish: an import by an undo, everything by its expiry. So a rule
// may only say that a value goes because of one that is at least as long visible as itself and can't be taken back.
//
//	1  of the head: the older one goes, if the newer is of the same kind and priority, claims a source time at least as late, and
//	   expires no earlier. Where it replaced something, so does the newer; what did not replace it, and did replace what it
//	   replaced, has a weaker priority or an older source time, and is replaced by the newer one.
//	2  of the head: the newer one goes, if both are objects of the same priority, it claims an older source time, expires no later, and
//	   between them lie objects only. It does not replace the older one, nor anything that kept that one out or replaced it: objects
//	   only replace by a stronger priority, or a source time as late. After a manual value or an import it could.
//	3  of imports: the older one goes, if the newer one expires no earlier and no undo can take it away. An import replaces what has no
//	   priority, whatever it is, and what it finds has no priority with the older one if and only if it has none without.
//
// None of them holds across a merge, which looks at what there was at its time: it may prefer the older value of one profile to what
// another had, or take that for want of it.

// clockSlack is more than by what the clocks of two nodes differ while they write.
const clockSlack = 20 * time.Second

// Barriers are what lies, or may come to lie, between the values of a profile. Times are microseconds.
type Barriers struct {
	// Now is the writer's clock. What has expired by then goes; later imports have a later time, but for clockSlack.
	Now int64
	// Merges are the times of all merges that the profile or one of its members takes part in, and those of its main profiles. One that
	// is being made has none yet: its time must be later than all that its profiles have by then, and they are not written to before
	// it is decided.
	Merges []int64
	// Imports are the times of the import that holds the domain's turn, and of everything that imports say of the profile and its members,
	// whose later imports are replayed in its order.
	Imports []int64
}

// Barriers returns those of a profile, given all its members, the writer's clock, and the time of the import that holds the domain's
// turn. Those of the main profiles that it has itself must be added.
func (m *Member) Barriers(now, turnTime int64) Barriers {
	b := Barriers{Now: now, Imports: []int64{turnTime}}
	m.Walk(func(of *Member) {
		b.Merges = of.State.MergeTimes(b.Merges)
		for _, part := range of.Parts {
			b.Imports = append(b.Imports, part.Stamp.Time)
			for i := range part.Values {
				if t := part.Values[i].Stamp.Time; t != b.Imports[len(b.Imports)-1] {
					b.Imports = append(b.Imports, t)
				}
			}
		}
	})
	return b
}

// Merged says whether a merge lies between two times, so that what was said at them can't stand for each other.
func (b *Barriers) Merged(from, to int64) bool { return between(b.Merges, from, to) }

// between says whether one of the times lies between two others.
func between(times []int64, from, to int64) bool {
	return slices.ContainsFunc(times, func(t int64) bool { return from <= t && t <= to })
}

// Write adds values to the head, and drops what can never count again. Values of one write have one time; a writer's attributes are
// each given once. Time and Expires cover them afterwards.
func (h *Head) Write(values []Value, b Barriers) {
	for i := range values {
		h.Time, h.Expires = max(h.Time, values[i].Stamp.Time), max(h.Expires, values[i].Expires)
	}
	h.Values = append(h.Values, values...)
	h.compact(b)
}

// Rebuild puts other values in the place of all that objects said, as when one of them is deleted: what they said in the order of time
// before compaction is not known to the head. Values set by hand stay.
func (h *Head) Rebuild(objects []Value, b Barriers) {
	h.Values = slices.DeleteFunc(h.Values, func(v Value) bool { return v.Kind == Object })
	h.Write(objects, b)
}

// compact applies rules 1 and 2.
func (h *Head) compact(b Barriers) {
	h.Values = slices.DeleteFunc(h.Values, func(v Value) bool { return v.Expires != 0 && v.Expires <= b.Now })
	slices.SortStableFunc(h.Values, byAttr)
	kept := h.Values[:0]
	for rest := h.Values; len(rest) > 0; {
		n := sameAttr(rest)
		of := slices.Clone(rest[:n]) // kept overwrites them
		for i := range of {
			if !goes(of, i, &b) {
				kept = append(kept, of[i])
			}
		}
		rest = rest[n:]
	}
	clear(h.Values[len(kept):])
	h.Values = kept
}

// goes says whether rule 1 or 2 drops one of the values of an attribute, which are in the order of time. A value that goes may be the
// reason for another: whatever it goes for is a reason as well.
func goes(of []Value, i int, b *Barriers) bool {
	v := &of[i]
	for j := range of[i+1:] {
		if later := &of[i+1+j]; isSucceeded(v, later) && !between(b.Merges, v.Stamp.Time, later.Stamp.Time) {
			return true
		}
	}
	if v.Kind != Object || v.Stamp.Time > b.Now-clockSlack.Microseconds() { // an import may yet come between
		return false
	}
	for j := i - 1; j >= 0 && of[j].Kind == Object; j-- {
		if comesTooLate(v, &of[j]) && !between(b.Merges, of[j].Stamp.Time, v.Stamp.Time) && !between(b.Imports, of[j].Stamp.Time, v.Stamp.Time) {
			return true
		}
	}
	return false
}

// isSucceeded is rule 1.
func isSucceeded(v, later *Value) bool {
	return v.Kind == later.Kind && v.Stamp.Priority == later.Stamp.Priority && outlasts(later, v) &&
		(v.Kind == Manual || later.Stamp.sourceTime() >= v.Stamp.sourceTime())
}

// comesTooLate is rule 2.
func comesTooLate(v, earlier *Value) bool {
	return v.Stamp.Priority == earlier.Stamp.Priority && v.Stamp.sourceTime() < earlier.Stamp.sourceTime() && outlasts(earlier, v)
}

// outlasts says whether a is visible whenever b is.
func outlasts(a, b *Value) bool { return a.Expires == 0 || b.Expires != 0 && a.Expires >= b.Expires }

// byAttr is the order of values in rows: by attribute, then in the order of the fold.
func byAttr(a, b Value) int { return cmp.Or(a.Attr.Compare(b.Attr), inTime(a, b)) }

// sameAttr returns how many of the first values are of one attribute.
func sameAttr(values []Value) int {
	n := 1
	for n < len(values) && values[n].Attr == values[0].Attr {
		n++
	}
	return n
}

// MergeTimes appends the times of the merges that a profile takes part in itself.
func (s *State) MergeTimes(dst []int64) []int64 {
	if s == nil {
		return dst
	}
	if s.Into != nil && s.Into.At != 0 {
		dst = append(dst, s.Into.At)
	}
	for i := range s.Merges {
		if at := s.Merges[i].At; at != 0 {
			dst = append(dst, at)
		}
	}
	return dst
}

// ExpiryOf returns when something that is written at a time expires: after its life, at the next full hour. Things written within an
// hour then expire together, which is what lets rules 1 and 2 drop all but one of them in whichever order a source sends its past.
func ExpiryOf(at int64, life time.Duration) int64 {
	const hour = int64(time.Hour / time.Microsecond)
	until := at + life.Microseconds()
	return until + (hour-until%hour)%hour
}
