package watermillesdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// PublisherConfig is how a Publisher works; the zero one is good for most.
type PublisherConfig struct {
	// Stream names the stream of a topic; nil: StreamOfTopic.
	Stream func(topic string) string
	// Marshaler turns messages into events; nil: DefaultMarshaler.
	Marshaler Marshaler
	// Timeout bounds a Publish, all its attempts together; 0: 10 s.
	Timeout time.Duration
	// Logger is told what is tried again; nil: nobody is.
	Logger watermill.LoggerAdapter
}

// Publisher appends messages to the streams of their topics. It is safe for
// concurrent use.
type Publisher struct {
	config PublisherConfig
	log    eventlog.Log

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

var _ message.Publisher = (*Publisher)(nil)

// attempts bounds how often an append is tried whose outcome is not known.
const attempts = 5

// lookBack bounds how many events are looked at for one that may have been
// appended. Others would have to append as many while the store is away.
const lookBack = 4096

// NewPublisher returns a publisher to a store.
func NewPublisher(store *Store, config PublisherConfig) (*Publisher, error) {
	if config.Timeout < 0 {
		return nil, fmt.Errorf("a publisher's time-out of %s: it has to be above 0, or 0 for the default", config.Timeout)
	}
	if config.Stream == nil {
		config.Stream = StreamOfTopic
	}
	if config.Marshaler == nil {
		config.Marshaler = DefaultMarshaler{}
	}
	if config.Logger == nil {
		config.Logger = watermill.NopLogger{}
	}
	config.Timeout = cmp.Or(config.Timeout, 10*time.Second)
	return &Publisher{config: config, log: store.log}, nil
}

// Publish appends messages in their order, and returns when they are durable.
// They are written together, all or none, unless they are too large for one
// append: then in as many as it takes, and with an error the first ones may have
// been written. To publish the same messages again is safe after an error.
//
// It is not bounded by the messages' contexts, only by the time-out: whoever
// publishes what it has received may do so after that message's context has
// ended, as a poison queue does behind a time-out.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	if err := p.enter(); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	defer p.calls.Done()
	stream, err := streamOf(p.config.Stream, topic)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	events := make([]Event, len(messages))
	for i, msg := range messages {
		if events[i], err = p.config.Marshaler.Marshal(topic, msg); err != nil {
			return fmt.Errorf("publish to %s: %w", topic, err)
		}
	}
	ctx, cancel := context.WithTimeout(contextOf(messages), p.config.Timeout)
	defer cancel()
	for _, batch := range batches(events) {
		if err := p.append(ctx, stream, batch); err != nil {
			return fmt.Errorf("publish to %s: %w", topic, err)
		}
	}
	return nil
}

// contextOf keeps what the messages' context carries, such as a trace, but not
// its end.
func contextOf(messages []*message.Message) context.Context {
	if len(messages) == 0 {
		return context.Background()
	}
	return context.WithoutCancel(messages[0].Context())
}

// batches cuts events into appends that the store accepts.
func batches(events []Event) (cut [][]Event) {
	size, first := 0, 0
	for i, event := range events {
		if size += event.Size(); size > eventlog.MaxAppendSize && i > first {
			cut = append(cut, events[first:i])
			size, first = event.Size(), i
		}
	}
	if first < len(events) {
		cut = append(cut, events[first:])
	}
	return cut
}

// append appends a batch, and again when its outcome is not known. Should the
// first append still be on its way then, the store recognises the ids of the
// second.
func (p *Publisher) append(ctx context.Context, stream string, batch []Event) error {
	pause := newPause()
	var lost error
	for range attempts {
		err := p.try(ctx, stream, batch, lost != nil)
		if !errors.Is(err, eventlog.ErrUnavailable) {
			return err
		}
		lost = err
		p.config.Logger.Info("An append is tried again", watermill.LogFields{"stream": stream, "reason": err.Error()})
		if wait(ctx, pause.NextBackOff()) != nil {
			break
		}
	}
	return lost
}

// try appends a batch, unless it is one that was lost and is there.
func (p *Publisher) try(ctx context.Context, stream string, batch []Event, wasLost bool) error {
	if wasLost {
		if there, err := p.find(ctx, stream, batch); err != nil || there {
			return err
		}
	}
	_, err := p.log.Append(ctx, stream, eventlog.Any, batch...)
	return err
}

// find looks whether a batch is in the stream, from its end on. A batch is
// written whole, so its last event tells.
func (p *Publisher) find(ctx context.Context, stream string, batch []Event) (there bool, err error) {
	last := batch[len(batch)-1].ID
	for event, err := range p.log.ReadStream(ctx, stream, eventlog.Backward, math.MaxUint64, lookBack) {
		switch {
		case errors.Is(err, eventlog.ErrNoStream):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("look whether it has been appended: %w", err)
		case event.ID == last:
			return true, nil
		}
	}
	return false, nil
}

func (p *Publisher) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	p.calls.Add(1)
	return nil
}

// Close lets no further Publish begin, and waits for those under way. The store
// stays open.
func (p *Publisher) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.calls.Wait()
	return nil
}
