// Command event-store runs Triangle's embedded event store, and does by itself
// what needs no running one.
//
//	event-store --data DIR          serves; the same as event-store serve --data DIR
//	event-store hash-password NAME  makes a line of a file of users
//
// It ends with status 0 on SIGTERM and SIGINT, 1 when it could not do what it
// was asked to, and 2 on a wrong flag.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

const (
	statusFailed = 1
	statusUsage  = 2
)

// commands are what event-store can do. Each has a file of its own, with its
// flags and a Run method that gets a *surroundings.
type commands struct {
	Serve        serve        `cmd:"" default:"withargs" help:"Serve a store. This is what event-store does when no command is named."`
	Verify       verify       `cmd:"" help:"Look for damage in a store's data, and say where it is. Changes nothing."`
	Scavenge     scavenge     `cmd:"" help:"Remove for good the events that no reader of their stream sees any more: deleted, cut off, aged, too many."`
	Reindex      reindex      `cmd:"" help:"Let the next start make the index again from the events."`
	Export       export       `cmd:"" help:"Write all events of a store as lines of JSON."`
	Backup       backup       `cmd:"" help:"Keep all events of a running store in a file, or add to it those that have come since."`
	Import       importEvents `cmd:"" help:"Make a new store of exported events, which keep their positions, revisions and times."`
	HashPassword hashPassword `cmd:"" help:"Make a line for the file that --users names: reads a password from standard input and prints its hash."`
}

// surroundings are what a command runs in.
type surroundings struct {
	ctx            context.Context // ends when the command should
	stdin          io.Reader
	stdout, stderr io.Writer
}

// usageError is about what the command was given, not about what it did.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(&surroundings{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run runs the command that args name and returns its exit status.
func run(s *surroundings, args []string) int {
	done := false
	parser := kong.Must(&commands{}, kong.Name("event-store"), kong.Description("Triangle's embedded event store."),
		kong.Writers(s.stdout, s.stderr), kong.Exit(func(int) { done = true }))
	command, err := parser.Parse(args)
	if done { // --help was answered
		return 0
	}
	if err != nil {
		return complain(s.stderr, statusUsage, err)
	}
	err = command.Run(s)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return complain(s.stderr, statusUsage, err)
	default:
		return complain(s.stderr, statusFailed, err)
	}
}

// complain says err in one line: errors that were joined come in several.
func complain(stderr io.Writer, code int, err error) int {
	line := strings.ReplaceAll(err.Error(), "\n", "; ")
	_, _ = fmt.Fprintf(stderr, "event-store: error: %s\n", line) // there is nowhere else to say it
	return code
}
