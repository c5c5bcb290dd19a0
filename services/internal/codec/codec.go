package codec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// Errors of a Codec, apart from ErrUnknownType, ErrTampered and those of the key
// ring.
var (
	// ErrMalformed tells that an event's data or metadata can't be read.
	ErrMalformed = errors.New("the event is malformed")
	// ErrNoSubject tells that a message has personal values, but does not say
	// whose they are.
	ErrNoSubject = errors.New("personal values need a subject")
)

// IsFault tells whether err says that an event is at fault itself. What else
// keeps an event from being read, such as a key ring that is away, passes.
func IsFault(err error) bool {
	return errors.Is(err, ErrUnknownType) || errors.Is(err, ErrMalformed) || errors.Is(err, ErrTampered)
}

// Codec encodes and decodes events. It is safe for concurrent use.
type Codec struct {
	ring     keyring.Ring
	registry *registry
	active   func(schema string) bool // of the types that are gated; nil: none is
}

// New returns a codec that seals with the keys of ring. It fails when a contract
// marks fields in a way that can't be sealed.
func New(ring keyring.Ring) (*Codec, error) {
	r, err := known()
	if err != nil {
		return nil, fmt.Errorf("contracts: %w", err)
	}
	return &Codec{ring: ring, registry: r}, nil
}

// Event is an event that was decoded.
type Event struct {
	eventlog.Event
	// Message is the event itself, its personal fields opened.
	Message proto.Message
	// Metadata shadows the raw metadata, which is Event.Metadata.
	Metadata Metadata
	// Erased tells that the event's person was erased: its personal fields are
	// empty.
	Erased bool
}

// Encode makes the event of a message. Its personal fields are sealed with the
// key of its subject, which is durable when Encode returns. It fails with
// ErrNotActive on a type that must not be written yet.
func (c *Codec) Encode(ctx context.Context, message proto.Message, id uuid.UUID, md Metadata) (eventlog.NewEvent, error) {
	t, err := c.registry.of(message)
	if err != nil {
		return eventlog.NewEvent{}, err
	}
	if !c.isActive(t.Schema) {
		return eventlog.NewEvent{}, fmt.Errorf("encode %s of schema %s: %w", t.Name, t.Schema, ErrNotActive)
	}
	event, err := c.encode(ctx, t, message, id, md)
	if err != nil {
		return eventlog.NewEvent{}, fmt.Errorf("encode %s %s: %w", t.Name, id, err)
	}
	return event, nil
}

func (c *Codec) encode(
	ctx context.Context, t *Type, message proto.Message, id uuid.UUID, md Metadata,
) (eventlog.NewEvent, error) {
	md, err := md.complete(t, id.String())
	if err != nil {
		return eventlog.NewEvent{}, err
	}
	message, md.SealedFor, err = c.seal(ctx, t, message, id)
	if err != nil {
		return eventlog.NewEvent{}, err
	}
	data, err := Canonical(message)
	if err != nil {
		return eventlog.NewEvent{}, err
	}
	metadata, err := json.Marshal(md)
	if err != nil {
		return eventlog.NewEvent{}, err
	}
	return eventlog.NewEvent{ID: id, Type: t.Name, Data: data, Metadata: metadata}, nil
}

