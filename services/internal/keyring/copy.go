package keyring

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

const (
	countKeys    = `SELECT COUNT(*) FROM keys`
	selectKeys   = `SELECT subject, secret, created_at, destroyed_at, destroyed_by, reason FROM keys`
	insertCopied = `INSERT INTO keys (subject, secret, created_at, destroyed_at, destroyed_by, reason) VALUES ($1, $2, $3, $4, $5, $6)`
	updateRing   = `UPDATE ring SET value = $2 WHERE name = $1`
)

// ErrNotEmpty says that a key ring holds keys already.
var ErrNotEmpty = errors.New("there are keys already: copy to a ring that is new, so that none is lost")

// Copy makes the key ring at to, which is new, what the one at from is at one moment:
// its keys, its tombstones, and the secret of its hashes. It returns how many keys and
// tombstones these are. Either may be a file or in PostgreSQL, see Open; the one at
// from may be in use. It fails with ErrNotEmpty, and then has copied nothing.
func Copy(ctx context.Context, from, to string) (copied int, err error) {
	source, err := Open(ctx, from)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := Open(ctx, to)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	err = target.transact(ctx, func(tx *sql.Tx) error {
		var there int
		if err := tx.QueryRowContext(ctx, countKeys).Scan(&there); err != nil {
			return err
		}
		if there > 0 {
			return ErrNotEmpty
		}
		copied, err = source.pour(ctx, tx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("copy the keys: %w", err)
	}
	return copied, nil
}

// pour writes all that the ring is into the tables of another one. All keys are read
// by one query, which sees one moment. How many were destroyed is read before: who
// has seen fewer looks again.
func (r *SQLRing) pour(ctx context.Context, into *sql.Tx) (copied int, err error) {
	for _, name := range []string{pepperRow, destructionsRow} {
		var value string
		if err := r.db.QueryRowContext(ctx, selectRing, name).Scan(&value); err != nil {
			return 0, err
		}
		if _, err := into.ExecContext(ctx, updateRing, name, value); err != nil {
			return 0, err
		}
	}
	insert, err := into.PrepareContext(ctx, insertCopied)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	rows, err := r.db.QueryContext(ctx, selectKeys)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for ; rows.Next(); copied++ {
		var subject, secret, created, destroyed, by, reason string
		if err := rows.Scan(&subject, &secret, &created, &destroyed, &by, &reason); err != nil {
			return 0, err
		}
		if _, err := insert.ExecContext(ctx, subject, secret, created, destroyed, by, reason); err != nil {
			return 0, err
		}
	}
	return copied, rows.Err()
}
