package decider_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

func TestACommandIsDecidedOnTheStateAndAppended(t *testing.T) {
	s := newStreams(t, memory.Options{})
	first := mustHandle(t, s, call(t, "k1", ""), "loans")
	second := mustHandle(t, s, call(t, "k2", ""), "savings", "cards")

	if first.Repeated || second.Repeated {
		t.Error("a first answer was taken for a repeated one")
	}
	want := counter{Count: 3, Topics: []string{"loans", "savings", "cards"}}
	if diff := cmp.Diff(want, second.State); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if second.Version != (decider.Version{Exists: true, Revision: 2}) {
		t.Errorf("version %+v, want revision 2", second.Version)
	}
	log := events(t, s, stream)
	if len(log) != 3 {
		t.Fatalf("%d events, want 3", len(log))
	}
	if !slices.Equal(second.IDs, []uuid.UUID{log[1].ID, log[2].ID}) {
		t.Errorf("ids %v are not those of the events", second.IDs)
	}
	if second.Position != log[2].Position {
		t.Errorf("position %v, want that of the last event, %v", second.Position, log[2].Position)
	}
	if kind := log[2].Message.(*channelv1.InterestShown).GetKind(); kind != "2" {
		t.Errorf("decided on a state of %s events, want 2", kind)
	}
}

