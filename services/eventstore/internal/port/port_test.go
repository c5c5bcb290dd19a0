package port

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

func splitLoopback(t *testing.T) (*Splitter, chan error) {
	t.Helper()
	root, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Split(root, nil)
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() { _ = s.Close() })
	return s, served
}

func dial(t *testing.T, s *Splitter) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.root.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestConnectionsGoWhereTheirFirstBytesSay(t *testing.T) {
	cases := map[string]struct {
		first string
		to    func(*Splitter) net.Listener
	}{
		"HTTP/2":      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (*Splitter).HTTP2},
		"GET":         {"GET /health/live HTTP/1.1\r\n\r\n", (*Splitter).HTTP1},
		"PUT":         {"PUT / HTTP/1.1\r\n\r\n", (*Splitter).HTTP1},
		"another one": {"PRIVATE / HTTP/1.1\r\n\r\n", (*Splitter).HTTP1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, _ := splitLoopback(t)
			conn := dial(t, s)
			for _, piece := range []string{tc.first[:2], tc.first[2:]} { // however it is cut
				if _, err := io.WriteString(conn, piece); err != nil {
					t.Fatal(err)
				}
			}
			accepted, err := tc.to(s).Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer accepted.Close() //nolint:errcheck // it is only read from
			got := make([]byte, len(tc.first))
			if _, err := io.ReadFull(accepted, got); err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.first {
				t.Errorf("read %q, sent was %q", got, tc.first)
			}
		})
	}
}

func TestCloseEndsEverything(t *testing.T) {
	s, served := splitLoopback(t)
	silent := dial(t, s) // never says what it speaks
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("serving ended with %v, want %v", err, net.ErrClosed)
	}
	for name, listener := range map[string]net.Listener{"HTTP/2": s.HTTP2(), "HTTP/1": s.HTTP1()} {
		if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: accepting failed with %v, want %v", name, err, net.ErrClosed)
		}
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("a connection that said nothing is still open")
	}
}

// FuzzPreface sends any first bytes: who gets the connection gets all of them.
func FuzzPreface(f *testing.F) {
	for _, first := range []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "PRI", "PRI_", "", "\x16\x03\x01"} {
		f.Add([]byte(first))
	}
	f.Fuzz(func(t *testing.T, first []byte) {
		s := Split(&listener{addr: &net.TCPAddr{}, closed: make(chan struct{})}, nil)
		client, server := net.Pipe()
		defer client.Close() //nolint:errcheck // all was read
		go func() {
			_, _ = client.Write(first) // what arrives is compared below
			if len(first) < len(preface) {
				_ = client.Close()
			}
		}()
		conn, to, err := s.identify(server)
		if len(first) < len(preface) {
			if err == nil {
				t.Errorf("%q was enough", first)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		want, got := s.http1, make([]byte, len(first))
		if strings.HasPrefix(string(first), preface) {
			want = s.http2
		}
		if _, err := io.ReadFull(conn, got); err != nil || to != want || !bytes.Equal(first, got) {
			t.Errorf("%q came as %q (%v), to HTTP/2: %v", first, got, err, to == s.http2)
		}
	})
}
