// Package flow takes in the events of a flow: exactly once into the tables, and
// with each cause answered once.
//
// There is one loop, Intake, for every flow and every cadence. Its gate is open
// for good (real time), up to a marker (a window, a drain), or closed:
//
//	          due, asked for, or cut over
//	closed ──────────────────────────────▶ open up to the marker
//	  ▲                                        │
//	  └──────── the marker is taken in ────────┘
//
// A marker is an event in the log, recognised by its id. What a marker means
// (a window closes, an epoch ends) happens in the transaction that takes it in,
// so it is a function of the log and never of when somebody looked.
package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// Consumer says what a service does with one flow.
type Consumer struct {
	// Flow is the flow's entry in the catalogue, or Own's.
	Flow flows.Flow
	// Schema is the tables that Project writes. They belong to this flow alone.
	Schema projection.Schema
	// Project writes one event into the tables. It reads and writes nothing else.
	Project func(ctx context.Context, tx *projection.Tx, e codec.Event) error
	// Reactions answer events by appending others.
	Reactions []Reaction
	// Answers tells in which order reactions answer.
	Answers AnswerOrder
}

// check tells what is missing in a consumer.
func (c Consumer) check() error {
	for _, r := range c.Reactions {
		switch {
		case r.Name == "" || r.Takes == nil || r.Answer == nil:
			return fmt.Errorf("flow %s: a reaction needs Name, Takes and Answer", c.Flow.Name)
		case r.Late.Do != RunLate && r.Decline == nil:
			return fmt.Errorf("flow %s: reaction %s turns late causes away, and needs Decline to record it", c.Flow.Name, r.Name)
		}
	}
	return nil
}

// AnswerOrder is the order in which reactions answer causes.
type AnswerOrder int

// The orders of answers.
const (
	// InOrder answers one cause after the other.
	InOrder AnswerOrder = iota
	// InOrderOfKeys answers causes of different keys side by side. It is faster,
	// and for reactions whose answers to different keys have nothing to do with
	// each other. A consumer with tables of its own answers in order all the same.
	InOrderOfKeys
)

// Own is the flow of a service's own events back to itself: always in real time,
// and not in the catalogue, as nobody else is concerned.
func Own(service flows.Service, types, key []string) flows.Flow {
	return flows.Flow{
		Name: "own-" + string(service), From: service, To: service,
		Types: types, Key: key, Cadence: flows.RealTime,
		Owner: string(service), Rationale: "A service's read models follow its own events.",
	}
}

// isOwn tells whether the flow stays within its service, and so has no control
// stream.
func isOwn(f flows.Flow) bool { return f.From == f.To }

// Reaction answers causes: it looks whether the cause has been answered, decides
// and appends. Package decider's Handle, with the cause as origin, is what keeps
// the first answer standing, and what records that there was nothing to do: of
// each cause that a reaction takes, it has to come to a Handle.
type Reaction struct {
	// Name names the reaction, for good: answers are found by it.
	Name string
	// Takes tells whether an event is a cause for this reaction. It is pure.
	Takes func(e codec.Event) bool
	// Late is what to do with a cause that comes late.
	Late LatePolicy
	// Answer decides and appends. Reads go through q, which sees the flow's
	// tables as of the cause.
	Answer func(ctx context.Context, q projection.Querier, cause Cause) error
	// Decline records that the cause gets no answer, and why. It is called for
	// causes that Late turns away, and must be there when Late can do so.
	Decline func(ctx context.Context, q projection.Querier, cause Cause, reason string) error
}

// Cause is an event that a reaction takes in.
type Cause struct {
	codec.Event
	// Origin is what answers derive from and are found by.
	Origin decider.Origin
}

// Lateness is what a reaction does with a late cause.
type Lateness int

// The ways to treat a late cause.
const (
	// RunLate answers it all the same.
	RunLate Lateness = iota
	// CollapseLate answers only the last of each key, and declines the others.
	CollapseLate
	// ExpireLate declines it.
	ExpireLate
)

// LatePolicy declares what a reaction does with late causes.
type LatePolicy struct {
	// Do is what to do.
	Do Lateness
	// After is how old a cause may be, by the store's time, before it is late.
	After time.Duration
}

// Unprocessable marks err as an event's own fault: taking it in will never work,
// and nothing else is to blame. Such an event is parked when it fails again.
// Every other error stops the flow until it goes away.
func Unprocessable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errUnprocessable, err)
}

var errUnprocessable error = unprocessableError{}

type unprocessableError struct{}

// Error implements error.
func (unprocessableError) Error() string { return "the event can't be taken in" }

// ErrorKind says what traces call it.
func (unprocessableError) ErrorKind() string { return tracing.Unprocessable }

// isOwnFault tells whether an event itself is to blame for err.
func isOwnFault(err error) bool {
	return errors.Is(err, errUnprocessable)
}
