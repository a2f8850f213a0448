package fold

import (
	"bytes"
	"fmt"
	"slices"
)

// A repeat is a contribution that says what an earlier one to the same profile says, of another import: it names that one's source instead of saying it
// again, as most rows of a file do that is imported every day. It is a contribution like any other, with a stamp and an expiry of its own; only where rows
// are read, and where the one that it names goes, somebody has to know. Encoding, version 5:
//
//	version | expires (8) | time (8) | row | priority | source time | source of the contribution that has the private keys and values
//
// What it names has values itself or is a repeat, and is never compacted. Whoever removes that one, puts a contribution with values in the place of the
// repeat first (Part.Repeats). Only an import that lands behind the deletion of a profile can leave a repeat that names nothing: in a profile with a tombstone.
const contributionV5 = 5

// ErrNothingToRepeat says that a repeat names a contribution that is not there.
var ErrNothingToRepeat = fmt.Errorf("%w: it repeats a contribution that is not there", ErrCorrupt)

// AppendRepeat appends an encoded contribution that says with the stamp and the expiry of c what that of a source says.
func (c *Contribution) AppendRepeat(dst []byte, source []byte) []byte {
	at := len(dst)
	dst = c.AppendStamped(dst)
	dst[at] = contributionV5
	return append(dst, source...)
}

// RepeatOf returns the source of the contribution that an encoded one repeats; false when it has values itself.
func RepeatOf(b []byte) (source []byte, ok bool) {
	if len(b) == 0 || b[0] != contributionV5 {
		return nil, false
	}
	return said(b), true
}

// said returns what stands behind the stamp of an encoded contribution.
func said(b []byte) []byte {
	if len(b) < fixedHeader {
		return nil
	}
	d := decoder{s: unsafeText(b[9:])}
	d.stamp()
	return b[len(b)-len(d.s):]
}

// Says says whether an encoded contribution, which is no repeat, can be named by one that would have these encoded private keys and values.
func Says(b, private, values []byte) bool {
	if len(b) == 0 || b[0] != contributionV3 {
		return false
	}
	rest := said(b)
	return len(rest) == len(private)+len(values) && string(rest[:len(private)]) == string(private) && string(rest[len(private):]) == string(values)
}

// Repeats completes the contributions of one profile after the other. It must be given all that there are of a profile, in the order of their sources.
type Repeats struct {
	// Reuse has it use its memory again: what Complete returns is good until Reset.
	Reuse bool

	seen []entry
	few  [2]entry // which most profiles need
	buf  []byte
}

// entry is a contribution that was given, completed.
type entry struct {
	source, row []byte
}

// Reset begins with another profile.
func (r *Repeats) Reset() {
	if r.seen == nil {
		r.seen = r.few[:]
	}
	r.seen, r.buf = r.seen[:0], r.buf[:0]
}

// Complete returns an encoded contribution with its values: b itself, unless it is a repeat. Both source and b must stay as they are until Reset. A repeat
// of what was not given is ErrNothingToRepeat.
func (r *Repeats) Complete(source, b []byte) ([]byte, error) {
	if of, ok := RepeatOf(b); ok {
		i, found := slices.BinarySearchFunc(r.seen, of, func(e entry, source []byte) int { return bytes.Compare(e.source, source) })
		if !found || r.seen[i].row[0] != contributionV3 {
			return nil, ErrNothingToRepeat
		}
		rest := said(r.seen[i].row)
		if !r.Reuse {
			r.buf = make([]byte, 0, len(b)+len(rest))
		}
		at := len(r.buf)
		r.buf = append(append(r.buf, b[:len(b)-len(of)]...), rest...)
		b = r.buf[at:len(r.buf):len(r.buf)]
		b[0] = contributionV3
	} else if len(b) == 0 {
		return nil, ErrCorrupt
	}
	r.seen = append(r.seen, entry{source, b})
	return b, nil
}
