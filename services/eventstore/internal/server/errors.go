package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/services/eventstore/internal/filter"
	"github.com/triangle-suite/triangle/services/eventstore/internal/persistent"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// The protocol names an error in a trailer; the keys beside it are parsed by
// clients, some of which crash when one is missing.
const (
	trailerException = "exception"
	trailerStream    = "stream-name"
	trailerGroup     = "group-name"
)

// fail turns err into what the protocol says about it, for a call on stream
// name. It is the one place where errors get their status.
func fail(ctx context.Context, name string, err error) error {
	var wrong *storage.WrongVersionError
	switch {
	case errors.Is(err, storage.ErrDeleted):
		return refuse(ctx, codes.FailedPrecondition, fmt.Sprintf("Event stream '%s' is deleted.", name),
			trailerException, "stream-deleted", trailerStream, name)
	case errors.As(err, &wrong):
		return refuse(ctx, codes.FailedPrecondition, err.Error(),
			trailerException, "wrong-expected-version", trailerStream, name,
			"expected-version", strconv.FormatInt(int64(wrong.Expected), 10),
			"actual-version", strconv.FormatInt(wrong.Current, 10))
	case errors.Is(err, storage.ErrInvalidName), errors.Is(err, filter.ErrInvalid):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, storage.ErrClosed):
		return status.Error(codes.Unavailable, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	case isStatus(err):
		return err
	default:
		return status.Error(codes.Internal, err.Error())
	}
}

// failGroup is fail for a call on a persistent subscription.
func failGroup(ctx context.Context, key persistent.Key, err error) error {
	refused := func(code codes.Code, exception string) error {
		return refuse(ctx, code, fmt.Sprintf("group %q on stream %q: %v", key.Group, key.Stream, err),
			trailerException, exception, trailerStream, key.Stream, trailerGroup, key.Group)
	}
	switch {
	case errors.Is(err, persistent.ErrNotFound):
		return refused(codes.NotFound, "persistent-subscription-does-not-exist")
	case errors.Is(err, persistent.ErrExists):
		return refused(codes.AlreadyExists, "persistent-subscription-exists")
	case errors.Is(err, persistent.ErrFull):
		return refused(codes.FailedPrecondition, "maximum-subscribers-reached")
	case errors.Is(err, persistent.ErrDropped):
		return refused(codes.Canceled, "persistent-subscription-dropped")
	case errors.Is(err, persistent.ErrInvalid):
		return status.Error(codes.InvalidArgument, err.Error())
	default:
		return fail(ctx, key.Stream, err)
	}
}

func isStatus(err error) bool {
	_, ok := status.FromError(err)
	return ok
}

// refuse returns a status with a trailer of keys and values.
func refuse(ctx context.Context, code codes.Code, message string, trailer ...string) error {
	if err := grpc.SetTrailer(ctx, metadata.Pairs(trailer...)); err != nil {
		return status.Errorf(codes.Internal, "%s (and its trailer was not set: %v)", message, err)
	}
	return status.Error(code, message)
}

func tooLarge(ctx context.Context, limit int) error {
	return refuse(ctx, codes.InvalidArgument, fmt.Sprintf("Maximum Append Size of %d Exceeded.", limit),
		trailerException, "maximum-append-size-exceeded", "maximum-append-size", strconv.Itoa(limit))
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// expectation returns what a request expects: a revision, when it names one.
func expectation(revision uint64) (stream.Expected, error) {
	if revision > uint64(stream.MaxRevision) {
		return 0, invalid("revision %d is too large", revision)
	}
	return stream.Expected(revision), nil
}
