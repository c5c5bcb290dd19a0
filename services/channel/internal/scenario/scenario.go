// Package scenario writes what a command came to so that a product owner can
// read it: for the scenario tests of the capabilities.
package scenario

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// Command is what a line of a scenario stands for.
type Command func(*datadriven.TestData) string

// Run plays each scenario in the folder dir, on commands made anew for each. A
// command that a scenario does not know is refused.
func Run(t *testing.T, dir string, commands func(t *testing.T) map[string]Command) {
	datadriven.Walk(t, dir, func(t *testing.T, path string) {
		known := commands(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			command, ok := known[d.Cmd]
			if !ok {
				d.Fatalf(t, "there is no command %q", d.Cmd)
			}
			return command(d)
		})
	})
}

// Decide has a command decided on the state, which it then brings up to date,
// and tells what came of it.
func Decide[S any](state *S, d decider.Decider[S], decide func(S) ([]proto.Message, error)) string {
	events, err := decide(*state)
	for _, e := range events {
		*state = d.Evolve(*state, e)
	}
	return Tell(events, err)
}

// Tell writes events one a line, or the refusal.
func Tell(events []proto.Message, err error) string {
	if f, ok := fault.Of(err); ok {
		return fmt.Sprintf("refused: %s\n", f.Message)
	}
	if err != nil {
		return fmt.Sprintf("failed: %v\n", err)
	}
	if len(events) == 0 {
		return "nothing happens\n"
	}
	var b strings.Builder
	for _, e := range events {
		b.WriteString(line(e) + "\n")
	}
	return b.String()
}

func line(e proto.Message) string {
	m := e.ProtoReflect()
	words := []string{string(m.Descriptor().Name())}
	for i := range m.Descriptor().Fields().Len() {
		if field := m.Descriptor().Fields().Get(i); m.Has(field) {
			words = append(words, fmt.Sprintf("%s=%s", field.Name(), value(field, m.Get(field))))
		}
	}
	return strings.Join(words, " ")
}

func value(field protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch field.Kind() {
	case protoreflect.EnumKind:
		return Word(field.Enum(), v.Enum())
	case protoreflect.MessageKind:
		if at, ok := v.Message().Interface().(*timestamppb.Timestamp); ok {
			return at.AsTime().Format(time.RFC3339)
		}
	case protoreflect.StringKind:
		if strings.ContainsAny(v.String(), " \n") {
			return fmt.Sprintf("%q", v.String())
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

// Arg returns the argument of a command; the empty string where it has none.
func Arg(d *datadriven.TestData, name string) string {
	for _, arg := range d.CmdArgs {
		if arg.Key == name && len(arg.Vals) == 1 {
			return arg.Vals[0]
		}
	}
	return ""
}
