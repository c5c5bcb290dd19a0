package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/job"
)

// actor is somebody who calls the services, one call after the other. An actor
// repeats a call that fails, under the same idempotency key, until it is
// answered.
type actor struct {
	world  *world
	name   string
	random *rand.Rand
	calls  int
}

// How large the story is: some 300 events.
const (
	customers = 6
	visitors  = 4
	contacts  = 2 // of each visitor
)

// play has all actors act, and returns what is closed when the last one is done.
func (w *world) play(ctx context.Context) <-chan struct{} {
	var all sync.WaitGroup
	act := func(name string, part func(*actor, context.Context)) {
		a := &actor{world: w, name: name, random: w.chance()}
		all.Go(func() { part(a, job.Named(ctx, "call "+name)) })
	}
	act("marketeer", (*actor).market)
	act("clerk", (*actor).keepCustomers)
	act("planner", (*actor).grant)
	act("reader", (*actor).answer)
	act("officer", (*actor).erase)
	for i := range visitors {
		act(fmt.Sprintf("visitor%d", i), func(a *actor, ctx context.Context) { a.visit(ctx, i) })
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	return done
}

// rest lets the actor do nothing for a while.
func (a *actor) rest(ctx context.Context, limit time.Duration) {
	pauseOr(ctx, time.Duration(a.random.Int64N(int64(limit))))
}

// patience is how long an actor repeats a call. It is longer than any fault lasts,
// and than time leaps.
const patience = 7 * 24 * time.Hour

// call calls until it is answered. ok is false when the answer is a refusal.
func call[Q, A proto.Message](ctx context.Context, a *actor, method func(context.Context, Q, ...grpc.CallOption) (A, error), request Q) (answer A, ok bool) {
	a.calls++
	ctx = context.WithValue(ctx, idempotencyKey{}, fmt.Sprintf("%s-%d", a.name, a.calls))
	var err error
	for given := time.Now(); time.Since(given) < patience; {
		if answer, err = method(ctx, request); err == nil && a.random.IntN(20) > 0 {
			return answer, true
		}
		// Now and then an answer does not reach the actor, who then asks once more.
		if ctx.Err() != nil || isRefusal(err) {
			return answer, false
		}
		a.rest(ctx, 3*time.Minute)
	}
	a.world.diverge("%s called %T in vain: %v", a.name, request, err)
	return answer, false
}

var offers = []string{"savings", "insurance", "card", "advice"}

func (a *actor) market(ctx context.Context) {
	client := marketingv1.NewMarketingServiceClient(a.world.services[flows.Marketing])
	for i, id := range offers {
		purpose := marketingv1.Purpose_PURPOSE_SALES
		if id == "advice" {
			purpose = marketingv1.Purpose_PURPOSE_SERVICE
		}
		p := &marketingv1.Proposition{
			PropositionId: id, Name: "The " + id, Purpose: purpose, Topic: id, ValueCents: int64(1000 * (i + 1)), BasePropensity: 0.1 * float64(i+1),
		}
		for channel := journeyv1.Channel_CHANNEL_WEBSITE; channel <= journeyv1.Channel_CHANNEL_PRINT; channel++ {
			p.Contents = append(p.Contents, &marketingv1.Content{Channel: channel, Text: "Take the " + id})
		}
		call(ctx, a, client.DefineProposition, &marketingv1.DefinePropositionRequest{Proposition: p})
	}
	call(ctx, a, channelv1.NewChannelServiceClient(a.world.services[flows.Channel]).RegisterEventKind, brochure)
	for i, channel := range outbound {
		call(ctx, a, client.DefineCampaign, &marketingv1.DefineCampaignRequest{Campaign: &marketingv1.Campaign{
			CampaignId: fmt.Sprintf("campaign-%d", i), Name: "Autumn", PropositionId: offers[i], Channel: channel, MaxLeads: 4, Priority: uint32(i),
		}})
	}
	for range 5 {
		a.rest(ctx, 20*time.Hour)
		campaign := fmt.Sprintf("campaign-%d", a.random.IntN(len(outbound)))
		call(ctx, a, client.RunCampaign, &marketingv1.RunCampaignRequest{CampaignId: campaign})
	}
}

var outbound = []journeyv1.Channel{journeyv1.Channel_CHANNEL_EMAIL, journeyv1.Channel_CHANNEL_CALL_CENTRE, journeyv1.Channel_CHANNEL_PRINT}

func (a *actor) keepCustomers(ctx context.Context) {
	client := salesv1.NewSalesServiceClient(a.world.services[flows.Sales])
	for i := range customers {
		registered, ok := call(ctx, a, client.RegisterCustomer, &salesv1.RegisterCustomerRequest{CustomerNumber: number(i), Person: person(i), Source: "simulation"})
		if !ok {
			continue
		}
		call(ctx, a, client.ChangeConsent, &salesv1.ChangeConsentRequest{CustomerId: registered.GetCustomerId(), Consent: journeyv1.Consent_CONSENT_GRANTED})
		for n := range 1 + a.random.IntN(3) {
			call(ctx, a, client.PlaceOrder, &salesv1.PlaceOrderRequest{
				CustomerNumber: number(i), OrderNumber: fmt.Sprintf("order-%d-%d", i, n), OrderedOn: "2026-03-01", Quantity: 1, AmountCents: int64(1000 + 100*n), Source: "simulation",
			})
		}
		switch a.random.IntN(4) {
		case 0:
			call(ctx, a, client.ChangeCustomer, &salesv1.ChangeCustomerRequest{CustomerId: registered.GetCustomerId(), Person: moved(i)})
		case 1:
			call(ctx, a, client.ChangeConsent, &salesv1.ChangeConsentRequest{CustomerId: registered.GetCustomerId(), Consent: journeyv1.Consent_CONSENT_WITHDRAWN})
		}
		a.rest(ctx, 2*time.Hour)
	}
	for range 4 {
		a.rest(ctx, 8*time.Hour)
		all, _ := call(ctx, a, client.ListRequests, &salesv1.ListRequestsRequest{})
		for _, r := range all.GetRequests() {
			if r.GetStatus() != journeyv1.RequestStatus_REQUEST_STATUS_DONE && a.random.IntN(2) == 0 {
				call(ctx, a, client.ResolveRequest, &salesv1.ResolveRequestRequest{RequestId: r.GetRequestId(), Detail: "seen to"})
			}
		}
	}
}

func number(i int) string { return fmt.Sprintf("N-%d", i) }

func person(i int) *journeyv1.Person {
	p := &journeyv1.Person{GivenName: "Jo", Surname: fmt.Sprintf("Doe %d", i), Email: fmt.Sprintf("jo%d@example.org", i)}
	if i%2 == 0 {
		p.Phone = fmt.Sprintf("+31 20 123 %04d", i)
		p.Address = &journeyv1.Address{StreetNumber: "1", Street: "High Street", Postcode: "1000", State: "NH"}
	}
	return p
}

// moved is a person as they are known later.
func moved(i int) *journeyv1.Person {
	p := person(i)
	p.Phone = fmt.Sprintf("+31 20 555 %04d", i)
	return p
}

func (a *actor) grant(ctx context.Context) {
	client := channelv1.NewChannelServiceClient(a.world.services[flows.Channel])
	for range 12 {
		channel := outbound[a.random.IntN(len(outbound))]
		grant := &channelv1.GrantCapacityRequest{Channel: channel, Capacity: uint32(1 + a.random.IntN(4))}
		if a.random.IntN(2) == 0 {
			grant.StartsAt = timestamppb.New(time.Now().UTC().Truncate(time.Hour).Add(time.Duration(a.random.IntN(3)) * time.Hour))
		}
		call(ctx, a, client.GrantCapacity, grant)
		if a.random.IntN(3) == 0 {
			call(ctx, a, client.ReportWorkload, &channelv1.ReportWorkloadRequest{Channel: channel, Waiting: uint32(a.random.IntN(9))})
		}
		a.rest(ctx, 6*time.Hour)
	}
}

// visit gets in contact some times, mostly as a customer whom CRM knows.
func (a *actor) visit(ctx context.Context, i int) {
	client := channelv1.NewChannelServiceClient(a.world.services[flows.Channel])
	for n, ended := 0, 0; ended < contacts && n < 2*contacts; n++ {
		a.rest(ctx, 12*time.Hour)
		start := &channelv1.StartContactRequest{Channel: journeyv1.Channel(1 + a.random.IntN(4)), VisitorId: a.name, Wait: a.budget()}
		claims := &channelv1.Claims{Email: fmt.Sprintf("jo%d@example.org", (i*contacts+n)%(customers+2)), GivenName: "Jo"}
		late := a.random.IntN(3) == 0
		if !late {
			start.Claims = claims
		}
		started, ok := call(ctx, a, client.StartContact, start)
		if !ok {
			continue
		}
		id := started.GetContact().GetContactId()
		if late {
			a.step(ctx, client, id)
			call(ctx, a, client.IdentifyVisitor, &channelv1.IdentifyVisitorRequest{ContactId: id, Claims: claims, Wait: a.budget()})
		}
		for range 3 + a.random.IntN(4) {
			a.rest(ctx, 10*time.Minute)
			a.step(ctx, client, id)
		}
		if a.random.IntN(3) == 0 {
			call(ctx, a, client.HandOverContact, &channelv1.HandOverContactRequest{ContactId: id, To: journeyv1.Channel(1 + a.random.IntN(4)), Reason: "please", Wait: a.budget()})
			a.step(ctx, client, id)
		}
		// One that has timed out meanwhile is refused, and the visitor comes once more.
		if _, ok := call(ctx, a, client.EndContact, &channelv1.EndContactRequest{ContactId: id, Outcome: channelv1.ContactOutcome_CONTACT_OUTCOME_HANDLED}); ok {
			ended++
		}
	}
}

// answer gets in contact about what was sent, mostly after the others.
func (a *actor) answer(ctx context.Context) {
	client := channelv1.NewChannelServiceClient(a.world.services[flows.Channel])
	for range 3 {
		a.rest(ctx, 24*time.Hour)
		lead := a.lead(ctx, client)
		if lead == "" {
			continue
		}
		started, ok := call(ctx, a, client.StartContact, &channelv1.StartContactRequest{
			Channel: journeyv1.Channel(1 + a.random.IntN(4)), VisitorId: a.name, Wait: a.budget(),
			Claims: &channelv1.Claims{Email: fmt.Sprintf("jo%d@example.org", a.random.IntN(customers)), GivenName: "Jo"},
		})
		if !ok {
			continue
		}
		id := started.GetContact().GetContactId()
		for range 1 + a.random.IntN(2) {
			call(ctx, a, client.RespondToLead, &channelv1.RespondToLeadRequest{ContactId: id, LeadId: lead, Answer: journeyv1.Answer(1 + a.random.IntN(3))})
		}
	}
}

// lead is one that a channel was to send; empty while there is none.
func (a *actor) lead(ctx context.Context, client channelv1.ChannelServiceClient) string {
	list, _ := call(ctx, a, client.ListMessages, &channelv1.ListMessagesRequest{})
	if n := len(list.GetMessages()); n > 0 {
		return list.GetMessages()[a.random.IntN(n)].GetLeadId()
	}
	return ""
}

// budget is how long a visitor waits for an answer; nil: as is usual.
func (a *actor) budget() *durationpb.Duration {
	if a.random.IntN(2) == 0 {
		return nil
	}
	return durationpb.New(time.Duration(a.random.IntN(3)) * time.Second)
}

// step does one thing in a contact. Some of them are refused, as they come too
// early.
func (a *actor) step(ctx context.Context, client channelv1.ChannelServiceClient, id string) {
	offer := offers[a.random.IntN(len(offers))]
	record := &channelv1.RecordEventRequest{ContactId: id, Wait: a.budget()}
	switch a.random.IntN(8) {
	case 0:
		call(ctx, a, client.SubmitRequest, &channelv1.SubmitRequestRequest{
			ContactId: id, Kind: journeyv1.RequestKind(1 + a.random.IntN(3)), Text: "please",
		})
		return
	case 1:
		if lead := a.lead(ctx, client); lead != "" {
			call(ctx, a, client.RespondToLead, &channelv1.RespondToLeadRequest{ContactId: id, LeadId: lead, Answer: journeyv1.Answer(1 + a.random.IntN(3))})
			return
		}
		fallthrough
	case 2:
		record.Event = &channelv1.RecordEventRequest_Interest{Interest: &channelv1.InterestEvent{Kind: "page", Topic: offer}}
	case 3:
		record.Event = taken(offer)
	case 4:
		record.Event = &channelv1.RecordEventRequest_Banner{Banner: &channelv1.BannerEvent{PropositionId: offer}}
	default:
		presented := &channelv1.RecordEventRequest{ContactId: id, Wait: a.budget(), Event: &channelv1.RecordEventRequest_Presented{
			Presented: &channelv1.PresentedEvent{PropositionId: offer},
		}}
		call(ctx, a, client.RecordEvent, presented)
		record.Event = &channelv1.RecordEventRequest_Answered{
			Answered: &channelv1.AnsweredEvent{PropositionId: offer, Answer: journeyv1.Answer(1 + a.random.IntN(3))},
		}
	}
	call(ctx, a, client.RecordEvent, record)
}
