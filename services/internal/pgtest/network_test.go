package pgtest

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A server on a network is there for who knows its password, and for nobody else.
func TestAServerOnANetworkWantsItsPassword(t *testing.T) {
	if find() == "" {
		missing(t)
	}
	s, err := StartOn(t.Context(), "127.0.0.1", "127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	right := s.NetworkURL("postgres")
	conn, err := pgx.Connect(t.Context(), right)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := pgx.Connect(t.Context(), strings.Replace(right, s.net.password, "guessed", 1)); err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("with another password: %v", err)
	}
	if _, err := StartOn(t.Context(), "127.0.0.1", "everybody"); err == nil {
		t.Error("it listens to everybody")
	}
}
