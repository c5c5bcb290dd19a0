package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Schema is the tables of one projection, under a version.
type Schema struct {
	// Name names the projection; its tables' names begin with it.
	Name string
	// Version is raised with every change of the tables or of their meaning.
	Version int
	// Tables are statements that create the tables and indexes. Types are TEXT,
	// BIGINT, INTEGER and BLOB; text is compared byte by byte. A table whose rows
	// are short and found by their key alone may end with WITHOUT ROWID: SQLite
	// then keeps one tree of it, and not two.
	Tables []string
	// Personal names the columns that hold what is personal, as table.column. They
	// are no part of the content that is digested, and no difference in them is
	// told.
	Personal []string
	// Sealed are the columns that hold in clear what events hold sealed. They are
	// personal, and emptied when the key is destroyed.
	Sealed []Sealed
}

// ErrSchema says that a database holds tables of another version.
var ErrSchema = errors.New("the database holds another version of these tables")

// Create makes the tables of each schema that the database lacks. Tables of
// another version are left as they are, with ErrSchema.
func (db *DB) Create(ctx context.Context, schemas ...Schema) error {
	return db.Update(ctx, func(tx *Tx) error {
		if err := db.engine.begin(ctx, tx.tx); err != nil {
			return err
		}
		if err := tx.prepareProjections(ctx); err != nil {
			return err
		}
		for _, s := range schemas {
			if err := s.create(ctx, tx); err != nil {
				return fmt.Errorf("create the tables of %s: %w", s.Name, err)
			}
		}
		return nil
	})
}

func (s Schema) create(ctx context.Context, tx *Tx) error {
	var version int
	switch err := tx.QueryRow(ctx, `SELECT version FROM projections WHERE name = ?`, s.Name).Scan(&version); {
	case err == nil && version == s.Version:
		return nil
	case err == nil:
		return fmt.Errorf("%w: version %d where this build needs %d; start this build on a new database, which is filled from the event store", ErrSchema, version, s.Version)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	for _, statement := range s.Tables {
		if _, err := tx.define(ctx, statement); err != nil {
			return err
		}
	}
	for _, name := range s.TableNames() {
		if _, err := tx.Exec(ctx, `INSERT INTO projection_tables (projection, name) VALUES (?, ?)`, s.Name, name); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO projections (name, version) VALUES (?, ?)`, s.Name, s.Version)
	return err
}

// prepareProjections makes the tables that say which projections there are, and
// which tables they have: a later version may have others.
func (tx *Tx) prepareProjections(ctx context.Context) error {
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS projections (name TEXT PRIMARY KEY, version BIGINT NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS projection_tables (projection TEXT, name TEXT, PRIMARY KEY (projection, name))`,
	} {
		if _, err := tx.define(ctx, statement); err != nil {
			return fmt.Errorf("create the tables of projections: %w", err)
		}
	}
	return nil
}

// dropTables drops the projection's tables, of whatever version they are.
func (s Schema) dropTables(ctx context.Context, tx *Tx) error {
	rows, err := tx.Query(ctx, `SELECT name FROM projection_tables WHERE projection = ? ORDER BY name`, s.Name)
	if err != nil {
		return err
	}
	names, err := Collect(rows, func(row Scanner, name *string) error { return row.Scan(name) })
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := tx.define(ctx, `DROP TABLE `+name); err != nil {
			return err
		}
	}
	for _, forget := range []string{`DELETE FROM projection_tables WHERE projection = ?`, `DELETE FROM projections WHERE name = ?`} {
		if _, err := tx.Exec(ctx, forget, s.Name); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) define(ctx context.Context, statement string) (sql.Result, error) {
	return tx.tx.ExecContext(ctx, tx.engine.definition(statement))
}
