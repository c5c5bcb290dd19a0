// Command conformance runs the test suite of EventStoreDB's own Go client
// against our event store, in the modes that the suite has.
//
// Its last line is for scripts: conformance: passed=N failed=N skipped=N
// left-out=N. It ends with status 0 when no case failed, 1 when one did or the
// suite could not be run, and 2 on a wrong flag.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/triangle-suite/triangle/tools/internal/conformance"
)

const (
	statusFailed = 1
	statusUsage  = 2
)

type flags struct {
	Store   string `xor:"store" placeholder:"FILE" help:"Run against this binary of event-store, instead of building one."`
	Race    bool   `xor:"store" help:"Build the store with the race detector."`
	Scratch string `placeholder:"DIR" help:"Put the suite's copy, databases and logs here, and leave them. A temporary folder otherwise."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	var f flags
	done := false
	parser := kong.Must(&f, kong.Name("conformance"), kong.Description("Runs the suite of EventStoreDB's Go client against our event store."),
		kong.Exit(func(int) { done = true }))
	_, err := parser.Parse(args)
	if done { // --help was answered
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance: error:", err)
		return statusUsage
	}
	if err := conformance.Run(ctx, conformance.Options{Store: f.Store, Race: f.Race, Scratch: f.Scratch}, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		return statusFailed
	}
	return 0
}
