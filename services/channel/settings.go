package channel

import (
	"cmp"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
	"github.com/triangle-suite/triangle/services/channel/internal/idle"
	"github.com/triangle-suite/triangle/services/channel/internal/outbound"
	"github.com/triangle-suite/triangle/services/internal/backoffice"
	"github.com/triangle-suite/triangle/services/internal/config"
)

// Settings are the configuration of channel support.
type Settings struct {
	config.Common
	BackOffice config.URL `name:"backoffice" env:"TRIANGLE_BACKOFFICE" placeholder:"URL" help:"The back office, which is asked to do requests within the contact; without one they stay pending."`

	SMTP        MailServer  `name:"smtp" env:"TRIANGLE_SMTP" placeholder:"HOST:PORT|URL" help:"The mail server that outbound e-mail is handed to: host:port, or smtp://user:password@host:port, or smtps:// with TLS from the start."`
	MailFrom    MailAddress `name:"mail-from" env:"TRIANGLE_MAIL_FROM" default:"triangle@localhost" placeholder:"ADDRESS" help:"The address that e-mail is sent from."`
	MailFolder  string      `name:"mail-folder" env:"TRIANGLE_MAIL_FOLDER" placeholder:"DIR" help:"Where e-mails are left as files when there is no mail server; the folder is made when it is not there. Without either they are refused."`
	PrintFolder string      `name:"print-folder" env:"TRIANGLE_PRINT_FOLDER" placeholder:"DIR" help:"Where letters are left as files for whoever prints them; the folder is made when it is not there. Without one they are refused."`

	ContactTimeOuts ContactTimeOuts `name:"contact-timeouts" env:"TRIANGLE_CONTACT_TIMEOUTS" placeholder:"CHANNEL=TIME,..." help:"For how long a contact may lie untouched before it ends by itself, where it is to be another time than website=30m,email=72h,call-centre=1h,branch=2h,print=336h."`
	CallTimeOut     CallTimeOut     `name:"call-timeout" env:"TRIANGLE_CALL_TIMEOUT" default:"30m" placeholder:"TIME" help:"For how long an agent may keep a call off the work list before it goes back by itself."`

	// Deadline is how long the back office may take; 0: 500 ms. It is no setting of
	// an installation: what a visitor is kept waiting is the same everywhere.
	Deadline time.Duration `kong:"-"`
	// Mail and Print stand in for those who take e-mails and letters: a simulation's.
	Mail, Print Carrier `kong:"-"`
}

// Carrier hands outbound messages over to whoever takes them to the customers.
type Carrier = outbound.Carrier

// Letter is a message with the address that it goes to.
type Letter = outbound.Letter

// Fate is what came of a message that was handed over.
type Fate = outbound.Fate

// MailServer is a mail server as host:port, or as a URL. It may hold a password:
// only the conversion string(m) gives it whole. Empty means that there is none.
type MailServer string

const (
	plainScheme  = "smtp"
	secureScheme = "smtps"
)

// Check says what is wrong with the mail server.
func (m MailServer) Check() error {
	if m == "" {
		return nil
	}
	_, err := m.parse()
	return err
}

// String shows the mail server without its password.
func (m MailServer) String() string {
	if !strings.Contains(string(m), "://") {
		return string(m)
	}
	u, err := url.Parse(string(m))
	if err != nil {
		return "(not a URL)"
	}
	return u.Redacted()
}

// MarshalText shows the mail server without its password.
func (m MailServer) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

var errNoMailServer = errors.New("is no mail server: write host:port, such as mail.example.org:587, or smtp://user:password@host:port, or smtps://")

// parse quotes nothing: what was written may hold a password.
func (m MailServer) parse() (*outbound.SMTP, error) {
	text := string(m)
	if !strings.Contains(text, "://") {
		text = plainScheme + "://" + text
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != plainScheme && u.Scheme != secureScheme) || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errNoMailServer
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil || port < 1 || port > 65535 || config.Address(u.Host).Check() != nil || u.Hostname() == "" {
		return nil, errNoMailServer
	}
	server := &outbound.SMTP{Host: u.Hostname(), Port: port, Secure: u.Scheme == secureScheme, User: u.User.Username()}
	server.Password, _ = u.User.Password()
	return server, nil
}

