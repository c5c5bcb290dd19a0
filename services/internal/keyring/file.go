package keyring

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/cenkalti/backoff/v5"
	"modernc.org/sqlite" // also the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/triangle-suite/triangle/services/internal/postgres"
)

// busyTimeout is how long a process waits for the others' commits.
const busyTimeout = 15 * time.Second

// Each connection commits through to the disk before a key is used, waits for
// the other processes' commits (busyTimeout), and overwrites what it deletes.
const pragmas = "_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
	"&_pragma=secure_delete(ON)&_txlock=immediate"

// Open opens the key ring: in PostgreSQL at a URL that begins with postgres://,
// where it has the schema keyring, else in the file at the path. A file is made
// when there is none, such that only its owner may read it; several processes on
// one machine may hold it open at once.
//
// Erasing overwrites the key in a file. PostgreSQL has no such promise: the row
// is emptied and its old version given back (VACUUM), which no query and no dump
// shows, while its bytes may stay in the server's own files until they are used
// anew: in a page, and in the write-ahead log. Copies and backups, archived logs
// too, have to be destroyed by whoever made them.
func Open(ctx context.Context, where string) (*SQLRing, error) {
	if postgres.IsURL(where) {
		return openPostgres(ctx, where)
	}
	return openFile(ctx, where)
}

func openFile(ctx context.Context, path string) (*SQLRing, error) {
	path, err := prepare(path)
	if err != nil {
		return nil, fmt.Errorf("key ring: %w", err)
	}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: pragmas}
	ring, err := backoff.Retry(ctx, func() (*SQLRing, error) { return connect(ctx, dsn.String()) },
		backoff.WithBackOff(backoff.NewConstantBackOff(10*time.Millisecond)), backoff.WithMaxElapsedTime(busyTimeout))
	if err != nil {
		return nil, fmt.Errorf("key ring %s: %w", path, err)
	}
	return ring, nil
}

// connect opens the database once. While several processes make it a database
// with a write-ahead log, SQLite turns some away without waiting: only that is
// worth another try.
func connect(ctx context.Context, dsn string) (*SQLRing, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, backoff.Permanent(err)
	}
	ring, err := newSQLRing(ctx, db, engine{connections: 8, lock: alone, scrub: truncateWAL})
	if err == nil {
		return ring, nil
	}
	var failed *sqlite.Error
	if busy := errors.As(err, &failed) && failed.Code()&0xff == sqlite3.SQLITE_BUSY; !busy {
		return nil, backoff.Permanent(errors.Join(err, db.Close()))
	}
	return nil, errors.Join(err, db.Close())
}

// alone is for a database that has one writer at a time.
func alone(context.Context, *sql.Tx) error { return nil }

// prepare makes the file before SQLite does, to give it its mode (SQLite's
// side files take it over), and refuses one that everybody may read.
func prepare(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator's own path
	if err != nil {
		return "", err
	}
	info, err := file.Stat()
	if err := errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	if others := info.Mode().Perm() & 0o007; others != 0 {
		return "", fmt.Errorf("%s has mode %v: others must have no access to the keys (chmod o-rwx)",
			path, info.Mode().Perm())
	}
	return path, syncDirs(path)
}

// syncDirs makes the file's own name durable, and that of its directory: a ring
// that is lost in a power cut loses everybody.
func syncDirs(path string) error {
	for _, name := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		dir, err := os.Open(name) //nolint:gosec // the operator's own path
		if err != nil {
			return err
		}
		if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
			return fmt.Errorf("make %s durable: %w", path, err)
		}
	}
	return nil
}

// truncateWAL moves everything from the write-ahead log into the file and cuts
// the log to nothing: until then it holds pages with the destroyed key.
func truncateWAL(ctx context.Context, db *sql.DB) error {
	var busy, pages, moved int
	row := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err := row.Scan(&busy, &pages, &moved); err != nil {
		return fmt.Errorf("cut the write-ahead log: %w", err)
	}
	if busy != 0 {
		return errors.New("cut the write-ahead log: another process reads it; destroy the key again")
	}
	return nil
}
