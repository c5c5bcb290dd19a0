// Command planted plants bugs, one after the other, and wants make sim to find
// each of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"time"

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
	atOnce := flag.Int("seeds", 20, "how many seeds are run at a time")
	most := flag.Int("most", 400, "how many seeds are run before a bug counts as missed")
	flag.Parse()
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return 0, fmt.Errorf("-bugs: %w", err)
	}
	bugs, err := planted.Bugs()
	if err != nil {
		return 0, err
	}
	const line = "%-32s  %-5v  %5v  %5v  %s\n" // written one by one: each takes a while
	fmt.Fprintf(out, line, "BUG", "FOUND", "SEEDS", "TOOK", "WHAT GOES WRONG")
	hunted := 0
	for _, bug := range bugs {
		if !wanted.MatchString(bug.Name) {
			continue
		}
		h, err := bug.Find(ctx, *root, *atOnce, *most)
		if err != nil {
			return missed, err
		}
		hunted++
		found := "yes"
		if !h.Found {
			missed++
			found = "NO"
		}
		fmt.Fprintf(out, line, bug.Name, found, h.Seeds, h.Took.Round(time.Second), bug.About)
	}
	fmt.Fprintf(out, "bugs planted: %d, found: %d\n", hunted, hunted-missed)
	return missed, nil
}
