package codec

import (
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/triangle-suite/triangle/contracts/flows"
)

// ErrNotActive tells that an event type, in this version, must not be written yet.
var ErrNotActive = errors.New("the event type is not active: a replica that can't read it may run (triangle types list names them); write the old way until it is")

// WriteOnceActive returns a codec that writes the types that stand in flows.Gated
// once active says so of their schemas. A codec that was not told writes none of
// them. All types are read, active or not.
func (c *Codec) WriteOnceActive(active func(schema string) bool) *Codec {
	return &Codec{ring: c.ring, registry: c.registry, active: active}
}

// Active tells whether a message may be written as an event. Who has an old way of
// writing asks, and takes it when the new one is not active.
func (c *Codec) Active(message proto.Message) bool {
	return c.isActive(message.ProtoReflect().Descriptor().FullName())
}

func (c *Codec) isActive(schema protoreflect.FullName) bool {
	return !slices.Contains(flows.Gated, string(schema)) || c.active != nil && c.active(string(schema))
}

// NameOf returns the event type of a schema: sales.OrderPlaced of
// sales.v1.OrderPlaced.
func NameOf(schema string) string {
	name, _ := nameOf(protoreflect.FullName(schema))
	return name
}
