package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"

	"github.com/triangle-suite/triangle/services/await"
)

var contactCommands = []command{
	{form: "visitor NAME comes to CHANNEL", do: (*play).come},
	{form: "visitor NAME says who they are", do: (*play).identify},
	{form: "visitor NAME looks at TOPIC", do: (*play).showInterest},
	{form: "visitor NAME calls about TOPIC", do: (*play).showInterest},
	{form: "visitor NAME clicks the banner of PROPOSITION", do: (*play).clickBanner},
	{form: "visitor NAME is presented PROPOSITION", do: (*play).present},
	{form: "visitor NAME answers PROPOSITION with ANSWER", do: (*play).answer},
	{form: "visitor NAME does KIND", do: (*play).doOther},
	{form: "visitor NAME is handed over to CHANNEL", do: (*play).handOver},
	{form: "visitor NAME leaves", do: (*play).leave},
	{form: "event kind KIND is registered", do: (*play).registerKind},
	{form: "contact of NAME", do: (*play).showContact, again: true},
	{form: "steps of NAME", do: (*play).showSteps, again: true},
	{form: "offers to NAME", do: (*play).showOffers, again: true},
	{form: "customer view of NAME", do: (*play).showView, again: true},
}

// person is somebody who is in contact, and may be a customer.
type person struct {
	name     string
	contact  string // the last one
	customer string // once CRM knows them
	decision string // the last one that the channel told
}

func (p *play) person(name string) *person {
	if p.people[name] == nil {
		p.people[name] = &person{name: name}
	}
	return p.people[name]
}

// inContact is a person who has a contact.
func (p *play) inContact(w words) (*person, error) {
	who := p.person(w.said["NAME"])
	if who.contact == "" {
		return nil, fmt.Errorf("%s is not in contact", who.name)
	}
	return who, nil
}

// customer is a person whom CRM knows.
func (p *play) customer(w words) (*person, error) {
	who := p.person(w.said["NAME"])
	if who.customer == "" {
		return nil, fmt.Errorf("%s is no customer yet", who.name)
	}
	return who, nil
}

// budget is how long a visitor waits for a list.
const budget = 5 * time.Second

// claims are what a line says of who somebody is; nil when it says nothing.
func (p *play) claims(w words) *channelv1.Claims {
	c := &channelv1.Claims{
		CustomerNumber: p.names.own(w.Get("number")), Email: p.names.email(w.Get("email")), Phone: p.names.phone(w.Get("phone")),
		GivenName: w.Get("given-name"), Surname: w.Get("surname"),
	}
	if c.CustomerNumber == "" && c.Email == "" && c.Phone == "" {
		return nil
	}
	return c
}

func (p *play) come(ctx context.Context, w words) (string, error) {
	channel, err := value[journeyv1.Channel](w.said["CHANNEL"])
	if err != nil {
		return "", err
	}
	who, claims := p.person(w.said["NAME"]), p.claims(w)
	started, err := p.Services.Channel.StartContact(p.keyed(ctx), &channelv1.StartContactRequest{
		Channel: channel, VisitorId: p.names.own(who.name), Claims: claims, Wait: durationpb.New(budget),
	})
	if err != nil {
		return "", err
	}
	who.contact = started.GetContact().GetContactId()
	p.names.id("contact", who.contact)
	if claims == nil {
		return fmt.Sprintf("%s is in contact through %s, and nobody knows who that is", who.name, word(channel)), nil
	}
	return fmt.Sprintf("%s is in contact through %s, as a customer", who.name, word(channel)), p.recognise(ctx, who)
}

func (p *play) identify(ctx context.Context, w words) (string, error) {
	who, err := p.inContact(w)
	if err != nil {
		return "", err
	}
	_, err = p.Services.Channel.IdentifyVisitor(p.keyed(ctx), &channelv1.IdentifyVisitorRequest{
		ContactId: who.contact, Claims: p.claims(w), Wait: durationpb.New(budget),
	})
	if err != nil {
		return "", err
	}
	return who.name + " is a customer", p.recognise(ctx, who)
}

// recognise waits until the channel knows a contact's customer, and has their view.
func (p *play) recognise(ctx context.Context, who *person) error {
	return p.until(ctx, "the channel knows the customer", func(ctx context.Context) error {
		known, err := p.Services.Channel.GetContact(ctx, &channelv1.GetContactRequest{ContactId: who.contact})
		if err != nil {
			return err
		}
		if known.GetCustomer().GetCustomerId() == "" {
			return await.NotYetf("it does not")
		}
		who.customer = known.GetCustomer().GetCustomerId()
		p.names.call(who.customer, who.name)
		return nil
	})
}

