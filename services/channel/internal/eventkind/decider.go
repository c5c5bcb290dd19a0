package eventkind

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// Stream is the stream of a kind.
func Stream(kind string) string { return "event-kind-" + kind }

// State is the schemas of a kind, version 1 first.
type State struct{ schemas []string }

// Decider is the pure core of a kind.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve:  evolve,
}

func evolve(s State, event proto.Message) State {
	if e, ok := event.(*channelv1.EventKindRegistered); ok {
		s.schemas = append(slices.Clip(s.schemas), e.GetSchema())
	}
	return s
}

// version is the one of a schema; 0 when it is none of the kind's.
func (s State) version(schema string) uint32 {
	return uint32(slices.Index(s.schemas, schema) + 1)
}

// register has a kind looked at by a schema from now on.
type register struct {
	kind   string
	schema *schema
	at     time.Time
}

// Decide decides it. A schema that the kind has had before is known: who still
// writes by it may say so again.
func (c register) Decide(s State) ([]proto.Message, error) {
	if s.version(c.schema.text) > 0 {
		return nil, nil
	}
	if n := len(s.schemas); n > 0 {
		last, err := read(s.schemas[n-1])
		if err != nil {
			return nil, err
		}
		if broken := grown("schema", last.doc, c.schema.doc); len(broken) > 0 {
			return nil, fault.Precondition("it is no next version of version %d: %s", n, fault.Invalid(broken...).Message).
				WithReason("SCHEMA_NOT_COMPATIBLE")
		}
	}
	return []proto.Message{&channelv1.EventKindRegistered{
		Kind: c.kind, Version: uint32(len(s.schemas) + 1), Schema: c.schema.text, RegisteredAt: timestamppb.New(c.at),
	}}, nil
}
