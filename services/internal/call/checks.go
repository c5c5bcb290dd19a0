package call

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/spelling"
)

// The limits of a call's fields, in characters as they were sent.
const (
	LongestName  = 200 // of ids too
	LongestText  = 4000
	longestEmail = 254
	fewestDigits = 5 // of a phone number
	longestPhone = 32
)

// Checks collects what is wrong with the fields of a call, so that its caller
// learns all of it at once. What it returns of a field is the value without the
// spaces around it. It never repeats a value, which may be personal. The zero
// Checks is ready for use.
type Checks struct{ violations []fault.Violation }

// Err refuses the call when a field of it is wrong.
func (c *Checks) Err() error {
	if len(c.violations) == 0 {
		return nil
	}
	return fault.Invalid(c.violations...)
}

// Fail notes that a field is wrong, and why.
func (c *Checks) Fail(field, format string, args ...any) {
	c.violations = append(c.violations, fault.Field(field, format, args...))
}

// That notes that a field is wrong unless ok holds.
func (c *Checks) That(ok bool, field, format string, args ...any) {
	if !ok {
		c.Fail(field, format, args...)
	}
}

// Required returns the id or name that a field must hold.
func (c *Checks) Required(field, value string) string { return c.required(field, value, LongestName) }

// Optional returns the id or name that a field may hold.
func (c *Checks) Optional(field, value string) string { return c.upTo(field, value, LongestName) }

// Text returns the text that a field must hold.
func (c *Checks) Text(field, value string) string { return c.required(field, value, LongestText) }

// OptionalText returns the text that a field may hold.
func (c *Checks) OptionalText(field, value string) string { return c.upTo(field, value, LongestText) }

func (c *Checks) required(field, value string, longest int) string {
	if strings.TrimSpace(value) == "" {
		c.Fail(field, "is missing")
		return ""
	}
	return c.upTo(field, value, longest)
}

func (c *Checks) upTo(field, value string, longest int) string {
	c.That(utf8.RuneCountInString(value) <= longest, field, "must be at most %d characters", longest)
	return strings.TrimSpace(value)
}

var slug = regexp.MustCompile(`^[a-z0-9-]+$`)

// Slug checks an id that people choose: lower-case letters, digits and dashes.
func (c *Checks) Slug(field, value string) {
	if value == "" {
		c.Fail(field, "is missing")
		return
	}
	c.That(slug.MatchString(value) && len(value) <= LongestName, field,
		"must be 1 to %d lower-case letters, digits and dashes", LongestName)
}

// Date returns the day that a field must hold.
func (c *Checks) Date(field, value string) string {
	_, err := time.Parse(time.DateOnly, value)
	c.That(err == nil, field, "must be a day, such as 2026-11-21")
	return value
}

// Email returns the e-mail address that a field may hold, in its one spelling.
func (c *Checks) Email(field, value string) string {
	email := spelling.Email(value)
	if email == "" {
		return ""
	}
	user, host, _ := strings.Cut(email, "@")
	ok := user != "" && host != "" && !strings.Contains(host, "@") &&
		!strings.ContainsAny(email, " \t\r\n") && len(email) <= longestEmail
	c.That(ok, field, "must be an e-mail address such as name@host, of at most %d characters", longestEmail)
	return email
}

// A phone number has one plus at the most, before its first digit.
var phone = regexp.MustCompile(`^[ ().-]*\+?[ ().-]*[0-9][0-9 ().-]*$`)

// Phone returns the phone number that a field may hold, in its one spelling.
func (c *Checks) Phone(field, value string) string {
	value = strings.TrimSpace(value)
	if value == "" {
		return ""
	}
	spelled := spelling.Phone(value)
	ok := phone.MatchString(value) && len(value) <= longestPhone && len(strings.TrimPrefix(spelled, "+")) >= fewestDigits
	c.That(ok, field, "must be a phone number of %d to %d digits, spaces and ( ) - . with + only before the first digit",
		fewestDigits, longestPhone)
	return spelled
}

// Enum is a generated enum.
type Enum interface {
	~int32
	String() string
}

// Known looks whether a field holds one of an enum's values, and not 0, which
// stands for none. names is the enum's map of names.
func Known[E Enum](c *Checks, field string, value E, names map[int32]string) {
	_, ok := names[int32(value)]
	c.That(ok && value != 0, field, "is missing, or none of its values")
}
