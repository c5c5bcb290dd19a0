package eventkind

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

var at = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)

func TestScenarioCH4EventKinds(t *testing.T) {
	scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
		states := map[string]State{}
		return map[string]scenario.Command{
			"register": func(d scenario.Words) string {
				command, err := registered(&channelv1.RegisterEventKindRequest{Kind: d.Get("kind"), Schema: object(t, d)})
				if err != nil {
					return scenario.Tell(nil, err)
				}
				command.at = at
				state := states[command.kind]
				told := scenario.Decide(&state, Decider, func(s State) ([]proto.Message, error) { return command.Decide(s) })
				states[command.kind] = state
				if told == "nothing\n" {
					return fmt.Sprintf("nothing: it is version %d\n", state.version(command.schema.text))
				}
				return told
			},
			"check": func(d scenario.Words) string {
				name := d.Get("kind")
				known, err := builtIn()
				if err != nil {
					t.Fatal(err)
				}
				kind := known[name]
				if n := len(states[name].schemas); n > 0 {
					schema, err := read(states[name].schemas[n-1])
					if err != nil {
						t.Fatal(err)
					}
					kind = &Kind{Name: name, Version: uint32(n), schema: schema}
				}
				if kind == nil {
					return "there is no such kind\n"
				}
				if violations := kind.Check("other.data", object(t, d).AsMap()); len(violations) > 0 {
					return scenario.Tell(nil, fault.Invalid(violations...))
				}
				return fmt.Sprintf("fits version %d\n", kind.Version)
			},
		}
	})
}

// object is the JSON that follows a command.
func object(t *testing.T, d scenario.Words) *structpb.Struct {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(d.Input), &o); err != nil {
		d.Fatalf(t, "%v", err)
	}
	s, err := structpb.NewStruct(o)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return s
}
