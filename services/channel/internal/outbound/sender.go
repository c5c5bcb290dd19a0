package outbound

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/channel/internal/customerview"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// MarkersStream holds the markers that sending waits for: the last few.
const MarkersStream = "markers-channel"

const (
	markersKept = 10
	// perMarker is how many messages go under one marker while customer-view is
	// in real time. In a slower flow all that wait go under the one that a window
	// has passed: the next one is an hour off, or a week.
	perMarker = 50
)

// Sender sends the messages that were accepted, the oldest first.
type Sender struct {
	Streams *decider.Streams
	DB      *projection.DB
	// Flow tells how far a flow has come.
	Flow func(name string) flow.State
	Now  func() time.Time

	bounded bool // whether the markers' stream is
}

// Run sends what is there, and whatever comes, until ctx ends or something
// fails. It is called by one goroutine at a time.
func (s *Sender) Run(ctx context.Context, well func()) error {
	for {
		changed := s.DB.Changed() // before looking, so that no message is missed
		sent, err := s.round(ctx)
		if err != nil {
			return err
		}
		well()
		if sent > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// round sends what waits, and returns when the table of messages shows it.
func (s *Sender) round(ctx context.Context) (sent int, err error) {
	limit := perMarker
	if s.Flow(customerview.Flow).Cadence != flows.RealTime {
		limit = -1
	}
	ids, err := waiting(ctx, s.DB, limit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	marker, err := s.mark(ctx)
	if err != nil {
		return 0, err
	}
	if err := s.awaitPast(ctx, customerview.Flow, marker); err != nil {
		return 0, err
	}
	var last eventlog.Position
	for _, id := range ids {
		if last, err = s.send(ctx, id); err != nil {
			return 0, fmt.Errorf("send message %s: %w", id, err)
		}
	}
	return len(ids), s.awaitPast(ctx, OwnFlow.Name, last)
}

// namespace is what the ids of markers derive from.
var namespace = uuid.MustParse("0e0d4c0b-6f0e-5b0e-8d36-3b1f5a1c9f27")

// mark sets a marker of its own for this sending, and returns where it stands.
// Its id derives from its place in the stream: a marker of an earlier sending,
// or of a process that crashed, is never taken for it.
func (s *Sender) mark(ctx context.Context) (eventlog.Position, error) {
	if !s.bounded {
		if err := s.Streams.Log.SetMaxCount(ctx, MarkersStream, markersKept); err != nil {
			return eventlog.Position{}, fmt.Errorf("bound %s: %w", MarkersStream, err)
		}
		s.bounded = true
	}
	_, version, err := decider.Load(ctx, s.Streams, MarkersStream, markers)
	if err != nil {
		return eventlog.Position{}, fmt.Errorf("look at the markers: %w", err)
	}
	next := uint64(0)
	if version.Exists {
		next = version.Revision + 1
	}
	key := fmt.Sprintf("marker:sending:%d", next)
	origin := decider.Origin{Key: key, Service: flows.Channel, Time: s.Now().UTC(), CorrelationID: key}
	set, err := decider.Ensure(ctx, s.Streams, origin, MarkersStream, uuid.NewSHA1(namespace, []byte(key)), &flowv1.MarkerSet{Purpose: "sending"})
	if err != nil {
		return eventlog.Position{}, fmt.Errorf("set a marker: %w", err)
	}
	return set.Position, nil
}

var markers = decider.Decider[struct{}]{
	Initial: func() struct{} { return struct{}{} },
	Evolve:  func(s struct{}, _ proto.Message) struct{} { return s },
}

// awaitPast waits until a flow has come to a position, however long it takes.
func (s *Sender) awaitPast(ctx context.Context, name string, position eventlog.Position) error {
	there, err := s.DB.Await(ctx, func(context.Context, projection.Querier) (bool, error) {
		return s.Flow(name).Position.Compare(position) >= 0, nil
	})
	if err == nil && !there {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("wait for %s to pass %s: %w", name, position, err)
	}
	return nil
}

// send looks address and consent up, and records what comes of it. The outcome
// derives from the message, so that the first one stands.
func (s *Sender) send(ctx context.Context, id string) (eventlog.Position, error) {
	accepted, err := s.accepted(ctx, id)
	if err != nil {
		return eventlog.Position{}, err
	}
	about, ok := accepted.Message.(interface{ GetCustomerId() string })
	if !ok {
		return eventlog.Position{}, fmt.Errorf("%s does not begin with the message", Stream(id))
	}
	customer, err := customerview.Find(ctx, s.DB, about.GetCustomerId())
	if err != nil {
		return eventlog.Position{}, err
	}
	origin := decider.CauseOrigin(flows.Channel, "send-message", accepted, s.Now().UTC())
	dispatch := Dispatch{Customer: customer, At: origin.Time}
	outcome, err := decider.Handle(ctx, s.Streams, origin, Stream(id), Decider, dispatch.Decide)
	return outcome.Position, err
}

// accepted reads the intent, which is the first event of a message's stream.
func (s *Sender) accepted(ctx context.Context, id string) (codec.Event, error) {
	for raw, err := range s.Streams.Log.ReadStream(ctx, Stream(id), eventlog.Forward, 0, 1) {
		if err != nil {
			return codec.Event{}, fmt.Errorf("read what is to be sent: %w", err)
		}
		return s.Streams.Codec.Decode(ctx, raw)
	}
	return codec.Event{}, errors.New("the message's stream is empty")
}
