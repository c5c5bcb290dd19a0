package esdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

const (
	// MaxSubscriptions is how many subscriptions a Log has at most at a time:
	// four times what a service needs, and well below what a connection carries.
	MaxSubscriptions = 64
	// bufferSize is how many messages wait for a slow reader; the store holds
	// back the rest, by the protocol's flow control.
	bufferSize = 1024
	// searchWindow and checkpointInterval let a checkpoint come after so many
	// times so many events that the filter left out: each may cost its reader a
	// transaction, and saves no more than looking at them again.
	searchWindow       = 32
	checkpointInterval = 8
)

// errTooMany refuses a subscription that would leave too little room for calls:
// they would wait, without an error, until a subscription ends.
var errTooMany = errors.New("the log has as many subscriptions as a connection can bear")

// subscriptions are those of a Log that have not ended.
type subscriptions struct {
	mu     sync.Mutex
	closed bool
	live   map[*subscription]struct{}
	ended  sync.WaitGroup
}

func (s *subscriptions) add(added *subscription) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return eventlog.ErrClosed
	case len(s.live) >= MaxSubscriptions:
		return errTooMany
	case s.live == nil:
		s.live = map[*subscription]struct{}{}
	}
	s.live[added] = struct{}{}
	s.ended.Add(1)
	return nil
}

func (s *subscriptions) remove(removed *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, removed)
	s.ended.Done()
}

// close ends all subscriptions and waits for their goroutines.
func (s *subscriptions) close() {
	s.mu.Lock()
	s.closed = true
	for live := range s.live {
		live.end()
	}
	s.mu.Unlock()
	s.ended.Wait()
}

// subscription is one that begins anew after each loss of the connection.
//
// The client's own does not: a receive error ends it, raw, and does not even
// make the client reconnect (a defect).
type subscription struct {
	log      *Log
	source   source
	messages chan eventlog.Message
	end      context.CancelFunc
	failure  atomic.Pointer[error]
	done     chan struct{}
}

// source is what a subscription follows, and how far it has come.
type source interface {
	fmt.Stringer
	// subscribe begins after the last accepted message.
	subscribe(context.Context, *esdb.Client) (*esdb.Subscription, error)
	// accept reports whether message is to be delivered, and moves on to it: what
	// was delivered before the connection was lost is not delivered again.
	accept(message eventlog.Message) bool
	// check returns why following is in vain, if it is.
	check(context.Context, *Log) error
}

// SubscribeAll implements eventlog.Log.
func (l *Log) SubscribeAll(ctx context.Context, options eventlog.AllOptions) (eventlog.Subscription, error) {
	if _, err := options.Filter.Matcher(); err != nil {
		return nil, fmt.Errorf("subscribe to $all: %w", err)
	}
	return l.subscribe(ctx, &allSource{filter: toFilter(options.Filter), after: options.After})
}

// SubscribeStream implements eventlog.Log.
func (l *Log) SubscribeStream(
	ctx context.Context, stream string, options eventlog.StreamOptions,
) (eventlog.Subscription, error) {
	return l.subscribe(ctx, &streamSource{stream: stream, next: options.From})
}

func (l *Log) subscribe(ctx context.Context, from source) (eventlog.Subscription, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", from, err)
	}
	lifetime, end := context.WithCancel(ctx)
	s := &subscription{
		log: l, source: from, end: end,
		messages: make(chan eventlog.Message, bufferSize),
		done:     make(chan struct{}),
	}
	if err := l.subscriptions.add(s); err != nil {
		end()
		return nil, fmt.Errorf("subscribe to %s: %w", from, err)
	}
	l.metrics.subscribed(1)
	go s.run(ctx, lifetime)
	return s, nil
}

// Messages implements eventlog.Subscription.
func (s *subscription) Messages() <-chan eventlog.Message { return s.messages }

