package serve

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// RequestDigestInput returns the bytes that a request's digest is made of: two
// requests have the same bytes exactly when they say the same.
//
// The digest is remembered for ever, beside the idempotency key, and compared by
// images of other versions; protobuf's own deterministic encoding promises
// nothing across versions. So this form is ours: the message's name, then its
// fields that are set, by number. It holds personal data as the request does:
// digest it with a key, and do not keep it.
func RequestDigestInput(req proto.Message) []byte {
	m := req.ProtoReflect()
	return appendMessage(protowire.AppendString(nil, string(m.Descriptor().FullName())), m)
}

func appendMessage(b []byte, m protoreflect.Message) []byte {
	var fields []protoreflect.FieldDescriptor
	m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		fields = append(fields, fd)
		return true
	})
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return cmp.Compare(a.Number(), b.Number()) })
	b = protowire.AppendVarint(b, uint64(len(fields)))
	for _, fd := range fields {
		b = protowire.AppendVarint(b, uint64(fd.Number()))
		b = appendField(b, fd, m.Get(fd))
	}
	// Fields that only a newer caller knows tell requests apart too.
	return protowire.AppendBytes(b, m.GetUnknown())
}

func appendField(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch {
	case fd.IsMap():
		return appendMap(b, fd, v.Map())
	case fd.IsList():
		list := v.List()
		b = protowire.AppendVarint(b, uint64(list.Len()))
		for i := range list.Len() {
			b = appendValue(b, fd, list.Get(i))
		}
		return b
	default:
		return appendValue(b, fd, v)
	}
}

func appendMap(b []byte, fd protoreflect.FieldDescriptor, m protoreflect.Map) []byte {
	entries := make([][]byte, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		entry := appendValue(nil, fd.MapKey(), k.Value())
		entries = append(entries, appendValue(entry, fd.MapValue(), v))
		return true
	})
	slices.SortFunc(entries, bytes.Compare)
	b = protowire.AppendVarint(b, uint64(len(entries)))
	for _, entry := range entries {
		b = protowire.AppendBytes(b, entry)
	}
	return b
}

func appendValue(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return appendMessage(b, v.Message())
	case protoreflect.StringKind:
		return protowire.AppendString(b, v.String())
	case protoreflect.BytesKind:
		return protowire.AppendBytes(b, v.Bytes())
	case protoreflect.BoolKind:
		return protowire.AppendVarint(b, protowire.EncodeBool(v.Bool()))
	case protoreflect.EnumKind:
		return protowire.AppendVarint(b, protowire.EncodeZigZag(int64(v.Enum())))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return protowire.AppendFixed64(b, math.Float64bits(v.Float()))
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return protowire.AppendVarint(b, v.Uint())
	default: // the signed kinds
		return protowire.AppendVarint(b, protowire.EncodeZigZag(v.Int()))
	}
}
