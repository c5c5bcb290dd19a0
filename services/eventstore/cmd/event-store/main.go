// Command event-store runs Triangle's embedded event store.
//
// It ends with status 0 on SIGTERM and SIGINT, 1 when the store does not start
// or its disk fails, and 2 on a wrong flag.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/triangle-suite/triangle/services/eventstore"
)

// stopTimeout bounds how long a stop waits for calls under way.
const stopTimeout = 10 * time.Second

const (
	statusFailed = 1
	statusUsage  = 2
)

type flags struct {
	Addr      string `default:"127.0.0.1:2113" placeholder:"HOST:PORT" help:"Where to listen, for gRPC and for GET /health/live (${default})."`
	Data      string `xor:"data" required:"" placeholder:"DIR" help:"Keep events in this folder, which is made when it is missing."`
	Memory    bool   `xor:"data" required:"" help:"Keep events in memory, until the store ends."`
	TLSCert   string `name:"tls-cert" and:"tls" placeholder:"FILE" help:"Certificate, with its chain, in PEM."`
	TLSKey    string `name:"tls-key" and:"tls" placeholder:"FILE" help:"The certificate's key, in PEM."`
	NoIDCache bool   `name:"no-id-cache" help:"Recognise no retry by its event ids unless it names a revision: for tests of callers that must not lean on it."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the command until ctx ends and returns its exit status.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	var f flags
	done := false
	parser := kong.Must(&f, kong.Name("event-store"), kong.Description("Triangle's embedded event store."),
		kong.Writers(os.Stdout, stderr), kong.Exit(func(int) { done = true }))
	_, err := parser.Parse(args)
	if done { // --help was answered
		return 0
	}
	if err != nil {
		return complain(stderr, statusUsage, err)
	}
	config, err := f.config(stderr)
	if err != nil {
		return complain(stderr, statusUsage, err)
	}
	if err := serve(ctx, config); err != nil {
		return complain(stderr, statusFailed, err)
	}
	return 0
}

// complain says err in one line: errors that were joined come in several.
func complain(stderr io.Writer, code int, err error) int {
	line := strings.ReplaceAll(err.Error(), "\n", "; ")
	_, _ = fmt.Fprintf(stderr, "event-store: error: %s\n", line) // there is nowhere else to say it
	return code
}

// config checks the flags and returns what they ask for.
func (f *flags) config(stderr io.Writer) (eventstore.Config, error) {
	if err := checkAddr(f.Addr); err != nil {
		return eventstore.Config{}, fmt.Errorf("--addr: %w", err)
	}
	config := eventstore.Config{
		Addr:   f.Addr,
		Data:   eventstore.Memory(),
		Logger: slog.New(slog.NewJSONHandler(stderr, nil)),
	}
	if f.Data != "" {
		config.Data = eventstore.Folder(f.Data)
	}
	if f.NoIDCache {
		config.IDCache = eventstore.IDCacheOff
	}
	if f.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(f.TLSCert, f.TLSKey)
		if err != nil {
			return eventstore.Config{}, fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		config.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	return config, nil
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is no port", port)
	}
	return nil
}

// serve runs the store until ctx ends or its disk fails.
func serve(ctx context.Context, config eventstore.Config) error {
	server, err := eventstore.Start(config)
	if err != nil {
		return err
	}
	config.Logger.Info("event store started", "addr", server.Addr(), "tls", config.TLS != nil)
	select {
	case <-ctx.Done():
	case <-server.Failed():
		// The disk can't be trusted with an orderly close either.
		return server.Err()
	}
	config.Logger.Info("event store stopping")
	stopping, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err = server.Stop(stopping)
	if errors.Is(err, context.DeadlineExceeded) { // calls were cut, which is what the limit is for
		err = nil
	}
	if err != nil {
		return err
	}
	config.Logger.Info("event store stopped")
	return nil
}
