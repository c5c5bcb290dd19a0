package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/channel"
	"github.com/triangle-suite/triangle/services/eventstore"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/machine"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/serve"
	"github.com/triangle-suite/triangle/services/marketing"
)

// childRole is the variable by which a process of this program is told to be a
// part of a suite: its store, or a service, which takes its settings from the
// environment as always.
const childRole = "TRIANGLE_BENCH_ROLE"

const (
	roleStore     = "eventstore"
	roleChannel   = "channel"
	roleMarketing = "marketing"
)

// endsWithin is how long a part may take to end.
const endsWithin = 10 * time.Second

// suite is a store, channel support and marketing support, each a process of its
// own, as they are installed. What sales support has told is in the store.
type suite struct {
	*history
	channel   channelv1.ChannelServiceClient
	marketing marketingv1.MarketingServiceClient
	metrics   map[string]string // by role, where its metrics are
	visits    atomic.Int64      // so many contacts were started
}

// startSuite starts a suite on which nothing has happened to so many customers.
func (b *bench) startSuite(ctx context.Context, customers int) (*suite, error) {
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
			ctx, role, "TRIANGLE_EVENTSTORE=esdb://"+store.GRPC+"?tls=false", "TRIANGLE_DATABASE="+filepath.Join(dir, role+".db"),
			"TRIANGLE_KEYS="+filepath.Join(dir, "keys.db"), "TRIANGLE_HTTP_ADDR=127.0.0.1:0", "TRIANGLE_GRPC_ADDR=127.0.0.1:0", "TRIANGLE_LOG_LEVEL=error",
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
	program, err := os.Executable()
	if err != nil {
		return at, err
	}
	child := exec.CommandContext(ctx, program)
	child.Env = append(append(os.Environ(), childRole+"="+role), env...)
	child.SysProcAttr, child.Stderr, child.WaitDelay = machine.Child(), b.stderr, endsWithin
	stdin, err := child.StdinPipe()
	if err != nil {
		return at, err
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		return at, err
	}
	if err := child.Start(); err != nil {
		return at, fmt.Errorf("start %s: %w", role, err)
	}
	b.onClose(func() error {
		err := errors.Join(stdin.Close(), child.Wait())
		if err != nil {
			return fmt.Errorf("end %s: %w", role, err)
		}
		return nil
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		return at, fmt.Errorf("%s does not say where it serves: %w", role, err)
	}
	return at, nil
}

// beAPart is what a part of a suite does: it serves, says on stdout where, and
// ends in order when stdin does.
func beAPart(role string, stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, stdin) // an error is an end, too
	}()
	said := make(chan error, 1)
	say := func(at serve.Addresses) { said <- json.NewEncoder(stdout).Encode(at) }
	var err error
	switch role {
	case roleStore:
		err = serveStore(ctx, os.Getenv("TRIANGLE_DATA"), say)
	case roleChannel:
		var settings channel.Settings
		err = serveService(ctx, config.Channel, &settings, say, func(ctx context.Context, parts host.Parts) (host.Application, error) {
			return channel.New(ctx, parts, settings)
		})
	case roleMarketing:
		err = serveService(ctx, config.Marketing, &marketing.Settings{}, say, marketing.New)
	default:
		return fmt.Errorf("%s=%q is no part of a suite", childRole, role)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", role, err)
	}
	return <-said
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
