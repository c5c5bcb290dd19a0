package flows

import (
	"slices"
	"time"
)

// Service is one of the three corners of the triangle.
type Service string

// The three services.
const (
	Channel   Service = "channel"
	Sales     Service = "sales"
	Marketing Service = "marketing"
)

// Services lists the corners of the triangle.
var Services = []Service{Channel, Sales, Marketing}

// Flow is one arrow of the triangle: which events of one service another one
// takes in.
type Flow struct {
	// Name is the flow's name: lower-case letters and dashes. Its control stream
	// is flow-<Name>.
	Name string
	// From is the service that produces, To the one that consumes.
	From, To Service
	// Types are the event types that the flow carries, such as
	// channel.ContactStarted.
	Types []string
	// Key names the fields that hold the key, by which the flow's order is kept:
	// the first of them that an event has, with a value, is the event's key.
	Key []string
	// Cadence is what the flow runs at until another cadence is set.
	Cadence string
	// Objectives are how fresh the flow ought to be, at cadences (in their notation)
	// whose own objective will not do; see ObjectiveAt.
	Objectives map[string]Objective
	// Owner answers for the flow.
	Owner string
	// Rationale is why the flow is there, and why at this cadence.
	Rationale string
}

// whileTheVisitorWaits is the objective of the flows on the way from what a visitor
// does to what is offered next.
var whileTheVisitorWaits = map[string]Objective{RealTime: {Staleness: 5 * time.Second, Share: realTimeShare}}

// Catalogue lists every flow of the triangle.
var Catalogue = []Flow{
	{
		Name: "contacts", From: Channel, To: Sales,
		Types:     []string{"channel.ContactStarted", "channel.IdentityClaimed", "channel.VisitorIdentified", "channel.ContactEnded"},
		Key:       []string{"contact_id"},
		Cadence:   RealTime,
		Owner:     "CRM",
		Rationale: "CRM finds or registers the customer while the visitor is still in contact.",
	},
	{
		Name: "customer-view", From: Sales, To: Channel,
		Types: []string{
			"sales.ContactRegistered", "sales.CustomerViewChanged", "sales.CustomerRegistered", "sales.CustomerChanged", "sales.ConsentChanged",
		},
		Key:       []string{"customer_id"},
		Cadence:   RealTime,
		Owner:     "CRM",
		Rationale: "The channel meets a customer with the latest view at hand. Address and consent come with the event that changes them, too: nothing goes to an address that CRM has replaced.",
	},
	{
		Name: "customer-requests", From: Channel, To: Sales,
		Types:     []string{"channel.RequestSubmitted", "channel.RequestHandled", "channel.RequestHandledInPart"},
		Key:       []string{"request_id"},
		Cadence:   RealTime,
		Owner:     "Request management",
		Rationale: "CRM owns what the channel could not do within the contact, from that moment on.",
	},
	{
		Name: "contact-events", From: Channel, To: Marketing,
		Types: []string{
			"channel.ContactStarted", "channel.VisitorIdentified", "channel.ContactHandedOver", "channel.PropositionPresented",
			"channel.PropositionAnswered", "channel.InterestShown", "channel.BannerClicked",
			"channel.CommercialEventRecorded", "channel.LeadResponseReceived", "channel.MessageSent", "channel.ContactEnded",
		},
		Key:        []string{"contact_id", "customer_id"},
		Cadence:    RealTime,
		Objectives: whileTheVisitorWaits,
		Owner:      "Next best action",
		Rationale:  "What the visitor just did decides what is offered next.",
	},
	{
		Name: "next-best-actions", From: Marketing, To: Channel,
		Types:      []string{"marketing.NextBestActionsDecided"},
		Key:        []string{"contact_id"},
		Cadence:    RealTime,
		Objectives: whileTheVisitorWaits,
		Owner:      "Next best action",
		Rationale:  "The channel shows what marketing decided within the contact that it was decided for.",
	},
	{
		Name: "request-status", From: Sales, To: Marketing,
		Types:     []string{"sales.RequestStatusChanged"},
		Key:       []string{"request_id"},
		Cadence:   Daily,
		Owner:     "Request management",
		Rationale: "Who has an open complaint is not sold to. Daily until the company moves it to real time.",
	},
	{
		Name: "customer-facts", From: Sales, To: Marketing,
		Types:     []string{"sales.CustomerRegistered", "sales.CustomerChanged", "sales.OrderPlaced", "sales.ConsentChanged"},
		Key:       []string{"customer_id"},
		Cadence:   Daily,
		Owner:     "CRM",
		Rationale: "Campaigns and propensities rest on who the customers are and what they bought.",
	},
	{
		Name: "outbound-leads", From: Marketing, To: Sales,
		Types:     []string{"marketing.LeadIssued", "marketing.LeadWithdrawn"},
		Key:       []string{"lead_id"},
		Cadence:   Daily,
		Owner:     "Campaign management",
		Rationale: "Lead management plans a day's leads at once, without those that were withdrawn meanwhile.",
	},
	{
		Name: "lead-dispatch", From: Sales, To: Channel,
		Types:     []string{"sales.DispatchOrdered"},
		Key:       []string{"lead_id"},
		Cadence:   Hourly,
		Owner:     "Lead management",
		Rationale: "Channels take up outbound work at the pace of their grants, which are hourly.",
	},
	{
		Name: "lead-responses", From: Marketing, To: Sales,
		Types:     []string{"marketing.LeadResponseRecorded"},
		Key:       []string{"lead_id"},
		Cadence:   RealTime,
		Owner:     "Campaign management",
		Rationale: "A customer who says yes is followed up while they still want it.",
	},
	{
		Name: "channel-capacity", From: Channel, To: Sales,
		Types:     []string{"channel.CapacityGranted", "channel.WorkloadReported"},
		Key:       []string{"channel"},
		Cadence:   Hourly,
		Owner:     "Channel management",
		Rationale: "Lead management dispatches no more than a channel can carry in the hour.",
	},
	{
		Name: "dispatch-results", From: Channel, To: Sales,
		Types:     []string{"channel.MessageSent", "channel.MessageBounced", "channel.MessageRefused", "channel.MessageOutcomeUnknown"},
		Key:       []string{"lead_id"},
		Cadence:   RealTime,
		Owner:     "Lead management",
		Rationale: "A lead that could not be sent is known at once, and another one takes its place.",
	},
}

