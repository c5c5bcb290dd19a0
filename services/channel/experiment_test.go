package channel

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// visit has a visitor come to the website, see a variant of the experiment banner,
// click it or not, and leave.
func (w *world) visit(visitor string, clicks bool) (variant string) {
	w.t.Helper()
	key := func(step string) string { return visitor + " " + step }
	request := &channelv1.StartContactRequest{Channel: website, VisitorId: visitor, Wait: durationpb.New(0)}
	started, err := w.api().StartContact(w.withKey(key("start")), request)
	if err != nil {
		w.t.Fatal(err)
	}
	contact := started.GetContact().GetContactId()
	shown, err := w.api().ShowVariant(w.withKey(key("show")), &channelv1.ShowVariantRequest{ContactId: contact, ExperimentId: "banner"})
	if err != nil {
		w.t.Fatal(err)
	}
	if clicks {
		_, err = w.api().RecordEvent(w.withKey(key("click")), &channelv1.RecordEventRequest{
			ContactId: contact, Event: &channelv1.RecordEventRequest_Banner{Banner: &channelv1.BannerEvent{PropositionId: "p"}},
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := w.api().EndContact(w.withKey(key("end")), &channelv1.EndContactRequest{ContactId: contact, Outcome: handled}); err != nil {
		w.t.Fatal(err)
	}
	return shown.GetVariantId()
}

func (w *world) experiment() *channelv1.ExperimentResult {
	w.t.Helper()
	synctest.Wait()
	got, err := w.api().GetExperiment(w.t.Context(), &channelv1.GetExperimentRequest{ExperimentId: "banner"})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.GetResult()
}

// CH-5, from the calls to the result, and over a crash.
func TestScenarioCH5VisitorsSeeAVariantAndTheOutcomeIsCounted(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.define("banner")
		want := map[string]*channelv1.VariantResult{"old": {VariantId: "old"}, "new": {VariantId: "new"}}
		for i := range 40 {
			clicks := i%3 == 0
			v := want[w.visit(fmt.Sprint("visitor ", i), clicks)]
			v.Exposed, v.Finished = v.GetExposed()+1, v.GetFinished()+1
			if clicks {
				v.Outcomes++
			}
			if i == 20 {
				w.stop()
				w.start()
			}
		}
		got := w.experiment()
		for _, v := range got.GetVariants() {
			if v.GetFinished() < 10 {
				t.Errorf("the weights are even, but %s was shown to %d of 40", v.GetVariantId(), v.GetFinished())
			}
			ignore := protocmp.IgnoreFields(v, "rate", "difference")
			if diff := cmp.Diff(want[v.GetVariantId()], v, protocmp.Transform(), ignore); diff != "" {
				t.Errorf("%s (-want +got):\n%s", v.GetVariantId(), diff)
			}
		}
		if d := got.GetVariants()[1].GetDifference(); d.GetVerdict() != channelv1.Verdict_VERDICT_UNDECIDED || d.GetLower() >= d.GetUpper() {
			t.Errorf("difference: %v", d)
		}

		// It ends, and nobody is newly assigned.
		if _, err := w.api().EndExperiment(w.withKey("end"), &channelv1.EndExperimentRequest{ExperimentId: "banner"}); err != nil {
			t.Fatal(err)
		}
		request := &channelv1.StartContactRequest{Channel: website, VisitorId: "late", Wait: durationpb.New(0)}
		started, err := w.api().StartContact(w.withKey("late"), request)
		if err != nil {
			t.Fatal(err)
		}
		before := w.size()
		_, err = w.api().ShowVariant(w.withKey("late too"), &channelv1.ShowVariantRequest{
			ContactId: started.GetContact().GetContactId(), ExperimentId: "banner",
		})
		if f, ok := fault.Of(err); !ok || f.Kind != fault.KindPrecondition || f.Reason != "EXPERIMENT_ENDED" {
			t.Errorf("who comes late is told %v", err)
		}
		if n := w.size() - before; n != 0 {
			t.Errorf("%d events came of it", n)
		}
		after := w.experiment()
		if after.GetState() != channelv1.ExperimentState_EXPERIMENT_STATE_ENDED {
			t.Errorf("it is %s", after.GetState())
		}
		if diff := cmp.Diff(got.GetVariants(), after.GetVariants(), protocmp.Transform()); diff != "" {
			t.Errorf("the end changed what it came to: %s", diff)
		}
		all, err := w.api().ListExperiments(t.Context(), &channelv1.ListExperimentsRequest{})
		if err != nil || len(all.GetResults()) != 1 {
			t.Errorf("got %v, %v", all, err)
		}
		_, err = w.api().GetExperiment(t.Context(), &channelv1.GetExperimentRequest{ExperimentId: "none"})
		if !fault.Is(err, fault.KindNotFound) {
			t.Errorf("an experiment that is not there: %v", err)
		}
	})
}

// However many ask at once, one variant is shown in a contact, and one exposure
// recorded.
func TestAVariantThatIsAskedForAtOnceIsShownOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		contact := w.prepare()
		var asking sync.WaitGroup
		var mu sync.Mutex
		told := map[string]int{}
		for i := range 8 {
			asking.Go(func() {
				got, err := w.api().ShowVariant(w.withKey(fmt.Sprint("show ", i)), &channelv1.ShowVariantRequest{ContactId: contact, ExperimentId: "banner"})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				told[got.GetVariantId()]++
			})
		}
		asking.Wait()
		if len(told) != 1 || told[""] != 0 {
			t.Errorf("told: %v", told)
		}
		exposures := 0
		for _, e := range w.types("contact-" + contact) {
			if e == "VariantShown" {
				exposures++
			}
		}
		if exposures != 1 {
			t.Errorf("%d exposures are recorded", exposures)
		}
	})
}
