// Package table reads tables as people have them: it finds out how a file is compressed, encoded and separated, and cuts its text
// into records and cells.
//
// Open gives a file's text as UTF-8, whatever the file is; a Scanner cuts text into a header and records; Cells splits a record.
// What makes a whole file unreadable is a FileError; what makes one record unreadable is a Fault of that record, and reading goes
// on behind it. The package knows nothing of uploads, mappings or profiles.
//
// Invariants:
//
//  1. Memory is bounded by MaxRecord and the windows of the decompressors, whatever the file holds.
//  2. Reading stops within 64 KiB of text, or of the file, once its context has ended.
package table

// FileError says why a file can't be read as a table at all. Reason is a sentence for whoever has the file, and may name its
// columns; Code is short, stable, and fit for a log.
type FileError struct{ Code, Reason string }

func (e *FileError) Error() string { return e.Reason }
