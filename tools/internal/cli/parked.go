package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"

	"github.com/triangle-suite/triangle/services/control"
)

type parkedCommands struct {
	List  parkedList  `cmd:"" help:"List the events that a flow has parked, or that all flows have."`
	Show  parkedShow  `cmd:"" help:"Show one of them: why it is parked, what it says (nothing personal), and what waits behind it."`
	Retry parkedRetry `cmd:"" help:"Have a parked event taken in again, and after it those that wait behind it."`
	Skip  parkedSkip  `cmd:"" help:"Leave a parked event out for good, so that those that wait behind it go on."`
}

type parkedList struct {
	Flow string `arg:"" optional:"" help:"The flow's name (all flows)."`
}

type parkedShow struct {
	Flow  string `arg:"" help:"The flow's name."`
	Event string `arg:"" help:"The event's id."`
}

// asking says who asks, and whether to wait for the answer.
type asking struct {
	By   string `placeholder:"WHO" help:"Who asks (you)."`
	Wait bool   `default:"true" negatable:"" help:"Wait until the flow's consumer has answered."`
}

type parkedRetry struct {
	Flow   string `arg:"" help:"The flow's name."`
	Event  string `arg:"" optional:"" help:"The event's id."`
	All    bool   `help:"Retry all that the flow has parked."`
	Reason string `placeholder:"TEXT" help:"Why; it stays in the flow's history."`
	asking
}

type parkedSkip struct {
	Flow   string `arg:"" help:"The flow's name."`
	Event  string `arg:"" help:"The event's id."`
	Reason string `required:"" placeholder:"TEXT" help:"Why it is left out; it stays in the flow's history."`
	asking
}

// Validate implements kong's check of a command's arguments.
func (c *parkedRetry) Validate() error {
	if (c.Event == "") != c.All {
		return errors.New("say which event to retry, or --all of them")
	}
	return nil
}

// Run implements triangle flow parked list.
func (c *parkedList) Run(s *session) error {
	return s.commands.Flow.with(s, readTimeout, func(ctx context.Context, steered *control.Flows) error {
		all, err := steered.ListParked(ctx, c.Flow)
		if err != nil {
			return err
		}
		return s.printParked(all)
	})
}

// Run implements triangle flow parked show.
func (c *parkedShow) Run(s *session) error {
	return s.commands.Flow.with(s, readTimeout, func(ctx context.Context, steered *control.Flows) error {
		event, err := steered.ShowParked(ctx, c.Flow, c.Event)
		if err != nil {
			return err
		}
		return s.printParkedEvent(event)
	})
}

// Run implements triangle flow parked retry.
func (c *parkedRetry) Run(s *session) error {
	return s.commands.Flow.with(s, waitTimeout, func(ctx context.Context, steered *control.Flows) error {
		chosen := []string{c.Event}
		if c.All {
			all, err := steered.ListParked(ctx, c.Flow)
			if err != nil {
				return err
			}
			if chosen = chosen[:0]; len(all) == 0 {
				return s.printAnswers(c.Flow, nil, "nothing is parked")
			}
			for _, p := range all {
				chosen = append(chosen, p.GetEventId())
			}
		}
		return c.ask(ctx, s, steered, c.Flow, chosen, func(event string) (uuid.UUID, error) {
			return steered.Retry(ctx, c.Flow, event, whoAsks(c.By), c.Reason)
		})
	})
}

// Run implements triangle flow parked skip.
func (c *parkedSkip) Run(s *session) error {
	return s.commands.Flow.with(s, waitTimeout, func(ctx context.Context, steered *control.Flows) error {
		return c.ask(ctx, s, steered, c.Flow, []string{c.Event}, func(event string) (uuid.UUID, error) {
			return steered.Skip(ctx, c.Flow, event, whoAsks(c.By), c.Reason)
		})
	})
}

// ask asks for something about each event, and tells what came of it.
func (c asking) ask(
	ctx context.Context, s *session, steered *control.Flows, flow string, events []string, request func(event string) (uuid.UUID, error),
) error {
	requests := make([]uuid.UUID, 0, len(events))
	for _, event := range events {
		id, err := request(event)
		if err != nil {
			return err
		}
		requests = append(requests, id)
	}
	if !c.Wait {
		return s.printAnswers(flow, nil, fmt.Sprintf("asked for %s", countOf(len(requests), "event")))
	}
	answers := make([]*flowv1.ParkingAnswered, 0, len(requests))
	for _, id := range requests {
		answer, err := steered.WaitAnswered(ctx, flow, id)
		if err != nil {
			return late(ctx, err, consumed(flow), "has not answered")
		}
		answers = append(answers, answer)
	}
	return errors.Join(s.printAnswers(flow, answers, ""), refused(answers))
}

// consumed is a flow by its name, which is known to be one: of the catalogue, or
// of a service to itself.
func consumed(name string) flows.Flow {
	if f, ok := flows.Find(name); ok {
		return f
	}
	return flows.Flow{Name: name, To: flows.Service(name[len("own-"):])}
}

// notDone ends the command with a status that scripts see. With --json it has
// printed its own object.
type notDone struct{ text string }

// Error implements error.
func (n *notDone) Error() string { return n.text }

func isDone(a *flowv1.ParkingAnswered) bool {
	o := a.GetOutcome()
	return o == flowv1.ParkingOutcome_PARKING_OUTCOME_TAKEN_IN || o == flowv1.ParkingOutcome_PARKING_OUTCOME_SKIPPED
}

// refused tells the first request that could not be followed, and how many more
// there are.
func refused(answers []*flowv1.ParkingAnswered) error {
	var first *notDone
	more := 0
	for _, a := range answers {
		switch {
		case isDone(a):
		case first == nil:
			first = &notDone{control.Outcome(a)}
		default:
			more++
		}
	}
	if first == nil {
		return nil
	}
	if more > 0 {
		first.text += fmt.Sprintf(" (and %d more like it: see triangle flow parked list)", more)
	}
	return first
}

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
