package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/rogpeppe/go-internal/testscript"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// complete FLOW EVENTS SUM waits for a request for an audit, and answers it as a
// consumer does that has taken in that many events of as many keys.
func complete(ts *testscript.TestScript, _ bool, args []string) {
	flow := args[0]
	events, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	var request string
	for deadline := time.Now().Add(time.Minute); request == ""; {
		request, err = openAudit(ts, flow)
		ts.Check(err)
		if time.Now().After(deadline) {
			ts.Fatalf("nobody asks for an audit of %s", flow)
		}
	}
	ts.Check(write(ts, "flow-"+flow, &flowv1.AuditCompleted{
		Flow: flow, RequestId: request, Outcome: flowv1.AuditOutcome_AUDIT_OUTCOME_COMPARED, Position: &flowv1.Position{},
		Versions: []*flowv1.AuditedVersion{{Version: 1, Produced: events}},
		Epochs:   []*flowv1.AuditedEpoch{{Epoch: 1, Keys: events, ChainSum: args[2]}},
	}))
}

// openAudit returns the id of the request that is a flow's last control event.
func openAudit(ts *testscript.TestScript, flow string) (request string, err error) {
	err = withStore(ts, func(client *esdb.Client) error {
		stream, err := client.ReadStream(context.Background(), "flow-"+flow, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
		if err != nil {
			return err
		}
		defer stream.Close()
		event, err := stream.Recv()
		if err == nil && event.Event.EventType == "flow.AuditRequested" {
			request = event.Event.EventID.String()
		}
		return err
	})
	return request, err
}
