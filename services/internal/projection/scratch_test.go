package projection_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/postgres"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// scratch opens a scratch database and makes tables in it.
func scratch(t *testing.T, db *projection.DB) *projection.DB {
	t.Helper()
	s, err := db.Scratch(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), counters); err != nil {
		t.Fatal(err)
	}
	return s
}

func sweep(t *testing.T, db *projection.DB, want int) {
	t.Helper()
	removed, err := db.Sweep(t.Context(), "test")
	if err != nil || removed != want {
		t.Errorf("%d were swept away, want %d (%v)", removed, want, err)
	}
}

func TestEachScratchIsOnesOwnAndLeavesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		replicas := []*projection.DB{open(t, where)}
		if postgres.IsURL(where) { // a file is one process's
			replicas = append(replicas, open(t, where))
		}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				s, err := replicas[i%len(replicas)].Scratch(t.Context(), "test")
				if err != nil {
					t.Error(err)
					return
				}
				// The same row in each: they would be in each other's way.
				err = errors.Join(s.Create(t.Context(), counters), add(t.Context(), s, "the same"), s.Drop(t.Context()))
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		sweep(t, replicas[0], 0)
	})
}

// A process ends with its scratch open: the next one sweeps it away, with what it held,
// and nothing else.
func TestWhatAProcessLeftBehindIsSweptAway(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
		if err := db.Create(t.Context(), counters); err != nil {
			t.Fatal(err)
		}
		other, err := db.Beside(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Create(t.Context(), counters); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			left := scratch(t, db)
			if err := errors.Join(add(t.Context(), left, "left"), left.Close()); err != nil { // it is closed, and not dropped
				t.Fatal(err)
			}
		}
		sweep(t, db, 2)
		sweep(t, db, 0)
		if err := errors.Join(add(t.Context(), db, "mine"), add(t.Context(), other, "another's"), other.Drop(t.Context())); err != nil {
			t.Errorf("what is no scratch is gone: %v", err)
		}
		if postgres.IsURL(where) {
			return
		}
		entries, err := os.ReadDir(filepath.Dir(where))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := e.Name(); name != "service.db" && name != "service.db-wal" && name != "service.db-shm" {
				t.Errorf("%s is still there", name)
			}
		}
	})
}

// Another replica that starts meanwhile leaves alone what is in use, until it is not.
func TestWhatAReplicaHasOpenIsNotSweptAway(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		if !postgres.IsURL(where) {
			t.Skip("a file is one process's")
		}
		one, two := open(t, where), open(t, where)
		used := scratch(t, one)
		sweep(t, two, 0)
		if err := add(t.Context(), used, "still there"); err != nil {
			t.Error(err)
		}
		if err := used.Close(); err != nil {
			t.Fatal(err)
		}
		sweep(t, two, 1)
	})
}
