package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Version tells of which version a projection's tables are; found is false when
// there are none.
func Version(ctx context.Context, q Querier, name string) (version int, found bool, err error) {
	err = q.QueryRow(ctx, `SELECT version FROM projections WHERE name = ?`, name).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look of which version the tables of %s are: %w", name, err)
	}
	return version, true, nil
}

// Adopt puts tables from a database beside this one in the place of those that
// are here, of whatever version, in a transaction of this database: whoever reads
// sees the ones or the others. Beside they are gone, or of no use any more.
func (db *DB) Adopt(ctx context.Context, tx *Tx, beside *DB, schemas ...Schema) error {
	if err := db.engine.begin(ctx, tx.tx); err != nil {
		return err
	}
	for _, s := range schemas {
		if err := db.engine.adopt(ctx, tx, beside, s); err != nil {
			return fmt.Errorf("put the tables of %s in their place: %w", s.Name, err)
		}
	}
	return nil
}

// Discard drops the projection's tables, of whatever version they are.
func (s Schema) Discard(ctx context.Context, tx *Tx) error {
	if err := s.dropTables(ctx, tx); err != nil {
		return fmt.Errorf("drop the tables of %s: %w", s.Name, err)
	}
	return nil
}

// adopt copies the rows: the tables beside are in another file.
func (*sqlite) adopt(ctx context.Context, tx *Tx, beside *DB, s Schema) error {
	return s.CopyTo(ctx, beside, tx)
}

// patience is how long those who read the old tables are waited for. Meanwhile
// nobody else can begin to read them.
const patience = `SET LOCAL lock_timeout = '2s'`

// adopt moves the tables, whatever they hold, from schema to schema.
func (s *server) adopt(ctx context.Context, tx *Tx, beside *DB, schema Schema) error {
	other, ok := beside.engine.(*server)
	if !ok {
		return errors.New("the database beside is of another kind")
	}
	if _, err := tx.define(ctx, patience); err != nil {
		return err
	}
	if err := schema.dropTables(ctx, tx); err != nil {
		return err
	}
	here, there := pgx.Identifier{s.Schema()}.Sanitize(), pgx.Identifier{other.Schema()}.Sanitize()
	for _, name := range schema.TableNames() {
		if _, err := tx.define(ctx, `ALTER TABLE `+there+`.`+name+` SET SCHEMA `+here); err != nil {
			return err
		}
	}
	for _, move := range []string{
		`INSERT INTO projection_tables (projection, name) SELECT projection, name FROM ` + there + `.projection_tables WHERE projection = ?`,
		`INSERT INTO projections (name, version) SELECT name, version FROM ` + there + `.projections WHERE name = ?`,
		`DELETE FROM ` + there + `.projection_tables WHERE projection = ?`,
		`DELETE FROM ` + there + `.projections WHERE name = ?`,
	} {
		if _, err := tx.Exec(ctx, move, schema.Name); err != nil {
			return err
		}
	}
	return nil
}
