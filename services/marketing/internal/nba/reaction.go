package nba

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
	"github.com/triangle-suite/triangle/services/marketing/internal/facts"
)

// handler names the reaction, for good: its answers are found by it.
const handler = "decide-next-best-actions"

// lateAfter is how old a cause may be: who did something longer ago has left.
const lateAfter = time.Hour

// RestsOn are the flows that a decision rests on.
var RestsOn = []string{Flow, facts.Flow, complaint.Flow}

// Decisions answers contact events with decisions.
type Decisions struct {
	Streams   *decider.Streams
	Freshness func(flows ...string) []*flowv1.Freshness
	Metrics   *Metrics
}

// Reaction decides at each event that changes what a known customer may want. A
// cause that comes late gets no decision: the contact that it was for is over.
func (d *Decisions) Reaction() flow.Reaction {
	return flow.Reaction{
		Name:    handler,
		Takes:   takes,
		Late:    flow.LatePolicy{Do: flow.ExpireLate, After: lateAfter},
		Answer:  d.answer,
		Decline: d.decline,
	}
}

// takes tells whether an event asks for a decision. What the company itself does
// (to present, to send) asks for none, nor does the end of a contact. As long as
// nobody knows who the visitor is there is no decision, for its features would
// have no key to be sealed with; what the visitor does meanwhile counts in the
// decision that comes of their identification.
func takes(e codec.Event) bool {
	switch m := e.Message.(type) {
	case *channelv1.ContactStarted, *channelv1.VisitorIdentified, *channelv1.ContactHandedOver, *channelv1.PropositionAnswered,
		*channelv1.InterestShown, *channelv1.BannerClicked, *channelv1.CommercialEventRecorded, *channelv1.LeadResponseReceived:
		contact, customer := subjects(m)
		return contact != "" && customer != ""
	default:
		return false
	}
}

// subjects returns whom an event is about.
func subjects(m any) (contact, customer string) {
	if m, ok := m.(interface {
		GetContactId() string
		GetCustomerId() string
	}); ok {
		return m.GetContactId(), m.GetCustomerId()
	}
	return "", ""
}

func (d *Decisions) answer(ctx context.Context, q projection.Querier, cause flow.Cause) error {
	contact, customer := subjects(cause.Message)
	began := time.Now()
	restedOn := d.Freshness(RestsOn...) // before reading: it rests on no less
	g, at, err := gatherAt(ctx, q, contact, customer, cause)
	if err != nil {
		return err
	}
	own := at.stamp(restedOn)
	decided, err := Decide(Command{
		DecisionID: cause.Origin.NewID("decision").String(), CauseID: cause.ID.String(), Channel: g.channel,
		Features: g.features, Seed: cause.Origin.Seed(), RestedOn: restedOn, OwnPosition: own, Wording: g.wording,
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	outcome, err := decider.Handle(ctx, d.Streams, cause.Origin, Stream(contact), Decider,
		func(State) ([]proto.Message, error) { return []proto.Message{decided}, nil })
	if err == nil && !outcome.Repeated {
		d.Metrics.decided(cause, took)
	}
	if reason := whyNot(err); reason != "" {
		return d.decline(ctx, q, cause, reason)
	}
	return err
}

// whyNot tells why there can be no decision, now or later, although nothing is
// wrong with the flow, which goes on. It is empty for every other error.
func whyNot(err error) string {
	switch {
	case errors.Is(err, keyring.ErrDestroyed):
		return "the customer is erased"
	case errors.Is(err, eventlog.ErrTooLarge):
		return "the propositions are too many, or too long, for one decision"
	default:
		return ""
	}
}

func (d *Decisions) decline(ctx context.Context, _ projection.Querier, cause flow.Cause, reason string) error {
	contact, _ := subjects(cause.Message)
	_, err := decider.Handle(ctx, d.Streams, cause.Origin, Stream(contact), Decider,
		func(State) ([]proto.Message, error) { return Decline(Flow, handler, cause.ID.String(), reason), nil })
	return err
}
