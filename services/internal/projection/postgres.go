package projection

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/triangle-suite/triangle/services/internal/postgres"
)

// How many connections a replica takes at most. They are apart, so that who
// reads within a transaction never waits for one that is held by such another.
const (
	writers = 5
	readers = 6
)

// server is PostgreSQL, which several replicas share.
type server struct {
	*postgres.Server
	listens    bool
	self       string       // names this replica in what it notifies
	statements kept[string] // as PostgreSQL wants them

	once   sync.Once
	ctx    context.Context // ends when the database is closed
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func openPostgres(ctx context.Context, url, schema string, listens bool) (*DB, error) {
	connected, err := postgres.Connect(ctx, url, schema)
	if err != nil {
		return nil, err
	}
	return newPostgres(ctx, connected, listens), nil
}

func newPostgres(ctx context.Context, connected *postgres.Server, listens bool) *DB {
	s := &server{Server: connected, listens: listens, self: uuid.NewString()}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return &DB{
		engine: s, changed: make(chan struct{}),
		writer: connected.Pool(writers, postgres.ReadWrite), reader: connected.Pool(readers, postgres.ReadOnly),
	}
}

func (s *server) statement(statement string) string {
	if known, ok := s.statements.get(statement); ok {
		return known
	}
	written := postgres.Statement(statement)
	if !s.statements.room() {
		return written
	}
	return s.statements.keep(statement, written)
}

func (s *server) definition(statement string) string { return postgres.Definition(statement) }

// One replica at a time makes tables: CREATE TABLE IF NOT EXISTS alone fails
// when two are as quick.
func (s *server) begin(ctx context.Context, tx *sql.Tx) error { return s.Lock(ctx, tx, "tables") }

func (s *server) announce(ctx context.Context, tx *Tx) error {
	statement, args := s.Notification(s.self)
	tx.pending = append(tx.pending, written{statement, args})
	return nil
}

// The driver keeps compiled statements itself.
func (s *server) compiled(string) *sql.Stmt                            { return nil }
func (s *server) compile(context.Context, *sql.DB, []string)           {}
func (s *server) compileIn(context.Context, *sql.Tx, string) *sql.Stmt { return nil }
func (s *server) reading(context.Context, *sql.DB, string) *sql.Stmt   { return nil }

func (*server) rows() []int { return []int{256, 16, 1} }

// gather bounds what is sent at once.
func (s *server) gather() int { return 500 }

// outsideTransaction is what the protocol calls a connection's state without one.
const outsideTransaction = 'I'

// send sends statements in one go, and reads their results in another.
func (s *server) send(ctx context.Context, conn *sql.Conn, statements []written) error {
	batch := &pgx.Batch{}
	for _, w := range statements {
		batch.Queue(w.statement, w.args...)
	}
	err := raw(conn, func(driver any) error {
		server := driver.(*stdlib.Conn).Conn() //nolint:errcheck,forcetypeassert // there is no other
		// A transaction whose context has ended is taken back by another goroutine.
		if server.PgConn().TxStatus() == outsideTransaction {
			return sql.ErrTxDone
		}
		return server.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}

// raw is conn.Raw, for a connection with a transaction on it whose context may end
// meanwhile: then another goroutine takes the transaction back, and gives up a
// connection that is broken. Raw looks whether that has happened before it takes the
// lock, and panics where it happens in between (database/sql of Go 1.26, grabConn).
func raw(conn *sql.Conn, do func(driver any) error) (err error) {
	reached := false
	defer func() {
		if reached {
			return
		}
		if p := recover(); p != nil {
			err = sql.ErrTxDone
		}
	}()
	return conn.Raw(func(driver any) error {
		reached = true
		return do(driver)
	})
}

// follow listens from the first time on that somebody waits.
func (s *server) follow(changed func()) {
	if !s.listens {
		return
	}
	s.once.Do(func() {
		s.done.Go(func() {
			s.Listen(s.ctx, func(from string) {
				if from != s.self { // this replica's own commits have been announced
					changed()
				}
			})
		})
	})
}

func (s *server) clock(ctx context.Context, q rower) (now time.Time, err error) {
	if err := q.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return now, fmt.Errorf("ask the database for the time: %w", postgres.Explain(err))
	}
	return now, nil
}

func (s *server) shared() bool { return true }

func (s *server) system() string { return "postgresql" }

func (s *server) columnsOf() string {
	return `SELECT a.attname, coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0)
		FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
		WHERE a.attrelid = to_regclass(?::text) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`
}

func (s *server) steady() sql.IsolationLevel { return sql.LevelRepeatableRead }

func (s *server) close() {
	s.cancel()
	s.done.Wait()
}
