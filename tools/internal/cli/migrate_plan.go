package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/triangle-suite/triangle/operator/forecast"
)

type migratePlan struct {
	File string    `short:"f" required:"" placeholder:"FILE" help:"The InformationFlow, as YAML or JSON; - reads it from the standard input."`
	Runs string    `placeholder:"CADENCE" help:"What the flow runs at when it begins (the catalogue's cadence)."`
	From time.Time `placeholder:"TIME" help:"When it begins, such as 2026-03-02T08:00:00Z (now)."`
}

// planned is the plan, as programs read it.
type planned struct {
	OK       bool        `json:"ok"`
	Object   string      `json:"object"`
	Flow     string      `json:"flow"`
	PlanHash string      `json:"planHash"`
	Steps    []plannedAt `json:"steps"`
}

type plannedAt struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	// Waits tells that no time can be told of it: what follows comes that much later.
	Waits bool `json:"waits"`
}

// Run implements triangle migrate plan.
func (c *migratePlan) Run(s *session) error {
	document, err := c.read()
	if err != nil {
		return err
	}
	from := c.From
	if from.IsZero() {
		from = time.Now()
	}
	made, err := forecast.Of(document, c.Runs, from)
	if errors.Is(err, forecast.ErrRefused) && !s.commands.JSON {
		for _, line := range strings.Split(err.Error(), "\n")[1:] { // the first one is said below
			fmt.Fprintln(s.Err, line)
		}
		return fmt.Errorf("%s: %w", c.File, forecast.ErrRefused)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return s.printForecast(made)
}

func (c *migratePlan) read() ([]byte, error) {
	if c.File == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(c.File)
}

func (s *session) printForecast(made forecast.Plan) error {
	if s.commands.JSON {
		out := planned{OK: true, Object: made.Object, Flow: made.Flow, PlanHash: made.Hash}
		for _, f := range made.Steps {
			out.Steps = append(out.Steps, plannedAt{At: f.At, What: f.What, Waits: f.Open})
		}
		return printJSON(s.Out, out)
	}
	fmt.Fprintf(s.Out, "InformationFlow %s, plan %s: what would happen, if every gate passed as soon as it can\n\n", made.Object, made.Hash)
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AT THE EARLIEST\tWHAT")
	waited := ""
	for _, f := range made.Steps {
		fmt.Fprintf(w, "%s%s\t%s\n", f.At.Format("Mon 2006-01-02 15:04"), waited, f.What)
		if f.Open {
			waited = " +"
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprint(s.Out, "\nTimes are in UTC")
	if waited != "" {
		fmt.Fprint(s.Out, "; those with + come later by as long as somebody's word takes")
	}
	fmt.Fprintln(s.Out, ".")
	return nil
}
