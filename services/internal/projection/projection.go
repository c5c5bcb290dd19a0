// Package projection keeps a service's read models: SQL tables that are a
// function of the events taken in, and of nothing else.
//
// One transaction holds the rows that an intake changes and the checkpoint that
// says how far it came, so that after a crash both are there or neither is.
//
//	intake ── Update(tx: rows + checkpoint) ──▶ tables ──▶ Query ── API handlers
//	                       │
//	                       └── commit wakes Await
package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver named sqlite
)

// Querier reads. DB reads what is committed; Tx reads its own writes too.
type Querier interface {
	// Query runs a statement that returns rows; its parameters are written ?.
	Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
	// QueryRow runs a statement that returns at most one row.
	QueryRow(ctx context.Context, statement string, args ...any) *sql.Row
}

// DB is a service's database. Its methods may be called concurrently.
type DB struct {
	// SQLite has one writer at a time: one connection for it, in which
	// transactions queue fairly, instead of many that time out on a lock.
	writer *sql.DB
	reader *sql.DB

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, at each commit
}

// Open opens the SQLite database in the file at path, and makes it when there is
// none.
func Open(ctx context.Context, path string) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the database %s: %w", path, err)
	}
	writer, err := sql.Open("sqlite", dsn(path, "_txlock=immediate"))
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", path, err)
	}
	writer.SetMaxOpenConns(1)
	if err := writer.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database %s: %w", path, err), writer.Close())
	}
	reader, err := sql.Open("sqlite", dsn(path, "_pragma=query_only(1)"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the database %s: %w", path, err), writer.Close())
	}
	return &DB{writer: writer, reader: reader, changed: make(chan struct{})}, nil
}

// dsn names the file and the settings of each connection. WAL lets readers go on
// beside the writer. With synchronous=NORMAL a power cut may take back the last
// transactions, each whole: the checkpoint goes back with its rows, and the
// events are taken in again.
func dsn(path, more string) string {
	u := url.URL{Scheme: "file", Opaque: filepath.ToSlash(path)}
	return u.String() + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&" + more
}

// Close closes the database.
func (db *DB) Close() error { return errors.Join(db.reader.Close(), db.writer.Close()) }

// Ping returns nil when the database answers.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.reader.PingContext(ctx); err != nil {
		return fmt.Errorf("reach the database: %w", err)
	}
	return nil
}

// Query implements Querier on what is committed.
func (db *DB) Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	return db.reader.QueryContext(ctx, statement, args...)
}

// QueryRow implements Querier on what is committed.
func (db *DB) QueryRow(ctx context.Context, statement string, args ...any) *sql.Row {
	return db.reader.QueryRowContext(ctx, statement, args...)
}

// Tx is a write transaction.
type Tx struct{ tx *sql.Tx }

// Exec runs a statement; its parameters are written ?.
func (tx *Tx) Exec(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	return tx.tx.ExecContext(ctx, statement, args...)
}

// Query implements Querier.
func (tx *Tx) Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	return tx.tx.QueryContext(ctx, statement, args...)
}

// QueryRow implements Querier.
func (tx *Tx) QueryRow(ctx context.Context, statement string, args ...any) *sql.Row {
	return tx.tx.QueryRowContext(ctx, statement, args...)
}

// Update runs change in a transaction, which is committed when change returns
// nil, and rolled back otherwise.
func (db *DB) Update(ctx context.Context, change func(*Tx) error) error {
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := change(&Tx{tx}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit a transaction: %w", err)
	}
	db.announce()
	return nil
}

func (db *DB) announce() {
	db.mu.Lock()
	defer db.mu.Unlock()
	close(db.changed)
	db.changed = make(chan struct{})
}

// Changed returns a channel that is closed at the next commit.
func (db *DB) Changed() <-chan struct{} {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.changed
}

// pollEvery is how often Await looks without having been woken: another replica
// may have written the row.
const pollEvery = 25 * time.Millisecond

// Await waits until ready says true, looking again at each commit. It returns
// false, without an error, when ctx ends first.
func (db *DB) Await(ctx context.Context, ready func(context.Context, Querier) (bool, error)) (bool, error) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		changed := db.Changed() // before looking, so that no commit is missed
		switch ok, err := ready(ctx, db); {
		case ctx.Err() != nil:
			return false, nil
		case err != nil || ok:
			return ok, err
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-changed:
		case <-poll.C:
		}
	}
}

// Schema is the tables of one projection, under a version.
type Schema struct {
	// Name names the projection; its tables' names begin with it.
	Name string
	// Version is raised with every change of the tables or of their meaning.
	Version int
	// Tables are statements that create the tables and indexes.
	Tables []string
}

// ErrSchema says that a database holds tables of another version.
var ErrSchema = errors.New("the database holds another version of these tables")

// Create makes the tables of each schema that the database lacks. Tables of
// another version are left as they are, with ErrSchema.
func (db *DB) Create(ctx context.Context, schemas ...Schema) error {
	return db.Update(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS projections (name TEXT PRIMARY KEY, version BIGINT NOT NULL)`); err != nil {
			return fmt.Errorf("create the table of projections: %w", err)
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
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO projections (name, version) VALUES (?, ?)`, s.Name, s.Version)
	return err
}

// Scanner is a row that can be read.
type Scanner interface{ Scan(into ...any) error }

// Collect scans all rows, and closes them.
func Collect[T any](rows *sql.Rows, scan func(Scanner, *T) error) (all []T, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var one T
		if err := scan(rows, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
