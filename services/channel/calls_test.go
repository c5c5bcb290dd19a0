package channel

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/outbound"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

const (
	accepted = journeyv1.Answer_ANSWER_ACCEPTED
	handled  = channelv1.ContactOutcome_CONTACT_OUTCOME_HANDLED
	quote    = journeyv1.RequestKind_REQUEST_KIND_QUOTE
	calls    = journeyv1.Channel_CHANNEL_CALL_CENTRE
)

// changing is a call that changes something.
type changing struct {
	name string
	call func(ctx context.Context, api channelv1.ChannelServiceServer) (proto.Message, error)
	// other is another request to the same stream; nil where there is none.
	other func(ctx context.Context, api channelv1.ChannelServiceServer) (proto.Message, error)
}

// changes is a call that is made with a request, or with another one.
func changes[Q, A proto.Message](
	name string, method func(channelv1.ChannelServiceServer, context.Context, Q) (A, error), request, other Q,
) changing {
	with := func(q Q) func(context.Context, channelv1.ChannelServiceServer) (proto.Message, error) {
		return func(ctx context.Context, api channelv1.ChannelServiceServer) (proto.Message, error) {
			return method(api, ctx, proto.CloneOf(q))
		}
	}
	if !other.ProtoReflect().IsValid() {
		return changing{name, with(request), nil}
	}
	return changing{name, with(request), with(other)}
}

// everyCall is each call that changes something, in a contact of customer k in
// which the proposition p was presented.
func everyCall(contact string) []changing {
	type api = channelv1.ChannelServiceServer
	noWait := durationpb.New(0)
	record := func(e *channelv1.RecordEventRequest) *channelv1.RecordEventRequest {
		e.ContactId, e.Wait = contact, noWait
		return e
	}
	return []changing{
		changes("StartContact", api.StartContact,
			&channelv1.StartContactRequest{Channel: website, Claims: &channelv1.Claims{Phone: "020 1234567"}, Wait: noWait},
			&channelv1.StartContactRequest{Channel: website, Claims: &channelv1.Claims{Phone: "020 7654321"}, Wait: noWait}),
		changes("IdentifyVisitor", api.IdentifyVisitor,
			&channelv1.IdentifyVisitorRequest{ContactId: contact, Claims: &channelv1.Claims{CustomerNumber: "1"}, Wait: noWait},
			&channelv1.IdentifyVisitorRequest{ContactId: contact, Claims: &channelv1.Claims{CustomerNumber: "2"}, Wait: noWait}),
		changes("RecordEvent presented", api.RecordEvent,
			record(&channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Presented{Presented: &channelv1.PresentedEvent{PropositionId: "p"}}}),
			record(&channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Presented{Presented: &channelv1.PresentedEvent{PropositionId: "q"}}})),
		changes("RecordEvent answered", api.RecordEvent,
			record(&channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Answered{Answered: &channelv1.AnsweredEvent{PropositionId: "p", Answer: accepted}}}),
			record(&channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Answered{Answered: &channelv1.AnsweredEvent{PropositionId: "p", Answer: 2}}})),
		changes("RecordEvent interest", api.RecordEvent,
			record(&channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Interest{Interest: &channelv1.InterestEvent{Kind: "landing-page", Topic: "x"}}}),
			record(&channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Interest{Interest: &channelv1.InterestEvent{Kind: "landing-page", Topic: "y"}}})),
		changes("RecordEvent banner", api.RecordEvent,
			record(&channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Banner{Banner: &channelv1.BannerEvent{PropositionId: "p"}}}),
			record(&channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Banner{Banner: &channelv1.BannerEvent{PropositionId: "q"}}})),
		changes("RecordEvent other", api.RecordEvent,
			record(otherEvent("brochure-taken", map[string]any{"topic": "jazz"})),
			record(otherEvent("brochure-taken", map[string]any{"topic": "opera"}))),
		changes("SubmitRequest", api.SubmitRequest,
			&channelv1.SubmitRequestRequest{ContactId: contact, Kind: quote, Text: "How much?"},
			&channelv1.SubmitRequestRequest{ContactId: contact, Kind: quote, Text: "How many?"}),
		changes("RespondToLead", api.RespondToLead,
			&channelv1.RespondToLeadRequest{ContactId: contact, LeadId: "l", Answer: accepted},
			&channelv1.RespondToLeadRequest{ContactId: contact, LeadId: "m", Answer: accepted}),
		changes("ShowVariant", api.ShowVariant,
			&channelv1.ShowVariantRequest{ContactId: contact, ExperimentId: "banner"},
			&channelv1.ShowVariantRequest{ContactId: contact, ExperimentId: "greeting"}),
		changes("HandOverContact", api.HandOverContact,
			&channelv1.HandOverContactRequest{ContactId: contact, To: calls, Reason: "She wants to speak to somebody.", Wait: noWait},
			&channelv1.HandOverContactRequest{ContactId: contact, To: 4, Wait: noWait}),
		changes("EndContact", api.EndContact,
			&channelv1.EndContactRequest{ContactId: contact, Outcome: handled},
			&channelv1.EndContactRequest{ContactId: contact, Outcome: 2}),
		changes("GrantCapacity", api.GrantCapacity,
			&channelv1.GrantCapacityRequest{Channel: calls, Capacity: 4},
			&channelv1.GrantCapacityRequest{Channel: calls, Capacity: 5}),
		changes("ReportWorkload", api.ReportWorkload,
			&channelv1.ReportWorkloadRequest{Channel: calls, Waiting: 7},
			&channelv1.ReportWorkloadRequest{Channel: calls, Waiting: 8}),
		changes("RegisterEventKind", api.RegisterEventKind,
			&channelv1.RegisterEventKindRequest{Kind: "chair-tried", Schema: schemaOf("chair")},
			&channelv1.RegisterEventKindRequest{Kind: "chair-tried", Schema: schemaOf("stool")}),
		changes("DefineExperiment", api.DefineExperiment,
			&channelv1.DefineExperimentRequest{Experiment: experimentOf("colour", 0.1)},
			&channelv1.DefineExperimentRequest{Experiment: experimentOf("colour", 0.2)}),
		changes("EndExperiment", api.EndExperiment, &channelv1.EndExperimentRequest{ExperimentId: "banner"}, nil),
	}
}

