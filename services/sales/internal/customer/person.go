package customer

import (
	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
)

// spelled looks a person over and returns them with every value in its one
// spelling. The person may be nil.
func spelled(checks *call.Checks, field string, p *journeyv1.Person) *journeyv1.Person {
	if p == nil {
		return nil
	}
	text := func(name, value string) string { return checks.OptionalText(field+"."+name, value) }
	person := &journeyv1.Person{
		GivenName:        text("given_name", p.GetGivenName()),
		Surname:          text("surname", p.GetSurname()),
		DateOfBirth:      p.GetDateOfBirth(),
		Email:            checks.Email(field+".email", p.GetEmail()),
		Phone:            checks.Phone(field+".phone", p.GetPhone()),
		SocialSecurityId: text("social_security_id", p.GetSocialSecurityId()),
	}
	if person.DateOfBirth != "" {
		checks.Date(field+".date_of_birth", person.DateOfBirth)
	}
	if a := p.GetAddress(); a != nil {
		person.Address = &journeyv1.Address{
			StreetNumber: text("address.street_number", a.GetStreetNumber()),
			Street:       text("address.street", a.GetStreet()),
			Extra:        text("address.extra", a.GetExtra()),
			Suburb:       text("address.suburb", a.GetSuburb()),
			Postcode:     text("address.postcode", a.GetPostcode()),
			State:        text("address.state", a.GetState()),
		}
	}
	return person
}

// isEmpty tells whether nothing is known of a person.
func isEmpty(p *journeyv1.Person) bool { return proto.Size(p) == 0 }
