package sales_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// The whole of sales over a real store that goes away in the middle, as a
// service that goes away does too.
func TestSalesOverAStoreThatIsRestarted(t *testing.T) {
	if testing.Short() {
		t.Skip("an outage takes its time: clients come back with back-off")
	}
	w, store := newStoreWorld(t)
	office := newBackOffice(t)
	w.backOffice = office.URL
	w.start().withLeadsInRealTime()

	w.tell(flows.Channel, "contact-c1", &channelv1.IdentityClaimed{ContactId: "c1", Email: "ann@example.org", GivenName: "Ann"})
	w.awaitTypes("registration-c1", "ContactRegistered")
	registered, ok := w.read("registration-c1")[0].Message.(*salesv1.ContactRegistered)
	if !ok {
		t.Fatal("the contact is not registered")
	}
	customer := registered.GetCustomerId()
	w.submit("r1", customer)
	store.Kill()
	store.Restart()
	w.handledInPart("r1")
	w.awaitTypes("request-r1", "RequestOpened", "RequestStatusChanged", "RequestStatusChanged", "RequestStatusChanged")

	w.stop()
	w.issue(mailing("l1", 1), mailing("l2", 2))
	w.grant("a", 1)
	store.Restart()
	w.start()
	w.awaitTypes("lead-l2", "LeadAccepted", "DispatchOrdered")
	w.tell(flows.Channel, "message-2", &channelv1.MessageSent{LeadId: "l2"})
	// The answer comes over another flow: before the sending it would leave the
	// sending nothing to tell.
	w.awaitTypes("lead-l2", "LeadAccepted", "DispatchOrdered", "LeadStatusChanged")
	w.tell(flows.Marketing, "lead-response-l2", &marketingv1.LeadResponseRecorded{LeadId: "l2", Answer: journeyv1.Answer_ANSWER_ACCEPTED})
	w.awaitTypes("lead-l2", "LeadAccepted", "DispatchOrdered", "LeadStatusChanged", "LeadStatusChanged")

	store.Stop()
	if _, err := w.client.GetTotals(t.Context(), &salesv1.GetTotalsRequest{}); err == nil {
		t.Error("the totals claim to be current while the store is away")
	}
	if _, err := w.client.ListLeads(t.Context(), &salesv1.ListLeadsRequest{}); err != nil {
		t.Errorf("the tables can't be read while the store is away: %v", err)
	}
	store.Restart()
	_, err := w.client.ResolveRequest(w.key("resolve"), &salesv1.ResolveRequestRequest{RequestId: "r1"})
	w.must(err)
	// That the back office has the request shows in no view.
	const view, none = "CustomerViewChanged", "NothingDecided"
	w.awaitTypes("view-"+customer, view, view, view, none, view)
	if last, ok := w.read("view-" + customer)[4].Message.(*salesv1.CustomerViewChanged); !ok || len(last.GetOpenRequests()) > 0 {
		t.Errorf("the last view shows open requests: %v", last)
	}
	if got := w.types("lead-l1"); !slices.Equal(got, []string{"LeadAccepted"}) {
		t.Errorf("the lead that did not fit has %q", got)
	}
}

// imported is what an import of the sample data sends: 500 persons and 6,919
// orders, in the order in which files have them, 16 calls in flight.
type imported struct{ persons, orders, customers int }

var sample = imported{persons: 500, orders: 6919, customers: 2357}

func (w *world) run(sample imported) {
	w.t.Helper()
	const inFlight = 16
	var persons, orders errgroup.Group
	persons.SetLimit(inFlight)
	for i := range sample.persons {
		number := "febrl-" + strconv.Itoa(i)
		persons.Go(func() error {
			_, err := w.client.RegisterCustomer(w.key("person "+number), &salesv1.RegisterCustomerRequest{
				CustomerNumber: number, Source: "febrl",
				Person: &journeyv1.Person{GivenName: "Given " + number, Surname: "Surname", SocialSecurityId: number, Address: ann.GetAddress()},
			})
			return err
		})
	}
	w.must(persons.Wait())
	orders.SetLimit(inFlight)
	chance := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // it is only to spread the orders
	bought := make([]int, sample.orders)
	for i := range bought {
		bought[i] = chance.IntN(sample.customers)
	}
	slices.Sort(bought) // the file lists a customer's orders together
	for i, customer := range bought {
		number, order := "cdnow-"+strconv.Itoa(customer), strconv.Itoa(i)
		orders.Go(func() error {
			_, err := w.client.PlaceOrder(w.key("order "+order), &salesv1.PlaceOrderRequest{
				CustomerNumber: number, OrderNumber: order, OrderedOn: "1997-01-01", Quantity: 1, AmountCents: 100, Source: "cdnow",
			})
			return err
		})
	}
	w.must(orders.Wait())
}

func (w *world) awaitTotals(sample imported) {
	w.t.Helper()
	done := time.Now()
	look := time.NewTicker(100 * time.Millisecond) // as a caller would: each look reads the store's end
	defer look.Stop()
	for range look.C {
		totals, err := w.client.GetTotals(w.t.Context(), &salesv1.GetTotalsRequest{})
		w.must(err)
		if !totals.GetAsOf().AsTime().Before(done) {
			if totals.GetOrders() != uint64(sample.orders) {
				w.t.Fatalf("there are %d orders by now, want %d", totals.GetOrders(), sample.orders)
			}
			return
		}
		if time.Since(done) > 10*patience {
			w.t.Fatal("waited in vain for the totals of the import")
		}
	}
}

func TestAnImportOverTheStoreTwice(t *testing.T) {
	w, _ := newStoreWorld(t)
	w.start()
	small := imported{persons: 20, orders: 300, customers: 60}
	for range 2 {
		w.run(small)
		w.awaitTotals(small)
	}
	if got := w.count("customer", "source = 'febrl'"); got != small.persons {
		t.Errorf("%d persons, want %d", got, small.persons)
	}
	if got := len(w.everything("sales.OrderPlaced")); got != small.orders {
		t.Errorf("%d orders, want %d", got, small.orders)
	}
}

func BenchmarkImport(b *testing.B) {
	for b.Loop() {
		w, _ := newStoreWorld(b)
		w.start()
		begun := time.Now()
		w.run(sample)
		b.Logf("calls %s", time.Since(begun))
		w.awaitTotals(sample)
		b.Logf("tables %s", time.Since(begun))
		w.stop()
	}
}
