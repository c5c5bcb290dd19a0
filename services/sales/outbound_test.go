package sales_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

const callCentre = journeyv1.Channel_CHANNEL_CALL_CENTRE

// tenErlang is a plan of the call centre: 200 calls come in an hour, of three
// minutes each, and 80 % of them are to be answered within 20 seconds.
func tenErlang(agents uint32) *salesv1.Calls {
	return &salesv1.Calls{
		Agents: agents, HandlingTime: durationpb.New(10 * time.Minute), InboundPerHour: 200,
		InboundHandlingTime: durationpb.New(3 * time.Minute), ServiceLevel: 0.8, AnsweredWithin: durationpb.New(20 * time.Second),
	}
}

func (w *world) planOutbound(key string, request *salesv1.PlanOutboundRequest) {
	w.t.Helper()
	_, err := w.client.PlanOutbound(w.key(key), request)
	w.must(err)
	w.await("the plan shows", func() bool { return w.count("outbound_plan", "channel = ?", int32(request.GetChannel())) == 1 })
}

func (w *world) outbound(channel journeyv1.Channel) *salesv1.GetOutboundResponse {
	w.t.Helper()
	response, err := w.client.GetOutbound(w.t.Context(), &salesv1.GetOutboundRequest{Channel: channel})
	w.must(err)
	return response
}

// grantCalls plays the call centre, which reports its workload before the hour and
// grants capacity for it.
func (w *world) grantCalls(waiting, capacity uint32) (hour time.Time) {
	w.t.Helper()
	hour = time.Now().UTC().Truncate(time.Hour)
	w.tell(flows.Channel, "workload-call-centre",
		&channelv1.WorkloadReported{Channel: callCentre, Waiting: 500, MeasuredAt: timestamppb.New(hour.Add(-5 * time.Hour))},
		&channelv1.WorkloadReported{Channel: callCentre, Waiting: waiting, MeasuredAt: timestamppb.New(hour.Add(-time.Minute))},
		&channelv1.WorkloadReported{Channel: callCentre, Waiting: 90, MeasuredAt: timestamppb.New(hour.Add(time.Minute))})
	w.tell(flows.Channel, "capacity-call-centre:now", &channelv1.CapacityGranted{
		Channel: callCentre, Interval: "now", Capacity: capacity, StartsAt: timestamppb.New(hour), EndsAt: timestamppb.New(hour.Add(2 * time.Hour)),
	})
	w.await("the grant is there", func() bool { return w.count("capacity_grant", "true") == 1 })
	return hour
}

func calling(id string, priority uint32) *marketingv1.LeadIssued {
	lead := mailing(id, priority)
	lead.Channel = callCentre
	return lead
}

