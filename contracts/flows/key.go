package flows

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// KeyOf returns the key of an event in a flow: the value of the first of the
// flow's key fields that the event has, with a value. ok is false when there is
// none.
func KeyOf(f Flow, event proto.Message) (key string, ok bool) {
	m := event.ProtoReflect()
	for _, name := range f.Key {
		field := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if field == nil || !m.Has(field) {
			continue
		}
		switch field.Kind() {
		case protoreflect.StringKind:
			return m.Get(field).String(), true
		case protoreflect.EnumKind:
			if value := field.Enum().Values().ByNumber(m.Get(field).Enum()); value != nil {
				return string(value.Name()), true
			}
		}
	}
	return "", false
}
