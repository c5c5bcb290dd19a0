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
	MaxAppend int    `name:"max-append" default:"1048576" placeholder:"BYTES" help:"Refuse appends whose events have more bytes (${default}; 16777216 at most, which is what clients take)."`

	MaxSubscriptions           int `name:"max-subscriptions" default:"1024" placeholder:"N" help:"Refuse further catch-up subscriptions when so many are open (${default})."`
	MaxConnectionSubscriptions int `name:"max-connection-subscriptions" default:"256" placeholder:"N" help:"Likewise, for those of one connection (${default})."`

	NoIDCache bool `name:"no-id-cache" help:"Recognise no retry by its event ids unless it names a revision: for tests of callers that must not lean on it."`
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
	limits, err := f.limits()
	if err != nil {
		return eventstore.Config{}, err
	}
	config := eventstore.Config{
		Addr:   f.Addr,
		Data:   eventstore.Memory(),
		Limits: limits,
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

// limits are what the flags bound. Fewer subscriptions than one connection may
// have by default are a bound for each connection too.
func (f *flags) limits() (eventstore.Limits, error) {
	for flag, value := range map[string]int{
		"--max-append": f.MaxAppend, "--max-subscriptions": f.MaxSubscriptions, "--max-connection-subscriptions": f.MaxConnectionSubscriptions,
	} {
		if value < 1 {
			return eventstore.Limits{}, fmt.Errorf("%s: %d: it must be above 0", flag, value)
		}
	}
	limits := eventstore.Limits{
		AppendBytes:             f.MaxAppend,
		Subscriptions:           f.MaxSubscriptions,
		ConnectionSubscriptions: min(f.MaxConnectionSubscriptions, f.MaxSubscriptions),
	}
	if err := limits.Check(); err != nil {
		return eventstore.Limits{}, fmt.Errorf("--max-append, --max-subscriptions, --max-connection-subscriptions: %w", err)
	}
	return limits, nil
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

// advise says what to do about a store that does not start.
func advise(err error) error {
	switch {
	case errors.Is(err, eventstore.ErrInUse):
		return fmt.Errorf("%w: stop that one, or name another folder with --data", err)
	case errors.Is(err, eventstore.ErrForeignFolder):
		return fmt.Errorf("%w: nothing in it was changed; name an empty folder, or one of an event store, with --data", err)
	case errors.Is(err, eventstore.ErrNewerFormat):
		return fmt.Errorf("%w: nothing in it was changed; run the event store that wrote it, or a newer one", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: stop what listens there, or name another address with --addr", err)
	default:
		return err
	}
}

// serve runs the store until ctx ends or its disk fails.
func serve(ctx context.Context, config eventstore.Config) error {
	server, err := eventstore.Start(config)
	if err != nil {
		return advise(err)
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
