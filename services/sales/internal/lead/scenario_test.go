package lead

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

func TestScenarios(t *testing.T) {
	follow := func(to salesv1.LeadStatus) scenario.Decision[State] {
		return func(w scenario.Words) func(State) ([]proto.Message, error) {
			return func(s State) ([]proto.Message, error) {
				return Follow{LeadID: "l1", CustomerID: "c1", To: to, Detail: w.Get("detail")}.Decide(s), nil
			}
		}
	}
	scenario.RunDecider(t, "testdata/lead", Decider, map[string]scenario.Decision[State]{
		"issued": func(scenario.Words) func(State) ([]proto.Message, error) {
			return func(s State) ([]proto.Message, error) {
				return Accept(s, &salesv1.LeadAccepted{
					LeadId: "l1", CampaignId: "spring", CustomerId: "c1", PropositionId: "p1",
					Channel: journeyv1.Channel_CHANNEL_EMAIL, Content: "Hello", Priority: 5,
				}), nil
			}
		},
		"dispatch": func(w scenario.Words) func(State) ([]proto.Message, error) {
			return func(s State) ([]proto.Message, error) { return Dispatch(s, w.Get("grant")), nil }
		},
		"expire": func(w scenario.Words) func(State) ([]proto.Message, error) {
			patience, err := time.ParseDuration(w.Get("patience"))
			if err != nil {
				w.Fatalf(t, "patience: %v", err)
			}
			return func(s State) ([]proto.Message, error) { return Expire(s, patience), nil }
		},
		"sent":   follow(statusSent),
		"failed": follow(statusFailed),
		"answered": func(w scenario.Words) func(State) ([]proto.Message, error) {
			to, detail := answered(journeyv1.Answer(journeyv1.Answer_value["ANSWER_"+w.Get("answer")]))
			return func(s State) ([]proto.Message, error) {
				return Follow{LeadID: "l1", CustomerID: "c1", To: to, Detail: detail}.Decide(s), nil
			}
		},
	})
}

func TestGrantScenarios(t *testing.T) {
	scenario.RunDecider(t, "testdata/grant", grantDecider, map[string]scenario.Decision[spending]{
		"spend": func(w scenario.Words) func(spending) ([]proto.Message, error) {
			return func(s spending) ([]proto.Message, error) {
				return spend(s, uint32(w.Number(t, "capacity")), w.Get("lead"), "c1")
			}
		},
	})
}
