package projection

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Scratch opens an empty database beside this one, under a name that nobody else has:
// several replicas may each have theirs at the same moment. Drop removes it. It is
// held for as long as it is open, so that Sweep leaves it alone.
func (db *DB) Scratch(ctx context.Context, kind string) (*DB, error) {
	return db.held(ctx, kind+"_"+strings.ToLower(rand.Text()))
}

// Sweep removes the scratch databases of a kind that processes left behind which ended
// before they had dropped them. Those that a replica still has stay.
func (db *DB) Sweep(ctx context.Context, kind string) (removed int, err error) {
	names, err := db.engine.named(ctx, kind+"_")
	if err != nil {
		return 0, fmt.Errorf("look for databases that were left behind: %w", err)
	}
	for _, name := range names {
		left, err := db.held(ctx, name)
		if errors.Is(err, errHeld) {
			continue
		}
		if err != nil {
			return removed, err
		}
		if err := left.Drop(ctx); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// errHeld says that a replica has a database open.
var errHeld = errors.New("a replica has it open")

// held is Beside, held before it is made: nobody sweeps it away in between.
func (db *DB) held(ctx context.Context, name string) (*DB, error) {
	release, err := db.engine.hold(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("hold a database beside this one: %w", err)
	}
	beside, err := db.Beside(ctx, name)
	if err != nil {
		return nil, errors.Join(err, release())
	}
	beside.release = release
	return beside, nil
}

// A database in a file is one process's: what it finds at its start is nobody's.
func (*sqlite) hold(context.Context, string) (func() error, error) {
	return func() error { return nil }, nil
}

func (e *sqlite) named(_ context.Context, prefix string) (names []string, err error) {
	entries, err := os.ReadDir(filepath.Dir(e.path))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name, beside := strings.CutPrefix(entry.Name(), filepath.Base(e.path)+"-")
		if beside && strings.HasPrefix(name, prefix) {
			names = append(names, strings.TrimSuffix(strings.TrimSuffix(name, "-wal"), "-shm"))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// hold takes a lock on a connection of its own, which ends with the process.
func (s *server) hold(ctx context.Context, name string) (func() error, error) {
	release, ok, err := s.Hold(ctx, "scratch/"+name)
	if err == nil && !ok {
		err = errHeld
	}
	return release, err
}

func (s *server) named(ctx context.Context, prefix string) ([]string, error) {
	return s.NamedBeside(ctx, prefix)
}
