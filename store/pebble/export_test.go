package pebble

import "context"

// Compact flushes, and merges all tables, so that a test sees what compactions make of rows.
func (s *Store) Compact() error {
	if err := s.db.Flush(); err != nil {
		return err
	}
	return s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, true)
}

// Flush writes the memtable out as a table.
func (s *Store) Flush() error { return s.db.Flush() }
