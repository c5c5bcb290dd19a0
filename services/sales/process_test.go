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

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// process is the chain-control report on one process.
func (w *world) process(name string) (*salesv1.Process, *salesv1.GetProcessesResponse) {
	w.t.Helper()
	response, err := w.client.GetProcesses(w.t.Context(), &salesv1.GetProcessesRequest{Process: name})
	w.must(err)
	if len(response.GetProcesses()) != 1 || response.GetProcesses()[0].GetProcess() != name {
		w.t.Fatalf("asked for %s, told of %v", name, response.GetProcesses())
	}
	return response.GetProcesses()[0], response
}

// counts are how many have come to each step, and how many are there now.
func counts(p *salesv1.Process) map[string][2]uint64 {
	all := map[string][2]uint64{}
	for _, s := range p.GetSteps() {
		if s.GetEntered() > 0 {
			all[s.GetStep()] = [2]uint64{s.GetEntered(), s.GetStanding()}
		}
	}
	return all
}

func (w *world) awaitProcess(name string, want map[string][2]uint64) *salesv1.Process {
	w.t.Helper()
	var got *salesv1.Process
	w.await(name+" goes as it should", func() bool {
		got, _ = w.process(name)
		return cmp.Equal(want, counts(got))
	})
	return got
}

// SA-2: of three complaints one is settled straight through, one by an employee
// after the channel could not, and one waits. How long a step took is told by
// when it was taken in the channel.
func TestTheReportTellsWhereRequestsStandSA2(t *testing.T) {
	w := newWorld(t).start()
	for _, id := range []string{"r1", "r2", "r3"} {
		w.submit(id, "customer")
	}
	w.tell(flows.Channel, "contact-c1", &channelv1.RequestHandled{RequestId: "r1", ContactId: "c1", Reference: "B-7"})
	w.handledInPart("r2")
	w.awaitTypes("request-r2", "RequestOpened", "RequestStatusChanged", "RequestStatusChanged")
	_, err := w.client.ResolveRequest(w.key("r2"), &salesv1.ResolveRequestRequest{RequestId: "r2"})
	w.must(err)
	w.await("the first one is stalled", func() bool {
		got, _ := w.process("complaint")
		return got.GetSteps()[0].GetStalled() == 1 && cmp.Equal(counts(got), map[string][2]uint64{"lodged": {3, 1}, "taken-over": {1, 0}, "settled": {2, 2}})
	})
	got, response := w.process("complaint")
	lodged := got.GetSteps()[0]
	var told []string
	for _, p := range lodged.GetPassages() {
		told = append(told, p.GetTo())
	}
	if diff := cmp.Diff([]string{"taken-over", "settled"}, told); diff != "" {
		t.Errorf("from lodged they went (-want +got):\n%s", diff)
	}
	if got.GetInstances() != 3 || lodged.GetTimes().GetCount() != 2 || lodged.GetTimes().GetP90().AsDuration() < lodged.GetTimes().GetP50().AsDuration() {
		t.Errorf("the report is %v", got)
	}
	stalled, standing := lodged.GetStalledSince().AsTime(), lodged.GetStandingSince().AsTime()
	if p90 := lodged.GetTimes().GetP90().AsDuration(); !stalled.Equal(standing.Add(p90)) {
		t.Errorf("it stands since %s and is stalled since %s, with a p90 of %s", standing, stalled, p90)
	}
	// The times are those of the channel's events in the store, whenever they came.
	var submitted, handled time.Time
	for _, e := range w.read("contact-c1") {
		if r, ok := e.Message.(*channelv1.RequestSubmitted); ok && r.GetRequestId() == "r2" {
			submitted = e.Created
		}
		if _, ok := e.Message.(*channelv1.RequestHandledInPart); ok {
			handled = e.Created
		}
	}
	if took := lodged.GetPassages()[0].GetTimes().GetP50().AsDuration(); took != handled.Sub(submitted) {
		t.Errorf("it took %s until the channel had handled it in part, told %s", handled.Sub(submitted), took)
	}
	var fresh []string
	for _, f := range response.GetFreshness() {
		fresh = append(fresh, f.GetFlow())
	}
	want := []string{"own-sales", "customer-requests", "outbound-leads", "dispatch-results", "lead-responses"}
	if diff := cmp.Diff(want, fresh); diff != "" || response.GetAsOf() == nil {
		t.Errorf("as of %v; it rests on (-want +got):\n%s", response.GetAsOf(), diff)
	}
}

