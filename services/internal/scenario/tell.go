package scenario

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/triangle-suite/triangle/services/internal/fault"
)

// Tell writes events one a line, or the refusal.
func Tell(events []proto.Message, err error) string {
	f, refused := fault.Of(err)
	switch {
	case refused:
		return refusal(f)
	case err != nil:
		return fmt.Sprintf("failed: %v\n", err)
	case len(events) == 0:
		return "nothing\n"
	}
	var b strings.Builder
	for _, e := range events {
		m := e.ProtoReflect()
		fmt.Fprintln(&b, strings.Join(append([]string{string(m.Descriptor().Name())}, fields(m)...), " "))
	}
	return b.String()
}

func refusal(f *fault.Error) string {
	if len(f.Violations) > 0 {
		var b strings.Builder
		b.WriteString("refused:\n")
		for _, v := range f.Violations {
			fmt.Fprintf(&b, "  %s %s\n", v.Field, v.Description)
		}
		return b.String()
	}
	if f.Reason != "" {
		return fmt.Sprintf("refused: %s (%s)\n", f.Message, f.Reason)
	}
	return fmt.Sprintf("refused: %s\n", f.Message)
}

// fields writes what a message holds, in the order of the contract.
func fields(m protoreflect.Message) (words []string) {
	for i := range m.Descriptor().Fields().Len() {
		if field := m.Descriptor().Fields().Get(i); m.Has(field) {
			words = append(words, fmt.Sprintf("%s=%s", field.Name(), value(field, m.Get(field))))
		}
	}
	return words
}

func value(field protoreflect.FieldDescriptor, v protoreflect.Value) string {
	if !field.IsList() {
		return single(field, v)
	}
	var all []string
	for i := range v.List().Len() {
		all = append(all, single(field, v.List().Get(i)))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func single(field protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch field.Kind() {
	case protoreflect.EnumKind:
		return Word(field.Enum(), v.Enum())
	case protoreflect.MessageKind:
		if at, ok := v.Message().Interface().(*timestamppb.Timestamp); ok {
			return at.AsTime().Format(time.RFC3339Nano)
		}
		return "{" + strings.Join(fields(v.Message()), " ") + "}"
	case protoreflect.StringKind:
		if text := v.String(); text == "" || strings.ContainsAny(text, " \n\t\"=,[]{}") {
			return fmt.Sprintf("%q", text)
		}
	}
	return v.String()
}

// Word is an enum's value as people say it: call-centre for CHANNEL_CALL_CENTRE.
func Word(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) string {
	v := enum.Values().ByNumber(number)
	if v == nil {
		return fmt.Sprint(number)
	}
	prefix := strings.TrimSuffix(string(enum.Values().ByNumber(0).Name()), "UNSPECIFIED")
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(string(v.Name()), prefix), "_", "-"))
}

// Number is the enum's value that a word stands for.
func Number(t *testing.T, enum protoreflect.EnumDescriptor, word string) protoreflect.EnumNumber {
	t.Helper()
	for i := range enum.Values().Len() {
		if n := enum.Values().Get(i).Number(); Word(enum, n) == word {
			return n
		}
	}
	t.Fatalf("%s has no value %q", enum.Name(), word)
	return 0
}
