package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/triangle-suite/triangle/services/eventstore"
	"github.com/triangle-suite/triangle/services/eventstore/internal/users"
)

// stopTimeout bounds how long a stop waits for calls under way.
const stopTimeout = 10 * time.Second

// serve is the command that serves a store.
type serve struct {
	Addr           string `default:"127.0.0.1:2113" placeholder:"HOST:PORT" help:"Where to listen, for gRPC and for GET /health/live (${default})."`
	Data           string `xor:"data" required:"" placeholder:"DIR" help:"Keep events in this folder, which is made when it is missing."`
	Memory         bool   `xor:"data" required:"" help:"Keep events in memory, until the store ends."`
	TLSCert        string `name:"tls-cert" and:"tls" placeholder:"FILE" help:"Certificate, with its chain, in PEM."`
	TLSKey         string `name:"tls-key" and:"tls" placeholder:"FILE" help:"The certificate's key, in PEM."`
	Users          string `xor:"users" placeholder:"FILE" help:"Let in only these users: a line name:hash each, with a bcrypt hash, as hash-password makes them. Needs --tls-cert."`
	DevCredentials bool   `xor:"users" help:"Let in only the user admin with the password changeit: for tests and laptops. Needs --tls-cert."`
	NoIDCache      bool   `name:"no-id-cache" help:"Recognise no retry by its event ids unless it names a revision: for tests of callers that must not lean on it."`
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
	config := eventstore.Config{Addr: c.Addr, Data: eventstore.Memory()}
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
	var err error
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

// serveUntil runs the store until ctx ends or its disk fails.
func serveUntil(ctx context.Context, config eventstore.Config) error {
	server, err := eventstore.Start(config)
	if err != nil {
		return err
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
