package codec

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// flat reads data in the form in which Encode writes it, where a message is flat:
// without spaces, without escapes, in ASCII, with single fields that are no
// messages. It takes a quarter of the time of protojson, which every consumer of
// every event would spend. Whatever it meets besides, it gives up on, and protojson
// decides.
type flat map[string]protoreflect.FieldDescriptor // by their names in JSON

func flatOf(message protoreflect.MessageDescriptor) flat {
	f := flat{}
	for i := range min(message.Fields().Len(), 64) { // as many as there are bits to note them in
		field := message.Fields().Get(i)
		if field.Cardinality() != protoreflect.Repeated && field.ContainingOneof() == nil {
			f[field.JSONName()] = field
		}
	}
	return f
}

// scan reads data into an empty message. Where it returns false, parts of it may
// have been read.
func (f flat) scan(data []byte, into protoreflect.Message) bool {
	s := scanner{rest: string(data)} // one string, of which the fields are parts
	if s.rest == "{}" {
		return true
	}
	if !s.take("{") {
		return false
	}
	var seen uint64
	for {
		key, ok := s.text()
		field := f[key]
		if !ok || field == nil || seen&(1<<field.Index()) != 0 || !s.take(":") {
			return false
		}
		seen |= 1 << field.Index()
		value, ok := s.fieldValue(field)
		if !ok {
			return false
		}
		into.Set(field, value)
		if s.rest == "}" {
			return true
		}
		if !s.take(",") {
			return false
		}
	}
}

func (s *scanner) fieldValue(field protoreflect.FieldDescriptor) (v protoreflect.Value, ok bool) {
	switch field.Kind() {
	case protoreflect.StringKind:
		text, ok := s.text()
		return protoreflect.ValueOfString(text), ok
	case protoreflect.EnumKind:
		name, ok := s.text()
		known := field.Enum().Values().ByName(protoreflect.Name(name))
		if !ok || known == nil {
			return v, false
		}
		return protoreflect.ValueOfEnum(known.Number()), true
	case protoreflect.BoolKind:
		is := s.take("true")
		return protoreflect.ValueOfBool(is), is || s.take("false")
	case protoreflect.Int32Kind:
		n, ok := signed(s.digits(), 32)
		return protoreflect.ValueOfInt32(int32(n)), ok
	case protoreflect.Uint32Kind:
		n, ok := unsigned(s.digits(), 32)
		return protoreflect.ValueOfUint32(uint32(n)), ok
	case protoreflect.Int64Kind: // JSON's own numbers are too small for these
		text, quoted := s.text()
		n, ok := signed(text, 64)
		return protoreflect.ValueOfInt64(n), ok && quoted
	case protoreflect.Uint64Kind:
		text, quoted := s.text()
		n, ok := unsigned(text, 64)
		return protoreflect.ValueOfUint64(n), ok && quoted
	default:
		return v, false
	}
}

// digits takes what may be a whole number.
func (s *scanner) digits() string {
	text := s.rest[:len(s.rest)-len(strings.TrimLeft(s.rest, "-0123456789"))]
	s.rest = s.rest[len(text):]
	return text
}

func signed(text string, bits int) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, bits)
	return n, err == nil && isPlain(strings.TrimPrefix(text, "-"))
}

func unsigned(text string, bits int) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, bits)
	return n, err == nil && isPlain(text)
}

// isPlain tells whether digits are written as JSON writes them.
func isPlain(digits string) bool {
	return digits == "0" || digits != "" && digits[0] >= '1' && digits[0] <= '9'
}