// MailAddress is an e-mail address, with a name or without.
type MailAddress string

// Check says what is wrong with the address.
func (a MailAddress) Check() error {
	if _, err := mail.ParseAddress(string(a)); err != nil {
		return fmt.Errorf("is %q: write an e-mail address, such as service@example.org or 'Service <service@example.org>'", string(a))
	}
	return nil
}

// ContactTimeOuts are the time-outs of contacts that are set, by channel:
// website=20m,call-centre=2h.
type ContactTimeOuts string

// Check says what is wrong with the time-outs.
func (t ContactTimeOuts) Check() error {
	_, err := contact.ParseTimeOuts(string(t))
	return err
}

// timeOuts are the time-outs of all channels.
func (s Settings) timeOuts() (contact.TimeOuts, error) {
	all, err := contact.ParseTimeOuts(string(s.ContactTimeOuts))
	if err != nil {
		return nil, config.Wrong("TRIANGLE_CONTACT_TIMEOUTS (--contact-timeouts) %w", err)
	}
	return all, nil
}

// CallTimeOut is for how long an agent may keep a call.
type CallTimeOut string

// Check says what is wrong with the time-out.
func (t CallTimeOut) Check() error {
	_, err := t.parse()
	return err
}

func (t CallTimeOut) parse() (time.Duration, error) {
	after, err := time.ParseDuration(string(t))
	switch {
	case err != nil:
		return 0, fmt.Errorf("is %q: write a time, such as 30m or 2h", string(t))
	case after < idle.Shortest:
		return 0, fmt.Errorf("is %q: an agent must be left at least %s for a call", string(t), idle.Shortest)
	}
	return after, nil
}

// defaultCallTimeOut is that of who sets none: enough for a long call and what is
// written down after it.
const defaultCallTimeOut = "30m"

// callTimeOut is the time-out of the channel that calls stand on the list of.
func (s Settings) callTimeOut() (idle.TimeOuts, error) {
	after, err := cmp.Or(s.CallTimeOut, defaultCallTimeOut).parse()
	if err != nil {
		return nil, config.Wrong("TRIANGLE_CALL_TIMEOUT (--call-timeout) %w", err)
	}
	return idle.TimeOuts{journeyv1.Channel_CHANNEL_CALL_CENTRE: after}, nil
}

// patience is how long a visitor is kept waiting for the back office.
const patience = 500 * time.Millisecond

func (s Settings) backOffice() contact.BackOffice {
	office := contact.BackOffice{Deadline: cmp.Or(s.Deadline, patience)}
	if url := string(s.BackOffice); url != "" {
		office.Client = backoffice.New(url)
	}
	return office
}

// mail is who takes e-mails; nil: nobody does.
func (s Settings) mail() (Carrier, error) {
	switch {
	case s.Mail != nil:
		return s.Mail, nil
	case s.SMTP != "" && s.MailFolder != "":
		return nil, config.Wrong("TRIANGLE_SMTP (--smtp) and TRIANGLE_MAIL_FOLDER (--mail-folder) are both given: leave one of them out")
	case s.SMTP != "":
		server, err := s.SMTP.parse()
		if err != nil {
			return nil, config.Wrong("TRIANGLE_SMTP (--smtp) %w", err)
		}
		server.From = string(s.MailFrom)
		return server, nil
	case s.MailFolder != "":
		return carrier("TRIANGLE_MAIL_FOLDER (--mail-folder)", s.MailFolder)(outbound.MailFolder(s.MailFolder, string(s.MailFrom)))
	}
	return nil, nil
}

// print is who takes letters; nil: nobody does.
func (s Settings) print() (Carrier, error) {
	if s.Print != nil || s.PrintFolder == "" {
		return s.Print, nil
	}
	return carrier("TRIANGLE_PRINT_FOLDER (--print-folder)", s.PrintFolder)(outbound.PrintFolder(s.PrintFolder))
}

// carrier is a folder that could be opened, or what to do that it can be.
func carrier(setting, dir string) func(*outbound.Folder, error) (Carrier, error) {
	return func(f *outbound.Folder, err error) (Carrier, error) {
		if err != nil {
			return nil, config.Wrong("%s is %s, which can't be written to: make it a folder of the service's own (%w)", setting, dir, err)
		}
		return f, nil
	}
}
