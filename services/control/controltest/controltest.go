// Package controltest plays images and replicas of the services, for the tests of
// who rolls them out: what they say to the event store they say as real ones do.
package controltest

import (
	"context"
	"log/slog"
	"testing"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/contract"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
)

// Suite plays the services of one event store.
type Suite struct {
	t       testing.TB
	streams *decider.Streams
}

// New plays the services of the store that the connection string names.
func New(t testing.TB, connection string) *Suite {
	t.Helper()
	log, err := esdb.Open(connection)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := codec.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Suite{t: t, streams: &decider.Streams{Log: log, Codec: c}}
}

// Contract returns the contract of this build of a service, to be changed into that
// of another build.
func Contract(t testing.TB, service flows.Service, build string) *flowv1.ContractAnnounced {
	t.Helper()
	c, err := contract.Of(service, build, flows.Into(service)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Announce has an image announce a contract, as its program does when it is told to.
// It fails when the store is away, as the program does.
func (s *Suite) Announce(image string, c *flowv1.ContractAnnounced) error {
	_, err := contract.Announce(s.t.Context(), s.streams, c, image)
	return err
}

// Run runs a replica of an image, whose calls end as calls tells, until stop is
// called or the test ends. It is known when Run returns.
func (s *Suite) Run(image string, c *flowv1.ContractAnnounced, calls func() (calls, failed uint64)) (stop func()) {
	s.t.Helper()
	m := contract.NewMember(s.streams, &contract.Active{}, slog.New(slog.DiscardHandler), c)
	m.Image, m.Calls = image, calls
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	if !m.Admitted(s.t.Context()) {
		s.t.Error("the replica was not admitted before the test ended")
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("the replica of %s ended with %v", image, err)
		}
	}
	s.t.Cleanup(stop)
	return stop
}
