package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/worker"
)

// start runs rounds until the test ends.
func start(t *testing.T, round func(context.Context) (time.Time, error)) (*worker.Worker, *projection.DB) {
	t.Helper()
	db, err := projection.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := &worker.Worker{Name: "work", Logger: slog.New(slog.DiscardHandler), Work: worker.Rounds(db, round)}
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, db.Close()); err != nil {
			t.Error(err)
		}
	})
	return w, db
}

func await(t *testing.T, db *projection.DB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ok, err := db.Await(ctx, func(context.Context, projection.Querier) (bool, error) { return holds(), nil })
	if err != nil || !ok {
		t.Fatalf("waited in vain: %s (%v)", what, err)
	}
}

func TestACommitWakesTheWorker(t *testing.T) {
	var rounds atomic.Int32
	_, db := start(t, func(context.Context) (time.Time, error) { rounds.Add(1); return time.Time{}, nil })
	await(t, db, "the first round", func() bool { return rounds.Load() == 1 })
	if err := db.Update(t.Context(), func(*projection.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	await(t, db, "a round after the commit", func() bool { return rounds.Load() == 2 })
}

// A hundred commits in a row, each of which would have woken it, are one round's
// work or two's, and none is missed.
func TestCommitsInARowAreLookedAtTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var commits, seen, rounds atomic.Int32
		_, db := start(t, func(context.Context) (time.Time, error) {
			rounds.Add(1)
			seen.Store(commits.Load())
			return time.Time{}, nil
		})
		synctest.Wait()
		for range 100 {
			if err := db.Update(t.Context(), func(*projection.Tx) error { commits.Add(1); return nil }); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		await(t, db, "a round that sees all", func() bool { return seen.Load() == 100 })
		if n := rounds.Load(); n > 3 {
			t.Errorf("%d rounds for commits of one moment", n)
		}
	})
}

func TestATimeThatComesWakesTheWorker(t *testing.T) {
	var rounds atomic.Int32
	_, db := start(t, func(context.Context) (time.Time, error) {
		if rounds.Add(1) == 3 {
			return time.Time{}, nil
		}
		return time.Now().Add(time.Millisecond), nil
	})
	await(t, db, "three rounds", func() bool { return rounds.Load() == 3 })
}

func TestAFailureShowsInReadinessUntilARoundWorks(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	trouble := errors.New("the partner is away")
	w, db := start(t, func(context.Context) (time.Time, error) {
		if broken.Load() {
			return time.Time{}, trouble
		}
		return time.Time{}, nil
	})
	await(t, db, "readiness shows the failure", func() bool { return errors.Is(w.Ready(t.Context()), trouble) })
	broken.Store(false)
	await(t, db, "readiness is back", func() bool { return w.Ready(t.Context()) == nil })
}

func TestARoundMayFailInPartAndSayWhenToGoOn(t *testing.T) {
	var rounds atomic.Int32
	trouble := errors.New("one of them is refused")
	w, db := start(t, func(context.Context) (time.Time, error) {
		if rounds.Add(1) < 20 {
			return time.Now().Add(time.Millisecond), trouble
		}
		return time.Now().Add(time.Hour), trouble
	})
	began := time.Now()
	await(t, db, "twenty rounds", func() bool { return rounds.Load() == 20 })
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("twenty rounds took %s: each was backed off from", took)
	}
	await(t, db, "readiness shows the failure", func() bool { return errors.Is(w.Ready(t.Context()), trouble) })
}
