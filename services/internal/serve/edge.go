package serve

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// errorDomain is the domain of the reasons in an error's ErrorInfo.
const errorDomain = "triangle.dev"

// edge is the one place where errors become answers.
type edge struct {
	log       *slog.Logger
	translate func(error) error
}

// refusal is what a caller learns of an error.
type refusal struct {
	code       codes.Code
	reason     string
	message    string
	violations []fault.Violation
	reference  string // where the log has the true error
}

// answer turns the error of a call into the status that its caller gets, and
// logs what the caller does not get to know.
func (e edge) answer(ctx context.Context, method string, err error) error {
	err = e.translate(err)
	if unimplemented(err) {
		return err
	}
	r := e.refuse(ctx, err)
	attrs := []any{"method", method, "code", r.code.String(), "reason", r.reason}
	level := slog.LevelDebug // the caller's own doing: the answer says it all
	switch r.code {
	case codes.Internal:
		level = slog.LevelError
		r.reference = uuid.NewString()
		attrs = append(append(attrs, "reference", r.reference), trueError(err)...)
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted:
		level = slog.LevelWarn
		attrs = append(attrs, trueError(err)...)
	}
	e.log.Log(ctx, level, "call failed", attrs...)
	return r.status()
}

// trueError is what the log, and nobody else, learns of an error.
func trueError(err error) []any {
	attrs := []any{"error", err.Error()}
	if p, ok := errors.AsType[*panicError](err); ok {
		attrs = append(attrs, "stack", p.stack)
	}
	return attrs
}

// unimplemented tells the one status that a handler may return itself, as the
// generated code does so for it. Any other may carry a text from within.
func unimplemented(err error) bool {
	s, ok := err.(interface{ GRPCStatus() *status.Status }) //nolint:errorlint // a wrapped status is somebody else's
	return ok && s.GRPCStatus().Code() == codes.Unimplemented
}

// StatusOf is the status that the caller of a call gets for an error, where the
// call does not come in over the network.
func StatusOf(ctx context.Context, err error) error { return edge{}.refuse(ctx, err).status() }

func (edge) refuse(ctx context.Context, err error) refusal {
	if f, ok := fault.Of(err); ok {
		return ofFault(f)
	}
	// Before anything that may come of it: a query that was interrupted, a
	// connection that was given up.
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return refusal{code: codes.Canceled, reason: "CANCELLED", message: "the caller gave the call up"}
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		return refusal{code: codes.DeadlineExceeded, reason: "DEADLINE_EXCEEDED", message: "the call did not end in time; what it was to do may have been done, so repeat it with its idempotency key"}
	case errors.Is(err, keyring.ErrDestroyed):
		return refusal{code: codes.FailedPrecondition, reason: "PERSON_ERASED", message: "the person that this is about has been erased: nothing personal of them is written any more"}
	case errors.Is(err, eventlog.ErrTooLarge):
		return refusal{code: codes.ResourceExhausted, reason: "TOO_LARGE", message: "the call is larger than the event store accepts"}
	case errors.Is(err, eventlog.ErrWrongRevision):
		return refusal{code: codes.Aborted, reason: "CONTENTION", message: "others changed the same thing at the same time; repeat the call with its idempotency key"}
	case errors.Is(err, eventlog.ErrUnavailable) || errors.Is(err, eventlog.ErrClosed):
		return refusal{code: codes.Unavailable, reason: "STORE_UNAVAILABLE", message: "the event store can't be reached; repeat the call with its idempotency key"}
	case away(err):
		return refusal{code: codes.Unavailable, reason: "UNAVAILABLE", message: "something that the service needs can't be reached; repeat the call with its idempotency key"}
	}
	return refusal{code: codes.Internal, reason: "INTERNAL", message: "something went wrong within the service"}
}

// away tells errors of a database, or of another partner, that can't be
// reached. A cancelled context that is not the call's is the service's own end.
func away(err error) bool {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, context.Canceled) {
		return true
	}
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// kinds says how each kind of fault is answered.
var kinds = map[fault.Kind]refusal{
	fault.KindInvalid:      {code: codes.InvalidArgument, reason: "INVALID_ARGUMENT"},
	fault.KindNotFound:     {code: codes.NotFound, reason: "NOT_FOUND"},
	fault.KindPrecondition: {code: codes.FailedPrecondition, reason: "FAILED_PRECONDITION"},
	fault.KindConflict:     {code: codes.AlreadyExists, reason: "ALREADY_EXISTS"},
	fault.KindTooLarge:     {code: codes.ResourceExhausted, reason: "TOO_LARGE"},
	fault.KindUnavailable:  {code: codes.Unavailable, reason: "UNAVAILABLE"},
}

func ofFault(f *fault.Error) refusal {
	r, ok := kinds[f.Kind]
	if !ok {
		return refusal{code: codes.Internal, reason: "INTERNAL", message: "something went wrong within the service"}
	}
	r.message, r.violations = f.Message, f.Violations
	if f.Reason != "" {
		r.reason = f.Reason
	}
	return r
}

// status writes the refusal as gRPC carries it.
func (r refusal) status() error {
	info := &errdetails.ErrorInfo{Reason: r.reason, Domain: errorDomain}
	message := r.message
	if r.reference != "" {
		info.Metadata = map[string]string{"reference": r.reference}
		message += "; the log says more under reference " + r.reference
	}
	details := []protoadapt.MessageV1{protoadapt.MessageV1Of(info)}
	if len(r.violations) > 0 {
		details = append(details, protoadapt.MessageV1Of(badRequest(r.violations)))
	}
	plain := status.New(r.code, utf8(message))
	detailed, err := plain.WithDetails(details...)
	if err != nil {
		return plain.Err() // the code counts
	}
	return detailed.Err()
}

// utf8 mends a text that a caller's bytes were quoted into: gRPC carries no
// other.
func utf8(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

func badRequest(violations []fault.Violation) *errdetails.BadRequest {
	b := &errdetails.BadRequest{}
	for _, v := range violations {
		b.FieldViolations = append(b.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: utf8(v.Field), Description: utf8(v.Description)})
	}
	return b
}

// panicError is a panic that was caught, with the stack that it came from.
type panicError struct {
	value any
	stack string
}

// newPanicError is called by the function that recovers.
func newPanicError(value any) *panicError {
	return &panicError{value: value, stack: string(debug.Stack())}
}

// Error names what was panicked with.
func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }
