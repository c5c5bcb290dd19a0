package projection_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/projection"
)

const insertCounter = `INSERT INTO counter VALUES (?, ?)`

// More is written than is sent at once. What is read has all that was written
// before it, and nothing is out of order.
func TestWritesAreThereWhenSomethingIsRead(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
		if err := db.Create(t.Context(), counters); err != nil {
			t.Fatal(err)
		}
		const rows = 1203
		err := db.Update(t.Context(), func(tx *projection.Tx) error {
			for i := range rows {
				if err := tx.Write(t.Context(), insertCounter, fmt.Sprint(i), 1); err != nil {
					return err
				}
				if err := tx.Write(t.Context(), `UPDATE counter SET n = n + ? WHERE name = ?`, i, fmt.Sprint(i)); err != nil {
					return err
				}
				if want := i + 1; i%400 == 0 && count(t, tx, fmt.Sprint(i)) != want {
					t.Errorf("row %d is not what was written last", i)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var n, sum int
		if err := db.QueryRow(t.Context(), `SELECT count(*), sum(n) FROM counter`).Scan(&n, &sum); err != nil {
			t.Fatal(err)
		}
		if want := rows * (rows + 1) / 2; n != rows || sum != want {
			t.Errorf("%d rows add up to %d, want %d and %d", n, sum, rows, want)
		}
	})
}

// A write that fails is told at the latest by the commit, which then is none.
func TestAWriteThatFailsTakesTheTransactionAlong(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
		if err := db.Create(t.Context(), counters); err != nil {
			t.Fatal(err)
		}
		for name, update := range map[string]func(context.Context, func(*projection.Tx) error) error{"aloud": db.Update, "quietly": db.UpdateQuietly} {
			err := update(t.Context(), func(tx *projection.Tx) error {
				for range 2 { // the second has the first one's key
					if err := tx.Write(t.Context(), insertCounter, name, 1); err != nil {
						return err
					}
				}
				return nil
			})
			if err == nil || count(t, db, name) != 0 {
				t.Errorf("%s: the update ended with %v, and %d rows are there; want an error, and none", name, err, count(t, db, name))
			}
		}
	})
}

func TestAnAttemptsWritesAreItsOwn(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
		if err := db.Create(t.Context(), counters); err != nil {
			t.Fatal(err)
		}
		err := db.Update(t.Context(), func(tx *projection.Tx) error {
			write := func(name string) error { return tx.Write(t.Context(), insertCounter, name, 1) }
			if err := write("before"); err != nil {
				return err
			}
			if err := tx.Attempt(t.Context(), func() error { return write("before") }); err == nil {
				t.Error("an attempt to write a row twice did not fail")
			}
			if err := tx.Attempt(t.Context(), func() error { return write("during") }); err != nil {
				return err
			}
			return write("after")
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"before", "during", "after"} {
			if n := count(t, db, name); n != 1 {
				t.Errorf("%d rows of %s, want 1", n, name)
			}
		}
	})
}

// A transaction whose context has ended is over: what was to be sent with it is
// not written by itself.
func TestNothingIsWrittenAfterATransactionWasTakenBack(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
		if err := db.Create(t.Context(), counters); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
			cancel()
			var one int
			for tx.QueryRow(t.Context(), `SELECT 1`).Scan(&one) == nil { // until it has been taken back
			}
			if err := tx.Write(t.Context(), insertCounter, "late", 1); err != nil {
				return err
			}
			return tx.QueryRow(t.Context(), `SELECT 1`).Scan(&one)
		})
		if err == nil {
			t.Error("the update was committed")
		}
		if n := count(t, db, "late"); n != 0 {
			t.Errorf("%d rows were written", n)
		}
	})
}

// A statement that is run over and over in one transaction does what it says, also
// when its table has been replaced meanwhile, and when it has failed in between.
func TestAStatementIsRunOverAndOver(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
		if err := db.Create(t.Context(), counters); err != nil {
			t.Fatal(err)
		}
		err := db.Update(t.Context(), func(tx *projection.Tx) error {
			for _, columns := range []string{`n BIGINT, name TEXT PRIMARY KEY`, `name TEXT PRIMARY KEY, other TEXT, n BIGINT`} {
				for i := range 5 {
					if err := insertNamed(t.Context(), tx, i); err != nil {
						return err
					}
					if err := tx.Attempt(t.Context(), func() error { return insertNamed(t.Context(), tx, i) }); err == nil {
						t.Errorf("%d is there twice", i)
					}
					if got := count(t, tx, fmt.Sprint(i)); got != i {
						t.Errorf("%d counts %d", i, got)
					}
				}
				for _, statement := range []string{`DROP TABLE counter`, `CREATE TABLE counter (` + columns + `)`} {
					if _, err := tx.Exec(t.Context(), statement); err != nil {
						return err
					}
				}
			}
			return insertNamed(t.Context(), tx, 7)
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := count(t, db, "7"); got != 7 {
			t.Errorf("7 counts %d", got)
		}
	})
}

func insertNamed(ctx context.Context, tx *projection.Tx, n int) error {
	_, err := tx.Exec(ctx, `INSERT INTO counter (name, n) VALUES (?, ?)`, fmt.Sprint(n), n)
	return err
}
