package keyring

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/triangle-suite/triangle/services/internal/postgres"
)

const (
	countKeys    = `SELECT COUNT(*) FROM keys`
	selectKeys   = `SELECT subject, secret, created_at, destroyed_at, destroyed_by, reason FROM keys`
	insertCopied = `INSERT INTO keys (subject, secret, created_at, destroyed_at, destroyed_by, reason) VALUES ($1, $2, $3, $4, $5, $6)`
	updateRing   = `UPDATE ring SET value = $2 WHERE name = $1`
)

// ErrNotEmpty says that a key ring holds keys already.
var ErrNotEmpty = errors.New("there are keys already: copy to a ring that is new, so that none is lost")

// ErrNoRing says that there is nothing to copy. To open it would make a ring, and a copy
// of nothing would be taken for all keys.
var ErrNoRing = errors.New("there is no key ring: write where the services have theirs")

// isThere fails with ErrNoRing where a file is to be that is not.
func isThere(where string) error {
	if postgres.IsURL(where) {
		return nil
	}
	if _, err := os.Stat(where); err != nil {
		return fmt.Errorf("%s: %w (%w)", where, ErrNoRing, err)
	}
	return nil
}

// Copy makes the key ring at to, which is new, what the one at from is at one moment:
// its keys, its tombstones, and the secret of its hashes. It returns how many keys and
// tombstones these are. Either may be a file or in PostgreSQL, see Open; the one at
// from may be in use. It fails with ErrNoRing and ErrNotEmpty, and then has copied nothing.
func Copy(ctx context.Context, from, to string) (copied int, err error) {
	if err := isThere(from); err != nil {
		return 0, err
	}
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

// Replace makes the file at to what the key ring at from is at one moment, and returns
// how many keys and tombstones these are. What was in the file stays until the new one
// is whole; a key that was destroyed meanwhile is then in neither. Nobody may have the
// file open.
func Replace(ctx context.Context, from, to string) (copied int, err error) {
	if postgres.IsURL(to) {
		return 0, ErrNoFile
	}
	next := to + ".new"
	if err := removeFile(next); err != nil {
		return 0, err
	}
	if copied, err = Copy(ctx, from, next); err != nil {
		return 0, errors.Join(err, removeFile(next))
	}
	if err := os.Rename(next, to); err != nil {
		return 0, fmt.Errorf("copy the keys: %w", err)
	}
	return copied, syncDirs(to)
}

// ErrNoFile says that a key ring in PostgreSQL is not replaced as a whole.
var ErrNoFile = errors.New("only a file takes the place of another one: copy to a database that is new")

// removeFile removes a key ring that is none yet, with SQLite's files beside it.
func removeFile(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("copy the keys: %w", err)
		}
	}
	return nil
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
