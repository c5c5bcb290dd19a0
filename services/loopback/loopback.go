// Package loopback gives tests addresses for programs that have to be told where to
// listen, and listen there again when they are started again.
package loopback

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// tries is how often a host is drawn that has no port to give.
const tries = 10

// Address is a host and port of this machine on which nobody listens, and nobody will
// but whom the caller tells of it. A port of 127.0.0.1 can be anybody's as soon as it
// is let go, as connections that go out take theirs from the same ones; to wherever
// they go within 127.0.0.0/8, they go out from 127.0.0.1. So the host is another one.
func Address(tb testing.TB) string {
	tb.Helper()
	var err error
	for range tries {
		host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
		var l net.Listener
		if l, err = new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(host, "0")); err != nil {
			continue
		}
		defer func() { _ = l.Close() }() // it only found a port
		return l.Addr().String()
	}
	tb.Fatalf("find an address to listen on: %v", err)
	return ""
}
