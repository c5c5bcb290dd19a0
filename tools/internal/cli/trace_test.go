package cli

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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

// A store that asks who it is is no store that is away: what to do is another thing.
func TestAStoreThatAsksForAPasswordIsSaidToDoSo(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	store := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
		return status.Error(codes.Unauthenticated, "who is it")
	}))
	go func() { _ = store.Serve(listener) }() // ends with Stop
	t.Cleanup(store.Stop)
	var out, told bytes.Buffer
	code := Run(t.Context(), []string{"trace", "11111111-0000-4000-8000-000000000001", "--eventstore", "esdb://" + listener.Addr().String() + "?tls=false"}, Streams{Out: &out, Err: &told})
	if code == statusOK || !strings.Contains(told.String(), "does not let this user in: have --eventstore hold name and password") {
		t.Errorf("it ends with %d and says %q", code, told.String())
	}
}
