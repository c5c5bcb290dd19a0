// Package postgres connects a service to a PostgreSQL server.
//
// One database can serve a whole environment: each service has a schema of its
// own in it, and the key ring has one too. The schema is made where it is not
// there yet; a URL that names a search_path takes that instead.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// oldest is the oldest major version of PostgreSQL that is served.
const oldest = 14

// Stalled is how long a transaction may wait for its client before the server
// takes it back. The locks of a process that froze, or whose machine was lost,
// are free again after that.
const Stalled = 5 * time.Second

// connectTimeout bounds one try to connect, unless the URL has a
// connect_timeout of its own.
const connectTimeout = 10 * time.Second

// IsURL tells whether a text names a PostgreSQL server, rather than a file.
func IsURL(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && (scheme == "postgres" || scheme == "postgresql")
}

// Check tells what is wrong with a URL. Its text goes after the name of what
// holds it, and quotes no password.
func Check(text string) error {
	const write = "write postgres://user:password@host:5432/database"
	u, err := url.Parse(text)
	if err != nil || !IsURL(text) {
		return errors.New("is not a URL of a PostgreSQL server: " + write)
	}
	if strings.Trim(u.Path, "/") == "" && u.Query().Get("dbname") == "" && u.Query().Get("service") == "" {
		return errors.New("names no database: " + write)
	}
	if _, err := pgx.ParseConfig(text); err != nil {
		return fmt.Errorf("is not a URL of a PostgreSQL server (%s): %s", reason(err), write)
	}
	return nil
}

// Server is a PostgreSQL server, seen from one schema.
type Server struct {
	config *pgx.ConnConfig
	schema string
}

// Connect reaches the server at a URL, checks that it will do, and makes the
// schema unless it is there.
func Connect(ctx context.Context, text, schema string) (*Server, error) {
	if err := Check(text); err != nil {
		return nil, fmt.Errorf("the URL %w", err)
	}
	config, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("read the URL: %s", reason(err))
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.ValidateConnect == nil { // a server that only reads is some other server's standby
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	s := &Server{config: config, schema: schema}
	if own := config.RuntimeParams["search_path"]; own != "" {
		s.schema = strings.Trim(own, `"`)
	}
	s.byDefault("application_name", "triangle "+s.schema)
	s.byDefault("idle_in_transaction_session_timeout", strconv.FormatInt(Stalled.Milliseconds(), 10))
	config.RuntimeParams["search_path"] = pgx.Identifier{s.schema}.Sanitize()
	return s, s.prepare(ctx)
}

func (s *Server) byDefault(setting, value string) {
	if s.config.RuntimeParams[setting] == "" {
		s.config.RuntimeParams[setting] = value
	}
}

// Schema is the schema that statements find their tables in.
func (s *Server) Schema() string { return s.schema }

// Beside is the same server, seen from a schema beside this one, which is made
// unless it is there.
func (s *Server) Beside(ctx context.Context, name string) (*Server, error) {
	beside := &Server{config: s.config.Copy(), schema: s.schema + "_" + name}
	beside.config.RuntimeParams["search_path"] = pgx.Identifier{beside.schema}.Sanitize()
	return beside, beside.prepare(ctx)
}

// Drop removes the schema with all that it holds.
func (s *Server) Drop(ctx context.Context) (err error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{s.schema}.Sanitize()+" CASCADE"); err != nil {
		return fmt.Errorf("drop schema %s: %w", s.schema, Explain(err))
	}
	return nil
}

// prepare checks the server, and makes the schema.
func (s *Server) prepare(ctx context.Context) (err error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if err := checkVersion(conn.PgConn().ParameterStatus("server_version")); err != nil {
		return err
	}
	// Looked for first: to make it where it is there takes rights all the same.
	var there bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)`, s.schema).Scan(&there); err != nil {
		return fmt.Errorf("look for schema %s: %w", s.schema, err)
	}
	if !there {
		_, err = conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{s.schema}.Sanitize())
	}
	if hasCode(err, duplicateKey, duplicateSchema) { // another process was as quick
		err = nil
	}
	if err != nil {
		return fmt.Errorf("make schema %s: %w", s.schema, Explain(err))
	}
	var usable bool
	err = conn.QueryRow(ctx, `SELECT has_schema_privilege($1, 'CREATE') AND has_schema_privilege($1, 'USAGE')`, s.schema).Scan(&usable)
	if err == nil && !usable {
		err = fmt.Errorf("user %s has no rights on schema %s: GRANT ALL ON SCHEMA %[2]s TO %[1]s", s.config.User, s.schema)
	}
	return err
}

func (s *Server) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return nil, Explain(err)
	}
	return conn, nil
}

// Pool returns up to so many connections. ReadOnly ones can't change anything.
// What is open stays open: the server starts a process for each new one, and
// there are few.
func (s *Server) Pool(connections int, access Access) *sql.DB {
	config := s.config.Copy()
	if access == ReadOnly {
		config.RuntimeParams["default_transaction_read_only"] = "on"
		// That it only reads does not make it a standby.
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// Access is what connections are for.
type Access int

// The kinds of access.
const (
	ReadWrite Access = iota
	ReadOnly
)

// Lock is held by a transaction until it ends: others that take the lock of the
// same name in the same schema wait.
func (s *Server) Lock(ctx context.Context, tx *sql.Tx, name string) error {
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, s.schema+"/"+name); err != nil {
		return fmt.Errorf("wait for the lock on %s: %w", name, err)
	}
	return nil
}

// checkVersion refuses a server that is too old. version is such as
// 15.18 (Debian 15.18-0+deb12u1).
func checkVersion(version string) error {
	number, _, _ := strings.Cut(version, " ")
	major, _, _ := strings.Cut(number, ".")
	if n, err := strconv.Atoi(digits(major)); err != nil || n < oldest {
		return fmt.Errorf("the server is PostgreSQL %s: take version %d or later", number, oldest)
	}
	return nil
}

// digits returns the digits that a text begins with: 19beta2 is of version 19.
func digits(text string) string {
	for i, r := range text {
		if r < '0' || r > '9' {
			return text[:i]
		}
	}
	return text
}
