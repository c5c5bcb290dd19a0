package codec

import (
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// DecodeSealed reads an event and leaves its personal values sealed: for who has
// no key ring, and needs none. It fails with ErrUnknownType and ErrMalformed.
func (c *Codec) DecodeSealed(raw eventlog.Event) (Event, error) {
	_, event, err := c.decodeSealed(raw)
	return event, err
}

func (c *Codec) decodeSealed(raw eventlog.Event) (*Type, Event, error) {
	md, err := DecodeMetadata(raw.Metadata)
	if err != nil {
		return nil, Event{}, err
	}
	t, err := c.registry.find(raw.Type, md.DataSchema)
	if err != nil {
		return nil, Event{}, err
	}
	event := Event{Event: raw, Message: t.New(), Metadata: md}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw.Data, event.Message); err != nil {
		return nil, Event{}, malformedData(err)
	}
	return t, event, nil
}