// Err implements eventlog.Subscription.
func (s *subscription) Err() error {
	if failure := s.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

// Close implements eventlog.Subscription.
func (s *subscription) Close() {
	s.end()
	<-s.done
}

// run delivers until the subscription's lifetime ends, with or before the
// caller's context, or until subscribing again can't help.
func (s *subscription) run(callers, lifetime context.Context) {
	defer close(s.done)
	defer s.log.metrics.subscribed(-1)
	defer s.log.subscriptions.remove(s) // before done: who waits for that may subscribe in its place
	defer s.end()
	err := s.follow(lifetime)
	switch {
	case callers.Err() != nil:
		err = callers.Err()
	case lifetime.Err() != nil:
		err = eventlog.ErrClosed
	default:
		err = fmt.Errorf("follow %s: %w", s.source, explain(callers, err))
	}
	s.failure.Store(&err)
	close(s.messages)
}

// follow subscribes, and again after each loss, with pauses that grow until
// something is delivered.
func (s *subscription) follow(ctx context.Context) error {
	pause := newBackOff(5 * time.Second)
	for {
		delivered, err := s.once(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.verdict(ctx, err); err != nil {
			return err
		}
		if delivered {
			pause.Reset()
		}
		if err := wait(ctx, pause.NextBackOff()); err != nil {
			return err
		}
	}
}

// verdict returns why subscribing again can't help, or nil.
func (s *subscription) verdict(ctx context.Context, err error) error {
	switch {
	case isFinal(err):
		return err
	case isBroken(err), isUnsent(err):
		return nil
	default:
		return s.source.check(ctx, s.log)
	}
}

// once subscribes on one connection and delivers until that is lost. It reports
// whether it has delivered anything.
func (s *subscription) once(ctx context.Context) (delivered bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := s.log.holder.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer c.release()
	began := time.Now()
	inner, err := await(ctx, ctx, c, s.source.subscribe)
	s.log.metrics.done(opSubscribe, began, err)
	if err != nil {
		return false, err
	}
	for {
		message, ok, err := translate(inner.Recv())
		if err != nil {
			return delivered, c.judge(err)
		}
		if !ok || !s.source.accept(message) {
			continue
		}
		select {
		case s.messages <- message:
			delivered = true
			if message.Kind == eventlog.KindEvent {
				s.log.metrics.delivered(opSubscribe)
			}
		case <-ctx.Done():
			return delivered, ctx.Err()
		}
	}
}

// translate returns the message that the client's event stands for, if it
// stands for one, or why the subscription was dropped.
func translate(event *esdb.SubscriptionEvent) (message eventlog.Message, ok bool, err error) {
	switch {
	case event.SubscriptionDropped != nil:
		return message, false, fmt.Errorf("subscription dropped: %w", event.SubscriptionDropped.Error)
	case event.EventAppeared != nil:
		recorded := fromRecorded(event.EventAppeared.Event)
		return eventlog.Message{Kind: eventlog.KindEvent, Event: recorded, Position: recorded.Position}, true, nil
	case event.CheckPointReached != nil:
		return eventlog.Message{Kind: eventlog.KindCheckpoint, Position: fromPosition(*event.CheckPointReached)}, true, nil
	case event.CaughtUp != nil:
		return eventlog.Message{Kind: eventlog.KindCaughtUp}, true, nil
	default: // fallen behind: not of interest, nothing is lost
		return message, false, nil
	}
}

// allSource is $all.
type allSource struct {
	filter *esdb.SubscriptionFilter
	after  eventlog.Position
}

func (a *allSource) String() string { return "$all" }

func (a *allSource) subscribe(ctx context.Context, client *esdb.Client) (*esdb.Subscription, error) {
	var from esdb.AllPosition = esdb.Start{}
	if a.after != (eventlog.Position{}) {
		from = toPosition(a.after)
	}
	return client.SubscribeToAll(ctx, esdb.SubscribeToAllOptions{
		From: from, Filter: a.filter,
		MaxSearchWindow: searchWindow, CheckpointInterval: checkpointInterval,
	})
}

func (a *allSource) accept(message eventlog.Message) bool {
	switch message.Kind {
	case eventlog.KindEvent:
		if message.Position.Compare(a.after) <= 0 {
			return false
		}
		a.after = message.Position
	case eventlog.KindCheckpoint:
		if message.Position.Compare(a.after) < 0 {
			return false
		}
		a.after = message.Position
	}
	return true
}

func (a *allSource) check(context.Context, *Log) error { return nil }

// streamSource is one stream.
type streamSource struct {
	stream string
	next   uint64 // the revision to deliver next
}

func (s *streamSource) String() string { return s.stream }

// subscribe begins before the next revision: the store takes the last one that
// was seen.
func (s *streamSource) subscribe(ctx context.Context, client *esdb.Client) (*esdb.Subscription, error) {
	var from esdb.StreamPosition = esdb.Start{}
	if s.next > 0 {
		from = esdb.Revision(min(s.next-1, math.MaxInt64-1))
	}
	return client.SubscribeToStream(ctx, s.stream, esdb.SubscribeToStreamOptions{From: from})
}

func (s *streamSource) accept(message eventlog.Message) bool {
	if message.Kind != eventlog.KindEvent {
		return true
	}
	if message.Event.Revision < s.next {
		return false
	}
	s.next = message.Event.Revision + 1
	return true
}

// check looks whether the stream was deleted for good: the client does not tell
// when it drops the subscription (a defect: the reason is in trailers that it
// does not read).
func (s *streamSource) check(ctx context.Context, log *Log) error {
	for _, err := range log.ReadStream(ctx, s.stream, eventlog.Backward, math.MaxUint64, 1) {
		if errors.Is(err, eventlog.ErrTombstoned) {
			return err
		}
	}
	return nil
}
