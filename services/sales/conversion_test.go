package sales_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// agree plays a customer who says yes to a lead in a contact of a channel.
func (w *world) agree(lead, contact string, channel journeyv1.Channel) {
	w.t.Helper()
	w.tell(flows.Marketing, "lead-response-"+lead, &marketingv1.LeadResponseRecorded{
		LeadId: lead, ContactId: contact, CustomerId: "customer of " + lead, Channel: channel, Answer: journeyv1.Answer_ANSWER_ACCEPTED,
	})
}

// ask plays a customer who asks something in a contact, which is handled straight
// through.
func (w *world) ask(id, contact string, kind journeyv1.RequestKind) {
	w.t.Helper()
	w.tell(flows.Channel, "contact-"+contact,
		&channelv1.RequestSubmitted{RequestId: id, ContactId: contact, CustomerId: "customer of l1", Kind: kind, SubmittedAt: timestamppb.New(time.Unix(1_700_000_000, 0))},
		&channelv1.RequestHandled{RequestId: id, ContactId: contact, Reference: "B-1"})
}

// buy places an order in a contact, or of a lead, or both.
func (w *world) buy(number, contact, lead string) string {
	w.t.Helper()
	response, err := w.client.PlaceOrder(w.key("buy "+number), &salesv1.PlaceOrderRequest{
		CustomerNumber: "N1", OrderNumber: number, OrderedOn: "2026-11-21", Quantity: 1, AmountCents: 4200, ContactId: contact, LeadId: lead,
	})
	w.must(err)
	return response.GetOrderId()
}

// cameOf returns what came of a lead, by its transactions' ids.
func (w *world) cameOf(lead string) (ids []string) {
	for _, t := range w.lead(lead).GetTransactions() {
		ids = append(ids, t.GetOrderId()+t.GetRequestId())
	}
	return ids
}

func (w *world) awaitCameOf(lead string, want ...string) {
	w.t.Helper()
	w.await(fmt.Sprint(want, " came of ", lead), func() bool { return cmp.Equal(want, w.cameOf(lead)) })
}

// LM-1: a lead that was sent by e-mail is answered by phone; the quote that was
// asked for in that contact is finished, and an order follows. The lead shows both,
// whichever was known first.
func TestALeadIsFollowedToItsTransactionsLM1(t *testing.T) {
	for name, agreeFirst := range map[string]bool{"the yes comes first": true, "the request is finished first": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).start().withLeadsInRealTime()
			w.issue(mailing("l1", 1))
			w.awaitTypes("lead-l1", "LeadAccepted")
			ask := func() {
				w.ask("r1", "phone", journeyv1.RequestKind_REQUEST_KIND_QUOTE)
				w.awaitTypes("conversion-phone", append(w.types("conversion-phone"), "ContactTransacted")...)
			}
			if !agreeFirst {
				ask()
			}
			w.agree("l1", "phone", callCentre)
			w.await("the yes is linked", func() bool { return w.lead("l1").GetStatus() == salesv1.LeadStatus_LEAD_STATUS_CONVERTED })
			if agreeFirst {
				w.await("the contact knows of it", func() bool { return len(w.types("conversion-phone")) == 1 })
				ask()
			}
			w.awaitCameOf("l1", "r1")
			order := w.buy("o1", "phone", "")
			w.awaitCameOf("l1", "r1", order)
			shown := w.lead("l1")
			if shown.GetDetail() != "accepted, through call centre" || shown.GetTransactions()[1].GetAmountCents() != 4200 {
				t.Errorf("the lead is %v", shown)
			}
			w.await("the list shows the same", func() bool {
				list, err := w.client.ListLeads(t.Context(), &salesv1.ListLeadsRequest{})
				w.must(err)
				return cmp.Equal([]*salesv1.Lead{shown}, list.GetLeads(), protocmp.Transform())
			})
			// The report knows one sale for the request, and one for the order.
			w.awaitProcess("sale", map[string][2]uint64{"agreed": {1, 0}, "closed": {2, 2}})
		})
	}
}

// LM-1: an order that names its lead converts it, whoever heard of a yes; a further
// contact in which the customer says yes counts as well. What was asked elsewhere,
// and a complaint, did not come of the lead.
func TestOnlyWhatCameOfALeadIsLinkedLM1(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	w.issue(mailing("l1", 2), mailing("l2", 1))
	w.awaitTypes("lead-l2", "LeadAccepted")
	first := w.buy("o1", "", "l1")
	w.awaitCameOf("l1", first)
	if got := w.lead("l1"); got.GetStatus() != salesv1.LeadStatus_LEAD_STATUS_CONVERTED {
		t.Errorf("the lead is %v", got)
	}
	w.agree("l1", "branch", journeyv1.Channel_CHANNEL_BRANCH)
	w.awaitTypes("conversion-branch", "ContactAgreed")
	w.ask("r1", "elsewhere", journeyv1.RequestKind_REQUEST_KIND_SERVICE)
	w.ask("r2", "branch", journeyv1.RequestKind_REQUEST_KIND_COMPLAINT)
	w.buy("o2", "", "")
	w.ask("r3", "branch", journeyv1.RequestKind_REQUEST_KIND_SERVICE)
	w.awaitCameOf("l1", first, "r3")
	second := w.buy("o3", "branch", "l1") // it names the lead, and is in its contact: it came of it once
	w.awaitCameOf("l1", first, "r3", second)
	w.awaitTypes("conversion-elsewhere", "ContactTransacted")
	if got := w.cameOf("l2"); len(got) > 0 {
		t.Errorf("%q came of a lead that nobody answered", got)
	}
}

// LM-1: a service that dies between what it has to write links each transaction once
// all the same.
func TestALinkThatDiedHalfwayIsCompletedOnceLM1(t *testing.T) {
	for name, stream := range map[string]string{"before the contact knows": "conversion-phone", "after the contact knows": "lead-l1"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).start().withLeadsInRealTime()
			w.issue(mailing("l1", 1))
			w.awaitTypes("lead-l1", "LeadAccepted")
			w.agree("l1", "phone", callCentre)
			w.awaitTypes("conversion-phone", "ContactAgreed")
			fault := func(appended string) error {
				if appended == stream {
					return fmt.Errorf("the store refuses %s", stream)
				}
				return nil
			}
			w.refuse.Store(&fault)
			order := w.buy("o1", "phone", "")
			w.await("readiness shows it", func() bool { ok, _ := w.ready(); return !ok })
			w.stop()
			w.refuse.Store(nil)
			w.start()
			w.awaitCameOf("l1", order)
			w.awaitTypes("conversion-phone", "ContactAgreed", "ContactTransacted")
		})
	}
}

func TestAnOrderOfALeadThatNobodyKnowsIsRefusedLM1(t *testing.T) {
	w := newWorld(t).start()
	request := &salesv1.PlaceOrderRequest{CustomerNumber: "N1", OrderNumber: "o1", OrderedOn: "2026-11-21", Quantity: 1, LeadId: "nonsense"}
	_, err := w.client.PlaceOrder(w.key("a"), request)
	wantCode(t, err, codes.FailedPrecondition)
	if got := len(w.everything("sales.OrderPlaced", "sales.CustomerRegistered", "sales.IdentityReserved")); got != 0 {
		t.Errorf("%d events of an order that was refused", got)
	}
}
