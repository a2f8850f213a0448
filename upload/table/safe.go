package table

import "strings"

// SafeColumn is the name of a column, without values, that stands first in tables which MakeSafe was applied to: by it a reader knows to apply
// Restore. Names that begin with kith_ are never mapped.
const SafeColumn = "kith_safe"

// MakeSafe puts an apostrophe before a cell that a spreadsheet would take for a formula, and before one that looks as if that had been done, so that
// Restore gives back exactly what was there.
func MakeSafe(cell string) string {
	if formula(cell) {
		return "'" + cell
	}
	return cell
}

// Restore takes off what MakeSafe has put on.
func Restore(cell []byte) []byte {
	if len(cell) > 1 && cell[0] == '\'' && formula(cell[1:]) {
		return cell[1:]
	}
	return cell
}

// formula says whether a cell, but for apostrophes before it, begins as formulas do.
func formula[T ~string | ~[]byte](cell T) bool {
	for i := range len(cell) {
		if cell[i] != '\'' {
			return strings.IndexByte("=+-@\t\r", cell[i]) >= 0
		}
	}
	return false
}
