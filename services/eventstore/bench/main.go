// Command bench measures Triangle's event store and flows beside their peers and
// prints their ratios, each with the goal that we set it. Of the store:
//
//	process   appends in process: a raw log, pebble, JetStream, watermill-sql
//	client    appends through EventStoreDB's client: a stub that stores nothing, JetStream
//	catchup   reading $all from the start: the stub, watermill-sql
//	stalled   subscribers beside one that does not read: the same without it
//	restart   opening after a kill -9: after an orderly end, and other sizes
//
// Of the flows:
//
//	scan      a bare loop that reads and decodes: the stub
//	window    a weekly window into a read model: the stub
//	rebuild   a read model of another version: the bare loop
//	cutover   the wait for an order at a cut-over to real time: a durable append
//	blocked   consumers beside one whose database is blocked: the same without it
//	growth    what an event costs in a read model of many keys: of few
//
// Of contacts:
//
//	contact   from its start to the next best actions: a call that waits for a sync
//	tracing   what tracing costs of it: the same without
//
// Whoever answers a write has it on the disk, or the table says otherwise. A
// goal that is missed is said and is no failure: the status is 0. It is 1 when
// a measurement fails, and 2 on a wrong flag.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/machine"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/peer"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
)

const (
	statusFailed = 1
	statusUsage  = 2
)

// watch is for how long the machine is looked at before anything starts.
const watch = time.Second

type flags struct {
	Measures []string      `arg:"" optional:"" placeholder:"MEASURE" help:"What to measure: ${measures}; store, flows or contacts for all of one kind. All when none is named."`
	Rounds   int           `default:"16" help:"Rounds that each contender runs in, after one to warm up (${default}); 1 is a single look, without."`
	Slice    time.Duration `default:"400ms" help:"How long a contender runs in each round (${default})."`
	Stored   int           `default:"50000" help:"Events to catch up with (${default})."`
	Events   int           `default:"200000" help:"Events in a window and in a scan (${default})."`
	More     int           `default:"20000" help:"Events that a growing read model takes in each round (${default})."`
	Keys     []int         `default:"10000,1000000" help:"Customers in the read models that grow, ascending (${default})."`
	Sizes    []int         `default:"100000,1000000" help:"Events in the stores that are restarted, ascending (${default})."`
	Dir      string        `type:"existingdir" placeholder:"DIR" help:"Folder on the disk to measure on; the system's folder for temporary files by default."`
	JSON     string        `name:"json" placeholder:"FILE" help:"Write all figures to this file too."`
}

func main() {
	if role := os.Getenv(childRole); role != "" {
		if err := beAChild(role, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(statusFailed)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the command and returns its exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var f flags
	done := false
	parser := kong.Must(&f, kong.Name("bench"), kong.Description("Measures Triangle's event store and flows beside their peers."),
		kong.Writers(stdout, stderr), kong.Exit(func(int) { done = true }), kong.Vars{"measures": strings.Join(measureNames(), ", ")})
	_, err := parser.Parse(args)
	if done { // --help was answered
		return 0
	}
	if err == nil {
		err = f.check()
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return statusUsage
	}
	if err := f.measure(ctx, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return statusFailed
	}
	return 0
}

// check completes the flags, and tells what is wrong with them.
func (f *flags) check() error {
	if f.Rounds < 1 || f.Slice <= 0 || f.Stored < 2 || f.Events < 2 || f.More < 1 {
		return errors.New("--rounds, --slice, --stored, --events and --more: name at least 1 round, a slice above 0, 2 events, and 1 more")
	}
	if err := errors.Join(checkNumbers("--sizes", "events", f.Sizes), checkNumbers("--keys", "customers", f.Keys)); err != nil {
		return err
	}
	if f.Dir == "" {
		f.Dir = os.TempDir()
	}
	if len(f.Measures) == 0 {
		f.Measures = measureNames()
	}
	for _, name := range f.Measures {
		if len(measuresNamed(name)) == 0 {
			return fmt.Errorf("there is no measure %q: name some of %s, or store, flows or contacts", name, strings.Join(measureNames(), ", "))
		}
	}
	return machine.CheckDurable(f.Dir)
}

func checkNumbers(flag, of string, numbers []int) error {
	if len(numbers) == 0 {
		return fmt.Errorf("%s: name one number of %s at least", flag, of)
	}
	for _, n := range numbers {
		if n < 1 {
			return fmt.Errorf("%s: %d is no number of %s: name numbers above 0", flag, n, of)
		}
	}
	return nil
}

// report is what --json writes.
type report struct {
	Machine  machine.Description `json:"machine"`
	Versions []string            `json:"versions"`
	Rounds   int                 `json:"rounds"`
	Slice    string              `json:"slice"`
	Results  []sidebyside.Result `json:"results"`
}

func (f *flags) measure(ctx context.Context, stdout, stderr io.Writer) error {
	about, err := machine.Describe(ctx, f.Dir, watch)
	if err != nil {
		return err
	}
	all := report{Machine: about, Versions: versions(), Rounds: f.Rounds, Slice: f.Slice.String()}
	fmt.Fprintf(stdout, "%s, %s, %d processors, %.0f%% idle before the start; %s on %s\n%s\n%d rounds of %v each, in changing order; events of %d bytes\n",
		about.Go, about.System, about.CPUs, 100*about.IdleBefore, about.Dir, about.FileSystem,
		strings.Join(all.Versions, ", "), f.Rounds, f.Slice, len(peer.Payload))
	dir, err := os.MkdirTemp(f.Dir, "triangle-bench-")
	if err != nil {
		return err
	}
	b := &bench{flags: *f, dir: dir, postgres: peer.FindPostgres(ctx), stderr: stderr}
	b.onClose(func() error { return os.RemoveAll(dir) })
	// PostgreSQL may run as another user, who must reach its own folder.
	err = os.Chmod(dir, 0o711)
	if err == nil {
		all.Results, err = b.all(ctx, stdout)
	}
	if err := errors.Join(err, b.close(0)); err != nil {
		return err
	}
	return f.writeJSON(all)
}

func (f *flags) writeJSON(all report) error {
	if f.JSON == "" {
		return nil
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	if err := os.WriteFile(filepath.Clean(f.JSON), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	return nil
}

// versions tells which versions of the peers and the client are measured.
func versions() (named []string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, module := range info.Deps {
		switch module.Path {
		case "github.com/cockroachdb/pebble/v2", "github.com/nats-io/nats-server/v2", "github.com/ThreeDotsLabs/watermill-sql/v4",
			"github.com/EventStore/EventStore-Client-Go/v4", "google.golang.org/grpc":
			_, name, _ := strings.Cut(module.Path, "/")
			named = append(named, name+" "+module.Version)
		}
	}
	return named
}
