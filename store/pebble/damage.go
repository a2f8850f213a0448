package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/redact"

	"kith/store"
)

// What the engine says of its own troubles may hold keys and values of customers: bounds of tables, rows that it did not expect.
// Nothing of that gets out. Its messages are printed redacted (it marks in its formats what is not of its own making), those about
// damage not at all: they are told in words of ours.

// Damage is a damaged file of the database, and what rows it may hold.
type Damage struct {
	// File is its name within the database's folder.
	File string
	// From and To are the partitions its rows lie between, without their keys.
	From, To Place
	// What is wrong, in a few words.
	What string
}

// Place is a partition without its key.
type Place struct {
	Table       store.Table
	Incarnation store.Incarnation
}

// String returns the damage as a sentence without keys.
func (d Damage) String() string {
	rows := "tables " + d.From.Table.String() + " to " + d.To.Table.String()
	if d.From.Table == d.To.Table {
		rows = "table " + d.From.Table.String()
	}
	if d.From.Table == 0 {
		rows = "unknown tables"
	}
	return fmt.Sprintf("file %s (rows of %s): %s", d.File, rows, d.What)
}

func placeOf(key []byte) Place {
	if len(key) < 9 {
		return Place{}
	}
	p, _, err := store.DecodeKey(append(bytes.Clone(key[:9]), 0, 1))
	if err != nil {
		return Place{}
	}
	return Place{p.Table, p.Incarnation}
}

// damages are those found since the database was opened.
type damages struct {
	mu  sync.Mutex
	log *slog.Logger
	all []Damage
}

// add notes a damaged file, and logs it the first time.
func (d *damages) add(info pebble.DataCorruptionInfo) {
	found := Damage{File: filepath.Base(info.Path), From: placeOf(info.Bounds.Start), To: placeOf(info.Bounds.End.Key), What: "a checksum is wrong"}
	if errors.Is(info.Details, fs.ErrNotExist) {
		found.What = "it is missing"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.ContainsFunc(d.all, func(o Damage) bool { return o.File == found.File }) {
		return
	}
	d.all = append(d.all, found)
	if d.log != nil {
		d.log.Error("stored data is damaged: calls that need it fail; kith check tells what is affected", "file", found.File, "from", found.From.Table.String(), "to", found.To.Table.String(), "what", found.What)
	}
}

// Damage returns the damaged files that were met since the database was opened.
func (s *Store) Damage() []Damage {
	s.damages.mu.Lock()
	defer s.damages.mu.Unlock()
	return slices.Clone(s.damages.all)
}

// LogDamage returns the damage of logs that Open has accepted.
func (s *Store) LogDamage() []*LogDamage { return s.accepted }

// listener receives the engine's events.
func (d *damages) listener(l logger) *pebble.EventListener {
	return &pebble.EventListener{
		DataCorruption:  d.add,
		BackgroundError: func(err error) { l.background(err) },
		DiskSlow:        func(info pebble.DiskSlowInfo) { l.Errorf("%s", info) },
	}
}

// convert turns an error of the engine into one of the contract's, whose text holds no key.
func convert(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case pebble.IsCorruptionError(err):
		if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
			return fmt.Errorf("%w: file %s", store.ErrDamaged, filepath.Base(info.Path))
		}
		return store.ErrDamaged
	}
	return &engineError{err}
}

// convertOpen is convert for what Open finds: tables that are missing or have another length than they were written with.
func convertOpen(err error) error {
	if errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "object size mismatch") {
		return fmt.Errorf("%w: %s", store.ErrDamaged, safe(err))
	}
	return convert(err)
}

// engineError is an error of the engine with a text that holds no key.
type engineError struct{ err error }

// Error implements error.
func (e *engineError) Error() string { return "storage engine: " + safe(e.err) }

// Unwrap is for errors.Is.
func (e *engineError) Unwrap() error { return e.err }

// safe returns the part of an error's text that is the engine's own.
func safe(err error) string {
	if d, ok := errors.AsType[*LogDamage](err); ok {
		return d.Error()
	}
	text := redacted("%v", err)
	if no, ok := errors.AsType[syscall.Errno](err); ok && !strings.Contains(text, no.Error()) {
		text += ": " + no.Error()
	}
	return text
}

// redacted formats a message of the engine without what is not of its own making.
func redacted(format string, args ...any) string {
	return strings.ReplaceAll(redact.Sprintf(format, args...).Redact().StripMarkers(), "×", "…")
}

// logger passes the engine's errors on; its chatter is dropped.
type logger struct{ log *slog.Logger }

func (l logger) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (l logger) Errorf(format string, args ...any) {
	if l.log != nil {
		l.log.Error("storage engine", "text", redacted(format, args...))
	}
}

// Fatalf implements pebble.Logger: the log can't be written, or the engine has found a mistake of its own.
func (l logger) Fatalf(format string, args ...any) {
	text := redacted(format, args...)
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			text = safe(err)
		}
	}
	if l.log != nil {
		l.log.Error("storage engine: ending the process", "text", text)
	}
	exit()
}

// background tells of an error of a flush or a compaction, which is tried again.
func (l logger) background(err error) {
	if l.log == nil || errors.Is(err, pebble.ErrCancelledCompaction) {
		return
	}
	if pebble.IsCorruptionError(err) {
		return // damages has told it
	}
	l.log.Error("storage engine: background work failed and is tried again", "error", safe(err))
}

// exit ends the process, but for tests.
var exit = func() { os.Exit(70) }
