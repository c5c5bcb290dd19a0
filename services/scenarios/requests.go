package scenarios

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

var requestCommands = []command{
	{form: "visitor NAME asks for KIND", do: (*play).ask},
	{form: "visitor NAME makes a KIND", do: (*play).ask},
	{form: "request REQUEST", do: (*play).showRequest, again: true},
	{form: "reason why REQUEST is pending", do: (*play).showReason},
	{form: "requests of NAME", do: (*play).showRequests, again: true},
	{form: "employee resolves REQUEST", do: (*play).resolve},
	{form: "back office stops answering", do: silence(false)},
	{form: "back office answers again", do: silence(true)},
}

func silence(answers bool) deed {
	return func(p *play, _ context.Context, _ words) (string, error) {
		if answers {
			return "it answers", p.BackOffice(true)
		}
		return "it is silent", p.BackOffice(false)
	}
}

func (p *play) ask(ctx context.Context, w words) (string, error) {
	who, err := p.inContact(w)
	if err != nil {
		return "", err
	}
	kind, err := value[journeyv1.RequestKind](w.said["KIND"])
	if err != nil {
		return "", err
	}
	submitted, err := p.Services.Channel.SubmitRequest(p.keyed(ctx), &channelv1.SubmitRequestRequest{ContactId: who.contact, Kind: kind, Text: w.Input})
	if err != nil {
		return "", err
	}
	name := p.names.id(w.said["KIND"], submitted.GetRequestId())
	p.requests[name] = submitted.GetRequestId()
	if submitted.GetHandling() == channelv1.Handling_HANDLING_STRAIGHT_THROUGH {
		return name + " is handled straight through", nil
	}
	p.reasons[name] = submitted.GetDetail()
	return name + " is pending", nil
}

// showReason shows why a request was not handled straight through.
func (p *play) showReason(_ context.Context, w words) (string, error) {
	return outOfTime.ReplaceAllString(p.reasons[w.said["REQUEST"]], "in time"), nil
}

// outOfTime is how long a world waits for its back office.
var outOfTime = regexp.MustCompile(`within [0-9a-z.]+`)

// theBackOffices is the number that the back office gives a request: of no interest
// to who asked.
var theBackOffices = regexp.MustCompile(`^(BO|ref)-\S+$`)

func reference(detail string) string {
	if theBackOffices.MatchString(detail) {
		return "the back office has given it a number"
	}
	return outOfTime.ReplaceAllString(detail, "in time")
}

func (p *play) request(name string) (string, error) {
	id, ok := p.requests[name]
	if !ok {
		return "", fmt.Errorf("nobody has made the request %s", name)
	}
	return id, nil
}

func (p *play) showRequest(ctx context.Context, w words) (string, error) {
	id, err := p.request(w.said["REQUEST"])
	if err != nil {
		return "", err
	}
	found, err := p.Services.Sales.GetRequest(ctx, &salesv1.GetRequestRequest{RequestId: id})
	r := found.GetRequest()
	return fmt.Sprintf("%s: %s", word(r.GetStatus()), reference(r.GetDetail())), err
}

func (p *play) showRequests(ctx context.Context, w words) (string, error) {
	who, err := p.customer(w)
	if err != nil {
		return "", err
	}
	found, err := p.Services.Sales.ListRequests(ctx, &salesv1.ListRequestsRequest{CustomerId: who.customer})
	if err != nil {
		return "", err
	}
	byName := map[string]*salesv1.Request{}
	for _, r := range found.GetRequests() {
		byName[p.names.plain(r.GetRequestId())] = r
	}
	var b strings.Builder
	for _, name := range sorted(byName) {
		fmt.Fprintf(&b, "%s is %s: %q\n", name, word(byName[name].GetStatus()), byName[name].GetText())
	}
	return b.String(), nil
}

func (p *play) resolve(ctx context.Context, w words) (string, error) {
	id, err := p.request(w.said["REQUEST"])
	if err != nil {
		return "", err
	}
	resolved, err := p.Services.Sales.ResolveRequest(p.keyed(ctx), &salesv1.ResolveRequestRequest{RequestId: id, Detail: w.Input})
	return w.said["REQUEST"] + " is " + word(resolved.GetStatus()), err
}
