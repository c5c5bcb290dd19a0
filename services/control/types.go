package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/contract"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Errors about event types.
var (
	// ErrUnknownType says that no build that runs waits to write such a type.
	ErrUnknownType = errors.New("no service that runs waits to write this type; triangle types list shows those that do")
	// ErrNotRead says that a type can't be activated yet.
	ErrNotRead = errors.New("not every replica takes it in yet")
)

// Type is an event type, in one version, that is written only once it is active.
type Type struct {
	// Schema is the full name of its message, such as sales.v2.BonusGranted.
	Schema string
	// Flows are those that carry it.
	Flows []string
	// Activated is when it became active, and Activation what was said then; nil
	// when it is not.
	Activated  time.Time
	Activation *flowv1.TypeActivated
	// Missing names who can't take it in, and why: a line each.
	Missing []string
}

// Types returns the types that are active by an event, and those that a running
// build waits to write, in the order of their names.
func (f *Flows) Types(ctx context.Context) ([]Type, error) {
	all, _, err := f.types(ctx)
	return all, err
}

// types returns the types, too, under what is expected of the stream that one
// is activated in.
func (f *Flows) types(ctx context.Context) (all []Type, expected eventlog.Expected, err error) {
	streams := &decider.Streams{Log: f.log, Codec: f.codec}
	expected = eventlog.NoStream
	active := map[string]Type{}
	err = f.read(ctx, flows.ActivationsStream, eventlog.Forward, 0, 0, func(e codec.Event) {
		expected = eventlog.At(e.Revision)
		if a, ok := e.Message.(*flowv1.TypeActivated); ok {
			active[a.GetSchema()] = Type{Activated: e.Created, Activation: a}
		}
	})
	if err != nil {
		return nil, expected, err
	}
	known, now, err := contract.Known(ctx, streams)
	if err != nil {
		return nil, expected, err
	}
	var schemas []string
	for schema := range active {
		schemas = append(schemas, schema)
	}
	for _, r := range contract.Running(known, now) {
		schemas = append(schemas, r.Contract.GetGated()...)
	}
	slices.Sort(schemas)
	for _, schema := range slices.Compact(schemas) {
		t := active[schema]
		activation, missing := contract.Activation(known, now, schema)
		t.Schema, t.Flows, t.Missing = schema, activation.GetFlows(), missing
		all = append(all, t)
	}
	return all, expected, nil
}

// Activate says that a type may be written from now on. Nothing changes when it
// is active already. It fails with ErrUnknownType, and with ErrNotRead when some
// replica, old images included, can't take the type in: the error names them.
func (f *Flows) Activate(ctx context.Context, schema, by, reason string) (Type, error) {
	for {
		all, expected, err := f.types(ctx)
		if err != nil {
			return Type{}, err
		}
		i := slices.IndexFunc(all, func(t Type) bool { return t.Schema == schema })
		if i < 0 {
			return Type{}, fmt.Errorf("%q: %w", schema, ErrUnknownType)
		}
		t := all[i]
		if t.Activation != nil {
			return t, nil
		}
		if len(t.Missing) > 0 {
			return t, fmt.Errorf("%s: %w: %s", schema, ErrNotRead, strings.Join(t.Missing, "; "))
		}
		t.Activation, t.Activated = &flowv1.TypeActivated{Schema: schema, Flows: t.Flows, By: by, Reason: reason}, time.Now().UTC()
		_, err = f.append(ctx, flows.ActivationsStream, expected, told{id: uuid.New(), message: t.Activation, by: by, subject: schema, at: t.Activated})
		if errors.Is(err, eventlog.ErrWrongRevision) {
			continue
		}
		if err != nil {
			return t, fmt.Errorf("activate %s: %w", schema, err)
		}
		return t, nil
	}
}
