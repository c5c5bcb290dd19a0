// Package campaign keeps whom marketing means to approach, with what, and issues
// the leads of a run.
package campaign

import (
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// Stream is the stream of a campaign.
func Stream(id string) string { return "campaign-" + id }

// State is a campaign as it was defined last; nil before that.
type State struct {
	Defined *marketingv1.CampaignDefined
}

// Decider is the pure core of a campaign.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve:  Evolve,
}

// Evolve records an event.
func Evolve(s State, event proto.Message) State {
	if defined, ok := event.(*marketingv1.CampaignDefined); ok {
		s.Defined = defined
	}
	return s
}

// Define says whom marketing means to approach. Defining the same again writes
// nothing.
func Define(s State, c *marketingv1.CampaignDefined) []proto.Message {
	if proto.Equal(s.Defined, c) {
		return nil
	}
	return []proto.Message{c}
}

// RunStream is the stream of one run of a campaign. Each run has its own, so that
// a campaign that runs every day keeps its stream short.
func RunStream(run string) string { return "campaign-run-" + run }

// Issued is what a run has issued; Run is nil before that.
type Issued struct {
	Run   *marketingv1.CampaignRun
	Leads []string
}

// RunDecider is the pure core of a run.
var RunDecider = decider.Decider[Issued]{
	Initial: func() Issued { return Issued{} },
	Evolve:  EvolveRun,
}

// EvolveRun records an event of a run.
func EvolveRun(s Issued, event proto.Message) Issued {
	switch m := event.(type) {
	case *marketingv1.CampaignRun:
		s.Run = m
	case *marketingv1.LeadIssued:
		s.Leads = append(s.Leads[:len(s.Leads):len(s.Leads)], m.GetLeadId())
	}
	return s
}

// Run is the command to run a campaign for the customers that were chosen.
type Run struct {
	ID        string
	At        time.Time
	Campaign  *marketingv1.CampaignDefined
	Content   string
	Customers []string // those that come first get their lead first
}

// namespace is what the ids of leads derive from, for ever.
var namespace = uuid.MustParse("9d1f9a0f-5d0e-4a7b-8d38-2f9c3a51e7c4")

// LeadID derives the id of the lead that a run issues to a customer.
func LeadID(run, customer string) string {
	return uuid.NewSHA1(namespace, []byte("lead|"+run+"|"+customer)).String()
}

// Issue runs the campaign. A run happens once.
func Issue(s Issued, r Run) []proto.Message {
	if s.Run != nil {
		return nil
	}
	c := r.Campaign
	events := []proto.Message{&marketingv1.CampaignRun{
		CampaignId: c.GetCampaignId(), RunId: r.ID, Leads: uint32(len(r.Customers)), RunAt: timestamppb.New(r.At),
	}}
	for _, customer := range r.Customers {
		events = append(events, &marketingv1.LeadIssued{
			LeadId: LeadID(r.ID, customer), CampaignId: c.GetCampaignId(), RunId: r.ID, CustomerId: customer,
			PropositionId: c.GetPropositionId(), Channel: c.GetChannel(), Content: r.Content, Priority: c.GetPriority(),
		})
	}
	return events
}
