package story

import (
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	privacyv1 "github.com/triangle-suite/triangle/contracts/privacy/v1"
)

// said are types that say more in other words than in those of their names.
var said = map[string]string{
	"flow.NothingDecided": "found nothing to do",
	"flow.CauseExpired":   "left it alone, as it came too late",
}

// hump is where a word begins within a name.
var hump = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// words is an event type in words: channel.ContactStarted is contact started.
func words(eventType string) string {
	if text, ok := said[eventType]; ok {
		return text
	}
	_, name, ok := strings.Cut(eventType, ".")
	if !ok {
		name = eventType
	}
	return strings.ToLower(hump.ReplaceAllString(name, "$1 $2"))
}

// factsOf returns the single values that an event holds and that are not personal,
// and the names of the fields that hold something personal. Times and the contact's
// id are left out: the story tells them anyhow.
func factsOf(event proto.Message, contact string) (facts []Fact, sealed []string) {
	m := event.ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if !m.Has(field) {
			continue
		}
		if holdsPersonal(field, m.Get(field)) {
			sealed = append(sealed, spoken(field.Name()))
			continue
		}
		if value, ok := single(field, m.Get(field)); ok && value != contact {
			facts = append(facts, Fact{spoken(field.Name()), value})
		}
	}
	return facts, sealed
}

func spoken(name protoreflect.Name) string { return strings.ReplaceAll(string(name), "_", " ") }

// holdsPersonal tells whether a field is personal, or a message within it has a
// personal field that holds something.
func holdsPersonal(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
	if personal, _ := proto.GetExtension(field.Options(), privacyv1.E_Personal).(bool); personal {
		return true
	}
	if field.Kind() != protoreflect.MessageKind || field.IsMap() {
		return false
	}
	if !field.IsList() {
		return anyPersonal(value.Message())
	}
	for i := range value.List().Len() {
		if anyPersonal(value.List().Get(i).Message()) {
			return true
		}
	}
	return false
}

func anyPersonal(m protoreflect.Message) (found bool) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		found = holdsPersonal(field, value)
		return !found
	})
	return found
}

// single writes a value that is one word or text.
func single(field protoreflect.FieldDescriptor, value protoreflect.Value) (string, bool) {
	if field.IsList() || field.IsMap() {
		return "", false
	}
	switch field.Kind() {
	case protoreflect.EnumKind:
		return enumWord(field.Enum(), value.Enum()), true
	case protoreflect.StringKind:
		return value.String(), true
	case protoreflect.BoolKind:
		return strconv.FormatBool(value.Bool()), true
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return strconv.FormatInt(value.Int(), 10), true
	case protoreflect.Uint32Kind:
		return strconv.FormatUint(value.Uint(), 10), true
	default: // messages; and a seed or a digest tells nobody anything
		return "", false
	}
}

// enumWord is an enum's value in words, without the enum's own name before it.
func enumWord(enum protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	value := enum.Values().ByNumber(n)
	if value == nil {
		return strconv.Itoa(int(n))
	}
	prefix := strings.ToUpper(hump.ReplaceAllString(string(enum.Name()), "${1}_$2")) + "_"
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(string(value.Name()), prefix)), "_", " ")
}