func TestTheFirstAnswerStands(t *testing.T) {
	s := newStreams(t, memory.Options{})
	first := mustHandle(t, s, call(t, "k1", ""), "loans", "cards")
	mustHandle(t, s, call(t, "k2", ""), "savings")
	again := mustHandle(t, s, call(t, "k1", ""), "something else by now")

	if !again.Repeated {
		t.Error("the answer does not say that it was there already")
	}
	if diff := cmp.Diff(first.Events, again.Events, protocmp.Transform()); diff != "" {
		t.Errorf("the second answer differs (-first +second):\n%s", diff)
	}
	if !slices.Equal(first.IDs, again.IDs) || first.Position != again.Position {
		t.Errorf("ids %v at %v, want %v at %v", again.IDs, again.Position, first.IDs, first.Position)
	}
	if again.State.Count != 3 || again.Version.Revision != 2 {
		t.Errorf("state %+v at %+v, want the stream as it is now", again.State, again.Version)
	}
	if n := len(events(t, s, stream)); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func TestARepeatedCommandIsNotDecidedAgain(t *testing.T) {
	s := newStreams(t, memory.Options{})
	mustHandle(t, s, call(t, "k1", ""), "loans")
	_, err := decider.Handle(context.Background(), s, call(t, "k1", ""), stream, counting,
		func(counter) ([]proto.Message, error) { return nil, fault.Precondition("by now it is not allowed") })
	if err != nil {
		t.Errorf("the retry was refused: %v", err)
	}
}

func TestAnIdempotencyKeyBelongsToOneRequest(t *testing.T) {
	s := newStreams(t, memory.Options{})
	mustHandle(t, s, call(t, "k1", "one request"), "loans")
	_, err := handle(s, call(t, "k1", "another request"), "cards")
	if !errors.Is(err, decider.ErrKeyReused) || !fault.Is(err, fault.KindPrecondition) {
		t.Errorf("Handle: %v, want ErrKeyReused as a fault", err)
	}
	if n := len(events(t, s, stream)); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestACallNeedsAnIdempotencyKey(t *testing.T) {
	_, err := decider.CallOrigin(keyring.Memory(), flows.Channel, "m", "", &channelv1.InterestShown{}, noon)
	if !fault.Is(err, fault.KindInvalid) {
		t.Errorf("CallOrigin: %v, want a fault", err)
	}
}

func TestACommandNeedsAnOrigin(t *testing.T) {
	s := newStreams(t, memory.Options{})
	for name, spoil := range map[string]func(*decider.Origin){
		"no key":     func(o *decider.Origin) { o.Key = "" },
		"no service": func(o *decider.Origin) { o.Service = "" },
		"no time":    func(o *decider.Origin) { o.Time = time.Time{} },
	} {
		origin := call(t, "k1", "")
		spoil(&origin)
		if _, err := handle(s, origin, "loans"); err == nil {
			t.Errorf("%s: Handle took the command", name)
		}
		if _, err := decider.Ensure(context.Background(), s, origin, stream, uuid.Max, &channelv1.InterestShown{}); err == nil {
			t.Errorf("%s: Ensure took the event", name)
		}
	}
}

func TestTheIdempotencyKeyItselfIsNotKept(t *testing.T) {
	s := newStreams(t, memory.Options{})
	mustHandle(t, s, call(t, "ada@example.org", "Ada Lovelace"), "loans")
	raw := string(events(t, s, stream)[0].Event.Metadata)
	if strings.Contains(raw, "ada@") || strings.Contains(raw, "Lovelace") {
		t.Errorf("the metadata shows the caller's key or request: %s", raw)
	}
}

func TestDecidingNothingWritesNothing(t *testing.T) {
	s := newStreams(t, memory.Options{})
	outcome := mustHandle(t, s, call(t, "k1", ""))
	if outcome.Version.Exists || outcome.Events != nil || outcome.Position != (eventlog.Position{}) {
		t.Errorf("outcome %+v, want none", outcome)
	}
	if _, version, err := decider.Load(context.Background(), s, stream, counting); err != nil || version.Exists {
		t.Errorf("Load: %+v, %v; want a stream that is not there", version, err)
	}
}

func TestARefusalReachesTheCaller(t *testing.T) {
	s := newStreams(t, memory.Options{})
	refusal := fault.Precondition("the contact has ended").WithReason("CONTACT_ENDED")
	_, err := decider.Handle(context.Background(), s, call(t, "k1", ""), stream, counting,
		func(counter) ([]proto.Message, error) { return nil, refusal })
	if got, ok := fault.Of(err); !ok || got != refusal {
		t.Errorf("Handle: %v, want the refusal", err)
	}
	if _, version, err := decider.Load(context.Background(), s, stream, counting); err != nil || version.Exists {
		t.Errorf("Load: %+v, %v; want a stream that is not there", version, err)
	}
}

func TestAnUnknownEventInTheStreamFailsTheCommand(t *testing.T) {
	s := newStreams(t, memory.Options{})
	if _, err := s.Log.Append(context.Background(), stream, eventlog.NoStream, foreign); err != nil {
		t.Fatal(err)
	}
	_, err := decider.Handle(context.Background(), s, call(t, "k1", ""), stream, counting, func(counter) ([]proto.Message, error) {
		t.Error("it was decided on a past that nobody understood")
		return nil, nil
	})
	if !errors.Is(err, codec.ErrUnknownType) {
		t.Errorf("Handle: %v, want ErrUnknownType", err)
	}
	for _, part := range []string{stream, foreign.Type, "run one that can"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	if _, _, err := decider.Load(context.Background(), s, stream, counting); !errors.Is(err, codec.ErrUnknownType) {
		t.Errorf("Load: %v, want ErrUnknownType", err)
	}
}

// A type that is not active yet is not written, and nothing of the command is.
func TestATypeThatIsNotActiveFailsTheCommand(t *testing.T) {
	flows.Gated = []string{"channel.v1.InterestShown"}
	t.Cleanup(func() { flows.Gated = nil })
	s := newStreams(t, memory.Options{})
	if _, err := handle(s, call(t, "k1", ""), "loans"); !errors.Is(err, codec.ErrNotActive) {
		t.Errorf("Handle: %v, want ErrNotActive", err)
	}
	if _, version, err := decider.Load(context.Background(), s, stream, counting); err != nil || version.Exists {
		t.Errorf("Load: %+v, %v; want a stream that is not there", version, err)
	}
	s.Codec = s.Codec.WriteOnceActive(func(schema string) bool { return schema == "channel.v1.InterestShown" })
	if _, err := handle(s, call(t, "k1", ""), "loans"); err != nil {
		t.Errorf("once it is active: %v", err)
	}
}

func TestADecisionOnAnOldStateIsMadeAgain(t *testing.T) {
	var s *decider.Streams
	rivals := 0
	s = newStreams(t, memory.Options{BeforeAppend: func(_ string, appending []eventlog.NewEvent) error {
		if rivals < 3 && !isRival(appending) {
			rivals++
			_, err := s.Log.Append(context.Background(), stream, eventlog.Any, rival(t, s, rivals))
			return err
		}
		return nil
	}})
	outcome := mustHandle(t, s, call(t, "k1", ""), "loans")
	if got := outcome.Events[0].(*channelv1.InterestShown).GetKind(); got != "3" {
		t.Errorf("decided on a state of %s events, want 3", got)
	}
	if want := (counter{Count: 4, Topics: []string{"rival", "rival", "rival", "loans"}}); !cmp.Equal(want, outcome.State) {
		t.Errorf("state %+v, want %+v", outcome.State, want)
	}
}

func isRival(appending []eventlog.NewEvent) bool {
	return strings.Contains(string(appending[0].Data), "rival")
}

func rival(t *testing.T, s *decider.Streams, n int) eventlog.NewEvent {
	t.Helper()
	event, err := s.Codec.Encode(context.Background(), &channelv1.InterestShown{ContactId: "c1", Topic: "rival"},
		uuid.NewSHA1(uuid.Max, []byte{byte(n)}), codec.Metadata{Source: "/triangle/channel", Time: noon})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

func TestManyWritersLoseNothing(t *testing.T) {
	s := newStreams(t, memory.Options{})
	const writers, each = 32, 4
	var all sync.WaitGroup
	for writer := range writers {
		all.Go(func() {
			for i := range each {
				topic := fmt.Sprint(writer, "-", i)
				// Every command comes twice, as from a caller that lost patience.
				for range 2 {
					outcome, err := handle(s, call(t, topic, ""), topic)
					if err != nil || outcome.Events[0].(*channelv1.InterestShown).GetTopic() != topic {
						t.Errorf("%s: %v", topic, err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	log := events(t, s, stream)
	if len(log) != writers*each {
		t.Fatalf("%d events, want %d", len(log), writers*each)
	}
	for i, event := range log {
		if kind := event.Message.(*channelv1.InterestShown).GetKind(); kind != fmt.Sprint(i) {
			t.Fatalf("event %d was decided on a state of %s events", i, kind)
		}
	}
}

func TestTwoStreamsAnswerTheSameOriginEach(t *testing.T) {
	s := newStreams(t, memory.Options{})
	origin := call(t, "k1", "")
	one := mustHandle(t, s, origin, "loans")
	two, err := decider.Handle(context.Background(), s, origin, "contact-c2", counting, show("loans"))
	if err != nil || two.Repeated {
		t.Fatalf("the other stream: %+v, %v", two, err)
	}
	if one.IDs[0] == two.IDs[0] {
		t.Error("two events share an id")
	}
}

func TestAReactionsOriginIsItsHandlerAndItsCause(t *testing.T) {
	s := newStreams(t, memory.Options{})
	mustHandle(t, s, call(t, "k1", ""), "loans")
	cause := events(t, s, stream)[0]

	react := func(handler string) decider.Outcome[counter] {
		t.Helper()
		outcome, err := decider.Handle(context.Background(), s,
			decider.CauseOrigin(flows.Marketing, handler, cause, noon), "decisions-c1", counting, show("answer"))
		if err != nil {
			t.Fatal(err)
		}
		return outcome
	}
	if react("decide").Repeated || !react("decide").Repeated {
		t.Error("a cause is answered once, and then stays answered")
	}
	if react("segment").Repeated {
		t.Error("another handler's answer was taken for the own one")
	}
	answer := events(t, s, "decisions-c1")[0]
	want := codec.Metadata{
		SpecVersion: "1.0", ID: answer.ID.String(), Source: "/triangle/marketing", Type: "channel.InterestShown",
		Time: noon, Subject: "decisions-c1", DataContentType: "application/json", DataSchema: "channel.v1.InterestShown",
		TraceParent: cause.Metadata.TraceParent, TraceID: cause.Metadata.TraceID, SpanID: cause.Metadata.SpanID,
		CorrelationID: cause.Metadata.CorrelationID, CausationID: cause.ID.String(),
		Origin: "reaction:decide:" + cause.ID.String(), CausePosition: cause.Position,
	}
	if diff := cmp.Diff(want, answer.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if want.CorrelationID == "" || want.TraceID == "" {
		t.Error("the call began no correlation, or no trace")
	}
}

func TestACauseWithoutCorrelationBeginsOne(t *testing.T) {
	cause := codec.Event{Event: eventlog.Event{NewEvent: foreign}}
	if got := decider.CauseOrigin(flows.Sales, "h", cause, noon).CorrelationID; got != foreign.ID.String() {
		t.Errorf("correlation %q, want the cause's id", got)
	}
}

func TestTheContextsTraceGoesWithTheEvent(t *testing.T) {
	s := newStreams(t, memory.Options{})
	state, err := trace.ParseTraceState("vendor=1")
	if err != nil {
		t.Fatal(err)
	}
	span := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state,
	})
	ctx := trace.ContextWithSpanContext(context.Background(), span)
	if _, err := decider.Handle(ctx, s, call(t, "k1", ""), stream, counting, show("loans")); err != nil {
		t.Fatal(err)
	}
	md := events(t, s, stream)[0].Metadata
	if md.TraceParent != "00-01000000000000000000000000000000-0200000000000000-01" || md.TraceState != "vendor=1" {
		t.Errorf("trace %q, %q", md.TraceParent, md.TraceState)
	}
	if md.TraceID != span.TraceID().String() || md.SpanID != span.SpanID().String() {
		t.Errorf("trace %s, span %s", md.TraceID, md.SpanID)
	}
}

func TestWhatDerivesFromAnOriginIsItsOwnAndStays(t *testing.T) {
	one, again, other := call(t, "k1", ""), call(t, "k1", ""), call(t, "k2", "")
	if one.NewID("contact") != again.NewID("contact") || one.Seed() != again.Seed() {
		t.Error("a retry has other ids, or another seed")
	}
	if one.NewID("contact") == one.NewID("request") || one.NewID("contact") == other.NewID("contact") {
		t.Error("two things share an id")
	}
	if one.Seed() == other.Seed() {
		t.Error("two calls share a seed")
	}
}

// Ids that were derived once are in the store: they must come out the same for
// ever.
func TestDerivedIDsNeverChange(t *testing.T) {
	s := newStreams(t, memory.Options{})
	origin := decider.Origin{Key: "call:abc", Service: flows.Channel, Time: noon}
	outcome := mustHandle(t, s, origin, "loans", "cards")
	got := fmt.Sprintf("%s %s %d", outcome.IDs, origin.NewID("contact"), origin.Seed())
	const want = "[3d2b019b-2dd7-5031-b1b5-65e90668f4b5 de0b3dd0-eba7-58b1-a297-1373bf8747ae] " +
		"c5e2bffb-4e21-57d2-9abf-912671bb9e48 18193289248350281667"
	if got != want {
		t.Errorf("derived %s, want %s", got, want)
	}
}
