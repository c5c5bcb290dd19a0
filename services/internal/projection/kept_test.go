package projection_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Rules that a caller makes up come to statements without end: more of them than
// are kept are answered all the same, by many at once.
func TestStatementsWithoutEndAreAnswered(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
		var asking sync.WaitGroup
		for part := range 4 {
			asking.Go(func() {
				for n := range 1100 {
					var got int
					statement := fmt.Sprintf("SELECT %d + CAST(? AS BIGINT)", n)
					if err := db.QueryRow(t.Context(), statement, part).Scan(&got); err != nil || got != n+part {
						t.Errorf("%s with %d is %d (%v)", statement, part, got, err)
						return
					}
				}
			})
		}
		asking.Wait()
	})
}

// A statement is kept, and what it reads is not: not the rows, nor what the table
// looked like.
func TestWhatIsReadAgainIsReadAnew(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
		change := func(statement string) {
			t.Helper()
			err := db.Update(t.Context(), func(tx *projection.Tx) error {
				_, err := tx.Exec(t.Context(), statement)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		n := func() (n int) {
			t.Helper()
			if err := db.QueryRow(t.Context(), `SELECT n FROM counter WHERE name = ?`, "a").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if err := db.Create(t.Context(), counters); err != nil {
			t.Fatal(err)
		}
		change(`INSERT INTO counter (name, n) VALUES ('a', 1)`)
		before := n()
		change(`UPDATE counter SET n = 2`)
		after := n()
		change(`DROP TABLE counter`)
		change(`CREATE TABLE counter (extra TEXT, n BIGINT NOT NULL, name TEXT NOT NULL)`)
		change(`INSERT INTO counter (name, n) VALUES ('a', 3)`)
		if anew := n(); before != 1 || after != 2 || anew != 3 {
			t.Errorf("read %d, %d and %d, want 1, 2 and 3", before, after, anew)
		}
	})
}

func BenchmarkQueryRow(b *testing.B) {
	db, err := projection.Open(b.Context(), filepath.Join(b.TempDir(), "read.db"), "tested")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if err := db.Create(b.Context(), counters); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var n int
		if err := db.QueryRow(b.Context(), `SELECT count(*) FROM counter AS a LEFT JOIN counter AS b ON a.name = b.name
			WHERE a.name = ? AND (b.n > 3 OR b.n IS NULL)`, "a").Scan(&n); err != nil {
			b.Fatal(err)
		}
	}
}
