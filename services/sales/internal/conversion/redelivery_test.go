package conversion

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// LM-1: causes that come again, when the contact has come to more since, link what
// they linked at first, and write nothing.
func TestACauseThatComesAgainLinksWhatItLinkedAtFirstLM1(t *testing.T) {
	log := memory.New(memory.Options{})
	defer func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}()
	c, err := codec.New(keyring.Memory())
	if err != nil {
		t.Fatal(err)
	}
	streams := &decider.Streams{Log: log, Codec: c}
	reaction := Consumer(streams).Reactions[0]
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	finished := func(request string) proto.Message {
		return &salesv1.RequestStatusChanged{
			RequestId: request, ContactId: "k1", Kind: journeyv1.RequestKind_REQUEST_KIND_QUOTE,
			Status: journeyv1.RequestStatus_REQUEST_STATUS_DONE, HappenedAt: timestamppb.New(at),
		}
	}
	causes := []proto.Message{
		finished("r1"), &salesv1.LeadAgreed{LeadId: "l1", ContactId: "k1"}, finished("r2"),
		&salesv1.OrderPlaced{OrderId: "o1", LeadId: "l2"}, &salesv1.LeadAgreed{LeadId: "l2", ContactId: "k1"},
		&salesv1.OrderPlaced{OrderId: "o2", ContactId: "k1", LeadId: "l2"},
	}
	answer := func() {
		t.Helper()
		for i, m := range causes {
			event := codec.Event{Message: m, Event: eventlog.Event{NewEvent: eventlog.NewEvent{ID: uuid.NewSHA1(uuid.Nil, []byte{byte(i)})}, Created: at}}
			cause := flow.Cause{Event: event, Origin: decider.CauseOrigin(flows.Sales, reaction.Name, event, at)}
			if !reaction.Takes(event) {
				t.Fatalf("%v is not taken", m)
			}
			if err := reaction.Answer(t.Context(), nil, cause); err != nil {
				t.Fatal(err)
			}
		}
	}
	written := func() (all []string) {
		for raw, err := range log.ReadAll(t.Context(), eventlog.Forward, &eventlog.Position{}, 0) {
			if err != nil {
				t.Fatal(err)
			}
			e, err := c.Decode(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			if m, ok := e.Message.(*salesv1.LeadTransacted); ok {
				all = append(all, m.GetLeadId()+" "+m.GetTransaction().GetOrderId()+m.GetTransaction().GetRequestId())
			} else {
				all = append(all, e.Type)
			}
		}
		return all
	}
	answer()
	want := []string{
		"sales.ContactTransacted",
		"sales.ContactAgreed", "sales.LeadStatusChanged", "l1 r1",
		"sales.ContactTransacted", "l1 r2",
		"sales.LeadStatusChanged", "l2 o1",
		"sales.ContactAgreed", "l2 r1", "l2 r2",
		"sales.ContactTransacted", "l1 o2", "l2 o2",
	}
	if diff := cmp.Diff(want, written()); diff != "" {
		t.Fatalf("written (-want +got):\n%s", diff)
	}
	answer()
	if diff := cmp.Diff(want, written()); diff != "" {
		t.Errorf("written when all came again (-want +got):\n%s", diff)
	}
}
