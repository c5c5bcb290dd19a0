package cli

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
)

// serveDecisions gives a script a marketing support that has decided for the
// contact c1, twice, and for c2, whose decision does not come out the same.
func serveDecisions(env *testscript.Env, t testing.TB) error {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	env.Setenv("MARKETING", listener.Addr().String())
	server := grpc.NewServer()
	marketingv1.RegisterMarketingServiceServer(server, &decisions{})
	go func() { _ = server.Serve(listener) }() // ends with Stop
	env.Defer(server.Stop)
	return nil
}

type decisions struct {
	marketingv1.UnimplementedMarketingServiceServer
}

func (*decisions) ListPropositions(context.Context, *marketingv1.ListPropositionsRequest) (*marketingv1.ListPropositionsResponse, error) {
	all := &marketingv1.ListPropositionsResponse{}
	for id, name := range map[string]string{"box-set": "Jazz box set", "tickets": "Concert tickets", "advice": "Advice by ear", "repair": "Repair"} {
		all.Propositions = append(all.Propositions, &marketingv1.Proposition{PropositionId: id, Name: name})
	}
	return all, nil
}

func (*decisions) GetDecision(_ context.Context, req *marketingv1.GetDecisionRequest) (*marketingv1.GetDecisionResponse, error) {
	if req.GetContactId() != "c1" {
		return nil, status.Errorf(codes.NotFound, "nothing has been decided for contact %s", req.GetContactId())
	}
	d := &marketingv1.GetDecisionResponse{
		DecisionId: "d2", CustomerId: "anna", CauseId: "e2", ModelVersion: "2", ModelDigest: "699d7bf631930338", Seed: 42,
		DecidedAt: timestamppb.New(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)), Group: marketingv1.Group_GROUP_ARBITRATED,
		Actions: []*journeyv1.NextBestAction{{PropositionId: "box-set", Priority: 20}, {PropositionId: "advice", Priority: 6}},
		Candidates: []*marketingv1.Candidate{
			{
				PropositionId: "advice", Propensity: 0.4, Context: 1, Value: 15, Lever: 1, Priority: 6,
				LearnedRate: 0.38, LearnedLow: 0.2, LearnedHigh: 0.6, FirstProbability: 0.125, FirstProbabilityError: 0.001,
			},
			{
				PropositionId: "box-set", Propensity: 0.1125, Context: 2, Value: 89, Lever: 1, Priority: 20,
				LearnedRate: 0.2, LearnedLow: 0.091, LearnedHigh: 0.385, FirstProbability: 0.875, FirstProbabilityError: 0.001,
			},
			{PropositionId: "repair", Propensity: 0.5, Context: 1, Value: 8, Lever: 1, Priority: 4, LearnedRate: 0.5, LearnedLow: 0.3, LearnedHigh: 0.7},
			{
				PropositionId: "tickets", Propensity: 0.22, Context: 1, Value: 65, Lever: 1,
				Gate:   marketingv1.Gate_GATE_SUITABILITY,
				Failed: []marketingv1.Gate{marketingv1.Gate_GATE_SUITABILITY, marketingv1.Gate_GATE_CONTACT_POLICY},
			},
		},
		RestedOn: []*flowv1.Freshness{{
			Flow: "request-status", Cadence: "daily", Staleness: durationpb.New(90 * time.Second), Position: &flowv1.Position{Commit: 42, Prepare: 41},
		}},
	}
	if req.GetDecisionId() == "d1" {
		d.DecisionId, d.Group = "d1", marketingv1.Group_GROUP_CONTROL
	}
	return d, nil
}

func (*decisions) GetReplay(_ context.Context, req *marketingv1.GetReplayRequest) (*marketingv1.GetReplayResponse, error) {
	r := &marketingv1.GetReplayResponse{DecisionId: "d2", ModelVersion: "2", Candidates: 4, Outcome: marketingv1.ReplayOutcome_REPLAY_OUTCOME_SAME}
	if req.GetInputs() == marketingv1.ReplayInputs_REPLAY_INPUTS_LOG {
		r.Folded = 42
	}
	switch req.GetContactId() {
	case "c1":
	case "c3":
		if r.GetFolded() > 0 {
			r.Outcome = marketingv1.ReplayOutcome_REPLAY_OUTCOME_DIFFERS
			r.Difference = "decision d2: the decision is not what its features give: its features are not what the log comes to: orders: 7 was recorded, 1 comes of the log"
		}
	case "c2":
		r.Outcome = marketingv1.ReplayOutcome_REPLAY_OUTCOME_DIFFERS
		r.Difference = "decision d2: the decision is not what its features give: candidate box-set: value: 89 was recorded, 88 comes again"
	default:
		return nil, status.Errorf(codes.NotFound, "nothing has been decided for contact %s", req.GetContactId())
	}
	return r, nil
}
