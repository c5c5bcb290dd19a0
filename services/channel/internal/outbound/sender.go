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
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/customerview"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/deadline"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/worker"
)

// MarkersStream holds the markers that sending waits for: the last few.
const MarkersStream = "markers-channel"

const markersKept = 10

// lookAgain is after how long a Sender looks again how far customer-view has
// come, while messages wait for that: mostly the commit itself wakes it. While
// the flow does not move (its gate may be closed for a week) it looks more and
// more rarely.
const (
	lookAgain       = time.Second
	lookAgainAtLast = time.Minute
)

// Sender sends the messages of some channels that were accepted, the oldest first.
// Each waits for a marker that was set after it was accepted. Its Partner is a
// worker's.
type Sender struct {
	// Name is what the sender is called in logs, in readiness and in metrics.
	Name     string
	Channels []journeyv1.Channel
	// Carrier takes the messages to the customers. Without one they are refused where
	// Unable says why, and stand on a work list where it says nothing.
	Carrier Carrier
	Unable  string

	Streams *decider.Streams
	DB      *projection.DB
	// Flow tells how far a flow has come.
	Flow func(name string) flow.State
	Now  func() time.Time

	bounded bool                         // whether the markers' stream is
	begun   map[string]eventlog.Position // by message that waits, what customer-view must pass
	passed  eventlog.Position            // where customer-view was seen last
	pause   time.Duration                // since it has been there
	fates   map[string]Fate              // by message, what came of it and is not on record
	away    error                        // what kept the last try from sending anything
	later   map[string]retry             // by message that is not taken for now, when it is tried again
}

// longestSending bounds the sending of one message, up to the moment from which on
// it can't be taken back.
const longestSending = 30 * time.Second

// Partner is whoever takes the messages to the customers, with the messages that
// wait. What a customer gets can't be taken back: so what fails is not tried again
// at once, but looked at anew.
func (s *Sender) Partner() worker.Partner {
	return worker.Partner{
		Name: s.Name, Look: s.look, Do: s.do,
		Refused: func(err error) bool {
			_, postponed := errors.AsType[PostponedError](err)
			return postponed
		},
		Broken:  codec.IsFault,
		Timeout: longestSending,
	}
}

// look returns the messages whose markers customer-view has passed, and sets one
// marker for those that have come.
func (s *Sender) look(ctx context.Context, _ int) (ids []string, again time.Time, err error) {
	waiting, err := waiting(ctx, s.DB, s.Channels)
	if err != nil {
		return nil, time.Time{}, err
	}
	waiting, again = s.due(waiting)
	s.forget(waiting)
	if err := s.begin(ctx, waiting); err != nil {
		s.begun = nil
		return nil, time.Time{}, err
	}
	passed := s.Flow(customerview.Flow).Position
	for _, id := range waiting {
		if passed.Compare(s.begun[id]) >= 0 {
			ids = append(ids, id)
		}
	}
	if len(waiting) == 0 {
		s.away = nil
	}
	if len(ids) == 0 && s.away != nil {
		return nil, time.Time{}, s.away // that markers are waited for does not mend it
	}
	if len(s.begun) > 0 {
		again = deadline.Earlier(again, s.Now().Add(s.patience(passed)))
	}
	return ids, again, nil
}

// patience is how long to wait before looking again, when the flow has passed a
// position.
func (s *Sender) patience(passed eventlog.Position) time.Duration {
	if s.pause *= 2; passed != s.passed || s.pause == 0 {
		s.passed, s.pause = passed, lookAgain
	}
	s.pause = min(s.pause, lookAgainAtLast)
	return s.pause
}

// do sends a message. After one that fails new markers are taken, as much may
// have changed meanwhile: for all of them where the others wait as well.
func (s *Sender) do(ctx context.Context, id string) error {
	err := s.send(ctx, id)
	s.away = nil
	if err == nil {
		return nil
	}
	err = fmt.Errorf("send: %w", err)
	if _, postponed := errors.AsType[PostponedError](err); postponed {
		delete(s.begun, id)
		s.postpone(id)
	} else {
		s.begun, s.away = nil, err
	}
	return err
}

// forget lets go of the messages that the table no longer shows as waiting.
func (s *Sender) forget(waiting []string) {
	still := map[string]eventlog.Position{}
	for _, id := range waiting {
		if marker, ok := s.begun[id]; ok {
			still[id] = marker
		}
	}
	s.begun = still
}

// begin sets a marker for the messages that have none, if there are any.
func (s *Sender) begin(ctx context.Context, waiting []string) error {
	var marker eventlog.Position
	for _, id := range waiting {
		if _, ok := s.begun[id]; ok {
			continue
		}
		if marker == (eventlog.Position{}) {
			var err error
			if marker, err = s.mark(ctx); err != nil {
				return err
			}
		}
		s.begun[id] = marker
	}
	return nil
}

// namespace is what the ids of markers derive from.
var namespace = uuid.MustParse("0e0d4c0b-6f0e-5b0e-8d36-3b1f5a1c9f27")

// mark sets a marker that is new, and returns where it stands.
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
