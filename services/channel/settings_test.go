package channel

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
	"github.com/triangle-suite/triangle/services/channel/internal/outbound"
	"github.com/triangle-suite/triangle/services/internal/config"
)

func TestWhereMailGoesIsReadFromTheConfiguration(t *testing.T) {
	for text, want := range map[string]outbound.SMTP{
		"mail.example.org:587":  {Host: "mail.example.org", Port: 587},
		"[::1]:25":              {Host: "::1", Port: 25},
		"smtp://127.0.0.1:2525": {Host: "127.0.0.1", Port: 2525},
		"smtp://me:se%40cret@mail.example.org:587": {Host: "mail.example.org", Port: 587, User: "me", Password: "se@cret"},
		"smtps://me:secret@mail.example.org:465/":  {Host: "mail.example.org", Port: 465, User: "me", Password: "secret", Secure: true},
	} {
		want.From = "a@example.org"
		got, err := Settings{SMTP: MailServer(text), MailFrom: "a@example.org"}.mail()
		if err != nil || *got.(*outbound.SMTP) != want { //nolint:forcetypeassert // a test
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestContactTimeOutsThatAreNotSetStayAsTheyAre(t *testing.T) {
	all, err := Settings{ContactTimeOuts: "website=20m, call-centre=2h"}.timeOuts()
	want := contact.TimeOuts{1: 20 * time.Minute, 2: 72 * time.Hour, 3: 2 * time.Hour, 4: 2 * time.Hour, 5: 336 * time.Hour}
	if err != nil || !maps.Equal(all, want) {
		t.Errorf("%v, %v; want %v", all, err, want)
	}
}

func TestWrongPartnersAreRefusedAtTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	server := "TRIANGLE_SMTP (--smtp) " + errNoMailServer.Error()
	for args, want := range map[string]string{
		"--smtp=mail.example.org":               server,
		"--smtp=:25":                            server,
		"--smtp=mail.example.org:0":             server,
		"--smtp=mail.example.org:99999":         server,
		"--smtp=http://mail.example.org:25":     server,
		"--smtp=smtp://me:secret@":              server,
		"--smtp=smtp://mail.example.org:25/box": server,
		"--mail-from=nobody":                    `TRIANGLE_MAIL_FROM (--mail-from) is "nobody": write an e-mail address, such as service@example.org or 'Service <service@example.org>'`,
		"--call-timeout=long":                   `TRIANGLE_CALL_TIMEOUT (--call-timeout) is "long": write a time, such as 30m or 2h`,
		"--call-timeout=1m":                     `TRIANGLE_CALL_TIMEOUT (--call-timeout) is "1m": an agent must be left at least 5m0s for a call`,
		"--contact-timeouts=fax=1h":             `TRIANGLE_CONTACT_TIMEOUTS (--contact-timeouts) has "fax=1h", which names no channel: write channel=time, such as website=20m, for any of website, email, call-centre, branch, print`,
		"--contact-timeouts=website=long":       `TRIANGLE_CONTACT_TIMEOUTS (--contact-timeouts) has "website=long", which is no time: write such as website=90m or website=72h`,
		"--contact-timeouts=website":            `TRIANGLE_CONTACT_TIMEOUTS (--contact-timeouts) has "website", which is no time`,
		"--contact-timeouts=email=1h,branch=0":  `TRIANGLE_CONTACT_TIMEOUTS (--contact-timeouts) has "branch=0": a contact must be left at least 5m0s`,
		"--contact-timeouts=branch=1h,":         `TRIANGLE_CONTACT_TIMEOUTS (--contact-timeouts) has "", which names no channel`,
		"--contact-timeouts=print=9h,print=8h":  `TRIANGLE_CONTACT_TIMEOUTS (--contact-timeouts) has two times for print: leave one of them out`,
		"--smtp=a:25 --mail-folder=x":           "TRIANGLE_SMTP (--smtp) and TRIANGLE_MAIL_FOLDER (--mail-folder) are both given: leave one of them out",
		"--mail-folder=" + file:                 fmt.Sprintf("TRIANGLE_MAIL_FOLDER (--mail-folder) is %s, which can't be written to: make it a folder of the service's own", file),
		"--print-folder=" + file + "/letters":   fmt.Sprintf("TRIANGLE_PRINT_FOLDER (--print-folder) is %s/letters, which can't be written to: make it a folder of the service's own", file),
	} {
		var settings Settings
		_, err := config.Parse(config.Channel, append(strings.Fields(args), "--database="+file+".db", "--keys="+file+".keys"), io.Discard, &settings)
		if err == nil {
			_, err = settings.mail()
		}
		if err == nil {
			_, err = settings.print()
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", args, err)
		}
	}
}

func TestAMailServersPasswordIsNotShown(t *testing.T) {
	m := MailServer("smtp://me:secret@mail.example.org:587")
	text, err := m.MarshalText()
	if err != nil || strings.Contains(fmt.Sprint(m, string(text)), "secret") {
		t.Errorf("shown as %s and %s, %v", m, text, err)
	}
}

func TestWithoutPartnersMessagesAreRefused(t *testing.T) {
	inBubbleWith(t, func(s *Settings) { *s = Settings{} }, func(t *testing.T, w *world) {
		w.play("view-a", "", view("a", person("a")))
		w.play("view-b", "", view("b", person("b")))
		w.order(email, "a")
		w.order(print, "b")
		w.pass(2 * time.Hour)
		w.wantMessages(0, "m-b refused the channel has nobody to print letters", "m-a refused the channel has nobody to send e-mail by")
	})
}

// person is one who can be reached by every way.
func person(name string) *journeyv1.Person {
	return &journeyv1.Person{
		Email: name + "@example.org", Phone: "+31" + name,
		Address: &journeyv1.Address{StreetNumber: "12", Street: "High Street", Postcode: "2000", Suburb: "Oldtown"},
	}
}