// inNoContact are the calls that have nothing to do with a contact that goes on.
var inNoContact = []string{"StartContact", "GrantCapacity", "ReportWorkload", "RegisterEventKind", "DefineExperiment", "EndExperiment"}

// experimentOf is an experiment of two variants, compared by clicks on banners.
func experimentOf(id string, expected float64) *channelv1.Experiment {
	return &channelv1.Experiment{
		ExperimentId: id, Variants: []*channelv1.Variant{{VariantId: "old", Weight: 1}, {VariantId: "new", Weight: 1}},
		Outcome:      &channelv1.Outcome{Kind: channelv1.OutcomeKind_OUTCOME_KIND_EVENT_RECORDED, EventKind: "banner-clicked"},
		ExpectedRate: expected,
	}
}

// answers compares answers. How old data is depends on when one asks.
var answers = cmp.Options{protocmp.Transform(), protocmp.IgnoreMessages(&flowv1.Freshness{})}

// prepare makes a contact in which every call can be made.
func (w *world) prepare() (contact string) {
	w.t.Helper()
	request := &channelv1.StartContactRequest{Channel: website, CustomerId: "k", Wait: durationpb.New(0)}
	started, err := w.api().StartContact(w.withKey("prepare"), request)
	if err != nil {
		w.t.Fatal(err)
	}
	contact = started.GetContact().GetContactId()
	_, err = w.api().RecordEvent(w.withKey("prepare too"), &channelv1.RecordEventRequest{
		ContactId: contact, Event: &channelv1.RecordEventRequest_Presented{Presented: &channelv1.PresentedEvent{PropositionId: "p"}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.register("brochure-taken", schemaOf("topic"))
	w.sent("l")
	w.sent("m")
	w.define("banner")
	w.define("greeting")
	return contact
}

// sent has the channel know a lead, whose message has left.
func (w *world) sent(lead string) {
	w.t.Helper()
	w.play("message-of-"+lead, "", &channelv1.MessageAccepted{MessageId: "of-" + lead, LeadId: lead, CustomerId: "k", Channel: calls},
		&channelv1.MessageSent{MessageId: "of-" + lead, LeadId: lead, CustomerId: "k", Channel: calls})
	w.await("the channel to know the lead", func() bool {
		known, err := outbound.HasLead(w.t.Context(), w.db, lead)
		return err == nil && known
	})
}

func (w *world) define(experiment string) {
	w.t.Helper()
	request := &channelv1.DefineExperimentRequest{Experiment: experimentOf(experiment, 0.1)}
	if _, err := w.api().DefineExperiment(w.withKey("define "+experiment), request); err != nil {
		w.t.Fatal(err)
	}
}

func TestACallThatIsRepeatedHasOneEffectAndOneAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for _, c := range everyCall(w.prepare()) {
			first, err := c.call(w.withKey(c.name), w.api())
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			size := w.size()
			again, err := c.call(w.withKey(c.name), w.api())
			if err != nil {
				t.Fatalf("%s again: %v", c.name, err)
			}
			if diff := cmp.Diff(first, again, answers); diff != "" {
				t.Errorf("%s: the second answer differs: %s", c.name, diff)
			}
			if n := w.size(); n != size {
				t.Errorf("%s again: %d events more", c.name, n-size)
			}
			if c.other != nil {
				if _, err := c.other(w.withKey(c.name), w.api()); !fault.Is(err, fault.KindPrecondition) {
					t.Errorf("%s: another request with the same key gets %v", c.name, err)
				}
			}
			if n := w.size(); n != size {
				t.Errorf("%s, another request: %d events more", c.name, n-size)
			}
			if _, err := c.call(w.withKey(""), w.api()); !fault.Is(err, fault.KindInvalid) {
				t.Errorf("%s without a key: %v", c.name, err)
			}
		}
	})
}

