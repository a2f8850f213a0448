// Package xlsx reads a sheet of an Excel workbook (Office Open XML) as text of comma-separated values: a line for each row of the sheet, so
// that a record's line is the number of its row. Cells come as people see them: numbers with all their digits, dates in ISO form, the
// values of formulas as they were saved.
//
// It knows nothing of headers, and of nothing else in a workbook: no formulas, no formats beyond those that make a number a date or give it
// leading zeros, no charts.
//
// Invariants:
//
//  1. Memory is bounded, whatever the file holds: 8 MiB of the archive's directory are read at most, tags have 64 KiB, cells 128 KiB, rows
//     1 MiB, and shared strings beyond 32 MiB are spilled, sealed. Nothing is nested deeper than 256 elements, and entities can't be declared.
//  2. Time is linear in the file: it may unpack to 200 times its size and a gigabyte, and its sheet become 200 times its size and 64 MiB of text.
//  3. Reading stops within 64 KiB of unpacked bytes once its context has ended.
//  4. Nothing is written but to the spill. The same file gives the same text whenever it is read.
package xlsx

// Error says why a file can't be read as a workbook. Reason is a sentence for whoever has the file, and may name its sheets; Code is short,
// stable, and fit for a log.
type Error struct{ Code, Reason string }

func (e *Error) Error() string { return e.Reason }

// errDamaged is of files that are no sound workbooks.
var errDamaged = &Error{"file-damaged", "The workbook is damaged or cut off. Open it in Excel, save it again, and upload that."}
