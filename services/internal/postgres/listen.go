package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Notification is the statement that tells the listeners of the schema something
// when its transaction is committed.
func (s *Server) Notification(what string) (statement string, args []any) {
	return `SELECT pg_notify($1, $2)`, []any{s.channel(), what}
}

func (s *Server) channel() string { return "triangle:" + s.schema }

const (
	// checkEvery is how often a connection that hears nothing is checked.
	checkEvery = 15 * time.Second
	// deafPause is how long to wait before listening again, and so how often
	// heard is called while nothing can be heard.
	deafPause = 250 * time.Millisecond
)

// Listen calls heard for whatever is notified in the schema, until ctx ends.
// When it may have missed something, as it has begun to listen or can't for
// now, it calls heard with nothing.
func (s *Server) Listen(ctx context.Context, heard func(what string)) {
	for ctx.Err() == nil {
		s.listen(ctx, heard)
		heard("")
		select {
		case <-ctx.Done():
		case <-time.After(deafPause):
		}
	}
}

// listen listens for as long as one connection lasts.
func (s *Server) listen(ctx context.Context, heard func(string)) {
	conn, err := s.connect(ctx)
	if err != nil {
		return // Listen goes on: readiness tells of a server that is away
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.channel()}.Sanitize()); err != nil {
		return
	}
	heard("")
	for {
		wait, cancel := context.WithTimeout(ctx, checkEvery)
		notification, err := conn.WaitForNotification(wait)
		quiet := wait.Err() != nil
		cancel()
		switch {
		case err == nil:
			heard(notification.Payload)
		case ctx.Err() != nil || !quiet:
			return
		default:
			if err := s.check(ctx, conn); err != nil {
				return
			}
		}
	}
}

// check asks whether the connection still leads anywhere.
func (s *Server) check(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, checkEvery)
	defer cancel()
	return conn.Ping(ctx)
}
