package projection_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/internal/projection"
)

var counters = projection.Schema{Name: "counter", Version: 1, Tables: []string{
	`CREATE TABLE counter (name TEXT PRIMARY KEY, n BIGINT NOT NULL)`,
}}

func open(t *testing.T, path string) *projection.DB {
	t.Helper()
	db, err := projection.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func add(ctx context.Context, db *projection.DB, name string) error {
	return db.Update(ctx, func(tx *projection.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO counter VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = counter.n + 1`, name)
		return err
	})
}

func count(t *testing.T, q projection.Querier, name string) (n int) {
	t.Helper()
	if err := q.QueryRow(t.Context(), `SELECT coalesce(sum(n), 0) FROM counter WHERE name = ?`, name).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestUpdatesAreAllOrNothing(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "a folder", "read models.db"))
	if err := db.Create(t.Context(), counters); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := db.Update(t.Context(), func(tx *projection.Tx) error {
		if _, err := tx.Exec(t.Context(), `INSERT INTO counter VALUES ('a', 1)`); err != nil {
			return err
		}
		if n := count(t, tx, "a"); n != 1 {
			t.Errorf("the transaction reads %d of its own rows, want 1", n)
		}
		if n := count(t, db, "a"); n != 0 {
			t.Errorf("a reader sees %d rows before the commit, want 0", n)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("Update returned %v, want %v", err, boom)
	}
	if n := count(t, db, "a"); n != 0 {
		t.Errorf("after a failed update there are %d rows, want 0", n)
	}
}

func TestManyWritersLoseNothing(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	if err := db.Create(t.Context(), counters); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				if err := add(t.Context(), db, "a"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, db, "a"); n != 200 {
		t.Errorf("counted %d, want 200", n)
	}
}

func TestAwaitIsWokenByACommit(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	if err := db.Create(t.Context(), counters); err != nil {
		t.Fatal(err)
	}
	looked := make(chan struct{}, 1000)
	done := make(chan bool)
	go func() {
		ok, err := db.Await(t.Context(), func(ctx context.Context, q projection.Querier) (bool, error) {
			var n int
			err := q.QueryRow(ctx, `SELECT count(*) FROM counter`).Scan(&n)
			looked <- struct{}{}
			return n > 0, err
		})
		if err != nil {
			t.Error(err)
		}
		done <- ok
	}()
	<-looked
	if err := add(t.Context(), db, "a"); err != nil {
		t.Fatal(err)
	}
	if !<-done {
		t.Error("Await gave up although the row came")
	}
}

func TestAwaitGivesUpWhenTimeIsUp(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	ok, err := db.Await(ctx, func(context.Context, projection.Querier) (bool, error) { return false, nil })
	if ok || err != nil {
		t.Errorf("Await = %v, %v; want false, nil", ok, err)
	}
}

func TestTablesOfAnotherVersionAreLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path)
	for range 2 { // creating twice changes nothing
		if err := db.Create(t.Context(), counters); err != nil {
			t.Fatal(err)
		}
	}
	if err := add(t.Context(), db, "a"); err != nil {
		t.Fatal(err)
	}
	newer := counters
	newer.Version = 2
	if err := db.Create(t.Context(), newer); !errors.Is(err, projection.ErrSchema) {
		t.Errorf("Create returned %v, want ErrSchema", err)
	}
	if n := count(t, db, "a"); n != 1 {
		t.Errorf("the old tables hold %d, want 1", n)
	}
}
