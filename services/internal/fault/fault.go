// Package fault is how a capability refuses a call: in terms that the caller
// understands, without knowing of gRPC or HTTP. Package serve turns a fault
// into both, once, at the edge; any other error reaches the caller as internal,
// without its text.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Kind tells what sort of refusal a fault is.
type Kind int

// The kinds of a fault.
const (
	// KindInvalid: the call can't be right, whatever the state.
	KindInvalid Kind = iota + 1
	// KindNotFound: what the call names is not there.
	KindNotFound
	// KindPrecondition: the call is right, but not in the present state.
	KindPrecondition
	// KindConflict: what the call would make is there already, as something else.
	KindConflict
	// KindTooLarge: the call carries more than is accepted.
	KindTooLarge
	// KindUnavailable: something that the call needs is away; it may be retried.
	KindUnavailable
)

// Violation says what is wrong with one field of a call.
type Violation struct {
	Field       string
	Description string
}

// Error is a refusal. Its message is written for the caller; the error that
// caused it, if any, is for the log only.
type Error struct {
	Kind       Kind
	Message    string
	Reason     string // a constant such as CONTACT_ENDED, for programs; empty: the kind's own
	Violations []Violation
	cause      error
}

// Error returns the message for the caller.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the error that caused the refusal.
func (e *Error) Unwrap() error { return e.cause }

// Because remembers the error behind a refusal, for the log. The caller never
// sees its text.
func (e *Error) Because(err error) *Error {
	e.cause = err
	return e
}

// WithReason gives a refusal a constant that programs can tell it by, such as
// CONTACT_ENDED.
func (e *Error) WithReason(reason string) *Error {
	e.Reason = reason
	return e
}

// Field says what is wrong with a field of a call: Field("wait", "must be at
// most %s", limit).
func Field(name, format string, args ...any) Violation {
	return Violation{Field: name, Description: fmt.Sprintf(format, args...)}
}

// Invalid refuses a call that can't be right, and names each field that is
// wrong.
func Invalid(violations ...Violation) *Error {
	parts := make([]string, 0, len(violations))
	for _, v := range violations {
		parts = append(parts, v.Field+" "+v.Description)
	}
	return &Error{Kind: KindInvalid, Message: strings.Join(parts, "; "), Violations: violations}
}

// NotFound refuses a call that names something that is not there.
func NotFound(format string, args ...any) *Error { return newError(KindNotFound, format, args) }

// Precondition refuses a call that is not right in the present state.
func Precondition(format string, args ...any) *Error { return newError(KindPrecondition, format, args) }

// Conflict refuses to make what is there already, as something else.
func Conflict(format string, args ...any) *Error { return newError(KindConflict, format, args) }

// TooLarge refuses a call that carries more than is accepted.
func TooLarge(format string, args ...any) *Error { return newError(KindTooLarge, format, args) }

// Unavailable refuses a call as something that it needs is away.
func Unavailable(format string, args ...any) *Error { return newError(KindUnavailable, format, args) }

// newError takes %w too: the wrapped error's text is then part of the message,
// as the writer of the format asked for.
func newError(kind Kind, format string, args []any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), cause: errors.Unwrap(err)}
}

// Of finds the fault in err's tree.
func Of(err error) (*Error, bool) {
	var f *Error
	ok := errors.As(err, &f)
	return f, ok
}

// Is reports whether err is, or wraps, a fault of this kind.
func Is(err error, kind Kind) bool {
	f, ok := Of(err)
	return ok && f.Kind == kind
}