func TestARetryAfterALostAnswerHasOneEffect(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		lost := fault.Unavailable("the line is dead").Because(eventlog.ErrUnavailable)
		for _, c := range everyCall(w.prepare()) {
			before := w.size()
			var appends int
			everyAnswerIsLost := failure(func(string, []eventlog.NewEvent) error { appends++; return lost })
			w.after.Store(&everyAnswerIsLost)
			// The command may find by itself that it took effect: it looks again.
			_, lostErr := c.call(w.withKey(c.name), w.api())
			w.after.Store(nil)
			if appends == 0 {
				t.Fatalf("%s appended nothing (%v)", c.name, lostErr)
			}
			if _, err := c.call(w.withKey(c.name), w.api()); err != nil {
				t.Fatalf("%s again: %v", c.name, err)
			}
			want := 1
			switch c.name {
			case "StartContact", "SubmitRequest":
				want = 2 // the claims, and what came of the request
			}
			if n := w.size() - before; n != want {
				t.Errorf("%s: %d events, want %d", c.name, n, want)
			}
		}
	})
}

func TestACallThatIsNotRightIsToldAllThatIsWrong(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		long := strings.Repeat("x", 201)
		late := durationpb.New(11 * time.Second)
		api, ctx := w.api(), w.withKey("a")
		call := func(_ proto.Message, err error) error { return err }
		for want, err := range map[string]error{
			"channel visitor_id customer_id claims.email claims.phone wait": call(api.StartContact(ctx, &channelv1.StartContactRequest{
				VisitorId: long, CustomerId: long, Claims: &channelv1.Claims{Email: "ada", Phone: "ada"}, Wait: late,
			})),
			"claims": call(api.StartContact(ctx, &channelv1.StartContactRequest{Channel: website, Claims: &channelv1.Claims{Surname: "x"}})),
			"contact_id claims.customer_number claims.given_name claims.surname wait": call(api.IdentifyVisitor(ctx, &channelv1.IdentifyVisitorRequest{
				Claims: &channelv1.Claims{CustomerNumber: long, GivenName: long, Surname: long}, Wait: durationpb.New(-1),
			})),
			"contact_id claims": call(api.IdentifyVisitor(ctx, &channelv1.IdentifyVisitorRequest{})),
			"contact_id":        call(api.GetContact(ctx, &channelv1.GetContactRequest{ContactId: " "})),
			"other.kind": call(api.RecordEvent(ctx, &channelv1.RecordEventRequest{
				ContactId: "c", Event: &channelv1.RecordEventRequest_Other{Other: &channelv1.KindEvent{}},
			})),
			"contact_id other.kind wait": call(api.RecordEvent(ctx, &channelv1.RecordEventRequest{
				Wait: late, Event: otherEvent("nobody-knows", nil).GetEvent(),
			})),
			"kind schema.type": call(api.RegisterEventKind(ctx, &channelv1.RegisterEventKindRequest{})),
			"contact_id event wait": call(api.RecordEvent(ctx, &channelv1.RecordEventRequest{
				Wait: late,
			})),
			"presented.proposition_id presented.decision_id": call(api.RecordEvent(ctx, &channelv1.RecordEventRequest{
				ContactId: "c", Event: &channelv1.RecordEventRequest_Presented{Presented: &channelv1.PresentedEvent{DecisionId: long}},
			})),
			"answered.answer answered.proposition_id": call(api.RecordEvent(ctx, &channelv1.RecordEventRequest{
				ContactId: "c", Event: &channelv1.RecordEventRequest_Answered{Answered: &channelv1.AnsweredEvent{Answer: 9}},
			})),
			"interest.kind interest.topic": call(api.RecordEvent(ctx, &channelv1.RecordEventRequest{
				ContactId: "c", Event: &channelv1.RecordEventRequest_Interest{},
			})),
			"banner.proposition_id": call(api.RecordEvent(ctx, &channelv1.RecordEventRequest{
				ContactId: "c", Event: &channelv1.RecordEventRequest_Banner{Banner: &channelv1.BannerEvent{PropositionId: long}},
			})),
			"contact_id kind text":      call(api.SubmitRequest(ctx, &channelv1.SubmitRequestRequest{Text: strings.Repeat("x", 4001)})),
			"kind text":                 call(api.SubmitRequest(ctx, &channelv1.SubmitRequestRequest{ContactId: "c", Kind: 77})),
			"contact_id lead_id answer": call(api.RespondToLead(ctx, &channelv1.RespondToLeadRequest{})),
			"contact_id outcome":        call(api.EndContact(ctx, &channelv1.EndContactRequest{})),
			"channel capacity starts_at": call(api.GrantCapacity(ctx, &channelv1.GrantCapacityRequest{
				Channel: website, StartsAt: timestamppb.New(time.Date(2026, 11, 21, 14, 30, 0, 0, time.UTC)),
			})),
			"capacity":                 call(api.GrantCapacity(ctx, &channelv1.GrantCapacityRequest{Channel: calls, Capacity: 2_000_000})),
			"channel":                  call(api.ReportWorkload(ctx, &channelv1.ReportWorkloadRequest{})),
			"contact_id experiment_id": call(api.ShowVariant(ctx, &channelv1.ShowVariantRequest{})),
			"experiment_id":            call(api.EndExperiment(ctx, &channelv1.EndExperimentRequest{ExperimentId: long})),
			"experiment.experiment_id experiment.variants experiment.outcome.kind experiment.expected_rate": call(
				api.DefineExperiment(ctx, &channelv1.DefineExperimentRequest{})),
			"channel page_size": call(api.ListMessages(ctx, &channelv1.ListMessagesRequest{Channel: 99, PageSize: 1001})),
		} {
			f, ok := fault.Of(err)
			if !ok || f.Kind != fault.KindInvalid {
				t.Errorf("%s: got %v", want, err)
				continue
			}
			var fields []string
			for _, v := range f.Violations {
				fields = append(fields, v.Field)
			}
			if got := strings.Join(fields, " "); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if n := w.size(); n != 0 {
			t.Errorf("%d events came of it", n)
		}
	})
}

