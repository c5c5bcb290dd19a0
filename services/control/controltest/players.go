package controltest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/contract"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
)

// Players play the consumers of more flows than there can be real ones of on one
// machine: what a consumer says to the streams of its flow they say, and take nothing
// in.
type Players struct {
	streams *decider.Streams
	flows   []flows.Flow
}

// players is how many flows are played at once: consumers wait for the store, mostly.
const players = 8

// NewPlayers plays the consumers of flows in the store that the connection string
// names: one that has no consumers of its own. Flows are into one service.
func NewPlayers(connection string, all []flows.Flow) (*Players, error) {
	log, err := esdb.Open(connection)
	if err != nil {
		return nil, err
	}
	c, err := codec.New(nil)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &Players{streams: &decider.Streams{Log: log, Codec: c}, flows: all}, nil
}

// Close releases the connection.
func (p *Players) Close() error { return p.streams.Log.Close() }

// Announce announces the catalogue, as a replica of the service does that takes the
// flows in.
func (p *Players) Announce(ctx context.Context) error {
	c, err := contract.Of(p.flows[0].To, "played", p.flows...)
	if err != nil {
		return err
	}
	for _, f := range p.flows {
		c.Catalogue = append(c.Catalogue, f.Data())
	}
	_, err = contract.Announce(ctx, p.streams, c, "")
	return err
}

// Run answers each request for a cadence, as soon as it is made, until ctx ends.
func (p *Players) Run(ctx context.Context) error {
	subscription, err := p.streams.Log.SubscribeAll(ctx, eventlog.AllOptions{
		Filter: eventlog.Filter{StreamPrefixes: []string{flows.ControlStream(p.common())}},
	})
	if err != nil {
		return fmt.Errorf("play consumers: %w", err)
	}
	defer subscription.Close()
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(players)
	for m := range subscription.Messages() {
		if m.Kind != eventlog.KindEvent || m.Event.Type != "flow.CadenceRequested" {
			continue
		}
		work.Go(func() error { return p.adopt(ctx, m.Event) })
	}
	if err := errors.Join(work.Wait(), subscription.Err()); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// common is what all names begin with.
func (p *Players) common() string {
	prefix := p.flows[0].Name
	for _, f := range p.flows {
		for !strings.HasPrefix(f.Name, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return prefix
}

// adopt ends the epoch before and goes on in the new one, at the place of the
// request: its marker.
func (p *Players) adopt(ctx context.Context, e eventlog.Event) error {
	decoded, err := p.streams.Codec.Decode(ctx, e)
	if err != nil {
		return fmt.Errorf("play the consumer of %s: %w", e.Stream, err)
	}
	m, ok := decoded.Message.(*flowv1.CadenceRequested)
	if !ok {
		return nil
	}
	at := &flowv1.Position{Commit: e.Position.Commit, Prepare: e.Position.Prepare}
	return p.say(ctx, flows.ControlStream(m.GetFlow()), m.GetFlow(),
		&flowv1.EpochClosed{Flow: m.GetFlow(), Epoch: m.GetEpoch() - 1, IntakeDigest: strings.Repeat("0", 32), Position: at},
		&flowv1.CadenceAdopted{Flow: m.GetFlow(), Epoch: m.GetEpoch(), Cadence: m.GetCadence(), Position: at})
}

// Progress says of every flow that it is in that epoch, and how many events wait.
func (p *Players) Progress(ctx context.Context, epoch, lag uint64) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(players)
	for _, f := range p.flows {
		work.Go(func() error {
			return p.say(ctx, flows.ProgressStream(f.Name), f.Name, &flowv1.FlowProgressed{Flow: f.Name, Epoch: epoch, Position: &flowv1.Position{}, Lag: &lag})
		})
	}
	return work.Wait()
}

// say appends what the consumer of a flow says.
func (p *Players) say(ctx context.Context, stream, flow string, said ...proto.Message) error {
	var all []eventlog.NewEvent
	for _, m := range said {
		e, err := p.streams.Codec.Encode(ctx, m, uuid.New(), codec.Metadata{Source: codec.Source(p.flows[0].To), Subject: flow, Time: time.Now().UTC()})
		if err != nil {
			return fmt.Errorf("play the consumer of %s: %w", flow, err)
		}
		all = append(all, e)
	}
	if _, err := p.streams.Log.Append(ctx, stream, eventlog.Any, all...); err != nil {
		return fmt.Errorf("play the consumer of %s: %w", flow, err)
	}
	return nil
}
