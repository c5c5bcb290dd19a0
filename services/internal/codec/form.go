package codec

import (
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// form is the one form in which a message is written as JSON: that of protojson,
// without spaces. To write it, and to read what is in it, takes a quarter of the
// time of protojson, which every writer and every consumer of every event would
// spend. Whatever it does not know, and what is not in this form, it gives up on, and
// protojson decides.
type form struct {
	fields []*formField // in the order in which they are declared
	byName map[string]*formField
}

// formField is a field of which the form is known.
type formField struct {
	protoreflect.FieldDescriptor

	key   string // how it is written, with the colon
	list  bool
	value value
	into  *form // of a message of ours
	bit   uint64
}

// value is what a field holds, or what each in its list does.
type value int

const (
	unknownValue value = iota
	textValue
	enumValue
	boolValue
	int32Value
	int64Value
	uint32Value
	uint64Value
	doubleValue
	messageValue
	timestampValue
	durationValue
)

var values = map[protoreflect.Kind]value{
	protoreflect.StringKind: textValue, protoreflect.EnumKind: enumValue, protoreflect.BoolKind: boolValue,
	protoreflect.Int32Kind: int32Value, protoreflect.Int64Kind: int64Value,
	protoreflect.Uint32Kind: uint32Value, protoreflect.Uint64Kind: uint64Value, protoreflect.DoubleKind: doubleValue,
}

var (
	timestampName = (*timestamppb.Timestamp)(nil).ProtoReflect().Descriptor().FullName()
	durationName  = (*durationpb.Duration)(nil).ProtoReflect().Descriptor().FullName()
)

func valueOf(field protoreflect.FieldDescriptor) value {
	switch message := field.Message(); {
	case field.ContainingOneof() != nil && !field.ContainingOneof().IsSynthetic():
		return unknownValue
	case message == nil:
		return values[field.Kind()]
	case field.IsMap():
		return unknownValue
	case message.FullName() == timestampName:
		return timestampValue
	case message.FullName() == durationName:
		return durationValue
	case isForeign(message):
		return unknownValue
	default:
		return messageValue
	}
}

// isForeign tells that a message may have a form of its own.
func isForeign(message protoreflect.MessageDescriptor) bool {
	return message.ParentFile().Package() == timestampName.Parent()
}

// forms are those of all messages that were asked for, by name.
var forms struct {
	sync.RWMutex

	known map[protoreflect.FullName]*form
}

// formOf returns the form of a message; nil when only protojson knows it.
func formOf(message protoreflect.MessageDescriptor) *form {
	forms.RLock()
	f, ok := forms.known[message.FullName()]
	forms.RUnlock()
	if ok {
		return f
	}
	forms.Lock()
	defer forms.Unlock()
	if forms.known == nil {
		forms.known = map[protoreflect.FullName]*form{}
	}
	return learnForm(message)
}

// learnForm learns a form once, as a message may hold itself.
func learnForm(message protoreflect.MessageDescriptor) *form {
	if f, ok := forms.known[message.FullName()]; ok {
		return f
	}
	declared := message.Fields()
	if isForeign(message) || declared.Len() > 64 { // as many as there are bits to note them in
		forms.known[message.FullName()] = nil
		return nil
	}
	f := &form{byName: map[string]*formField{}}
	forms.known[message.FullName()] = f
	for i := range declared.Len() {
		descriptor := declared.Get(i)
		field := &formField{
			FieldDescriptor: descriptor, key: `"` + descriptor.JSONName() + `":`,
			list: descriptor.IsList(), value: valueOf(descriptor), bit: 1 << i,
		}
		if field.value == messageValue {
			if field.into = learnForm(descriptor.Message()); field.into == nil {
				field.value = unknownValue
			}
		}
		f.fields = append(f.fields, field)
		f.byName[descriptor.JSONName()] = field
	}
	return f
}
