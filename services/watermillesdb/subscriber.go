package watermillesdb

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// SubscriberConfig is how a Subscriber works.
type SubscriberConfig struct {
	// ConsumerGroup names those that share the topics. Without one each
	// subscription gets all messages from the start of its topic.
	ConsumerGroup string
	// Stream names the stream of a topic, as the publisher does; nil: StreamOfTopic.
	Stream func(topic string) string
	// GroupStream names the stream of a group's records about a topic; nil:
	// StreamOfGroup.
	GroupStream func(group, topic string) string
	// Marshaler turns events into messages; nil: DefaultMarshaler.
	Marshaler Marshaler
	// NackPause is how long a message that was nacked waits before it comes again;
	// 0: 100 ms.
	NackPause time.Duration
	// CloseTimeout is how long an end waits for the message that is being
	// processed, before its context ends; 0: 30 s.
	CloseTimeout time.Duration
	// CheckpointEvery is after how long what was acked is on record; 0: 1 s. A
	// crash repeats what was acked within it.
	CheckpointEvery time.Duration
	// Lease is how long those that stand by wait for one that has crashed; 0: 15 s.
	// It is at least six times CheckpointEvery.
	Lease time.Duration
	// Logger is told why a subscription does not go on; nil: nobody is.
	Logger watermill.LoggerAdapter
}

// Subscriber delivers the messages of topics. It is safe for concurrent use.
type Subscriber struct {
	config SubscriberConfig
	log    eventlog.Log

	closing context.Context // ends at Close
	close   context.CancelFunc

	mu            sync.Mutex // held while a subscription begins, and while closing does
	subscriptions sync.WaitGroup
}

var _ message.Subscriber = (*Subscriber)(nil)

// NewSubscriber returns a subscriber to a store.
func NewSubscriber(store *Store, config SubscriberConfig) (*Subscriber, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	s := &Subscriber{config: config, log: store.log}
	s.closing, s.close = context.WithCancel(context.Background())
	return s, nil
}

func (c SubscriberConfig) withDefaults() SubscriberConfig {
	if c.Stream == nil {
		c.Stream = StreamOfTopic
	}
	if c.GroupStream == nil {
		c.GroupStream = StreamOfGroup
	}
	if c.Marshaler == nil {
		c.Marshaler = DefaultMarshaler{}
	}
	if c.Logger == nil {
		c.Logger = watermill.NopLogger{}
	}
	c.NackPause = cmp.Or(c.NackPause, 100*time.Millisecond)
	c.CloseTimeout = cmp.Or(c.CloseTimeout, 30*time.Second)
	c.CheckpointEvery = cmp.Or(c.CheckpointEvery, time.Second)
	c.Lease = cmp.Or(c.Lease, 15*time.Second)
	return c
}

func (c SubscriberConfig) check() error {
	for name, value := range map[string]time.Duration{
		"nack pause": c.NackPause, "close time-out": c.CloseTimeout, "checkpoint every": c.CheckpointEvery, "lease": c.Lease,
	} {
		if value < 0 {
			return fmt.Errorf("a subscriber's %s of %s: it has to be above 0, or 0 for the default", name, value)
		}
	}
	if c.Lease < 6*c.CheckpointEvery {
		return fmt.Errorf("a lease of %s: it has to be at least six times as long as how often a checkpoint is written, %s", c.Lease, c.CheckpointEvery)
	}
	return nil
}

// Subscribe delivers the messages of a topic, which need not exist yet, until ctx
// ends or the subscriber is closed: both wait for the message that is being
// processed. It does not wait for the store.
//
// The channel is also closed when going on is in vain, because the topic's stream
// was deleted for good, or is not the one that the group has processed; the
// logger is told.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	stream, err := streamOf(s.config.Stream, topic)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Err() != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, ErrClosed)
	}
	sub := &subscription{
		config: &s.config, log: s.log, topic: topic, stream: stream,
		out:    make(chan *message.Message),
		logger: s.config.Logger.With(watermill.LogFields{"topic": topic, "consumer_group": s.config.ConsumerGroup}),
	}
	if s.config.ConsumerGroup != "" {
		sub.group = &group{log: s.log, stream: s.config.GroupStream(s.config.ConsumerGroup, topic), lease: s.config.Lease}
	}
	running, stop := context.WithCancel(ctx)
	closed := context.AfterFunc(s.closing, stop)
	s.subscriptions.Go(func() {
		defer stop()
		defer closed()
		sub.run(running)
	})
	return sub.out, nil
}

// Close ends the subscriptions. It waits for the messages that are being
// processed, at most for the close time-out; what has not been acked then comes
// again. The store stays open.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.close()
	s.mu.Unlock()
	s.subscriptions.Wait()
	return nil
}
