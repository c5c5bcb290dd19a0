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
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/triangle-suite/triangle/services/internal/deadline"
	"github.com/triangle-suite/triangle/services/internal/postgres"
)

// Querier reads. DB reads what is committed; Tx reads its own writes too.
type Querier interface {
	// Query runs a statement that returns rows; its parameters are written ?.
	Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
	// QueryRow runs a statement that returns at most one row.
	QueryRow(ctx context.Context, statement string, args ...any) Scanner
	// Clock returns the time by the database's clock, which all replicas share.
	Clock(ctx context.Context) (time.Time, error)
	// columnsOf is the query for the columns of a table, in their order, and for the
	// place of each in the primary key, from 1 on, or 0; its parameter is the table's
	// name.
	columnsOf() string
}

// DB is a service's database. Its methods may be called concurrently.
type DB struct {
	engine engine
	writer *sql.DB
	reader *sql.DB
	hooks  Hooks
	// release, of a database that is held, lets others have it.
	release func() error

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, at each commit
}

// engine is what SQLite and PostgreSQL do each in a way of their own.
type engine interface {
	// statement and definition write SQL as the engine wants it: what reads and
	// writes rows, and what creates tables.
	statement(string) string
	definition(string) string
	// begin is called first in a transaction that creates tables.
	begin(ctx context.Context, tx *sql.Tx) error
	// announce is called last in a transaction that changes rows: the other
	// replicas are woken when it is committed.
	announce(ctx context.Context, tx *Tx) error
	// compiled returns a statement that has been compiled; nil when there is none.
	compiled(statement string) *sql.Stmt
	// compileIn compiles a statement that has been run in a transaction, for what is
	// left of it; it returns nil when it is to be run as it is.
	compileIn(ctx context.Context, tx *sql.Tx, statement string) *sql.Stmt
	// compile keeps statements that were run, compiled for the next time.
	compile(ctx context.Context, writer *sql.DB, statements []string)
	// reading returns a statement compiled for the connections that read; nil when
	// it is to be run as it is.
	reading(ctx context.Context, reader *sql.DB, statement string) *sql.Stmt
	// rows are how many rows WriteRows puts in a statement, the most first and 1
	// last. They are few, so that each statement is prepared once.
	rows() []int
	// gather is how many statements are worth sending together, on one connection.
	gather() int
	send(ctx context.Context, conn *sql.Conn, statements []written) error
	// follow has changed called, from now on, when another replica has committed.
	follow(changed func())
	// clock reads the database's clock.
	clock(ctx context.Context, q rower) (time.Time, error)
	// shared tells whether several replicas may work on the database.
	shared() bool
	// system is what the engine is called in traces.
	system() string
	// columnsOf is Querier's.
	columnsOf() string
	// steady is the isolation of a transaction that sees one state of everything.
	steady() sql.IsolationLevel
	// beside opens a database of the same kind beside this one; drop removes what
	// is in this one before it is closed, and remove what is left of it after.
	beside(ctx context.Context, name string) (*DB, error)
	drop(ctx context.Context) error
	remove() error
	// named returns the databases beside this one whose names begin so.
	named(ctx context.Context, prefix string) ([]string, error)
	// hold has others see that a database beside this one is in use, until it is
	// released; it fails with errHeld when another replica has it.
	hold(ctx context.Context, name string) (release func() error, err error)
	// adopt is DB.Adopt for one schema.
	adopt(ctx context.Context, tx *Tx, beside *DB, s Schema) error
	close()
}

// rower is a *sql.DB or a *sql.Tx.
type rower interface {
	QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row
}

// Open opens a database: PostgreSQL at a URL that begins with postgres://, where
// the tables are in the schema of the given name, else the SQLite file at the
// path, which is made when there is none.
func Open(ctx context.Context, where, schema string, replicas ...Replicas) (*DB, error) {
	if postgres.IsURL(where) {
		return openPostgres(ctx, where, schema, !slices.Contains(replicas, Alone))
	}
	return openSQLite(ctx, where)
}

