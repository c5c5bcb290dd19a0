package server

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
)

// seats counts the subscriptions that are open, so that no client, nor all of
// them together, can open more than the store has memory for.
type seats struct {
	limits Limits

	mu           sync.Mutex
	taken        int
	byConnection map[string]int
}

func newSeats(limits Limits) *seats {
	return &seats{limits: limits, byConnection: make(map[string]int)}
}

// take takes a seat for the caller, who must leave it, or tells why there is
// none.
func (s *seats) take(ctx context.Context) (leave func(), err error) {
	connection := connectionOf(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.limits.Subscriptions {
		return nil, exceeds(codes.ResourceExhausted, "subscriptions of this event store", s.taken+1, "Subscriptions", s.limits.Subscriptions,
			"end one first, or raise the limit (--max-subscriptions)")
	}
	if n := s.byConnection[connection]; n >= s.limits.ConnectionSubscriptions {
		return nil, exceeds(codes.ResourceExhausted, "subscriptions of this connection", n+1, "ConnectionSubscriptions", s.limits.ConnectionSubscriptions,
			"end one first, use a further client, or raise the limit (--max-connection-subscriptions)")
	}
	s.taken++
	s.byConnection[connection]++
	return func() { s.leave(connection) }, nil
}

func (s *seats) leave(connection string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.byConnection[connection]--; s.byConnection[connection] == 0 {
		delete(s.byConnection, connection)
	}
}

// connectionOf names the connection of a call: while it is open, no other one
// comes from the same address and port.
func connectionOf(ctx context.Context) string {
	if from, ok := peer.FromContext(ctx); ok && from.Addr != nil {
		return from.Addr.String()
	}
	return ""
}
