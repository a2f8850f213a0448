// Package storetest is the conformance suite of the storage contract. Every engine and decorator runs it; every sentence of
// the contract has a test with its name. An engine that can't do something is excepted by category, with the reason where
// the suite is called.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"kith/store"
)

// Engine is what the suite needs of an engine.
type Engine struct {
	// New returns an empty store, closed by the test's cleanup.
	New func(t *testing.T) store.Store
	// Crash returns the store as it is after the process died without warning. Nil excepts the crash tests.
	Crash func(t *testing.T, s store.Store) store.Store
	// Doubt makes the next Swap lose its answer, as a time-out does. Nil excepts the test of doubt.
	Doubt func(t *testing.T, s store.Store)
	// NoBulk says that the engine has no path of its own for large runs: the suite's large runs are smaller then.
	NoBulk bool
	// Apart says that a Commit that conflicts may leave what it wrote before its Swap.
	Apart bool
	// OpenCopy opens what Checkpoint wrote. Nil excepts the checkpoint test.
	OpenCopy func(t *testing.T, s store.Store, dir string) store.Store
}

// bulk returns the size of a large run.
func (e Engine) bulk(n int) int {
	if e.NoBulk {
		return n / 30
	}
	return n
}

// Run runs the suite.
func Run(t *testing.T, e Engine) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Engine)
	}{
		{"WriteIsAllOrNone", writeIsAllOrNone},
		{"WriteIsRepeatable", writeIsRepeatable},
		{"WriteRunIsRepeatable", writeRunIsRepeatable},
		{"WriteRunNewerWins", writeRunNewerWins},
		{"WriteRunTakesSeveral", writeRunTakesSeveral},
		{"WriteRunKeepsPartitionsWhole", writeRunKeepsPartitionsWhole},
		{"WriteRunRefusesDisorder", writeRunRefusesDisorder},
		{"SwapConflictWritesNothing", swapConflictWritesNothing},
		{"SwapOneWinnerOfMany", swapOneWinnerOfMany},
		{"SwapChecksAndDeletes", swapChecksAndDeletes},
		{"SwapVersionsNeverComeBack", swapVersionsNeverComeBack},
		{"SwapRefusesWriteRows", swapRefusesWriteRows},
		{"SwapTellsDoubt", swapTellsDoubt},
		{"ManyWritersInAnyOrder", manyWritersInAnyOrder},
		{"ManyWritersAtOnce", manyWritersAtOnce},
		{"CommitWritesAll", commitWritesAll},
		{"CommitConflictKeepsTheRestOut", commitConflictKeepsTheRestOut},
		{"CommitTellsWhenItIsVisible", commitTellsWhenItIsVisible},
		{"CommitOneWinnerOfMany", commitOneWinnerOfMany},
		{"CommitIsSeenInOrder", commitIsSeenInOrder},
		{"CommitTellsThatItHappened", commitTellsThatItHappened},
		{"CommitBelievesNoOldMark", commitBelievesNoOldMark},
		{"CommitByMarkLosesNothing", commitByMarkLosesNothing},
		{"CommitRefusesWhatIsTooLarge", commitRefusesWhatIsTooLarge},
		{"CrashKeepsWhatReturned", crashKeepsWhatReturned},
		{"GetReturnsAKeepableRow", getReturnsAKeepableRow},
		{"GetTellsAbsence", getTellsAbsence},
		{"KeysMayHoldAnyByte", keysMayHoldAnyByte},
		{"ScanRangesAndLimits", scanRangesAndLimits},
		{"ScanStaysInItsPartition", scanStaysInItsPartition},
		{"ProbeAnswersInOrder", probeAnswersInOrder},
		{"ProbeRefusesDisorder", probeRefusesDisorder},
		{"SweepMeetsEveryRowOnce", sweepMeetsEveryRowOnce},
		{"SweepResumes", sweepResumes},
		{"SweepKeepsIncarnationsApart", sweepKeepsIncarnationsApart},
		{"SplitCoversTheRange", splitCoversTheRange},
		{"DropRangeRemovesAnIncarnation", dropRangeRemovesAnIncarnation},
		{"DropPartitionsRemovesARange", dropPartitionsRemovesARange},
		{"TablesAreApart", tablesAreApart},
		{"PopularPartitions", popularPartitions},
		{"LimitsAreEnforced", limitsAreEnforced},
		{"ContextEndsCalls", contextEndsCalls},
		{"CheckpointIsConsistent", checkpointIsConsistent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, e) })
	}
}

