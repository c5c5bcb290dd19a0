package postgres

import (
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/triangle-suite/triangle/services/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

func TestParametersAreNumberedOutsideOfQuotes(t *testing.T) {
	tests := map[string]string{
		`SELECT 1`:                              `SELECT 1`,
		`SELECT a FROM b WHERE c = ? AND d = ?`: `SELECT a FROM b WHERE c = $1 AND d = $2`,
		`SELECT '?', ?, "?", ?`:                 `SELECT '?', $1, "?", $2`,
		`SELECT 'it''s ?' WHERE é = ?`:          `SELECT 'it''s ?' WHERE é = $1`,
	}
	for statement, want := range tests {
		if got := Statement(statement); got != want {
			t.Errorf("%s became %s, want %s", statement, got, want)
		}
	}
}

func TestTypesAreThoseOfPostgreSQL(t *testing.T) {
	const statement = `CREATE TABLE a (b TEXT PRIMARY KEY, c BLOB NOT NULL, d BIGINT) WITHOUT ROWID`
	const want = `CREATE TABLE a (b TEXT COLLATE "C" PRIMARY KEY, c BYTEA NOT NULL, d BIGINT)`
	if got := Definition(statement); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAServerThatIsTooOldIsRefused(t *testing.T) {
	for version, ok := range map[string]bool{
		"15.18 (Debian 15.18-0+deb12u1)": true, "14.0": true, "19beta2": true, "100.1": true,
		"13.22": false, "9.6.24": false, "": false, "a fork": false,
	} {
		if err := checkVersion(version); (err == nil) != ok {
			t.Errorf("version %q: %v", version, err)
		}
	}
}

func TestAnErrorTellsWhatToDo(t *testing.T) {
	good := pgtest.Database(t)
	admin := func(statement string) { pgtest.Exec(t, statement) }
	database := parse(t, good).Path[1:]
	admin("CREATE USER guest_" + database)
	t.Cleanup(func() { admin("DROP USER guest_" + database) })
	tests := map[string]struct {
		url, schema string
		want        string
	}{
		"no such database":      {with(t, good, func(u *url.URL) { u.Path = "/nowhere" }), "s", "make the database, or name another one in the URL"},
		"no such user":          {with(t, good, func(u *url.URL) { u.User = url.User("nobody-here") }), "s", "check the user"},
		"nobody there":          {"postgres://me:secret@127.0.0.1:1/x", "s", "is PostgreSQL running there, and reachable?"},
		"no such host":          {"postgres://me:secret@no-such-host.invalid/x", "s", "is PostgreSQL running there, and reachable?"},
		"no such socket":        {"postgres:///x?host=/nowhere", "s", "is PostgreSQL running there, and reachable?"},
		"no right to a schema":  {with(t, good, func(u *url.URL) { u.User = url.User("guest_" + database) }), "s", "grant the user CREATE on the database"},
		"another's schema":      {with(t, good, func(u *url.URL) { u.User = url.User("guest_" + database) }), "owned", "has no rights on schema owned: GRANT ALL ON SCHEMA owned TO guest_"},
		"a server that is old":  {oldServer(t), "s", "the server is PostgreSQL 9.6.24: take version 14 or later"},
		"no database in it":     {"postgres://me:secret@host", "s", "names no database: write postgres://"},
		"a port that is none":   {"postgres://me:secret@host:many/x", "s", "write postgres://"},
		"an option that is odd": {"postgres://me:secret@host/x?sslmode=perhaps", "s", "sslmode is invalid"},
	}
	if _, err := Connect(t.Context(), good, "owned"); err != nil {
		t.Fatal(err)
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Connect(t.Context(), tc.url, tc.schema)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q in it", err, tc.want)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
				t.Errorf("it quotes the password, or is no line: %q", err)
			}
		})
	}
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func with(t *testing.T, text string, change func(*url.URL)) string {
	t.Helper()
	u := parse(t, text)
	change(u)
	return u.String()
}

// oldServer plays a server of another time, as far as to tell its version.
func oldServer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- playOld(listener) }()
	t.Cleanup(func() {
		_ = listener.Close()
		if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return "postgres://me@/x?sslmode=disable&host=" + dir
}

func playOld(listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	backend := pgproto3.NewBackend(conn, conn)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return err
	}
	for _, m := range []pgproto3.BackendMessage{
		&pgproto3.AuthenticationOk{},
		&pgproto3.ParameterStatus{Name: "server_version", Value: "9.6.24"},
		&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{0, 0, 0, 1}},
		&pgproto3.ReadyForQuery{TxStatus: 'I'},
	} {
		backend.Send(m)
	}
	if err := backend.Flush(); err != nil {
		return err
	}
	return answerReads(backend)
}

// answerReads says that the server takes writes, and nothing else.
func answerReads(backend *pgproto3.Backend) error {
	for {
		message, err := backend.Receive()
		if err != nil {
			return nil //nolint:nilerr // the client has left
		}
		if _, ok := message.(*pgproto3.Query); !ok {
			return nil
		}
		backend.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("transaction_read_only"), DataTypeOID: 25}}})
		backend.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("off")}})
		backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("SHOW")})
		backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if err := backend.Flush(); err != nil {
			return err
		}
	}
}
