package keyring

import (
	"context"
	"sync"
)

// maxBatch bounds a transaction, so that the other processes wait for it no
// longer than some milliseconds.
const maxBatch = 512

// committer lets callers that create keys at the same time share a transaction,
// and its flush to the disk: while one batch is committed, the next one gathers.
type committer struct {
	commit func(ctx context.Context, subjects []string) (map[string]Key, error)

	mu      sync.Mutex
	waiting []*creation
	running bool
	closed  bool
	done    sync.WaitGroup
}

// creation is one caller's wish for a key.
type creation struct {
	subject string
	done    chan struct{} // closed when key or err is set
	key     Key
	err     error
}

// create returns the subject's key when it is durable. A caller whose context
// ends is let go; the key may be created none the less.
func (c *committer) create(ctx context.Context, subject string) (Key, error) {
	wish := &creation{subject: subject, done: make(chan struct{})}
	if err := c.enqueue(wish); err != nil {
		return Key{}, err
	}
	select {
	case <-wish.done:
		return wish.key, wish.err
	case <-ctx.Done():
		return Key{}, ctx.Err()
	}
}

func (c *committer) enqueue(wish *creation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.waiting = append(c.waiting, wish)
	if !c.running {
		c.running = true
		c.done.Go(c.run)
	}
	return nil
}

// run commits batches until nobody waits. It works for several callers, so no
// caller's context can end it.
func (c *committer) run() {
	ctx := context.Background()
	for batch := c.next(); len(batch) > 0; batch = c.next() {
		subjects := make([]string, len(batch))
		for i, wish := range batch {
			subjects[i] = wish.subject
		}
		keys, err := c.commit(ctx, subjects)
		for _, wish := range batch {
			wish.settle(keys, err)
		}
	}
}

func (c *committer) next() []*creation {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), maxBatch)
	batch := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	c.running = n > 0
	return batch
}

func (w *creation) settle(keys map[string]Key, err error) {
	defer close(w.done)
	key, ok := keys[w.subject]
	switch {
	case err != nil:
		w.err = err
	case !ok:
		w.err = ErrDestroyed
	default:
		w.key = key
	}
}

// close lets no more callers in and waits for those under way.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.done.Wait()
}
