package telemetry

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"sync/atomic"

	"google.golang.org/grpc/grpclog"
)

// gRPC has one logger per process, which may only be set before gRPC is used. So
// it is set here, once and for all, and what is swapped is where it leads.
func init() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, grpcErrors{&grpcTarget}))
}

// grpcTarget is the log of the Telemetry that was started last.
var grpcTarget atomic.Pointer[slog.Logger]

// grpcErrors makes the errors that gRPC itself reports lines of a log. The rest
// of what it says is about connections that come and go.
type grpcErrors struct{ target *atomic.Pointer[slog.Logger] }

// Write takes one message, behind a date and a level. As long as there is no log
// it goes where gRPC itself would write it.
func (g grpcErrors) Write(line []byte) (int, error) {
	logger := g.target.Load()
	if logger == nil {
		return os.Stderr.Write(line)
	}
	message := bytes.TrimSpace(line)
	if _, after, ok := bytes.Cut(message, []byte("ERROR: ")); ok {
		message = after
	}
	logger.Warn("gRPC reports an error", "error", string(message))
	return len(line), nil
}
