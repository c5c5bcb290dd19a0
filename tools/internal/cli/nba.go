package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"

	"github.com/triangle-suite/triangle/services/client"
)

type nbaCommands struct {
	Explain nbaExplain `cmd:"" help:"Explain a decision: what was looked at, what was left out by which gate, and what made the order."`
	Replay  nbaReplay  `cmd:"" help:"Make a decision again from what it recorded; fails unless it comes to the same, bit for bit."`
}

// decisionOf says which decision, and where marketing support is.
type decisionOf struct {
	Contact   string `arg:"" help:"The contact's id."`
	Decision  string `placeholder:"ID" help:"One of the contact's decisions (the last one)."`
	Marketing string `placeholder:"HOST:PORT" help:"Where marketing support serves gRPC (where the suite of --data does, else 127.0.0.1:9083)."`
}

type nbaExplain struct {
	decisionOf

	WhyNot string `placeholder:"PROPOSITION" help:"Tell why a proposition, by its name or its id, did not come first."`
}

type nbaReplay struct {
	decisionOf

	FromLog bool `help:"First rebuild what it rested on, by folding the log again up to the positions that it recorded, and hold it against what it recorded."`
}

// foldTimeout is how long folding the log again may take, unless --timeout says
// otherwise.
const foldTimeout = 10 * time.Minute

