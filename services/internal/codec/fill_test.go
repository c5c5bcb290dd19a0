package codec_test

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// fill sets every field of a message, each to a value of its own that derives
// from the field's name, and returns the message.
func fill(message proto.Message) proto.Message {
	fillMessage(message.ProtoReflect(), "")
	return message
}

func fillMessage(message protoreflect.Message, path string) {
	switch known := message.Interface().(type) {
	case *timestamppb.Timestamp:
		known.Seconds, known.Nanos = 1_795_000_000+int64(len(path)), 120_000_000
		return
	case *durationpb.Duration:
		known.Seconds, known.Nanos = int64(len(path)), 500_000_000
		return
	}
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		at := path + string(field.Name())
		switch {
		case field.IsMap():
			panic("no contract has a map; teach fill about them when one does")
		case field.IsList():
			list := message.Mutable(field).List()
			for n := range 2 {
				list.Append(element(list.NewElement, field, fmt.Sprint(at, "-", n)))
			}
		default:
			message.Set(field, element(func() protoreflect.Value { return message.NewField(field) }, field, at))
		}
	}
}

func element(empty func() protoreflect.Value, field protoreflect.FieldDescriptor, at string) protoreflect.Value {
	number := int64(field.Number()) + int64(len(at))
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("ü & <" + at + ">")
	case protoreflect.MessageKind:
		value := empty()
		fillMessage(value.Message(), at+".")
		return value
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(values.Len() - 1).Number())
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(number))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(1<<63 + uint64(number)) // more than a float holds
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(-1<<62 - number)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(number) + 0.1)
	default:
		panic(fmt.Sprintf("%s is of kind %s; teach fill about it", field.FullName(), field.Kind()))
	}
}
