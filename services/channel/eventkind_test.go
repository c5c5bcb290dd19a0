package channel

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// schemaOf is the schema of an object that has these texts, the first of which it
// must have.
func schemaOf(texts ...string) *structpb.Struct {
	properties := map[string]any{}
	for _, name := range texts {
		properties[name] = map[string]any{"type": "string", "maxLength": 20}
	}
	return structOf(map[string]any{
		"type": "object", "additionalProperties": false, "properties": properties, "required": []any{texts[0]},
	})
}

func structOf(o map[string]any) *structpb.Struct {
	s, err := structpb.NewStruct(o)
	if err != nil {
		panic(err)
	}
	return s
}

// otherEvent is an event that is named by its kind.
func otherEvent(kind string, data map[string]any) *channelv1.RecordEventRequest {
	return &channelv1.RecordEventRequest{Event: &channelv1.RecordEventRequest_Other{Other: &channelv1.KindEvent{Kind: kind, Data: structOf(data)}}}
}

func (w *world) register(kind string, schema *structpb.Struct) (version uint32) {
	w.t.Helper()
	key := w.withKey("register " + kind + protojson.Format(schema))
	got, err := w.api().RegisterEventKind(key, &channelv1.RegisterEventKindRequest{Kind: kind, Schema: schema})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.GetVersion()
}

// CH-4, from the registration of a kind to the event that goes to marketing.
func TestScenarioCH4AFurtherKindOfEventIsRegisteredAndRecorded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		contact := w.prepare() // which registers brochure-taken, of a topic
		w.hear(marketing(w, 10*time.Millisecond, always("p-1")))
		record := func(key string, e *channelv1.RecordEventRequest) (*channelv1.RecordEventResponse, error) {
			e.ContactId, e.Wait = contact, durationpb.New(10*time.Second)
			return w.api().RecordEvent(w.withKey(key), e)
		}
		began := time.Now()
		got, err := record("a", otherEvent("brochure-taken", map[string]any{"topic": "jazz"}))
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, got.GetNextBestActions(), decided, "", "d-p-1")
		if took := time.Since(began); took < 10*time.Millisecond || took > 60*time.Millisecond {
			t.Errorf("it took %s; marketing decides after 10ms", took)
		}

		// The next version says more; who writes by the first one goes on.
		if v := w.register("brochure-taken", schemaOf("topic", "format")); v != 2 {
			t.Errorf("version %d", v)
		}
		for key, data := range map[string]map[string]any{
			"b": {"topic": "jazz", "format": "paper"},
			"a": {"topic": "jazz"}, // repeated
			"c": {"topic": "opera"},
		} {
			if _, err := record(key, otherEvent("brochure-taken", data)); err != nil {
				t.Errorf("%v: %v", data, err)
			}
		}
		var recorded []string
		for _, e := range w.events("contact-" + contact) {
			if m, ok := e.Message.(*channelv1.CommercialEventRecorded); ok {
				recorded = append(recorded, fmt.Sprintf("%s %s %s by %d", m.GetCustomerId(), m.GetKind(), m.GetData(), m.GetVersion()))
			}
		}
		slices.Sort(recorded)
		if want := []string{
			`k brochure-taken {"format":"paper","topic":"jazz"} by 2`,
			`k brochure-taken {"topic":"jazz"} by 1`, `k brochure-taken {"topic":"opera"} by 2`,
		}; !slices.Equal(recorded, want) {
			t.Errorf("recorded: %q", recorded)
		}

		// What does not fit changes nothing, and the reason names the field.
		before := w.size()
		for want, e := range map[string]*channelv1.RecordEventRequest{
			"other.kind is registered nowhere: register its schema first":                         otherEvent("brochure-eaten", map[string]any{"topic": "jazz"}),
			"other.data.topic must be of the type string":                                         otherEvent("brochure-taken", map[string]any{"topic": 7}),
			"other.data.colour is not in the schema; other.data.topic is missing":                 otherEvent("brochure-taken", map[string]any{"colour": "red"}),
			"other.data.answer must be one of ANSWER_ACCEPTED, ANSWER_REJECTED, ANSWER_LATER":     otherEvent("proposition-answered", map[string]any{"propositionId": "p", "answer": "yes"}),
			"other.data.propositionId is missing; other.data.proposition_id is not in the schema": otherEvent("banner-clicked", map[string]any{"proposition_id": "p"}),
		} {
			_, err := record(want, e)
			if f, ok := fault.Of(err); !ok || f.Kind != fault.KindInvalid || f.Message != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		if _, err := w.api().RegisterEventKind(w.withKey("narrower"), &channelv1.RegisterEventKindRequest{
			Kind: "brochure-taken", Schema: schemaOf("format"),
		}); !fault.Is(err, fault.KindPrecondition) || !strings.Contains(err.Error(), "schema.properties.topic") {
			t.Errorf("a version that says less: %v", err)
		}
		if n := w.size() - before; n != 0 {
			t.Errorf("%d events came of it", n)
		}

		// An experiment may be compared by it.
		e := experimentOf("shelf", 0.1)
		e.Outcome.EventKind = "brochure-taken"
		if _, err := w.api().DefineExperiment(w.withKey("shelf"), &channelv1.DefineExperimentRequest{Experiment: e}); err != nil {
			t.Error(err)
		}
		e = experimentOf("shelf-2", 0.1)
		e.Outcome.EventKind = "brochure-eaten"
		if _, err := w.api().DefineExperiment(w.withKey("shelf-2"), &channelv1.DefineExperimentRequest{Experiment: e}); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("compared by what nobody can record: %v", err)
		}

		synctest.Wait()
		listed, err := w.api().ListEventKinds(t.Context(), &channelv1.ListEventKindsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, k := range listed.GetKinds() {
			properties := k.GetSchema().AsMap()["properties"].(map[string]any)
			origin := strings.TrimPrefix(k.GetOrigin().String(), "EVENT_KIND_ORIGIN_")
			kinds = append(kinds, fmt.Sprintf("%s v%d %s %s", k.GetKind(), k.GetVersion(), slices.Sorted(maps.Keys(properties)), origin))
		}
		if want := []string{
			"banner-clicked v1 [propositionId] BUILT_IN", "brochure-taken v2 [format topic] REGISTERED", "interest-shown v1 [kind topic] BUILT_IN",
			"proposition-answered v1 [answer propositionId] BUILT_IN", "proposition-presented v1 [decisionId propositionId] BUILT_IN",
		}; !slices.Equal(kinds, want) {
			t.Errorf("kinds: %q", kinds)
		}
	})
}

