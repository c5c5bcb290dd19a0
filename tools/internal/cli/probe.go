package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/tools/internal/probe"
)

const probeTimeout = 2 * time.Minute

// probeCommand is what helm test runs.
type probeCommand struct {
	storeAt

	Channel   string `default:"http://127.0.0.1:8081" placeholder:"URL" help:"Channel support's REST port (${default})."`
	Sales     string `default:"http://127.0.0.1:8082" placeholder:"URL" help:"Sales support's (${default})."`
	Marketing string `default:"http://127.0.0.1:8083" placeholder:"URL" help:"Marketing support's (${default})."`
	Contact   bool   `help:"Have a contact begin and end as well, which stays on record."`
}

var errProbe = errors.New("the environment does not do what it is for")

// Run implements triangle probe. All is looked at beside each other until it is well,
// or time is up.
func (c *probeCommand) Run(s *session) error {
	ctx, cancel := s.within(probeTimeout)
	defer cancel()
	return c.with(s, probeTimeout, func(_ context.Context, steered *control.Flows) error {
		sent, err := steered.SendProbe(ctx, whoAsks(""))
		if err != nil {
			return err
		}
		checks := c.checks()
		results := make([]probe.Result, len(checks))
		var all sync.WaitGroup
		for i, check := range checks {
			all.Go(func() { results[i] = check.Until(ctx) })
		}
		seen, err := steered.WaitProbed(ctx, sent)
		all.Wait()
		if err != nil {
			return err
		}
		for _, one := range seen {
			results = append(results, flowResult(one))
		}
		return s.printProbe(results)
	})
}

// flowResult is what came of the probe of a flow.
func flowResult(one control.Probed) probe.Result {
	r := probe.Result{Name: one.Flow.Name, Found: one.Cadence + ", " + probing(one)}
	if !one.IsWell() {
		r.Err = errors.New(r.Found)
	}
	return r
}

func (c *probeCommand) checks() (all []probe.Check) {
	for _, service := range []struct{ name, url string }{{"channel", c.Channel}, {"sales", c.Sales}, {"marketing", c.Marketing}} {
		url := strings.TrimSuffix(service.url, "/")
		all = append(all, probe.Check{Name: service.name, Do: func(ctx context.Context) (string, error) { return probe.Ready(ctx, url) }})
	}
	if c.Contact {
		id := uuid.New()
		all = append(all, probe.Check{Name: "contact", Do: func(ctx context.Context) (string, error) {
			return probe.Contact(ctx, strings.TrimSuffix(c.Channel, "/"), id)
		}})
	}
	return all
}

func (s *session) printProbe(results []probe.Result) error {
	var failed []string
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	for _, r := range results {
		mark, found := "ok", r.Found
		if r.Err != nil {
			mark, found = "FAILED", r.Err.Error()
			failed = append(failed, r.Name)
		}
		if !s.commands.JSON {
			fmt.Fprintf(w, "%s\t%s\t%s\n", r.Name, mark, strings.Join(strings.Fields(found), " "))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return fmt.Errorf("%w: %s (%d of %d checks)", errProbe, strings.Join(failed, ", "), len(failed), len(results))
	}
	if s.commands.JSON {
		return printJSON(s.Out, map[string]any{"ok": true, "checks": len(results)})
	}
	return nil
}
