package story

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const request = "22222222-0000-4000-8000-000000000002"

// started is what every story begins with.
func (w *world) started() {
	w.call("start", flows.Channel, "contact-"+contact, &channelv1.ContactStarted{ContactId: contact, Channel: journeyv1.Channel_CHANNEL_WEBSITE, VisitorId: "v1"})
}

// complained has the visitor complain, and sales open the request.
func (w *world) complained() {
	w.call("complain", flows.Channel, "contact-"+contact, &channelv1.RequestSubmitted{RequestId: request, ContactId: contact, Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT, Text: "It skips."})
	w.after(40 * time.Millisecond)
	w.answer("open", "complain", flows.Sales, "follow-request", "request-"+request, &salesv1.RequestStatusChanged{RequestId: request, Status: journeyv1.RequestStatus_REQUEST_STATUS_OPEN})
}

func TestStories(t *testing.T) {
	tests := map[string]struct {
		tell func(*world)
		want string
	}{
		"a contact is registered and decided for, in real time": {func(w *world) {
			w.started()
			w.answer("decide", "start", flows.Marketing, "decide-next-best-actions", "decisions-"+contact, &marketingv1.NextBestActionsDecided{DecisionId: "d1", ContactId: contact, CustomerId: "c1"})
			w.after(15 * time.Millisecond)
			w.answer("register", "start", flows.Sales, "register-contact", "customer-c1", &salesv1.ContactRegistered{ContactId: contact, CustomerId: "c1"})
			w.after(5 * time.Millisecond)
			w.answer("identify", "register", flows.Channel, "identify-visitor", "contact-"+contact, &channelv1.VisitorIdentified{ContactId: contact, CustomerId: "c1"})
			for _, flow := range []string{"contacts", "contact-events", "customer-view", "next-best-actions"} {
				w.progress(flow, 1)
			}
		}, `
channel: contact started
  > contacts taken in +20ms, answered
  > contact-events taken in +20ms, answered
  marketing: next best actions decided +0s
    > next-best-actions taken in +20ms
  sales: contact registered +15ms
    > customer-view taken in +5ms, answered
    channel: visitor identified +5ms
      > contacts taken in +0s
      > contact-events taken in +0s
`},
		"a request waits for the weekly window": {func(w *world) {
			w.weekly()
			w.complained()
		}, `
channel: request submitted
  > customer-requests taken in, answered
  sales: request status changed +40ms
    > request-status waiting, weekly, due Mon 2026-11-23 02:00 UTC
`},
		"the weekly window takes it in": {func(w *world) {
			w.weekly()
			w.complained()
			w.after(6 * time.Hour)
			w.control("opened", "flow-request-status:2", &flowv1.WindowOpened{Flow: "request-status", Epoch: 2, Due: timestamppb.New(w.now)})
			at := w.place()
			w.after(time.Second)
			w.progress("request-status", 2)
			w.control("closed", "flow-request-status:2", &flowv1.WindowClosed{Flow: "request-status", Epoch: 2, MarkerId: w.made["opened"].id.String(), Count: 1, Position: at})
			w.after(7 * 24 * time.Hour)
			w.control("next", "flow-request-status:2", &flowv1.WindowClosed{Flow: "request-status", Epoch: 2, Position: w.place()})
			w.progress("customer-requests", 1)
		}, `
channel: request submitted
  > customer-requests taken in +174h0m1.04s, answered
  sales: request status changed +40ms
    > request-status taken in +6h0m1s, the window due Mon 2026-11-23 02:00 UTC
`},
		"somebody asks for a window": {func(w *world) {
			w.weekly()
			w.call("open", flows.Sales, "contact-"+contact, &salesv1.RequestStatusChanged{RequestId: request})
			w.control("asked", "flow-request-status", &flowv1.WindowRequested{Flow: "request-status", By: "ada"})
			w.control("closed", "flow-request-status:2", &flowv1.WindowClosed{Flow: "request-status", Epoch: 2, MarkerId: w.made["asked"].id.String(), Position: w.place()})
		}, `
sales: request status changed
  > request-status taken in +0s, a window that ada asked for
`},
		"a paused flow": {func(w *world) {
			w.control("ask", "flow-contact-events", &flowv1.CadenceRequested{Flow: "contact-events", Epoch: 2, Cadence: "paused"})
			w.control("adopt", "flow-contact-events", &flowv1.CadenceAdopted{Flow: "contact-events", Epoch: 2, Cadence: "paused"})
			w.control("ask more", "flow-contact-events", &flowv1.CadenceRequested{Flow: "contact-events", Epoch: 3, Cadence: "hourly"})
			w.call("click", flows.Channel, "contact-"+contact, &channelv1.BannerClicked{ContactId: contact})
		}, `
channel: banner clicked
  > contact-events waiting, no more, as the flow is paused (hourly has been asked for); it has told nothing of itself yet
`},
		"an event is parked, and stays so": {func(w *world) {
			w.call("click", flows.Channel, "contact-"+contact, &channelv1.BannerClicked{ContactId: contact})
			w.progress("contact-events", 1)
			w.after(time.Second)
			w.control("park", "flow-contact-events:1", &flowv1.EventParked{Flow: "contact-events", EventId: w.made["click"].id.String(), Key: contact, Reason: "no such proposition"})
		}, `
channel: banner clicked
  > contact-events parked +1s, no such proposition
`},
		"an event of a service's own flow is parked": {func(w *world) {
			w.call("end", flows.Channel, "contact-"+contact, &channelv1.VariantShown{ContactId: contact})
			w.control("park", "flow-own-channel:1", &flowv1.EventParked{Flow: "own-channel", EventId: w.made["end"].id.String(), Reason: "broken"})
		}, `
channel: variant shown
  > own-channel parked +0s, broken
`},
		"a parked event is retried, and one that waited behind it follows": {func(w *world) {
			for _, name := range []string{"click", "click again"} {
				w.call(name, flows.Channel, "contact-"+contact, &channelv1.BannerClicked{ContactId: contact})
				w.control("park "+name, "flow-contact-events:1", &flowv1.EventParked{Flow: "contact-events", EventId: w.made[name].id.String(), Key: contact, Reason: "no"})
			}
			w.after(time.Minute)
			w.control("vain", "flow-contact-events", &flowv1.ParkingAnswered{Flow: "contact-events", EventId: w.made["click"].id.String(), Outcome: flowv1.ParkingOutcome_PARKING_OUTCOME_STILL_PARKED})
			w.after(time.Minute)
			w.control("mended", "flow-contact-events", &flowv1.ParkingAnswered{Flow: "contact-events", EventId: w.made["click"].id.String(), Outcome: flowv1.ParkingOutcome_PARKING_OUTCOME_TAKEN_IN, Released: 1})
		}, `
channel: banner clicked
  > contact-events taken in +2m0s, after it had been parked
channel: banner clicked
  > contact-events taken in +2m0s, after it had waited behind a parked event
`},
		"a parked event is skipped": {func(w *world) {
			w.call("click", flows.Channel, "contact-"+contact, &channelv1.BannerClicked{ContactId: contact})
			w.control("park", "flow-contact-events:1", &flowv1.EventParked{Flow: "contact-events", EventId: w.made["click"].id.String(), Key: contact})
			w.control("skip", "flow-contact-events", &flowv1.ParkingAnswered{Flow: "contact-events", EventId: w.made["click"].id.String(), Outcome: flowv1.ParkingOutcome_PARKING_OUTCOME_SKIPPED})
		}, `
channel: banner clicked
  > contact-events skipped +0s, after it had been parked
`},
		"a reaction found nothing to do, another came too late": {func(w *world) {
			w.call("shown", flows.Channel, "contact-"+contact, &channelv1.VariantShown{ContactId: contact})
			w.answer("none", "shown", flows.Sales, "follow-request", "request-r9", &flowv1.NothingDecided{Handler: "follow-request", CauseId: "x"})
			w.after(72 * time.Hour)
			w.answer("late", "shown", flows.Marketing, "decide-next-best-actions", "decisions-"+contact, &flowv1.CauseExpired{Reason: "the contact has ended"})
		}, `
channel: variant shown
  sales: found nothing to do +0s
  marketing: left it alone, as it came too late +72h0m0s
`},
		"staff works on the request, by calls of their own": {func(w *world) {
			w.complained()
			w.after(time.Hour)
			w.call("work", flows.Sales, "request-"+request, &salesv1.RequestOpened{RequestId: request, CustomerId: "c1"})
			w.call("other", flows.Sales, "request-other", &salesv1.RequestOpened{RequestId: "other", CustomerId: "c1"})
		}, `
channel: request submitted
  > customer-requests taken in, answered
  sales: request status changed +40ms
    > request-status waiting, daily; it has told nothing of itself yet, due Mon 2026-11-23 02:00 UTC
sales: request opened
`},
		"somebody orders in the contact, by a call to sales": {func(w *world) {
			w.call("shown", flows.Channel, "contact-"+contact, &channelv1.VariantShown{ContactId: contact})
			w.after(time.Second)
			w.call("order", flows.Sales, "customer-c1", &salesv1.OrderPlaced{CustomerId: "c1", OrderId: "o1", ContactId: contact})
			w.call("other order", flows.Sales, "customer-c1", &salesv1.OrderPlaced{CustomerId: "c1", OrderId: contact, ContactId: "other"})
			w.answer("converted", "order", flows.Sales, "follow-to-transaction", "conversion-"+contact, &salesv1.ContactTransacted{ContactId: contact})
		}, `
channel: variant shown
sales: order placed
  > customer-facts waiting, daily; it has told nothing of itself yet, due Mon 2026-11-23 02:00 UTC
  sales: contact transacted +0s
`},
		"a flow that a newer release steers": {func(w *world) {
			w.raw("newer", "flow-contact-events", eventlog.NewEvent{ID: uuid.New(), Type: "flow.CadenceDreamt", Data: []byte("{}"), Metadata: []byte("{}")}, codec.Metadata{})
			w.call("click", flows.Channel, "contact-"+contact, &channelv1.BannerClicked{ContactId: contact})
		}, `
channel: banner clicked
  > contact-events waiting, a way that this build can't read: run the triangle of the release that steered it last
`},
		"what caused it is no part of it": {func(w *world) {
			w.call("lead", flows.Marketing, "lead-l1", &marketingv1.LeadIssued{LeadId: "l1"})
			w.after(time.Minute)
			w.answer("shown", "lead", flows.Channel, "call-back", "contact-"+contact, &channelv1.VariantShown{ContactId: contact})
		}, `
channel: variant shown +1m0s
  of marketing.LeadIssued in lead-l1
`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.call("noise", flows.Channel, "contact-other", &channelv1.BannerClicked{ContactId: "other"})
			tc.tell(w)
			told, err := w.tell(contact, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n"), outline(told)); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

// weekly has request-status run once a week.
func (w *world) weekly() {
	w.control("ask", "flow-request-status", &flowv1.CadenceRequested{Flow: "request-status", Epoch: 2, Cadence: "weekly"})
	w.control("adopt", "flow-request-status", &flowv1.CadenceAdopted{Flow: "request-status", Epoch: 2, Cadence: "weekly"})
	w.progress("request-status", 2)
}

// What is personal is named, and never shown, whether it is sealed as it should be or
// not.
func TestNothingPersonalIsTold(t *testing.T) {
	w := newWorld(t)
	w.call("claim", flows.Channel, "contact-"+contact, &channelv1.IdentityClaimed{ContactId: contact, CustomerNumber: "7", Email: "ada@example.org", Surname: "Lovelace"})
	leak := eventlog.NewEvent{ID: uuid.New(), Type: "channel.IdentityClaimed", Data: []byte(`{"contactId":"` + contact + `","surname":"Byron"}`), Metadata: []byte(`{"source":"/triangle/channel"}`)}
	w.raw("leak", "contact-"+contact, leak, codec.Metadata{})
	told, err := w.tell(contact, Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := told.Events[0]
	if diff := cmp.Diff([]Fact{{"customer number", "7"}}, h.Facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"email", "surname"}, h.Sealed); diff != "" {
		t.Errorf("sealed (-want +got):\n%s", diff)
	}
	if want := `"surname":"(sealed)"`; !strings.Contains(string(h.Data), want) {
		t.Errorf("data %s, want %s in it", h.Data, want)
	}
	for _, h := range told.Events {
		for _, personal := range []string{"Lovelace", "ada@", "Byron", "sealed:v1"} {
			if shown := string(h.Data) + h.Problem; strings.Contains(shown, personal) {
				t.Errorf("%q is told: %s", personal, shown)
			}
		}
	}
}

func TestEventsThatAreNotAsTheyShouldBe(t *testing.T) {
	event := func(kind, data, metadata string) eventlog.NewEvent {
		return eventlog.NewEvent{ID: uuid.NewSHA1(uuid.Nil, []byte(kind+data+metadata)), Type: kind, Data: []byte(data), Metadata: []byte(metadata)}
	}
	sound := `{"source":"/triangle/channel"}`
	tests := map[string]struct {
		e    eventlog.NewEvent
		want string
	}{
		"broken metadata":        {event("channel.BannerClicked", `{}`, `{"source":`), "its metadata can't be read: who wrote it, and what caused it, is not known"},
		"no metadata":            {event("channel.BannerClicked", `{}`, ``), "it has no metadata: who wrote it, and what caused it, is not known"},
		"a type of a newer one":  {event("channel.HologramShown", `{}`, sound), `what it says can't be read by this build (unknown event type "channel.HologramShown"): run the triangle of the release that wrote it`},
		"data that is no JSON":   {event("channel.BannerClicked", `{`, sound), "what it says can't be read by this build (the event is malformed: data: it is not what the contract says: it is not whole): run the triangle of the release that wrote it"},
		"nothing is wrong of it": {event("channel.BannerClicked", `{}`, sound), ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.started()
			w.raw("odd", "contact-"+contact, tc.e, codec.Metadata{})
			w.raw("elsewhere", "contact-other", event("channel.BannerClicked", `{"contactId":"other"}`, `{`), codec.Metadata{})
			told, err := w.tell(contact, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(told.Events) != 2 || told.Events[1].Problem != tc.want {
				t.Fatalf("told:\n%swant %q", outline(told), tc.want)
			}
			if told.Opaque != 1 {
				t.Errorf("%d events have no readable metadata, want 1", told.Opaque)
			}
		})
	}
}

func TestAStoryIsFoundByOtherIDs(t *testing.T) {
	w := newWorld(t)
	w.started()
	w.complained()
	w.answer("view", "open", flows.Sales, "update-view", "customer-c1", &salesv1.ConsentChanged{CustomerId: "c1"})
	w.call("elsewhere", flows.Sales, "customer-c2", &salesv1.ConsentChanged{CustomerId: "c2"})
	const alike = "88888888-0000-4000-8000-000000000008"
	for i, id := range []string{alike, "88888888-1" + alike[10:]} {
		w.call(fmt.Sprint("alike", i), flows.Channel, "contact-"+id, &channelv1.BannerClicked{ContactId: id})
	}
	const customer = "77777777-0000-4000-8000-000000000007"
	w.call("of a customer", flows.Sales, "customer-"+customer, &salesv1.ConsentChanged{CustomerId: customer})
	trace := strings.ReplaceAll(w.made["complain"].id.String(), "-", "")
	tests := map[string]struct {
		id   string
		want error
	}{
		"the contact's":                  {contact, nil},
		"an event's of the contact":      {w.made["start"].id.String(), nil},
		"an event's far down":            {w.made["view"].id.String(), nil},
		"a trace's":                      {trace, nil},
		"a trace's, in capitals":         {strings.ToUpper(trace), nil},
		"the contact's, in capitals":     {" " + strings.ToUpper(contact) + "\n", nil},
		"a request's":                    {request, nil},
		"a traceparent":                  {"00-" + trace + "-00f067aa0ba902b7-01", nil},
		"a customer's":                   {customer, ErrCustomer},
		"a stream's":                     {"contact-" + contact, nil},
		"what the contact's begins with": {contact[:13], nil},
		"what a request's begins with":   {"request-" + request[:8], nil},
		"what an event's begins with":    {w.made["view"].id.String()[:8], nil},
		"what two contacts' begin with":  {alike[:8], ErrSeveral},
		"what nobody's begins with":      {"99999999-00", ErrNotFound},
		"too little of one":              {contact[:7], ErrID},
		"an event's of another story":    {w.made["elsewhere"].id.String(), ErrNoContact},
		"nobody's":                       {"99999999-0000-4000-8000-000000000009", ErrNotFound},
		"a trace's that there is not":    {strings.Repeat("9", 32), ErrNoTrace},
		"none":                           {"anna", ErrID},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			told, err := w.tell(tc.id, Options{})
			if !errors.Is(err, tc.want) || err == nil && told.Contact != contact {
				t.Errorf("told %v, and failed with %v, want %v", told, err, tc.want)
			}
		})
	}
}

func TestReadingIsBounded(t *testing.T) {
	w := newWorld(t)
	w.started()
	w.after(time.Hour).complained()
	tests := map[string]struct {
		o           Options
		ended       string
		read, first int
	}{
		"not at all":    {Options{}, "", 3, 2},
		"by a time":     {Options{Until: sunday.Add(time.Minute)}, "--until", 1, 1},
		"by a number":   {Options{Limit: 2}, "--limit", 2, 2},
		"far behind it": {Options{Limit: 100, Until: sunday.Add(24 * time.Hour)}, "", 3, 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			seen := 0
			tc.o.Seen = func() { seen++ }
			told, err := w.tell(contact, tc.o)
			if err != nil {
				t.Fatal(err)
			}
			if told.Ended != tc.ended || told.Read != tc.read || seen != tc.read || len(told.Events) != tc.first {
				t.Errorf("read %d (seen %d), ended by %q, told:\n%s", told.Read, seen, told.Ended, outline(told))
			}
		})
	}
}
