// Package mailtest runs a mail server for tests, which does what goes wrong with
// mail servers.
package mailtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Fault is what goes wrong with one try to hand a mail over.
type Fault int

// The faults.
const (
	None        Fault = iota
	GoingDown         // 421 to the address
	NoTime            // 450 to the address
	NoMailbox         // 550 to the address
	HangUpEarly       // the connection ends after the address
	MailLater         // 452 to the mail
	MailNever         // 554 to the mail
	LostTaken         // the connection ends without an answer, and the mail is taken
	LostDropped       // the same, and the mail is not
	SilentTaken       // no answer ever comes, and the mail is taken
	Faults            // how many there are
)

var names = [...]string{
	"none", "going down", "no time", "no mailbox", "hang up early", "mail later", "mail never", "lost, taken", "lost, dropped", "silent, taken",
}

// String names the fault.
func (f Fault) String() string { return names[f] }

// Server is a mail server on the loopback, over TCP. Start it outside of a
// bubble: its goroutines wait for the network, and time would never pass in there.
type Server struct {
	t     testing.TB
	addr  string
	inner *smtp.Server
	ear   net.Listener
	left  chan struct{} // closed when the test ends: silence ends, too
	rise  chan struct{} // asks for the server to come up, and
	risen chan error    // tells that it has

	secure         *tls.Config // nil: it speaks in clear
	fromStart      bool
	user, password string // empty: it asks for none

	mu     sync.Mutex
	fault  func(address string, try int) Fault
	tries  map[string]int
	taken  map[string][]Mail
	struck map[string][]Fault
}

// Mail is one that the server has taken.
type Mail struct {
	From   string // of the envelope, and To as well
	To     string
	Header mail.Header
	Body   string
}

// Start starts a server that does what fault says of the nth try, from 1, to send
// to an address; nil: nothing goes wrong.
func Start(t testing.TB, fault func(address string, try int) Fault) *Server {
	t.Helper()
	return start(t, &Server{fault: fault})
}

// StartSecure starts a server that speaks TLS, from the start or when it is asked
// to, and has a user say a password.
func StartSecure(t testing.TB, config *tls.Config, fromStart bool, user, password string) *Server {
	t.Helper()
	return start(t, &Server{secure: config, fromStart: fromStart, user: user, password: password})
}

func start(t testing.TB, s *Server) *Server {
	t.Helper()
	s.t, s.addr = t, "127.0.0.1:0"
	if s.fault == nil {
		s.fault = func(string, int) Fault { return None }
	}
	s.left, s.rise, s.risen = make(chan struct{}), make(chan struct{}), make(chan error)
	s.tries, s.taken, s.struck = map[string]int{}, map[string][]Mail{}, map[string][]Fault{}
	go func() {
		for range s.rise {
			s.risen <- s.listen()
		}
	}()
	s.Up()
	t.Cleanup(func() {
		close(s.rise)
		close(s.left)
		s.Down()
	})
	return s
}

// Up has the server listen, where it did before.
func (s *Server) Up() {
	s.t.Helper()
	s.rise <- struct{}{}
	if err := <-s.risen; err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) listen() (err error) {
	if s.ear, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.addr); err != nil {
		return err
	}
	s.addr = s.ear.Addr().String()
	inner, ear := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: s, conn: c}, nil
	})), s.ear
	inner.Domain = "mail.example.org"
	inner.EnableSMTPUTF8 = true
	inner.ErrorLog = quiet{}
	inner.TLSConfig = s.secure
	if s.fromStart {
		ear = tls.NewListener(ear, s.secure)
	}
	s.inner = inner
	go func() { _ = inner.Serve(ear) }()
	return nil
}

// quiet keeps to itself what the server says: that clients hang up is what tests do.
type quiet struct{}

// Printf implements smtp.Logger.
func (quiet) Printf(string, ...any) {}

// Println implements smtp.Logger.
func (quiet) Println(...any) {}

// Down has the server listen no longer, and end what it listens to.
func (s *Server) Down() {
	_ = s.inner.Close()
	_ = s.ear.Close() // Serve may not have got as far as to make it the server's
}

// Host is where the server listens.
func (s *Server) Host() string { return "127.0.0.1" }

// Port is where the server listens.
func (s *Server) Port() (port int) {
	_, text, _ := strings.Cut(s.addr, ":")
	if _, err := fmt.Sscan(text, &port); err != nil {
		s.t.Fatal(err)
	}
	return port
}

// Addr is where the server listens, as host:port.
func (s *Server) Addr() string { return s.addr }

// Taken returns the mails to an address that the server has taken, whatever it
// said.
func (s *Server) Taken(address string) []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken[address]
}

// Struck returns what went wrong with the mails to an address, try by try.
func (s *Server) Struck(address string) []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.struck[address]
}

// Total is how many mails the server has taken.
func (s *Server) Total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, mails := range s.taken {
		n += len(mails)
	}
	return n
}

// session is one connection.
type session struct {
	server   *Server
	conn     *smtp.Conn
	from, to string
	fault    Fault
	known    bool // it has said the password
}

// AuthMechanisms implements smtp.AuthSession.
func (s *session) AuthMechanisms() []string {
	if s.server.user == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth implements smtp.AuthSession.
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.server.user || password != s.server.password {
			return smtp.ErrAuthFailed
		}
		s.known = true
		return nil
	}), nil
}

// Reset implements smtp.Session.
func (*session) Reset() {}

// Logout implements smtp.Session.
func (*session) Logout() error { return nil }

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.user != "" && !s.known {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

// Rcpt implements smtp.Session. The answers repeat the address, as many do.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	s.server.mu.Lock()
	s.server.tries[to]++
	s.fault = s.server.fault(to, s.server.tries[to])
	s.server.struck[to] = append(s.server.struck[to], s.fault)
	s.server.mu.Unlock()
	switch s.fault {
	case NoTime:
		return answer(450, 4, 2, 0, "come back later, "+to)
	case NoMailbox:
		return answer(550, 5, 1, 1, "there is no "+to)
	case GoingDown:
		return answer(421, 4, 3, 2, "going down")
	case HangUpEarly:
		s.hangUp()
	}
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err // the client has left in the midst of it
	}
	switch s.fault {
	case MailLater:
		return answer(452, 4, 3, 1, "no room for "+s.to)
	case MailNever:
		return answer(554, 5, 7, 1, "we do not like what "+s.to+" gets")
	case LostDropped:
		s.hangUp()
		return nil
	}
	m, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		return answer(554, 5, 6, 0, "that is no mail")
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		return answer(554, 5, 6, 0, "that is no mail")
	}
	s.server.mu.Lock()
	s.server.taken[s.to] = append(s.server.taken[s.to], Mail{From: s.from, To: s.to, Header: m.Header, Body: string(body)})
	s.server.mu.Unlock()
	switch s.fault {
	case LostTaken:
		s.hangUp()
	case SilentTaken:
		<-s.server.left
	}
	return nil
}

func (s *session) hangUp() { _ = s.conn.Conn().Close() }

func answer(code, a, b, c int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{a, b, c}, Message: text}
}
