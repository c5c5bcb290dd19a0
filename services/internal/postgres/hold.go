package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Hold takes the lock of a name in the schema for as long as its caller has it: until
// release, or until the process ends, or the connection that it is held on. ok tells
// that nobody else has it.
func (s *Server) Hold(ctx context.Context, name string) (release func() error, ok bool, err error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, false, err
	}
	end := func() error { return conn.Close(context.WithoutCancel(ctx)) }
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, 0))`, s.schema+"/"+name).Scan(&ok); err != nil {
		return nil, false, errors.Join(fmt.Errorf("take the lock on %s: %w", name, Explain(err)), end())
	}
	if !ok {
		return nil, false, end()
	}
	return end, true, nil
}

// NamedBeside returns the names that begin so, in their order, of the schemas beside
// this one.
func (s *Server) NamedBeside(ctx context.Context, prefix string) (names []string, err error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	beside := s.schema + "_"
	rows, err := conn.Query(ctx, `SELECT substr(nspname, length($1) + 1) FROM pg_namespace WHERE starts_with(nspname::text, $1 || $2) ORDER BY 1`, beside, prefix)
	if err != nil {
		return nil, fmt.Errorf("look for schemas beside %s: %w", s.schema, Explain(err))
	}
	if names, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, fmt.Errorf("look for schemas beside %s: %w", s.schema, Explain(err))
	}
	return names, nil
}
