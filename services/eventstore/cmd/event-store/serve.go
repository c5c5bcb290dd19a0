package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/triangle-suite/triangle/services/eventstore"
	"github.com/triangle-suite/triangle/services/eventstore/internal/users"
)

// stopTimeout bounds how long a stop waits for calls under way.
const stopTimeout = 10 * time.Second

// serve is the command that serves a store.
type serve struct {
	Addr           string `default:"127.0.0.1:2113" placeholder:"HOST:PORT" help:"Where to listen, for gRPC, GET /health/live and GET /metrics (${default})."`
	Data           string `xor:"data" required:"" placeholder:"DIR" help:"Keep events in this folder, which is made when it is missing."`
	Memory         bool   `xor:"data" required:"" help:"Keep events in memory, until the store ends."`
	TLSCert        string `name:"tls-cert" and:"tls" placeholder:"FILE" help:"Certificate, with its chain, in PEM."`
	TLSKey         string `name:"tls-key" and:"tls" placeholder:"FILE" help:"The certificate's key, in PEM."`
	Users          string `xor:"users" placeholder:"FILE" help:"Let in only these users: a line name:hash each, with a bcrypt hash, as hash-password makes them. Needs --tls-cert."`
	DevCredentials bool   `xor:"users" help:"Let in only the user admin with the password changeit: for tests and laptops. Needs --tls-cert."`
	MaxAppend      int    `name:"max-append" default:"1048576" placeholder:"BYTES" help:"Refuse appends whose events have more bytes (${default}; 16777216 at most, which is what clients take)."`

	MaxSubscriptions           int `name:"max-subscriptions" default:"1024" placeholder:"N" help:"Refuse further catch-up subscriptions when so many are open (${default})."`
	MaxConnectionSubscriptions int `name:"max-connection-subscriptions" default:"256" placeholder:"N" help:"Likewise, for those of one connection (${default})."`

	NoIDCache bool `name:"no-id-cache" help:"Recognise no retry by its event ids unless it names a revision: for tests of callers that must not lean on it."`
}

// Run serves until the command should end or the disk fails.
func (c *serve) Run(s *surroundings) error {
	config, err := c.config()
	if err != nil {
		return usageError{err}
	}
	config.Logger = slog.New(slog.NewJSONHandler(s.stderr, nil))
	if c.DevCredentials {
		config.Logger.Warn("anybody can be admin: the password of --dev-credentials is no secret", "user", users.DevName)
	}
	return serveUntil(s.ctx, config)
}

// config checks the flags and returns what they ask for.
func (c *serve) config() (eventstore.Config, error) {
	if err := checkAddr(c.Addr); err != nil {
		return eventstore.Config{}, fmt.Errorf("--addr: %w", err)
	}
	limits, err := c.limits()
	if err != nil {
		return eventstore.Config{}, err
	}
	config := eventstore.Config{Addr: c.Addr, Data: eventstore.Memory(), Limits: limits}
	if c.Data != "" {
		config.Data = eventstore.Folder(c.Data)
	}
	if c.NoIDCache {
		config.IDCache = eventstore.IDCacheOff
	}
	if c.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return eventstore.Config{}, fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		config.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	config.Users, err = c.users()
	return config, err
}

// users returns who may call, nil for everybody.
func (c *serve) users() (*users.Users, error) {
	var flag string
	var load func() (*users.Users, error)
	switch {
	case c.Users != "":
		flag, load = "--users", func() (*users.Users, error) { return users.Load(c.Users) }
	case c.DevCredentials:
		flag, load = "--dev-credentials", users.DevCredentials
	default:
		return nil, nil //nolint:nilnil // told above
	}
	if c.TLSCert == "" {
		return nil, fmt.Errorf("%s: %w; give --tls-cert and --tls-key too", flag, eventstore.ErrUsersNeedTLS)
	}
	known, err := load()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return known, nil
}

// limits are what the flags bound. Fewer subscriptions than one connection may
// have by default are a bound for each connection too.
func (c *serve) limits() (eventstore.Limits, error) {
	for flag, value := range map[string]int{
		"--max-append": c.MaxAppend, "--max-subscriptions": c.MaxSubscriptions, "--max-connection-subscriptions": c.MaxConnectionSubscriptions,
	} {
		if value < 1 {
			return eventstore.Limits{}, fmt.Errorf("%s: %d: it must be above 0", flag, value)
		}
	}
	limits := eventstore.Limits{
		AppendBytes:             c.MaxAppend,
		Subscriptions:           c.MaxSubscriptions,
		ConnectionSubscriptions: min(c.MaxConnectionSubscriptions, c.MaxSubscriptions),
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

// serveUntil runs the store until ctx ends or its disk fails.
func serveUntil(ctx context.Context, config eventstore.Config) error {
	server, err := eventstore.Start(config)
	if err != nil {
		return advise(err)
	}
	config.Logger.Info("event store started", "addr", server.Addr(), "tls", config.TLS != nil, "users", config.Users != nil)
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