func (p *play) showInterest(ctx context.Context, w words) (string, error) {
	kind := "landing-page"
	if strings.Contains(w.FullCmd(), "calls about") {
		kind = "reason-for-calling"
	}
	return p.record(ctx, w, &channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Interest{
		Interest: &channelv1.InterestEvent{Kind: kind, Topic: w.said["TOPIC"]},
	}})
}

func (p *play) clickBanner(ctx context.Context, w words) (string, error) {
	return p.record(ctx, w, &channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Banner{
		Banner: &channelv1.BannerEvent{PropositionId: p.names.own(w.said["PROPOSITION"])},
	}})
}

func (p *play) present(ctx context.Context, w words) (string, error) {
	return p.record(ctx, w, &channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Presented{
		Presented: &channelv1.PresentedEvent{PropositionId: p.names.own(w.said["PROPOSITION"]), DecisionId: p.person(w.said["NAME"]).decision},
	}})
}

func (p *play) answer(ctx context.Context, w words) (string, error) {
	answer, err := value[journeyv1.Answer](w.said["ANSWER"])
	if err != nil {
		return "", err
	}
	return p.record(ctx, w, &channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Answered{
		Answered: &channelv1.AnsweredEvent{PropositionId: p.names.own(w.said["PROPOSITION"]), Answer: answer},
	}})
}

func (p *play) doOther(ctx context.Context, w words) (string, error) {
	data, err := object(w.Input)
	if err != nil {
		return "", err
	}
	return p.record(ctx, w, &channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Other{
		Other: &channelv1.KindEvent{Kind: p.names.own(w.said["KIND"]), Data: data},
	}})
}

// object reads a JSON object.
func object(text string) (*structpb.Struct, error) {
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		return nil, fmt.Errorf("%q is no JSON object: %w", text, err)
	}
	return structpb.NewStruct(fields)
}

// record passes an event on, and tells what is offered then.
func (p *play) record(ctx context.Context, w words, event *channelv1.RecordEventRequest) (string, error) {
	who, err := p.inContact(w)
	if err != nil {
		return "", err
	}
	event.ContactId, event.Wait = who.contact, durationpb.New(budget)
	if by := w.Get("by"); by != "" {
		event.Visitor = &channelv1.Visitor{VisitorId: p.names.own(by)}
	}
	asked := who.customer != "" && asks(event)
	ctx = p.keyed(ctx)
	var actions *channelv1.Actions
	// A list that does not come in time is asked for again, by the same call: it has
	// its effect once.
	err = p.until(ctx, "the list is decided", func(ctx context.Context) error {
		recorded, err := p.Services.Channel.RecordEvent(ctx, event)
		if err != nil {
			return err
		}
		if actions = recorded.GetNextBestActions(); asked && actions.GetSource() != channelv1.ListSource_LIST_SOURCE_DECIDED {
			return await.NotYetf("it is not: %s", actions.GetReason())
		}
		return nil
	})
	if err != nil || !asked {
		return "noted", err
	}
	who.decision = actions.GetDecisionId()
	return "now offered: " + offered(actions), nil
}

// asks tells the events upon which a list is decided anew.
func asks(event *channelv1.RecordEventRequest) bool {
	switch event.GetEvent().(type) {
	case *channelv1.RecordEventRequest_Presented, *channelv1.RecordEventRequest_Other:
		return false
	default:
		return true
	}
}

// offered names what a list offers, best first.
func offered(actions *channelv1.Actions) string {
	var offers []string
	for _, a := range actions.GetActions() {
		offers = append(offers, a.GetPropositionId())
	}
	if len(offers) == 0 {
		return "nothing"
	}
	return strings.Join(offers, ", ")
}

// handOver has a contact go on in another channel, and tells what is offered there.
func (p *play) handOver(ctx context.Context, w words) (string, error) {
	who, err := p.inContact(w)
	if err != nil {
		return "", err
	}
	to, err := value[journeyv1.Channel](w.said["CHANNEL"])
	if err != nil {
		return "", err
	}
	request := &channelv1.HandOverContactRequest{
		ContactId: who.contact, To: to, AgentId: w.Get("agent"), Reason: strings.TrimSpace(w.Input), Wait: durationpb.New(budget),
	}
	if by := w.Get("by"); by != "" {
		request.Visitor = &channelv1.Visitor{VisitorId: p.names.own(by)}
	}
	ctx = p.keyed(ctx)
	var actions *channelv1.Actions
	err = p.until(ctx, "the list is decided", func(ctx context.Context) error {
		handed, err := p.Services.Channel.HandOverContact(ctx, request)
		if err != nil {
			return err
		}
		if actions = handed.GetNextBestActions(); who.customer != "" && actions.GetSource() != channelv1.ListSource_LIST_SOURCE_DECIDED {
			return await.NotYetf("it is not: %s", actions.GetReason())
		}
		return nil
	})
	if err != nil || who.customer == "" {
		return "goes on in " + word(to), err
	}
	who.decision = actions.GetDecisionId()
	return fmt.Sprintf("goes on in %s, and is now offered: %s", word(to), offered(actions)), nil
}

