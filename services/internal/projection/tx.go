package projection

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/services/internal/postgres"
)

// Tx is a write transaction.
type Tx struct {
	conn     *sql.Conn
	tx       *sql.Tx
	engine   engine
	compiled map[string]*sql.Stmt // nil where statements are not kept
	run      []string             // statements that were not compiled
	pending  []written
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
		return compiled.ExecContext(ctx, storable(args)...)
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

func (tx *Tx) keyOf() string { return tx.engine.keyOf() }

// Clock implements Querier.
func (tx *Tx) Clock(ctx context.Context) (time.Time, error) {
	if err := tx.send(ctx); err != nil {
		return time.Time{}, err
	}
	return tx.engine.clock(ctx, tx.tx)
}

// compile returns a statement compiled, or nil the first time: it is compiled
// when the transaction has ended.
func (tx *Tx) compile(ctx context.Context, statement string) *sql.Stmt {
	if tx.compiled == nil {
		return nil
	}
	if known, ok := tx.compiled[statement]; ok {
		return known
	}
	compiled := tx.engine.compiled(statement)
	if compiled == nil {
		tx.run = append(tx.run, statement)
	} else {
		compiled = tx.tx.StmtContext(ctx, compiled)
	}
	tx.compiled[statement] = compiled
	return compiled
}

func (db *DB) transact(ctx context.Context, change func(*Tx) error) error {
	conn, err := db.writer.Conn(ctx)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", postgres.Explain(err))
	}
	tx := &Tx{conn: conn, engine: db.engine, compiled: map[string]*sql.Stmt{}}
	err = tx.transact(ctx, change)
	_ = conn.Close() // it only gives it back
	db.engine.compile(ctx, db.writer, tx.run)
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
	if err := tx.tx.Commit(); err != nil {
		return fmt.Errorf("commit a transaction: %w", err)
	}
	return nil
}
