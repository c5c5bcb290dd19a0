package codec_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

var eventID = uuid.MustParse("6f2e3a50-0d5c-5c8e-9a49-1f1f7d7f3a10")

func newCodec(t testing.TB, ring keyring.Ring) *codec.Codec {
	t.Helper()
	c, err := codec.New(ring)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func metadata() codec.Metadata {
	return codec.Metadata{
		Source:        codec.Source(flows.Sales),
		Time:          time.Date(2026, 11, 21, 14, 0, 0, 123456789, time.UTC),
		Subject:       "customer-4711",
		TraceParent:   "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		TraceState:    "vendor=1",
		CorrelationID: "correlation",
		CausationID:   "cause",
		Origin:        "reaction:register:cause",
		RequestDigest: "digest",
		CausePosition: eventlog.Position{Commit: 7, Prepare: 6},
	}
}

func customer() *salesv1.CustomerRegistered {
	return &salesv1.CustomerRegistered{
		CustomerId: "4711",
		Person: &journeyv1.Person{
			GivenName: "Ada", Surname: "Lovelace", Email: "ada@example.org",
			Address: &journeyv1.Address{Street: "St James's Square", Postcode: "SW1Y"},
		},
		Source:       "import",
		RegisteredAt: timestamppb.New(time.Unix(1_795_000_000, 0)),
	}
}

func mustEncode(t testing.TB, c *codec.Codec, message proto.Message) eventlog.Event {
	t.Helper()
	event, err := c.Encode(context.Background(), message, eventID, metadata())
	if err != nil {
		t.Fatal(err)
	}
	return eventlog.Event{NewEvent: event, Stream: "customer-4711", Revision: 3}
}

func TestEveryEventTypeComesBackAsItWas(t *testing.T) {
	c := newCodec(t, keyring.Memory())
	types, err := codec.Types()
	if err != nil || len(types) < 40 {
		t.Fatalf("%d event types (%v), want those of four packages", len(types), err)
	}
	for _, eventType := range types {
		t.Run(eventType.Name, func(t *testing.T) {
			message := fill(eventType.New())
			before := proto.Clone(message)
			event := mustEncode(t, c, message)
			if event.Type != eventType.Name || event.ID != eventID {
				t.Errorf("the event is %s %s", event.Type, event.ID)
			}
			if diff := cmp.Diff(before, message, protocmp.Transform()); diff != "" {
				t.Errorf("Encode changed its argument:\n%s", diff)
			}
			decoded, err := c.Decode(context.Background(), event)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(message, decoded.Message, protocmp.Transform()); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
			if decoded.Erased {
				t.Error("nobody was erased")
			}
		})
	}
}

func TestNothingPersonalIsWrittenInClear(t *testing.T) {
	event := mustEncode(t, newCodec(t, keyring.Memory()), customer())
	for _, personal := range []string{"Ada", "Lovelace", "example.org", "James", "SW1Y"} {
		if bytes.Contains(event.Data, []byte(personal)) || bytes.Contains(event.Metadata, []byte(personal)) {
			t.Errorf("%q stands in the event", personal)
		}
	}
	for _, open := range []string{`"customerId":"4711"`, `"source":"import"`} {
		if !bytes.Contains(event.Data, []byte(open)) {
			t.Errorf("%s is not readable in the store: %s", open, event.Data)
		}
	}
	if got := strings.Count(string(event.Data), "sealed:v1:"); got != 5 {
		t.Errorf("%d sealed fields, want 5: %s", got, event.Data)
	}
}

func TestTheLengthOfANameIsNotShown(t *testing.T) {
	c := newCodec(t, keyring.Memory())
	short, long := customer(), customer()
	short.Person, long.Person = &journeyv1.Person{Surname: "Wu"}, &journeyv1.Person{Surname: "Lovelace-Byron"}
	if a, b := mustEncode(t, c, short), mustEncode(t, c, long); len(a.Data) != len(b.Data) {
		t.Errorf("%d and %d bytes", len(a.Data), len(b.Data))
	}
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	for range 20 {
		one := mustEncode(t, newCodec(t, keyring.Memory()), customer())
		two := mustEncode(t, newCodec(t, keyring.Memory()), customer())
		if !bytes.Equal(one.Data, two.Data) || !bytes.Equal(one.Metadata, two.Metadata) {
			t.Fatalf("two encodings differ:\n%s\n%s", one.Data, two.Data)
		}
	}
}

func TestNoNonceComesTwice(t *testing.T) {
	c := newCodec(t, keyring.Memory())
	nonces := map[string]bool{}
	add := func(data []byte, want int) {
		t.Helper()
		before := len(nonces)
		for _, part := range strings.Split(string(data), "sealed:v1:")[1:] {
			nonces[part[:16]] = true // 12 bytes in base64
		}
		if len(nonces) != before+want {
			t.Errorf("%d new nonces, want %d", len(nonces)-before, want)
		}
	}
	person := &journeyv1.Person{GivenName: "Ada", Surname: "Ada"} // one value in two fields
	add(mustEncode(t, c, &salesv1.CustomerChanged{CustomerId: "4711", Person: person}).Data, 2)
	add(mustEncode(t, c, &salesv1.CustomerViewChanged{CustomerId: "4711", Person: person}).Data, 2) // another schema
	other, err := c.Encode(context.Background(), &salesv1.CustomerChanged{CustomerId: "4711", Person: person}, uuid.Max, metadata())
	if err != nil {
		t.Fatal(err)
	}
	add(other.Data, 2) // another event
	person.Surname = "Eve"
	add(mustEncode(t, c, &salesv1.CustomerChanged{CustomerId: "4711", Person: person}).Data, 1) // another value
}

func TestTheKeyIsThatOfTheFirstSubject(t *testing.T) {
	for want, message := range map[string]proto.Message{
		"customer:4711": customer(),
		"contact:c1":    &channelv1.IdentityClaimed{ContactId: "c1", CustomerNumber: "4711", Email: "a@b"},
		"customer:c7":   &salesv1.RequestOpened{RequestId: "r", CustomerId: "c7", ContactId: "c1", Text: "hello"},
		"":              &salesv1.OrderPlaced{CustomerId: "c7"},
	} {
		ring := keyring.Memory()
		event := mustEncode(t, newCodec(t, ring), message)
		md, err := codec.DecodeMetadata(event.Metadata)
		if err != nil || md.SealedFor != want {
			t.Errorf("sealed for %q (%v), want %q", md.SealedFor, err, want)
		}
		if want == "" {
			continue
		}
		if _, err := ring.Existing(context.Background(), want); err != nil {
			t.Errorf("the ring has no key %q: %v", want, err)
		}
	}
}

func TestPersonalValuesNeedASubject(t *testing.T) {
	c := newCodec(t, keyring.Memory())
	message := &marketingv1.NextBestActionsDecided{ContactId: "c1", Features: "{}"}
	if _, err := c.Encode(context.Background(), message, eventID, metadata()); !errors.Is(err, codec.ErrNoSubject) {
		t.Errorf("Encode: %v, want ErrNoSubject", err)
	}
	message.Features = ""
	if _, err := c.Encode(context.Background(), message, eventID, metadata()); err != nil {
		t.Errorf("Encode without personal values: %v", err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	c := newCodec(t, keyring.Memory())
	timeless, sourceless := metadata(), metadata()
	timeless.Time, sourceless.Source = time.Time{}, ""
	for name, tc := range map[string]struct {
		message proto.Message
		md      codec.Metadata
		want    error
	}{
		"a message that is no event": {message: &journeyv1.Person{}, md: metadata(), want: codec.ErrUnknownType},
		"an API message":             {message: &channelv1.StartContactRequest{}, md: metadata(), want: codec.ErrUnknownType},
		"no message":                 {md: metadata(), want: codec.ErrUnknownType},
		"no time":                    {message: customer(), md: timeless},
		"no source":                  {message: customer(), md: sourceless},
		"text that is not UTF-8":     {message: &salesv1.OrderPlaced{CustomerId: "\xff"}, md: metadata()},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Encode(context.Background(), tc.message, eventID, tc.md)
			if err == nil || (tc.want != nil && !errors.Is(err, tc.want)) {
				t.Errorf("Encode: %v, want %v", err, tc.want)
			}
		})
	}
}

func TestAnErasedPersonLeavesAnEmptyEvent(t *testing.T) {
	ring := keyring.Memory()
	c := newCodec(t, ring)
	event := mustEncode(t, c, customer())
	if err := ring.Destroy(context.Background(), "customer:4711", keyring.Erasure{}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Decode(context.Background(), event)
	if err != nil || !got.Erased {
		t.Fatalf("Decode: erased %v, %v", got.Erased, err)
	}
	want := customer()
	want.Person = &journeyv1.Person{Address: &journeyv1.Address{}}
	if diff := cmp.Diff(want, got.Message, protocmp.Transform()); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	if _, err := c.Encode(context.Background(), customer(), eventID, metadata()); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("Encode of the erased: %v, want ErrDestroyed", err)
	}
}

func TestAnotherKeyRingIsNoErasure(t *testing.T) {
	event := mustEncode(t, newCodec(t, keyring.Memory()), customer())
	_, err := newCodec(t, keyring.Memory()).Decode(context.Background(), event)
	if !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("Decode: %v, want ErrUnknownKey", err)
	}
}