// SA-2: leads and the sales that they lead to, with the steps that campaigns and
// channels take.
func TestTheReportTellsWhereLeadsAndSalesStandSA2(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	w.issue(mailing("l1", 3), mailing("l2", 2), mailing("l3", 1))
	w.awaitProcess("lead", map[string][2]uint64{"issued": {3, 0}, "accepted": {3, 3}})
	w.grant("a", 2)
	w.awaitProcess("lead", map[string][2]uint64{"issued": {3, 0}, "accepted": {3, 1}, "dispatched": {2, 2}})
	w.tell(flows.Channel, "message-1", &channelv1.MessageSent{MessageId: "m1", LeadId: "l1"})
	w.tell(flows.Channel, "message-2", &channelv1.MessageRefused{MessageId: "m2", LeadId: "l2", Reason: "no address"})
	w.awaitProcess("lead", map[string][2]uint64{"issued": {3, 0}, "accepted": {3, 1}, "dispatched": {2, 0}, "sent": {1, 1}, "failed": {1, 1}})
	w.tell(flows.Marketing, "lead-response-l1", &marketingv1.LeadResponseRecorded{LeadId: "l1", Answer: journeyv1.Answer_ANSWER_ACCEPTED})
	w.awaitProcess("sale", map[string][2]uint64{"agreed": {1, 1}})
	for _, request := range []*salesv1.PlaceOrderRequest{
		{CustomerNumber: "N1", OrderNumber: "o1", OrderedOn: "2026-11-21", Quantity: 1, LeadId: "l1"},
		{CustomerNumber: "N1", OrderNumber: "o2", OrderedOn: "2026-11-21", Quantity: 1},
	} {
		_, err := w.client.PlaceOrder(w.key(request.GetOrderNumber()), request)
		w.must(err)
	}
	sale := w.awaitProcess("sale", map[string][2]uint64{"agreed": {1, 0}, "closed": {2, 2}})
	if sale.GetInstances() != 2 || sale.GetSteps()[0].GetTimes().GetCount() != 1 {
		t.Errorf("sales go %v", sale)
	}
}

// SA-2: over REST, all processes at once; one that there is none of is refused.
func TestTheReportOverRESTSA2(t *testing.T) {
	w := newWorld(t).start()
	get := func(path string) (int, string) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.rest+path, nil)
		w.must(err)
		response, err := http.DefaultClient.Do(request)
		w.must(err)
		defer func() { w.must(response.Body.Close()) }()
		text, err := io.ReadAll(response.Body)
		w.must(err)
		return response.StatusCode, string(text)
	}
	status, body := get("/v1/processes")
	for _, want := range []string{`"quote"`, `"service"`, `"complaint"`, `"lead"`, `"sale"`, `"asOf"`, `"freshness"`} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d, without %s: %s", status, want, body)
		}
	}
	if status, body := get("/v1/processes/complaint"); status != http.StatusOK || strings.Contains(body, `"quote"`) {
		t.Errorf("%d: %s", status, body)
	}
	if status, body := get("/v1/processes/nonsense"); status != http.StatusNotFound {
		t.Errorf("%d: %s", status, body)
	}
	_, err := w.client.GetProcesses(t.Context(), &salesv1.GetProcessesRequest{Process: "nonsense"})
	wantCode(t, err, codes.NotFound)
}
