package sales_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

var ann = &journeyv1.Person{
	GivenName: "Ann", Surname: "Smith", DateOfBirth: "1980-02-29", Email: "ann@example.org", Phone: "+31201234567",
	Address: &journeyv1.Address{Street: "Main Street", StreetNumber: "1", Suburb: "Springfield", Postcode: "1000"},
}

// register registers a person under a key that is the number's own.
func (w *world) register(number string, person *journeyv1.Person) *salesv1.RegisterCustomerResponse {
	w.t.Helper()
	response, err := w.client.RegisterCustomer(w.key("register "+number), &salesv1.RegisterCustomerRequest{
		CustomerNumber: number, Person: person, Source: "import",
	})
	w.must(err)
	return response
}

func (w *world) customer(id string) *salesv1.Customer {
	w.t.Helper()
	response, err := w.client.GetCustomer(w.t.Context(), &salesv1.GetCustomerRequest{By: &salesv1.GetCustomerRequest_CustomerId{CustomerId: id}})
	w.must(err)
	return response.GetCustomer()
}

func (w *world) order(number, order string, cents int64) (*salesv1.PlaceOrderResponse, error) {
	return w.client.PlaceOrder(w.key("order "+number+" "+order), &salesv1.PlaceOrderRequest{
		CustomerNumber: number, OrderNumber: order, OrderedOn: "2026-11-21", Quantity: 2, AmountCents: cents, Source: "shop",
	})
}

func TestACustomerIsRegisteredOnceWhoeverAsks(t *testing.T) {
	w := newWorld(t).start()
	first := w.register("N1", ann)
	again := w.register("N1", ann)
	if diff := cmp.Diff(first, again, protocmp.Transform()); diff != "" || first.GetIdentification() != salesv1.Identification_IDENTIFICATION_NEW {
		t.Errorf("the same call got another answer:\n%s", diff)
	}
	other, err := w.client.RegisterCustomer(w.key("another key"), &salesv1.RegisterCustomerRequest{CustomerNumber: " N1 "})
	w.must(err)
	if other.GetCustomerId() != first.GetCustomerId() || other.GetIdentification() != salesv1.Identification_IDENTIFICATION_KNOWN {
		t.Errorf("another call for the number got %v", other)
	}
	byMail, err := w.client.RegisterCustomer(w.key("by mail"), &salesv1.RegisterCustomerRequest{
		Person: &journeyv1.Person{GivenName: "A.", Email: " ANN@example.org "},
	})
	w.must(err)
	if byMail.GetCustomerId() != first.GetCustomerId() {
		t.Errorf("her e-mail address leads to %s, not to her", byMail.GetCustomerId())
	}
	want := &salesv1.Customer{CustomerId: first.GetCustomerId(), CustomerNumber: "N1", Person: ann, Source: "import"}
	if diff := cmp.Diff(want, w.customer(first.GetCustomerId()), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if got := len(w.everything("sales.CustomerRegistered")); got != 1 {
		t.Errorf("%d registrations, want 1", got)
	}
}

func TestAPersonOfWhomNothingUniqueIsKnownIsANewCustomerPerCall(t *testing.T) {
	w := newWorld(t).start()
	register := func(key string) string {
		response, err := w.client.RegisterCustomer(w.key(key), &salesv1.RegisterCustomerRequest{Person: &journeyv1.Person{Surname: "Smith"}})
		w.must(err)
		return response.GetCustomerId()
	}
	if a, b := register("a"), register("a"); a != b {
		t.Error("a retry made another customer")
	}
	if register("a") == register("b") {
		t.Error("two Smiths are one")
	}
}

func TestTheSameNumberOfAnotherPersonsPhoneMakesTwoCustomersAndAConflict(t *testing.T) {
	w := newWorld(t).start()
	first := w.register("N1", ann)
	bob := &journeyv1.Person{GivenName: "Bob", Phone: "+31 20 123 45 67", Email: "bob@example.org"}
	second := w.register("N2", bob)
	if first.GetCustomerId() == second.GetCustomerId() {
		t.Fatal("two numbers are one customer")
	}
	conflicts := w.everything("sales.IdentityConflictFound")
	if len(conflicts) != 1 {
		t.Fatalf("%d conflicts, want 1", len(conflicts))
	}
	want := &salesv1.IdentityConflictFound{CustomerIds: []string{second.GetCustomerId(), first.GetCustomerId()}}
	if diff := cmp.Diff(want, conflicts[0].Message, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestManyWhoRegisterOnePersonAtOnceMakeOneCustomer(t *testing.T) {
	w := newWorld(t).start()
	const many = 40
	ids := make([]string, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			if i%2 == 0 {
				response, err := w.client.RegisterCustomer(w.key(fmt.Sprint("key ", i)), &salesv1.RegisterCustomerRequest{CustomerNumber: "N1", Person: ann})
				if err != nil {
					t.Error(err)
				}
				ids[i] = response.GetCustomerId()
				return
			}
			contact := fmt.Sprint("c", i)
			w.tell(flows.Channel, "contact-"+contact, &channelv1.IdentityClaimed{ContactId: contact, CustomerNumber: "N1", Email: "ann@example.org", Phone: "+31201234567"})
		})
	}
	wg.Wait()
	w.await("every contact is registered", func() bool { return len(w.everything("sales.ContactRegistered")) == many/2 })
	for _, e := range w.everything("sales.ContactRegistered") {
		if m, ok := e.Message.(*salesv1.ContactRegistered); ok {
			ids = append(ids, m.GetCustomerId())
		}
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == "" })
	slices.Sort(ids)
	if got := slices.Compact(ids); len(got) != 1 {
		t.Errorf("one person is %d customers", len(got))
	}
	if got := len(w.everything("sales.CustomerRegistered")); got != 1 {
		t.Errorf("%d registrations, want 1", got)
	}
	if got := len(w.everything("sales.IdentityReserved")); got != 3 {
		t.Errorf("%d reservations, want 3", got)
	}
}

