package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/outbound/mailtest"
)

const ada = "ada@example.org"

func letter() Letter {
	return Letter{MessageID: "m-1", Name: "Ada Lovelace", Address: ada, Content: "Koop een fiets\n\nZo één die rijdt.\n.\nEnd", At: at}
}

func carrierTo(s *mailtest.Server) *SMTP {
	return &SMTP{Host: s.Host(), Port: s.Port(), From: "Service <service@example.com>", Patience: 5 * time.Second, AnswerWithin: 200 * time.Millisecond}
}

func TestAMailArrivesAsItWasWritten(t *testing.T) {
	server := mailtest.Start(t, nil)
	l := letter()
	l.Name, l.Content = "Zoë Ångström", "Één fiets voor Zoë\n\n.\n..\nFrom here on: ünïcödé, "+strings.Repeat("long ", 300)
	if err := carrierTo(server).Carry(t.Context(), l, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	taken := server.Taken(ada)
	if len(taken) != 1 {
		t.Fatalf("%d mails arrived", len(taken))
	}
	m := taken[0]
	words := new(mime.WordDecoder)
	subject, err := words.DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil {
		t.Fatal(err)
	}
	sent, err := m.Header.Date()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(m.Body)))
	if err != nil {
		t.Fatal(err)
	}
	for what, is := range map[string]struct{ got, want string }{
		"envelope":   {m.From + " to " + m.To, "service@example.com to " + ada},
		"From":       {m.Header.Get("From"), `"Service" <service@example.com>`},
		"To":         {to[0].Name + " " + to[0].Address, "Zoë Ångström " + ada},
		"Subject":    {subject, "Één fiets voor Zoë"},
		"Message-ID": {m.Header.Get("Message-ID"), "<m-1@example.com>"},
		"Date":       {sent.UTC().String(), at.String()},
		"type":       {m.Header.Get("Content-Type"), "text/plain; charset=UTF-8"},
		"body":       {strings.TrimRight(strings.ReplaceAll(string(body), "\r\n", "\n"), "\n"), strings.TrimRight(l.Content, "\n")},
	} {
		if is.got != is.want {
			t.Errorf("%s: %q, want %q", what, is.got, is.want)
		}
	}
}

// What a carrier says of each fault, and what the server has then.
func TestWhatGoesWrongWithAMailServerIsToldApart(t *testing.T) {
	for fault, want := range map[mailtest.Fault]struct {
		fate  channelv1.MessageState // 0: the server is away, nothing is said of the message
		why   string
		begun bool
		taken int
	}{
		mailtest.None:        {channelv1.MessageState_MESSAGE_STATE_SENT, "", true, 1},
		mailtest.GoingDown:   {channelv1.MessageState_MESSAGE_STATE_ACCEPTED, "the mail server does not take the address for now: 421 4.3.2", false, 0},
		mailtest.NoTime:      {channelv1.MessageState_MESSAGE_STATE_ACCEPTED, "the mail server does not take the address for now: 450 4.2.0", false, 0},
		mailtest.NoMailbox:   {channelv1.MessageState_MESSAGE_STATE_BOUNCED, "the mail server does not take the address: 550 5.1.1", false, 0},
		mailtest.HangUpEarly: {0, "", false, 0},
		mailtest.MailLater:   {channelv1.MessageState_MESSAGE_STATE_ACCEPTED, "the mail server does not take the mail for now: 452 4.3.1", true, 0},
		mailtest.MailNever:   {channelv1.MessageState_MESSAGE_STATE_BOUNCED, "the mail server does not take the mail: 554 5.7.1", true, 0},
		mailtest.LostTaken:   {channelv1.MessageState_MESSAGE_STATE_UNKNOWN, noAnswer, true, 1},
		mailtest.LostDropped: {channelv1.MessageState_MESSAGE_STATE_UNKNOWN, noAnswer, true, 0},
		mailtest.SilentTaken: {channelv1.MessageState_MESSAGE_STATE_UNKNOWN, noAnswer, true, 1},
	} {
		t.Run(fault.String(), func(t *testing.T) {
			server := mailtest.Start(t, func(string, int) mailtest.Fault { return fault })
			begun := false
			err := carrierTo(server).Carry(t.Context(), letter(), func() error {
				begun = true
				if n := server.Total(); n != 0 {
					t.Errorf("the server had %d mails before it was on record that it may", n)
				}
				return nil
			})
			fate, held := fateOf(err, begun)
			if fate.State != want.fate || fate.Reason != want.why || (held != nil) != (want.fate == 0) {
				t.Errorf("the fate is %v %q (%v), want %v %q", fate.State, fate.Reason, held, want.fate, want.why)
			}
			if begun != want.begun || len(server.Taken(ada)) != want.taken {
				t.Errorf("begun: %t, and the server has %d; want %t, %d", begun, len(server.Taken(ada)), want.begun, want.taken)
			}
			if err != nil && strings.Contains(err.Error(), ada) {
				t.Errorf("the error tells the address: %v", err)
			}
		})
	}
	if covered := 10; covered != int(mailtest.Faults) {
		t.Errorf("there are %d faults, and %d in the table", mailtest.Faults, covered)
	}
}

