package flow

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// parkingRequest is a RetryRequested or a SkipRequested.
type parkingRequest interface {
	proto.Message
	GetEventId() string
	GetPosition() *flowv1.Position
}

// isParkingRequest tells whether an event asks something about a parked event of
// this flow.
func (in *Intake) isParkingRequest(e eventlog.Event) bool {
	return (e.Type == retryRequested || e.Type == skipRequested) && e.Stream == flows.ControlStream(in.consumer.Flow.Name)
}

// followRequests follows the requests about parked events that have come since
// the last one that was followed, in order.
//
// They come from the control stream, and not in the order of the log: what is
// parked has been taken in, so that seeing to it opens no gate, and goes on where
// the flow itself can't, as it has parked too much.
func (in *Intake) followRequests(ctx context.Context) error {
	control := flows.ControlStream(in.consumer.Flow.Name)
	refused, err := in.refused(ctx, control)
	if err != nil {
		return err
	}
	for e, err := range in.streams.Log.ReadStream(ctx, control, eventlog.Forward, in.cp.steered, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for requests about parked events: %w", err)
		}
		if !in.isParkingRequest(e) {
			continue
		}
		event, err := in.streams.Codec.Decode(ctx, e)
		if err != nil {
			return fmt.Errorf("read a control event: %w", err)
		}
		request, ok := event.Message.(parkingRequest)
		if !ok {
			continue
		}
		if !in.cp.reaches(e, request) {
			return nil
		}
		err = in.transact(ctx, nil, func(t *taking) error {
			t.cp.steered, t.request = e.Revision+1, originOf(event)
			if refused[e.ID.String()] {
				return nil
			}
			return t.follow(ctx, e, request)
		})
		if err != nil {
			return fmt.Errorf("follow %s %s: %w", e.Type, e.ID, err)
		}
	}
	return nil
}

// refused are the requests that have been answered, and changed nothing: on a new
// database they change nothing either. What the event waited behind may not be
// parked there any more, and who was told that it was left as it is relies on that.
func (in *Intake) refused(ctx context.Context, control string) (map[string]bool, error) {
	all := map[string]bool{}
	for e, err := range in.streams.Log.ReadStream(ctx, control, eventlog.Forward, in.cp.steered, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("look for answers about parked events: %w", err)
		}
		if e.Type != parkingAnswered {
			continue
		}
		event, err := in.streams.Codec.Decode(ctx, e)
		if err != nil {
			return nil, fmt.Errorf("read a control event: %w", err)
		}
		if m, ok := event.Message.(*flowv1.ParkingAnswered); ok {
			switch m.GetOutcome() {
			case flowv1.ParkingOutcome_PARKING_OUTCOME_NOT_PARKED, flowv1.ParkingOutcome_PARKING_OUTCOME_WAITS:
				all[m.GetRequestId()] = true
			}
		}
	}
	return all, nil
}

// reaches tells whether the flow has come to the event that a request is about.
// It has, unless it is taken in anew on an empty database: then the request is
// followed once more, when its time has come. A position behind the request
// itself is nobody's.
func (cp checkpoint) reaches(e eventlog.Event, r parkingRequest) bool {
	at := eventlog.Position{Commit: r.GetPosition().GetCommit(), Prepare: r.GetPosition().GetPrepare()}
	return at.Compare(cp.position) <= 0 || e.Position.Compare(cp.position) <= 0 || at.Compare(e.Position) >= 0
}

// follow does what a request asks, and answers it. An event that is not parked,
// or waits behind another one, is left as it is.
func (t *taking) follow(ctx context.Context, e eventlog.Event, r parkingRequest) error {
	answer := &flowv1.ParkingAnswered{Flow: t.cp.flow, RequestId: e.ID.String(), EventId: r.GetEventId()}
	queue, err := loadParked(ctx, t.tx, `flow = ? AND key = (SELECT p.key FROM flow_parked p WHERE p.flow = ? AND p.event_id = ?)`,
		t.cp.flow, t.cp.flow, r.GetEventId())
	if err != nil {
		return err
	}
	switch _, skip := r.(*flowv1.SkipRequested); {
	case len(queue) == 0:
		answer.Outcome = flowv1.ParkingOutcome_PARKING_OUTCOME_NOT_PARKED
	case queue[0].id != r.GetEventId():
		answer.Outcome = flowv1.ParkingOutcome_PARKING_OUTCOME_WAITS
		answer.Remaining, answer.NextEventId, answer.Reason = uint64(len(queue)), queue[0].id, queue[0].reason
	case skip:
		answer.Outcome = flowv1.ParkingOutcome_PARKING_OUTCOME_SKIPPED
		t.tellSkipped(ctx, queue[0])
		if err := errors.Join(t.noteSkipped(ctx, queue[0]), t.unpark(ctx, queue[0])); err != nil {
			return err
		}
		err = t.goOn(ctx, queue[1:], answer)
	default:
		answer.Outcome = flowv1.ParkingOutcome_PARKING_OUTCOME_TAKEN_IN
		if err = t.goOn(ctx, queue, answer); answer.GetReleased() > 0 {
			answer.Released-- // the event itself had not waited
		} else {
			answer.Outcome = flowv1.ParkingOutcome_PARKING_OUTCOME_STILL_PARKED
		}
	}
	if err != nil {
		return err
	}
	return t.postAlways(ctx, flows.ControlStream(t.cp.flow), "parking-answered:"+e.ID.String(), answer)
}

// goOn releases what is left of a key, and notes in the answer how far it came.
func (t *taking) goOn(ctx context.Context, queue []parkedEvent, answer *flowv1.ParkingAnswered) error {
	released, why, err := t.release(ctx, queue)
	if err != nil {
		return err
	}
	left := queue[released:]
	answer.Released, answer.Remaining, answer.Reason = uint64(released), uint64(len(left)), why
	if len(left) > 0 {
		answer.NextEventId = left[0].id
	}
	return nil
}
