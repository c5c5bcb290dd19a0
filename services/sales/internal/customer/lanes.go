package customer

import (
	"context"
	"hash/maphash"
)

// lanes let commands on one customer pass one after the other. It is only for
// speed: what keeps two processes apart is the expected revision.
type lanes struct {
	seed maphash.Seed
	of   []chan struct{}
}

// laneCount is well above what an import has in flight, so that different
// customers seldom share a lane.
const laneCount = 256

func newLanes() lanes {
	l := lanes{seed: maphash.MakeSeed(), of: make([]chan struct{}, laneCount)}
	for i := range l.of {
		l.of[i] = make(chan struct{}, 1)
	}
	return l
}

// enter waits until the customer's lane is free, and returns how to leave it.
func (l lanes) enter(ctx context.Context, customerID string) (leave func(), err error) {
	lane := l.of[maphash.String(l.seed, customerID)%laneCount]
	select {
	case lane <- struct{}{}:
		return func() { <-lane }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
