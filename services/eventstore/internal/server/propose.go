package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// drainFactor bounds, in limits of an append, what is still read of one that
// is refused: a client that is cut off while it sends sees a broken call
// instead of the reason.
const drainFactor = 64

// proposals are the events that a call proposes, as far as they were received.
type proposals struct {
	limits  Limits
	events  []storage.NewEvent
	bytes   int   // of events
	refused error // why nothing is written, nil when all is well
	drained int   // bytes that were received since
}

// receive returns the events of an append, once all of them are there; refused
// is why they are not even looked at.
func receive(call streams.Streams_AppendServer, limits Limits, refused error) ([]storage.NewEvent, error) {
	p := proposals{limits: limits, refused: refused}
	var message proposal
	for {
		err := call.RecvMsg(&message)
		switch {
		case errors.Is(err, io.EOF):
			return p.events, p.refused
		case err != nil:
			return nil, err
		}
		p.take(call.Context(), &message)
		if p.drained > drainFactor*limits.AppendBytes {
			return nil, p.refused
		}
	}
}

func (p *proposals) take(ctx context.Context, message *proposal) {
	if p.refused == nil {
		p.refused = p.add(ctx, message)
	}
	if p.refused != nil {
		p.events = nil
		p.drained += message.size()
	}
}

// add adds one event, or tells why the append is refused.
func (p *proposals) add(ctx context.Context, message *proposal) error {
	event, err := message.proposed()
	if errors.Is(err, errIncomplete) {
		return refuse(ctx, codes.InvalidArgument, err.Error(),
			trailerException, "missing-required-metadata-property", "required-metadata-properties", strings.Join(requiredMetadata, ","))
	}
	if err != nil {
		return err
	}
	p.bytes += event.Size()
	switch {
	case p.bytes > p.limits.AppendBytes:
		return p.limits.appendTooLarge(ctx)
	case event.Size() > p.limits.EventBytes:
		return p.limits.eventTooLarge(ctx, &event)
	case len(event.Type) > p.limits.TypeBytes:
		return exceeds(codes.InvalidArgument, "bytes of an event's type", len(event.Type), "TypeBytes", p.limits.TypeBytes, "choose a shorter type")
	case len(p.events) == p.limits.AppendEvents:
		return exceeds(codes.InvalidArgument, "events of one append", len(p.events)+1, "AppendEvents", p.limits.AppendEvents, "append fewer at a time")
	}
	p.events = append(p.events, event)
	return nil
}

// size is roughly what the message had on its way.
func (p *proposal) size() int {
	if p.unusual != nil {
		return proto.Size(p.unusual)
	}
	return p.event.Size() + len(p.event.ID)
}

// errIncomplete is what an event without the system metadata fails with.
var errIncomplete = errors.New("every event must say its type and content type")

var requiredMetadata = []string{keyType, keyContentType}

func proposedEvent(message *streams.AppendReq_ProposedMessage) (storage.NewEvent, error) {
	if message == nil {
		return storage.NewEvent{}, invalid("an append names its stream once, and then only proposes events")
	}
	id, err := idFromWire(message.GetId())
	if err != nil {
		return storage.NewEvent{}, err
	}
	system := message.GetMetadata()
	for _, key := range requiredMetadata {
		if system[key] == "" {
			return storage.NewEvent{}, fmt.Errorf("event %s has no %q in its metadata: %w", id, key, errIncomplete)
		}
	}
	return storage.NewEvent{
		ID:       id,
		Type:     system[keyType],
		JSON:     system[keyContentType] == contentJSON,
		Data:     message.GetData(),
		Metadata: message.GetCustomMetadata(),
	}, nil
}

// The protocol has errors of its own for appends and events that are too
// large.

func (l Limits) appendTooLarge(ctx context.Context) error {
	return refuse(ctx, codes.InvalidArgument,
		fmt.Sprintf("Maximum Append Size of %d Exceeded. Append fewer or smaller events at a time, or raise the limit AppendBytes (--max-append).", l.AppendBytes),
		trailerException, "maximum-append-size-exceeded", "maximum-append-size", strconv.Itoa(l.AppendBytes))
}

func (l Limits) eventTooLarge(ctx context.Context, event *storage.NewEvent) error {
	size := event.Size()
	return refuse(ctx, codes.InvalidArgument,
		fmt.Sprintf("Event with Id: %s, Size: %d, exceeds Maximum Append Event Size of %d. Make it smaller, or raise the limit EventBytes.", event.ID, size, l.EventBytes),
		trailerException, "maximum-append-event-size-exceeded", "maximum-append-event-size", strconv.Itoa(l.EventBytes),
		"event-id", event.ID.String(), "proposed-append-event-size", strconv.Itoa(size))
}