// A process may die before any append of a registration, and the answer of any
// may get lost: a retry completes what was begun, a lost answer is looked up.
func TestARegistrationSurvivesAnyStep(t *testing.T) {
	request := &salesv1.RegisterCustomerRequest{CustomerNumber: "N1", Person: ann}
	for step := range 4 {
		for name, lost := range map[string]bool{"refused": false, "lost": true} {
			t.Run(fmt.Sprintf("append %d is %s", step+1, name), func(t *testing.T) {
				w := newWorld(t).start()
				fault := &w.refuse
				if lost {
					fault = &w.lose
				}
				fail(fault, errors.New("the connection breaks"), step)
				if _, err := w.client.RegisterCustomer(w.key("k"), request); (err == nil) != lost {
					t.Fatalf("the call ended with %v", err)
				}
				fault.Store(nil)
				w.stop()
				w.start()
				response, err := w.client.RegisterCustomer(w.key("k"), request)
				w.must(err)
				if response.GetIdentification() != salesv1.Identification_IDENTIFICATION_NEW {
					t.Errorf("the retry says %s", response.GetIdentification())
				}
				got := w.customer(response.GetCustomerId())
				if got.GetCustomerNumber() != "N1" || !proto.Equal(got.GetPerson(), ann) {
					t.Errorf("the customer is %v", got)
				}
				if n := len(w.everything("sales.IdentityReserved")); n != 3 {
					t.Errorf("%d reservations, want 3", n)
				}
				if n := len(w.everything("sales.CustomerRegistered")); n != 1 {
					t.Errorf("%d registrations, want 1", n)
				}
			})
		}
	}
}

