// Package pgtest gives tests databases on a real PostgreSQL, which it starts
// from the programs that are installed, once per test binary.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }
//
//	func TestSomething(t *testing.T) { url := pgtest.Database(t) … }
//
// Where PostgreSQL is not installed such tests are skipped, unless CI is set:
// then they fail. With -short they are skipped everywhere.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// the server of this test binary, started when it is first asked for.
var the struct {
	once   sync.Once
	server *Server
	err    error
}

// Run runs a test binary's tests, and then ends the server if one was started.
func Run(m *testing.M) (code int) {
	code = m.Run()
	if err := end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// onServer has Somewhere give out databases on PostgreSQL.
var onServer bool

// RunOnEach runs a test binary's tests twice: on SQLite, and then on PostgreSQL.
// The tests take their databases from Somewhere.
func RunOnEach(m *testing.M) (code int) {
	if code = m.Run(); code != 0 {
		return code
	}
	if testing.Short() {
		return 0
	}
	if find() == "" {
		fmt.Fprintln(os.Stderr, "not run on PostgreSQL:", notInstalled)
		if os.Getenv("CI") != "" {
			return 1
		}
		return 0
	}
	fmt.Fprintln(os.Stderr, "again, on PostgreSQL:")
	onServer = true
	return Run(m)
}

// Somewhere returns where a new database is for a test of RunOnEach.
func Somewhere(t testing.TB) string {
	t.Helper()
	if onServer {
		return Database(t)
	}
	return file(t)
}

// Once leaves a test out of the second of RunOnEach's runs. It is for one that has no
// database, and so shows the same in both.
func Once(t testing.TB) {
	t.Helper()
	if onServer {
		t.Skip("it has no database, and has been run")
	}
}

func file(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "service.db")
}

func end() error {
	if the.server == nil {
		return nil
	}
	return the.server.Close()
}

// Database makes a database of the test's own, and returns its URL. Its text is
// ordered by a language's rules where the server knows any: what rests on an
// order must say so.
func Database(t testing.TB) string {
	t.Helper()
	return shared(t).Database(t)
}

func shared(t testing.TB) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes a real process")
	}
	the.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		the.server, the.err = Start(ctx)
	})
	if the.server == nil && the.err == nil {
		missing(t)
	}
	if the.err != nil {
		t.Fatal(the.err)
	}
	return the.server
}

// Exec runs a statement on the server of Database, as its administrator.
func Exec(t testing.TB, statement string) {
	t.Helper()
	if err := shared(t).Exec(statement); err != nil {
		t.Fatal(err)
	}
}

func missing(t testing.TB) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(notInstalled)
	}
	t.Skip(notInstalled)
}

const notInstalled = "PostgreSQL is not installed: its programs are not where pg_config says, in PATH, nor in /usr/lib/postgresql"

// Database makes a database, and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := s.CreateDatabase(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return s.URL(name)
}

// CreateDatabase makes a database whose order is English where the server can.
func (s *Server) CreateDatabase(name string) error {
	err := s.Exec("CREATE DATABASE " + name + " TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
	if err != nil { // built without ICU, or older than 15
		return s.Exec("CREATE DATABASE " + name)
	}
	return nil
}

// Exec runs a statement as the server's administrator.
func (s *Server) Exec(statement string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("reach PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// URL leads to a database of the server, by its socket.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(administrator), Path: "/" + database}
	u.RawQuery = url.Values{"host": {s.dir}, "port": {strconv.Itoa(s.net.port)}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

// Databases are the kinds of databases that services run on, as functions that
// make a new one and return where it is. A suite runs on each.
func Databases() map[string]func(t testing.TB) string {
	return map[string]func(testing.TB) string{
		"SQLite":     file,
		"PostgreSQL": Database,
	}
}

const startTimeout = time.Minute
