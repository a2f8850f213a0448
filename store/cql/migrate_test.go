package cql

import (
	"strings"
	"testing"

	"kith/store"
)

// Every table of the contract is made by some migration; a table that none makes is noticed without a cluster.
func TestEveryTableIsMigrated(t *testing.T) {
	for _, table := range store.Tables {
		made := false
		for _, step := range migrations {
			for _, m := range step {
				made = made || strings.Contains(m.cql, " "+table.String()+" (")
			}
		}
		if !made {
			t.Errorf("no migration makes table %s", table)
		}
	}
}
