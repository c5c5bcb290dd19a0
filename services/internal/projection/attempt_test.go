package projection_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/projection"
)

func TestAnAttemptThatFailsTakesBackItsOwnRowsOnly(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	if err := db.Create(t.Context(), counters); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := db.Update(t.Context(), func(tx *projection.Tx) error {
		attempt := func(name string, fault error) error {
			return tx.Attempt(t.Context(), func() error {
				if _, err := tx.Exec(t.Context(), `INSERT INTO counter VALUES (?, 1)`, name); err != nil {
					return err
				}
				return fault
			})
		}
		if err := attempt("a", nil); err != nil {
			t.Error(err)
		}
		if err := attempt("b", boom); !errors.Is(err, boom) {
			t.Errorf("the attempt fails with %v, want %v", err, boom)
		}
		if err := attempt("a", nil); err == nil {
			t.Error("a second row of one name was written")
		}
		return attempt("c", nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"a": 1, "b": 0, "c": 1} {
		if n := count(t, db, name); n != want {
			t.Errorf("%d rows of %s, want %d", n, name, want)
		}
	}
}

func TestAnAttemptThatCannotBeTakenBackIsNotTheChangesFault(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	if err := db.Create(t.Context(), counters); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	boom := errors.New("boom")
	err := db.Update(t.Context(), func(tx *projection.Tx) error {
		return tx.Attempt(ctx, func() error {
			cancel()
			return boom
		})
	})
	if err == nil || errors.Is(err, boom) {
		t.Errorf("the transaction ended with %v, want why the attempt could not be taken back", err)
	}
}
