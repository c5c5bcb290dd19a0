// Command triangle runs the suite on this machine, steers its information flows,
// and imports files.
//
// It ends with status 0 when it has done what it was asked, 1 when it has not,
// and 2 on a wrong flag.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/triangle-suite/triangle/tools/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the command at once, and its children with it
	streams := cli.Streams{Out: os.Stdout, Err: os.Stderr, Looks: term.IsTerminal(int(os.Stderr.Fd()))}
	code := cli.Run(ctx, os.Args[1:], streams)
	stop()
	os.Exit(code)
}
