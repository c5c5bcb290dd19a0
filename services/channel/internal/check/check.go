// Package check looks a request over, and collects all that is wrong with it,
// so that a caller learns it at once and not one field at a time.
package check

import (
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/triangle-suite/triangle/services/internal/fault"
)

// The limits of a request's fields.
const (
	MaxID    = 200
	MaxText  = 4000
	maxEmail = 254
	minPhone = 5
	maxPhone = 32
)

// Request collects what is wrong with one request. The zero Request is ready.
type Request struct{ violations []fault.Violation }

// Err returns a fault that names each field that is wrong, or nil.
func (r *Request) Err() error {
	if len(r.violations) == 0 {
		return nil
	}
	return fault.Invalid(r.violations...)
}

// Wrong notes what is wrong with a field.
func (r *Request) Wrong(field, format string, args ...any) {
	r.violations = append(r.violations, fault.Field(field, format, args...))
}

// Required returns the name that a field must hold, without spaces around it.
func (r *Request) Required(field, value string) string {
	if strings.TrimSpace(value) == "" {
		r.Wrong(field, "is missing")
		return ""
	}
	return r.Optional(field, value)
}

// Optional returns the name that a field may hold, without spaces around it.
func (r *Request) Optional(field, value string) string {
	return r.upTo(MaxID, field, value)
}

// Text returns the text that a field must hold, without spaces around it.
func (r *Request) Text(field, value string) string {
	text := r.upTo(MaxText, field, value)
	if text == "" {
		r.Wrong(field, "is missing")
	}
	return text
}

func (r *Request) upTo(limit int, field, value string) string {
	value = strings.TrimSpace(value)
	if utf8.RuneCountInString(value) > limit {
		r.Wrong(field, "must be at most %d characters", limit)
	}
	return value
}

// Email returns an e-mail address in the spelling by which it is compared; the
// empty string where there is none.
func (r *Request) Email(field, value string) string {
	email := strings.ToLower(strings.TrimSpace(value))
	if email == "" {
		return ""
	}
	user, host, _ := strings.Cut(email, "@")
	if user == "" || host == "" || strings.Contains(host, "@") || strings.ContainsAny(email, " \t\r\n") || len(email) > maxEmail {
		r.Wrong(field, "must be an e-mail address such as name@host, of at most %d characters", maxEmail)
	}
	return email
}

// Phone returns a phone number in the spelling by which it is compared: digits,
// with a + before them where it was given; the empty string where there is none.
func (r *Request) Phone(field, value string) string {
	value = strings.TrimSpace(value)
	if value == "" {
		return ""
	}
	phone := strings.Map(digitOrPlus, value)
	digits := strings.TrimPrefix(phone, "+")
	strange := strings.Trim(value, "0123456789 +()-.") != ""
	if strange || strings.Contains(digits, "+") || len(digits) < minPhone || len(value) > maxPhone {
		r.Wrong(field, "must be a phone number of %d to %d digits, spaces and ( ) - . with + only before the first digit", minPhone, maxPhone)
	}
	return phone
}

func digitOrPlus(r rune) rune {
	if r == '+' || r >= '0' && r <= '9' {
		return r
	}
	return -1
}

// How long a call may wait for marketing's decision.
const (
	DefaultWait = 150 * time.Millisecond
	MaxWait     = 10 * time.Second
)

// Wait returns how long a call may wait.
func (r *Request) Wait(field string, wait *durationpb.Duration) time.Duration {
	if wait == nil {
		return DefaultWait
	}
	d := wait.AsDuration()
	if wait.CheckValid() != nil || d < 0 || d > MaxWait {
		r.Wrong(field, "must be from 0s to %s", MaxWait)
	}
	return d
}

// Enum is a generated enum.
type Enum interface {
	~int32
	String() string
}

// Known looks whether a field holds one of an enum's values, and not 0, which
// stands for none. names is the enum's map of names.
func Known[E Enum](r *Request, field string, value E, names map[int32]string) {
	if _, ok := names[int32(value)]; !ok || value == 0 {
		r.Wrong(field, "is missing, or none of its values")
	}
}
