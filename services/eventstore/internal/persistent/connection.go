package persistent

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Peer tells who is behind a connection.
type Peer struct {
	Addr string
	Name string
}

// Connection is a consumer's end of a group.
type Connection struct {
	runner   *runner
	consumer *Consumer
	peer     Peer
	since    time.Time
	ready    chan struct{} // there may be something to take
	over     chan struct{} // closed when err holds
	err      error
}

// connect adds a consumer to which up to size events are in flight.
func (r *runner) connect(size int, peer Peer) (*Connection, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	now := time.Now()
	consumer, err := r.group.Connect(size, now)
	if err != nil {
		return nil, err
	}
	c := &Connection{
		runner: r, consumer: consumer, peer: peer, since: now,
		ready: make(chan struct{}, 1), over: make(chan struct{}),
	}
	r.connections = append(r.connections, c)
	signal(c.ready)
	signal(r.wake)
	return c, nil
}

// Next waits for events and returns them. It fails when the consumer was
// dropped or when ctx ends.
func (c *Connection) Next(ctx context.Context) ([]Delivery, error) {
	for {
		select {
		case <-c.over:
			return nil, c.err
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.ready:
		}
		if deliveries := c.take(); len(deliveries) > 0 {
			return deliveries, nil
		}
	}
}

func (c *Connection) take() []Delivery {
	c.runner.mu.Lock()
	defer c.runner.mu.Unlock()
	if c.runner.err != nil { // another group may deliver it by now
		return nil
	}
	return c.runner.group.Take(c.consumer)
}

// Ack says that events were processed.
func (c *Connection) Ack(ids []uuid.UUID) {
	c.runner.answered(func(g *Group, now time.Time) { g.Ack(c.consumer, ids, now) })
}

// Nack says that events were not processed, and what becomes of them.
func (c *Connection) Nack(ids []uuid.UUID, action Action, reason string) {
	c.runner.answered(func(g *Group, now time.Time) { g.Nack(c.consumer, ids, action, reason, now) })
}

// Stop ends the consumer at its own wish; Next then says so.
func (c *Connection) Stop() { c.leave(ErrDropped) }

// Close takes the consumer out of the group, which delivers to others what was
// in flight to it.
func (c *Connection) Close() { c.leave(context.Canceled) }

func (c *Connection) leave(reason error) {
	c.runner.answered(func(g *Group, now time.Time) {
		at := slices.Index(c.runner.connections, c)
		if at < 0 {
			return
		}
		c.runner.connections = slices.Delete(c.runner.connections, at, at+1)
		g.Disconnect(c.consumer, now)
		c.drop(reason)
	})
}

// drop ends the connection. It is called once, with the runner's mutex held.
func (c *Connection) drop(reason error) {
	c.err = reason
	close(c.over)
}
