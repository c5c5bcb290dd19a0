package codec

import (
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// write appends a message. What it has appended is worth nothing where ok is false.
func (f *form) write(out []byte, m protoreflect.Message) (_ []byte, ok bool) {
	out = append(out, '{')
	for _, field := range f.fields {
		if !m.Has(field.FieldDescriptor) {
			continue
		}
		out = append(out, field.key...)
		if out, ok = field.write(out, m.Get(field.FieldDescriptor)); !ok {
			return nil, false
		}
		out = append(out, ',')
	}
	return closed(out, '}'), true
}

// closed ends what is separated, and has a separator too many unless it is empty.
func closed(out []byte, with byte) []byte {
	if out[len(out)-1] == ',' {
		out = out[:len(out)-1]
	}
	return append(out, with)
}

func (f *formField) write(out []byte, v protoreflect.Value) (_ []byte, ok bool) {
	if !f.list {
		return f.writeOne(out, v)
	}
	out = append(out, '[')
	list := v.List()
	for i := range list.Len() {
		if out, ok = f.writeOne(out, list.Get(i)); !ok {
			return nil, false
		}
		out = append(out, ',')
	}
	return closed(out, ']'), true
}

func (f *formField) writeOne(out []byte, v protoreflect.Value) (_ []byte, ok bool) {
	switch f.value {
	case textValue:
		return writeText(out, v.String())
	case enumValue:
		known := f.Enum().Values().ByNumber(v.Enum())
		if known == nil {
			return strconv.AppendInt(out, int64(v.Enum()), 10), true
		}
		return writeText(out, string(known.Name()))
	case boolValue:
		return strconv.AppendBool(out, v.Bool()), true
	case int32Value:
		return strconv.AppendInt(out, v.Int(), 10), true
	case uint32Value:
		return strconv.AppendUint(out, v.Uint(), 10), true
	case int64Value: // JSON's own numbers are too small for these
		return append(strconv.AppendInt(append(out, '"'), v.Int(), 10), '"'), true
	case uint64Value:
		return append(strconv.AppendUint(append(out, '"'), v.Uint(), 10), '"'), true
	case doubleValue:
		return writeDouble(out, v.Float())
	case messageValue:
		return f.into.write(out, v.Message())
	case timestampValue:
		return writeTimestamp(out, v.Message().Interface())
	case durationValue:
		return writeDuration(out, v.Message().Interface())
	default:
		return nil, false
	}
}

// writeText writes a text in which nothing is to be escaped.
func writeText(out []byte, text string) (_ []byte, ok bool) {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			return nil, false
		}
	}
	if !utf8.ValidString(text) {
		return nil, false
	}
	out = append(out, '"')
	out = append(out, text...)
	return append(out, '"'), true
}

// Beyond these a number is written with an exponent (ECMA-262, Number::toString).
const (
	leastPlain = 1e-6
	mostPlain  = 1e21
)

func writeDouble(out []byte, x float64) (_ []byte, ok bool) {
	size := math.Abs(x)
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return nil, false
	case size == 0 || size >= leastPlain && size < mostPlain:
		return strconv.AppendFloat(out, x, 'f', -1, 64), true
	}
	out = strconv.AppendFloat(out, x, 'e', -1, 64)
	// Go writes two digits of an exponent at least: e-07.
	if n := len(out); out[n-4] == 'e' && out[n-3] == '-' && out[n-2] == '0' {
		out = append(out[:n-2], out[n-1])
	}
	return out, true
}

func writeTimestamp(out []byte, message any) (_ []byte, ok bool) {
	at, ok := message.(*timestamppb.Timestamp)
	if !ok || at.CheckValid() != nil {
		return nil, false
	}
	out = at.AsTime().AppendFormat(append(out, '"'), "2006-01-02T15:04:05")
	return append(writeFraction(out, at.GetNanos()), 'Z', '"'), true
}

func writeDuration(out []byte, message any) (_ []byte, ok bool) {
	d, ok := message.(*durationpb.Duration)
	if !ok || d.CheckValid() != nil {
		return nil, false
	}
	seconds, nanos := d.GetSeconds(), d.GetNanos()
	out = append(out, '"')
	if seconds < 0 || nanos < 0 {
		out, seconds, nanos = append(out, '-'), -seconds, -nanos
	}
	return append(writeFraction(strconv.AppendInt(out, seconds, 10), nanos), 's', '"'), true
}

// writeFraction writes a fraction of a second with 3, 6 or 9 digits, as few as
// will do, or not at all.
func writeFraction(out []byte, nanos int32) []byte {
	digits := 9
	switch {
	case nanos == 0:
		return out
	case nanos%1_000_000 == 0:
		nanos, digits = nanos/1_000_000, 3
	case nanos%1_000 == 0:
		nanos, digits = nanos/1_000, 6
	}
	out = append(out, '.')
	for zeros := digits - len(strconv.Itoa(int(nanos))); zeros > 0; zeros-- {
		out = append(out, '0')
	}
	return strconv.AppendInt(out, int64(nanos), 10)
}
