package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"

	"github.com/triangle-suite/triangle/tools/internal/sample"

	"github.com/triangle-suite/triangle/services/await"
)

const (
	// boughtOn is the day of the visitor's order: the day after the sample ends,
	// and the same in every play.
	boughtOn = "1998-07-01"
	// amountStep makes each run's visitor a better customer than all before.
	amountStep = 100_00
	// hourlyCapacity is what the call centre grants for an hour. A grant can't be
	// changed, and may have to do for many runs.
	hourlyCapacity = 1_000
)

// placeOrder has the visitor buy for more than anybody has so far.
func (p *play) placeOrder(ctx context.Context) (string, error) {
	p.visitor.amount = sample.BestSpentCents + int64(p.Run)*amountStep
	_, err := p.Services.Sales.PlaceOrder(p.keyed(ctx, "order"), &salesv1.PlaceOrderRequest{
		CustomerNumber: p.claims().GetCustomerNumber(), OrderNumber: fmt.Sprintf("demo-%d-1", p.Run), OrderedOn: boughtOn,
		Quantity: 50, AmountCents: p.visitor.amount, Source: "demo",
	})
	if err != nil {
		return "", err
	}
	p.knew(Sales, "an order of %s; the best customer of the sample has spent %s", money(p.visitor.amount), money(sample.BestSpentCents))
	err = p.until(ctx, "the channel's customer view shows the order", func(ctx context.Context) error {
		known, err := p.Services.Channel.GetContact(ctx, &channelv1.GetContactRequest{ContactId: p.visitor.contact})
		if err != nil {
			return err
		}
		if view := known.GetCustomer(); view.GetOrders() != 1 || view.GetSpentCents() != p.visitor.amount {
			return await.NotYetf("it shows %d orders, %s", view.GetOrders(), money(view.GetSpentCents()))
		}
		p.knew(Channel, "the customer view shows 1 order, %s", money(p.visitor.amount))
		return nil
	})
	if err != nil {
		return "", err
	}
	return "the customer view followed at once, marketing hears of it in its daily window", p.profileOf(ctx, p.visitor.customer)
}

// runCampaign takes the outbound way, flow by flow, each with a window now that
// would otherwise come within the hour or the day.
func (p *play) runCampaign(ctx context.Context) (string, error) {
	if err := p.window(ctx, "customer-facts", "marketing knows the order", nothing, p.marketingKnowsOrder); err != nil {
		return "", err
	}
	if err := p.profileOf(ctx, p.visitor.customer); err != nil {
		return "", err
	}
	run, err := p.Services.Marketing.RunCampaign(p.keyed(ctx, "run"), &marketingv1.RunCampaignRequest{CampaignId: campaignID})
	if err != nil {
		return "", err
	}
	if got, want := len(run.GetLeadIds()), int(p.campaign().GetMaxLeads()); got != want {
		return "", fmt.Errorf("the campaign issued %d leads, not %d", got, want)
	}
	p.knew(Marketing, "run %s of the campaign issued %d leads", short(run.GetRunId()), len(run.GetLeadIds()))
	if err := p.dispatch(ctx, run.GetLeadIds()); err != nil {
		return "", err
	}
	return p.delivered(ctx, run.GetLeadIds())
}

func (p *play) marketingKnowsOrder(ctx context.Context) error {
	profile, err := p.profile(ctx, p.visitor.customer)
	if err == nil && profile.GetSpentCents() != p.visitor.amount {
		return await.NotYetf("it knows of %s", money(profile.GetSpentCents()))
	}
	return err
}

