package telemetry

import (
	"bytes"
	"io"
	"log/slog"
	"sync"

	"google.golang.org/grpc/grpclog"
)

var grpcOnce sync.Once

// logGRPC makes the errors that gRPC itself reports lines of the log. The rest of
// what it says is about connections that come and go. gRPC has one logger per
// process, to be set before it is used: the first Telemetry's.
func logGRPC(logger *slog.Logger) {
	grpcOnce.Do(func() {
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, grpcErrors{logger}))
	})
}

type grpcErrors struct{ logger *slog.Logger }

// Write takes one message, behind a date and a level.
func (g grpcErrors) Write(line []byte) (int, error) {
	message := bytes.TrimSpace(line)
	if _, after, ok := bytes.Cut(message, []byte("ERROR: ")); ok {
		message = after
	}
	g.logger.Warn("gRPC reports an error", "error", string(message))
	return len(line), nil
}
