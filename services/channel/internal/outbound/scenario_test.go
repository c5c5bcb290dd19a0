package outbound

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/scenario"
)

func TestScenarios(t *testing.T) {
	scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
		state := Decider.Initial()
		var customer *channelv1.CustomerView
		return map[string]scenario.Command{
			"accept": func(d *datadriven.TestData) string {
				channel := journeyv1.Channel(scenario.Number(t, journeyv1.Channel(0).Descriptor(), scenario.Arg(d, "channel")))
				state = Decider.Initial()
				c := Accept{&channelv1.MessageAccepted{MessageId: "m", LeadId: "l", CustomerId: "k", Channel: channel}}
				return scenario.Decide(&state, Decider, c.Decide)
			},
			"accept-again": func(*datadriven.TestData) string {
				return scenario.Decide(&state, Decider, Accept{&channelv1.MessageAccepted{MessageId: "m"}}.Decide)
			},
			"customer": func(d *datadriven.TestData) string {
				customer = readCustomer(t, d)
				return "known\n"
			},
			"send": func(*datadriven.TestData) string {
				at := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
				return scenario.Decide(&state, Decider, Dispatch{Customer: customer, At: at}.Decide)
			},
			"address": func(*datadriven.TestData) string {
				return address(state.Accepted.GetChannel(), customer) + "\n"
			},
		}
	})
}

func readCustomer(t *testing.T, d *datadriven.TestData) *channelv1.CustomerView {
	arg := func(name string) string { return strings.ReplaceAll(scenario.Arg(d, name), "_", " ") }
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
