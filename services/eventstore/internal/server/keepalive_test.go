package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// pinger speaks HTTP/2 as a client does that has no call: gRPC's own never
// pings more often than every 10 seconds.
type pinger struct {
	*http2.Framer
	conn net.Conn
}

func dialPinger(t *testing.T, s *served) *pinger {
	t.Helper()
	conn, err := s.listener.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	p := &pinger{http2.NewFramer(conn, conn), conn}
	if err := p.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return p
}

var errGoAway = errors.New("the server sent GOAWAY")

// ping sends a ping and waits for its answer.
func (p *pinger) ping(n byte) error {
	data := [8]byte{n}
	if err := p.WritePing(false, data); err != nil {
		return err
	}
	for {
		frame, err := p.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.GoAwayFrame:
			return fmt.Errorf("%w: %v %s", errGoAway, f.ErrCode, f.DebugData())
		case *http2.PingFrame:
			if f.IsAck() && f.Data == data {
				return nil
			}
		}
	}
}

// A client without a call may ping as often as the policy says, for as long as
// it likes. The answer to each ping is awaited before the pause, so that none
// comes early however busy the machine is.
func TestPingsAsOftenAsIsAllowed(t *testing.T) {
	const allowed = 50 * time.Millisecond
	p := dialPinger(t, serve(t, Options{minPing: allowed}))
	pause := time.NewTimer(0)
	defer pause.Stop()
	for n := range byte(12) { // the third early one would be too many
		<-pause.C
		if err := p.ping(n); err != nil {
			t.Fatalf("ping %d: %v", n, err)
		}
		pause.Reset(allowed + 10*time.Millisecond)
	}
}

func TestPingsThatAreTooManyEndTheConnection(t *testing.T) {
	policies := map[string]time.Duration{"a policy of an hour": time.Hour, "the policy there is": 0}
	for name, allowed := range policies {
		t.Run(name, func(t *testing.T) {
			p := dialPinger(t, serve(t, Options{minPing: allowed}))
			for n := range byte(12) {
				if err := p.ping(n); err != nil {
					if !errors.Is(err, errGoAway) {
						t.Fatalf("ping %d: %v", n, err)
					}
					return
				}
			}
			t.Error("the connection goes on")
		})
	}
}

// What clients do by default is half as often as is allowed.
func TestClientsMayPingAsTheyDo(t *testing.T) {
	const clients = 10 * time.Second
	if minPing > clients/2 {
		t.Errorf("a client may ping every %v, and clients do so every %v", minPing, clients)
	}
}
