package contract_test

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/contract"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

// The type that the newer builds know and the older ones do not: one that is in
// the contracts, so that it can be written, and gated here.
const (
	gated = "sales.v1.OrderPlaced"
	named = "sales.OrderPlaced"
)

// build is one of a service, older or newer.
func build(service flows.Service, version string) *flowv1.ContractAnnounced {
	c, err := contract.Of(service, version, flows.Into(service)...)
	if err != nil {
		panic(err)
	}
	if version == "newer" {
		if service == flows.Sales {
			c.Gated = []string{gated}
		}
		return c
	}
	without := func(name string) func(string) bool { return func(s string) bool { return s == name } }
	c.Reads, c.Writes = slices.DeleteFunc(c.Reads, without(gated)), slices.DeleteFunc(c.Writes, without(gated))
	for _, f := range c.Flows {
		f.Types = slices.DeleteFunc(f.Types, without(named))
	}
	return c
}

// world is a store on which replicas run.
type world struct {
	t       *testing.T
	log     *memory.Log
	streams *decider.Streams
	control *control.Flows
	fault   atomic.Pointer[error] // what each append fails with
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	w.log = memory.New(memory.Options{BeforeAppend: func(string, []eventlog.NewEvent) error {
		if fault := w.fault.Load(); fault != nil {
			return *fault
		}
		return nil
	}})
	c, err := codec.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	steered, err := control.New(w.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.log.Close(); err != nil {
			t.Error(err)
		}
	})
	w.streams, w.control = &decider.Streams{Log: w.log, Codec: c}, steered
	return w
}

// replica is one that runs.
type replica struct {
	*contract.Member
	active *contract.Active
	end    context.CancelFunc
	ended  chan error
}

func (w *world) run(c *flowv1.ContractAnnounced, with ...func(*contract.Member)) *replica {
	ctx, end := context.WithCancel(context.Background())
	r := &replica{active: &contract.Active{}, end: end, ended: make(chan error, 1)}
	r.Member = contract.NewMember(w.streams, r.active, slog.New(slog.DiscardHandler), c)
	for _, set := range with {
		set(r.Member)
	}
	go func() { r.ended <- r.Run(ctx) }()
	return r
}

// stop stops the replica in good order.
func (w *world) stop(replicas ...*replica) {
	w.t.Helper()
	for _, r := range replicas {
		r.end()
		if err := <-r.ended; err != nil {
			w.t.Errorf("a replica ended with %v", err)
		}
	}
}

// activate appends an activation, whoever can read it.
func (w *world) activate(a *flowv1.TypeActivated) {
	w.t.Helper()
	origin := decider.Origin{Key: uuid.NewString(), Service: flows.Sales, Time: noon}
	if _, err := decider.Ensure(w.t.Context(), w.streams, origin, flows.ActivationsStream, uuid.New(), proto.CloneOf(a)); err != nil {
		w.t.Fatal(err)
	}
}
