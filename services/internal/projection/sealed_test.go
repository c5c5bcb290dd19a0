package projection_test

import (
	"testing"

	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// What is sealed for somebody is emptied, and nothing else; the content, which is
// without it, stays the same.
func TestForgettingEmptiesWhatIsSealedForSomebody(t *testing.T) {
	s := projection.Schema{
		Name: "people", Version: 1,
		Sealed: []projection.Sealed{
			{Table: "people", Column: "name", Subject: "customer", Of: "id"},
			{Table: "people_said", Column: "words", Subject: "contact", Of: "contact_id", Only: `nth < 3`},
		},
		Tables: []string{
			`CREATE TABLE people (id TEXT PRIMARY KEY, name TEXT NOT NULL, orders BIGINT NOT NULL)`,
			`CREATE TABLE people_said (contact_id TEXT, nth BIGINT, words TEXT NOT NULL, PRIMARY KEY (contact_id, nth))`,
		},
	}
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) {
			db, err := projection.Open(t.Context(), database(t), "test")
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(err)
			defer func() { must(db.Close()) }()
			must(db.Create(t.Context(), s))
			must(db.Update(t.Context(), func(tx *projection.Tx) error {
				_, err := tx.Exec(t.Context(), `INSERT INTO people (id, name, orders) VALUES ('a', 'Ann', 1), ('b', 'Bert', 2)`)
				must(err)
				_, err = tx.Exec(t.Context(), `INSERT INTO people_said (contact_id, nth, words) VALUES ('a', 1, 'hello'), ('c', 1, 'yes'), ('c', 2, 'no'), ('c', 3, 'printed')`)
				return err
			}))
			before, err := s.Content(t.Context(), db)
			must(err)
			for range 2 {
				must(db.Update(t.Context(), func(tx *projection.Tx) error { return s.Forget(t.Context(), tx, "customer", []string{"a", "nobody"}) }))
			}
			must(db.Update(t.Context(), func(tx *projection.Tx) error { return s.Forget(t.Context(), tx, "contact", []string{"c"}) }))
			after, err := s.Content(t.Context(), db)
			must(err)
			if before != after {
				t.Errorf("the content was %v, and is %v", before, after)
			}
			var left string
			must(db.QueryRow(t.Context(), `SELECT (SELECT max(name) FROM people) || (SELECT min(name) FROM people) || (SELECT max(words) FROM people_said) || (SELECT min(words) FROM people_said) || (SELECT count(*) FROM people_said WHERE words <> '')`).Scan(&left))
			if left != "Bertprinted2" {
				t.Errorf("what is left is %q", left)
			}
			other := projection.Schema{Name: "others", Version: 1, Sealed: []projection.Sealed{{Table: "others", Column: "name", Subject: "customer", Of: "id"}}}
			must(db.Update(t.Context(), func(tx *projection.Tx) error { return other.Forget(t.Context(), tx, "customer", []string{"a"}) }))
		})
	}
}
