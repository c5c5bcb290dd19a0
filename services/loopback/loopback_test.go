package loopback_test

import (
	"context"
	"net"
	"testing"

	"github.com/triangle-suite/triangle/services/loopback"
)

// What goes out takes nobody's address, wherever it goes: the one that was given can
// be listened on again and again.
func TestAnAddressStaysFree(t *testing.T) {
	for range 5 {
		address := loopback.Address(t)
		for range 3 {
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			from := callerOf(t, l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if host, _, _ := net.SplitHostPort(address); from == host || from != "127.0.0.1" {
				t.Errorf("who calls %s does so from %s", address, from)
			}
		}
	}
}

func callerOf(t *testing.T, l net.Listener) (host string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if host, _, err = net.SplitHostPort(conn.LocalAddr().String()); err != nil {
		t.Fatal(err)
	}
	return host
}
