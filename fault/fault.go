// Package fault owns the errors that operations answer with: a kind and a sentence for the caller.
//
// The API has five exceptions, so there are five kinds. Anything that is not a fault is an internal error: its text goes to
// the log and never to the caller. Status codes and bodies are made in package server alone.
//
// A sentence says what is wrong, where, and what to do. It may name what the caller sent, except values of members that the
// API model flags sensitive. It is never written to a log.
package fault

import (
	"errors"
	"fmt"
)

// Kind is one of the API's five exceptions. It is itself an error, so that errors.Is(err, fault.NotFound) works.
type Kind string

// The five kinds, named by the exception they become.
const (
	BadRequest   Kind = "BadRequestException"
	AccessDenied Kind = "AccessDeniedException"
	NotFound     Kind = "ResourceNotFoundException"
	Throttled    Kind = "ThrottlingException"
	Internal     Kind = "InternalServerException"
)

// ErrUnavailable says that something below does not answer at the moment, and that the same call may go later. It is an internal
// error with a hint for the caller; store.ErrUnavailable and blob.ErrUnavailable are it.
var ErrUnavailable = errors.New("not available at the moment")

// ErrUnknown says that nobody knows whether a call has happened, or yet will: its answer was lost, and reading did not tell. It is an
// internal error with a hint for the caller; store.ErrUnknown is it.
var ErrUnknown = errors.New("outcome unknown")

// Error makes a Kind usable as the target of errors.Is.
func (k Kind) Error() string { return string(k) }

// Error is a fault: a kind and the sentence the caller reads.
type Error struct {
	Kind    Kind
	Message string
}

// Error returns kind and sentence.
func (e *Error) Error() string { return string(e.Kind) + ": " + e.Message }

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// BadRequestf says that the request can't be done as it is.
func BadRequestf(format string, args ...any) error { return newf(BadRequest, format, args) }

// NotFoundf says that what the request names does not exist, or is not for this caller to know.
func NotFoundf(format string, args ...any) error { return newf(NotFound, format, args) }

// AccessDeniedf says that the caller's policy does not allow the request.
func AccessDeniedf(format string, args ...any) error { return newf(AccessDenied, format, args) }

// Throttledf says that the caller must slow down.
func Throttledf(format string, args ...any) error { return newf(Throttled, format, args) }

// Internalf is for the rare internal failure whose sentence helps the caller.
func Internalf(format string, args ...any) error { return newf(Internal, format, args) }

// Message returns the sentence of the fault in err's chain, or "" when there is none.
func Message(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return ""
}

func newf(kind Kind, format string, args []any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}
