package store

import "context"

// Stager is an engine that builds tables of finished rows aside, and makes them visible later, all at once; and that removes many rows by a look at
// their keys. Suite: storetest.RunStager.
type Stager interface {
	// Stage begins a table of rows of one incarnation: puts and deletions, all with one time. Like WriteRun it compares no times: its rows have one
	// writer, whose time is the newest they ever had. What a process has staged and not landed when it ends is lost.
	Stage(o StageOptions) (Staged, error)

	// Land makes all rows of closed tables visible at once, over rows that were there before; they are durable on return. The ranges of keys of the
	// tables must not overlap. Tables without rows count for nothing. The tables are used up by it, whatever it returns; an error leaves nothing
	// visible, unless the engine has failed for good.
	Land(ctx context.Context, tables ...Staged) error

	// Remove removes the rows of a range whose row keys gone accepts, from a table with many writers. These rows have one writer, as in a WriteRun; what
	// others write meanwhile stays. before, if it is set, is called once, when a look at the rows has ended and before any row goes. What is removed is so durably on
	// return; an error leaves any part of it removed. gone is called from several goroutines, keeps nothing of the key, and may be asked again about a row.
	Remove(ctx context.Context, in SweepRange, gone func(key []byte) bool, before func() error) error
}

// StageOptions say what the rows of a table have in common.
type StageOptions struct {
	Table       Table
	Incarnation Incarnation
	Time        int64 // microseconds, above 0
}

// Staged is a table on its way into the store. It is for one goroutine at a time.
type Staged interface {
	// Add adds a row. Rows ascend by partition and key (else ErrOrder). The value comes in two parts, either of which may be nil. Nothing is kept of the
	// bytes. ErrTooLarge: the row is over the limits of a mutation. The table may go on after these two errors, without the row.
	Add(partition, key, value, more []byte) error

	// Delete adds the deletion of a row, as Add does a row.
	Delete(partition, key []byte) error

	// Rows returns how many rows and deletions have been added.
	Rows() int

	// Size returns how many bytes the table has so far, roughly: those of the last rows count as they are before compression.
	Size() int64

	// Close ends the table and returns when it is on the disk.
	Close() error

	// Discard removes a table that is not to be landed. It may be called at any time, after Land too: then it does nothing.
	Discard()
}

// StagerOf returns the engine behind a store as a Stager, or nil if it is none. Stores that wrap others say so by a method AsStager.
func StagerOf(s Store) Stager {
	if w, ok := s.(interface{ AsStager() Stager }); ok {
		return w.AsStager()
	}
	engine, _ := s.(Stager)
	return engine
}