func TestAContactThatIsUnknownOrEndedIsSaidToBeSo(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.register("brochure-taken", schemaOf("topic"))
		for _, c := range everyCall("nobody's") {
			if slices.Contains(inNoContact, c.name) {
				continue
			}
			if _, err := c.call(w.withKey(c.name), w.api()); !fault.Is(err, fault.KindNotFound) {
				t.Errorf("%s in a contact that is not there: %v", c.name, err)
			}
		}
		if _, err := w.api().GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: "nobody's"}); !fault.Is(err, fault.KindNotFound) {
			t.Errorf("GetContact: %v", err)
		}
		contact := w.prepare()
		if _, err := w.api().EndContact(w.withKey("end"), &channelv1.EndContactRequest{ContactId: contact, Outcome: handled}); err != nil {
			t.Fatal(err)
		}
		for _, c := range everyCall(contact) {
			_, err := c.call(w.withKey(c.name), w.api())
			switch {
			case slices.Contains(inNoContact, c.name) || c.name == "EndContact": // the end is known
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
			case !fault.Is(err, fault.KindPrecondition):
				t.Errorf("%s in a contact that has ended: %v", c.name, err)
			}
		}
	})
}

// What can't be right changes nothing, in whichever call it comes.
func TestAStepInSomebodyElsesContactIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		contact, api := w.prepare(), w.api()
		eve, call := &channelv1.Visitor{CustomerId: "eve"}, func(_ proto.Message, err error) error { return err }
		before := w.size()
		for name, err := range map[string]error{
			"IdentifyVisitor": call(api.IdentifyVisitor(w.withKey("a"), &channelv1.IdentifyVisitorRequest{
				ContactId: contact, Visitor: eve, Claims: &channelv1.Claims{CustomerNumber: "1"},
			})),
			"RecordEvent": call(api.RecordEvent(w.withKey("b"), &channelv1.RecordEventRequest{
				ContactId: contact, Visitor: eve, Event: interest(contact, 0).GetEvent(),
			})),
			"SubmitRequest": call(api.SubmitRequest(w.withKey("c"), &channelv1.SubmitRequestRequest{
				ContactId: contact, Visitor: eve, Kind: quote, Text: "How much?",
			})),
			"RespondToLead": call(api.RespondToLead(w.withKey("d"), &channelv1.RespondToLeadRequest{
				ContactId: contact, Visitor: eve, LeadId: "l", Answer: accepted,
			})),
			"ShowVariant": call(api.ShowVariant(w.withKey("e"), &channelv1.ShowVariantRequest{
				ContactId: contact, Visitor: &channelv1.Visitor{VisitorId: "eve"}, ExperimentId: "banner",
			})),
			"HandOverContact": call(api.HandOverContact(w.withKey("h"), &channelv1.HandOverContactRequest{
				ContactId: contact, Visitor: eve, To: calls,
			})),
			"EndContact": call(api.EndContact(w.withKey("f"), &channelv1.EndContactRequest{
				ContactId: contact, Visitor: eve, Outcome: handled,
			})),
		} {
			if f, ok := fault.Of(err); !ok || f.Kind != fault.KindPrecondition || f.Reason != "CONTACT_OF_SOMEBODY_ELSE" {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := api.RespondToLead(w.withKey("g"), &channelv1.RespondToLeadRequest{ContactId: contact, LeadId: "never-sent", Answer: accepted})
		if f, ok := fault.Of(err); !ok || f.Kind != fault.KindPrecondition || f.Reason != "LEAD_UNKNOWN" {
			t.Errorf("a response to an unknown lead: %v", err)
		}
		if n := w.size() - before; n != 0 {
			t.Errorf("%d events came of it", n)
		}
		own := &channelv1.Visitor{CustomerId: "k"}
		if _, err := api.EndContact(w.withKey("h"), &channelv1.EndContactRequest{ContactId: contact, Visitor: own, Outcome: handled}); err != nil {
			t.Error(err)
		}
	})
}

