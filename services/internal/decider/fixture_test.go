package decider_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// counter is a capability that counts, and remembers the topics in order.
type counter struct {
	Count  int
	Topics []string
}

var counting = decider.Decider[counter]{
	Initial: func() counter { return counter{} },
	Evolve: func(state counter, event proto.Message) counter {
		if shown, ok := event.(*channelv1.InterestShown); ok {
			state.Count++
			state.Topics = append(state.Topics[:len(state.Topics):len(state.Topics)], shown.GetTopic())
		}
		return state
	},
}

// show decides one event per topic; each holds the count that it was decided on,
// so that a decision on an old state can be told.
func show(topics ...string) func(counter) ([]proto.Message, error) {
	return func(state counter) ([]proto.Message, error) {
		var events []proto.Message
		for i, topic := range topics {
			events = append(events, &channelv1.InterestShown{ContactId: "c1", Topic: topic, Kind: fmt.Sprint(state.Count + i)})
		}
		return events, nil
	}
}

func newStreams(t testing.TB, options memory.Options) *decider.Streams {
	t.Helper()
	c, err := codec.New(keyring.Memory())
	if err != nil {
		t.Fatal(err)
	}
	return &decider.Streams{Log: memory.New(options), Codec: c}
}

func call(t testing.TB, key, request string) decider.Origin {
	t.Helper()
	origin, err := decider.CallOrigin(keyring.Memory(), flows.Channel, "/channel.v1.ChannelService/RecordInterest", key,
		&channelv1.InterestShown{Topic: request}, noon)
	if err != nil {
		t.Fatal(err)
	}
	return origin
}

const stream = "contact-c1"

func handle(s *decider.Streams, origin decider.Origin, topics ...string) (decider.Outcome[counter], error) {
	return decider.Handle(context.Background(), s, origin, stream, counting, show(topics...))
}

func mustHandle(t testing.TB, s *decider.Streams, origin decider.Origin, topics ...string) decider.Outcome[counter] {
	t.Helper()
	outcome, err := handle(s, origin, topics...)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

// events reads the stream as it is.
func events(t testing.TB, s *decider.Streams, name string) []codec.Event {
	t.Helper()
	var all []codec.Event
	for raw, err := range s.Log.ReadStream(context.Background(), name, eventlog.Forward, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		event, err := s.Codec.Decode(context.Background(), raw)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, event)
	}
	return all
}

// foreign is an event of a type that nobody here knows.
var foreign = eventlog.NewEvent{ID: uuid.Max, Type: "channel.FromTheFuture", Data: []byte("{}")}
