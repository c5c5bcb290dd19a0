package customer

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

var now = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)

func TestScenarios(t *testing.T) {
	person := func(w scenario.Words) *journeyv1.Person {
		return &journeyv1.Person{GivenName: w.Get("given-name"), Email: w.Get("email")}
	}
	registering := func(w scenario.Words) Register {
		return Register{
			CustomerID: "c1", Number: w.Get("number"), Person: person(w), Source: w.Get("source"), At: now, Rivals: w.List("rivals"),
		}
	}
	scenario.RunDecider(t, "testdata", Decider, map[string]scenario.Decision[State]{
		"visitor-identified": func(w scenario.Words) func(State) ([]proto.Message, error) { return registering(w).Decide },
		"register": func(w scenario.Words) func(State) ([]proto.Message, error) {
			command := registering(w)
			command.Completes = true
			return command.Decide
		},
		"change": func(w scenario.Words) func(State) ([]proto.Message, error) {
			return Change{CustomerID: "c1", Person: person(w), At: now, Rivals: w.List("rivals")}.Decide
		},
		"erase": func(w scenario.Words) func(State) ([]proto.Message, error) {
			return Erase{CustomerID: "c1", By: w.Get("by"), Reason: "asked for", At: now}.Decide
		},
		"consent": func(w scenario.Words) func(State) ([]proto.Message, error) {
			return SetConsent{CustomerID: "c1", Consent: journeyv1.Consent(journeyv1.Consent_value["CONSENT_"+w.Get("is")]), At: now}.Decide
		},
		"order": func(w scenario.Words) func(State) ([]proto.Message, error) {
			return PlaceOrder{
				Register: Register{CustomerID: "c1", Number: "N1", Source: "order", At: now},
				Order: &salesv1.OrderPlaced{
					CustomerId: "c1", OrderId: w.Get("id"), OrderedOn: "2026-11-21", Quantity: 1, AmountCents: w.Number(t, "cents"),
				},
			}.Decide
		},
	})
}
