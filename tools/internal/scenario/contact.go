package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"

	"github.com/triangle-suite/triangle/services/await"
)

// claims is who the visitor of this run is.
func (p *play) claims() *channelv1.Claims {
	return &channelv1.Claims{
		CustomerNumber: fmt.Sprintf("demo-%d", p.Run),
		Email:          fmt.Sprintf("visitor%d@example.org", p.Run),
		Phone:          fmt.Sprintf("+1202555%04d", 100+p.Run),
		GivenName:      "Wilhelmina",
		Surname:        "Oosterwijk",
	}
}

// startContact has an unknown visitor come to the website.
func (p *play) startContact(ctx context.Context) (string, error) {
	began := time.Now()
	started, err := p.Services.Channel.StartContact(p.keyed(ctx, "start"), &channelv1.StartContactRequest{
		Channel: journeyv1.Channel_CHANNEL_WEBSITE, VisitorId: fmt.Sprintf("visitor-%d", p.Run),
		Claims: p.claims(), Wait: durationpb.New(wait),
	})
	if err != nil {
		return "", err
	}
	took := time.Since(began).Round(time.Millisecond)
	p.visitor.contact = started.GetContact().GetContactId()
	p.knew(Channel, "contact %s; the list is %s; it took %s", short(p.visitor.contact), origin(started.GetNextBestActions()), took)
	if err := checkReason(started.GetNextBestActions()); err != nil {
		return "", err
	}
	known, err := p.identified(ctx, p.visitor.contact)
	if err != nil {
		return "", err
	}
	p.visitor.customer, p.visitor.actions = known.GetContact().GetCustomerId(), known.GetNextBestActions()
	p.knew(Channel, "customer %s (%s), orders %d; next best actions: %s", short(p.visitor.customer),
		known.GetCustomer().GetCustomerNumber(), known.GetCustomer().GetOrders(), named(p.visitor.actions.GetActions()))
	return fmt.Sprintf("customer %s", short(p.visitor.customer)), errors.Join(p.registered(ctx), p.profileOf(ctx, p.visitor.customer))
}

// checkReason wants an answer that was not decided for the call to say why.
func checkReason(a *channelv1.Actions) error {
	if a.GetSource() != channelv1.ListSource_LIST_SOURCE_DECIDED && a.GetReason() == "" {
		return errors.New("the channel answered with a list that was not decided for the call, and does not say why")
	}
	return nil
}

// identified waits until the channel knows a contact's customer, with their
// view, and a list for them.
func (p *play) identified(ctx context.Context, contact string) (known *channelv1.GetContactResponse, err error) {
	err = p.until(ctx, "the channel knows customer and next best actions", func(ctx context.Context) (err error) {
		known, err = p.Services.Channel.GetContact(ctx, &channelv1.GetContactRequest{ContactId: contact})
		switch {
		case err != nil:
			return err
		case known.GetContact().GetCustomerId() == "":
			return await.NotYetf("the visitor is not identified")
		case known.GetCustomer().GetCustomerId() == "":
			return await.NotYetf("the customer view is not there")
		case len(known.GetNextBestActions().GetActions()) == 0:
			return await.NotYetf("there is no list: %s", known.GetNextBestActions().GetReason())
		}
		return nil
	})
	if err == nil {
		p.decided[contact] = known.GetNextBestActions().GetDecisionId()
	}
	return known, err
}

// registered checks that CRM has made the visitor a customer.
func (p *play) registered(ctx context.Context) error {
	return p.until(ctx, "sales knows the visitor as a customer", func(ctx context.Context) error {
		found, err := p.Services.Sales.GetCustomer(ctx, &salesv1.GetCustomerRequest{
			By: &salesv1.GetCustomerRequest_CustomerId{CustomerId: p.visitor.customer},
		})
		if err != nil {
			return err
		}
		c, claimed := found.GetCustomer(), p.claims()
		if c.GetCustomerNumber() != claimed.GetCustomerNumber() || c.GetPerson().GetEmail() != claimed.GetEmail() {
			return fmt.Errorf("the customer is number %q, with another number or e-mail address than the visitor gave", c.GetCustomerNumber())
		}
		p.knew(Sales, "customer %s, registered from %q, with e-mail address and phone number", c.GetCustomerNumber(), c.GetSource())
		return nil
	})
}

// profileOf tells what marketing knows of a customer at this point.
func (p *play) profileOf(ctx context.Context, customer string) error {
	profile, err := p.profile(ctx, customer)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("orders %d, open complaints %d", profile.GetOrders(), profile.GetOpenComplaints())
	for _, flow := range []string{"customer-facts", "request-status"} {
		if f, ok := freshnessOf(flow, profile.GetFreshness()); ok {
			text += "; " + age(f)
		}
	}
	p.knew(Marketing, "of customer %s: %s", short(customer), text)
	return nil
}

// profile returns what marketing knows of a customer; an empty profile when it
// has not heard of them.
func (p *play) profile(ctx context.Context, customer string) (*marketingv1.GetProfileResponse, error) {
	profile, err := p.Services.Marketing.GetProfile(ctx, &marketingv1.GetProfileRequest{CustomerId: customer})
	if status.Code(err) == codes.NotFound {
		return &marketingv1.GetProfileResponse{CustomerId: customer}, nil
	}
	return profile, err
}

// record passes an event to marketing, and returns the list that it led to.
func (p *play) record(ctx context.Context, call, contact string, event *channelv1.RecordEventRequest) (*channelv1.Actions, error) {
	event.ContactId, event.Wait = contact, durationpb.New(wait)
	recorded, err := p.Services.Channel.RecordEvent(p.keyed(ctx, call), event)
	if err != nil {
		return nil, err
	}
	actions := recorded.GetNextBestActions()
	if actions.GetSource() != channelv1.ListSource_LIST_SOURCE_DECIDED {
		if err := checkReason(actions); err != nil {
			return nil, err
		}
		if actions, err = p.decidedLater(ctx, contact); err != nil {
			return nil, err
		}
	}
	p.decided[contact] = actions.GetDecisionId()
	return actions, nil
}

// decidedLater waits for the decision that did not come within the call: a
// process may have been down.
func (p *play) decidedLater(ctx context.Context, contact string) (actions *channelv1.Actions, err error) {
	err = p.until(ctx, "the channel has a new list", func(ctx context.Context) error {
		known, err := p.Services.Channel.GetContact(ctx, &channelv1.GetContactRequest{ContactId: contact})
		if err != nil {
			return err
		}
		actions = known.GetNextBestActions()
		if actions.GetDecisionId() == p.decided[contact] {
			return await.NotYetf("it has the list of before: %s", actions.GetReason())
		}
		return nil
	})
	return actions, err
}

// present tells that a proposition was shown; nothing is decided upon that.
func (p *play) present(ctx context.Context, call, contact, proposition string) error {
	_, err := p.Services.Channel.RecordEvent(p.keyed(ctx, call), &channelv1.RecordEventRequest{
		ContactId: contact, Wait: durationpb.New(time.Millisecond),
		Event: &channelv1.RecordEventRequest_Presented{Presented: &channelv1.PresentedEvent{
			PropositionId: proposition, DecisionId: p.decided[contact],
		}},
	})
	return err
}

func interest(topic string) *channelv1.RecordEventRequest {
	return &channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Interest{
		Interest: &channelv1.InterestEvent{Kind: "landing-page", Topic: topic},
	}}
}

func answer(proposition string, a journeyv1.Answer) *channelv1.RecordEventRequest {
	return &channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Answered{
		Answered: &channelv1.AnsweredEvent{PropositionId: proposition, Answer: a},
	}}
}
