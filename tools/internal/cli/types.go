package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/triangle-suite/triangle/services/control"
)

type typesCommands struct {
	storeAt

	List     typesList     `cmd:"" help:"List the event types that are written only once they are active: whether they are, and who can't read them yet."`
	Activate typesActivate `cmd:"" help:"Have an event type written from now on, when every replica that runs reads it; there is no way back to a build that does not."`
}

type typesList struct{}

type typesActivate struct {
	Type   string `arg:"" help:"The type's schema, as triangle types list shows it."`
	By     string `placeholder:"WHO" help:"Who asks (you)."`
	Reason string `placeholder:"TEXT" help:"Why; it stays with the activation."`
}

// Run implements triangle types list.
func (typesList) Run(s *session) error {
	return s.commands.Types.with(s, readTimeout, func(ctx context.Context, steered *control.Flows) error {
		all, err := steered.Types(ctx)
		if err != nil {
			return err
		}
		return s.printTypes(all)
	})
}

// Run implements triangle types activate.
func (c *typesActivate) Run(s *session) error {
	return s.commands.Types.with(s, waitTimeout, func(ctx context.Context, steered *control.Flows) error {
		t, err := steered.Activate(ctx, c.Type, whoAsks(c.By), c.Reason)
		if err != nil {
			return err
		}
		if s.commands.JSON {
			return printJSON(s.Out, toTypeState(t))
		}
		_, err = fmt.Fprintf(s.Out, "%s is active: it is written from now on\n", t.Schema)
		return err
	})
}

// typeState is an event type as --json shows it.
type typeState struct {
	Schema    string     `json:"schema"`
	Active    bool       `json:"active"`
	Activated *time.Time `json:"activated_at"`
	Flows     []string   `json:"flows"`
	Missing   []string   `json:"missing"`
}

func toTypeState(t control.Type) typeState {
	state := typeState{Schema: t.Schema, Active: t.Activation != nil, Flows: append([]string{}, t.Flows...), Missing: append([]string{}, t.Missing...)}
	if state.Active {
		state.Activated = &t.Activated
	}
	return state
}

func (s *session) printTypes(all []control.Type) error {
	if s.commands.JSON {
		states := make([]typeState, 0, len(all))
		for _, t := range all {
			states = append(states, toTypeState(t))
		}
		return printJSON(s.Out, map[string]any{"types": states})
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(s.Out, "every event type is written as the services are built: none waits to be activated")
		return err
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TYPE\tWRITTEN\tFLOWS\tCAN'T READ IT")
	for _, t := range all {
		written := "not yet"
		if t.Activation != nil {
			written = "since " + t.Activated.UTC().Format("2006-01-02 15:04:05Z07:00")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Schema, written, dash(strings.Join(t.Flows, ", ")), dash(strings.Join(t.Missing, "\n\t\t\t")))
	}
	return w.Flush()
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
