package campaign

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// RunStream is the stream of one run of a campaign. Each run has its own, so that
// a campaign that runs every day keeps its stream short.
func RunStream(run string) string { return "campaign-run-" + run }

// RunState is what is known of a run.
type RunState struct {
	// Planned is whom it means to approach; nil before that.
	Planned *marketingv1.CampaignRunPlanned
	// Stopped tells that it is to issue nothing.
	Stopped bool
	// Ended is how it ended; nil before that. Leads are those that it issued.
	Ended *marketingv1.CampaignRun
	Leads []*marketingv1.LeadIssued
	// Withdrawn tells that its leads were withdrawn.
	Withdrawn bool
}

// RunDecider is the pure core of a run.
var RunDecider = decider.Decider[RunState]{
	Initial: func() RunState { return RunState{} },
	Evolve:  EvolveRun,
}

// EvolveRun records an event of a run.
func EvolveRun(s RunState, event proto.Message) RunState {
	switch m := event.(type) {
	case *marketingv1.CampaignRunPlanned:
		s.Planned = m
	case *marketingv1.CampaignRunStopped:
		s.Stopped = true
	case *marketingv1.CampaignRun:
		s.Ended = m
	case *marketingv1.LeadIssued:
		s.Leads = append(s.Leads[:len(s.Leads):len(s.Leads)], m)
	case *marketingv1.CampaignRunWithdrawn:
		s.Withdrawn = true
	}
	return s
}

// namespace is what the ids of leads derive from, for ever.
var namespace = uuid.MustParse("9d1f9a0f-5d0e-4a7b-8d38-2f9c3a51e7c4")

// LeadID derives the id of the lead that a run issues to a customer.
func LeadID(run, customer string) string {
	return uuid.NewSHA1(namespace, []byte("lead|"+run+"|"+customer)).String()
}

// dueRun derives the id of the run of a campaign that is due at a time, and lookRun
// that of a look at its trigger.
func dueRun(campaign string, due time.Time) string { return runID("due", campaign, due) }

func lookRun(campaign string, at time.Time) string { return runID("look", campaign, at) }

func runID(kind, campaign string, at time.Time) string {
	return uuid.NewSHA1(namespace, fmt.Appendf(nil, "%s|%s|%d", kind, campaign, at.UnixNano())).String()
}

// Plan says whom a run means to approach. That is said once. A run that can't be
// made, for a problem, is over at once.
func Plan(s RunState, p *marketingv1.CampaignRunPlanned, problem string) []proto.Message {
	switch {
	case s.Planned != nil || s.Ended != nil:
		return nil
	case problem == "":
		return []proto.Message{p}
	}
	return []proto.Message{p, &marketingv1.CampaignRun{
		CampaignId: p.GetCampaignId(), RunId: p.GetRunId(), RunAt: p.GetPlannedAt(), DueAt: p.GetDueAt(),
		Eligible: p.GetEligible(), Capped: p.GetCapped(), End: marketingv1.RunEnd_RUN_END_FAILED, Problem: problem,
	}}
}

// StopRun says that a run is to issue nothing, unless it is over.
func StopRun(s RunState) []proto.Message {
	if s.Planned == nil || s.Ended != nil || s.Stopped {
		return nil
	}
	return []proto.Message{&marketingv1.CampaignRunStopped{CampaignId: s.Planned.GetCampaignId(), RunId: s.Planned.GetRunId()}}
}

// ranked are all whom a run may approach, who comes first first.
func ranked(p *marketingv1.CampaignRunPlanned) []string {
	return slices.Concat(p.GetCustomers(), p.GetReserves())
}

// End ends a run, with a lead for each customer in whose stream it has a place. For
// passed others it had none. A run ends once.
func End(s RunState, placed []string, passed int) []proto.Message {
	p := s.Planned
	if p == nil || s.Ended != nil {
		return nil
	}
	run := &marketingv1.CampaignRun{
		CampaignId: p.GetCampaignId(), RunId: p.GetRunId(), RunAt: p.GetPlannedAt(), DueAt: p.GetDueAt(),
		Eligible: p.GetEligible(), Capped: p.GetCapped(), End: marketingv1.RunEnd_RUN_END_STOPPED,
	}
	if s.Stopped {
		return []proto.Message{run}
	}
	run.End = marketingv1.RunEnd_RUN_END_ISSUED
	run.Leads = uint32(len(placed)) //nolint:gosec // no more than mostLeads
	run.Capped += uint64(passed)    //nolint:gosec // some of those whom the run may approach
	events := []proto.Message{run}
	for _, customer := range placed {
		events = append(events, issued(p, customer))
	}
	return events
}

// Withdraw withdraws the leads of a run that has issued them, but for those of which
// it is known what came of them. That is done once.
func Withdraw(s RunState, known map[string]bool) []proto.Message {
	if s.Ended == nil || s.Withdrawn {
		return nil
	}
	run := &marketingv1.CampaignRunWithdrawn{CampaignId: s.Ended.GetCampaignId(), RunId: s.Ended.GetRunId()}
	events := []proto.Message{run}
	for _, l := range s.Leads {
		if known[l.GetLeadId()] {
			continue
		}
		run.Leads++
		events = append(events, &marketingv1.LeadWithdrawn{
			LeadId: l.GetLeadId(), CampaignId: l.GetCampaignId(), CustomerId: l.GetCustomerId(),
			Reason: marketingv1.WithdrawalReason_WITHDRAWAL_REASON_CAMPAIGN_STOPPED,
		})
	}
	return events
}

// issued is the lead of a run to a customer.
func issued(p *marketingv1.CampaignRunPlanned, customer string) *marketingv1.LeadIssued {
	return &marketingv1.LeadIssued{
		LeadId: LeadID(p.GetRunId(), customer), CampaignId: p.GetCampaignId(), RunId: p.GetRunId(), CustomerId: customer,
		PropositionId: p.GetPropositionId(), Channel: p.GetChannel(), Content: p.GetContent(), Priority: p.GetPriority(),
	}
}
