package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"

	"github.com/triangle-suite/triangle/services/eventstore"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

// TestMain lets the scripts run triangle, a real store, and services that are
// ready but can do nothing.
func TestMain(m *testing.M) {
	testscript.Main(withCluster{m}, map[string]func(){
		"triangle": func() {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			code := Run(ctx, os.Args[1:], Streams{Out: os.Stdout, Err: os.Stderr})
			stop()
			os.Exit(code)
		},
		"event-store":       program(runStore),
		"channel-support":   program(runService),
		"sales-support":     program(runService),
		"marketing-support": program(runService),
	})
}

func program(run func(context.Context) error) func() {
	return func() {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := run(ctx)
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// runStore is event-store --addr ADDR --data DIR.
func runStore(ctx context.Context) error {
	store, err := eventstore.Start(eventstore.Config{Addr: os.Args[2], Data: eventstore.Folder(os.Args[4])})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return store.Stop(context.WithoutCancel(ctx))
}

// runService is a service that answers every call with "unimplemented".
func runService(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", os.Getenv("TRIANGLE_GRPC_ADDR"))
	if err != nil {
		return err
	}
	calls := grpc.NewServer()
	probes := &http.Server{
		Addr: os.Getenv("TRIANGLE_HTTP_ADDR"), ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
	}
	failed := make(chan error, 2)
	go func() { failed <- calls.Serve(listener) }()
	go func() { failed <- probes.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(env *testscript.Env) error { return setUp(env) },
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"adopt": adopt, "close-window": closeWindow, "await": await, "park": park, "answer": answer, "complete": complete, "waits": waits, "come": come, "measured": measured, "replica": replica, "leave": leave, "carry": carry, "begin-shadow": beginShadow, "compared": compared, "manage": manage, "release": release, "cluster": cluster, "apply": apply, "approved": approved, "annotated": annotated, "remove-kinds": removeKinds, "append": appendEvent},
	})
}

// setUp gives each script a store and a CRM of its own.
func setUp(env *testscript.Env) error {
	t, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("not run by go test")
	}
	env.Setenv("TRIANGLE_EVENTSTORE", eventstoretest.Start(t).ConnectionString())
	env.Setenv("USER", "ada")
	env.Values[parkedKey] = parkedBy{}
	env.Values[clusterKey{}] = t
	if err := serveDecisions(env, t); err != nil {
		return err
	}
	serveProbes(env)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	env.Setenv("SALES", listener.Addr().String())
	server := grpc.NewServer()
	salesv1.RegisterSalesServiceServer(server, &crm{})
	go func() { _ = server.Serve(listener) }() // ends with Stop
	env.Defer(server.Stop)
	return nil
}

// crm takes in everything.
type crm struct {
	salesv1.UnimplementedSalesServiceServer
	calls atomic.Int64
}

func (c *crm) RegisterCustomer(context.Context, *salesv1.RegisterCustomerRequest) (*salesv1.RegisterCustomerResponse, error) {
	c.calls.Add(1)
	return &salesv1.RegisterCustomerResponse{}, nil
}

func (c *crm) PlaceOrder(context.Context, *salesv1.PlaceOrderRequest) (*salesv1.PlaceOrderResponse, error) {
	c.calls.Add(1)
	return &salesv1.PlaceOrderResponse{}, nil
}

// await FILE TEXT waits until the file holds the text.
func await(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.After(time.Minute)
	for {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && strings.Contains(string(text), args[1]) {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("%s does not come to hold %q, but %q (%v)", args[0], args[1], text, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// adopt FLOW EPOCH CADENCE does what the flow's consumer does.
func adopt(ts *testscript.TestScript, _ bool, args []string) {
	epoch, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	ts.Check(write(ts, "flow-"+args[0], &flowv1.CadenceAdopted{Flow: args[0], Epoch: epoch, Cadence: args[2]}))
}

// close-window FLOW COUNT does what the flow's consumer does.
func closeWindow(ts *testscript.TestScript, _ bool, args []string) {
	count, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	ts.Check(write(ts, "flow-"+args[0]+":1", &flowv1.WindowClosed{Flow: args[0], Epoch: 1, Count: count}))
}

func write(ts *testscript.TestScript, stream string, m proto.Message) error {
	data, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	return withStore(ts, func(client *esdb.Client) error {
		_, err := client.AppendToStream(context.Background(), stream, esdb.AppendToStreamOptions{}, esdb.EventData{
			EventID: uuid.New(), ContentType: esdb.ContentTypeJson, EventType: "flow." + string(m.ProtoReflect().Descriptor().Name()), Data: data,
		})
		return err
	})
}

func withStore(ts *testscript.TestScript, do func(*esdb.Client) error) (err error) {
	config, err := esdb.ParseConnectionString(ts.Getenv("TRIANGLE_EVENTSTORE"))
	if err != nil {
		return err
	}
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return do(client)
}
