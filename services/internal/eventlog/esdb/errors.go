package esdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/services/internal/deadline"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// explain turns what the client said of a call into what the port says: its own
// error, else the context's, with the client's words. callers is the context
// that the call was made with.
func explain(callers context.Context, err error) error {
	if err == nil || errors.Is(err, eventlog.ErrClosed) {
		return err
	}
	meaning := meaningOf(err)
	decided := meaning != nil && !errors.Is(meaning, eventlog.ErrUnavailable)
	ended := deadline.Err(callers)
	switch {
	case decided:
		return reword(meaning, err)
	case errors.Is(ended, context.Canceled):
		return reword(ended, err)
	case ended != nil: // a store that does not answer in time can't be reached
		return reword(eventlog.ErrUnavailable, reword(ended, err))
	case errors.Is(err, context.DeadlineExceeded): // the log's own patience
		return reword(eventlog.ErrUnavailable, err)
	case meaning != nil:
		return reword(meaning, err)
	default:
		return err
	}
}

// reword returns an error that is meaning and says what err said.
func reword(meaning, err error) error {
	if errors.Is(err, meaning) {
		return err
	}
	return fmt.Errorf("%w: %w", meaning, err)
}

// meaningOf returns the port's error that err stands for, or nil.
func meaningOf(err error) error {
	var answer *esdb.Error
	if errors.As(err, &answer) {
		switch answer.Code() {
		case esdb.ErrorCodeWrongExpectedVersion:
			return eventlog.ErrWrongRevision
		case esdb.ErrorCodeStreamDeleted:
			return eventlog.ErrTombstoned
		case esdb.ErrorCodeResourceNotFound:
			return eventlog.ErrNoStream
		case esdb.ErrorCodeUnauthenticated, esdb.ErrorCodeAccessDenied:
			return eventlog.ErrDenied
		case esdb.ErrorCodeConnectionClosed, esdb.ErrorUnavailable, esdb.ErrorAborted,
			esdb.ErrorCodeDeadlineExceeded, esdb.ErrorCodeNotLeader:
			return eventlog.ErrUnavailable
		}
	}
	if errors.Is(err, errRetired) {
		return eventlog.ErrUnavailable
	}
	if errors.Is(err, io.EOF) {
		// A defect: when the store ends an append while it is being sent, the
		// client returns the bare EOF and never fetches the reason. The one that
		// is to be expected, the append's size, has been checked before.
		return eventlog.ErrUnavailable
	}
	return meaningOfStatus(err)
}

// meaningOfStatus looks at the call's raw status. Here are the errors whose
// kind the store puts into trailers that the client does not read (a defect):
// what is left of it are the words.
func meaningOfStatus(err error) error {
	words := strings.ToLower(strings.ReplaceAll(err.Error(), " ", ""))
	switch code := statusOf(err); code {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.Aborted:
		return eventlog.ErrUnavailable
	case codes.Unauthenticated, codes.PermissionDenied:
		return eventlog.ErrDenied
	case codes.InvalidArgument, codes.ResourceExhausted:
		if strings.Contains(words, "appendsize") || strings.Contains(words, "messagelargerthanmax") {
			return eventlog.ErrTooLarge
		}
	case codes.FailedPrecondition:
		if strings.Contains(words, "wrongexpectedversion") {
			return eventlog.ErrWrongRevision
		}
		if strings.Contains(words, "isdeleted") {
			return eventlog.ErrTombstoned
		}
	}
	return nil
}

// statusOf returns the status code that err carries somewhere within.
func statusOf(err error) codes.Code {
	var carrier interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carrier) {
		return carrier.GRPCStatus().Code()
	}
	return codes.Unknown
}

// isBroken reports whether err is a sign that its client will look for the
// store anew, or has died.
func isBroken(err error) bool {
	var answer *esdb.Error
	if errors.As(err, &answer) {
		switch answer.Code() {
		case esdb.ErrorCodeConnectionClosed, esdb.ErrorUnavailable:
			return true
		}
	}
	return err != nil && statusOf(err) == codes.Unavailable
}

// isUnsent reports whether err tells that the store has not taken in the call:
// the client was given up or dead, or was sent on to the cluster's leader and
// now stands there. Only then may an append be tried again.
func isUnsent(err error) bool {
	var answer *esdb.Error
	return errors.Is(err, errRetired) || errors.As(err, &answer) &&
		(answer.Code() == esdb.ErrorCodeConnectionClosed || answer.Code() == esdb.ErrorCodeNotLeader)
}

// isFinal reports whether subscribing again can't help after err.
func isFinal(err error) bool {
	switch meaning := meaningOf(err); {
	case errors.Is(meaning, eventlog.ErrTombstoned), errors.Is(err, eventlog.ErrClosed):
		return true
	case errors.Is(meaning, eventlog.ErrUnavailable):
		return false
	}
	switch statusOf(err) {
	case codes.InvalidArgument, codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented:
		return true
	default:
		return false
	}
}
