package planted

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"time"
)

// A simulation is one of those that make sim runs.
type simulation struct {
	name   string
	folder string // of its package, from the root of the repository
	test   string
}

// simulations are all of them, the quickest first.
var simulations = []simulation{
	{"flow", "services/internal/flow", "TestSimulation"},
	{"shadow", "services/internal/flow", "TestSimulationOfAShadow"},
	{"suite", "services/simulation", "TestSimulation"},
}

// Hunt is what came of running the simulations over a bug.
type Hunt struct {
	// FoundBy is the simulation that diverged; empty when none did.
	FoundBy string
	// Seeds is how many seeds that took: of the simulation that diverged, or of
	// each.
	Seeds int
	// Divergence is what it said first.
	Divergence string
	// Took is how long the hunt was, what was built included.
	Took time.Duration
}

// Hunter hunts bugs in the sources under Root.
type Hunter struct {
	Root string
	// Most is how many seeds of each simulation are run before a bug counts as
	// missed.
	Most int
	// Processors is how many of them a hunt may keep busy.
	Processors int
}

// Seeds are run some at a time, a few first: most bugs need no more. A range is
// run to its end in the suite's simulation, which plays several seeds at once.
const (
	fewSeeds  = 4
	manySeeds = 40
)

// Find builds the simulations of make sim, as they are, from sources with the bug
// in them, and runs them by turns, until one diverges or all seeds have passed.
func (h Hunter) Find(ctx context.Context, b Bug) (hunt Hunt, err error) {
	began := time.Now()
	defer func() { hunt.Took = time.Since(began) }()
	folder, err := os.MkdirTemp("", "planted-")
	if err != nil {
		return hunt, fmt.Errorf("hunt for %s: %w", b.Name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	overlay, err := b.Plant(h.Root, folder)
	if err != nil {
		return hunt, err
	}
	atOnce := fewSeeds
	for start := 1; start <= h.Most; start += atOnce {
		if start > 1 {
			atOnce = min(atOnce*fewSeeds, manySeeds)
		}
		for _, s := range simulations {
			found, err := h.run(ctx, s, overlay, start, min(atOnce, h.Most-start+1))
			if err != nil {
				return hunt, fmt.Errorf("hunt for %s: %w", b.Name, err)
			}
			if found != nil {
				return Hunt{FoundBy: s.name, Seeds: found.seed, Divergence: found.text}, nil
			}
		}
	}
	return Hunt{Seeds: h.Most}, nil
}

// run runs a simulation for some seeds, and returns the divergence of the least
// one, or nil. What the flow's simulations play on PostgreSQL beside is left out:
// it takes longer, and shows the same.
func (h Hunter) run(ctx context.Context, s simulation, overlay string, start, seeds int) (*divergence, error) {
	binary, err := h.build(ctx, s, overlay)
	if err != nil {
		return nil, err
	}
	run := exec.CommandContext(ctx, binary, "-test.run=^"+s.test+"$", "-test.short", "-test.failfast", "-test.v=true", //nolint:gosec // built above
		"-test.timeout="+(time.Minute+time.Duration(seeds)*perSeed).String())
	run.Dir = filepath.Join(h.Root, filepath.FromSlash(s.folder))
	run.Env = append(os.Environ(), "TRIANGLE_SEEDS="+strconv.Itoa(seeds), "TRIANGLE_SEED_START="+strconv.Itoa(start), h.processors())
	said, err := run.CombinedOutput()
	if err == nil {
		return nil, nil //nolint:nilnil // no divergence is the usual case
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		return nil, fmt.Errorf("run the simulation of the %s: %w", s.name, err)
	}
	found, ok := firstDivergence(said)
	if !ok {
		return nil, fmt.Errorf("the simulation of the %s failed, and names no seed:\n%s", s.name, said)
	}
	return &found, nil
}

// perSeed is many times what a seed takes: a bug may have a simulation come to no
// end.
const perSeed = time.Minute

// build builds a simulation, once, into the folder of the overlay. A build that
// fails is no bug that was found.
func (h Hunter) build(ctx context.Context, s simulation, overlay string) (binary string, err error) {
	binary = filepath.Join(filepath.Dir(overlay), path.Base(s.folder)+".test")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	build := exec.CommandContext(ctx, "go", "test", "-c", "-ldflags=-s -w", "-overlay="+overlay, "-o="+binary, "./"+s.folder) //nolint:gosec // no foreign input
	build.Dir = h.Root
	build.Env = append(os.Environ(), h.processors())
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the simulation of the %s: %w\n%s", s.name, err, bytes.TrimSpace(said))
	}
	return binary, nil
}

func (h Hunter) processors() string { return "GOMAXPROCS=" + strconv.Itoa(max(1, h.Processors)) }
