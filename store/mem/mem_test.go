package mem_test

import (
	"testing"

	"kith/store"
	"kith/store/mem"
	"kith/store/storetest"
)

// Crash and checkpoint are excepted: the engine keeps nothing on disk.
func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Engine{NoBulk: true, New: func(*testing.T) store.Store { return mem.New() }})
}
