// Command planted plants bugs and wants the simulations of make sim to find each
// of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triangle-suite/triangle/tools/internal/planted"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	missed, err := run(ctx, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "planted:", err)
		os.Exit(2)
	}
	if missed > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) (missed int, err error) {
	root := flag.String("root", ".", "the repository")
	only := flag.String("bugs", "", "an expression: the names of the bugs to plant")
	most := flag.Int("most", 400, "how many seeds of each simulation are run before a bug counts as missed")
	atOnce := flag.Int("at-once", runtime.NumCPU(), "how many bugs are hunted at a time")
	flag.Parse()
	if *most < 1 {
		return 0, fmt.Errorf("-most: %d seeds find nothing: say at least 1", *most)
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return 0, fmt.Errorf("-bugs: %w", err)
	}
	bugs, err := planted.Bugs()
	if err != nil {
		return 0, err
	}
	bugs = slices.DeleteFunc(bugs, func(b planted.Bug) bool { return !wanted.MatchString(b.Name) })
	if len(bugs) == 0 {
		return 0, fmt.Errorf("-bugs: no bug has a name like %q", *only)
	}
	hunter := planted.Hunter{Root: *root, Most: *most, Processors: runtime.NumCPU() / max(1, *atOnce)}
	return hunt(ctx, out, hunter, bugs, *atOnce), nil
}

// outcome is a hunt, or why there was none.
type outcome struct {
	planted.Hunt
	err error
}

// hunt hunts some bugs at a time, and tells of each when those before it are told.
func hunt(ctx context.Context, out io.Writer, hunter planted.Hunter, bugs []planted.Bug, atOnce int) (missed int) {
	outcomes := make([]chan outcome, len(bugs))
	for i := range bugs {
		outcomes[i] = make(chan outcome, 1)
	}
	var hunts errgroup.Group
	hunts.SetLimit(max(1, atOnce))
	go func() {
		for i, bug := range bugs {
			hunts.Go(func() error {
				found, err := hunter.Find(ctx, bug)
				outcomes[i] <- outcome{found, err}
				return nil
			})
		}
	}()
	const line = "%-34s  %-8s  %5v  %6v  %.120s\n"
	fmt.Fprintf(out, line, "BUG", "FOUND BY", "SEEDS", "TOOK", "FIRST DIVERGENCE")
	for i, bug := range bugs {
		o := <-outcomes[i]
		switch {
		case o.err != nil:
			missed++
			o.FoundBy, o.Divergence = "-", o.err.Error()
		case o.FoundBy == "":
			missed++
			o.FoundBy, o.Divergence = "NONE", "not found, although: "+bug.About
		}
		fmt.Fprintf(out, line, bug.Name, o.FoundBy, o.Seeds, o.Took.Round(time.Second), strings.Join(strings.Fields(o.Divergence), " "))
	}
	fmt.Fprintf(out, "planted: %d, found: %d\n", len(bugs), len(bugs)-missed)
	return missed
}
