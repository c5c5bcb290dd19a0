package projection_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/projection"
)

func TestHooksBreakATransactionWhereTheyStand(t *testing.T) {
	broken := errors.New("broken")
	fail := func(context.Context) error { return broken }
	for name, tc := range map[string]struct {
		hooks     projection.Hooks
		ran, rows int
		ended     bool
	}{
		"before it begins":       {projection.Hooks{Begin: fail}, 0, 0, false},
		"before it is committed": {projection.Hooks{Commit: fail}, 1, 0, true},
		"after it was committed": {projection.Hooks{Committed: fail}, 1, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := projection.Open(t.Context(), filepath.Join(t.TempDir(), "db"), "")
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			}()
			if err := db.Create(t.Context(), projection.Schema{Name: "t", Version: 1, Tables: []string{`CREATE TABLE t (x BIGINT)`}}); err != nil {
				t.Fatal(err)
			}
			ended := false
			tc.hooks.Ended = func(context.Context) { ended = true }
			db.Hook(tc.hooks)
			ran := 0
			err = db.Update(t.Context(), func(tx *projection.Tx) error {
				ran++
				_, err := tx.Exec(t.Context(), `INSERT INTO t (x) VALUES (1)`)
				return err
			})
			if !errors.Is(err, broken) || ran != tc.ran || ended != tc.ended {
				t.Errorf("got error %v, ran %d times, ended %t; want %v, %d, %t", err, ran, ended, broken, tc.ran, tc.ended)
			}
			var rows int
			if err := db.QueryRow(t.Context(), `SELECT count(*) FROM t`).Scan(&rows); err != nil || rows != tc.rows {
				t.Errorf("got %d rows (%v), want %d", rows, err, tc.rows)
			}
		})
	}
}