func TestAGrantForThisHourStaysInTheHourThatItWasMeantFor(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.pass(59*time.Minute + 59*time.Second)
		request := &channelv1.GrantCapacityRequest{Channel: calls, Capacity: 4}
		first, err := w.api().GrantCapacity(w.withKey("a"), request)
		if err != nil {
			t.Fatal(err)
		}
		w.pass(2 * time.Second)
		again, err := w.api().GrantCapacity(w.withKey("a"), request)
		if err != nil || again.GetGrant() != first.GetGrant() {
			t.Errorf("got %v, then %v, %v", first, again, err)
		}
		next, err := w.api().GrantCapacity(w.withKey("b"), request)
		if err != nil || next.GetGrant() == first.GetGrant() || !strings.HasPrefix(next.GetGrant(), "call-centre:") {
			t.Errorf("got %v, then %v, %v", first, next, err)
		}
		request.Capacity = 5
		if _, err := w.api().GrantCapacity(w.withKey("c"), request); !fault.Is(err, fault.KindPrecondition) {
			t.Errorf("another number for the hour: %v", err)
		}
	})
}

func TestMeasurementsOfWorkloadAreKeptShort(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for i := range 120 {
			request := &channelv1.ReportWorkloadRequest{Channel: calls, Waiting: uint32(i)}
			if _, err := w.api().ReportWorkload(w.withKey(fmt.Sprint(i)), request); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(w.types("workload-call-centre")); n != 100 {
			t.Errorf("%d are kept", n)
		}
	})
}

