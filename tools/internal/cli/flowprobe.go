package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/triangle-suite/triangle/services/control"
)

type flowProbe struct {
	Names []string `arg:"" optional:"" name:"flow" help:"The flows' names (all)."`
	By    string   `placeholder:"WHO" help:"Who asks (you)."`
}

// probed is what became of a probe in a flow, as --json shows it.
type probed struct {
	Flow    string `json:"flow"`
	Cadence string `json:"cadence"`
	OK      bool   `json:"ok"`
	Detail  string `json:"detail"`
}

// Run implements triangle flow probe.
func (c *flowProbe) Run(s *session) error {
	return s.commands.Flow.with(s, waitTimeout, func(ctx context.Context, steered *control.Flows) error {
		probe, err := steered.SendProbe(ctx, whoAsks(c.By), c.Names...)
		if err != nil {
			return err
		}
		seen, err := steered.WaitProbed(ctx, probe)
		if err != nil {
			return err
		}
		all := make([]probed, 0, len(seen))
		for _, one := range seen {
			all = append(all, probed{one.Flow.Name, one.Cadence, one.IsWell(), probing(one)})
		}
		if err := s.printProbed(all); err != nil {
			return err
		}
		return unwell(all)
	})
}

// probing tells how a flow stands to a probe, and what to do where it does not do
// well.
func probing(p control.Probed) string {
	switch p.Probing {
	case control.Passed:
		return "took the probe in"
	case control.InTime:
		return fmt.Sprintf("%d wait for the next window, in time", p.Progress.GetLag())
	case control.Stopped:
		return "is paused: it takes nothing in"
	case control.Stale:
		return fmt.Sprintf("is staler than its objective allows: see triangle flow show %s", p.Flow.Name)
	case control.Silent:
		return fmt.Sprintf("%s support does not tell of it: see that it runs", p.Flow.To)
	default:
		return fmt.Sprintf("has not come to the probe: see triangle flow show %s, and triangle flow parked list", p.Flow.Name)
	}
}

func (s *session) printProbed(all []probed) error {
	if s.commands.JSON {
		return printJSON(s.Out, map[string]any{"flows": all})
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	for _, one := range all {
		mark := "ok"
		if !one.OK {
			mark = "FAILED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", one.Flow, one.Cadence, mark, one.Detail)
	}
	return w.Flush()
}

// unwell is the error of a probe that not all flows are well with.
func unwell(all []probed) error {
	var names []string
	for _, one := range all {
		if !one.OK {
			names = append(names, one.Flow)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &notDone{fmt.Sprintf("%d of %d flows are not well: %s", len(names), len(all), strings.Join(names, ", "))}
}
