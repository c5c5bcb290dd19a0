package faults_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/operator/apitest"
)

var full = flag.Bool("faults.full", false, "strike at every point, instead of at a few that the seed chooses")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	defer func() {
		if err := os.RemoveAll(the.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	return apitest.Run(m)
}

// the programs, built when a test first runs them.
var the struct {
	once sync.Once
	dir  string
	err  error
}

func program(t *testing.T, name string) string {
	t.Helper()
	the.once.Do(func() {
		if the.dir, the.err = os.MkdirTemp("", "triangle-programs-"); the.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", the.dir+string(filepath.Separator),
			"../../../services/channel/cmd/channel-support", "../../../services/sales/cmd/sales-support", "../../../services/marketing/cmd/marketing-support", "../../cmd/triangle-operator")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			the.err = fmt.Errorf("build the programs: %w\n%s", err, out)
		}
	})
	if the.err != nil {
		t.Fatal(the.err)
	}
	return filepath.Join(the.dir, name)
}

// chosen is one of all, as the seed of the day, or TRIANGLE_SEED_START, says; all of
// them with -faults.full. Who fails prints the seed. The salt keeps choices of one
// seed apart.
func chosen[T any](t *testing.T, salt uint64, all []T) []T {
	t.Helper()
	if *full {
		return all
	}
	seed := uint64(time.Now().Unix() / 86400)
	if text := os.Getenv("TRIANGLE_SEED_START"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("TRIANGLE_SEED_START: %v", err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the points were chosen by TRIANGLE_SEED_START=%d", seed)
		}
	})
	return []T{all[rand.New(rand.NewPCG(seed, salt)).IntN(len(all))]}
}
