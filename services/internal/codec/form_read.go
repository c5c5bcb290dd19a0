package codec

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// read reads data into an empty message. Where it returns false, parts of it may
// have been read.
func (f *form) read(data []byte, into protoreflect.Message) bool {
	if f == nil {
		return false
	}
	s := scanner{rest: string(data)} // one string, of which the fields are parts
	return s.message(f, into) && s.rest == ""
}

func (s *scanner) message(f *form, into protoreflect.Message) bool {
	if s.take("{}") {
		return true
	}
	if !s.take("{") {
		return false
	}
	var seen uint64
	for {
		key, ok := s.text()
		field := f.byName[key]
		if !ok || field == nil || seen&field.bit != 0 || !s.take(":") || !s.field(field, into) {
			return false
		}
		seen |= field.bit
		if s.take("}") {
			return true
		}
		if !s.take(",") {
			return false
		}
	}
}

func (s *scanner) field(f *formField, into protoreflect.Message) bool {
	switch {
	case f.list:
		return s.list(f, into.Mutable(f.FieldDescriptor).List())
	case f.value == messageValue:
		return s.message(f.into, into.Mutable(f.FieldDescriptor).Message())
	default:
		v, ok := s.one(f)
		if ok {
			into.Set(f.FieldDescriptor, v)
		}
		return ok
	}
}

// list reads a list of one at least.
func (s *scanner) list(f *formField, into protoreflect.List) bool {
	if !s.take("[") {
		return false
	}
	for {
		if f.value == messageValue {
			if !s.message(f.into, into.AppendMutable().Message()) {
				return false
			}
		} else {
			v, ok := s.one(f)
			if !ok {
				return false
			}
			into.Append(v)
		}
		if s.take("]") {
			return true
		}
		if !s.take(",") {
			return false
		}
	}
}

func (s *scanner) one(f *formField) (v protoreflect.Value, ok bool) {
	switch f.value {
	case textValue:
		text, ok := s.text()
		return protoreflect.ValueOfString(text), ok
	case enumValue:
		name, ok := s.text()
		known := f.Enum().Values().ByName(protoreflect.Name(name))
		if !ok || known == nil {
			return v, false
		}
		return protoreflect.ValueOfEnum(known.Number()), true
	case boolValue:
		is := s.take("true")
		return protoreflect.ValueOfBool(is), is || s.take("false")
	case int32Value:
		n, ok := signed(s.digits(), 32)
		return protoreflect.ValueOfInt32(int32(n)), ok
	case uint32Value:
		n, ok := unsigned(s.digits(), 32)
		return protoreflect.ValueOfUint32(uint32(n)), ok
	case int64Value:
		text, quoted := s.text()
		n, ok := signed(text, 64)
		return protoreflect.ValueOfInt64(n), ok && quoted
	case uint64Value:
		text, quoted := s.text()
		n, ok := unsigned(text, 64)
		return protoreflect.ValueOfUint64(n), ok && quoted
	case doubleValue:
		x, ok := s.double()
		return protoreflect.ValueOfFloat64(x), ok
	case timestampValue:
		return s.timestamp()
	case durationValue:
		return s.duration()
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

// double takes a number as JSON writes it (RFC 8259, section 6).
func (s *scanner) double() (float64, bool) {
	before := s.rest
	s.take("-")
	ok := isPlain(s.figures())
	if s.take(".") {
		ok = ok && s.figures() != ""
	}
	if s.take("e") {
		_ = s.take("-") || s.take("+")
		ok = ok && s.figures() != ""
	}
	x, err := strconv.ParseFloat(before[:len(before)-len(s.rest)], 64)
	return x, ok && err == nil
}

// figures takes figures, if there are any.
func (s *scanner) figures() string {
	n := 0
	for n < len(s.rest) && s.rest[n] >= '0' && s.rest[n] <= '9' {
		n++
	}
	text := s.rest[:n]
	s.rest = s.rest[n:]
	return text
}

// timestamp takes a time in UTC.
func (s *scanner) timestamp() (v protoreflect.Value, ok bool) {
	text, ok := s.text()
	if !ok || !strings.HasSuffix(text, "Z") || len(text) > len("2006-01-02T15:04:05.999999999Z") {
		return v, false
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return v, false
	}
	at := timestamppb.New(t)
	return protoreflect.ValueOfMessage(at.ProtoReflect()), at.CheckValid() == nil
}

// duration takes a duration in seconds that Go can hold.
func (s *scanner) duration() (v protoreflect.Value, ok bool) {
	text, _ := s.text()
	seconds, ok := strings.CutSuffix(text, "s")
	_, fraction, _ := strings.Cut(seconds, ".")
	number := scanner{rest: seconds}
	if _, is := number.double(); !ok || !is || number.rest != "" || strings.Contains(seconds, "e") || len(fraction) > len("999999999") {
		return v, false
	}
	d, err := time.ParseDuration(text)
	return protoreflect.ValueOfMessage(durationpb.New(d).ProtoReflect()), err == nil
}
