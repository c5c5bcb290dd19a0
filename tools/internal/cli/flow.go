package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"

	"github.com/triangle-suite/triangle/services/control"
)

const (
	readTimeout = 5 * time.Second
	waitTimeout = 30 * time.Second
	lookPause   = 50 * time.Millisecond
)

// storeAt says where the event store is that a command works on.
type storeAt struct {
	EventStore string `name:"eventstore" env:"TRIANGLE_EVENTSTORE" placeholder:"URL" help:"The event store's connection string (that of the suite of --data, else esdb://127.0.0.1:2113?tls=false)."`
}

type flowCommands struct {
	storeAt

	List    flowList       `cmd:"" help:"List all flows: how they run and how far they are."`
	Show    flowShow       `cmd:"" help:"Show one flow: what it carries, why, and how it runs."`
	Set     flowSet        `cmd:"" help:"Have a flow go on at another cadence; nothing is lost, nothing is taken in twice."`
	Run     flowRun        `cmd:"" help:"Have a periodic flow take in what is there, now."`
	History flowHistory    `cmd:"" help:"Show what has been asked of a flow, and what it did."`
	Audit   flowAudit      `cmd:"" help:"Hold what a flow's consumer has taken in against the log; fails when it does not add up."`
	Probe   flowProbe      `cmd:"" help:"Send a probe through flows, which no handler sees; fails unless each takes events in, or is as fresh as it ought to be."`
	Parked  parkedCommands `cmd:"" help:"Look at events that could not be taken in; retry them, or skip them."`
	Shadow  shadowCommands `cmd:"" help:"See what another cadence would come to, before the flow goes on at it."`
}

type flowList struct{}

type flowShow struct {
	Name string `arg:"" help:"The flow's name."`
}

type flowHistory struct {
	Name string `arg:"" help:"The flow's name."`
}

// steering says who steers, why, and whether to wait for the effect.
type steering struct {
	By     string `placeholder:"WHO" help:"Who asks (you)."`
	Reason string `placeholder:"TEXT" help:"Why; it stays in the flow's history."`
	Wait   bool   `default:"true" negatable:"" help:"Wait until the flow's consumer has done it."`
}

type flowSet struct {
	Name    string `arg:"" help:"The flow's name."`
	Cadence string `required:"" placeholder:"CADENCE" help:"realtime, hourly, daily, weekly, paused, or a cron expression such as \"30 6 * * 1-5\" (in UTC, or with CRON_TZ=Europe/Amsterdam before it)."`
	Epoch   uint64 `placeholder:"N" help:"The epoch that is to begin: fails when somebody else was first. Without it, whatever comes next."`

	BreakGlass bool `help:"Set it although an InformationFlow manages the flow: its migration holds then, until somebody has it retried."`

	steering
}

type flowRun struct {
	Name string `arg:"" help:"The flow's name."`
	steering
}

func (c steering) who() string { return whoAsks(c.By) }

// whoAsks is the name given, or else that of the user.
func whoAsks(given string) string {
	for _, name := range []string{given, os.Getenv("USER"), os.Getenv("LOGNAME")} {
		if name != "" {
			return name
		}
	}
	return "triangle"
}

// connection is the store's connection string.
func (c *storeAt) connection(s *session) (string, error) {
	if c.EventStore != "" {
		return c.EventStore, nil
	}
	running, err := s.layout().Running()
	return running.ConnectionString(), err
}

// with connects to the store for as long as do takes.
func (c *storeAt) with(s *session, usual time.Duration, do func(context.Context, *control.Flows) error) (err error) {
	store, err := c.connection(s)
	if err != nil {
		return err
	}
	steered, err := control.Connect(store)
	if err != nil {
		return fmt.Errorf("--eventstore: %w", err)
	}
	defer func() { err = errors.Join(err, steered.Close()) }()
	if err := reach(s, steered); err != nil {
		return err
	}
	ctx, cancel := s.within(usual)
	defer cancel()
	return do(ctx, steered)
}

// reach tells a store that is not there from everything that can go wrong later.
func reach(s *session, steered *control.Flows) error {
	ctx, cancel := s.within(readTimeout)
	defer cancel()
	if _, err := steered.Get(ctx, flows.Catalogue[0].Name); err != nil {
		return &storeAway{err}
	}
	return nil
}

// storeAway says what to do; what the client went through is kept for errors.Is.
type storeAway struct{ err error }

// Error implements error.
func (s *storeAway) Error() string {
	if errors.Is(s.err, control.ErrDenied) {
		return "the event store does not let this user in: have --eventstore hold name and password, as in esdb://NAME:PASSWORD@127.0.0.1:2113"
	}
	return "the event store does not answer: start it with triangle up, or say where it is with --data or --eventstore"
}

// Unwrap returns what the client said.
func (s *storeAway) Unwrap() error { return s.err }

