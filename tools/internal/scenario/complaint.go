package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/types/known/durationpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"

	"github.com/triangle-suite/triangle/tools/internal/imports"
	"github.com/triangle-suite/triangle/tools/internal/sample"

	"github.com/triangle-suite/triangle/services/await"
)

const requestStatus = "request-status"

// complain has a customer of the sample complain by phone, and then look at the
// website, while request-status is daily.
func (p *play) complain(ctx context.Context) (string, error) {
	number, err := complainerOf(p.Run)
	if err != nil {
		return "", err
	}
	if err := p.phoneIn(ctx, number); err != nil {
		return "", err
	}
	// Marketing meters what waits before its closed gate.
	if err := p.statusIsStale(ctx); err != nil {
		return "", err
	}
	if err := p.visitWebsite(ctx); err != nil {
		return "", err
	}
	return "customer " + number + " is still offered something to buy, and the decision says how old its knowledge is", nil
}

// persons lists the numbers of the sample's persons, as they stand in the file.
var persons = sync.OnceValues(func() (numbers []string, err error) {
	for row, err := range imports.Persons(bytes.NewReader(sample.Persons)) {
		if err != nil {
			return nil, err
		}
		if !row.Duplicate && row.Problem == nil {
			numbers = append(numbers, row.Number)
		}
	}
	return numbers, nil
})

// complainerOf takes another customer of the sample for each run.
func complainerOf(run int) (string, error) {
	numbers, err := persons()
	if err != nil {
		return "", err
	}
	return numbers[(run-1)%len(numbers)], nil
}

// phoneIn files the complaint at the call centre.
func (p *play) phoneIn(ctx context.Context, number string) error {
	started, err := p.Services.Channel.StartContact(p.keyed(ctx, "call"), &channelv1.StartContactRequest{
		Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE, VisitorId: fmt.Sprintf("caller-%d", p.Run),
		Claims: &channelv1.Claims{CustomerNumber: number}, Wait: durationpb.New(wait),
	})
	if err != nil {
		return err
	}
	call := started.GetContact().GetContactId()
	known, err := p.identified(ctx, call)
	if err != nil {
		return err
	}
	p.complainer.customer = known.GetContact().GetCustomerId()
	if got := known.GetCustomer().GetCustomerNumber(); got != number {
		return fmt.Errorf("customer %s called, and was taken for %q", number, got)
	}
	p.knew(Channel, "a known customer, %s, is on the phone", number)
	complaint, err := p.Services.Channel.SubmitRequest(p.keyed(ctx, "complaint"), &channelv1.SubmitRequestRequest{
		ContactId: call, Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT, Text: complaintText,
	})
	if err != nil {
		return err
	}
	p.complainer.request = complaint.GetRequestId()
	if err := p.requestIs(ctx, p.complainer.request, journeyv1.RequestStatus_REQUEST_STATUS_IN_PROGRESS); err != nil {
		return err
	}
	if err := p.isHandedOn(ctx, complaint); err != nil {
		return err
	}
	_, err = p.Services.Channel.EndContact(p.keyed(ctx, "hang-up"), &channelv1.EndContactRequest{
		ContactId: call, Outcome: channelv1.ContactOutcome_CONTACT_OUTCOME_PENDING,
	})
	return err
}

// isHandedOn waits until CRM keeps a request by the back office's own reference. Nothing
// more is told of it then until it is resolved: what a flow takes in before and after a
// cut-over is no matter of chance.
func (p *play) isHandedOn(ctx context.Context, submitted *channelv1.SubmitRequestResponse) error {
	return p.until(ctx, "sales keeps the reference of request "+submitted.GetRequestId(), func(ctx context.Context) error {
		found, err := p.Services.Sales.GetRequest(ctx, &salesv1.GetRequestRequest{RequestId: submitted.GetRequestId()})
		if err != nil {
			return err
		}
		if found.GetRequest().GetDetail() == submitted.GetDetail() {
			return await.NotYetf("it was not handed on")
		}
		return nil
	})
}

// statusIsStale waits until marketing knows that it does not know everything.
func (p *play) statusIsStale(ctx context.Context) error {
	return p.until(ctx, "marketing knows that request-status is behind", func(ctx context.Context) error {
		profile, err := p.profile(ctx, p.complainer.customer)
		if err != nil {
			return err
		}
		if profile.GetOpenComplaints() != 0 {
			return errors.New("marketing knows of the complaint already, though request-status runs daily")
		}
		f, ok := freshnessOf(requestStatus, profile.GetFreshness())
		if !ok || f.GetStaleness().AsDuration() <= 0 {
			return await.NotYetf("it takes request-status for caught up")
		}
		p.knew(Marketing, "no open complaint of this customer; %s", age(f))
		return nil
	})
}

