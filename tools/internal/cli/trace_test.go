package cli

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"
)

// append STREAM ID TYPE DATA METADATA appends an event as it is.
func appendEvent(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(withStore(ts, func(client *esdb.Client) error {
		_, err := client.AppendToStream(context.Background(), args[0], esdb.AppendToStreamOptions{}, esdb.EventData{
			EventID: uuid.MustParse(args[1]), ContentType: esdb.ContentTypeJson, EventType: args[2], Data: []byte(args[3]), Metadata: []byte(args[4]),
		})
		return err
	}))
}