// dispatch follows the leads from marketing over lead management to the channel.
func (p *play) dispatch(ctx context.Context, leads []string) error {
	err := p.window(ctx, "outbound-leads", "lead management has accepted the leads", nothing, func(ctx context.Context) error {
		return p.each(ctx, leads, func(l *salesv1.Lead) error {
			if l.GetCustomerId() == p.visitor.customer {
				p.visitor.lead = l.GetLeadId()
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if p.visitor.lead == "" {
		return errors.New("the campaign passed the best customer by")
	}
	p.knew(Sales, "%d leads, to be carried out as far as capacity is granted", len(leads))
	err = p.window(ctx, "channel-capacity", "lead management has dispatched the leads", p.grant, func(ctx context.Context) error {
		return p.each(ctx, leads, func(l *salesv1.Lead) error {
			if l.GetStatus() <= salesv1.LeadStatus_LEAD_STATUS_ACCEPTED {
				return await.NotYetf("lead %s is %s", l.GetLeadId(), plain(l.GetStatus()))
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	p.knew(Sales, "%d leads dispatched within the call centre's grant of %s an hour", len(leads), count(hourlyCapacity))
	return nil
}

// grant gives lead management the call centre for the present hour, which may be
// another one than when it was granted last.
func (p *play) grant(ctx context.Context) error {
	hour := time.Now().UTC().Truncate(time.Hour)
	_, err := p.Services.Channel.GrantCapacity(p.keyed(ctx, "grant-"+hour.Format("2006-01-02T15")), &channelv1.GrantCapacityRequest{
		Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE, StartsAt: timestamppb.New(hour), Capacity: hourlyCapacity,
	})
	return err
}

// each looks at every lead.
func (p *play) each(ctx context.Context, leads []string, look func(*salesv1.Lead) error) error {
	for _, id := range leads {
		found, err := p.Services.Sales.GetLead(ctx, &salesv1.GetLeadRequest{LeadId: id})
		if err != nil {
			return err
		}
		if err := look(found.GetLead()); err != nil {
			return err
		}
	}
	return nil
}

// delivered follows the leads onto the call list, or back.
func (p *play) delivered(ctx context.Context, leads []string) (string, error) {
	var listed, refused int
	var why string
	err := p.window(ctx, "lead-dispatch", "the call centre has taken up the leads, or sent them back", nothing, func(ctx context.Context) error {
		listed, refused = 0, 0
		return p.each(ctx, leads, func(l *salesv1.Lead) error {
			switch {
			case l.GetStatus() == salesv1.LeadStatus_LEAD_STATUS_SENT:
				listed++
			case l.GetStatus() == salesv1.LeadStatus_LEAD_STATUS_FAILED && l.GetLeadId() != p.visitor.lead:
				refused, why = refused+1, l.GetDetail()
			case l.GetStatus() == salesv1.LeadStatus_LEAD_STATUS_FAILED:
				return fmt.Errorf("the visitor can't be called: %s", l.GetDetail())
			default:
				return await.NotYetf("lead %s is %s", l.GetLeadId(), plain(l.GetStatus()))
			}
			return nil
		})
	})
	if err != nil {
		return "", err
	}
	if refused < leadsWithoutPhone {
		return "", fmt.Errorf("%d leads came back, though %d customers have no phone number", refused, leadsWithoutPhone)
	}
	if err := p.onCallList(ctx); err != nil {
		return "", err
	}
	p.knew(Sales, "%d of the leads on the call list, %d came back: %s", listed, refused, why)
	return fmt.Sprintf("%d leads issued, %d on the call list, %d refused", len(leads), listed, refused), nil
}

// onCallList checks that the visitor is to be called, at the number that CRM
// had when the call was put on the list.
func (p *play) onCallList(ctx context.Context) error {
	return p.until(ctx, "the visitor stands on the call list", func(ctx context.Context) error {
		list, err := p.Services.Channel.ListMessages(ctx, &channelv1.ListMessagesRequest{
			Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE, PageSize: 1000,
		})
		if err != nil {
			return err
		}
		for _, m := range list.GetMessages() {
			if m.GetLeadId() != p.visitor.lead {
				continue
			}
			if m.GetState() != channelv1.MessageState_MESSAGE_STATE_SENT || m.GetAddress() != p.claims().GetPhone() {
				return await.NotYetf("the message is %s, its address %d characters long", plain(m.GetState()), len(m.GetAddress()))
			}
			p.knew(Channel, "call the visitor at %s (looked up when it was put on the list), and say: %s", m.GetAddress(), m.GetContent())
			return nil
		}
		return await.NotYetf("%d others do", len(list.GetMessages()))
	})
}

// respond has the visitor answer on the website what the call centre asked.
func (p *play) respond(ctx context.Context) (string, error) {
	started, err := p.Services.Channel.StartContact(p.keyed(ctx, "back"), &channelv1.StartContactRequest{
		Channel: journeyv1.Channel_CHANNEL_WEBSITE, VisitorId: fmt.Sprintf("visitor-%d", p.Run), CustomerId: p.visitor.customer,
	})
	if err != nil {
		return "", err
	}
	contact := started.GetContact().GetContactId()
	_, err = p.Services.Channel.RespondToLead(p.keyed(ctx, "yes"), &channelv1.RespondToLeadRequest{
		ContactId: contact, LeadId: p.visitor.lead, Answer: journeyv1.Answer_ANSWER_ACCEPTED,
	})
	if err != nil {
		return "", err
	}
	p.knew(Channel, "the visitor says yes to lead %s, on the website", short(p.visitor.lead))
	err = p.until(ctx, "lead management follows the lead as converted", func(ctx context.Context) error {
		return p.each(ctx, []string{p.visitor.lead}, func(l *salesv1.Lead) error {
			if l.GetStatus() != salesv1.LeadStatus_LEAD_STATUS_CONVERTED {
				return await.NotYetf("it is %s", plain(l.GetStatus()))
			}
			p.knew(Sales, "lead %s: %s", short(l.GetLeadId()), plain(l.GetStatus()))
			return nil
		})
	})
	if err != nil {
		return "", err
	}
	return "sent by the call centre, answered on the website, recorded by marketing, converted by sales",
		p.hangUp(ctx, contact, p.visitor.contact, p.complainer.website)
}

// hangUp ends the contacts that are left.
func (p *play) hangUp(ctx context.Context, contacts ...string) error {
	for i, contact := range contacts {
		ended, err := p.Services.Channel.EndContact(p.keyed(ctx, fmt.Sprintf("end-%d", i+1)), &channelv1.EndContactRequest{
			ContactId: contact, Outcome: channelv1.ContactOutcome_CONTACT_OUTCOME_HANDLED,
		})
		if err != nil {
			return err
		}
		if ended.GetContact().GetState() != channelv1.ContactState_CONTACT_STATE_ENDED {
			return fmt.Errorf("contact %s was ended, and is %s", contact, plain(ended.GetContact().GetState()))
		}
	}
	return nil
}