// LM-2: 15 agents, of whom 14 are needed for the calls that come in. The other one
// makes twelve calls in the two hours of the grant, less the nine that waited when
// it began: the three best leads are called, whatever the channel granted.
func TestCallsArePlannedByAgentsAndHandlingTimeLM2(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	w.planOutbound("p", &salesv1.PlanOutboundRequest{Channel: callCentre, Calls: tenErlang(15)})
	hour := w.grantCalls(9, 40)
	w.issue(calling("l1", 1), calling("l2", 9), calling("l3", 5), calling("l4", 7), calling("l5", 2))
	w.await("three are dispatched", func() bool { return len(w.everything("sales.DispatchOrdered")) == 3 })
	w.await("two wait", func() bool { return w.outbound(callCentre).GetWaiting() == 2 })
	got := w.outbound(callCentre)
	if got.GetWaitingSince() == nil || len(got.GetFreshness()) == 0 {
		t.Errorf("waiting since %v, freshness %v", got.GetWaitingSince(), got.GetFreshness())
	}
	grant := &salesv1.Grant{
		Grant: "call-centre:now", Granted: 40, Fits: 3, Spent: 3,
		StartsAt: timestamppb.New(hour), EndsAt: timestamppb.New(hour.Add(2 * time.Hour)),
	}
	if diff := cmp.Diff([]*salesv1.Grant{grant}, got.GetGrants(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	s := got.GetStaffing()
	if s.GetInboundAgents() != 14 || s.GetOutboundAgents() != 1 || s.GetSufficiency() != salesv1.Sufficiency_SUFFICIENCY_ENOUGH {
		t.Errorf("staffed %v", s)
	}
	if s.GetInboundLoad() != 10 || s.GetWaitingProbability() < 0.1735 || s.GetWaitingProbability() >= 0.1745 || s.GetServiceLevel() < 0.8875 || s.GetServiceLevel() >= 0.8885 {
		t.Errorf("of 10 erlang on 14 agents 17.4 %% wait, 88.8 %% are answered in time; told %v", s)
	}

	// One agent more: another twelve fit, and the two that were deferred go.
	_, err := w.client.PlanOutbound(w.key("q"), &salesv1.PlanOutboundRequest{Channel: callCentre, Calls: tenErlang(16)})
	w.must(err)
	w.await("all are dispatched", func() bool { return len(w.everything("sales.DispatchOrdered")) == 5 })
	if diff := cmp.Diff([]string{"l1", "l2", "l3", "l4", "l5"}, w.dispatched()); diff != "" {
		t.Errorf("dispatched (-want +got):\n%s", diff)
	}
}

// LM-2: print and e-mail go by a rate, and by no more than is granted.
func TestMessagesArePlannedByRateLM2(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	const email = journeyv1.Channel_CHANNEL_EMAIL
	w.planOutbound("p", &salesv1.PlanOutboundRequest{Channel: email, Mailing: &salesv1.Mailing{}})
	w.grant("a", 2) // for two hours
	w.issue(mailing("l1", 1), mailing("l2", 2), mailing("l3", 3))
	w.await("all wait, as nothing is sent", func() bool {
		got := w.outbound(email)
		return got.GetWaiting() == 3 && len(got.GetGrants()) == 1 && got.GetMailing() != nil && got.GetGrants()[0].GetFits() == 0
	})
	_, err := w.client.PlanOutbound(w.key("q"), &salesv1.PlanOutboundRequest{Channel: email, Mailing: &salesv1.Mailing{PerHour: 1000}})
	w.must(err)
	w.await("two are dispatched", func() bool { return len(w.everything("sales.DispatchOrdered")) == 2 })
	w.await("one waits", func() bool { return w.outbound(email).GetWaiting() == 1 })
	if got := w.outbound(email).GetGrants()[0]; got.GetFits() != 2 || got.GetSpent() != 2 {
		t.Errorf("the grant is %v", got)
	}
}

// LM-2: a lead that waited too long expires, and says so; others wait on.
func TestALeadThatWaitsTooLongExpiresLM2(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	w.issue(mailing("l1", 1), calling("l2", 1))
	w.awaitTypes("lead-l1", "LeadAccepted")
	w.awaitTypes("lead-l2", "LeadAccepted")
	w.planOutbound("p", &salesv1.PlanOutboundRequest{Channel: journeyv1.Channel_CHANNEL_EMAIL, ExpiresAfter: durationpb.New(time.Second)})
	w.planOutbound("q", &salesv1.PlanOutboundRequest{Channel: callCentre, ExpiresAfter: durationpb.New(time.Hour)})
	w.awaitTypes("lead-l1", "LeadAccepted", "LeadStatusChanged")
	if got := w.lead("l1"); got.GetStatus() != salesv1.LeadStatus_LEAD_STATUS_EXPIRED || got.GetDetail() != "waited for capacity for longer than 1s" {
		t.Errorf("the lead is %v", got)
	}
	w.grant("a", 5)
	w.issue(mailing("l3", 1))
	w.awaitTypes("lead-l3", "LeadAccepted", "DispatchOrdered")
	w.awaitTypes("lead-l1", "LeadAccepted", "LeadStatusChanged")
	w.awaitTypes("lead-l2", "LeadAccepted")
}

func TestAPlanThatMakesNoSenseIsRefused(t *testing.T) {
	w := newWorld(t).start()
	for name, tc := range map[string]struct {
		request *salesv1.PlanOutboundRequest
		want    []string
	}{
		"no channel":     {&salesv1.PlanOutboundRequest{}, []string{"channel"}},
		"a branch":       {&salesv1.PlanOutboundRequest{Channel: journeyv1.Channel_CHANNEL_BRANCH}, []string{"channel"}},
		"calls by print": {&salesv1.PlanOutboundRequest{Channel: journeyv1.Channel_CHANNEL_PRINT, Calls: tenErlang(5)}, []string{"calls"}},
		"no time to call": {
			&salesv1.PlanOutboundRequest{Channel: callCentre, Calls: &salesv1.Calls{Agents: 3, HandlingTime: durationpb.New(0), InboundPerHour: -1}},
			[]string{"calls.handling_time", "calls.inbound_per_hour", "calls.inbound_handling_time", "calls.answered_within", "calls.service_level"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.client.PlanOutbound(w.key(name), tc.request)
			wantCode(t, err, codes.InvalidArgument)
			if diff := cmp.Diff(tc.want, violations(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := w.count("outbound_plan", "true"); got != 0 {
		t.Errorf("%d plans", got)
	}
	_, err := w.client.GetOutbound(t.Context(), &salesv1.GetOutboundRequest{Channel: journeyv1.Channel_CHANNEL_WEBSITE})
	wantCode(t, err, codes.InvalidArgument)
}

// LM-2: a plan is made and shown over REST, too.
func TestAPlanOverRESTLM2(t *testing.T) {
	w := newWorld(t).start()
	put := func(path, body string) (int, string) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, w.rest+path, strings.NewReader(body))
		w.must(err)
		request.Header.Set("Idempotency-Key", path+body)
		response, err := http.DefaultClient.Do(request)
		w.must(err)
		defer func() { w.must(response.Body.Close()) }()
		text, err := io.ReadAll(response.Body)
		w.must(err)
		return response.StatusCode, string(text)
	}
	for path, want := range map[string]int{
		"/v1/outbound/CHANNEL_PRINT": http.StatusOK, "/v1/outbound/CHANNEL_CALL_CENTRE": http.StatusBadRequest, "/v1/outbound/nonsense": http.StatusBadRequest,
	} {
		if status, body := put(path, `{"mailing": {"per_hour": 500}, "expires_after": "259200s"}`); status != want {
			t.Errorf("%s: %d, want %d: %s", path, status, want, body)
		}
	}
	got := w.outbound(journeyv1.Channel_CHANNEL_PRINT)
	if got.GetMailing().GetPerHour() != 500 || got.GetExpiresAfter().AsDuration() != 72*time.Hour {
		t.Errorf("the plan is %v", got)
	}
}