// A built-in kind is one thing, in whichever form it is recorded.
func TestABuiltInKindIsTheEventThatItStandsFor(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		contact := w.prepare()
		for i, e := range []*channelv1.RecordEventRequest{
			otherEvent("proposition-presented", map[string]any{"propositionId": "q", "decisionId": "d"}),
			otherEvent("proposition-answered", map[string]any{"propositionId": "q", "answer": "ANSWER_LATER"}),
			otherEvent("interest-shown", map[string]any{"kind": "landing-page", "topic": "jazz"}),
			otherEvent("banner-clicked", map[string]any{"propositionId": "q"}),
		} {
			e.ContactId, e.Wait = contact, durationpb.New(0)
			if _, err := w.api().RecordEvent(w.withKey(fmt.Sprint(i)), e); err != nil {
				t.Errorf("%v: %v", e, err)
			}
		}
		want := []string{"ContactStarted", "PropositionPresented", "PropositionPresented", "PropositionAnswered", "InterestShown", "BannerClicked"}
		if got := w.types("contact-" + contact); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
		e := otherEvent("proposition-answered", map[string]any{"propositionId": "never", "answer": "ANSWER_LATER"})
		e.ContactId = contact
		if _, err := w.api().RecordEvent(w.withKey("never"), e); !fault.Is(err, fault.KindPrecondition) {
			t.Errorf("an answer to what was not presented: %v", err)
		}
	})
}
