// Package campaign keeps whom marketing means to approach, with what and when, and
// issues the leads of each run.
//
//	asked ────┐
//	a time ───┤                places in the customers' streams
//	schedule ─┼──▶ planned ──▶ held ──▶ taken ──▶ CampaignRun + LeadIssued …, one append
//	trigger ──┘       └──▶ stopped: places are given back, nothing is issued
//
//	a campaign is stopped ──▶ of each run that is over: CampaignRunWithdrawn + LeadWithdrawn …, one append
//
// A plan says whom a run means to approach, and who comes next, and stays so. Each
// step after it is decided on a stream that remembers it. So a run that was broken
// off, at whatever point, goes on where it was, and whoever carries it out comes to
// the same leads.
package campaign

import (
	"time"

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
	// Stopped tells that it was stopped since, and Issued what becomes of the leads
	// that it had issued by then.
	Stopped bool
	Issued  marketingv1.IssuedLeads
}

// Decider is the pure core of a campaign.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve:  Evolve,
}

// Evolve records an event.
func Evolve(s State, event proto.Message) State {
	switch m := event.(type) {
	case *marketingv1.CampaignDefined:
		s.Defined, s.Stopped = m, false
	case *marketingv1.CampaignStopped:
		s.Stopped, s.Issued = true, m.GetIssuedLeads()
	}
	return s
}

// Define says whom marketing means to approach. Defining the same again writes
// nothing, unless the campaign was stopped: then it goes on.
func Define(s State, c *marketingv1.CampaignDefined, at time.Time) []proto.Message {
	c = proto.CloneOf(c)
	c.TimedSince = since(s, c, at)
	if proto.Equal(s.Defined, c) && !s.Stopped {
		return nil
	}
	return []proto.Message{c}
}

// since is when what a campaign runs by began to hold: what was due, or happened,
// before then is not made up for.
func since(s State, c *marketingv1.CampaignDefined, at time.Time) *timestamppb.Timestamp {
	switch was := s.Defined; {
	case c.GetOnceAt() == nil && c.GetSchedule() == "" && c.GetTrigger() == nil:
		return nil
	case was != nil && !s.Stopped && proto.Equal(was.GetOnceAt(), c.GetOnceAt()) &&
		was.GetSchedule() == c.GetSchedule() && proto.Equal(was.GetTrigger(), c.GetTrigger()):
		return was.GetTimedSince()
	default:
		return timestamppb.New(at)
	}
}

// Stop says that a campaign issues no more leads, and what becomes of those that it
// has issued. To stop it again writes nothing, unless they are withdrawn only now.
func Stop(s State, id string, issued marketingv1.IssuedLeads, at time.Time) []proto.Message {
	if s.Defined == nil || s.Stopped && (s.Issued == issued || s.Issued == marketingv1.IssuedLeads_ISSUED_LEADS_WITHDRAWN) {
		return nil
	}
	return []proto.Message{&marketingv1.CampaignStopped{CampaignId: id, StoppedAt: timestamppb.New(at), IssuedLeads: issued}}
}
