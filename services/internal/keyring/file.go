package keyring

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Each connection commits through to the disk before a key is used, waits for
// the other processes' commits, and overwrites what it deletes.
const pragmas = "_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
	"&_pragma=secure_delete(ON)&_txlock=immediate"

// Open opens the key ring in a file, or makes one that only its owner may read.
// Several processes on one machine may hold it open at once.
//
// Erasing reaches as far as the file: copies and backups of it have to be
// destroyed by whoever made them.
func Open(ctx context.Context, path string) (*SQLRing, error) {
	path, err := prepare(path)
	if err != nil {
		return nil, fmt.Errorf("key ring: %w", err)
	}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: pragmas}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("key ring %s: %w", path, err)
	}
	ring, err := newSQLRing(ctx, db, truncateWAL)
	if err != nil {
		return nil, fmt.Errorf("key ring %s: %w", path, errors.Join(err, db.Close()))
	}
	return ring, nil
}

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
			path, fs.FileMode(info.Mode().Perm()))
	}
	return path, nil
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
