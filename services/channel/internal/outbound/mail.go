package outbound

import (
	"bytes"
	"fmt"
	netmail "net/mail"
	"strings"
	"unicode"

	"github.com/wneessen/go-mail"
)

// longestSubject is how many characters of a message's first line its subject has.
const longestSubject = 78

// compose writes a letter as an e-mail. Its Message-ID derives from the message: a
// mail server, or a reader, that gets it twice can tell.
func compose(l Letter, from string) (*mail.Msg, error) {
	sender, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("the address that e-mail is sent from: %w", err)
	}
	_, domain, _ := strings.Cut(sender.Address, "@")
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	m.FromMailAddress(sender)
	if err := m.AddToFormat(oneLine(l.Name), l.Address); err != nil {
		return nil, TurnedAwayError{"the customer's e-mail address is none"}
	}
	m.Subject(subject(l.Content))
	m.SetDateWithValue(l.At)
	m.SetMessageIDWithValue(nameOf(l.MessageID) + "@" + domain)
	m.SetBodyString(mail.TypeTextPlain, l.Content)
	return m, nil
}

// oneLine is a name without what would end a header.
func oneLine(name string) string {
	return strings.Join(strings.FieldsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }), " ")
}

// subject is the first line of a text, or as many words of it as fit.
func subject(content string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(content), "\n")
	runes := []rune(strings.TrimSpace(line))
	if len(runes) <= longestSubject {
		return string(runes)
	}
	cut := string(runes[:longestSubject])
	if space := strings.LastIndexByte(cut, ' '); space > 0 {
		cut = cut[:space]
	}
	return cut + "…"
}

// written is a letter as an e-mail, in full.
func written(l Letter, from string) ([]byte, error) {
	m, err := compose(l, from)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("write an e-mail: %w", err)
	}
	return b.Bytes(), nil
}
