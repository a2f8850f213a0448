package table

import "testing"

// What a table made safe holds is no formula, and comes back exactly.
func FuzzSafe(f *testing.F) {
	for _, c := range []string{"", "a", "=1+1", "+49", "-", "@x", "\t=1", "\r", "'", "''", "'=1", "''=1", "'tis", "'007", "' =1", "=\"007\""} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		safe := MakeSafe(cell)
		if got := string(Restore([]byte(safe))); got != cell {
			t.Errorf("%q became %q and came back as %q", cell, safe, got)
		}
		if safe != "" && (safe[0] == '=' || safe[0] == '+' || safe[0] == '-' || safe[0] == '@' || safe[0] == '\t' || safe[0] == '\r') {
			t.Errorf("%q stayed %q", cell, safe)
		}
	})
}
