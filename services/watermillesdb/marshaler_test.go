package watermillesdb_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/triangle-suite/triangle/services/watermillesdb"
)

var messages = rapid.Custom(func(t *rapid.T) *message.Message {
	payload := rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Just([]byte(`{"a": [1, 2]}`)), rapid.Just([]byte(nil))).Draw(t, "payload")
	msg := message.NewMessage(rapid.String().Draw(t, "uuid"), payload)
	msg.Metadata = rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "metadata")
	delete(msg.Metadata, watermillesdb.MessageUUID)
	return msg
})

func TestAMessageComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msg := messages.Draw(t, "message")
		event, err := watermillesdb.DefaultMarshaler{}.Marshal("topic", msg)
		if err != nil {
			t.Fatal(err)
		}
		if (event.Content == watermillesdb.JSON) != json.Valid(msg.Payload) || !json.Valid(event.Metadata) {
			t.Fatalf("content %v with metadata %s", event.Content, event.Metadata)
		}
		back, err := watermillesdb.DefaultMarshaler{}.Unmarshal("topic", event)
		if err != nil {
			t.Fatal(err)
		}
		if !equal(back, msg) {
			t.Fatalf("got %v, want %v", back, msg)
		}
	})
}

func TestAnEventsIDIsThatOfAllItsMessage(t *testing.T) {
	idOf := func(t *rapid.T, msg *message.Message) uuid.UUID {
		event, err := watermillesdb.DefaultMarshaler{}.Marshal("topic", msg)
		if err != nil {
			t.Fatal(err)
		}
		return event.ID
	}
	rapid.Check(t, func(t *rapid.T) {
		one, other := messages.Draw(t, "one"), messages.Draw(t, "other")
		if same := idOf(t, one) == idOf(t, other); same != equal(one, other) {
			t.Fatalf("the same id: %v, for %v and %v", same, one, other)
		}
		if idOf(t, one) != idOf(t, one.Copy()) {
			t.Fatalf("a repetition of %v has another id", one)
		}
	})
}

// equal is Equals, which takes a key that is missing for one without a value.
func equal(one, other *message.Message) bool {
	return one.Equals(other) && maps.Equal(one.Metadata, other.Metadata)
}

func TestEventsOfOthersAreMessagesToo(t *testing.T) {
	id := uuid.New()
	for name, tc := range map[string]struct {
		metadata string
		want     message.Metadata
		fault    string
	}{
		"no metadata":            {"", message.Metadata{}, ""},
		"of texts":               {`{"$correlationId":"c-1"}`, message.Metadata{"$correlationId": "c-1"}, ""},
		"of more":                {`{"n":1,"o":{"p":[true]}}`, message.Metadata{"n": "1", "o": `{"p":[true]}`}, ""},
		"that is no object":      {`[1]`, nil, "event " + id.String() + ": read its metadata"},
		"that is no JSON at all": {"\x00", nil, "event " + id.String() + ": read its metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			msg, err := watermillesdb.DefaultMarshaler{}.Unmarshal("topic", watermillesdb.Event{ID: id, Data: []byte("x"), Metadata: []byte(tc.metadata)})
			if tc.fault != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tc.fault) {
					t.Fatalf("err = %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, msg.Metadata); diff != "" || msg.UUID != id.String() || string(msg.Payload) != "x" {
				t.Errorf("message %s: %s %s", msg.UUID, msg.Payload, diff)
			}
		})
	}
}

func TestAMessageMayNotUseTheKeyOfItsUUID(t *testing.T) {
	msg := message.NewMessage("m-1", nil)
	msg.Metadata.Set(watermillesdb.MessageUUID, "another")
	if _, err := (watermillesdb.DefaultMarshaler{}).Marshal("topic", msg); err == nil || !strings.Contains(err.Error(), "m-1") {
		t.Errorf("err = %v", err)
	}
}

func TestNoTwoGroupsShareAStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[ab:%-]{0,4}`)
		group, topic, group2, topic2 := name.Draw(t, "g"), name.Draw(t, "t"), name.Draw(t, "g2"), name.Draw(t, "t2")
		same := watermillesdb.StreamOfGroup(group, topic) == watermillesdb.StreamOfGroup(group2, topic2)
		if same != (group == group2 && topic == topic2) {
			t.Fatalf("%q of %q and %q of %q: the same stream: %v", topic, group, topic2, group2, same)
		}
	})
}
