package table

import "bytes"

// Excerpt returns the lines of a piece of a file that have bytes beyond ASCII, for Options.Evidence. Where the piece begins and ends may lie inside
// a line, which is left out then.
func Excerpt(piece []byte) []byte {
	i, j := bytes.IndexAny(piece, "\r\n"), bytes.LastIndexAny(piece, "\r\n")
	if i < 0 || j <= i {
		return nil
	}
	return appendHighLines(nil, piece[i:j])
}

// Excerptable says whether pieces from the middle of a file, that begins with head, are pieces of its text: it is not compressed, and its encoding is
// not told by what it begins with.
func Excerptable(head []byte) bool {
	for _, magic := range []string{"\x1f\x8b", "\x28\xb5\x2f\xfd", "PK"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return false
		}
	}
	_, known := byMark(head[:min(len(head), detectBytes)])
	return !known
}