// with connects to marketing support for as long as do takes.
func (c *decisionOf) with(s *session, timeout time.Duration, do func(context.Context, marketingv1.MarketingServiceClient) error) (err error) {
	if c.Marketing == "" {
		running, err := s.layout().Running()
		if err != nil {
			return err
		}
		c.Marketing = running.Marketing.GRPC
	}
	connection, err := client.Connect(c.Marketing)
	if err != nil {
		return fmt.Errorf("--marketing: %w", err)
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	ctx, cancel := s.within(timeout)
	defer cancel()
	return do(ctx, marketingv1.NewMarketingServiceClient(connection))
}

// said is what marketing support said to a call, or what to do when it said nothing.
func said(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.Unavailable {
		return errors.New("marketing support does not answer: start it with triangle up, or say where it is with --data or --marketing")
	}
	return errors.New(status.Convert(err).Message())
}

// Run implements triangle nba explain.
func (c *nbaExplain) Run(s *session) error {
	return c.with(s, readTimeout, func(ctx context.Context, marketing marketingv1.MarketingServiceClient) error {
		decision, err := marketing.GetDecision(ctx, &marketingv1.GetDecisionRequest{ContactId: c.Contact, DecisionId: c.Decision})
		if err != nil {
			return fmt.Errorf("explain the decision for contact %s: %w", c.Contact, said(err))
		}
		known, err := marketing.ListPropositions(ctx, &marketingv1.ListPropositionsRequest{})
		if err != nil {
			return fmt.Errorf("look up the names of propositions: %w", said(err))
		}
		e := explain(decision, known.GetPropositions())
		if c.WhyNot != "" {
			if e.WhyNot, err = e.whyNot(c.WhyNot); err != nil {
				return err
			}
		}
		return s.printExplained(e)
	})
}

// explained is a decision as it is shown.
type explained struct {
	Decision *marketingv1.GetDecisionResponse `json:"-"`
	ID       string                           `json:"decision_id"`
	Group    string                           `json:"group"`
	Model    string                           `json:"model_version"`
	List     []considered                     `json:"list"`
	Unlisted []considered                     `json:"not_listed"`
	LeftOut  []considered                     `json:"left_out"`
	WhyNot   string                           `json:"why_not,omitempty"`
}

// considered is a proposition that the decision looked at.
type considered struct {
	ID        string                 `json:"proposition_id"`
	Name      string                 `json:"name"`
	Failed    []string               `json:"failed,omitempty"`
	Candidate *marketingv1.Candidate `json:"factors"`
}

// explain sorts what a decision looked at: what it listed, in order, what passed
// every gate and was not listed, by priority, and what was left out.
func explain(d *marketingv1.GetDecisionResponse, propositions []*marketingv1.Proposition) explained {
	e := explained{Decision: d, ID: d.GetDecisionId(), Group: word(d.GetGroup(), "GROUP_"), Model: d.GetModelVersion()}
	all := map[string]considered{}
	for _, c := range d.GetCandidates() {
		k := considered{ID: c.GetPropositionId(), Name: nameOf(c.GetPropositionId(), propositions), Candidate: c, Failed: failures(c)}
		all[k.ID] = k
		switch {
		case len(k.Failed) > 0:
			e.LeftOut = append(e.LeftOut, k)
		case !slices.ContainsFunc(d.GetActions(), func(a action) bool { return a.GetPropositionId() == k.ID }):
			e.Unlisted = append(e.Unlisted, k)
		}
	}
	for _, a := range d.GetActions() {
		e.List = append(e.List, all[a.GetPropositionId()])
	}
	slices.SortStableFunc(e.Unlisted, func(a, b considered) int {
		return compare(b.Candidate.GetPriority(), a.Candidate.GetPriority())
	})
	return e
}

func nameOf(id string, propositions []*marketingv1.Proposition) string {
	for _, p := range propositions {
		if p.GetPropositionId() == id {
			return p.GetName()
		}
	}
	return id
}

// failures are the gates that a proposition did not pass. Decisions of the first
// model tell of one.
func failures(c *marketingv1.Candidate) (all []string) {
	for _, gate := range c.GetFailed() {
		all = append(all, word(gate, "GATE_"))
	}
	if len(all) == 0 && c.GetGate() != marketingv1.Gate_GATE_UNSPECIFIED {
		all = append(all, word(c.GetGate(), "GATE_"))
	}
	return all
}

// find returns a proposition by its id or its name.
func (e explained) find(wanted string) (considered, error) {
	var names []string
	for _, k := range slices.Concat(e.List, e.Unlisted, e.LeftOut) {
		if strings.EqualFold(k.ID, wanted) || strings.EqualFold(k.Name, wanted) {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return considered{}, fmt.Errorf("the decision did not look at %q; it looked at: %s", wanted, strings.Join(names, ", "))
}

// whyNot tells why a proposition did not come first.
func (e explained) whyNot(wanted string) (string, error) {
	k, err := e.find(wanted)
	if err != nil {
		return "", err
	}
	switch {
	case len(k.Failed) > 0:
		var reasons []string
		for _, gate := range k.Failed {
			reasons = append(reasons, gateReasons[gate])
		}
		return fmt.Sprintf("%s was left out: %s", k.Name, strings.Join(reasons, "; ")), nil
	case k.ID == e.List[0].ID:
		return k.Name + " came first", nil
	case e.Decision.GetGroup() == marketingv1.Group_GROUP_CONTROL:
		return fmt.Sprintf("%s did not come first because the customer is in the control group, whose lists are in an order drawn at random", k.Name), nil
	}
	first := e.List[0]
	text := fmt.Sprintf("%s came after %s: %.4g is below %.4g; of the factors, %s", k.Name, first.Name,
		k.Candidate.GetPriority(), first.Candidate.GetPriority(), compareFactors(k.Candidate, first.Candidate))
	if p := k.Candidate.GetFirstProbability(); p > 0 {
		text += fmt.Sprintf("; by chance it comes first in %.1f%% of such decisions", 100*p)
	}
	return text, nil
}

// gateReasons say what each gate is for.
var gateReasons = map[string]string{
	"eligibility":    "eligibility (there is no content of it for the channel of the contact)",
	"applicability":  "applicability (the customer has accepted it already)",
	"suitability":    "suitability (it sells, and a complaint of the customer is open)",
	"contact-policy": "contact policy (it was rejected in this contact, or was presented in vain often enough, or a limit of the channel is reached)",
}

// compareFactors tells how each factor of a proposition relates to that of another.
func compareFactors(c, to *marketingv1.Candidate) string {
	var parts []string
	for _, f := range []struct {
		name    string
		is, was float64
	}{
		{"propensity", c.GetPropensity(), to.GetPropensity()},
		{"context", c.GetContext(), to.GetContext()},
		{"value", c.GetValue(), to.GetValue()},
		{"lever", c.GetLever(), to.GetLever()},
	} {
		if f.is != f.was {
			parts = append(parts, fmt.Sprintf("its %s is %.3g against %.3g", f.name, f.is, f.was))
		}
	}
	if len(parts) == 0 {
		return "all are equal, and the ids decide"
	}
	return strings.Join(parts, ", ")
}

// Run implements triangle nba replay.
func (c *nbaReplay) Run(s *session) error {
	inputs, timeout := marketingv1.ReplayInputs_REPLAY_INPUTS_RECORDED, readTimeout
	if c.FromLog {
		inputs, timeout = marketingv1.ReplayInputs_REPLAY_INPUTS_LOG, foldTimeout
	}
	return c.with(s, timeout, func(ctx context.Context, marketing marketingv1.MarketingServiceClient) error {
		replayed, err := marketing.GetReplay(ctx, &marketingv1.GetReplayRequest{ContactId: c.Contact, DecisionId: c.Decision, Inputs: inputs})
		if err != nil {
			return fmt.Errorf("replay the decision for contact %s: %w", c.Contact, said(err))
		}
		same := replayed.GetOutcome() == marketingv1.ReplayOutcome_REPLAY_OUTCOME_SAME
		if err := s.printReplayed(replayed, same); err != nil || same {
			return err
		}
		return &notDone{replayed.GetDifference()}
	})
}
