// Package port lets gRPC and plain HTTP share one TCP port, with or without
// TLS.
//
// Which of the two a connection speaks is known from its first bytes: HTTP/2
// begins with a fixed preface. So a connection is looked at once, when it is
// opened, and is then grpc-go's own transport's, or net/http's, with nothing
// in between that costs time for each call.
package port

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// preface is enough of HTTP/2's connection preface to tell it from any method
// of HTTP/1.
const preface = "PRI "

// openingTimeout bounds how long a client may take to say what it speaks.
const openingTimeout = 10 * time.Second

// Splitter accepts connections and hands each one to one of two listeners.
type Splitter struct {
	root  net.Listener
	tls   *tls.Config
	http2 *listener
	http1 *listener

	mu      sync.Mutex
	opening map[net.Conn]struct{} // connections that have not said what they speak
	closed  bool
	pending sync.WaitGroup
}

// Split returns a Splitter of root. With a configuration, connections must
// speak TLS, and what the listeners hand out is decrypted.
func Split(root net.Listener, config *tls.Config) *Splitter {
	s := &Splitter{root: root, opening: make(map[net.Conn]struct{})}
	s.http1, s.http2 = newListener(root.Addr()), newListener(root.Addr())
	if config != nil {
		s.tls = withProtocol(config)
	}
	return s
}

// withProtocol returns config such that HTTP/2 is agreed on only with a client
// that offers nothing else. gRPC's clients do that; browsers and probes offer
// HTTP/1.1 too, and are better served by it here.
func withProtocol(config *tls.Config) *tls.Config {
	http1, http2 := config.Clone(), config.Clone()
	http1.NextProtos, http2.NextProtos = []string{"http/1.1"}, []string{"h2"}
	chooser := config.Clone()
	chooser.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, "http/1.1") {
			return http1, nil
		}
		return http2, nil
	}
	return chooser
}

// HTTP2 listens to connections that speak HTTP/2.
func (s *Splitter) HTTP2() net.Listener { return s.http2 }

// HTTP1 listens to all other connections.
func (s *Splitter) HTTP1() net.Listener { return s.http1 }

// Serve accepts connections until Close; it then returns net.ErrClosed.
func (s *Splitter) Serve() error {
	var delay backOff
	for {
		conn, err := s.root.Accept()
		switch {
		case err == nil:
			delay.reset()
			s.open(conn)
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of file descriptors, most of the time: that passes
			s.pause(delay.next())
		}
	}
}

// pause waits, unless Close has ended the listeners.
func (s *Splitter) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.http1.closed:
	}
}

// Close ends Serve and both listeners, and cuts the connections that have not
// been handed out.
func (s *Splitter) Close() error {
	s.mu.Lock()
	s.closed = true
	for conn := range s.opening {
		_ = conn.Close() // it is not used for anything yet
	}
	s.mu.Unlock()
	err := errors.Join(s.root.Close(), s.http1.Close(), s.http2.Close())
	s.pending.Wait()
	return err
}

func (s *Splitter) open(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return
	}
	s.opening[conn] = struct{}{}
	s.pending.Go(func() { s.route(conn) })
}

func (s *Splitter) route(conn net.Conn) {
	spoken, to, err := s.identify(conn)
	s.mu.Lock()
	delete(s.opening, conn)
	s.mu.Unlock()
	if err != nil || !to.hand(spoken) {
		_ = conn.Close() // a client that said nothing, or nothing useful
	}
}

// identify reads a connection's first bytes and returns it with those bytes
// still to be read.
func (s *Splitter) identify(conn net.Conn) (net.Conn, *listener, error) {
	if err := conn.SetDeadline(time.Now().Add(openingTimeout)); err != nil {
		return nil, nil, err
	}
	if s.tls != nil {
		secured := tls.Server(conn, s.tls)
		if err := secured.HandshakeContext(context.Background()); err != nil {
			return nil, nil, err
		}
		conn = secured
	}
	first := make([]byte, len(preface))
	if _, err := io.ReadFull(conn, first); err != nil {
		return nil, nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	to := s.http1
	if bytes.Equal(first, []byte(preface)) {
		to = s.http2
	}
	return &replayed{Conn: conn, first: first}, to, nil
}

// replayed is a connection whose first bytes were read already.
type replayed struct {
	net.Conn
	first []byte
}

// Read implements net.Conn.
func (c *replayed) Read(p []byte) (int, error) {
	if len(c.first) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.first)
	c.first = c.first[n:]
	return n, nil
}

// listener hands out connections that were accepted elsewhere.
type listener struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newListener(addr net.Addr) *listener {
	return &listener{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *listener) hand(conn net.Conn) bool {
	select {
	case l.conns <- conn:
		return true
	case <-l.closed:
		return false
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// backOff gives pauses that grow up to a second.
type backOff struct{ last time.Duration }

func (b *backOff) reset() { b.last = 0 }

func (b *backOff) next() time.Duration {
	b.last = min(max(2*b.last, 5*time.Millisecond), time.Second)
	return b.last
}
