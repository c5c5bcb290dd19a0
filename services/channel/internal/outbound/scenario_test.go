package outbound

import (
	"strings"
	"testing"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

func TestScenarios(t *testing.T) {
	scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
		state := Decider.Initial()
		var customer *channelv1.CustomerView
		return map[string]scenario.Command{
			"accept": func(d scenario.Words) string {
				channel := journeyv1.Channel(scenario.Number(t, journeyv1.Channel(0).Descriptor(), d.Get("channel")))
				state = Decider.Initial()
				c := Accept{&channelv1.MessageAccepted{MessageId: "m", LeadId: "l", CustomerId: "k", Channel: channel}}
				return scenario.Decide(&state, Decider, c.Decide)
			},
			"accept-again": func(scenario.Words) string {
				return scenario.Decide(&state, Decider, Accept{&channelv1.MessageAccepted{MessageId: "m"}}.Decide)
			},
			"customer": func(d scenario.Words) string {
				customer = readCustomer(t, d)
				return "known\n"
			},
			"send": func(scenario.Words) string {
				at := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
				return scenario.Decide(&state, Decider, Dispatch{Customer: customer, At: at}.Decide)
			},
			"address": func(scenario.Words) string {
				return address(state.Accepted.GetChannel(), customer) + "\n"
			},
		}
	})
}

func readCustomer(t *testing.T, d scenario.Words) *channelv1.CustomerView {
	arg := func(name string) string { return strings.ReplaceAll(d.Get(name), "_", " ") }
	view := &channelv1.CustomerView{CustomerId: "k", Person: &journeyv1.Person{
		Email: arg("email"), Phone: arg("phone"),
		Address: &journeyv1.Address{
			StreetNumber: arg("number"), Street: arg("street"), Suburb: arg("suburb"), Postcode: arg("postcode"), State: arg("state"), Extra: arg("extra"),
		},
	}}
	if word := arg("consent"); word != "" {
		view.Consent = journeyv1.Consent(scenario.Number(t, journeyv1.Consent(0).Descriptor(), word))
	}
	return view
}
