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
	"time"

	"github.com/triangle-suite/triangle/services/channel"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/machine"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/serve"
	"github.com/triangle-suite/triangle/services/marketing"
)

// childRole is the variable by which a process of this program is told to be a child,
// and what: who appends to a store and is killed, or a part of a suite, its store or a
// service, which takes its settings from the environment as always.
const childRole = "TRIANGLE_BENCH_ROLE"

const (
	roleAppender  = "appender"
	roleStore     = "eventstore"
	roleChannel   = "channel"
	roleMarketing = "marketing"
	roleBlocked   = "blocked" // a consumer beside which others are measured
)

// childData is the variable that holds the folder of a child's store.
const childData = "TRIANGLE_DATA"

// endsWithin is how long a child may take to end.
const endsWithin = 10 * time.Second

// child is a process of this program. It ends in order when its stdin does.
type child struct {
	*exec.Cmd
	role  string
	stdin io.Closer
}

// startChild starts a child, and returns what it says when it is under way: a line.
func startChild(ctx context.Context, role string, stderr io.Writer, env ...string) (c *child, said []byte, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	c = &child{Cmd: exec.CommandContext(ctx, program), role: role}
	c.Env = append(append(os.Environ(), childRole+"="+role), env...)
	c.SysProcAttr, c.Stderr, c.WaitDelay = machine.Child(), stderr, endsWithin
	if c.stdin, err = c.StdinPipe(); err != nil {
		return nil, nil, err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := c.Start(); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", role, err)
	}
	if said, err = bufio.NewReader(stdout).ReadBytes('\n'); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s does not say that it is under way: %w", role, err), c.end())
	}
	return c, said, nil
}

// end has the child end in order.
func (c *child) end() error {
	if err := errors.Join(c.stdin.Close(), c.Wait()); err != nil {
		return fmt.Errorf("end %s: %w", c.role, err)
	}
	return nil
}

// kill ends the child where it stands.
func (c *child) kill() error {
	err := errors.Join(c.Process.Kill(), c.stdin.Close())
	if ended := c.Wait(); c.ProcessState.ExitCode() != -1 { // not by a signal
		err = errors.Join(err, ended)
	}
	if err != nil {
		return fmt.Errorf("kill %s: %w", c.role, err)
	}
	return nil
}

// beAChild is what a child does: its part, until stdin ends.
func beAChild(role string, stdin io.Reader, stdout io.Writer) error {
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
	case roleAppender:
		return appendUntilKilled(ctx, os.Getenv(childData), stdout)
	case roleStore:
		err = serveStore(ctx, os.Getenv(childData), say)
	case roleChannel:
		var settings channel.Settings
		err = serveService(ctx, config.Channel, &settings, say, func(ctx context.Context, parts host.Parts) (host.Application, error) {
			return channel.New(ctx, parts, settings)
		})
	case roleMarketing:
		err = serveService(ctx, config.Marketing, &marketing.Settings{}, say, marketing.New)
	case roleBlocked:
		err = beBlocked(ctx, os.Getenv("TRIANGLE_EVENTSTORE"), os.Getenv("TRIANGLE_DATABASE"), say)
	default:
		return fmt.Errorf("%s=%q is no role", childRole, role)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", role, err)
	}
	return <-said
}
