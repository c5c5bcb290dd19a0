package channel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/channel"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/host/hosttest"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/serve"
)

// within is how long a test waits for what should come soon.
const within = 30 * time.Second

// company is channel support as its main runs it, a real store, and the other
// services, who play their parts.
type company struct {
	t     *testing.T
	store *eventstoretest.Server
	log   *esdb.Log
	codec *codec.Codec
	api   channelv1.ChannelServiceClient
	rest  string
}

func open(t *testing.T) *company {
	t.Helper()
	c := &company{t: t, store: eventstoretest.Start(t, eventstoretest.OnDisk(), eventstoretest.WithoutIDCache())}
	keys := pgtest.Somewhere(t)
	office := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":"done","reference":"BO-1"}`)
	}))
	t.Cleanup(office.Close)
	c.startService(keys, office.URL)

	ring, err := keyring.Open(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ring.Close() })
	if c.codec, err = codec.New(ring); err != nil {
		t.Fatal(err)
	}
	if c.log, err = esdb.Open(c.store.ConnectionString()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.log.Close() })
	c.playOthers()
	return c
}

// startService runs channel support until the test ends.
func (c *company) startService(keys, office string) {
	c.t.Helper()
	settings := channel.Settings{
		Common: config.Common{
			EventStore: config.StoreURL(c.store.ConnectionString()), Database: config.Database(pgtest.Somewhere(c.t)),
			Keys: config.Database(keys), HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0", LogLevel: "error",
		},
		BackOffice: config.URL(office), Deadline: within,
	}
	build := func(ctx context.Context, parts host.Parts) (host.Application, error) {
		return channel.New(ctx, parts, settings)
	}
	running := hosttest.Start(c.t, func(ctx context.Context, bound func(serve.Addresses)) error {
		return host.Run(ctx, config.Channel, &settings, build, bound)
	})
	c.t.Cleanup(running.Stop)
	c.api, c.rest = channelv1.NewChannelServiceClient(running.Conn), running.URL
}

// playOthers has sales and marketing answer what the channel appends, for as
// long as the test runs, also after the store was away.
func (c *company) playOthers() {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	sub, err := c.log.SubscribeAll(ctx, eventlog.AllOptions{Filter: eventlog.Filter{TypePrefixes: []string{"channel."}}})
	if err != nil {
		c.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range sub.Messages() {
			if m.Kind != eventlog.KindEvent {
				continue
			}
			e, err := c.codec.Decode(context.Background(), m.Event)
			if err != nil {
				c.t.Errorf("hear: %v", err)
				return
			}
			c.answer(ctx, e)
		}
	}()
	c.t.Cleanup(func() {
		cancel()
		sub.Close()
		<-done
	})
}

func (c *company) answer(ctx context.Context, e codec.Event) {
	switch m := e.Message.(type) {
	case *channelv1.IdentityClaimed:
		c.append(ctx, "registration-"+m.GetContactId(), &e, &salesv1.ContactRegistered{ContactId: m.GetContactId(), CustomerId: "k"})
		c.append(ctx, "view-k", &e, customer(m.GetPhone()))
	case *channelv1.VisitorIdentified:
		c.decide(ctx, &e, m.GetContactId(), "p-1")
	case *channelv1.InterestShown:
		c.decide(ctx, &e, m.GetContactId(), "p-"+m.GetTopic())
	}
}

func customer(phone string) *salesv1.CustomerViewChanged {
	return &salesv1.CustomerViewChanged{CustomerId: "k", CustomerNumber: "4711", Person: &journeyv1.Person{Phone: phone}}
}

func (c *company) decide(ctx context.Context, e *codec.Event, contact, proposition string) {
	c.append(ctx, "decisions-"+contact, e, &marketingv1.NextBestActionsDecided{
		DecisionId: "d-" + proposition, ContactId: contact, CustomerId: "k", Features: "{}",
		Actions:  []*journeyv1.NextBestAction{{PropositionId: proposition, Priority: 1}},
		RestedOn: []*flowv1.Freshness{{Flow: "contact-events"}},
	})
}

// append plays another service; cause is the event that it answers, or nil. As
// services do, it tries again when the store goes away meanwhile.
func (c *company) append(ctx context.Context, stream string, cause *codec.Event, m proto.Message) {
	id := uuid.New()
	origin := decider.Origin{Service: "others", Time: time.Now()}
	if cause != nil {
		origin.CorrelationID, origin.CausationID = cause.Metadata.CorrelationID, cause.ID.String()
		id = uuid.NewSHA1(cause.ID, []byte(stream))
	}
	origin.Key = "others:" + id.String()
	streams := &decider.Streams{Log: c.log, Codec: c.codec}
	_, err := decider.Ensure(ctx, streams, origin, stream, id, m)
	for errors.Is(err, eventlog.ErrUnavailable) && ctx.Err() == nil {
		_, err = decider.Ensure(ctx, streams, origin, stream, id, m)
	}
	if err != nil && ctx.Err() == nil {
		c.t.Errorf("play %T: %v", m, err)
	}
}

func withKey(ctx context.Context, key string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "idempotency-key", key)
}

