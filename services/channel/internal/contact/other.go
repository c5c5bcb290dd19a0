package contact

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/eventkind"
	"github.com/triangle-suite/triangle/services/internal/call"
)

// Record says that something of a registered kind happened, which fits the kind's
// schema. Like interest it may be shown again and again.
type Record struct {
	Kind    string
	Version uint32
	Data    string // a JSON object
}

// Decide decides it.
func (c Record) Decide(s State) ([]proto.Message, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	return []proto.Message{&channelv1.CommercialEventRecorded{
		ContactId: s.ID, CustomerId: s.CustomerID, Kind: c.Kind, Version: c.Version, Data: c.Data,
	}}, nil
}

// checkOther looks over an event that is named by its kind. One of a built-in kind
// is the event that the kind stands for.
func (a *API) checkOther(ctx context.Context, checks *call.Checks, e *channelv1.KindEvent) (happening, error) {
	checks.Slug("other.kind", e.GetKind())
	if !isKind(e.GetKind()) {
		return happening{}, nil
	}
	kind, err := a.Kinds.Find(ctx, e.GetKind())
	if err != nil {
		return happening{}, err
	}
	if kind == nil {
		checks.Fail("other.kind", "is registered nowhere: register its schema first")
		return happening{}, nil
	}
	data := e.GetData().AsMap()
	if violations := kind.Check("other.data", data); len(violations) > 0 {
		for _, v := range violations {
			checks.Fail(v.Field, "%s", v.Description)
		}
		return happening{}, nil
	}
	text, err := json.Marshal(data) // the keys of objects in their order
	if err != nil {
		return happening{}, fmt.Errorf("write the data of an event: %w", err)
	}
	if kind.Form != "" {
		return builtIn(checks, kind, text)
	}
	checks.That(len(text) <= longestData, "other.data", "must be at most %d bytes", longestData)
	return happening{command: Record{Kind: kind.Name, Version: kind.Version, Data: string(text)}}, nil
}

// isKind tells whether a kind may be called so.
func isKind(name string) bool {
	var checks call.Checks
	checks.Slug("kind", name)
	return checks.Err() == nil
}

// longestData is how long an event's data may be, in bytes of JSON without spaces.
const longestData = 16_000

// builtIn is an event of a built-in kind, in the form that the kind has in the API.
func builtIn(checks *call.Checks, kind *eventkind.Kind, data []byte) (happening, error) {
	var request channelv1.RecordEventRequest
	if err := protojson.Unmarshal(fmt.Appendf(nil, `{%q: %s}`, kind.Form, data), &request); err != nil {
		return happening{}, fmt.Errorf("read an event of the kind %s: %w", kind.Name, err)
	}
	return checkEvent(checks, &request), nil
}
