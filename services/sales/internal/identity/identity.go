// Package identity recognises customers: by their customer number, their e-mail
// address, their phone number.
//
// Each identity has a stream of its own, identity-<kind>:<keyed hash>, whose
// first and only event gives it to one customer for good. Whoever registers a
// customer reserves the identities first, each with "no stream" expected, so
// that of many who register one person at the same moment one wins, and the
// others learn who.
package identity

import (
	"strings"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/spelling"
)

// Claim is one identity that somebody claims, in its one spelling.
type Claim struct {
	Kind  salesv1.IdentityKind
	Value string
}

// Claims brings identities into their one spelling and lists those that are
// given, the strongest first: number, e-mail, phone.
func Claims(number, email, phone string) []Claim {
	all := []Claim{
		{salesv1.IdentityKind_IDENTITY_KIND_CUSTOMER_NUMBER, strings.TrimSpace(number)},
		{salesv1.IdentityKind_IDENTITY_KIND_EMAIL, spelling.Email(email)},
		{salesv1.IdentityKind_IDENTITY_KIND_PHONE, spelling.Phone(phone)},
	}
	given := make([]Claim, 0, len(all))
	for _, claim := range all {
		if claim.Value != "" {
			given = append(given, claim)
		}
	}
	return given
}

// IsNumber tells whether the claim is a customer number.
func (c Claim) IsNumber() bool {
	return c.Kind == salesv1.IdentityKind_IDENTITY_KIND_CUSTOMER_NUMBER
}

// kinds name the kinds of identity in streams' names.
var kinds = map[salesv1.IdentityKind]string{
	salesv1.IdentityKind_IDENTITY_KIND_CUSTOMER_NUMBER: "number",
	salesv1.IdentityKind_IDENTITY_KIND_EMAIL:           "email",
	salesv1.IdentityKind_IDENTITY_KIND_PHONE:           "phone",
}
