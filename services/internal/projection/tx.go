package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/triangle-suite/triangle/services/internal/postgres"
)

// Tx is a write transaction.
type Tx struct {
	conn     *sql.Conn
	tx       *sql.Tx
	engine   engine
	hooks    Hooks
	compiled map[string]*sql.Stmt // nil where statements are not kept
	run      []string             // statements that were not compiled
	pending  []written
	// unbroken is the context of a compiled statement, which runs within the process
	// and waits for nothing: the driver would start a goroutine for each statement,
	// to be able to break it off.
	unbroken context.Context
	attached []string // files that are detached when the transaction is over
}

// written is a statement that waits to be sent with others.
type written struct {
	statement string
	args      []any
}

// Exec runs a statement; its parameters are written ?.
func (tx *Tx) Exec(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	if err := tx.send(ctx); err != nil {
		return nil, err
	}
	if compiled := tx.compile(ctx, statement); compiled != nil { //nolint:sqlclosecheck // it is kept
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return compiled.ExecContext(tx.unbroken, storable(args)...)
	}
	return tx.tx.ExecContext(ctx, tx.engine.statement(statement), storable(args)...)
}

// Write runs a statement that returns nothing. Where the database is a server it
// may be sent with later ones, before anything is read and before the commit: an
// error is told there, and the transaction is not committed then either. Until
// then args must not change.
func (tx *Tx) Write(ctx context.Context, statement string, args ...any) error {
	if tx.engine.gather() <= 1 {
		_, err := tx.Exec(ctx, statement, args...)
		return err
	}
	tx.pending = append(tx.pending, written{tx.engine.statement(statement), storable(args)})
	if len(tx.pending) < tx.engine.gather() {
		return nil
	}
	return tx.send(ctx)
}

// WriteRows writes rows, of so many columns each, by a statement that ends in
// VALUES before them; after is what follows them, and may be empty. No row has
// the key of another one. As with Write an error may be told late, and args must
// not change.
//
// A server takes many rows in one statement. SQLite takes them one by one: in a
// statement of many it copies the pages that it changes, lest it has to take the
// first rows back when a later one fails, and that costs more than is saved.
func (tx *Tx) WriteRows(ctx context.Context, insert string, columns int, after string, args []any) error {
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	for _, size := range tx.engine.rows() {
		statement := insert + strings.TrimSuffix(strings.Repeat(row+",", size), ",") + after
		for n := size * columns; len(args) >= n; args = args[n:] {
			if err := tx.Write(ctx, statement, args[:n:n]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// send sends what waits.
func (tx *Tx) send(ctx context.Context) error {
	if len(tx.pending) == 0 {
		return nil
	}
	sent := tx.pending
	tx.pending = nil
	return tx.engine.send(ctx, tx.conn, sent)
}

// Query implements Querier.
func (tx *Tx) Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	if err := tx.send(ctx); err != nil {
		return nil, err
	}
	if compiled := tx.compile(ctx, statement); compiled != nil { //nolint:sqlclosecheck // it is kept
		return compiled.QueryContext(ctx, storable(args)...)
	}
	return tx.tx.QueryContext(ctx, tx.engine.statement(statement), storable(args)...)
}

// QueryRow implements Querier.
func (tx *Tx) QueryRow(ctx context.Context, statement string, args ...any) Scanner {
	if err := tx.send(ctx); err != nil {
		return failed{err}
	}
	if compiled := tx.compile(ctx, statement); compiled != nil { //nolint:sqlclosecheck // it is kept
		return compiled.QueryRowContext(ctx, storable(args)...)
	}
	return tx.tx.QueryRowContext(ctx, tx.engine.statement(statement), storable(args)...)
}

// failed is a row that can't be had.
type failed struct{ err error }

// Scan implements Scanner.
func (f failed) Scan(...any) error { return f.err }

func (tx *Tx) columnsOf() string { return tx.engine.columnsOf() }

// Clock implements Querier.
func (tx *Tx) Clock(ctx context.Context) (time.Time, error) {
	if err := tx.send(ctx); err != nil {
		return time.Time{}, err
	}
	return tx.engine.clock(ctx, tx.tx)
}

// compile returns a statement compiled, or nil the first time: it is compiled for
// the transaction when it is run again, and for others when that has ended. The
// first transaction of a process may be thousands of events.
func (tx *Tx) compile(ctx context.Context, statement string) *sql.Stmt {
	if tx.compiled == nil {
		return nil
	}
	known, ran := tx.compiled[statement]
	switch {
	case known != nil:
		return known
	case ran:
		known = tx.engine.compileIn(ctx, tx.tx, statement)
	default:
		if known = tx.engine.compiled(statement); known == nil {
			tx.run = append(tx.run, statement)
		} else {
			known = tx.tx.StmtContext(ctx, known)
		}
	}
	tx.compiled[statement] = known
	return known
}

func (db *DB) transact(ctx context.Context, change func(*Tx) error) error {
	if err := passed(ctx, db.hooks.Begin); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	defer db.hooks.ended(ctx)
	conn, err := db.writer.Conn(ctx)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", postgres.Explain(err))
	}
	tx := &Tx{conn: conn, engine: db.engine, hooks: db.hooks, compiled: map[string]*sql.Stmt{}, unbroken: context.WithoutCancel(ctx)}
	err = errors.Join(tx.transact(ctx, change), tx.detach())
	_ = conn.Close() // it only gives it back
	db.engine.compile(ctx, db.writer, tx.run)
	return err
}

// detach detaches what was attached in the transaction, which is over.
func (tx *Tx) detach() (err error) {
	for i := range tx.attached {
		if _, failed := tx.conn.ExecContext(tx.unbroken, `DETACH `+attachedAs(i)); failed != nil {
			err = errors.Join(err, fmt.Errorf("detach a database: %w", failed))
		}
	}
	return err
}

func (tx *Tx) transact(ctx context.Context, change func(*Tx) error) (err error) {
	if tx.tx, err = tx.conn.BeginTx(ctx, nil); err != nil {
		return fmt.Errorf("begin a transaction: %w", postgres.Explain(err))
	}
	defer func() { _ = tx.tx.Rollback() }() // after a commit it does nothing
	if err := change(tx); err != nil {
		return err
	}
	if err := tx.send(ctx); err != nil {
		return err
	}
	if err := passed(ctx, tx.hooks.Commit); err != nil {
		return fmt.Errorf("commit a transaction: %w", err)
	}
	if err := tx.tx.Commit(); err != nil {
		return fmt.Errorf("commit a transaction: %w", err)
	}
	return passed(ctx, tx.hooks.Committed)
}
