package planted

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// Hunt is what came of running the simulation over a bug.
type Hunt struct {
	// Found tells whether the simulation failed.
	Found bool
	// Seeds is how many seeds it took.
	Seeds int
	// Took is how long that was, the build included.
	Took time.Duration
	// Output is what the simulation said last.
	Output string
}

var (
	seed  = regexp.MustCompile(`--- FAIL: .*seed=(\d+)`)
	built = regexp.MustCompile(`\[(build|setup) failed\]`)
)

// Find runs make sim, as it is, over sources with the bug in them: for so many
// seeds at a time, until it fails or most seeds have passed.
func (b Bug) Find(ctx context.Context, root string, atOnce, most int) (h Hunt, err error) {
	folder, err := os.MkdirTemp("", "planted-")
	if err != nil {
		return h, fmt.Errorf("hunt for %s: %w", b.Name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	overlay, err := b.Plant(root, folder)
	if err != nil {
		return h, err
	}
	began := time.Now()
	for h.Seeds < most && !h.Found {
		start := h.Seeds + 1
		out, failed, err := simulate(ctx, root, overlay, start, min(atOnce, most-h.Seeds))
		if err != nil {
			return h, fmt.Errorf("hunt for %s: %w", b.Name, err)
		}
		h.Output, h.Found = out, failed
		h.Seeds = start - 1 + atOnce
		if failed {
			h.Seeds = firstSeed(out, h.Seeds)
		}
	}
	h.Took = time.Since(began)
	return h, nil
}

// simulate runs make sim. A build that fails is no bug that was found.
func simulate(ctx context.Context, root, overlay string, start, seeds int) (out string, failed bool, err error) {
	sim := exec.CommandContext(ctx, "make", "--no-print-directory", "sim", //nolint:gosec // numbers only
		"SEEDS="+strconv.Itoa(seeds), "SEED_START="+strconv.Itoa(start))
	sim.Dir = root
	sim.Env = append(os.Environ(), "GOFLAGS=-overlay="+overlay)
	said, err := sim.CombinedOutput()
	_, failed = errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return string(said), false, nil
	case ctx.Err() != nil:
		return "", false, ctx.Err()
	case !failed:
		return "", false, err
	case built.Match(said):
		return "", false, fmt.Errorf("it does not compile:\n%s", said)
	}
	return string(said), true, nil
}

// firstSeed is the least seed that a failed run names.
func firstSeed(out string, otherwise int) int {
	least := otherwise
	for _, found := range seed.FindAllStringSubmatch(out, -1) {
		if n, err := strconv.Atoi(found[1]); err == nil {
			least = min(least, n)
		}
	}
	return least
}