// RunStager runs the suite of engines that are Stagers. It needs an engine with Crash and OpenCopy.
func RunStager(t *testing.T, e Engine) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Engine)
	}{
		{"StagedRowsAreUnseenUntilLand", stagedRowsAreUnseenUntilLand},
		{"LandIsAllAtOnce", landIsAllAtOnce},
		{"LandGoesOverWhatWasThere", landGoesOverWhatWasThere},
		{"LandIsDurable", landIsDurable},
		{"LandRefusesWhatIsNotReady", landRefusesWhatIsNotReady},
		{"StageRefusesDisorder", stageRefusesDisorder},
		{"StageTakesAnyRow", stageTakesAnyRow},
		{"StageForgetsWhatIsDiscarded", stageForgetsWhatIsDiscarded},
		{"LandedTablesAreRead", landedTablesAreRead},
		{"RemoveTakesWhatIsAccepted", removeTakesWhatIsAccepted},
		{"RemoveLeavesWhatOthersWrite", removeLeavesWhatOthersWrite},
		{"RemoveTakesNothingWhenItFails", removeTakesNothingWhenItFails},
		{"RemoveAmongWriters", removeAmongWriters},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, e) })
	}
}

var (
	ctx  = context.Background()
	part = store.Partition{Table: store.Profile, Incarnation: 7, Key: "p"}
)

func put(key, value string, at int64) store.Mutation {
	return store.Mutation{Key: []byte(key), Value: []byte(value), Time: at}
}

func del(key string, at int64) store.Mutation {
	return store.Mutation{Key: []byte(key), Delete: true, Time: at}
}

func write(t *testing.T, s store.Store, p store.Partition, ms ...store.Mutation) {
	t.Helper()
	if err := s.Write(ctx, p, ms); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

func swap(t *testing.T, s store.Store, p store.Partition, ops ...store.Swap) uint64 {
	t.Helper()
	v, err := s.Swap(ctx, p, ops)
	if err != nil {
		t.Fatalf("Swap: %v", err)
	}
	return v
}

func want(t *testing.T, s store.Store, p store.Partition, key, value string) store.Row {
	t.Helper()
	row, err := s.Get(ctx, p, []byte(key))
	if err != nil {
		t.Fatalf("Get %q: %v", key, err)
	}
	if string(row.Value) != value {
		t.Fatalf("Get %q = %q, want %q", key, row.Value, value)
	}
	return row
}

func wantNone(t *testing.T, s store.Store, p store.Partition, key string) {
	t.Helper()
	if _, err := s.Get(ctx, p, []byte(key)); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get %q: %v, want ErrNotFound", key, err)
	}
}

func dump(t *testing.T, s store.Store, tb store.Table) []string {
	t.Helper()
	var all []string
	for row, err := range s.Sweep(ctx, store.SweepRange{Table: tb}) {
		if err != nil {
			t.Fatalf("Sweep: %v", err)
		}
		all = append(all, fmt.Sprintf("%d/%q/%q=%q v%t t%d", row.Partition.Incarnation, row.Partition.Key, row.Row.Key, row.Row.Value, row.Row.Version > 0, row.Row.Time))
	}
	return all
}

func run(rows ...store.RunRow) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func runRow(p string, m store.Mutation) store.RunRow {
	return store.RunRow{Incarnation: 7, Partition: []byte(p), Mutation: m}
}