// Replicas tells whether there are others on the same database.
type Replicas int

// Alone is for a replica that knows of no other: it need not hear what they
// commit.
const Alone Replicas = iota

// Shared tells whether several replicas of the service may work on the database.
// One that is not shared belongs to the process that opened it last.
func (db *DB) Shared() bool { return db.engine.shared() }

// System is what OpenTelemetry calls the database's engine: sqlite or postgresql.
func (db *DB) System() string { return db.engine.system() }

// Close closes the database.
func (db *DB) Close() error {
	db.engine.close()
	err := errors.Join(db.reader.Close(), db.writer.Close())
	if db.release != nil {
		err = errors.Join(err, db.release())
	}
	return err
}

// Ping returns nil when the database answers.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.reader.PingContext(ctx); err != nil {
		return fmt.Errorf("reach the database: %w", postgres.Explain(err))
	}
	return nil
}

// Query implements Querier on what is committed.
func (db *DB) Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	if compiled := db.engine.reading(ctx, db.reader, statement); compiled != nil { //nolint:sqlclosecheck // it is kept
		return compiled.QueryContext(ctx, storable(args)...)
	}
	return db.reader.QueryContext(ctx, db.engine.statement(statement), storable(args)...)
}

// QueryRow implements Querier on what is committed.
func (db *DB) QueryRow(ctx context.Context, statement string, args ...any) Scanner {
	if compiled := db.engine.reading(ctx, db.reader, statement); compiled != nil { //nolint:sqlclosecheck // it is kept
		return compiled.QueryRowContext(ctx, storable(args)...)
	}
	return db.reader.QueryRowContext(ctx, db.engine.statement(statement), storable(args)...)
}

func (db *DB) columnsOf() string { return db.engine.columnsOf() }

// Clock implements Querier.
func (db *DB) Clock(ctx context.Context) (time.Time, error) { return db.engine.clock(ctx, db.reader) }

// storable replaces what can't be stored in the text among args.
func storable(args []any) []any {
	for i, arg := range args {
		if text, ok := arg.(string); ok && strings.ContainsRune(text, 0) {
			args = slices.Clone(args) // they are the caller's
			args[i] = Storable(text)
		}
	}
	return args
}

// Storable is how a text is stored: the one character that PostgreSQL's can't
// hold is replaced, in SQLite too, so that rows are the same in both.
func Storable(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") }

// Update runs change in a transaction, which is committed when change returns
// nil, and rolled back otherwise. Whoever waits for a change, on any replica, is
// woken.
func (db *DB) Update(ctx context.Context, change func(*Tx) error) error {
	err := db.transact(ctx, func(tx *Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		return db.engine.announce(ctx, tx)
	})
	if err == nil {
		db.announce()
	}
	return err
}

// UpdateQuietly is Update for what nobody waits for: it wakes nobody.
func (db *DB) UpdateQuietly(ctx context.Context, change func(*Tx) error) error {
	return db.transact(ctx, change)
}

func (db *DB) announce() {
	db.mu.Lock()
	defer db.mu.Unlock()
	close(db.changed)
	db.changed = make(chan struct{})
}

// Changed returns a channel that is closed at the next commit, on whatever
// replica. At times it is closed although there was none.
func (db *DB) Changed() <-chan struct{} {
	db.engine.follow(db.announce)
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.changed
}

// pollEvery is how often Await looks without having been woken.
const pollEvery = 25 * time.Millisecond

// Await waits until ready says true, looking again at each commit. It returns
// false, without an error, when ctx ends first.
func (db *DB) Await(ctx context.Context, ready func(context.Context, Querier) (bool, error)) (bool, error) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		changed := db.Changed() // before looking, so that no commit is missed
		switch ok, err := ready(ctx, db); {
		case deadline.Err(ctx) != nil:
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

// Limit is the LIMIT of a statement that returns so many rows at most. It is for a
// number that stays: bound as a parameter it has SQLite, which plans by it, compile
// the statement anew each time.
func Limit(rows int) string { return "LIMIT " + strconv.Itoa(rows) }

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
