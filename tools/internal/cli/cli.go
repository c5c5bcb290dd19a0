// Package cli is the command line of triangle.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/triangle-suite/triangle/tools/internal/scenario"
	"github.com/triangle-suite/triangle/tools/internal/suite"
	"github.com/triangle-suite/triangle/tools/internal/supervise"
)

// Exit statuses.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

// Streams is where a command reads and writes.
type Streams struct {
	Out, Err io.Writer
	// Looks tells whether a terminal looks at Err: only then is progress drawn.
	Looks bool
}

type commands struct {
	JSON    bool             `name:"json" help:"Print one JSON object instead of text."`
	Timeout time.Duration    `placeholder:"DURATION" help:"Give up after this long (up: until it serves). Default: 5s to read a flow, 30s to wait for one, 2m to audit one, 10m for a trace, 15m for up and demo, 5m for a support bundle, none for import, 15s to ask a cluster."`
	Data    string           `default:".triangle" placeholder:"DIR" help:"The folder that holds all data of the suite on this machine (${default})."`
	Version kong.VersionFlag `help:"Show the version, and exit."`

	Up         upCommand         `cmd:"" help:"Start everything on this machine, import the sample, play the scenario, then serve until Ctrl-C."`
	Demo       demoCommand       `cmd:"" help:"The same, but exit when the scenario has been played: with status 1 when a step failed."`
	Flow       flowCommands      `cmd:"" help:"Look at the information flows, and steer them."`
	Migrate    migrateCommands   `cmd:"" help:"Look at the migrations of flows, and steer them."`
	Types      typesCommands     `cmd:"" help:"Look at the event types that are new, and have them written."`
	Nba        nbaCommands       `cmd:"" help:"Look at decisions on next best actions: why they are as they are, and whether they come out the same again."`
	Trace      traceCommand      `cmd:"" help:"Tell the whole story of a contact, from the event store alone: who did what when, caused by what, how long each hop took, and what is still to come."`
	Probe      probeCommand      `cmd:"" help:"Tell whether an environment does what it is for: services ready, flows fresh."`
	Support    supportCommand    `cmd:"" name:"support-bundle" help:"Put together what somebody needs who helps from afar: nothing of customers, nobody's name."`
	Import     importCommands    `cmd:"" help:"Import files into CRM."`
	Backoffice backOfficeCommand `cmd:"" hidden:"" help:"Run the small back office that up starts beside the suite."`
}

// session is what every command is run with.
type session struct {
	Streams
	commands *commands
	ctx      context.Context //nolint:containedctx // kong calls Run without one
}

// layout is the data folder's.
func (s *session) layout() suite.Layout { return suite.In(s.commands.Data) }

// within returns the command's context, bounded by --timeout, or else by usual
// (0: not at all).
func (s *session) within(usual time.Duration) (context.Context, context.CancelFunc) {
	limit := usual
	if s.commands.Timeout > 0 {
		limit = s.commands.Timeout
	}
	if limit == 0 {
		return context.WithCancel(s.ctx)
	}
	return context.WithTimeout(s.ctx, limit)
}

// Run runs the command with these arguments and returns its exit status.
func Run(ctx context.Context, args []string, streams Streams) int {
	var c commands
	done := false
	parser, err := kong.New(&c, kong.Name("triangle"),
		kong.Description("Runs Triangle on this machine, steers its information flows, and imports files."),
		kong.Vars{"version": version()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(streams.Out, streams.Err), kong.Exit(func(int) { done = true }))
	if err != nil {
		return complain(streams, false, fmt.Errorf("the command line is ill-defined: %w", err), statusUsage)
	}
	parsed, err := parser.Parse(args)
	if done { // --help and --version have been answered
		return statusOK
	}
	if err != nil {
		return complain(streams, c.JSON, fmt.Errorf("%w (triangle --help tells more)", err), statusUsage)
	}
	if err := parsed.Run(&session{Streams: streams, commands: &c, ctx: ctx}); err != nil {
		return complain(streams, c.JSON, err, statusFailed)
	}
	return statusOK
}

// complain says err, in one line unless it quotes a log.
func complain(streams Streams, asJSON bool, err error, code int) int {
	text := err.Error()
	if !errors.Is(err, supervise.ErrEnded) {
		text = strings.Join(strings.Fields(text), " ")
	}
	fmt.Fprintf(streams.Err, "triangle: %s\n", text)
	var failed *scenario.Failed // has printed its own object, as has notDone
	var refused *notDone
	if asJSON && !errors.As(err, &failed) && !errors.As(err, &refused) {
		if err := printJSON(streams.Out, map[string]any{"ok": false, "error": text}); err != nil {
			return statusFailed
		}
	}
	return code
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return "triangle " + info.Main.Version
	}
	return "triangle"
}

// self is the path of the command itself, as it was called: what it is called may
// decide what it does.
func self() (string, error) {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", fmt.Errorf("find this command's own program: %w", err)
	}
	return path, nil
}

// beside is the folder that the command's program is in; where it is called
// through a link, the folder that the link leads to.
func beside() (string, error) {
	path, err := os.Executable()
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("find this command's own folder: %w", err)
	}
	return filepath.Dir(path), nil
}
