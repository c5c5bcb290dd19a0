// Package scenario runs scenario texts against a decider, so that who knows the
// business can read what the code does:
//
//	place order=o1 cents=1250
//	----
//	OrderPlaced {"customerId":"c1","orderId":"o1",…}
//
// A command shows the events that it gives, "nothing" when there are none, or
// "refused: …" with the reason. The events are folded into the state before the
// next command comes.
package scenario

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// Command makes a decision of the words of a command.
type Command[S any] func(words Words) func(S) ([]proto.Message, error)

// Words are the arguments of a command, such as order=o1.
type Words struct{ *datadriven.TestData }

// Get returns a word's value; empty when it is not given.
func (w Words) Get(name string) string {
	for _, arg := range w.CmdArgs {
		if arg.Key == name && len(arg.Vals) > 0 {
			return arg.Vals[0]
		}
	}
	return ""
}

// Number returns a word's value as a number; 0 when it is not given.
func (w Words) Number(t *testing.T, name string) (n int64) {
	t.Helper()
	if text := w.Get(name); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatalf("%s: %s is no number: %v", w.Pos, name, err)
		}
	}
	return n
}

// List returns all values of a word.
func (w Words) List(name string) []string {
	for _, arg := range w.CmdArgs {
		if arg.Key == name {
			return arg.Vals
		}
	}
	return nil
}

// Run runs every text in a folder, each on a state of its own.
func Run[S any](t *testing.T, folder string, d decider.Decider[S], commands map[string]Command[S]) {
	datadriven.Walk(t, folder, func(t *testing.T, path string) {
		state := d.Initial()
		datadriven.RunTest(t, path, func(t *testing.T, data *datadriven.TestData) string {
			command, ok := commands[data.Cmd]
			if !ok {
				t.Fatalf("%s: there is no command %q", data.Pos, data.Cmd)
			}
			events, err := command(Words{data})(state)
			if err != nil {
				return refused(err)
			}
			for _, event := range events {
				state = d.Evolve(state, event)
			}
			return show(t, events)
		})
	})
}

func refused(err error) string {
	if f, ok := fault.Of(err); ok && f.Reason != "" {
		return fmt.Sprintf("refused: %s (%s)\n", f.Message, f.Reason)
	}
	return fmt.Sprintf("refused: %s\n", err)
}

func show(t *testing.T, events []proto.Message) string {
	t.Helper()
	if len(events) == 0 {
		return "nothing\n"
	}
	var text strings.Builder
	for _, event := range events {
		data, err := codec.Canonical(event)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s %s\n", event.ProtoReflect().Descriptor().Name(), data)
	}
	return text.String()
}
