package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"

	"github.com/triangle-suite/triangle/services/control"
)

type shadowCommands struct {
	Start   shadowStart   `cmd:"" help:"Have a flow taken in at another cadence too, on a copy of its tables and without answering."`
	Show    shadowShow    `cmd:"" help:"Show a flow's shadow, and how the two compared."`
	Compare shadowCompare `cmd:"" help:"Compare a flow with its shadow at a marker that is set now."`
	Stop    shadowStop    `cmd:"" help:"End a flow's shadow and drop its copy."`
}

type shadowStart struct {
	Name    string `arg:"" help:"The flow's name."`
	Cadence string `required:"" placeholder:"CADENCE" help:"The shadow's: realtime, hourly, daily, weekly or a cron expression."`
	steering
}

type shadowShow struct {
	Name string `arg:"" help:"The flow's name."`
}

type shadowCompare struct {
	Name string `arg:"" help:"The flow's name."`
	By   string `placeholder:"WHO" help:"Who asks (you)."`
	Wait bool   `default:"true" negatable:"" help:"Wait until both have taken in the marker; fail unless they are equal then."`
}

type shadowStop struct {
	Name   string `arg:"" help:"The flow's name."`
	By     string `placeholder:"WHO" help:"Who asks (you)."`
	Reason string `placeholder:"TEXT" help:"Why; it stays in the flow's history."`
}

// errNotEqual has the command fail; what was found is printed before.
var errNotEqual = errors.New("the flow and its shadow are not shown to be equal")

// Run implements triangle flow shadow start.
func (c *shadowStart) Run(s *session) error {
	return s.commands.Flow.with(s, waitTimeout, func(ctx context.Context, steered *control.Flows) error {
		if _, err := steered.StartShadow(ctx, c.Name, c.Cadence, c.who(), c.Reason); err != nil {
			return err
		}
		shadow, err := steered.GetShadow(ctx, c.Name)
		if err == nil && c.Wait {
			asked := shadow
			if shadow, err = steered.WaitShadow(ctx, c.Name, control.Shadow.Started); err != nil {
				return late(ctx, err, asked.Flow, "has not started its shadow")
			}
		}
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s is asked for a shadow at %s", c.Name, shadow.Cadence)
		if shadow.Started() {
			line = fmt.Sprintf("%s has a shadow at %s", c.Name, shadow.Cadence)
		}
		return s.printShadowLine(shadow, line)
	})
}

// Run implements triangle flow shadow show.
func (c *shadowShow) Run(s *session) error {
	return s.commands.Flow.with(s, readTimeout, func(ctx context.Context, steered *control.Flows) error {
		shadow, err := steered.GetShadow(ctx, c.Name)
		if err != nil {
			return err
		}
		return s.printShadow(shadow)
	})
}

// Run implements triangle flow shadow compare.
func (c *shadowCompare) Run(s *session) error {
	return s.commands.Flow.with(s, waitTimeout, func(ctx context.Context, steered *control.Flows) error {
		marker, err := steered.CompareShadow(ctx, c.Name, whoAsks(c.By))
		if err != nil {
			return err
		}
		if !c.Wait {
			shadow, err := steered.GetShadow(ctx, c.Name)
			if err != nil {
				return err
			}
			return s.printShadowLine(shadow, c.Name+" is compared with its shadow when both have taken in the marker")
		}
		shadow, err := steered.WaitShadow(ctx, c.Name, func(s control.Shadow) bool { return s.At(marker) != nil })
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%s and its shadow have not both taken in the marker yet; it stands, and they are compared when they have (triangle flow run %s has the flow do so now)", c.Name, c.Name)
		}
		if err != nil {
			return err
		}
		return s.printCompared(shadow.At(marker))
	})
}

// Run implements triangle flow shadow stop.
func (c *shadowStop) Run(s *session) error {
	return s.commands.Flow.with(s, readTimeout, func(ctx context.Context, steered *control.Flows) error {
		shadow, err := steered.StopShadow(ctx, c.Name, whoAsks(c.By), c.Reason)
		if err != nil {
			return err
		}
		return s.printShadowLine(shadow, fmt.Sprintf("the shadow of %s at %s is ended", c.Name, shadow.Cadence))
	})
}

// shadowState is a shadow as --json shows it.
type shadowState struct {
	Flow        string            `json:"flow"`
	Shadow      string            `json:"shadow_id"`
	Cadence     string            `json:"cadence"`
	By          string            `json:"by"`
	Reason      string            `json:"reason,omitempty"`
	RequestedAt time.Time         `json:"requested_at"`
	StartedAt   *time.Time        `json:"started_at"` // null: it has not
	Waiting     []string          `json:"waiting,omitempty"`
	Compared    []json.RawMessage `json:"compared,omitempty"`
}

func toShadowState(shadow control.Shadow) (shadowState, error) {
	state := shadowState{
		Flow: shadow.Flow.Name, Shadow: shadow.ID, Cadence: shadow.Cadence, By: shadow.By, Reason: shadow.Reason,
		RequestedAt: shadow.RequestedAt, Waiting: shadow.Waiting,
	}
	if shadow.Started() {
		state.StartedAt = &shadow.StartedAt
	}
	for _, c := range shadow.Compared {
		raw, err := comparedJSON(c)
		if err != nil {
			return state, err
		}
		state.Compared = append(state.Compared, raw)
	}
	return state, nil
}

func comparedJSON(c *flowv1.ShadowCompared) (json.RawMessage, error) {
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(c)
}

func (s *session) printShadowLine(shadow control.Shadow, line string) error {
	if s.commands.JSON {
		return s.printShadowJSON(shadow)
	}
	_, err := fmt.Fprintln(s.Out, line)
	return err
}

func (s *session) printShadowJSON(shadow control.Shadow) error {
	state, err := toShadowState(shadow)
	if err != nil {
		return err
	}
	return printJSON(s.Out, state)
}

func (s *session) printShadow(shadow control.Shadow) error {
	if s.commands.JSON {
		return s.printShadowJSON(shadow)
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("flow", "%s", shadow.Flow.Name)
	row("shadow at", "%s", shadow.Cadence)
	row("asked for", "%s, by %s", shadow.RequestedAt.UTC().Format(time.RFC3339), oneLine(shadow.By))
	if shadow.Started() {
		row("began", "%s", shadow.StartedAt.UTC().Format(time.RFC3339))
	} else {
		row("began", "not yet")
	}
	for _, marker := range shadow.Waiting {
		row("waits for", "marker %s", marker)
	}
	for _, c := range shadow.Compared {
		row("compared", "%s", oneLine(control.Compared(c)))
		for _, d := range c.GetFirst() {
			row("", "%s", oneLine(control.Differing(d)))
		}
	}
	return w.Flush()
}

// printCompared prints a comparison, and fails unless it found both equal.
func (s *session) printCompared(c *flowv1.ShadowCompared) error {
	if s.commands.JSON {
		raw, err := comparedJSON(c)
		if err != nil {
			return err
		}
		if err := printJSON(s.Out, raw); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(s.Out, oneLine(control.Compared(c)))
		for _, d := range c.GetFirst() {
			fmt.Fprintln(s.Out, "  "+oneLine(control.Differing(d)))
		}
	}
	if c.GetOutcome() != flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL {
		return fmt.Errorf("%s: %w", c.GetFlow(), errNotEqual)
	}
	return nil
}
