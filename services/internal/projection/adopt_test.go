package projection_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Tables come from more files than SQLite attaches at a time, twice: what the
// first transaction attached is none of the second one's business.
func TestTablesOfManyDatabasesBesideAreAdoptedAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
		if err := db.Create(t.Context(), counters); err != nil {
			t.Fatal(err)
		}
		for version := 1; version <= 2; version++ {
			const many = 12
			schemas, besides := make([]projection.Schema, many), make([]*projection.DB, many)
			for i := range many {
				name := fmt.Sprint("adopted", i)
				schemas[i] = projection.Schema{Name: name, Version: version, Tables: []string{
					`CREATE TABLE ` + name + ` (name TEXT PRIMARY KEY, n BIGINT NOT NULL) WITHOUT ROWID`,
					`CREATE TABLE ` + name + `_more (id BIGINT PRIMARY KEY, text TEXT)`,
					`CREATE INDEX ` + name + `_n ON ` + name + ` (n, name)`,
				}}
				besides[i] = filled(t, db, schemas[i], 100*version+i)
			}
			err := db.Update(t.Context(), func(tx *projection.Tx) error {
				for i, s := range schemas {
					if err := db.Adopt(t.Context(), tx, besides[i], s); err != nil {
						return err
					}
					// What is written now goes into the new tables.
					if err := tx.Write(t.Context(), `INSERT INTO `+s.Name+` (name, n) VALUES ('last', ?)`, i); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range schemas {
				if err := besides[i].Drop(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantAdopted(t, db, s, 100*version+i)
			}
		}
	})
}

// filled is a database beside with so many rows in each of two tables.
func filled(t *testing.T, db *projection.DB, s projection.Schema, rows int) *projection.DB {
	t.Helper()
	beside, err := db.Beside(t.Context(), s.Name)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(beside.Create(t.Context(), s), beside.Update(t.Context(), func(tx *projection.Tx) error {
		var args, more []any
		for i := range rows {
			args, more = append(args, fmt.Sprint("row ", i), 1), append(more, i, nil)
		}
		return errors.Join(
			tx.WriteRows(t.Context(), `INSERT INTO `+s.Name+` (name, n) VALUES `, 2, ``, args),
			tx.WriteRows(t.Context(), `INSERT INTO `+s.Name+` (name, n) VALUES `, 2, ` ON CONFLICT (name) DO UPDATE SET n = excluded.n + 1`, slices.Clone(args)),
			tx.WriteRows(t.Context(), `INSERT INTO `+s.Name+`_more (id, text) VALUES `, 2, ``, more))
	}))
	if err != nil {
		t.Fatal(err)
	}
	return beside
}

func wantAdopted(t *testing.T, db *projection.DB, s projection.Schema, rows int) {
	t.Helper()
	if versions, err := projection.Versions(t.Context(), db); err != nil || versions[s.Name] != s.Version {
		t.Errorf("the tables are of versions %v (%v), want version %d of %s", versions, err, s.Version, s.Name)
	}
	for query, want := range map[string]int{
		`SELECT count(*) FROM ` + s.Name + ` WHERE n = 2 AND name <> 'last'`: rows, // by the index
		`SELECT count(*) FROM ` + s.Name + ` WHERE name = 'last'`:            1,
		`SELECT count(*) FROM ` + s.Name + `_more WHERE text IS NULL`:        rows,
	} {
		var got int
		if err := db.QueryRow(t.Context(), query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %d (%v), want %d", query, got, err, want)
		}
	}
}
