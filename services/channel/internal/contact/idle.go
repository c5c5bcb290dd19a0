package contact

import (
	"context"
	"fmt"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/channel/internal/idle"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// IdleFlow is the channel's own events in contacts, back to itself: what keeps a
// contact alive, and its end.
var IdleFlow = idleFlow()

func idleFlow() flows.Flow {
	f := flow.Own(flows.Channel, []string{
		"channel.ContactStarted", "channel.ContactHandedOver", "channel.ContactEnded",
		"channel.IdentityClaimed", "channel.PropositionPresented", "channel.PropositionAnswered", "channel.InterestShown",
		"channel.BannerClicked", "channel.CommercialEventRecorded", "channel.LeadResponseReceived",
		"channel.RequestSubmitted", "channel.VariantShown",
	}, []string{"contact_id"})
	f.Name += "-contacts"
	return f
}

// open is the table of the contacts that go on.
var open = idle.Table{Name: "contact_open", ID: "contact_id"}

// IdleSchema is the table of the contacts that go on, each with what touched it
// last.
var IdleSchema = projection.Schema{Name: open.Name, Version: 1, Tables: open.Statements()}

// ProjectIdle writes an event of a contact into the table.
func ProjectIdle(ctx context.Context, tx *projection.Tx, e codec.Event) (err error) {
	switch m := e.Message.(type) {
	case *channelv1.ContactStarted:
		err = open.Begin(ctx, tx, m.GetContactId(), m.GetChannel())
	case *channelv1.ContactHandedOver:
		err = open.Move(ctx, tx, m.GetContactId(), m.GetTo())
	case *channelv1.ContactEnded:
		err = open.End(ctx, tx, m.GetContactId())
	}
	if m, ok := e.Message.(interface{ GetContactId() string }); ok && err == nil && isTouch(e.Message) {
		err = open.Touch(ctx, tx, m.GetContactId(), e)
	}
	return err
}

// Expirer ends contacts that nobody touches for their channel's time-out: see
// idle.Expirer, of which x has the rest.
func Expirer(streams *decider.Streams, x idle.Expirer) *idle.Expirer {
	x.Table = open
	x.End = func(ctx context.Context, u idle.Untouched) error {
		u.Origin.Key = "contact:" + u.Origin.Key
		_, err := decider.Handle(ctx, streams, u.Origin, Stream(u.ID), Decider, TimeOut{Touches: u.Touches, At: u.At}.Decide)
		if err != nil {
			return fmt.Errorf("end contact %s, which timed out: %w", u.ID, err)
		}
		return nil
	}
	return &x
}