// Whatever calls come, however often, and wherever an append fails: each key has
// one effect.
func TestWhateverFailsEachCallHasOneEffect(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready()
	contact := w.prepare()
	every := everyCall(contact)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		c := every[rapid.IntRange(0, len(every)-1).Draw(rt, "call")]
		if c.name == "EndContact" || c.name == "GrantCapacity" || c.name == "EndExperiment" {
			rt.Skip("they end what the others need")
		}
		key := fmt.Sprint(run)
		if c.name == "HandOverContact" { // from where it was before the last time
			back := &channelv1.HandOverContactRequest{ContactId: contact, To: website}
			if _, err := w.api().HandOverContact(w.withKey("back before "+key), back); err != nil && !fault.Is(err, fault.KindPrecondition) {
				rt.Fatal(err)
			}
		}
		before := w.size()
		for range rapid.IntRange(0, 3).Draw(rt, "failures") {
			at := &w.before
			var left atomic.Int64 // what the service appends by itself counts, too
			left.Store(int64(rapid.IntRange(0, 2).Draw(rt, "appends before the failure")))
			if rapid.Bool().Draw(rt, "after the effect") {
				at = &w.after
			}
			fail := failure(func(string, []eventlog.NewEvent) error {
				if left.Add(-1) >= 0 {
					return nil
				}
				return eventlog.ErrUnavailable
			})
			at.Store(&fail)
			_, _ = c.call(w.withKey(key), w.api()) // it may have failed, and may have taken effect
			at.Store(nil)
		}
		first, err := c.call(w.withKey(key), w.api())
		if err != nil {
			rt.Fatalf("%s: %v", c.name, err)
		}
		after := w.size()
		again, err := c.call(w.withKey(key), w.api())
		if err != nil {
			rt.Fatalf("%s again: %v", c.name, err)
		}
		if diff := cmp.Diff(first, again, answers); diff != "" {
			rt.Errorf("%s: the answers differ: %s", c.name, diff)
		}
		if n := w.size(); n != after || n > before+2 {
			rt.Errorf("%s: %d events, then %d", c.name, after-before, n-before)
		}
	})
}