// Run implements triangle flow list.
func (flowList) Run(s *session) error {
	return s.commands.Flow.with(s, readTimeout, func(ctx context.Context, steered *control.Flows) error {
		states, err := steered.List(ctx)
		if err != nil {
			return err
		}
		all := make([]flowState, 0, len(states))
		for _, state := range states {
			f, err := toFlowState(ctx, steered, state)
			if err != nil {
				return err
			}
			all = append(all, f)
		}
		return s.printList(all)
	})
}

// Run implements triangle flow show.
func (c *flowShow) Run(s *session) error {
	return s.commands.Flow.with(s, readTimeout, func(ctx context.Context, steered *control.Flows) error {
		state, err := steered.Get(ctx, c.Name)
		if err != nil {
			return err
		}
		f, err := toFlowState(ctx, steered, state)
		if err != nil {
			return err
		}
		return s.printFlow(state.Flow, f)
	})
}

// Run implements triangle flow history.
func (c *flowHistory) Run(s *session) error {
	return s.commands.Flow.with(s, readTimeout, func(ctx context.Context, steered *control.Flows) error {
		entries, err := steered.History(ctx, c.Name)
		if err != nil {
			return err
		}
		return s.printHistory(entries)
	})
}

// Run implements triangle flow set.
func (c *flowSet) Run(s *session) error {
	return s.commands.Flow.with(s, waitTimeout, func(ctx context.Context, steered *control.Flows) error {
		state, err := c.ask(ctx, steered)
		if err != nil {
			return err
		}
		if c.Wait {
			asked := state
			if state, err = steered.WaitSettled(ctx, c.Name); err != nil {
				return late(ctx, err, asked.Flow, "has not adopted "+asked.Requested)
			}
		}
		return s.printSteered(state, setLine(state))
	})
}

func (c *flowSet) ask(ctx context.Context, steered *control.Flows) (control.State, error) {
	switch {
	case c.BreakGlass && c.Epoch > 0:
		return steered.BeginBreakingGlass(ctx, c.Name, c.Epoch, c.Cadence, c.who(), c.Reason)
	case c.BreakGlass:
		return steered.BreakGlass(ctx, c.Name, c.Cadence, c.who(), c.Reason)
	case c.Epoch > 0:
		return steered.Begin(ctx, c.Name, c.Epoch, c.Cadence, c.who(), c.Reason)
	}
	return steered.Set(ctx, c.Name, c.Cadence, c.who(), c.Reason)
}

// late tells that a consumer has not done in time what it was asked. The time may
// be up in the middle of a read, whose own words would only confuse, and a little
// before the context knows of it.
func late(ctx context.Context, err error, flow flows.Flow, what string) error {
	deadline, bounded := ctx.Deadline()
	if !bounded || errors.Is(ctx.Err(), context.Canceled) || time.Now().Before(deadline) {
		return err
	}
	return fmt.Errorf("%s %s yet; the request stands, and is followed as soon as %s support runs", flow.Name, what, flow.To)
}

func setLine(state control.State) string {
	if state.Settled() {
		return fmt.Sprintf("%s runs %s, in epoch %d", state.Flow.Name, state.Cadence, state.Epoch)
	}
	return fmt.Sprintf("%s is asked to run %s, in epoch %d; it runs %s still", state.Flow.Name, state.Requested, state.RequestedEpoch, state.Cadence)
}

// Run implements triangle flow run.
func (c *flowRun) Run(s *session) error {
	return s.commands.Flow.with(s, waitTimeout, func(ctx context.Context, steered *control.Flows) error {
		state, err := steered.RunWindow(ctx, c.Name, c.who(), c.Reason)
		if err != nil {
			return err
		}
		if !c.Wait {
			return s.printSteered(state, state.Flow.Name+" is asked for a window now")
		}
		closed, err := windowClosed(ctx, steered, c.Name)
		if err != nil {
			return late(ctx, err, state.Flow, "has not closed the window")
		}
		return s.printSteered(state, fmt.Sprintf("%s took in %d events in a window", c.Name, closed.GetCount()))
	})
}

// windowClosed waits until a window closes after the last one that was asked for.
func windowClosed(ctx context.Context, steered *control.Flows, name string) (*flowv1.WindowClosed, error) {
	for {
		entries, err := steered.History(ctx, name)
		if err != nil {
			return nil, err
		}
		if closed := lastAnswered(entries); closed != nil {
			return closed, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lookPause):
		}
	}
}

// lastAnswered returns the first window that closed after the last one was asked
// for; nil when none has.
func lastAnswered(entries []control.Entry) *flowv1.WindowClosed {
	var answer *flowv1.WindowClosed
	for _, e := range entries {
		switch m := e.Event.(type) {
		case *flowv1.WindowRequested:
			answer = nil
		case *flowv1.WindowClosed:
			if answer == nil {
				answer = m
			}
		}
	}
	return answer
}
