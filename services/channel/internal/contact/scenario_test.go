package contact_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

var at = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)

func TestScenarios(t *testing.T) {
	scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
		state := contact.Decider.Initial()
		return commands(t, &state)
	})
}

func commands(t *testing.T, state *contact.State) map[string]scenario.Command {
	answer := func(d scenario.Words) journeyv1.Answer {
		return journeyv1.Answer(scenario.Number(t, journeyv1.Answer(0).Descriptor(), d.Get("answer")))
	}
	var looked uint64
	decide := func(command func(scenario.Words) decision) scenario.Command {
		return func(d scenario.Words) string {
			by := contact.By{VisitorID: d.Get("by-visitor"), CustomerID: d.Get("by-customer")}
			return scenario.Decide(state, contact.Decider, by.Takes(command(d)).Decide)
		}
	}
	return map[string]scenario.Command{
		"start": decide(func(d scenario.Words) decision {
			return contact.Start{
				ID: "c", VisitorID: d.Get("visitor"), CustomerID: d.Get("customer"), Claims: claims(d), At: at,
				Channel: journeyv1.Channel(scenario.Number(t, journeyv1.Channel(0).Descriptor(), d.Get("channel"))),
			}
		}),
		"claim":    decide(func(d scenario.Words) decision { return contact.Claim{Claims: claims(d)} }),
		"identify": decide(func(d scenario.Words) decision { return contact.Identify{CustomerID: d.Get("customer")} }),
		"present": decide(func(d scenario.Words) decision {
			return contact.Present{PropositionID: d.Get("proposition"), DecisionID: d.Get("decision")}
		}),
		"answer": decide(func(d scenario.Words) decision {
			return contact.Answer{PropositionID: d.Get("proposition"), Answer: answer(d)}
		}),
		"interest": decide(func(d scenario.Words) decision {
			return contact.ShowInterest{Kind: d.Get("kind"), Topic: d.Get("topic")}
		}),
		"banner": decide(func(d scenario.Words) decision {
			return contact.ClickBanner{PropositionID: d.Get("proposition")}
		}),
		"respond": decide(func(d scenario.Words) decision {
			return contact.Respond{LeadID: d.Get("lead"), Known: d.Get("lead") != "nobodys", Answer: answer(d)}
		}),
		"submit": decide(func(d scenario.Words) decision {
			kind := scenario.Number(t, journeyv1.RequestKind(0).Descriptor(), d.Get("kind"))
			return contact.Submit{RequestID: d.Get("request"), Kind: journeyv1.RequestKind(kind), Text: d.Input, At: at}
		}),
		"settle": decide(func(d scenario.Words) decision {
			handling := contact.Handling{How: channelv1.Handling_HANDLING_STRAIGHT_THROUGH, Detail: d.Get("reference")}
			if handling.Detail == "" {
				handling = contact.Handling{How: channelv1.Handling_HANDLING_PENDING, Detail: d.Input}
			}
			return contact.Settle{RequestID: d.Get("request"), Handling: handling}
		}),
		"hand-over": decide(func(d scenario.Words) decision {
			to := scenario.Number(t, journeyv1.Channel(0).Descriptor(), d.Get("to"))
			return contact.HandOver{To: journeyv1.Channel(to), AgentID: d.Get("agent"), Reason: d.Input, At: at}
		}),
		// look remembers how the contact is, time-out ends it if it is still so.
		"look": func(scenario.Words) string {
			looked = state.Touches
			return fmt.Sprintf("touched %d times\n", looked)
		},
		"time-out": decide(func(scenario.Words) decision {
			return contact.TimeOut{Touches: looked, At: at.Add(time.Hour)}
		}),
		"end": decide(func(d scenario.Words) decision {
			outcome := scenario.Number(t, channelv1.ContactOutcome(0).Descriptor(), d.Get("outcome"))
			return contact.End{Outcome: channelv1.ContactOutcome(outcome), At: at.Add(time.Hour)}
		}),
		"contact": func(scenario.Words) string {
			return fmt.Sprintf("customer=%s steps=%d ended=%t\n", state.CustomerID, state.Steps, state.Ended != 0)
		},
		"history": func(scenario.Words) string {
			var steps []proto.Message
			for _, step := range state.History {
				steps = append(steps, step)
			}
			return scenario.Tell(steps, nil)
		},
	}
}

func claims(d scenario.Words) contact.Claims {
	return contact.Claims{
		CustomerNumber: d.Get("number"), Email: d.Get("email"), Phone: d.Get("phone"),
		GivenName: d.Get("given-name"), Surname: d.Get("surname"),
	}
}
