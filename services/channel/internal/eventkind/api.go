package eventkind

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// API is the part of the channel's API that is about kinds of commercial events.
type API struct {
	Streams *decider.Streams
	DB      *projection.DB
	Origins call.Origins
}

// RegisterEventKind says what a commercial event of a kind looks like.
func (a *API) RegisterEventKind(ctx context.Context, request *channelv1.RegisterEventKindRequest) (*channelv1.RegisterEventKindResponse, error) {
	command, err := registered(request)
	if err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_RegisterEventKind_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	command.at = origin.Time
	outcome, err := decider.Handle(ctx, a.Streams, origin, Stream(command.kind), Decider, command.Decide)
	if err != nil {
		return nil, err
	}
	return &channelv1.RegisterEventKindResponse{Version: outcome.State.version(command.schema.text)}, nil
}

// registered looks a kind over that is to be registered.
func registered(request *channelv1.RegisterEventKindRequest) (register, error) {
	var checks call.Checks
	checks.Slug("kind", request.GetKind())
	schema, violations := parse(request.GetSchema().AsMap())
	for _, v := range violations {
		checks.Fail(v.Field, "%s", v.Description)
	}
	if err := checks.Err(); err != nil {
		return register{}, err
	}
	if _, builtIn := forms[request.GetKind()]; builtIn {
		return register{}, fault.Precondition("the kind is built in, and stays as it is: register one of another name").WithReason("EVENT_KIND_BUILT_IN")
	}
	return register{kind: request.GetKind(), schema: schema}, nil
}

// ListEventKinds returns the kinds of commercial events, by their name.
func (a *API) ListEventKinds(ctx context.Context, _ *channelv1.ListEventKindsRequest) (*channelv1.ListEventKindsResponse, error) {
	rows, err := a.DB.Query(ctx, `SELECT kind, version, body FROM event_kind`)
	if err != nil {
		return nil, fmt.Errorf("list event kinds: %w", err)
	}
	kinds, err := projection.Collect(rows, func(row projection.Scanner, k **channelv1.EventKind) error {
		*k = &channelv1.EventKind{Origin: channelv1.EventKindOrigin_EVENT_KIND_ORIGIN_REGISTERED}
		var body string
		if err := row.Scan(&(*k).Kind, &(*k).Version, &body); err != nil {
			return err
		}
		return describeKind(*k, body)
	})
	if err != nil {
		return nil, fmt.Errorf("list event kinds: %w", err)
	}
	known, err := builtIn()
	if err != nil {
		return nil, err
	}
	for name, kind := range known {
		k := &channelv1.EventKind{Kind: name, Version: kind.Version, Origin: channelv1.EventKindOrigin_EVENT_KIND_ORIGIN_BUILT_IN}
		if err := describeKind(k, kind.schema.text); err != nil {
			return nil, err
		}
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b *channelv1.EventKind) int { return cmp.Compare(a.GetKind(), b.GetKind()) })
	return &channelv1.ListEventKindsResponse{Kinds: kinds}, nil
}

// describeKind gives a kind its schema.
func describeKind(k *channelv1.EventKind, schema string) error {
	k.Schema = &structpb.Struct{}
	if err := protojson.Unmarshal([]byte(schema), k.Schema); err != nil {
		return fmt.Errorf("read the schema of event kind %s: %w", k.GetKind(), err)
	}
	return nil
}
