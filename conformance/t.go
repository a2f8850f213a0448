package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"github.com/aws/smithy-go"
)

// T is a check while it is made. It is to checks what testing.T is to tests.
type T struct {
	*customerprofiles.Client
	ctx         context.Context
	suite       *suite
	domain      string // of the checks
	differences []string
}

// ended is the panic that ends a check early; its text says why it was skipped, "" if it was not.
type ended string

// Differs notes a difference, and goes on.
func (t *T) Differs(format string, args ...any) {
	t.differences = append(t.differences, fmt.Sprintf(format, args...))
}

// Stop notes a difference and ends the check.
func (t *T) Stop(format string, args ...any) {
	t.Differs(format, args...)
	panic(ended(""))
}

// same notes a difference unless got is want.
func same[V comparable](t *T, what string, got, want V) {
	if got != want {
		t.Differs("%s: got %s, want %s", what, show(got), show(want))
	}
}

// sameText is same for optional members of answers; nil is no text.
func sameText(t *T, what string, got *string, want string) {
	switch {
	case got == nil && want != "":
		t.Differs("%s: it is absent, want %q", what, want)
	case got != nil && *got != want:
		t.Differs("%s: got %q, want %q", what, *got, want)
	}
}

func show(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprint(v)
}

// method is an operation of the SDK's client.
type method[In, Out any] = func(context.Context, In, ...func(*customerprofiles.Options)) (Out, error)

// call calls an operation that must go well.
func call[In, Out any](t *T, m method[In, Out], in In) Out {
	out, err := m(t.ctx, in)
	t.notBuilt(err)
	if err != nil {
		t.Stop("a call that must go well is refused: %s", sentence(err))
	}
	return out
}

// exception is one that the model declares.
type exception struct {
	name string
	is   func(error) bool
}

// The model's exceptions.
var (
	badRequest = exception{"BadRequestException", func(err error) bool { _, ok := errors.AsType[*types.BadRequestException](err); return ok }}
	notFound   = exception{"ResourceNotFoundException", func(err error) bool {
		_, ok := errors.AsType[*types.ResourceNotFoundException](err)
		return ok
	}}
)

// refused calls an operation that must answer with an exception, whose message has the text. It says what is refused.
func refused[In, Out any](t *T, what string, m method[In, Out], in In, want exception, text string) {
	_, err := m(t.ctx, in)
	t.notBuilt(err)
	switch {
	case err == nil:
		t.Differs("%s: it is accepted, want %s", what, want.name)
	case !want.is(err):
		t.Differs("%s: got %s, want %s", what, sentence(err), want.name)
	case !strings.Contains(err.Error(), text):
		t.Differs("%s: got %s, want a message with %q", what, sentence(err), text)
	case message(err) == "":
		t.Differs("%s: the exception has no message", what)
	}
}

// notBuilt ends a check that needs what the server lacks.
func (t *T) notBuilt(err error) {
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "NotImplementedException" {
		operation := ""
		if op, ok := errors.AsType[*smithy.OperationError](err); ok {
			operation = op.Operation()
		}
		panic(ended(operation + " is not built"))
	}
	if t.ctx.Err() != nil {
		panic(ended("interrupted"))
	}
}

// sentence is an error as people read it.
func sentence(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return fmt.Sprintf("%s %q", api.ErrorCode(), api.ErrorMessage())
	}
	return err.Error()
}

func message(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorMessage()
	}
	return ""
}

// eventually asks until there is no difference, or patience is over, and then notes it.
func (t *T) eventually(ask func() (difference string)) { t.within(t.suite.config.Patience, ask) }

// within is eventually with a patience of its own.
func (t *T) within(patience time.Duration, ask func() (difference string)) {
	deadline := time.Now().Add(patience)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		difference := ask()
		if difference == "" {
			return
		}
		if time.Now().Add(wait).After(deadline) {
			if patience > 0 {
				difference += fmt.Sprintf(" (after %s)", patience)
			}
			t.Stop("%s", difference)
		}
		select {
		case <-t.ctx.Done():
			panic(ended("interrupted"))
		case <-time.After(wait):
		}
	}
}

// once makes a fixture of the domain that several checks use.
func (t *T) once(name string, make func()) {
	if !t.suite.ready[name] {
		make()
		t.suite.ready[name] = true
	}
}

// unique returns a text that no other check uses.
func unique(prefix string) string { return prefix + random(6) }

// phone returns a number of the North American plan, +1 and ten digits, that no other check uses.
func phone() string {
	digits := make([]byte, 7)
	for i, c := range random(7)[:7] {
		digits[i] = '0' + byte(c)%10
	}
	return "+1206" + string(digits)
}
