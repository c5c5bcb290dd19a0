package conformance

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// clientModule is whose suite is run, in the version that the suite's services
// are built with.
const clientModule = "github.com/EventStore/EventStore-Client-Go/v4"

// suitePackage is where the suite is in its module, and replacedFile the one
// file of it that knows of containers.
const (
	suitePackage = "esdb"
	replacedFile = suitePackage + "/containers_test.go"
)

//go:embed testdata/containers_test.go
var replacement []byte

// suiteParts are what of the module is needed to run the suite.
var suiteParts = []string{"go.mod", "go.sum", suitePackage, "protos", "resources"}

// Module is a module in the module cache.
type Module struct {
	Path, Version, Dir string
}

// FindModule returns the client's module, which is downloaded when it is
// missing. The version is the one that the go command resolves from dir.
func FindModule(ctx context.Context, dir string) (Module, error) {
	var known, m Module
	if err := goJSON(ctx, dir, &known, "list", "-m", "-json", clientModule); err != nil {
		return m, err
	}
	err := goJSON(ctx, dir, &m, "mod", "download", "-json", known.Path+"@"+known.Version)
	return m, err
}

// goJSON runs the go command and decodes what it prints.
func goJSON(ctx context.Context, dir string, into any, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w%s", cmd, err, stderrOf(err))
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	return nil
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "\n" + string(exit.Stderr)
	}
	return ""
}

// prepare makes a copy of the module in dir, with our file in place of the one
// that starts containers.
func prepare(m Module, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, part := range suiteParts {
		if err := copyTree(filepath.Join(m.Dir, part), filepath.Join(dir, part)); err != nil {
			return fmt.Errorf("copy the suite: %w", err)
		}
	}
	file := filepath.Join(dir, filepath.FromSlash(replacedFile))
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("%s@%s has no %s to replace: %w", m.Path, m.Version, replacedFile, err)
	}
	return os.WriteFile(file, replacement, 0o600)
}

// copyTree copies a file or a folder. The module cache is read-only; the copy
// is not.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rest)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		content, err := os.ReadFile(path) //nolint:gosec // a file of the module
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o600)
	})
}

// compile compiles the copy in dir, which is a module of its own with the
// dependencies of its own go.mod. Vetting it would be about somebody else's
// code.
func compile(ctx context.Context, dir, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-vet=off", "-o", binary, "./"+suitePackage)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	return runQuietly(cmd)
}

// build builds the store of the repository that dir is in.
func build(ctx context.Context, dir, binary string, race bool) error {
	args := []string{"build", "-o", binary, "-race=" + strconv.FormatBool(race), "github.com/triangle-suite/triangle/services/eventstore/cmd/event-store"}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	if race { // which takes a C compiler
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	return runQuietly(cmd)
}

// runQuietly runs a command of which only a failure is of interest.
func runQuietly(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}
