package watermillesdb

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Event is a message as the store has it.
type Event = eventlog.NewEvent

// What an Event's data is: Binary data is not shown, nor parsed, by the store's
// own tools.
const (
	JSON   = eventlog.JSON
	Binary = eventlog.Binary
)

// Marshaler turns messages into events and back.
type Marshaler interface {
	// Marshal returns the event that a message of topic becomes. A publisher that
	// tries again appends the same event, so that the store can recognise its id.
	Marshal(topic string, msg *message.Message) (Event, error)
	// Unmarshal returns the message that an event is, or ErrNoMessage for one that
	// is none and is to be left out. With any other error the subscription stays
	// where it is, and tries again: nothing is lost to a marshaler that is wrong.
	Unmarshal(topic string, event Event) (*message.Message, error)
}

// ErrNoMessage is what a Marshaler says of an event that is no message.
var ErrNoMessage = errors.New("the event is no message")

// MessageUUID is the key of an event's metadata that a message's UUID has, as
// that may be any text. No message's own metadata may have it.
const MessageUUID = "_watermill_message_uuid"

// DefaultType is the type of the events that messages become.
const DefaultType = "watermill.MessagePublished"

// DefaultMarshaler keeps payloads as they are, as JSON if they are, and metadata
// as a JSON object, in which the store's own tools find what they know
// ($correlationId, $causationId).
//
// An event's id derives from all of its message. The store does not append what
// has the id of an event that it appended lately: so a message that is published
// again because nobody could tell what had become of it is recognised. And one
// that is meant to come again, such as one that comes back from a poison queue
// with a note in its metadata, is not lost as a repetition.
type DefaultMarshaler struct {
	// Type is the type of the events; empty: DefaultType.
	Type string
}

// Marshal implements Marshaler.
func (m DefaultMarshaler) Marshal(_ string, msg *message.Message) (Event, error) {
	if _, taken := msg.Metadata[MessageUUID]; taken {
		return Event{}, fmt.Errorf("message %s: its metadata may not have the key %s", msg.UUID, MessageUUID)
	}
	all := map[string]string{MessageUUID: msg.UUID}
	maps.Copy(all, msg.Metadata)
	metadata, err := json.Marshal(all)
	if err != nil {
		return Event{}, fmt.Errorf("message %s: write its metadata: %w", msg.UUID, err)
	}
	event := Event{ID: idOf(msg), Type: m.Type, Data: msg.Payload, Metadata: metadata}
	if event.Type == "" {
		event.Type = DefaultType
	}
	if !json.Valid(msg.Payload) {
		event.Content = Binary
	}
	return event, nil
}

// namespace is what the ids of events derive from.
var namespace = uuid.MustParse("6f0f4d0a-0c36-5a27-9d59-7a9e4b6f2d11")

// idOf derives an id from all that a message is. Lengths come first, so that no
// two messages run together to the same.
func idOf(msg *message.Message) uuid.UUID {
	var all []byte
	add := func(part string) {
		all = binary.AppendUvarint(all, uint64(len(part)))
		all = append(all, part...)
	}
	add(msg.UUID)
	for _, key := range slices.Sorted(maps.Keys(msg.Metadata)) {
		add(key)
		add(msg.Metadata[key])
	}
	return uuid.NewSHA1(namespace, append(all, msg.Payload...))
}

// Unmarshal implements Marshaler. It takes events that others have written as
// well: such a message's UUID is the event's id, and metadata that is no text is
// handed on as JSON.
func (DefaultMarshaler) Unmarshal(_ string, event Event) (*message.Message, error) {
	msg := message.NewMessage(event.ID.String(), event.Data)
	if len(event.Metadata) == 0 {
		return msg, nil
	}
	var metadata map[string]json.RawMessage
	if err := json.Unmarshal(event.Metadata, &metadata); err != nil {
		return nil, fmt.Errorf("event %s: read its metadata: %w", event.ID, err)
	}
	for key, raw := range metadata {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			text = string(raw)
		}
		if key == MessageUUID {
			msg.UUID = text
			continue
		}
		msg.Metadata[key] = text
	}
	return msg, nil
}
