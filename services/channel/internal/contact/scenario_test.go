package contact_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
	"github.com/triangle-suite/triangle/services/channel/internal/scenario"
)

var at = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)

func TestScenarios(t *testing.T) {
	scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
		state := contact.Decider.Initial()
		return commands(t, &state)
	})
}

func commands(t *testing.T, state *contact.State) map[string]scenario.Command {
	answer := func(d *datadriven.TestData) journeyv1.Answer {
		return journeyv1.Answer(scenario.Number(t, journeyv1.Answer(0).Descriptor(), scenario.Arg(d, "answer")))
	}
	decide := func(command func(*datadriven.TestData) decision) scenario.Command {
		return func(d *datadriven.TestData) string {
			return scenario.Decide(state, contact.Decider, command(d).Decide)
		}
	}
	arg := scenario.Arg
	return map[string]scenario.Command{
		"start": decide(func(d *datadriven.TestData) decision {
			return contact.Start{
				ID: "c", VisitorID: arg(d, "visitor"), CustomerID: arg(d, "customer"), Claims: claims(d), At: at,
				Channel: journeyv1.Channel(scenario.Number(t, journeyv1.Channel(0).Descriptor(), arg(d, "channel"))),
			}
		}),
		"claim":    decide(func(d *datadriven.TestData) decision { return contact.Claim{Claims: claims(d)} }),
		"identify": decide(func(d *datadriven.TestData) decision { return contact.Identify{CustomerID: arg(d, "customer")} }),
		"present": decide(func(d *datadriven.TestData) decision {
			return contact.Present{PropositionID: arg(d, "proposition"), DecisionID: arg(d, "decision")}
		}),
		"answer": decide(func(d *datadriven.TestData) decision {
			return contact.Answer{PropositionID: arg(d, "proposition"), Answer: answer(d)}
		}),
		"interest": decide(func(d *datadriven.TestData) decision {
			return contact.ShowInterest{Kind: arg(d, "kind"), Topic: arg(d, "topic")}
		}),
		"banner": decide(func(d *datadriven.TestData) decision {
			return contact.ClickBanner{PropositionID: arg(d, "proposition")}
		}),
		"respond": decide(func(d *datadriven.TestData) decision {
			return contact.Respond{LeadID: arg(d, "lead"), Answer: answer(d)}
		}),
		"submit": decide(func(d *datadriven.TestData) decision {
			kind := scenario.Number(t, journeyv1.RequestKind(0).Descriptor(), arg(d, "kind"))
			return contact.Submit{RequestID: arg(d, "request"), Kind: journeyv1.RequestKind(kind), Text: d.Input, At: at}
		}),
		"settle": decide(func(d *datadriven.TestData) decision {
			handling := contact.Handling{How: channelv1.Handling_HANDLING_STRAIGHT_THROUGH, Detail: arg(d, "reference")}
			if handling.Detail == "" {
				handling = contact.Handling{How: channelv1.Handling_HANDLING_PENDING, Detail: d.Input}
			}
			return contact.Settle{RequestID: arg(d, "request"), Handling: handling}
		}),
		"end": decide(func(d *datadriven.TestData) decision {
			outcome := scenario.Number(t, channelv1.ContactOutcome(0).Descriptor(), arg(d, "outcome"))
			return contact.End{Outcome: channelv1.ContactOutcome(outcome), At: at.Add(time.Hour)}
		}),
		"contact": func(*datadriven.TestData) string {
			return fmt.Sprintf("customer=%s steps=%d ended=%t\n", state.CustomerID, state.Steps, state.Ended != 0)
		},
	}
}

func claims(d *datadriven.TestData) contact.Claims {
	return contact.Claims{
		CustomerNumber: scenario.Arg(d, "number"), Email: scenario.Arg(d, "email"), Phone: scenario.Arg(d, "phone"),
		GivenName: scenario.Arg(d, "given-name"), Surname: scenario.Arg(d, "surname"),
	}
}
