package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/eventstore"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/serve"
)

// suite is a store, channel support and marketing support, each a process of its
// own, as they are installed. What sales support has told is in the store.
type suite struct {
	*history
	channel   channelv1.ChannelServiceClient
	marketing marketingv1.MarketingServiceClient
	metrics   map[string]string // by role, where its metrics are
	visits    atomic.Int64      // so many contacts were started
}

// startSuite starts a suite on which nothing has happened to so many customers. env is
// for its services.
func (b *bench) startSuite(ctx context.Context, customers int, env ...string) (*suite, error) {
	dir, err := b.folder("suite")
	if err != nil {
		return nil, err
	}
	store, err := b.startPart(ctx, roleStore, "TRIANGLE_DATA="+dir)
	if err != nil {
		return nil, err
	}
	h, err := b.historyOn(store.GRPC, customers)
	if err != nil {
		return nil, err
	}
	s := &suite{history: h, metrics: map[string]string{}}
	for _, role := range []string{roleChannel, roleMarketing} {
		at, err := b.startPart(
			ctx, role, append(env, "TRIANGLE_EVENTSTORE=esdb://"+store.GRPC+"?tls=false", "TRIANGLE_DATABASE="+filepath.Join(dir, role+".db"),
				"TRIANGLE_KEYS="+filepath.Join(dir, "keys.db"), "TRIANGLE_HTTP_ADDR=127.0.0.1:0", "TRIANGLE_GRPC_ADDR=127.0.0.1:0", "TRIANGLE_LOG_LEVEL=error")...,
		)
		if err != nil {
			return nil, err
		}
		connection, err := b.dial(at.GRPC)
		if err != nil {
			return nil, err
		}
		s.metrics[role] = "http://" + at.HTTP + "/metrics"
		switch role {
		case roleChannel:
			s.channel = channelv1.NewChannelServiceClient(connection)
		case roleMarketing:
			s.marketing = marketingv1.NewMarketingServiceClient(connection)
		}
	}
	return s, nil
}

func (b *bench) dial(addr string) (*grpc.ClientConn, error) {
	connection, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	b.onClose(connection.Close)
	return connection, nil
}

// startPart starts a part of a suite, and returns where it serves.
func (b *bench) startPart(ctx context.Context, role string, env ...string) (at serve.Addresses, err error) {
	part, said, err := startChild(ctx, role, b.stderr, env...)
	if err != nil {
		return at, err
	}
	b.onClose(part.end)
	if err := json.Unmarshal(said, &at); err != nil {
		return at, fmt.Errorf("%s does not say where it serves: %w", role, err)
	}
	return at, nil
}

func serveStore(ctx context.Context, dir string, say func(serve.Addresses)) error {
	server, err := eventstore.Start(eventstore.Config{Addr: "127.0.0.1:0", Data: eventstore.Folder(dir)})
	if err != nil {
		return err
	}
	say(serve.Addresses{GRPC: server.Addr()})
	<-ctx.Done()
	return server.Kill() // nobody waits for anything any more
}

func serveService(ctx context.Context, service config.Service, settings host.Settings, say func(serve.Addresses), build host.Build) error {
	if _, err := config.Parse(service, nil, io.Discard, settings); err != nil {
		return err
	}
	return host.Run(ctx, service, settings, build, say)
}
