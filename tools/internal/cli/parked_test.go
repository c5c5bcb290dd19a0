package cli

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// The consumer that scripts play: what it has parked, per flow.
type parkedBy map[string][]*flowv1.ParkedEvent

const parkedKey = "parked"

func parkedIn(ts *testscript.TestScript) parkedBy { return ts.Value(parkedKey).(parkedBy) }

// park FLOW EVENT KEY TYPE DATA REASON appends an event with this data, and parks
// it as the flow's consumer does: behind the first one of its key.
func park(ts *testscript.TestScript, _ bool, args []string) {
	flow, key := args[0], args[2]
	p := &flowv1.ParkedEvent{EventId: args[1], Key: key, Type: args[3], Reason: args[5], ParkedAt: timestamppb.New(time.Now()), Attempts: 2}
	for _, before := range parkedIn(ts)[flow] {
		if before.GetKey() == key {
			p.WaitsFor, p.Attempts = before.GetEventId(), 0
			break
		}
	}
	ts.Check(withStore(ts, func(client *esdb.Client) error {
		result, err := client.AppendToStream(context.Background(), "produced-"+key, esdb.AppendToStreamOptions{}, esdb.EventData{
			EventID: uuid.MustParse(args[1]), ContentType: esdb.ContentTypeJson, EventType: args[3], Data: []byte(args[4]),
		})
		if err == nil {
			p.Position = &flowv1.Position{Commit: result.CommitPosition, Prepare: result.PreparePosition}
		}
		return err
	}))
	parkedIn(ts)[flow] = append(parkedIn(ts)[flow], p)
	ts.Check(tellProgress(ts, flow, 0))
}

func tellProgress(ts *testscript.TestScript, flow string, steered uint64) error {
	all := parkedIn(ts)[flow]
	return write(ts, "progress-"+flow, &flowv1.FlowProgressed{Flow: flow, Epoch: 1, Parked: uint64(len(all)), ParkedEvents: all, Steered: steered})
}

// lastRequest returns the last event of a flow's control stream, if it is a
// request about a parked event.
func lastRequest(ts *testscript.TestScript, flow string) (request *esdb.RecordedEvent, err error) {
	err = withStore(ts, func(client *esdb.Client) error {
		stream, err := client.ReadStream(context.Background(), "flow-"+flow, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
		if err != nil {
			return err
		}
		defer stream.Close()
		event, err := stream.Recv()
		if err == nil && event.Event.EventType != "flow.ParkingAnswered" {
			request = event.Event
		}
		return err
	})
	if e, ok := errors.AsType[*esdb.Error](err); ok && e.Code() == esdb.ErrorCodeResourceNotFound {
		return nil, nil
	}
	return request, err
}

// answer FLOW OUTCOME RELEASED REASON waits for a request about a parked event,
// and answers it as the flow's consumer does. Of what is parked it takes the event and
// those released.
func answer(ts *testscript.TestScript, _ bool, args []string) {
	flow := args[0]
	outcome := flowv1.ParkingOutcome(flowv1.ParkingOutcome_value["PARKING_OUTCOME_"+args[1]])
	released, err := strconv.ParseUint(args[2], 10, 64)
	ts.Check(err)
	var request *esdb.RecordedEvent
	for deadline := time.Now().Add(time.Minute); request == nil; {
		request, err = lastRequest(ts, flow)
		ts.Check(err)
		if time.Now().After(deadline) {
			ts.Fatalf("nobody asks anything of %s", flow)
		}
	}
	var asked proto.Message = &flowv1.RetryRequested{}
	if request.EventType == "flow.SkipRequested" {
		asked = &flowv1.SkipRequested{}
	}
	ts.Check(protojson.Unmarshal(request.Data, asked))
	event := asked.(interface{ GetEventId() string }).GetEventId()
	switch outcome {
	case flowv1.ParkingOutcome_PARKING_OUTCOME_TAKEN_IN, flowv1.ParkingOutcome_PARKING_OUTCOME_SKIPPED:
		parkedIn(ts)[flow] = parkedIn(ts)[flow][1+released:]
	default:
	}
	ts.Check(errors.Join(
		write(ts, "flow-"+flow, &flowv1.ParkingAnswered{
			Flow: flow, RequestId: request.EventID.String(), EventId: event, Outcome: outcome, Released: released, Reason: args[3],
		}),
		tellProgress(ts, flow, request.EventNumber+1)))
}
