package flow

import (
	"context"
	"sync"
)

const (
	// queueMax is from how many messages on a queue is full: it holds a batch.
	queueMax = mostAtOnce
	// burstMax bounds what is put in a queue at once.
	burstMax = 64
)

// queue is what has been read of a subscription and not yet been taken in. What is
// read at once is put in at once, and whoever takes gets what is there at one
// moment: which events make up a batch does not hang on which of the two is
// quicker while they run side by side.
type queue struct {
	mu       sync.Mutex
	messages []*incoming
	ended    bool

	more, room chan struct{} // wake who takes, and who puts
	over       chan struct{} // closed when nothing more is put in
}

func newQueue() *queue {
	return &queue{more: make(chan struct{}, 1), room: make(chan struct{}, 1), over: make(chan struct{})}
}

// put waits until there is room. It returns false when ctx ends before.
func (q *queue) put(ctx context.Context, burst []*incoming) bool {
	for !q.add(burst) {
		select {
		case <-q.room:
		case <-ctx.Done():
			return false
		}
	}
	wake(q.more)
	return true
}

func (q *queue) add(burst []*incoming) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) >= queueMax {
		return false
	}
	q.messages = append(q.messages, burst...)
	return true
}

// end says that nothing more is put in.
func (q *queue) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	wake(q.more)
	close(q.over)
}

// take waits for a message, and returns it with those that are there behind it:
// at most size of them, and up to the first that is the last of a batch.
func (q *queue) take(ctx context.Context, size int, last func(*incoming) bool) ([]*incoming, error) {
	for {
		batch, ended := q.front(size, last)
		if len(batch) > 0 {
			wake(q.room)
			return batch, nil
		}
		if ended {
			return nil, errEnded
		}
		select {
		case <-q.more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *queue) front(size int, last func(*incoming) bool) (batch []*incoming, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < min(size, len(q.messages)) {
		n++
		if last(q.messages[n-1]) {
			break
		}
	}
	batch, q.messages = q.messages[:n:n], q.messages[n:]
	return batch, q.ended
}

func (q *queue) isEmpty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages) == 0
}
