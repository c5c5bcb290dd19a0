package sales_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// submit plays a visitor who asks something in contact c1.
func (w *world) submit(id, customer string) {
	w.t.Helper()
	w.tell(flows.Channel, "contact-c1", &channelv1.RequestSubmitted{
		RequestId: id, ContactId: "c1", CustomerId: customer, Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT,
		Text: "It broke.", SubmittedAt: timestamppb.New(time.Unix(1_700_000_000, 0)),
	})
}

func (w *world) handledInPart(id string) {
	w.t.Helper()
	w.tell(flows.Channel, "contact-c1", &channelv1.RequestHandledInPart{RequestId: id, ContactId: "c1", Reason: "the back office was slow"})
}

func (w *world) request(id string) *salesv1.Request {
	w.t.Helper()
	response, err := w.client.GetRequest(w.t.Context(), &salesv1.GetRequestRequest{RequestId: id})
	w.must(err)
	if len(response.GetFreshness()) != 1 {
		w.t.Errorf("freshness %v", response.GetFreshness())
	}
	return response.GetRequest()
}

func TestARequestThatWasHandledStraightThroughIsDone(t *testing.T) {
	w := newWorld(t).start()
	customer := w.register("N1", ann).GetCustomerId()
	w.submit("r1", customer)
	w.tell(flows.Channel, "contact-c1", &channelv1.RequestHandled{RequestId: "r1", ContactId: "c1", Reference: "B-7"})
	w.awaitTypes("request-r1", "RequestOpened", "RequestStatusChanged", "RequestStatusChanged")
	want := &salesv1.Request{
		RequestId: "r1", CustomerId: customer, ContactId: "c1", Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT,
		Status: journeyv1.RequestStatus_REQUEST_STATUS_DONE, Detail: "B-7", Text: "It broke.",
	}
	if diff := cmp.Diff(want, w.request("r1"), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	w.awaitTypes("view-"+customer, "CustomerViewChanged", "CustomerViewChanged", "CustomerViewChanged")
	shown := []int{}
	for _, e := range w.read("view-" + customer) {
		if view, ok := e.Message.(*salesv1.CustomerViewChanged); ok {
			shown = append(shown, len(view.GetOpenRequests()))
		}
	}
	if diff := cmp.Diff([]int{0, 1, 0}, shown); diff != "" {
		t.Errorf("open requests in the views (-want +got):\n%s", diff)
	}
}

// The back office is asked within the trace of the event that asks for it: it gets the
// trace of the try itself.
func TestTheBackOfficeIsAskedInTheTraceOfTheRequest(t *testing.T) {
	seen := tracetest.NewInMemoryExporter()
	office := newBackOffice(t)
	office.say(http.StatusOK, `{"status":"done","reference":"B-1"}`)
	w := newWorld(t)
	w.backOffice = office.URL
	w.streams.Tracer = tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen)))
	w.start()
	w.submit("r1", "customer")
	w.handledInPart("r1")
	w.await("the request is done", func() bool { return len(w.read("request-r1")) == 4 })
	var asked tracetest.SpanStub
	for _, s := range seen.GetSpans() {
		if s.Name == "ask back office" {
			asked = s
		}
	}
	sc := asked.SpanContext
	if asked.SpanKind != trace.SpanKindClient || asked.Parent.TraceID().String() != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("the back office is asked in a %s span beneath %s", asked.SpanKind, asked.Parent.TraceID())
	}
	if got, want := office.requests()[0]["traceparent"], fmt.Sprintf("00-%s-%s-01", sc.TraceID(), sc.SpanID()); got != want {
		t.Errorf("the back office gets %s, want %s", got, want)
	}
}

func TestTheBackOfficeIsDrivenUntilItAnswers(t *testing.T) {
	office := newBackOffice(t)
	office.say(http.StatusServiceUnavailable, `{}`)
	w := newWorld(t)
	w.backOffice = office.URL
	w.start()
	w.submit("r1", "customer")
	w.handledInPart("r1")
	w.await("the back office is asked", func() bool { return len(office.requests()) > 0 })
	w.await("readiness shows that the back office refuses", func() bool {
		ok, body := w.ready()
		return !ok && strings.Contains(body, "back office")
	})
	office.say(http.StatusAccepted, `{"status":"pending","reference":"B-1"}`)
	w.awaitTypes("request-r1", "RequestOpened", "RequestStatusChanged", "RequestStatusChanged", "RequestStatusChanged")
	if got := w.request("r1"); got.GetStatus() != journeyv1.RequestStatus_REQUEST_STATUS_IN_PROGRESS || got.GetDetail() != "B-1" {
		t.Errorf("the request is %v", got)
	}
	w.await("the table shows that the back office has it", func() bool { return w.count("request", "with_back_office = 1") == 1 })
	w.await("readiness is back", func() bool { ok, _ := w.ready(); return ok })
	last := office.requests()[len(office.requests())-1]
	if last["key"] != "r1" || last["request_id"] != "r1" || last["kind"] != "complaint" || last["text"] != "It broke." {
		t.Errorf("the back office was asked %v", last)
	}
	if !strings.HasPrefix(last["traceparent"], "00-4bf92f3577b34da6a3ce929d0e0e4736-") {
		t.Errorf("the back office is in trace %s", last["traceparent"])
	}
	asked := len(office.requests())
	w.stop()
	w.start()
	w.submit("r2", "customer")
	office.say(http.StatusOK, `{"status":"done","reference":"B-2"}`)
	w.handledInPart("r2")
	w.await("the second request is done", func() bool {
		return len(w.read("request-r2")) == 4 && w.request("r2").GetStatus() == journeyv1.RequestStatus_REQUEST_STATUS_DONE
	})
	if got := len(office.requests()); got != asked+1 {
		t.Errorf("the back office was asked %d times for one more request", got-asked)
	}
}

