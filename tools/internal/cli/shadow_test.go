package cli

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/encoding/protojson"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// last returns the last event of a stream.
func last(ts *testscript.TestScript, stream string) (e *esdb.RecordedEvent) {
	ts.Check(withStore(ts, func(client *esdb.Client) error {
		events, err := client.ReadStream(context.Background(), stream, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
		if err != nil {
			return err
		}
		defer events.Close()
		one, err := events.Recv()
		if err == nil {
			e = one.Event
		}
		return err
	}))
	return e
}

// begin-shadow FLOW CADENCE does what the flow's consumer does when a shadow is
// asked for.
func beginShadow(ts *testscript.TestScript, _ bool, args []string) {
	id := last(ts, "flow-"+args[0]).EventID.String()
	ts.Check(write(ts, "flow-"+args[0], &flowv1.ShadowStarted{Flow: args[0], ShadowId: id, Cadence: args[1]}))
}

// compared FLOW equal|different answers the marker that was set last, as the
// flow's consumer does.
func compared(ts *testscript.TestScript, _ bool, args []string) {
	var started *esdb.RecordedEvent
	if started = last(ts, "flow-"+args[0]); started.EventType != "flow.ShadowStarted" {
		ts.Fatalf("the last event is %s", started.EventType)
	}
	id := shadowOf(ts, started.Data)
	stream := "shadow-" + args[0] + ":" + id
	c := &flowv1.ShadowCompared{
		Flow: args[0], ShadowId: id, MarkerId: last(ts, stream).EventID.String(), Outcome: flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL,
		Live:   &flowv1.ShadowSide{Rows: 12, Causes: 7, CausesLate: 3, ContentDigest: "0a", IntakeDigest: "0b", Taken: 9},
		Shadow: &flowv1.ShadowSide{Rows: 12, Causes: 7, ContentDigest: "0a", IntakeDigest: "0b", Taken: 9}, CausesLateInOne: 3,
	}
	if args[1] == "different" {
		c.Outcome, c.RowsDiffering, c.CausesLateInOne = flowv1.ShadowOutcome_SHADOW_OUTCOME_DIFFERENT, 2, 0
		c.First = []*flowv1.ShadowDifference{
			{Table: "profile", Key: `customer="c1"`, Columns: []string{"clicks", "seen"}},
			{Table: "profile", Key: `customer="c2"`, MissingFrom: "the shadow"},
		}
	}
	ts.Check(write(ts, stream, c))
}

// shadowOf reads the id of the shadow that an event is about.
func shadowOf(ts *testscript.TestScript, data []byte) string {
	started := &flowv1.ShadowStarted{}
	ts.Check(protojson.Unmarshal(data, started))
	return started.GetShadowId()
}
