// Package scenario runs scenario texts, so that who knows the business can read
// what the code does:
//
//	order id=o1 cents=1250
//	----
//	OrderPlaced order_id=o1 amount_cents=1250 …
//
// A command shows the events that it gives, "nothing" when there are none, or
// "refused: …" with the reasons.
package scenario

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/decider"
)

// Words are the arguments of a command, such as order=o1, and what follows it.
type Words struct{ *datadriven.TestData }

// Get returns a word's value; the empty string when it is not given.
func (w Words) Get(name string) string {
	if all := w.List(name); len(all) > 0 {
		return all[0]
	}
	return ""
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

// Number returns a word's value as a number; 0 when it is not given.
func (w Words) Number(t *testing.T, name string) (n int64) {
	t.Helper()
	if text := w.Get(name); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			w.Fatalf(t, "%s is no number: %v", name, err)
		}
	}
	return n
}

// Command is what a line of a scenario stands for. It returns what it shows.
type Command func(Words) string

// Run plays each scenario in a folder, on commands made anew for each. A command
// that a scenario does not know is refused.
func Run(t *testing.T, folder string, commands func(*testing.T) map[string]Command) {
	datadriven.Walk(t, folder, func(t *testing.T, path string) {
		known := commands(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			command, ok := known[d.Cmd]
			if !ok {
				d.Fatalf(t, "there is no command %q", d.Cmd)
			}
			return command(Words{d})
		})
	})
}

// Decision makes a decision of the words of a command.
type Decision[S any] func(Words) func(S) ([]proto.Message, error)

// RunDecider plays each scenario in a folder, on a state of its own: each command
// is a decision on it.
func RunDecider[S any](t *testing.T, folder string, d decider.Decider[S], decisions map[string]Decision[S]) {
	Run(t, folder, func(*testing.T) map[string]Command {
		state := d.Initial()
		commands := map[string]Command{}
		for name, decision := range decisions {
			commands[name] = func(w Words) string { return Decide(&state, d, decision(w)) }
		}
		return commands
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
