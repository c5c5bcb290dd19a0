package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/triangle-suite/triangle/services/control"

	"github.com/triangle-suite/triangle/services/client"
	"github.com/triangle-suite/triangle/tools/internal/scenario"
	"github.com/triangle-suite/triangle/tools/internal/suite"
)

const (
	playTimeout  = 15 * time.Minute
	startTimeout = time.Minute
)

// place says where and how the suite is run.
type place struct {
	Bin      string `placeholder:"DIR" help:"The folder with the programs of store and services (where triangle itself is)."`
	Database string `placeholder:"URL" help:"Keep read models and key ring in a PostgreSQL database, postgres://user:password@host/database, instead of files in the data folder."`
	SMTP     string `name:"smtp" placeholder:"HOST:PORT" help:"Hand the channel's e-mail to a mail server, host:port or smtp://user:password@host:port, instead of leaving it as files in the data folder's outbox."`

	Ports string `default:"default" enum:"default,auto" help:"default: the documented ports; auto: ports that are free, written to addresses.json in the data folder."`
}

type upCommand struct {
	place
	NoScenario bool `help:"Do not play the scenario."`
	NoSample   bool `help:"Do not import the sample, nor play the steps that rest on it."`
}

type demoCommand struct{ place }

// Run implements triangle up.
func (c *upCommand) Run(s *session) error {
	return c.with(s, func(running *show) error {
		result, err := running.perform(!c.NoScenario, !c.NoSample)
		if err != nil {
			return errors.Join(err, running.tellFailed(result, err))
		}
		if err := running.serving(result); err != nil {
			return err
		}
		<-s.ctx.Done()
		return nil
	})
}

// Run implements triangle demo.
func (c *demoCommand) Run(s *session) error {
	return c.with(s, func(running *show) error {
		result, err := running.perform(true, true)
		if err == nil && s.commands.JSON {
			return printJSON(s.Out, result)
		}
		return errors.Join(err, running.tellFailed(result, err))
	})
}

// show is the suite, running, and the command that runs it.
type show struct {
	*session
	suite.Addresses
	services *client.Services
	flows    *control.Flows
}

// with runs the suite for as long as do takes.
func (p place) with(s *session, do func(*show) error) (err error) {
	config, err := p.config(s)
	if err != nil {
		return err
	}
	ctx, cancel := s.within(playTimeout)
	defer cancel()
	running, err := suite.Start(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, running.Stop()) }()
	if !s.commands.JSON {
		fmt.Fprintf(s.Out, "Store, services and back office run; what they keep is in %s, their logs in %s.\n", config.Layout.Dir(), config.Layout.Logs())
	}
	a := config.Addresses
	services, err := client.Dial(a.Channel.GRPC, a.Sales.GRPC, a.Marketing.GRPC)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, services.Close()) }()
	flows, err := control.Connect(a.ConnectionString())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, flows.Close()) }()
	return do(&show{session: s, Addresses: a, services: services, flows: flows})
}

// errNoURL quotes nothing: what was written may hold a password.
var errNoURL = errors.New("--database is no URL of a PostgreSQL database: write postgres://user:password@host:5432/database, or leave it out for files in the data folder")

func (p place) config(s *session) (suite.Config, error) {
	program, err := self()
	if err != nil {
		return suite.Config{}, err
	}
	if p.Database != "" && !strings.HasPrefix(p.Database, "postgres://") && !strings.HasPrefix(p.Database, "postgresql://") {
		return suite.Config{}, errNoURL
	}
	if p.Bin == "" {
		if p.Bin, err = beside(); err != nil {
			return suite.Config{}, err
		}
	}
	addresses := suite.DefaultAddresses()
	if p.Ports == "auto" {
		if addresses, err = suite.FreeAddresses(s.ctx); err != nil {
			return suite.Config{}, err
		}
	}
	return suite.Config{
		Layout: s.layout(), Database: p.Database, SMTP: p.SMTP, Addresses: addresses, Programs: p.Bin, Triangle: program, Environment: os.Environ(),
		StartTimeout: startTimeout,
		Say:          func(line string) { fmt.Fprintf(s.Err, "triangle: %s\n", line) },
	}, nil
}

// perform plays the scenario, or imports the sample alone.
func (r *show) perform(play, sample bool) (scenario.Result, error) {
	ctx, cancel := r.within(playTimeout)
	defer cancel()
	config := scenario.Config{
		Services: r.services, Flows: r.flows, Layout: r.layout(), Store: r.ConnectionString(),
		Sample: sample, Tell: r.tell, Progress: r.progress,
	}
	if !play {
		return scenario.Result{OK: true, Steps: []scenario.Step{}}, r.importAlone(ctx, config)
	}
	var err error
	if config.Run, err = scenario.NextRun(r.layout()); err != nil {
		return scenario.Result{}, err
	}
	return scenario.Play(ctx, config)
}

func (r *show) importAlone(ctx context.Context, config scenario.Config) error {
	if !config.Sample {
		return nil
	}
	persons, orders, err := scenario.ImportSample(ctx, config)
	if err == nil && !r.commands.JSON {
		fmt.Fprintf(r.Out, "The sample is imported: %d customers, %d orders.\n", persons.Imported, orders.Imported)
	}
	return err
}

// tellFailed prints the play that ended with a step that failed, for programs; a
// reader has seen it.
func (r *show) tellFailed(result scenario.Result, err error) error {
	if !r.commands.JSON || !errors.As(err, new(*scenario.Failed)) {
		return nil
	}
	return printJSON(r.Out, result)
}

// serving tells how the play went and where everything listens.
func (r *show) serving(result scenario.Result) error {
	if r.commands.JSON {
		return printJSON(r.Out, struct {
			scenario.Result
			Addresses suite.Addresses `json:"addresses"`
		}{result, r.Addresses})
	}
	fmt.Fprintf(r.Out, "\nServing until Ctrl-C:\n")
	for _, service := range []struct {
		name string
		at   suite.Listening
	}{{"channel", r.Channel}, {"sales", r.Sales}, {"marketing", r.Marketing}} {
		fmt.Fprintf(r.Out, "  %-10s http://%s/openapi.json, gRPC at %s\n", service.name, service.at.HTTP, service.at.GRPC)
	}
	fmt.Fprintf(r.Out, "  %-10s %s\n", "store", r.ConnectionString())
	fmt.Fprintf(r.Out, "  %-10s triangle flow list --data %s\n", "flows", r.layout().Dir())
	return nil
}
