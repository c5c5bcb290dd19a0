package projection_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/postgres"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

var counters = projection.Schema{Name: "counter", Version: 1, Tables: []string{
	`CREATE TABLE counter (name TEXT PRIMARY KEY, n BIGINT NOT NULL)`,
}}

func open(t *testing.T, where string) *projection.DB {
	t.Helper()
	db, err := projection.Open(t.Context(), where, "tested")
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
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
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
	})
}

// A path is taken as it is, whatever it means in a URL.
func TestAFileMayHaveAnyName(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"a folder/read models.db", "half#01/x.db", "what?/100%41.db"} {
		path := filepath.Join(folder, name)
		open(t, path)
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the database is not in the file that was named: %v", err)
		}
	}
}

func TestManyWritersLoseNothing(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
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
	})
}

func TestAwaitIsWokenByACommit(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
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
	})
}

// late is a context whose time is up, and whose timer has not fired yet.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Nanosecond), true }

// A connection that can't be made in time says so in its own words.
func TestAwaitGivesUpWhenTimeIsUpWhileItLooks(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "read.db"))
	ok, err := db.Await(late{t.Context()}, func(context.Context, projection.Querier) (bool, error) {
		return false, errors.New("dial error: i/o timeout")
	})
	if ok || err != nil {
		t.Errorf("Await = %v, %v; want false, nil", ok, err)
	}
}

func TestAwaitGivesUpWhenTimeIsUp(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		ok, err := db.Await(ctx, func(context.Context, projection.Querier) (bool, error) { return false, nil })
		if ok || err != nil {
			t.Errorf("Await = %v, %v; want false, nil", ok, err)
		}
	})
}

func TestTablesOfAnotherVersionAreLeftAlone(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
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
	})
}

func TestAWaiterIsWokenByACommitOnAnotherReplica(t *testing.T) {
	where := pgtest.Database(t)
	here, there := open(t, where), open(t, where)
	if err := here.Create(t.Context(), counters); err != nil {
		t.Fatal(err)
	}
	settle(t, there)
	changed := there.Changed()
	if err := add(t.Context(), here, "a"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Fatal("the commit woke nobody on the other replica")
	}
	if n := count(t, there, "a"); n != 1 {
		t.Errorf("the other replica counts %d, want 1", n)
	}
}

// settle waits until a replica hears the others: at first it is woken for fear
// that it has missed something.
func settle(t *testing.T, db *projection.DB) {
	t.Helper()
	select {
	case <-db.Changed():
	case <-time.After(time.Minute):
		t.Fatal("the replica does not listen")
	}
}

func TestWhatIsQuietWakesNobody(t *testing.T) {
	where := pgtest.Database(t)
	here, there := open(t, where), open(t, where)
	if err := here.Create(t.Context(), counters); err != nil {
		t.Fatal(err)
	}
	settle(t, there)
	changed := there.Changed()
	err := here.UpdateQuietly(t.Context(), func(tx *projection.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO counter VALUES ('quiet', 1)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// What is heard comes in the order of the commits.
	if err := add(t.Context(), here, "loud"); err != nil {
		t.Fatal(err)
	}
	<-changed
	if n := count(t, there, "loud"); n != 1 {
		t.Error("the replica was woken before the commit that was to wake it")
	}
}

func TestAListenerThatLostItsConnectionListensAgain(t *testing.T) {
	where := pgtest.Database(t)
	here, there := open(t, where), open(t, where)
	if err := here.Create(t.Context(), counters); err != nil {
		t.Fatal(err)
	}
	settle(t, there)
	pgtest.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`)
	ok, err := there.Await(t.Context(), func(ctx context.Context, q projection.Querier) (bool, error) {
		var listening bool
		err := q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database())`).Scan(&listening)
		return listening, err
	})
	if !ok || err != nil {
		t.Fatalf("the replica does not listen again: %v", err)
	}
	for range 5 { // the first may be woken for fear that something was missed
		changed := there.Changed()
		if err := add(t.Context(), here, "a"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Fatal("the commit woke nobody")
		}
	}
}

// Four replicas that start at once make the tables once.
func TestReplicasThatStartTogetherMakeTheTablesOnce(t *testing.T) {
	where := pgtest.Database(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := projection.Open(t.Context(), where, "tested")
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(db.Create(t.Context(), counters), add(t.Context(), db, "a"), db.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, open(t, where), "a"); n != 4 {
		t.Errorf("counted %d, want 4", n)
	}
}

func TestServicesShareADatabaseAndNotTheirTables(t *testing.T) {
	where := pgtest.Database(t)
	for _, schema := range []string{"sales", "marketing"} {
		db, err := projection.Open(t.Context(), where, schema)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Create(t.Context(), counters), add(t.Context(), db, "a")); err != nil {
			t.Fatal(err)
		}
		if n := count(t, db, "a"); n != 1 {
			t.Errorf("%s counts %d, want its own 1", schema, n)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// An order may decide what a visitor is offered: it is the same on each
// database, whatever language that one orders by.
func TestTextIsOrderedByteByByteAndHeldAsItIs(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
		if err := db.Create(t.Context(), counters); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"b", "A", "a", "B", "_", "é", "a?'b", "nul\x00"} {
			if err := add(t.Context(), db, name); err != nil {
				t.Fatal(err)
			}
		}
		rows, err := db.Query(t.Context(), `SELECT name FROM counter WHERE name <> '?' AND n > ? ORDER BY name`, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := projection.Collect(rows, func(row projection.Scanner, name *string) error { return row.Scan(name) })
		if want := []string{"A", "B", "_", "a", "a?'b", "b", "nul\uFFFD", "é"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("ordered %q (%v), want %q", got, err, want)
		}
	})
}

// A process that freezes in the middle of a transaction must not hold its locks
// for as long as it likes.
func TestAStalledTransactionIsTakenBack(t *testing.T) {
	where := pgtest.Database(t)
	frozen, other := open(t, where), open(t, where)
	if err := frozen.Create(t.Context(), counters); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err := frozen.Update(t.Context(), func(tx *projection.Tx) error {
		if _, err := tx.Exec(t.Context(), `INSERT INTO counter VALUES ('a', 100)`); err != nil {
			return err
		}
		return add(t.Context(), other, "a") // waits for the row
	})
	if err == nil {
		t.Error("the stalled transaction was committed")
	}
	if took := time.Since(began); took > 2*postgres.Stalled {
		t.Errorf("the other waited %s", took)
	}
	if n := count(t, other, "a"); n != 1 {
		t.Errorf("counted %d, want the other's 1", n)
	}
}