// Find returns the flow with the name.
func Find(name string) (Flow, bool) {
	i := slices.IndexFunc(Catalogue, func(f Flow) bool { return f.Name == name })
	if i < 0 {
		return Flow{}, false
	}
	return Catalogue[i], true
}

// Into returns the flows that a service takes in, in the catalogue's order.
func Into(service Service) []Flow {
	var into []Flow
	for _, f := range Catalogue {
		if f.To == service {
			into = append(into, f)
		}
	}
	return into
}

// ControlStream is the stream of the flow's epochs.
func ControlStream(name string) string { return "flow-" + name }

// ProgressStream is the bounded stream in which the consumer tells how far it is.
func ProgressStream(name string) string { return "progress-" + name }

// ShadowStream holds the windows and the comparisons of a shadow of the flow. It
// does not begin with ControlStream: what stands there is no marker of the flow.
func ShadowStream(name, id string) string { return "shadow-" + name + ":" + id }

// FreshnessStream is the bounded stream in which the consumer tells how fresh the
// flow was, hour by hour.
func FreshnessStream(name string) string { return "freshness-" + name }

// Gated lists the event types and versions, by their schemas (sales.v2.BonusGranted),
// that are written only once they are active: once every replica that runs, old
// images included, reads them, which an event says. A type that is new stands here
// from the release that ships its readers on, for as long as a build may come back
// that has none. All other types are always active.
var Gated []string

// ActivationsStream holds an event for each of them that is active.
const ActivationsStream = "activations"

// ContractStream is where the builds of a service say what they read and write.
func ContractStream(service Service) string { return "service-" + string(service) }

// EnvironmentStream says, in its first event, whose store it is.
const EnvironmentStream = "environment"

// RolloutsStream is where those who roll the services out say what they do: one
// stream for all services, as one at a time is rolled out.
const RolloutsStream = "rollouts"

// ReplicasStream is the bounded stream in which a service's replicas say that they
// run.
func ReplicasStream(service Service) string { return "replicas-" + string(service) }

// OperatorStream is the bounded stream in which the operator that leads says that it
// watches the flows.
const OperatorStream = "operator"

// ProbesStream is the bounded stream of the markers that show whether flows run.
const ProbesStream = "probes"

// LapsesStream is the bounded stream of the times when none did.
const LapsesStream = "operator-lapses"
