package call

import (
	"strings"
	"time"
	"unicode/utf8"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/sales/internal/identity"
)

// The limits of what a call may carry.
const (
	maxID    = 200
	maxText  = 4000
	maxEmail = 254
	minPhone = 5
	maxPhone = 32
)

// Check collects what is wrong with a call, field by field, so that its caller
// learns all of it at once. The zero Check has found nothing.
type Check struct{ violations []fault.Violation }

// Err is the refusal of the call; nil when nothing is wrong with it.
func (c *Check) Err() error {
	if len(c.violations) == 0 {
		return nil
	}
	return fault.Invalid(c.violations...)
}

// Must records a violation of a field, unless ok.
func (c *Check) Must(ok bool, field, format string, args ...any) {
	if !ok {
		c.violations = append(c.violations, fault.Field(field, format, args...))
	}
}

// ID returns an id that must be given, without the spaces around it.
func (c *Check) ID(field, value string) string {
	value = c.OptionalID(field, value)
	c.Must(value != "", field, "is missing")
	return value
}

// OptionalID returns an id that may be empty, without the spaces around it.
func (c *Check) OptionalID(field, value string) string {
	c.Must(utf8.RuneCountInString(value) <= maxID, field, "must be at most %d characters", maxID)
	return strings.TrimSpace(value)
}

// Text returns a text that may be empty, without the spaces around it.
func (c *Check) Text(field, value string) string {
	c.Must(utf8.RuneCountInString(value) <= maxText, field, "must be at most %d characters", maxText)
	return strings.TrimSpace(value)
}

// Date returns a day that must be given.
func (c *Check) Date(field, value string) string {
	_, err := time.Parse(time.DateOnly, value)
	c.Must(err == nil, field, "must be a day, such as 2026-11-21")
	return value
}

// Email returns an e-mail address that may be empty, in its one spelling.
func (c *Check) Email(field, value string) string {
	email := identity.Email(value)
	if email == "" {
		return ""
	}
	local, domain, _ := strings.Cut(email, "@")
	ok := strings.Count(email, "@") == 1 && local != "" && domain != "" && len(email) <= maxEmail && !strings.ContainsAny(email, " \t\r\n")
	c.Must(ok, field, "must be an e-mail address with one @, of at most %d characters", maxEmail)
	return email
}

// Phone returns a phone number that may be empty, in its one spelling.
func (c *Check) Phone(field, value string) string {
	trimmed := strings.TrimSpace(value)
	if trimmed == "" {
		return ""
	}
	phone := identity.Phone(trimmed)
	foreign := strings.ContainsFunc(trimmed, func(r rune) bool { return !strings.ContainsRune("0123456789 +()-.", r) })
	ok := !foreign && len(trimmed) <= maxPhone && len(strings.TrimPrefix(phone, "+")) >= minPhone
	c.Must(ok, field, "must be a phone number: %d to %d digits, spaces and + ( ) - .", minPhone, maxPhone)
	return phone
}

// Person returns a person with every value in its one spelling. It may be nil.
func (c *Check) Person(field string, p *journeyv1.Person) *journeyv1.Person {
	if p == nil {
		return nil
	}
	text := func(name, value string) string { return c.Text(field+"."+name, value) }
	spelled := &journeyv1.Person{
		GivenName:        text("given_name", p.GetGivenName()),
		Surname:          text("surname", p.GetSurname()),
		DateOfBirth:      p.GetDateOfBirth(),
		Email:            c.Email(field+".email", p.GetEmail()),
		Phone:            c.Phone(field+".phone", p.GetPhone()),
		SocialSecurityId: text("social_security_id", p.GetSocialSecurityId()),
	}
	if spelled.DateOfBirth != "" {
		c.Date(field+".date_of_birth", spelled.DateOfBirth)
	}
	if a := p.GetAddress(); a != nil {
		spelled.Address = &journeyv1.Address{
			StreetNumber: text("address.street_number", a.GetStreetNumber()),
			Street:       text("address.street", a.GetStreet()),
			Extra:        text("address.extra", a.GetExtra()),
			Suburb:       text("address.suburb", a.GetSuburb()),
			Postcode:     text("address.postcode", a.GetPostcode()),
			State:        text("address.state", a.GetState()),
		}
	}
	return spelled
}
