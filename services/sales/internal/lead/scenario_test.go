package lead

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

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
		"withdraw": func(scenario.Words) func(State) ([]proto.Message, error) {
			return func(s State) ([]proto.Message, error) {
				return Withdraw{LeadID: "l1", CustomerID: "c1", Detail: "its campaign was stopped"}.Decide(s), nil
			}
		},
		"sent":   follow(statusSent),
		"failed": follow(statusFailed),
		"answered": func(w scenario.Words) func(State) ([]proto.Message, error) {
			to, detail := answered(journeyv1.Answer(journeyv1.Answer_value["ANSWER_"+w.Get("answer")]))
			return func(s State) ([]proto.Message, error) {
				follow := Follow{LeadID: "l1", CustomerID: "c1", To: to, Detail: detail}
				return Respond{Follow: follow, ContactID: w.Get("contact")}.Decide(s), nil
			}
		},
		"transacted": func(w scenario.Words) func(State) ([]proto.Message, error) {
			command := Transact{LeadID: "l1"}
			for _, order := range w.List("orders") {
				command.Transactions = append(command.Transactions, &salesv1.Transaction{OrderId: order, AmountCents: 1250, CustomerId: "c1", HappenedAt: timestamppb.New(noon)})
			}
			for _, request := range w.List("requests") {
				command.Transactions = append(command.Transactions, &salesv1.Transaction{RequestId: request, CustomerId: "c1", HappenedAt: timestamppb.New(noon)})
			}
			return func(s State) ([]proto.Message, error) { return command.Decide(s), nil }
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
		"give-back": func(w scenario.Words) func(spending) ([]proto.Message, error) {
			return func(s spending) ([]proto.Message, error) { return giveBack(s, w.Get("lead"), "c1"), nil }
		},
	})
}
