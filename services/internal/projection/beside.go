package projection

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
)

// Beside opens a database beside this one, of the same kind: another file, or
// another schema. Whoever has to fill tables without touching those that are in
// use does so there. What it held is there still; Drop removes it.
func (db *DB) Beside(ctx context.Context, name string) (*DB, error) {
	beside, err := db.engine.beside(ctx, besideName(name))
	if err != nil {
		return nil, fmt.Errorf("open a database beside this one: %w", err)
	}
	return beside, nil
}

// Besides returns the names of the databases beside this one that begin so.
func (db *DB) Besides(ctx context.Context, prefix string) ([]string, error) {
	names, err := db.engine.named(ctx, besideName(prefix))
	if err != nil {
		return nil, fmt.Errorf("look for databases beside this one: %w", err)
	}
	return names, nil
}

// besideName is how a name is written that is a file's and a schema's.
func besideName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Drop closes a database and removes it with all that it holds. It is for one
// that Beside has opened.
func (db *DB) Drop(ctx context.Context) error {
	if err := db.engine.drop(ctx); err != nil {
		return errors.Join(fmt.Errorf("remove a database: %w", err), db.Close())
	}
	if err := db.Close(); err != nil {
		return err
	}
	return db.engine.remove()
}

// CopyTo makes the projection's tables in another database and fills them with
// the rows that are read here. Tables that are there already are replaced.
func (s Schema) CopyTo(ctx context.Context, from Querier, to *Tx) error {
	if err := s.replace(ctx, to); err != nil {
		return fmt.Errorf("copy the tables of %s: %w", s.Name, err)
	}
	for _, name := range s.TableNames() {
		t, err := s.look(ctx, from, name)
		if err != nil {
			return fmt.Errorf("copy the tables of %s: %w", s.Name, err)
		}
		if err := t.copyTo(ctx, t.rows(ctx, from, unordered), to); err != nil {
			return fmt.Errorf("copy the table %s: %w", name, err)
		}
	}
	return nil
}

// CopyRows copies the rows with a value in a column, of those of the projection's
// tables that have the column. Such rows that are there already are replaced.
func (s Schema) CopyRows(ctx context.Context, from Querier, to *Tx, column string, value any) error {
	for _, name := range s.TableNames() {
		t, err := s.look(ctx, from, name)
		if err != nil {
			return err
		}
		if !slices.Contains(t.columns, column) {
			continue
		}
		if _, err := to.Exec(ctx, `DELETE FROM `+name+` WHERE `+column+` = ?`, value); err != nil {
			return fmt.Errorf("replace rows of the table %s: %w", name, err)
		}
		if err := t.copyTo(ctx, t.read(ctx, from, ` WHERE `+column+` = ?`, value), to); err != nil {
			return fmt.Errorf("copy rows of the table %s: %w", name, err)
		}
	}
	return nil
}

// copied bounds the parameters of one statement: SQLite takes 32,766.
const copied = 8000

func (t *table) copyTo(ctx context.Context, rows iter.Seq2[[]any, error], to *Tx) error {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", len(t.columns)), ",") + ")"
	insert := `INSERT INTO ` + t.name + ` (` + strings.Join(t.columns, ", ") + `) VALUES `
	atOnce := copied / len(t.columns)
	full := insert + strings.TrimSuffix(strings.Repeat(one+",", atOnce), ",")
	args := make([]any, 0, atOnce*len(t.columns))
	for row, err := range rows {
		if err != nil {
			return err
		}
		if args = append(args, row...); len(args) < cap(args) {
			continue
		}
		if _, err := to.Exec(ctx, full, args...); err != nil {
			return err
		}
		args = args[:0]
	}
	if len(args) == 0 {
		return nil
	}
	rest := insert + strings.TrimSuffix(strings.Repeat(one+",", len(args)/len(t.columns)), ",")
	_, err := to.Exec(ctx, rest, args...)
	return err
}

// replace drops the projection's tables, of whatever version, and makes them
// anew.
func (s Schema) replace(ctx context.Context, tx *Tx) error {
	if err := tx.prepareProjections(ctx); err != nil {
		return err
	}
	if err := s.dropTables(ctx, tx); err != nil {
		return err
	}
	return s.create(ctx, tx)
}

func (e *sqlite) beside(ctx context.Context, name string) (*DB, error) {
	return openSQLite(ctx, e.path+"-"+name)
}

func (*sqlite) drop(context.Context) error { return nil }

// remove removes the files, which must be closed.
func (e *sqlite) remove() error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(e.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove a database: %w", err)
		}
	}
	return nil
}

func (s *server) beside(ctx context.Context, name string) (*DB, error) {
	connected, err := s.Beside(ctx, name)
	if err != nil {
		return nil, err
	}
	return newPostgres(ctx, connected, s.listens), nil
}

func (s *server) drop(ctx context.Context) error { return s.Drop(ctx) }

func (*server) remove() error { return nil }
