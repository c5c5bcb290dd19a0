// Package call holds what every handler needs of its call: where it comes from,
// and what is wrong with its fields.
package call

import (
	"context"
	"regexp"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// Origins returns the origin of a call that changes something: its idempotency
// key, its request and its time, out of which all ids derive.
type Origins func(ctx context.Context, method string, request proto.Message) (decider.Origin, error)

// How long the fields of a call may be, in letters.
const (
	LongestID   = 200
	LongestText = 4000
)

// Checks collects what is wrong with the fields of a call, so that the caller
// learns all of it at once. The zero Checks is ready for use.
type Checks struct {
	violations []fault.Violation
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

// Required checks a text that must be there, and not be longer than longest.
func (c *Checks) Required(field, value string, longest int) {
	if strings.TrimSpace(value) == "" {
		c.Fail(field, "is missing")
		return
	}
	c.That(utf8.RuneCountInString(value) <= longest, field, "must be at most %d letters long", longest)
}

var slug = regexp.MustCompile(`^[a-z0-9-]+$`)

// Slug checks an id that people choose: lower-case letters, digits and dashes.
func (c *Checks) Slug(field, value string) {
	if value == "" {
		c.Fail(field, "is missing")
		return
	}
	c.That(slug.MatchString(value) && len(value) <= LongestID, field,
		"must be 1 to %d lower-case letters, digits and dashes", LongestID)
}

// Err refuses the call when a field of it is wrong.
func (c *Checks) Err() error {
	if len(c.violations) == 0 {
		return nil
	}
	return fault.Invalid(c.violations...)
}
