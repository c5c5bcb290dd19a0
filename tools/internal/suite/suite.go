package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/triangle-suite/triangle/tools/internal/supervise"
)

// logLimit is how large a log may have grown before a new one is begun.
const logLimit = 16 << 20

// Config says how the suite is run.
type Config struct {
	Layout Layout
	// Database is the URL of a PostgreSQL database that holds the read models and
	// the key ring; empty: they are files in the layout.
	Database string
	// SMTP is the mail server that the channel's e-mail is handed to; empty: e-mails
	// are left in the layout's outbox.
	SMTP      string
	Addresses Addresses
	// Programs is the folder that holds the programs.
	Programs string
	// Triangle is the path of the command itself, which is the back office too.
	Triangle string
	// Environment is what the children inherit.
	Environment []string
	// StartTimeout bounds how long a child may take to get ready, or to get on with
	// it; 0: a minute.
	StartTimeout time.Duration
	// Say is told, in one line each, what a reader of the terminal should know.
	Say func(line string)
}

// Suite is Triangle, running on this machine.
type Suite struct {
	config Config
	group  *supervise.Group
	lock   *os.File

	mu        sync.Mutex
	processes map[string]int
}

// Start starts everything and waits until it is ready. The children live until
// Stop, or until the process ends.
func Start(ctx context.Context, config Config) (*Suite, error) {
	if err := config.checkPrograms(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(config.Layout.Logs(), 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	lock, err := lockFolder(config.Layout)
	if err != nil {
		return nil, err
	}
	if config.Say == nil {
		config.Say = func(string) {}
	}
	s := &Suite{config: config, lock: lock, processes: map[string]int{}}
	s.group = supervise.New(supervise.Options{StartTimeout: config.StartTimeout, Say: config.Say, Started: s.started})
	for _, stage := range config.stages() {
		if err := s.startStage(ctx, stage); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	if err := writeJSON(config.Layout.addresses(), config.Addresses); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Suite) startStage(ctx context.Context, stage []supervise.Spec) error {
	for _, spec := range stage {
		if err := rotate(spec.Log); err != nil {
			return err
		}
	}
	return s.group.Start(ctx, stage...)
}

// Stop stops the services, then the store, and returns when all have ended.
func (s *Suite) Stop() error {
	s.group.Stop()
	err := errors.Join(remove(s.config.Layout.addresses()), remove(s.config.Layout.processes()))
	return errors.Join(err, s.lock.Close())
}

// started keeps the list of processes, for whoever wants to look at one or kill
// one.
func (s *Suite) started(name string, pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes[name] = pid
	if err := writeJSON(s.config.Layout.processes(), s.processes); err != nil {
		s.config.Say(fmt.Sprintf("the list of processes can't be written: %v", err))
	}
}

// stages tells what is started, stage by stage: the services lean on the store.
func (c Config) stages() [][]supervise.Spec {
	a := c.Addresses
	return [][]supervise.Spec{
		{c.store(), c.backOffice()},
		{c.service("channel", a.Channel), c.service("sales", a.Sales), c.service("marketing", a.Marketing)},
	}
}

func (c Config) store() supervise.Spec {
	return supervise.Spec{
		Name: "event-store", Path: c.program("event-store"),
		Args:    []string{"--addr", c.Addresses.EventStore, "--data", c.Layout.Store()},
		Env:     c.Environment,
		Log:     c.Layout.Log("event-store"),
		Listens: []string{c.Addresses.EventStore},
		Ready:   "http://" + c.Addresses.EventStore + "/health/live",
	}
}

func (c Config) backOffice() supervise.Spec {
	return supervise.Spec{
		Name: "backoffice", Path: c.Triangle,
		Args:    []string{"backoffice", "--addr", c.Addresses.BackOffice, "--journal", c.Layout.Journal()},
		Env:     c.Environment,
		Log:     c.Layout.Log("backoffice"),
		Listens: []string{c.Addresses.BackOffice},
		Ready:   "http://" + c.Addresses.BackOffice + "/healthz",
	}
}

func (c Config) service(name string, at Listening) supervise.Spec {
	return supervise.Spec{
		Name: name, Path: c.program(name + "-support"),
		Env: append(withoutOurs(c.Environment),
			"TRIANGLE_EVENTSTORE="+c.Addresses.ConnectionString(),
			"TRIANGLE_DATABASE="+cmp.Or(c.Database, c.Layout.Database(name)),
			"TRIANGLE_KEYS="+cmp.Or(c.Database, c.Layout.Keys()),
			"TRIANGLE_HTTP_ADDR="+at.HTTP,
			"TRIANGLE_GRPC_ADDR="+at.GRPC,
			"TRIANGLE_BACKOFFICE=http://"+c.Addresses.BackOffice,
			"TRIANGLE_PRINT_FOLDER="+c.Layout.Letters(),
			c.mail(),
		),
		Log:     c.Layout.Log(name),
		Listens: []string{at.HTTP, at.GRPC},
		Ready:   "http://" + at.HTTP + "/readyz",
	}
}

// mail is where the channel's e-mail goes.
func (c Config) mail() string {
	if c.SMTP != "" {
		return "TRIANGLE_SMTP=" + c.SMTP
	}
	return "TRIANGLE_MAIL_FOLDER=" + c.Layout.Outbox()
}

// withoutOurs leaves out the variables that each service is given a value of its
// own for; the rest is passed on, such as TRIANGLE_LOG_LEVEL and OTEL_*.
func withoutOurs(environment []string) []string {
	ours := []string{
		"TRIANGLE_EVENTSTORE=", "TRIANGLE_DATABASE=", "TRIANGLE_KEYS=",
		"TRIANGLE_HTTP_ADDR=", "TRIANGLE_GRPC_ADDR=", "TRIANGLE_BACKOFFICE=",
		"TRIANGLE_SMTP=", "TRIANGLE_MAIL_FOLDER=", "TRIANGLE_PRINT_FOLDER=",
	}
	var rest []string
next:
	for _, variable := range environment {
		for _, prefix := range ours {
			if strings.HasPrefix(variable, prefix) {
				continue next
			}
		}
		rest = append(rest, variable)
	}
	return rest
}

func (c Config) program(name string) string { return filepath.Join(c.Programs, name) }

// checkPrograms tells early, and all at once, what has not been built.
func (c Config) checkPrograms() error {
	var missing []string
	for _, name := range []string{"event-store", "channel-support", "sales-support", "marketing-support"} {
		if _, err := os.Stat(c.program(name)); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s: not found in %s: build them with make build, or say where they are with --bin", strings.Join(missing, ", "), c.Programs)
	}
	return nil
}

// rotate begins a new log when the old one has grown large.
func rotate(log string) error {
	info, err := os.Stat(log)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && info.Size() < logLimit) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Rename(log, log+".1")
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
