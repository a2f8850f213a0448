package pebble

import (
	"context"
	"log/slog"
)

// Compact flushes, and merges all tables, so that a test sees what compactions make of rows.
func (s *Store) Compact() error {
	if err := s.db.Flush(); err != nil {
		return err
	}
	return convert(s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, true))
}

// Flush writes the memtable out as a table.
func (s *Store) Flush() error { return s.db.Flush() }

// SetExit replaces what ends the process.
func SetExit(f func()) (restore func()) {
	was := exit
	exit = f
	return func() { exit = was }
}

// Logger returns what the engine logs to.
func Logger(log *slog.Logger) logger { return logger{log} }

// Convert is convert.
func Convert(err error) error { return convert(err) }

// Stock returns the options with the engine's own writer for tables.
func (o Options) Stock() Options {
	o.stock = true
	return o
}

// CheckLevels looks whether all rows are where the engine expects them.
func (s *Store) CheckLevels() error { return s.db.CheckLevels(nil) }

// Staging lists the files of tables that wait to be ingested.
func (s *Store) Staging() ([]string, error) { return s.fs.List(s.fs.PathJoin(s.dir, ingestDir)) }
