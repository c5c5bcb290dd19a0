package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"

	"golang.org/x/sync/errgroup"
)

// Board knows the cadences of flows that a service does not take in itself, from
// their control streams.
type Board struct {
	mu       sync.Mutex
	cadences map[string]string
}

// NewBoard returns a Board of the named flows, at the catalogue's cadences until
// Run has read their control streams.
func NewBoard(names ...string) (*Board, error) {
	b := &Board{cadences: map[string]string{}}
	for _, name := range names {
		f, ok := flows.Find(name)
		if !ok {
			return nil, fmt.Errorf("the catalogue has no flow %q", name)
		}
		b.cadences[name] = f.Cadence
	}
	return b, nil
}

// Cadence returns the cadence that a flow's consumer has adopted last.
func (b *Board) Cadence(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cadences[name]
}

// Run follows the control streams until ctx ends.
func (b *Board) Run(ctx context.Context, streams *decider.Streams) error {
	group, ctx := errgroup.WithContext(ctx)
	b.mu.Lock()
	for name := range b.cadences {
		group.Go(func() error { return b.follow(ctx, streams, name) })
	}
	b.mu.Unlock()
	return group.Wait()
}

func (b *Board) follow(ctx context.Context, streams *decider.Streams, name string) error {
	sub, err := streams.Log.SubscribeStream(ctx, flows.ControlStream(name), eventlog.StreamOptions{})
	if err != nil {
		return fmt.Errorf("follow the control stream of %s: %w", name, err)
	}
	defer sub.Close()
	for m := range sub.Messages() {
		if m.Kind != eventlog.KindEvent {
			continue
		}
		e, err := streams.Codec.Decode(ctx, m.Event)
		if errors.Is(err, codec.ErrUnknownType) {
			continue // a newer operator's: what the flow runs at is told as ever
		}
		if err != nil {
			return fmt.Errorf("read the control stream of %s: %w", name, err)
		}
		if adopted, ok := e.Message.(*flowv1.CadenceAdopted); ok {
			b.mu.Lock()
			b.cadences[name] = adopted.GetCadence()
			b.mu.Unlock()
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("follow the control stream of %s: %w", name, sub.Err())
}