func (p *play) leave(ctx context.Context, w words) (string, error) {
	who, err := p.inContact(w)
	if err != nil {
		return "", err
	}
	outcome, err := value[channelv1.ContactOutcome](w.Get("outcome"))
	if err != nil {
		return "", err
	}
	_, err = p.Services.Channel.EndContact(p.keyed(ctx), &channelv1.EndContactRequest{ContactId: who.contact, Outcome: outcome})
	return "the contact has ended, " + word(outcome), err
}

func (p *play) registerKind(ctx context.Context, w words) (string, error) {
	schema, err := object(w.Input)
	if err != nil {
		return "", err
	}
	registered, err := p.Services.Channel.RegisterEventKind(p.keyed(ctx), &channelv1.RegisterEventKindRequest{Kind: p.names.own(w.said["KIND"]), Schema: schema})
	return fmt.Sprintf("registered, as version %d", registered.GetVersion()), err
}

func (p *play) contactOf(ctx context.Context, w words) (*channelv1.GetContactResponse, error) {
	who, err := p.inContact(w)
	if err != nil {
		return nil, err
	}
	return p.Services.Channel.GetContact(ctx, &channelv1.GetContactRequest{ContactId: who.contact})
}

func (p *play) showContact(ctx context.Context, w words) (string, error) {
	found, err := p.contactOf(ctx, w)
	c := found.GetContact()
	who := c.GetCustomerId()
	if who == "" {
		who = "nobody knows whom"
	}
	stands := word(c.GetState())
	if c.GetOutcome() == channelv1.ContactOutcome_CONTACT_OUTCOME_TIMED_OUT {
		stands = word(c.GetOutcome())
	}
	return fmt.Sprintf("%s with %s, through %s: %s, %s", c.GetContactId(), who, word(c.GetChannel()), stands, several(int(c.GetSteps()), "step")), err
}

// showSteps shows what happened in a contact, as whoever takes it over reads it.
func (p *play) showSteps(ctx context.Context, w words) (string, error) {
	found, err := p.contactOf(ctx, w)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, step := range found.GetHistory() {
		fmt.Fprintf(&b, "%s: %s", word(step.GetChannel()), strings.ReplaceAll(step.GetKind(), "-", " "))
		for _, more := range []string{step.GetAbout(), answerWord(step.GetAnswer()), step.GetReason()} {
			if more != "" {
				b.WriteString(", " + more)
			}
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// answerWord is what people call an answer; empty where there is none.
func answerWord(a journeyv1.Answer) string {
	if a == 0 {
		return ""
	}
	return word(a)
}

// showOffers shows what the channel has to say or to show.
func (p *play) showOffers(ctx context.Context, w words) (string, error) {
	found, err := p.contactOf(ctx, w)
	if err != nil {
		return "", err
	}
	who := p.person(w.said["NAME"])
	actions := found.GetNextBestActions()
	who.decision = actions.GetDecisionId()
	if len(actions.GetActions()) == 0 {
		return "nothing", nil
	}
	var b strings.Builder
	for _, a := range actions.GetActions() {
		fmt.Fprintf(&b, "%s: %s\n", a.GetPropositionId(), a.GetContent())
	}
	return b.String(), nil
}

// showView shows the customer as the channel sees them.
func (p *play) showView(ctx context.Context, w words) (string, error) {
	found, err := p.contactOf(ctx, w)
	if err != nil {
		return "", err
	}
	view := found.GetCustomer()
	var open []string
	for _, r := range view.GetOpenRequests() {
		open = append(open, fmt.Sprintf("%s is %s", r.GetRequestId(), word(r.GetStatus())))
	}
	if open == nil {
		open = []string{"no open request"}
	}
	shown := fmt.Sprintf("%s, %s; %s", several(int(view.GetOrders()), "order"), money(view.GetSpentCents()), strings.Join(open, ", "))
	if phone := view.GetPerson().GetPhone(); phone != "" {
		shown += "; " + phone
	}
	if a := view.GetPerson().GetAddress(); a != nil {
		shown += fmt.Sprintf("; %s %s, %s %s", a.GetStreetNumber(), a.GetStreet(), a.GetPostcode(), a.GetSuburb())
	}
	return shown, nil
}