// visitWebsite has the complainer look at the website.
func (p *play) visitWebsite(ctx context.Context) error {
	started, err := p.Services.Channel.StartContact(p.keyed(ctx, "website"), &channelv1.StartContactRequest{
		Channel: journeyv1.Channel_CHANNEL_WEBSITE, VisitorId: fmt.Sprintf("caller-%d", p.Run),
		CustomerId: p.complainer.customer, Wait: durationpb.New(wait),
	})
	if err != nil {
		return err
	}
	p.complainer.website = started.GetContact().GetContactId()
	known, err := p.identified(ctx, p.complainer.website)
	if err != nil {
		return err
	}
	actions := known.GetNextBestActions()
	selling := p.sales(actions.GetActions())
	p.knew(Channel, "on the website the customer is offered: %s", named(actions.GetActions()))
	if len(selling) == 0 {
		return errors.New("nothing is sold to the customer, though marketing can't know of the complaint")
	}
	rested, ok := freshnessOf(requestStatus, actions.GetRestedOn())
	if !ok || rested.GetStaleness().AsDuration() <= 0 || rested.GetCadence() != flows.Daily {
		return fmt.Errorf("the answer does not say how old request-status is: %v", actions.GetRestedOn())
	}
	p.knew(Channel, "the decision rested on old knowledge: %s", age(rested))
	return nil
}

// moveToRealTime migrates the flow: the same customer is not sold to any more,
// until the complaint is resolved.
func (p *play) moveToRealTime(ctx context.Context) (string, error) {
	state, err := p.setCadence(ctx, requestStatus, flows.RealTime, "who complains is not sold to")
	if err != nil {
		return "", err
	}
	if err := p.openComplaints(ctx, 1); err != nil {
		return "", err
	}
	p.knew(Marketing, "%s runs %s, in epoch %d, and the complaint is known", requestStatus, state.Cadence, state.Epoch)
	if err := p.sellsNothing(ctx); err != nil {
		return "", err
	}
	if err := p.resolve(ctx); err != nil {
		return "", err
	}
	if err := p.openComplaints(ctx, 0); err != nil {
		return "", err
	}
	p.knew(Marketing, "the complaint is resolved")
	if err := p.sellsAgain(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("suppressed by %s while the complaint was open, back once it was resolved", marketingv1.Gate_GATE_SUITABILITY), nil
}

// openComplaints waits until marketing knows so many open complaints.
func (p *play) openComplaints(ctx context.Context, want uint32) error {
	return p.until(ctx, fmt.Sprintf("marketing knows %d open complaints of the customer", want), func(ctx context.Context) error {
		profile, err := p.profile(ctx, p.complainer.customer)
		if err == nil && profile.GetOpenComplaints() != want {
			return await.NotYetf("it knows %d", profile.GetOpenComplaints())
		}
		return err
	})
}

// sellsNothing checks that the next list sells nothing, and that the decision
// says why.
func (p *play) sellsNothing(ctx context.Context) error {
	actions, err := p.record(ctx, "while-open", p.complainer.website, interest("concerts"))
	if err != nil {
		return err
	}
	p.knew(Channel, "while the complaint is open: %s", named(actions.GetActions()))
	if selling := p.sales(actions.GetActions()); len(selling) > 0 {
		return fmt.Errorf("with an open complaint the customer is offered: %s", named(selling))
	}
	return p.until(ctx, "marketing explains its decision", func(ctx context.Context) error {
		decision, err := p.decision(ctx, p.complainer.website)
		if err != nil {
			return err
		}
		suppressed := p.unsuitable(decision.GetCandidates())
		if suppressed == 0 {
			return errors.New("the decision left out no proposition for its suitability")
		}
		p.knew(Marketing, "%d propositions that sell were left out by %s", suppressed, marketingv1.Gate_GATE_SUITABILITY)
		return nil
	})
}

// unsuitable counts the selling propositions that did not suit.
func (p *play) unsuitable(candidates []*marketingv1.Candidate) int {
	suppressed := 0
	for _, c := range candidates {
		if p.sells(c.GetPropositionId()) && c.GetGate() == marketingv1.Gate_GATE_SUITABILITY {
			suppressed++
		}
	}
	return suppressed
}

// resolve has an employee resolve the complaint.
func (p *play) resolve(ctx context.Context) error {
	resolved, err := p.Services.Sales.ResolveRequest(p.keyed(ctx, "resolve"), &salesv1.ResolveRequestRequest{
		RequestId: p.complainer.request, Detail: "new sleeves have been sent",
	})
	if err != nil {
		return err
	}
	if resolved.GetStatus() != journeyv1.RequestStatus_REQUEST_STATUS_DONE {
		return fmt.Errorf("the complaint was resolved, and is %s", plain(resolved.GetStatus()))
	}
	p.knew(Sales, "request %s: %s", short(p.complainer.request), plain(resolved.GetStatus()))
	return nil
}

// sellsAgain checks that the next list sells again.
func (p *play) sellsAgain(ctx context.Context) error {
	actions, err := p.record(ctx, "when-resolved", p.complainer.website, interest("jazz"))
	if err != nil {
		return err
	}
	p.knew(Channel, "when it is resolved: %s", named(actions.GetActions()))
	if len(p.sales(actions.GetActions())) == 0 {
		return errors.New("the complaint is resolved, and still nothing is sold to the customer")
	}
	return nil
}