// fail lets the appends of a registration pass up to a step, and fails from
// there on.
func fail(fault interface{ Store(*func(string) error) }, with error, step int) {
	var mu sync.Mutex
	seen := 0
	hook := func(stream string) error {
		if !strings.HasPrefix(stream, "identity-") && !strings.HasPrefix(stream, "customer-") {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if seen++; seen <= step {
			return nil
		}
		return with
	}
	fault.Store(&hook)
}

func TestAVisitorIsFoundOrBecomesACustomer(t *testing.T) {
	w := newWorld(t).start()
	known := w.register("N1", ann).GetCustomerId()
	w.tell(flows.Channel, "contact-c1", &channelv1.IdentityClaimed{ContactId: "c1", Email: "Ann@Example.org"})
	w.awaitTypes("registration-c1", "ContactRegistered")
	w.tell(flows.Channel, "contact-c2", &channelv1.IdentityClaimed{ContactId: "c2", Phone: "06 12 34 56 78", GivenName: "Bob"})
	w.awaitTypes("registration-c2", "ContactRegistered")

	want := &salesv1.ContactRegistered{ContactId: "c1", CustomerId: known, Identification: salesv1.Identification_IDENTIFICATION_KNOWN}
	answer := w.read("registration-c1")[0]
	if diff := cmp.Diff(want, answer.Message, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if answer.Metadata.CorrelationID != "call of contact-c1" || answer.Metadata.CausationID != w.read("contact-c1")[0].ID.String() {
		t.Errorf("the answer's metadata is %+v", answer.Metadata)
	}
	registered, ok := w.read("registration-c2")[0].Message.(*salesv1.ContactRegistered)
	if !ok || registered.GetIdentification() != salesv1.Identification_IDENTIFICATION_NEW {
		t.Fatalf("the unknown visitor got %v", registered)
	}
	got := w.customer(registered.GetCustomerId())
	wantCustomer := &salesv1.Customer{
		CustomerId: registered.GetCustomerId(), Source: "contact", Person: &journeyv1.Person{GivenName: "Bob", Phone: "0612345678"},
	}
	if diff := cmp.Diff(wantCustomer, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestAVisitorWhoMatchesTwoCustomersIsAConflict(t *testing.T) {
	w := newWorld(t).start()
	first := w.register("N1", &journeyv1.Person{Email: "one@example.org"}).GetCustomerId()
	second := w.register("N2", &journeyv1.Person{Phone: "0612345678"}).GetCustomerId()
	w.tell(flows.Channel, "contact-c1", &channelv1.IdentityClaimed{ContactId: "c1", Phone: "0612345678", Email: "one@example.org"})
	w.awaitTypes("registration-c1", "IdentityConflictFound", "ContactRegistered")
	want := &salesv1.IdentityConflictFound{ContactId: "c1", CustomerIds: []string{first, second}}
	if diff := cmp.Diff(want, w.read("registration-c1")[0].Message, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestOrdersCountOnceAndRegisterTheirCustomer(t *testing.T) {
	w := newWorld(t).start()
	placed, err := w.order("N1", "o1", 1250)
	w.must(err)
	again, err := w.order("N1", "o1", 1250)
	w.must(err)
	if !proto.Equal(placed, again) {
		t.Errorf("a retry got %v, not %v", again, placed)
	}
	otherKey, err := w.client.PlaceOrder(w.key("other"), &salesv1.PlaceOrderRequest{
		CustomerNumber: "N1", OrderNumber: "o1", OrderedOn: "2026-11-21", Quantity: 2, AmountCents: 1250, Source: "elsewhere",
	})
	w.must(err)
	if !proto.Equal(placed, otherKey) {
		t.Errorf("the same order under another key got %v", otherKey)
	}
	_, err = w.client.PlaceOrder(w.key("another"), &salesv1.PlaceOrderRequest{
		CustomerNumber: "N1", OrderNumber: "o1", OrderedOn: "2026-11-21", Quantity: 2, AmountCents: 9999,
	})
	wantCode(t, err, codes.AlreadyExists)
	_, err = w.client.PlaceOrder(w.key("order N1 o1"), &salesv1.PlaceOrderRequest{
		CustomerNumber: "N1", OrderNumber: "o2", OrderedOn: "2026-11-21", Quantity: 2, AmountCents: 1250,
	})
	wantCode(t, err, codes.FailedPrecondition)

	if got := w.customer(placed.GetCustomerId()); got.GetOrders() != 1 || got.GetSpentCents() != 1250 || got.GetSource() != "shop" {
		t.Errorf("the customer is %v", got)
	}
	w.register("N1", ann) // the person comes after the order
	if got := w.customer(placed.GetCustomerId()); !proto.Equal(got.GetPerson(), ann) || got.GetOrders() != 1 {
		t.Errorf("the customer is %v", got)
	}
	w.awaitTypes("view-"+placed.GetCustomerId(), "CustomerViewChanged", "CustomerViewChanged", "CustomerViewChanged")
	view, ok := w.read("view-" + placed.GetCustomerId())[2].Message.(*salesv1.CustomerViewChanged)
	if !ok || view.GetOrders() != 1 || view.GetSpentCents() != 1250 || view.GetPerson().GetSurname() != "Smith" {
		t.Errorf("the view is %v", view)
	}
}

func TestChangesReachTheViewAndTheIdentities(t *testing.T) {
	w := newWorld(t).start()
	id := w.register("N1", ann).GetCustomerId()
	moved, ok := proto.Clone(ann).(*journeyv1.Person)
	if !ok {
		t.Fatal("a clone is no person")
	}
	moved.Email, moved.Address.Street = "ann@new.example.org", "High Street"
	for range 2 {
		_, err := w.client.ChangeCustomer(w.key("move"), &salesv1.ChangeCustomerRequest{CustomerId: id, Person: moved})
		w.must(err)
		_, err = w.client.ChangeConsent(w.key("no"), &salesv1.ChangeConsentRequest{CustomerId: id, Consent: journeyv1.Consent_CONSENT_WITHDRAWN})
		w.must(err)
	}
	w.awaitTypes("view-"+id, "CustomerViewChanged", "CustomerViewChanged", "CustomerViewChanged")
	want := &salesv1.CustomerViewChanged{CustomerId: id, CustomerNumber: "N1", Person: moved, Consent: journeyv1.Consent_CONSENT_WITHDRAWN}
	if diff := cmp.Diff(want, w.read("view-" + id)[2].Message, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	for i, email := range []string{"ann@new.example.org", "ann@example.org"} {
		contact := fmt.Sprint("c", i)
		w.tell(flows.Channel, "contact-"+contact, &channelv1.IdentityClaimed{ContactId: contact, Email: email})
		w.awaitTypes("registration-"+contact, "ContactRegistered")
		if got, ok := w.read("registration-" + contact)[0].Message.(*salesv1.ContactRegistered); !ok || got.GetCustomerId() != id {
			t.Errorf("%s leads to %v", email, got)
		}
	}
	_, err := w.client.ChangeCustomer(w.key("x"), &salesv1.ChangeCustomerRequest{CustomerId: "nobody", Person: moved})
	wantCode(t, err, codes.NotFound)
	_, err = w.client.ChangeConsent(w.key("y"), &salesv1.ChangeConsentRequest{CustomerId: "nobody", Consent: journeyv1.Consent_CONSENT_GRANTED})
	wantCode(t, err, codes.NotFound)
	_, err = w.client.GetCustomer(t.Context(), &salesv1.GetCustomerRequest{By: &salesv1.GetCustomerRequest_CustomerNumber{CustomerNumber: "N9"}})
	wantCode(t, err, codes.NotFound)
	byNumber, err := w.client.GetCustomer(t.Context(), &salesv1.GetCustomerRequest{By: &salesv1.GetCustomerRequest_CustomerNumber{CustomerNumber: "N1"}})
	w.must(err)
	if byNumber.GetCustomer().GetCustomerId() != id || len(byNumber.GetFreshness()) != 1 {
		t.Errorf("by number: %v", byNumber)
	}
}

func TestAnErasedCustomerIsShownWithoutThePerson(t *testing.T) {
	w := newWorld(t).start()
	id := w.register("N1", ann).GetCustomerId()
	w.awaitTypes("view-"+id, "CustomerViewChanged")
	w.must(w.ring.Destroy(t.Context(), sealedFor(w, "customer-"+id), keyring.Erasure{By: "test", Reason: "asked for"}))
	got := w.customer(id)
	if got.GetPerson().GetSurname() != "" || got.GetCustomerNumber() != "N1" {
		t.Errorf("the erased customer is shown as %v", got)
	}
	_, err := w.client.ChangeCustomer(w.key("k"), &salesv1.ChangeCustomerRequest{CustomerId: id, Person: ann})
	wantCode(t, err, codes.FailedPrecondition)
	if _, err := w.order("N1", "o1", 100); err != nil {
		t.Errorf("an order, which has nothing personal: %v", err)
	}
	w.awaitTypes("view-"+id, "CustomerViewChanged", "CustomerViewChanged")
}

// sealedFor is the key that a stream's first event was sealed with.
func sealedFor(w *world, stream string) string { return w.read(stream)[0].Metadata.SealedFor }

func TestEachWrongFieldIsNamed(t *testing.T) {
	w := newWorld(t).start()
	long := strings.Repeat("x", 201)
	text := strings.Repeat("x", 4001)
	for name, tc := range map[string]struct {
		call func(context.Context) error
		want []string
	}{
		"a customer": {func(ctx context.Context) error {
			_, err := w.client.RegisterCustomer(ctx, &salesv1.RegisterCustomerRequest{
				CustomerNumber: long, Source: long,
				Person: &journeyv1.Person{
					GivenName: text, Email: "no address", Phone: "call me", DateOfBirth: "yesterday",
					Address: &journeyv1.Address{Street: text},
				},
			})
			return err
		}, []string{"customer_number", "person.given_name", "person.email", "person.phone", "person.date_of_birth", "person.address.street", "source"}},
		"nobody": {func(ctx context.Context) error {
			_, err := w.client.RegisterCustomer(ctx, &salesv1.RegisterCustomerRequest{})
			return err
		}, []string{"person"}},
		"a change": {func(ctx context.Context) error {
			_, err := w.client.ChangeCustomer(ctx, &salesv1.ChangeCustomerRequest{})
			return err
		}, []string{"customer_id", "person"}},
		"consent": {func(ctx context.Context) error {
			_, err := w.client.ChangeConsent(ctx, &salesv1.ChangeConsentRequest{})
			return err
		}, []string{"customer_id", "consent"}},
		"an order": {func(ctx context.Context) error {
			_, err := w.client.PlaceOrder(ctx, &salesv1.PlaceOrderRequest{AmountCents: -1, LeadId: long, OrderedOn: "2026-02-30"})
			return err
		}, []string{"customer_number", "order_number", "ordered_on", "quantity", "amount_cents", "lead_id"}},
		"which customer": {func(ctx context.Context) error {
			_, err := w.client.GetCustomer(ctx, &salesv1.GetCustomerRequest{})
			return err
		}, []string{"customer_id"}},
		"a resolution": {func(ctx context.Context) error {
			_, err := w.client.ResolveRequest(ctx, &salesv1.ResolveRequestRequest{Detail: text})
			return err
		}, []string{"request_id", "detail"}},
		"a list": {func(ctx context.Context) error {
			_, err := w.client.ListLeads(ctx, &salesv1.ListLeadsRequest{PageSize: 1001})
			return err
		}, []string{"page_size"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.call(w.key("k " + name))
			wantCode(t, err, codes.InvalidArgument)
			got := violations(err)
			slices.Sort(got)
			slices.Sort(tc.want)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
	_, err := w.client.PlaceOrder(t.Context(), &salesv1.PlaceOrderRequest{})
	wantCode(t, err, codes.InvalidArgument)
	for e, err := range w.log.ReadAll(t.Context(), eventlog.Forward, &eventlog.Position{}, 0) {
		w.must(err)
		if strings.HasPrefix(e.Type, "sales.") {
			t.Errorf("a wrong call left %s", e.Type)
		}
	}
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("the call ended with %s (%v), want %s", got, err, want)
	}
}

func TestTheAPISpeaksREST(t *testing.T) {
	w := newWorld(t).start()
	post := func(key string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.rest+"/v1/orders",
			strings.NewReader(`{"customer_number":"N1","order_number":"o1","ordered_on":"2026-11-21","quantity":1,"amount_cents":"100"}`))
		w.must(err)
		request.Header.Set("Idempotency-Key", key)
		response, err := http.DefaultClient.Do(request)
		w.must(err)
		defer func() { w.must(response.Body.Close()) }()
		body, err := io.ReadAll(response.Body)
		w.must(err)
		return response.StatusCode, string(body)
	}
	code, first := post("k")
	if _, again := post("k"); code != http.StatusOK || first != again {
		t.Errorf("%d %s, and again: %s", code, first, again)
	}
	if code, body := post(""); code != http.StatusBadRequest {
		t.Errorf("without a key: %d %s", code, body)
	}
}