// until tries again until try says that it has what it waits for.
func until(t *testing.T, what string, try func(ctx context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !try(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

func (c *company) ready(t *testing.T, want int) {
	t.Helper()
	until(t, fmt.Sprintf("readiness %d", want), func(ctx context.Context) bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.rest+"/readyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode == want
	})
}

// post makes a call over REST.
func (c *company) post(t *testing.T, path, key string, body any) map[string]any {
	t.Helper()
	return c.send(t, http.MethodPost, path, key, body)
}

func (c *company) send(t *testing.T, method, path, key string, body any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, c.rest+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Idempotency-Key", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err = io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s (%v)", path, response.StatusCode, raw, err)
	}
	var answer map[string]any
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// The capability, end to end, over the real store, which goes away and comes
// back in the middle.
func TestAVisitorIsServedAlsoByAStoreThatComesBack(t *testing.T) {
	c := open(t)
	c.ready(t, http.StatusOK)
	c.moveToRealTime(t, "lead-dispatch")
	wait := durationpb.New(10 * time.Second)

	start := &channelv1.StartContactRequest{
		Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE, Claims: &channelv1.Claims{Phone: "+31 1"}, Wait: wait,
	}
	if _, err := c.api.StartContact(withKey(t.Context(), "start"), start); err == nil {
		t.Fatal("a phone number of three digits was accepted")
	}
	start.Claims.Phone = "+31 20 1234567"
	started, err := c.api.StartContact(withKey(t.Context(), "start"), start)
	if err != nil {
		t.Fatal(err)
	}
	id := started.GetContact().GetContactId()
	if started.GetContact().GetCustomerId() != "k" || started.GetCustomer().GetPerson().GetPhone() != "+31201234567" ||
		started.GetNextBestActions().GetSource() != channelv1.ListSource_LIST_SOURCE_DECIDED {
		t.Fatalf("got %v", started)
	}

	// The store goes away in the middle, and is missed.
	c.store.Kill()
	c.ready(t, http.StatusServiceUnavailable)
	c.store.Restart()
	c.ready(t, http.StatusOK)

	interest := &channelv1.RecordEventRequest{
		ContactId: id, Wait: wait,
		Event: &channelv1.RecordEventRequest_Interest{Interest: &channelv1.InterestEvent{Kind: "reason-for-calling", Topic: "2"}},
	}
	var got *channelv1.RecordEventResponse
	until(t, "the event to be recorded", func(ctx context.Context) bool {
		got, err = c.api.RecordEvent(withKey(ctx, "interest"), interest)
		return err == nil
	})
	if list := got.GetNextBestActions(); list.GetSource() != channelv1.ListSource_LIST_SOURCE_DECIDED || list.GetDecisionId() != "d-p-2" {
		t.Errorf("got %v", list)
	}

	// Over REST it is the same service.
	answer := c.post(t, "/v1/contacts/"+id+"/requests", "request", map[string]any{"kind": "REQUEST_KIND_SERVICE", "text": "The bell rings."})
	if answer["handling"] != "HANDLING_STRAIGHT_THROUGH" || answer["detail"] != "BO-1" {
		t.Errorf("got %v", answer)
	}

	// A kind of event is registered by its schema, and recorded; an experiment is
	// defined, and a variant shown.
	registered := c.send(t, http.MethodPut, "/v1/event-kinds/brochure-taken", "kind", map[string]any{
		"type": "object", "additionalProperties": false, "properties": map[string]any{"copies": map[string]any{"type": "integer"}},
	})
	if registered["version"] != 1.0 {
		t.Errorf("got %v", registered)
	}
	c.post(t, "/v1/contacts/"+id+"/events", "brochure", map[string]any{
		"other": map[string]any{"kind": "brochure-taken", "data": map[string]any{"copies": 2}}, "wait": "0s",
	})
	c.send(t, http.MethodPut, "/v1/experiments/greeting", "experiment", map[string]any{
		"variants": []any{map[string]any{"variantId": "formal", "weight": 1}, map[string]any{"variantId": "warm", "weight": 1}},
		"outcome":  map[string]any{"kind": "OUTCOME_KIND_EVENT_RECORDED", "eventKind": "brochure-taken"}, "expectedRate": 0.1,
	})
	if shown := c.post(t, "/v1/contacts/"+id+"/variants", "show", map[string]any{"experimentId": "greeting"}); shown["variantId"] == "" {
		t.Errorf("got %v", shown)
	}

	// More measurements than are kept do no harm.
	for i := range uint32(110) {
		report := &channelv1.ReportWorkloadRequest{Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE, Waiting: i}
		if _, err := c.api.ReportWorkload(withKey(t.Context(), fmt.Sprint("workload ", i)), report); err != nil {
			t.Fatal(err)
		}
	}

	// A message is sent to where the customer is now.
	c.append(t.Context(), "lead-l", nil, &salesv1.DispatchOrdered{
		LeadId: "l", MessageId: "m", CustomerId: "k", Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE, Content: "Say hello",
	})
	c.append(t.Context(), "view-k", nil, customer("+31207654321"))
	until(t, "the message to be sent", func(ctx context.Context) bool {
		list, err := c.api.ListMessages(ctx, &channelv1.ListMessagesRequest{})
		return err == nil && len(list.GetMessages()) == 1 && list.GetMessages()[0].GetAddress() == "+31207654321" &&
			list.GetMessages()[0].GetState() == channelv1.MessageState_MESSAGE_STATE_SENT
	})

	// Whoever repeats the first call now gets the contact of then.
	again, err := c.api.StartContact(withKey(t.Context(), "start"), start)
	if err != nil || again.GetContact().GetContactId() != id || again.GetNextBestActions().GetDecisionId() != "d-p-1" {
		t.Errorf("got %v, %v", again, err)
	}
	ended := c.post(t, "/v1/contacts/"+id+"/end", "end", map[string]any{"outcome": "CONTACT_OUTCOME_HANDLED"})
	if contact, ok := ended["contact"].(map[string]any); !ok || contact["state"] != "CONTACT_STATE_ENDED" {
		t.Errorf("got %v", ended)
	}
}

func (c *company) moveToRealTime(t *testing.T, flow string) {
	t.Helper()
	steer, err := control.New(c.log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := steer.Set(t.Context(), flow, flows.RealTime, "test", "for the test"); err != nil {
		t.Fatal(err)
	}
}
