package identity

import (
	"context"
	"sync"

	"google.golang.org/protobuf/proto"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// holder is the state of an identity's stream: the customer whose it is, if any.
type holder string

var reservation = decider.Decider[holder]{
	Initial: func() holder { return "" },
	Evolve: func(h holder, event proto.Message) holder {
		if e, ok := event.(*salesv1.IdentityReserved); ok && h == "" {
			return holder(e.GetCustomerId())
		}
		return h
	},
}

// reserve gives a free identity to a customer, and leaves one that is taken.
func reserve(h holder, claim Claim, customerID string) []proto.Message {
	if h != "" {
		return nil
	}
	return []proto.Message{&salesv1.IdentityReserved{CustomerId: customerID, Kind: claim.Kind}}
}

// Registry knows whose each identity is. It is safe for concurrent use.
type Registry struct {
	streams *decider.Streams
	hash    func(kind, value string) string
	known   memory
}

// NewRegistry returns a registry over the streams; hash is the key ring's.
func NewRegistry(streams *decider.Streams, hash func(kind, value string) string) *Registry {
	return &Registry{streams: streams, hash: hash}
}

// Stream is the name of a claim's stream.
func (r *Registry) Stream(claim Claim) string {
	kind := kinds[claim.Kind]
	return "identity-" + kind + ":" + r.hash("identity-"+kind, claim.Value)
}

// Holder returns the customer whose the identity is; empty when it is free.
func (r *Registry) Holder(ctx context.Context, claim Claim) (customerID string, err error) {
	stream := r.Stream(claim)
	if id, ok := r.known.get(stream); ok {
		return id, nil
	}
	h, _, err := decider.Load(ctx, r.streams, stream, reservation)
	if err != nil {
		return "", err
	}
	r.known.put(stream, string(h))
	return string(h), nil
}

// Reserve gives the identity to the customer, unless it is taken, and returns
// whose it is. Losing a race is no failure: the winner is the answer.
func (r *Registry) Reserve(ctx context.Context, origin decider.Origin, claim Claim, customerID string) (string, error) {
	stream := r.Stream(claim)
	if id, ok := r.known.get(stream); ok {
		return id, nil
	}
	outcome, err := decider.Handle(ctx, r.streams, origin, stream, reservation, func(h holder) ([]proto.Message, error) {
		return reserve(h, claim, customerID), nil
	})
	if err != nil {
		return "", err
	}
	r.known.put(stream, string(outcome.State))
	return string(outcome.State), nil
}

// memory remembers whose identities are. It can't be wrong: a reservation holds
// for good. It spares an import one read of the store an order.
type memory struct {
	mu      sync.RWMutex
	holders map[string]string // by stream
}

// memorySize bounds the memory, at some 200 bytes each. It begins afresh when
// it is full: simpler than to know who was used last, and rare.
const memorySize = 100_000

func (m *memory) get(stream string) (string, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	id, ok := m.holders[stream]
	return id, ok
}

func (m *memory) put(stream, customerID string) {
	if customerID == "" {
		return // free now, taken at any moment
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holders == nil || len(m.holders) >= memorySize {
		m.holders = map[string]string{}
	}
	m.holders[stream] = customerID
}
