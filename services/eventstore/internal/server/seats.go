package server

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
)

// seats counts the subscriptions that are open, so that no client, nor all of
// them together, can open more than the store has memory for.
type seats struct {
	limits Limits

	mu           sync.Mutex
	taken        map[*seat]struct{}
	byConnection map[string]int
}

// seat is a subscription's.
type seat struct {
	seats      *seats
	connection string
	// at is how far a subscription to $all has come; 0 when it has not come to any
	// event, and for one of a stream.
	at atomic.Uint64
}

func newSeats(limits Limits) *seats {
	return &seats{limits: limits, taken: make(map[*seat]struct{}), byConnection: make(map[string]int)}
}

// take takes a seat for the caller, who must leave it, or tells why there is
// none.
func (s *seats) take(ctx context.Context) (*seat, error) {
	connection := connectionOf(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.taken); n >= s.limits.Subscriptions {
		return nil, exceeds(codes.ResourceExhausted, "subscriptions of this event store", n+1, "Subscriptions", s.limits.Subscriptions,
			"end one first, or raise the limit (--max-subscriptions)")
	}
	if n := s.byConnection[connection]; n >= s.limits.ConnectionSubscriptions {
		return nil, exceeds(codes.ResourceExhausted, "subscriptions of this connection", n+1, "ConnectionSubscriptions", s.limits.ConnectionSubscriptions,
			"end one first, use a further client, or raise the limit (--max-connection-subscriptions)")
	}
	taken := &seat{seats: s, connection: connection}
	s.taken[taken] = struct{}{}
	s.byConnection[connection]++
	return taken, nil
}

func (t *seat) leave() {
	s := t.seats
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, t)
	if s.byConnection[t.connection]--; s.byConnection[t.connection] == 0 {
		delete(s.byConnection, t.connection)
	}
}

// behind tells how many subscriptions are open, and how far the one is from last
// that is behind most.
func (s *seats) behind(last uint64) (open int, most uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.taken {
		if at := t.at.Load(); at > 0 && at < last {
			most = max(most, last-at)
		}
	}
	return len(s.taken), most
}

// connectionOf names the connection of a call: while it is open, no other one
// comes from the same address and port.
func connectionOf(ctx context.Context) string {
	if from, ok := peer.FromContext(ctx); ok && from.Addr != nil {
		return from.Addr.String()
	}
	return ""
}
