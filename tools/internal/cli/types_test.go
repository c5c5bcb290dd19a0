package cli

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/encoding/protojson"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// replica SERVICE INSTANCE BUILD [SCHEMA …] does what a replica of a service does
// when it starts: it announces a contract by which it reads the schemas, and takes
// them in over customer-facts if it is marketing, and says that it runs.
func replica(ts *testscript.TestScript, _ bool, args []string) {
	service, schemas := args[0], args[3:]
	announced := &flowv1.ContractAnnounced{Service: service, Build: args[2], Reads: schemas}
	switch service {
	case "sales":
		announced.Gated = schemas
	case "marketing":
		facts := &flowv1.FlowTypes{Flow: "customer-facts"}
		if len(schemas) > 0 {
			facts.Types = []string{"sales.BonusGranted"}
		}
		announced.Flows = []*flowv1.FlowTypes{facts}
	}
	data, err := protojson.Marshal(announced)
	ts.Check(err)
	id := uuid.New()
	ts.Check(withStore(ts, func(client *esdb.Client) error {
		_, err := client.AppendToStream(context.Background(), "service-"+service, esdb.AppendToStreamOptions{}, esdb.EventData{
			EventID: id, ContentType: esdb.ContentTypeJson, EventType: "flow.ContractAnnounced", Data: data,
		})
		return err
	}))
	ts.Check(write(ts, "replicas-"+service, &flowv1.ReplicaSeen{Service: service, Instance: args[1], Build: args[2], ContractId: id.String()}))
}

// leave SERVICE INSTANCE does what a replica does when it stops.
func leave(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(write(ts, "replicas-"+args[0], &flowv1.ReplicaLeft{Service: args[0], Instance: args[1]}))
}

// carry FLOW VERSION TYPE … does what a flow's consumer does when its build takes
// in other types than the one before it.
func carry(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(write(ts, "flow-"+args[0], &flowv1.TypesAdopted{
		Flow: args[0], Version: uint64(args[1][0] - '0'), Types: args[2:], Position: &flowv1.Position{Commit: 42, Prepare: 41},
	}))
}
