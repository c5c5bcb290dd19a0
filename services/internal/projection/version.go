package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Versions tells of which version the tables of each projection are, by its name.
// One that has none is not among them.
func Versions(ctx context.Context, q Querier) (map[string]int, error) {
	type made struct {
		name    string
		version int
	}
	rows, err := q.Query(ctx, `SELECT name, version FROM projections`)
	if err != nil {
		return nil, fmt.Errorf("look of which version the tables are: %w", err)
	}
	all, err := Collect(rows, func(rows Scanner, m *made) error { return rows.Scan(&m.name, &m.version) })
	if err != nil {
		return nil, fmt.Errorf("look of which version the tables are: %w", err)
	}
	versions := make(map[string]int, len(all))
	for _, m := range all {
		versions[m.name] = m.version
	}
	return versions, nil
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

// adopt copies the rows: the tables beside are in another file, and one transaction
// over two files is none when the power fails in the middle. Both tables are made
// alike and the one is empty, so that SQLite moves rows and entries of indexes as
// they are, in their order, without looking into them.
func (*sqlite) adopt(ctx context.Context, tx *Tx, beside *DB, s Schema) error {
	other, ok := beside.engine.(*sqlite)
	if !ok {
		return errors.New("the database beside is of another kind")
	}
	from, err := tx.attach(ctx, other.path)
	if err != nil {
		return err
	}
	if from == "" {
		return s.CopyTo(ctx, beside, tx)
	}
	if err := s.replace(ctx, tx); err != nil {
		return err
	}
	for _, name := range s.TableNames() {
		if _, err := tx.define(ctx, `INSERT INTO main.`+name+` SELECT * FROM `+from+`.`+name); err != nil {
			return fmt.Errorf("copy the table %s: %w", name, err)
		}
	}
	return nil
}

// attachable is how many files can be attached at a time.
const attachable = 10

// attach makes the tables of another file known, until the transaction is over,
// under a name that it returns; empty when too many are attached. A table of the
// same name in this file goes before them where no file is named.
func (tx *Tx) attach(ctx context.Context, path string) (name string, err error) {
	i := slices.Index(tx.attached, path)
	if i < 0 && len(tx.attached) == attachable {
		return "", nil
	}
	if i < 0 {
		i = len(tx.attached)
		// One may be left of a transaction that was broken off; if it is not, this fails.
		_, _ = tx.tx.ExecContext(ctx, `DETACH `+attachedAs(i))
		if _, err := tx.tx.ExecContext(ctx, `ATTACH ? AS `+attachedAs(i), location(path).String()); err != nil {
			return "", fmt.Errorf("attach the database beside: %w", err)
		}
		tx.attached = append(tx.attached, path)
	}
	return attachedAs(i), nil
}

func attachedAs(i int) string { return fmt.Sprint("beside", i) }

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
