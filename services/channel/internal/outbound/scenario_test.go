package outbound

import (
	"strings"
	"testing"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

// at is when everything happens.
var at = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)

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
			"send": func(d scenario.Words) string {
				channel := state.Accepted.GetChannel()
				carried := channel == journeyv1.Channel_CHANNEL_EMAIL || channel == journeyv1.Channel_CHANNEL_PRINT
				unable := strings.ReplaceAll(d.Get("unable"), "_", " ")
				return scenario.Decide(&state, Decider, Dispatch{Customer: customer, Carried: carried, Unable: unable, At: at}.Decide)
			},
			"hand-over": func(scenario.Words) string {
				return scenario.Decide(&state, Decider, Begin{Address: address(state.Accepted.GetChannel(), customer), At: at}.Decide)
			},
			"it-is": func(d scenario.Words) string {
				fate := Fate{
					State:  channelv1.MessageState(scenario.Number(t, channelv1.MessageState(0).Descriptor(), d.Get("state"))),
					Reason: strings.ReplaceAll(d.Get("reason"), "_", " "),
				}
				return scenario.Decide(&state, Decider, Settle{Fate: fate, At: at}.Decide)
			},
			"take-call": func(d scenario.Words) string {
				return scenario.Decide(&state, Decider, TakeCall{Agent: d.Get("agent"), Customer: customer, At: at}.Decide)
			},
			"give-back": func(d scenario.Words) string {
				reason := strings.ReplaceAll(d.Get("reason"), "_", " ")
				return scenario.Decide(&state, Decider, GiveBackCall{Agent: d.Get("agent"), Reason: reason, At: at}.Decide)
			},
			"time-out": func(d scenario.Words) string {
				return scenario.Decide(&state, Decider, TimeOutCall{Takes: uint64(d.Number(t, "takes")), At: at}.Decide)
			},
			"end-call": func(d scenario.Words) string {
				result := channelv1.CallResult(scenario.Number(t, channelv1.CallResult(0).Descriptor(), d.Get("result")))
				return scenario.Decide(&state, Decider, EndCall{Agent: d.Get("agent"), Result: result, At: at}.Decide)
			},
			"call": func(scenario.Words) string {
				return strings.ToLower(strings.TrimPrefix(state.callState().String(), "CALL_STATE_")) + "\n"
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
