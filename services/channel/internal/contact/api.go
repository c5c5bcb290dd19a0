package contact

import (
	"context"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/customerview"
	"github.com/triangle-suite/triangle/services/channel/internal/eventkind"
	"github.com/triangle-suite/triangle/services/channel/internal/nba"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// API is the part of the channel's API that is about contacts.
type API struct {
	Streams *decider.Streams
	DB      *projection.DB
	Lists   *nba.Lists
	// Lead tells whether a channel was to send an outbound lead.
	Lead       func(ctx context.Context, leadID string) (bool, error)
	BackOffice BackOffice
	Kinds      *eventkind.Kinds
	Origins    call.Origins
	// Cadence tells at which cadence a flow runs.
	Cadence func(flow string) string
	// Freshness tells how old the data of the named flows is.
	Freshness func(flows ...string) []*flowv1.Freshness
}

func (a *API) freshness() []*flowv1.Freshness { return a.Freshness(customerview.Flow, nba.Flow) }

// handle has a command of a call handled on a contact's stream.
func (a *API) handle(ctx context.Context, origin decider.Origin, id string, c command) (decider.Outcome[State], error) {
	return decider.Handle(ctx, a.Streams, origin, Stream(id), Decider, c.Decide)
}

// StartContact begins a contact. Where the visitor can be identified it waits,
// within the budget, for the customer view and the next best actions.
func (a *API) StartContact(ctx context.Context, request *channelv1.StartContactRequest) (*channelv1.StartContactResponse, error) {
	var checks call.Checks
	call.Known(&checks, "channel", request.GetChannel(), journeyv1.Channel_name)
	start := Start{
		Channel: request.GetChannel(), VisitorID: checks.Optional("visitor_id", request.GetVisitorId()),
		CustomerID: checks.Optional("customer_id", request.GetCustomerId()),
	}
	if request.GetClaims() != nil {
		start.Claims = checkClaims(&checks, request.GetClaims())
	}
	budget := checks.Wait("wait", request.GetWait())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_StartContact_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	start.ID, start.At = origin.NewID("contact").String(), origin.Time
	outcome, err := a.handle(ctx, origin, start.ID, start)
	if err != nil {
		return nil, err
	}
	k, err := a.meet(ctx, outcome, origin, pathOfStart(start), unidentified, budget)
	if err != nil {
		return nil, err
	}
	return &channelv1.StartContactResponse{Contact: k.contact, Customer: k.customer, NextBestActions: k.actions, Freshness: a.freshness()}, nil
}

// pathOfStart is the flows between the start of a contact and its list; none
// where nobody can tell who the visitor is, as then marketing decides nothing.
func pathOfStart(start Start) []string {
	switch {
	case start.CustomerID != "":
		return nba.PathOfEvents
	case start.Claims != (Claims{}):
		return nba.PathOfClaims
	}
	return nil
}

// IdentifyVisitor says, in a contact, who the visitor claims to be.
func (a *API) IdentifyVisitor(ctx context.Context, request *channelv1.IdentifyVisitorRequest) (*channelv1.IdentifyVisitorResponse, error) {
	var checks call.Checks
	id := checks.Required("contact_id", request.GetContactId())
	claims := checkClaims(&checks, request.GetClaims())
	budget, by := checks.Wait("wait", request.GetWait()), CheckVisitor(&checks, request.GetVisitor())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_IdentifyVisitor_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	outcome, err := a.handle(ctx, origin, id, by.Takes(Claim{claims}))
	if err != nil {
		return nil, err
	}
	k, err := a.meet(ctx, outcome, origin, nba.PathOfClaims, nothingNew, budget)
	if err != nil {
		return nil, err
	}
	return &channelv1.IdentifyVisitorResponse{Contact: k.contact, Customer: k.customer, NextBestActions: k.actions, Freshness: a.freshness()}, nil
}

// nothingNew is why a call leads to no list whose command was done before.
const nothingNew = "the contact knew that before"

// unidentified is why marketing decides nothing as long as nobody knows whom for.
const unidentified = "the visitor is not identified"

// GetContact returns a contact, folded from its stream: it is always current.
func (a *API) GetContact(ctx context.Context, request *channelv1.GetContactRequest) (*channelv1.GetContactResponse, error) {
	var checks call.Checks
	id := checks.Required("contact_id", request.GetContactId())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	state, err := a.load(ctx, id)
	if err != nil {
		return nil, err
	}
	k, err := a.known(ctx, state, nil, "a contact that is looked up asks for no new list")
	if err != nil {
		return nil, err
	}
	return &channelv1.GetContactResponse{Contact: k.contact, Customer: k.customer, NextBestActions: k.actions, Freshness: a.freshness(), History: state.History}, nil
}

// EndContact ends a contact.
func (a *API) EndContact(ctx context.Context, request *channelv1.EndContactRequest) (*channelv1.EndContactResponse, error) {
	var checks call.Checks
	id := checks.Required("contact_id", request.GetContactId())
	call.Known(&checks, "outcome", request.GetOutcome(), channelv1.ContactOutcome_name)
	checks.That(request.GetOutcome() != timedOut, "outcome", "can't be CONTACT_OUTCOME_TIMED_OUT: that a contact has timed out the channel finds by itself; write CONTACT_OUTCOME_ABANDONED")
	by := CheckVisitor(&checks, request.GetVisitor())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_EndContact_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	outcome, err := a.handle(ctx, origin, id, by.Takes(End{Outcome: request.GetOutcome(), At: origin.Time}))
	if err != nil {
		return nil, err
	}
	return &channelv1.EndContactResponse{Contact: outcome.State.message()}, nil
}

// RespondToLead takes a response to an outbound lead, whatever channel sent it.
func (a *API) RespondToLead(ctx context.Context, request *channelv1.RespondToLeadRequest) (*channelv1.RespondToLeadResponse, error) {
	var checks call.Checks
	id := checks.Required("contact_id", request.GetContactId())
	respond := Respond{LeadID: checks.Required("lead_id", request.GetLeadId()), Answer: request.GetAnswer()}
	call.Known(&checks, "answer", request.GetAnswer(), journeyv1.Answer_name)
	by := CheckVisitor(&checks, request.GetVisitor())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_RespondToLead_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	if respond.Known, err = a.Lead(ctx, respond.LeadID); err != nil {
		return nil, err
	}
	if _, err := a.handle(ctx, origin, id, by.Takes(respond)); err != nil {
		return nil, err
	}
	return &channelv1.RespondToLeadResponse{}, nil
}

// checkClaims looks claims over, and brings them into the spelling by which CRM
// compares them.
func checkClaims(checks *call.Checks, claims *channelv1.Claims) Claims {
	checked := Claims{
		CustomerNumber: checks.Optional("claims.customer_number", claims.GetCustomerNumber()),
		Email:          checks.Email("claims.email", claims.GetEmail()),
		Phone:          checks.Phone("claims.phone", claims.GetPhone()),
		GivenName:      checks.Optional("claims.given_name", claims.GetGivenName()),
		Surname:        checks.Optional("claims.surname", claims.GetSurname()),
	}
	if checked.CustomerNumber == "" && checked.Email == "" && checked.Phone == "" {
		checks.Fail("claims", "must hold a customer number, an e-mail address or a phone number: by a name nobody is found")
	}
	return checked
}

func (a *API) load(ctx context.Context, id string) (State, error) {
	state, _, err := decider.Load(ctx, a.Streams, Stream(id), Decider)
	if err == nil && state.ID == "" {
		err = errNotFound()
	}
	return state, err
}

func (s State) message() *channelv1.Contact {
	contact := &channelv1.Contact{
		ContactId: s.ID, Channel: s.Channel, CustomerId: s.CustomerID, Steps: s.Steps, State: channelv1.ContactState_CONTACT_STATE_OPEN,
		Outcome: s.Ended, AgentId: s.AgentID,
	}
	if s.Ended != 0 {
		contact.State = channelv1.ContactState_CONTACT_STATE_ENDED
	}
	return contact
}

// isRealTime tells whether a flow brings what happens at once.
func (a *API) isRealTime(flow string) bool { return a.Cadence(flow) == flows.RealTime }
