package scenario

import (
	"context"
	"errors"
	"fmt"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"

	"github.com/triangle-suite/triangle/services/await"
)

// What visitors write; the last step looks for it where it must not be.
const (
	serviceText   = "The third disc of my Ellington set skips, can it be exchanged?"
	quoteText     = "What would a complete Ellington edition cost, delivered to my door?"
	complaintText = "My parcel has been left in the rain again, the sleeves are ruined!"
)

// submitRequests has one request done within the contact, and one that has to
// wait for people.
func (p *play) submitRequests(ctx context.Context) (string, error) {
	service, err := p.submit(ctx, "service", journeyv1.RequestKind_REQUEST_KIND_SERVICE, serviceText)
	if err != nil {
		return "", err
	}
	if service.GetHandling() != channelv1.Handling_HANDLING_STRAIGHT_THROUGH {
		return "", fmt.Errorf("the service request was not handled straight through: %s", service.GetDetail())
	}
	quote, err := p.submit(ctx, "quote", journeyv1.RequestKind_REQUEST_KIND_QUOTE, quoteText)
	if err != nil {
		return "", err
	}
	if quote.GetHandling() != channelv1.Handling_HANDLING_PENDING {
		return "", errors.New("the quote is not pending")
	}
	p.knew(Channel, "service %s: done within the contact, as %s", short(service.GetRequestId()), service.GetDetail())
	p.knew(Channel, "quote %s: pending, %s", short(quote.GetRequestId()), quote.GetDetail())
	err = errors.Join(
		p.requestIs(ctx, service.GetRequestId(), journeyv1.RequestStatus_REQUEST_STATUS_DONE),
		p.requestIs(ctx, quote.GetRequestId(), journeyv1.RequestStatus_REQUEST_STATUS_IN_PROGRESS),
		p.viewShows(ctx, quote.GetRequestId()),
		p.profileOf(ctx, p.visitor.customer),
	)
	return "one request handled straight through, one kept by CRM", err
}

// submit submits a request twice: the second time has to get the first answer.
func (p *play) submit(ctx context.Context, call string, kind journeyv1.RequestKind, text string) (*channelv1.SubmitRequestResponse, error) {
	request := &channelv1.SubmitRequestRequest{ContactId: p.visitor.contact, Kind: kind, Text: text}
	first, err := p.Services.Channel.SubmitRequest(p.keyed(ctx, call), request)
	if err != nil {
		return nil, err
	}
	second, err := p.Services.Channel.SubmitRequest(p.keyed(ctx, call), request)
	if err != nil {
		return nil, err
	}
	if second.GetRequestId() != first.GetRequestId() || second.GetHandling() != first.GetHandling() {
		return nil, fmt.Errorf("request %s, repeated with its key, became request %s", first.GetRequestId(), second.GetRequestId())
	}
	return first, nil
}

// requestIs waits until CRM keeps a request at a status.
func (p *play) requestIs(ctx context.Context, request string, want journeyv1.RequestStatus) error {
	return p.until(ctx, fmt.Sprintf("sales keeps request %s as %s", request, plain(want)), func(ctx context.Context) error {
		found, err := p.Services.Sales.GetRequest(ctx, &salesv1.GetRequestRequest{RequestId: request})
		if err != nil {
			return err
		}
		r := found.GetRequest()
		if r.GetStatus() != want {
			return await.NotYetf("it is %s", plain(r.GetStatus()))
		}
		p.knew(Sales, "request %s: %s, %s", short(request), plain(r.GetStatus()), r.GetDetail())
		return nil
	})
}

// viewShows waits until the channel's view of the visitor has an open request.
func (p *play) viewShows(ctx context.Context, request string) error {
	return p.until(ctx, "the channel's customer view shows the open request", func(ctx context.Context) error {
		known, err := p.Services.Channel.GetContact(ctx, &channelv1.GetContactRequest{ContactId: p.visitor.contact})
		if err != nil {
			return err
		}
		for _, open := range known.GetCustomer().GetOpenRequests() {
			if open.GetRequestId() == request {
				p.knew(Channel, "the customer view shows request %s as open", short(request))
				return nil
			}
		}
		return await.NotYetf("it shows %d open requests", len(known.GetCustomer().GetOpenRequests()))
	})
}
