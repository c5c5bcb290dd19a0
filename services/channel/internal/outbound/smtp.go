package outbound

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
)

// SMTP is a Carrier that hands letters to a mail server, each over a connection of
// its own. Up to the mail's first byte nothing can arrive: whatever goes wrong is
// tried again. From then on only the server's answer tells; where it is lost, so is
// what it said.
type SMTP struct {
	Host           string
	Port           int
	User, Password string // empty: it is not asked for
	// Secure has TLS from the first byte on; else it begins when the server offers it,
	// and has to where there is a password.
	Secure bool
	// From is the address that e-mail is sent from.
	From string
	// Patience is how long the server may take to get as far as the mail itself, and
	// to answer when it has it; 0: 20 s and a minute.
	Patience, AnswerWithin time.Duration

	roots *x509.CertPool // whom a server's certificate may be from; nil: the system's
}

// How long a mail server may take. RFC 5321 would have it answer within ten
// minutes; but the other mails wait meanwhile.
const (
	patience     = 20 * time.Second
	answerWithin = time.Minute
	farewell     = time.Second
)

// Carry sends a letter.
func (s *SMTP) Carry(ctx context.Context, letter Letter, begin func() error) error {
	m, err := compose(letter, s.From)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.Patience, patience))
	defer cancel()
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // what counts has been said, or never will be
	defer c.keep()
	if err := c.open(m); err != nil {
		return err
	}
	data, err := c.client.Data()
	if err != nil {
		return said("the mail", err)
	}
	if !c.keep() {
		return fmt.Errorf("speak to the mail server: %w", ctx.Err())
	}
	if err := begin(); err != nil {
		return err // the connection ends in the midst of it: the server has no mail
	}
	if err := c.SetDeadline(time.Now().Add(cmp.Or(s.AnswerWithin, answerWithin))); err != nil {
		return fmt.Errorf("bound how long the mail server may take: %w", err)
	}
	if _, err := m.WriteTo(data); err != nil {
		return fmt.Errorf("hand a mail over: %w", err)
	}
	if err := data.Close(); err != nil {
		return said("the mail", err)
	}
	_ = c.SetDeadline(time.Now().Add(farewell))
	_ = c.client.Quit()
	return nil
}

// Ask tells that nobody can tell: a mail server can't be asked.
func (s *SMTP) Ask(context.Context, string) (Fate, error) {
	return Fate{channelv1.MessageState_MESSAGE_STATE_UNKNOWN, interrupted}, nil
}

// connection is one to a mail server, and what is spoken over it. It is closed when
// its context ends, unless it is kept before.
type connection struct {
	net.Conn
	client *smtp.Client
	keep   func() bool
}

// dial connects, and says who speaks.
func (s *SMTP) dial(ctx context.Context) (*connection, error) {
	c := &connection{}
	policy := mail.TLSOpportunistic
	if s.User != "" && !s.Secure {
		policy = mail.TLSMandatory
	}
	trust := &tls.Config{ServerName: s.Host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	options := []mail.Option{
		mail.WithPort(s.Port), mail.WithTLSPolicy(policy), mail.WithTLSConfig(trust), mail.WithTimeout(cmp.Or(s.Patience, patience)),
		mail.WithDialContextFunc(func(dialling context.Context, network, address string) (conn net.Conn, err error) {
			if c.Conn, err = (&net.Dialer{}).DialContext(dialling, network, address); err != nil {
				return nil, err
			}
			// What the server says first is waited for without a context.
			c.keep = context.AfterFunc(ctx, func() { _ = c.Close() })
			if s.Secure {
				return tls.Client(c.Conn, trust), nil
			}
			return c.Conn, nil
		}),
	}
	if s.User != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.User), mail.WithPassword(s.Password))
	}
	dialer, err := mail.NewClient(s.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("the mail server: %w", err)
	}
	if c.client, err = dialer.DialToSMTPClientWithContext(ctx); err != nil {
		if c.Conn != nil {
			_ = c.Close()
		}
		return nil, fmt.Errorf("reach the mail server: %w", err)
	}
	return c, nil
}

// open tells the server whom the mail is from, and whom it goes to. What it says of
// the sender it would say of every mail: so the others wait as well.
func (c *connection) open(m *mail.Msg) error {
	from, err := m.GetSender(false)
	if err != nil {
		return fmt.Errorf("the sender: %w", err)
	}
	if err := c.client.Mail(from); err != nil {
		return fmt.Errorf("tell the mail server the sender: %w", err)
	}
	to, err := m.GetRecipients()
	if err != nil || len(to) != 1 {
		return TurnedAwayError{"the customer's e-mail address is none"}
	}
	if err := c.client.Rcpt(to[0]); err != nil {
		return said("the address", err)
	}
	return nil
}

// enhanced is a status code of RFC 3463, with which an answer may begin.
var enhanced = regexp.MustCompile(`^[245]\.[0-9]{1,3}\.[0-9]{1,3}\b`)

// said is what a mail server said of an address or of a mail, by its codes alone:
// the text may repeat the address.
func said(of string, err error) error {
	answer, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return fmt.Errorf("the mail server was lost: %w", err)
	}
	code := fmt.Sprint(answer.Code)
	if more := enhanced.FindString(answer.Msg); more != "" {
		code += " " + more
	}
	switch {
	case answer.Code >= 500:
		return TurnedAwayError{fmt.Sprintf("the mail server does not take %s: %s", of, code)}
	case answer.Code >= 400:
		return PostponedError{fmt.Sprintf("the mail server does not take %s for now: %s", of, code)}
	}
	return fmt.Errorf("the mail server said %s, which is no answer to %s", code, of)
}