// edit changes an event's data or metadata as JSON.
func edit(t *testing.T, raw []byte, change func(map[string]any)) []byte {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	change(object)
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDecodeRefuses(t *testing.T) {
	type object = map[string]any
	person := func(data object) object { return data["person"].(object) }
	data := func(change func(object)) func(*testing.T, *eventlog.Event) {
		return func(t *testing.T, e *eventlog.Event) { e.Data = edit(t, e.Data, change) }
	}
	meta := func(change func(object)) func(*testing.T, *eventlog.Event) {
		return func(t *testing.T, e *eventlog.Event) { e.Metadata = edit(t, e.Metadata, change) }
	}
	for name, tc := range map[string]struct {
		change func(*testing.T, *eventlog.Event)
		want   error
	}{
		"a type that nobody knows": {func(_ *testing.T, e *eventlog.Event) { e.Type = "sales.Nonsense" }, codec.ErrUnknownType},
		"a version that is not there": {
			meta(func(o object) { o["dataschema"] = "sales.v9.CustomerRegistered" }), codec.ErrUnknownType,
		},
		"data of another type": {func(_ *testing.T, e *eventlog.Event) { e.Type = "sales.CustomerChanged" }, codec.ErrUnknownType},
		"data that is no JSON": {func(_ *testing.T, e *eventlog.Event) { e.Data = e.Data[1:] }, codec.ErrMalformed},
		"no data":              {func(_ *testing.T, e *eventlog.Event) { e.Data = nil }, codec.ErrMalformed},
		"metadata that is no JSON": {
			func(_ *testing.T, e *eventlog.Event) { e.Metadata = e.Metadata[1:] }, codec.ErrMalformed,
		},
		"a field of another kind":    {data(func(o object) { o["customerId"] = 5 }), codec.ErrMalformed},
		"a personal value in clear":  {data(func(o object) { person(o)["surname"] = "Byron" }), codec.ErrTampered},
		"a sealed value cut off":     {data(func(o object) { person(o)["surname"] = "sealed:v1:AAAA" }), codec.ErrTampered},
		"a sealed value of nonsense": {data(func(o object) { person(o)["surname"] = "sealed:v1:!" }), codec.ErrTampered},
		"a version of sealing that is not there": {
			data(func(o object) { person(o)["surname"] = "sealed:v2:AAAA" }), codec.ErrTampered,
		},
		"a sealed value moved to another field": {
			data(func(o object) { person(o)["surname"] = person(o)["givenName"] }), codec.ErrTampered,
		},
		"a sealed value moved to another event": {func(_ *testing.T, e *eventlog.Event) { e.ID = uuid.Max }, codec.ErrTampered},
		"a sealed value without its key's name": {meta(func(o object) { delete(o, "sealedFor") }), codec.ErrTampered},
		"another person's key":                  {meta(func(o object) { o["sealedFor"] = "customer:2" }), codec.ErrTampered},
		"a flipped bit": {data(func(o object) {
			text := []byte(person(o)["surname"].(string))
			text[len(text)-2] ^= 1
			person(o)["surname"] = string(text)
		}), codec.ErrTampered},
	} {
		t.Run(name, func(t *testing.T) {
			ring := keyring.Memory()
			if _, err := ring.Key(context.Background(), "customer:2"); err != nil {
				t.Fatal(err)
			}
			c := newCodec(t, ring)
			event := mustEncode(t, c, customer())
			tc.change(t, &event)
			if _, err := c.Decode(context.Background(), event); !errors.Is(err, tc.want) {
				t.Errorf("Decode: %v, want %v", err, tc.want)
			}
		})
	}
}

func TestAnErrorQuotesNoPersonalValue(t *testing.T) {
	c := newCodec(t, keyring.Memory())
	event := mustEncode(t, c, customer())
	event.Data = edit(t, event.Data, func(o map[string]any) { o["person"].(map[string]any)["surname"] = "Byron" })
	_, err := c.Decode(context.Background(), event)
	if err == nil || strings.Contains(err.Error(), "Byron") || !strings.Contains(err.Error(), "person.surname") {
		t.Errorf("%v: want the field's name and not its value", err)
	}
}

func TestWhatANewerWriterAddedIsLeftOut(t *testing.T) {
	c := newCodec(t, keyring.Memory())
	event := mustEncode(t, c, customer())
	event.Data = edit(t, event.Data, func(o map[string]any) { o["loyaltyTier"] = map[string]any{"name": "gold"} })
	event.Metadata = edit(t, event.Metadata, func(o map[string]any) { o["partitionkey"] = "x" })
	got, err := c.Decode(context.Background(), event)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(customer(), got.Message, protocmp.Transform()); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	if !bytes.Contains(got.Event.Metadata, []byte("partitionkey")) {
		t.Error("the raw metadata lost a key")
	}
}

func TestAnEventThatWasAppendedByHandIsRead(t *testing.T) {
	got, err := newCodec(t, keyring.Memory()).Decode(context.Background(), eventlog.Event{NewEvent: eventlog.NewEvent{
		ID: eventID, Type: "flow.MarkerSet", Data: []byte(` {"purpose" : "by hand"} `),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&flowv1.MarkerSet{Purpose: "by hand"}, got.Message, protocmp.Transform()); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

func TestMetadataComesBackAndIsCompleted(t *testing.T) {
	c := newCodec(t, keyring.Memory())
	got, err := c.Decode(context.Background(), mustEncode(t, c, customer()))
	if err != nil {
		t.Fatal(err)
	}
	want := metadata()
	want.SpecVersion, want.DataContentType = "1.0", "application/json"
	want.ID, want.Type, want.DataSchema = eventID.String(), "sales.CustomerRegistered", "sales.v1.CustomerRegistered"
	want.TraceID, want.SpanID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	want.SealedFor = "customer:4711"
	if diff := cmp.Diff(want, got.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestTimeIsWrittenInUTC(t *testing.T) {
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Fatal(err)
	}
	here, there := metadata(), metadata()
	here.Time = here.Time.In(amsterdam)
	c := newCodec(t, keyring.Memory())
	var events []eventlog.NewEvent
	for _, md := range []codec.Metadata{here, there} {
		event, err := c.Encode(context.Background(), customer(), eventID, md)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
	}
	if !bytes.Equal(events[0].Metadata, events[1].Metadata) {
		t.Errorf("one moment, two texts:\n%s\n%s", events[0].Metadata, events[1].Metadata)
	}
}

func BenchmarkCodec(b *testing.B) {
	ctx := context.Background()
	c := newCodec(b, keyring.Memory())
	for name, message := range map[string]proto.Message{
		"clear":  &salesv1.OrderPlaced{CustomerId: "4711", OrderId: "o-1", OrderedOn: "1997-01-12", Quantity: 2, AmountCents: 3317},
		"sealed": customer(),
	} {
		event := mustEncode(b, c, message)
		b.Run("encode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustEncode(b, c, message)
			}
		})
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Decode(ctx, event); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("metadata/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.DecodeMetadata(event.Metadata); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// An event that was decoded before its person was erased is read again without them,
// and any other one as it was.
func TestWhatWasDecodedBeforeAnErasureIsReadAgain(t *testing.T) {
	ring := keyring.Memory()
	c := newCodec(t, ring)
	event, err := c.Encode(context.Background(), &salesv1.CustomerChanged{CustomerId: "4711", Person: &journeyv1.Person{Surname: "Doe"}}, eventID, metadata())
	if err != nil {
		t.Fatal(err)
	}
	early, err := c.Decode(context.Background(), eventlog.Event{NewEvent: event})
	if err != nil {
		t.Fatal(err)
	}
	again := func() (surname string, erased bool) {
		now, err := c.Again(context.Background(), early)
		if err != nil {
			t.Fatal(err)
		}
		return now.Message.(*salesv1.CustomerChanged).GetPerson().GetSurname(), now.Erased
	}
	if surname, erased := again(); surname != "Doe" || erased {
		t.Errorf("before: %q, erased %t", surname, erased)
	}
	if err := ring.Destroy(context.Background(), "customer:4711", keyring.Erasure{}); err != nil {
		t.Fatal(err)
	}
	if surname, erased := again(); surname != "" || !erased {
		t.Errorf("after: %q, erased %t", surname, erased)
	}
}