func TestARefusedRequestDoesNotKeepOthersWaiting(t *testing.T) {
	office := newBackOffice(t)
	office.say(http.StatusBadRequest, `{}`)
	w := newWorld(t)
	w.backOffice = office.URL
	w.start()
	w.submit("r1", "customer")
	w.handledInPart("r1")
	w.await("the back office refuses", func() bool { return len(office.requests()) == 1 })
	office.say(http.StatusOK, `{"status":"done","reference":"B-2"}`)
	w.submit("r2", "customer")
	w.handledInPart("r2")
	w.await("both are done in the end", func() bool {
		return w.count("request", "status = ?", int32(journeyv1.RequestStatus_REQUEST_STATUS_DONE)) == 2
	})
}

func TestARequestThatCanNotBeReadIsPutAside(t *testing.T) {
	office := newBackOffice(t)
	office.say(http.StatusServiceUnavailable, `{}`)
	w := newWorld(t)
	w.backOffice = office.URL
	w.start()
	w.submit("r1", "customer")
	w.handledInPart("r1")
	w.await("the back office refuses", func() bool { return len(office.requests()) > 0 })
	foreign := eventlog.NewEvent{ID: uuid.New(), Type: "sales.RequestStatusChanged", Data: []byte(`{"request_id":`)}
	_, err := w.log.Append(t.Context(), "request-r1", eventlog.Any, foreign)
	w.must(err)
	office.say(http.StatusOK, `{"status":"done","reference":"B-2"}`)
	w.submit("r2", "customer")
	w.handledInPart("r2")
	w.await("the other one is done", func() bool {
		return w.count("request", "request_id = 'r2' AND with_back_office = 0 AND status = ?", int32(journeyv1.RequestStatus_REQUEST_STATUS_DONE)) == 1
	})
	w.await("it is in the poison queue", func() bool {
		for event, err := range w.log.ReadStream(t.Context(), "watermill-poison-back-office", eventlog.Forward, 0, 0) {
			return err == nil && strings.Contains(string(event.Metadata), `"piece":"r1"`)
		}
		return false
	})
	w.await("readiness tells of it", func() bool {
		ok, body := w.ready()
		return !ok && strings.Contains(body, "back office")
	})
}

func TestResolvingIsOnceAndForAll(t *testing.T) {
	w := newWorld(t).start()
	w.submit("r1", "customer")
	w.handledInPart("r1")
	w.awaitTypes("request-r1", "RequestOpened", "RequestStatusChanged", "RequestStatusChanged")
	for _, key := range []string{"a", "a", "b"} {
		response, err := w.client.ResolveRequest(w.key(key), &salesv1.ResolveRequestRequest{RequestId: "r1", Detail: "mended"})
		w.must(err)
		if response.GetStatus() != journeyv1.RequestStatus_REQUEST_STATUS_DONE {
			t.Errorf("resolved to %s", response.GetStatus())
		}
	}
	if got := len(w.read("request-r1")); got != 4 {
		t.Errorf("%d events, want 4", got)
	}
	_, err := w.client.ResolveRequest(w.key("c"), &salesv1.ResolveRequestRequest{RequestId: "r9"})
	wantCode(t, err, codes.NotFound)
	_, err = w.client.GetRequest(t.Context(), &salesv1.GetRequestRequest{RequestId: "r9"})
	wantCode(t, err, codes.NotFound)
	w.submit("r2", "customer")
	w.await("both are listed", func() bool { return w.count("request", "customer_id = 'customer'") == 2 })
	list, err := w.client.ListRequests(t.Context(), &salesv1.ListRequestsRequest{CustomerId: "customer"})
	w.must(err)
	if got := list.GetRequests(); len(got) != 2 || got[0].GetRequestId() != "r2" || got[1].GetDetail() != "mended" {
		t.Errorf("listed %v", got)
	}
}

func TestAStepOfARequestThatNobodyKnowsIsParked(t *testing.T) {
	w := newWorld(t).start()
	w.handledInPart("r1")
	w.submit("r2", "customer")
	w.awaitTypes("request-r2", "RequestOpened", "RequestStatusChanged")
	w.await("the step is parked", func() bool { return w.count("flow_parked", "key = 'r1'") == 1 })
}

func TestOfAnErasedCustomerARequestKeepsNoWords(t *testing.T) {
	w := newWorld(t).start()
	id := w.register("N1", ann).GetCustomerId()
	w.must(w.ring.Destroy(t.Context(), sealedFor(w, "customer-"+id), keyring.Erasure{By: "test", Reason: "asked for"}))
	w.submit("r1", id)
	w.awaitTypes("request-r1", "RequestOpened", "RequestStatusChanged")
	if got := w.request("r1"); got.GetText() != "" || got.GetKind() != journeyv1.RequestKind_REQUEST_KIND_COMPLAINT {
		t.Errorf("the request is %v", got)
	}
}

// ready asks the service whether it is ready.
func (w *world) ready() (ok bool, body string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.rest+"/readyz", nil)
	w.must(err)
	response, err := http.DefaultClient.Do(request)
	w.must(err)
	defer func() { w.must(response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	w.must(err)
	return response.StatusCode == http.StatusOK, string(text)
}
