package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver named sqlite
)

// sqlite is the engine within the process.
type sqlite struct {
	path string
	// Statements that have been run are kept compiled: compiling costs several times
	// what running one does. written are those of the one connection that writes,
	// read those of the connections that read.
	written, read compiled
}

// idleReaders is how many connections that read are kept open. To open one is to read the
// schema, and to compile each statement anew; of itself database/sql keeps two.
const idleReaders = 16

// openSQLite gives SQLite, which has one writer at a time, one connection to
// write: transactions queue for it fairly, instead of many that time out on a
// lock.
func openSQLite(ctx context.Context, path string) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the database %s: %w", path, err)
	}
	writer, err := sql.Open("sqlite", dsn(path, "_txlock=immediate&_pragma=cache_size(-65536)&_pragma=wal_autocheckpoint(16384)"))
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
	reader.SetMaxIdleConns(idleReaders)
	return &DB{engine: &sqlite{path: path}, writer: writer, reader: reader, changed: make(chan struct{})}, nil
}

// dsn names the file and the settings of each connection. WAL lets readers go on
// beside the writer. With synchronous=NORMAL a power cut may take back the last
// transactions, each whole: the checkpoint goes back with its rows, and the
// events are taken in again. The writer gets 64 MiB to keep pages in, and as much
// of a log before it is worked in: keys come in any order, so that a window writes
// the same pages over and over.
func dsn(path, more string) string {
	return location(path).String() + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&" + more
}

// location names the file and nothing else, whatever its name means in a URL.
func location(path string) *url.URL {
	escaped := (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	return &url.URL{Scheme: "file", Opaque: escaped}
}

func (*sqlite) statement(s string) string  { return s }
func (*sqlite) definition(s string) string { return s }

// A transaction is the only one that writes.
func (*sqlite) begin(context.Context, *sql.Tx) error { return nil }

func (*sqlite) announce(context.Context, *Tx) error { return nil }
func (*sqlite) follow(func())                       {}
func (*sqlite) shared() bool                        { return false }
func (*sqlite) system() string                      { return "sqlite" }
func (*sqlite) close()                              {} // its connections take the statements along

func (*sqlite) columnsOf() string {
	return `SELECT name, pk FROM pragma_table_info(?) ORDER BY cid`
}

// A transaction sees one state of everything, whatever it is called.
func (*sqlite) steady() sql.IsolationLevel { return sql.LevelDefault }

// The database is in this process, and has its clock.
func (*sqlite) clock(context.Context, rower) (time.Time, error) { return time.Now(), nil }

func (s *sqlite) compiled(statement string) *sql.Stmt {
	known, _ := s.written.get(statement)
	return known
}

// What can't be compiled says why when it is run.
func (*sqlite) compileIn(ctx context.Context, tx *sql.Tx, statement string) *sql.Stmt {
	compiled, err := tx.PrepareContext(ctx, statement) // closed with the transaction
	if err != nil {
		return nil
	}
	return compiled
}

// compile leaves out what can't be compiled now: it is tried again when it has
// been run again.
func (s *sqlite) compile(ctx context.Context, writer *sql.DB, statements []string) {
	for _, statement := range statements {
		s.written.compile(ctx, writer, statement)
	}
}

// What can't be compiled says why when it is run.
func (s *sqlite) reading(ctx context.Context, reader *sql.DB, statement string) *sql.Stmt {
	if known, ok := s.read.get(statement); ok {
		return known
	}
	return s.read.compile(ctx, reader, statement)
}

func (*sqlite) rows() []int { return []int{1} }

// There is no way to a server to be saved.
func (*sqlite) gather() int                                      { return 1 }
func (*sqlite) send(context.Context, *sql.Conn, []written) error { return nil }