// Canonical writes a message as JSON in one form: protojson puts spaces in at
// random, lest anybody lean on its form. The golden files watch the rest of it.
// It seals nothing.
func Canonical(message proto.Message) ([]byte, error) {
	reflected := message.ProtoReflect()
	if f := formOf(reflected.Descriptor()); f != nil {
		if data, ok := f.write(nil, reflected); ok {
			return data, nil
		}
	}
	loose, err := protojson.Marshal(message)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	compact.Grow(len(loose))
	if err := json.Compact(&compact, loose); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

// ReadCanonical reads what Canonical has written into an empty message, and any other
// JSON of it. Fields that a newer writer has added are left out. Its errors may quote
// what it reads.
func ReadCanonical(data []byte, into proto.Message) error {
	if formOf(into.ProtoReflect().Descriptor()).read(data, into.ProtoReflect()) {
		return nil
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, into) // it empties the message first
}

// seal returns a copy of message whose personal values are sealed, and the name
// of the key; the message itself where it has no personal values.
func (c *Codec) seal(ctx context.Context, t *Type, message proto.Message, id uuid.UUID) (proto.Message, string, error) {
	if len(t.plan.fields) == 0 {
		return message, "", nil
	}
	sealed := proto.Clone(message)
	var s *sealer
	var subject string
	err := t.plan.replace(sealed.ProtoReflect(), "", func(path, value string) (string, error) {
		if s == nil {
			var err error
			if subject, s, err = c.sealerFor(ctx, t, message, id); err != nil {
				return "", err
			}
		}
		return s.seal(path, value)
	})
	if err != nil {
		return nil, "", err
	}
	return sealed, subject, nil
}

func (c *Codec) sealerFor(ctx context.Context, t *Type, message proto.Message, id uuid.UUID) (string, *sealer, error) {
	subject, ok := t.plan.subject(message.ProtoReflect())
	if !ok {
		return "", nil, ErrNoSubject
	}
	key, err := c.ring.Key(ctx, subject)
	if err != nil {
		return "", nil, err
	}
	s, err := newSealer(key, id, string(t.Schema))
	return subject, s, err
}

// Decode reads an event. It fails with ErrUnknownType, ErrMalformed or
// ErrTampered when the event can't be read, whoever reads it, and with
// keyring.ErrUnknownKey when the key ring is the wrong one. Fields that a newer
// writer has added are left out.
func (c *Codec) Decode(ctx context.Context, raw eventlog.Event) (Event, error) {
	event, err := c.decode(ctx, raw)
	if err != nil {
		return Event{}, fmt.Errorf("decode %s@%d (%s): %w", raw.Stream, raw.Revision, raw.ID, err)
	}
	return event, nil
}

func (c *Codec) decode(ctx context.Context, raw eventlog.Event) (Event, error) {
	md, err := DecodeMetadata(raw.Metadata)
	if err != nil {
		return Event{}, err
	}
	t, err := c.registry.find(raw.Type, md.DataSchema)
	if err != nil {
		return Event{}, err
	}
	event := Event{Event: raw, Message: t.New(), Metadata: md}
	if err := ReadCanonical(raw.Data, event.Message); err != nil {
		return Event{}, malformedData(err)
	}
	if err := c.open(ctx, t, &event); err != nil {
		return Event{}, err
	}
	return event, nil
}

// placeInData is where protojson stopped reading.
var placeInData = regexp.MustCompile(`\(line \d+:\d+\)`)

// malformedData tells where data goes wrong, and not how: protojson quotes what
// it finds there, which may be personal.
func malformedData(err error) error {
	place := placeInData.FindString(err.Error())
	if place == "" {
		place = "it is not whole"
	}
	return fmt.Errorf("%w: data: it is not what the contract says: %s", ErrMalformed, place)
}

// open opens the event's sealed values, or empties them when their key was
// destroyed.
func (c *Codec) open(ctx context.Context, t *Type, event *Event) error {
	var s *sealer
	return t.plan.replace(event.Message.ProtoReflect(), "", func(path, value string) (string, error) {
		if s == nil && !event.Erased {
			var err error
			s, err = c.openerOf(ctx, t, event)
			if errors.Is(err, keyring.ErrDestroyed) {
				event.Erased = true
			} else if err != nil {
				return "", err
			}
		}
		if event.Erased {
			_, err := unwrap(value) // an erased event shows nothing that was not sealed
			return "", err
		}
		return s.open(path, value)
	})
}

// Again returns an event that was decoded a while ago as Decode returns it now:
// without its personal values when the person was erased meanwhile.
func (c *Codec) Again(ctx context.Context, event Event) (Event, error) {
	if event.Erased || event.Metadata.SealedFor == "" {
		return event, nil
	}
	_, err := c.ring.Existing(ctx, event.Metadata.SealedFor)
	if err == nil {
		return event, nil
	}
	if !errors.Is(err, keyring.ErrDestroyed) {
		return Event{}, fmt.Errorf("look whether %s can still be read: %w", event.ID, err)
	}
	return c.Decode(ctx, event.Event)
}

func (c *Codec) openerOf(ctx context.Context, t *Type, event *Event) (*sealer, error) {
	if event.Metadata.SealedFor == "" {
		return nil, fmt.Errorf("%w: the metadata names no key", ErrTampered)
	}
	key, err := c.ring.Existing(ctx, event.Metadata.SealedFor)
	if err != nil {
		return nil, err
	}
	return newSealer(key, event.ID, string(t.Schema))
}
