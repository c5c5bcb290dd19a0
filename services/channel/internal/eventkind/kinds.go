package eventkind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// Kind is a kind of commercial event, by the last version of its schema.
type Kind struct {
	Name    string
	Version uint32
	// Form is the field of a RecordEventRequest that a built-in kind is recorded by;
	// empty where it is not built in.
	Form string

	schema *schema
}

// Check tells all that is wrong with the data of an event, which stand in a field.
func (k *Kind) Check(field string, data map[string]any) []fault.Violation {
	return k.schema.check(field, data)
}

// Kinds looks kinds up. It keeps what it has compiled: a version of a schema is
// for ever.
type Kinds struct {
	Streams *decider.Streams

	compiled sync.Map // *Kind by version{}
}

type version struct {
	kind   string
	number int
}

// Find returns a kind as it is now, from its stream; nil when there is none.
func (k *Kinds) Find(ctx context.Context, name string) (*Kind, error) {
	known, err := builtIn()
	if err != nil {
		return nil, err
	}
	if kind := known[name]; kind != nil {
		return kind, nil
	}
	state, _, err := decider.Load(ctx, k.Streams, Stream(name), Decider)
	if err != nil {
		return nil, fmt.Errorf("look up event kind %s: %w", name, err)
	}
	last := version{name, len(state.schemas)}
	if last.number == 0 {
		return nil, nil
	}
	if kind, ok := k.compiled.Load(last); ok {
		return kind.(*Kind), nil
	}
	schema, err := read(state.schemas[last.number-1])
	if err != nil {
		return nil, fmt.Errorf("event kind %s: %w", name, err)
	}
	kind := &Kind{Name: name, Version: uint32(last.number), schema: schema}
	k.compiled.Store(last, kind)
	return kind, nil
}

// read reads a schema that was registered.
func read(text string) (*schema, error) {
	var doc map[string]any
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fmt.Errorf("read a schema: %w", err)
	}
	schema, violations := parse(doc)
	if len(violations) > 0 {
		return nil, errors.New("this build does not take a schema that was registered: " + fault.Invalid(violations...).Message)
	}
	return schema, nil
}