func TestAMailThatCantBePutOnRecordDoesNotLeave(t *testing.T) {
	server := mailtest.Start(t, nil)
	away := notBegunError{errors.New("the store is away")}
	err := carrierTo(server).Carry(t.Context(), letter(), func() error { return away })
	if !errors.Is(err, away) {
		t.Errorf("told %v", err)
	}
	if fate, held := fateOf(err, true); fate.State != channelv1.MessageState_MESSAGE_STATE_ACCEPTED || held == nil {
		t.Errorf("its fate is %v, %v", fate, held)
	}
	// The next one shows that the server is through with it.
	if err := carrierTo(server).Carry(t.Context(), letter(), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if n := server.Total(); n != 1 {
		t.Errorf("%d mails arrived", n)
	}
}

func TestAMailServerThatIsNotThereIsAway(t *testing.T) {
	server := mailtest.Start(t, nil)
	server.Down()
	begun := func() error { t.Error("it began"); return nil }
	if err := carrierTo(server).Carry(t.Context(), letter(), begun); err == nil {
		t.Error("it arrived nowhere")
	} else if fate, _ := fateOf(err, false); fate != (Fate{}) {
		t.Errorf("its fate is %v", fate)
	}
	server.Up()
	if err := carrierTo(server).Carry(t.Context(), letter(), func() error { return nil }); err != nil || server.Total() != 1 {
		t.Errorf("%v; %d arrived", err, server.Total())
	}
}

// A server that takes the connection and says nothing holds nobody up for long, and
// neither does one that is spoken to when the service is told to stop.
func TestAMailServerThatSaysNothingIsAway(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	s := &SMTP{Host: "127.0.0.1", Port: silent.Addr().(*net.TCPAddr).Port, From: "service@example.com", Patience: 50 * time.Millisecond}
	begun := func() error { t.Error("it began"); return nil }
	if err := s.Carry(t.Context(), letter(), begun); err == nil {
		t.Error("it arrived nowhere")
	}
	s.Patience = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := s.Carry(ctx, letter(), begun); err == nil {
		t.Error("it arrived nowhere")
	}
}

func TestWhatIsNoAddressIsTurnedAway(t *testing.T) {
	server := mailtest.Start(t, nil)
	for _, address := range []string{"", "ada", "ada@example.org\r\nRCPT TO:<eve@example.org>", "a@b, c@d", "@"} {
		l := letter()
		l.Address = address
		err := carrierTo(server).Carry(t.Context(), l, func() error { t.Error("it began"); return nil })
		if fate, _ := fateOf(err, false); fate.State != channelv1.MessageState_MESSAGE_STATE_BOUNCED || fate.Reason != "the customer's e-mail address is none" {
			t.Errorf("%q: %v", address, err)
		}
	}
	l := letter()
	l.Name, l.Content = "Eve\r\nBcc: eve@example.org", "Hello\r\nBcc: eve@example.org"
	if err := carrierTo(server).Carry(t.Context(), l, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if m := server.Taken(ada)[0]; m.Header.Get("Bcc") != "" {
		t.Errorf("a name has become a header: %v", m.Header)
	}
}

func TestASubjectIsTheFirstLine(t *testing.T) {
	for content, want := range map[string]string{
		"Buy a bicycle": "Buy a bicycle", "\n Buy \n now": "Buy", "": "",
		strings.Repeat("word ", 20): strings.TrimSpace(strings.Repeat("word ", 15)) + "…",
		strings.Repeat("é", 80):     strings.Repeat("é", 78) + "…",
	} {
		if got := subject(content); got != want {
			t.Errorf("the subject of %q is %q, want %q", content, got, want)
		}
	}
}

// A password is said to a server that is who it says it is, and to no other.
func TestAPasswordIsSaidToAServerThatIsTrusted(t *testing.T) {
	https := httptest.NewTLSServer(nil)
	t.Cleanup(https.Close)
	roots := https.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for name, tc := range map[string]struct {
		clear, fromStart, stranger bool
		password                   string
		wrong                      string // what its error tells; empty: the mail arrives
	}{
		"TLS when it is asked for": {password: "secret"},
		"TLS from the start":       {fromStart: true, password: "secret"},
		"another password":         {password: "guess", wrong: "535"},
		"a server that is unknown": {stranger: true, password: "secret", wrong: "certificate"},
		"unknown from the start":   {stranger: true, fromStart: true, password: "secret", wrong: "certificate"},
		"a server that has no TLS": {clear: true, password: "secret", wrong: "STARTTLS"},
	} {
		t.Run(name, func(t *testing.T) {
			config := &tls.Config{Certificates: https.TLS.Certificates, MinVersion: tls.VersionTLS12}
			if tc.clear {
				config = nil
			}
			server := mailtest.StartSecure(t, config, tc.fromStart, "me", "secret")
			s := carrierTo(server)
			s.User, s.Password, s.Secure = "me", tc.password, tc.fromStart
			if !tc.stranger {
				s.roots = roots
			}
			begun := false
			err := s.Carry(t.Context(), letter(), func() error { begun = true; return nil })
			if arrived := server.Total() == 1; arrived != (tc.wrong == "") || begun != arrived {
				t.Fatalf("arrived: %t, begun: %t (%v)", arrived, begun, err)
			}
			if tc.wrong == "" {
				return
			}
			if fate, held := fateOf(err, false); fate != (Fate{}) || held == nil || !strings.Contains(err.Error(), tc.wrong) {
				t.Errorf("its fate is %v, %v", fate, err)
			}
			if strings.Contains(err.Error(), tc.password) {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}
