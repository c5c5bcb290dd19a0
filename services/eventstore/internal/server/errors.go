package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

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
	case errors.Is(err, storage.ErrInvalidName):
		return invalid("%v: name another stream; $all is only read, and $$name is the metadata of a stream, which has no metadata and no end of its own", err)
	case errors.Is(err, filter.ErrInvalid):
		return invalid("%v", err)
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
	for i := 1; i < len(trailer); i += 2 {
		trailer[i] = printable(trailer[i])
	}
	if err := grpc.SetTrailer(ctx, metadata.Pairs(trailer...)); err != nil {
		return status.Errorf(codes.Internal, "%s (and its trailer was not set: %v)", message, err)
	}
	return status.Error(code, message)
}

// printable escapes what a trailer can't hold, as URLs do: a client that gets
// a malformed one sees a broken connection instead of the error.
func printable(value string) string {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		return url.PathEscape(value)
	}
	return value
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// expectation returns what a request expects: a revision, when it names one.
func expectation(revision uint64) (stream.Expected, error) {
	if revision > uint64(stream.MaxRevision) {
		return 0, invalid("revision %d is too large: no stream has one above %d", revision, stream.MaxRevision)
	}
	return stream.Expected(revision), nil
}
