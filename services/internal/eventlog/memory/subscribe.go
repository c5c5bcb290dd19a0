package memory

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

const (
	// bufferSize is how many messages wait for a slow reader; then the feeder
	// waits too. What is not yet delivered stays where it is: in the log.
	bufferSize = 16
	// batchSize is how many events are looked at under one hold of the log.
	batchSize = 32
	// checkpointInterval is how many events are left out between two
	// checkpoints, as often as the store does it.
	checkpointInterval = 32
)

// subscription feeds one reader from a goroutine of its own.
type subscription struct {
	log      *Log
	from     scanner
	messages chan eventlog.Message
	end      context.CancelFunc
	failure  atomic.Pointer[error]
	done     chan struct{}
}

// scanner looks at the events of the log, in order, for one subscription.
type scanner interface {
	// scan looks at some events after those that it looked at before, returns
	// messages for those that are wanted, and whether it stands at the end.
	// Log.mu is held.
	scan() (messages []eventlog.Message, atEnd bool, err error)
}

// allScanner scans $all.
type allScanner struct {
	log      *Log
	wanted   func(eventType, stream string) bool
	place    int // of the next event to look at
	leftOut  int // events since the last message
	caughtUp bool
}

// SubscribeAll implements eventlog.Log.
func (l *Log) SubscribeAll(ctx context.Context, options eventlog.AllOptions) (eventlog.Subscription, error) {
	wanted, err := options.Filter.Matcher()
	if err != nil {
		return nil, fmt.Errorf("subscribe to $all: %w", err)
	}
	return l.subscribe(ctx, &allScanner{log: l, wanted: wanted, place: l.placeAfter(options.After)})
}

// placeAfter returns the place of the first event after position.
func (l *Log) placeAfter(position eventlog.Position) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := l.placeOf(position)
	if place < len(l.all) && l.all[place].Position == position {
		place++
	}
	return place
}

func (s *allScanner) scan() (messages []eventlog.Message, atEnd bool, err error) {
	for end := min(s.place+batchSize, len(s.log.all)); s.place < end; {
		event := s.log.all[s.place]
		s.place++
		if s.wanted(event.Type, event.Stream) {
			messages = append(messages, carry(event))
			s.leftOut = 0
		} else if s.leftOut++; s.leftOut == checkpointInterval {
			messages = append(messages, s.checkpoint())
		}
	}
	atEnd = s.place == len(s.log.all)
	if atEnd && !s.caughtUp {
		s.caughtUp = true
		if s.leftOut > 0 {
			messages = append(messages, s.checkpoint())
		}
	}
	return messages, atEnd, nil
}

// checkpoint tells how far the scan has come.
func (s *allScanner) checkpoint() eventlog.Message {
	s.leftOut = 0
	return eventlog.Message{Kind: eventlog.KindCheckpoint, Position: s.log.all[s.place-1].Position}
}

// streamScanner scans one stream.
type streamScanner struct {
	log  *Log
	name string
	next uint64 // the revision to look at next
}

// SubscribeStream implements eventlog.Log.
func (l *Log) SubscribeStream(
	ctx context.Context, name string, options eventlog.StreamOptions,
) (eventlog.Subscription, error) {
	return l.subscribe(ctx, &streamScanner{log: l, name: name, next: options.From})
}

func (s *streamScanner) scan() (messages []eventlog.Message, atEnd bool, err error) {
	followed := s.log.streams[s.name]
	if followed == nil {
		return nil, true, nil
	}
	if followed.tombstoned {
		return nil, false, fmt.Errorf("follow %s: %w", s.name, eventlog.ErrTombstoned)
	}
	places := followed.visible(eventlog.Forward, s.next)
	batch := places[:min(batchSize, len(places))]
	for _, place := range batch {
		event := s.log.all[place]
		messages = append(messages, carry(event))
		s.next = event.Revision + 1
	}
	return messages, len(batch) == len(places), nil
}

func carry(event eventlog.Event) eventlog.Message {
	event.NewEvent = clone(event.NewEvent)
	return eventlog.Message{Kind: eventlog.KindEvent, Event: event, Position: event.Position}
}

func (l *Log) subscribe(ctx context.Context, from scanner) (eventlog.Subscription, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(ctx); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	lifetime, end := context.WithCancel(ctx)
	s := &subscription{
		log:      l,
		from:     from,
		messages: make(chan eventlog.Message, bufferSize),
		end:      end,
		done:     make(chan struct{}),
	}
	unlink := context.AfterFunc(l.closing, end)
	l.subscriptions.Go(func() {
		defer unlink()
		s.run(ctx, lifetime)
	})
	return s, nil
}

// run delivers until the subscription's lifetime ends, with or before the
// caller's context, or until following can't go on.
func (s *subscription) run(callers, lifetime context.Context) {
	defer s.end()
	err := s.deliver(lifetime)
	switch {
	case callers.Err() != nil:
		err = callers.Err()
	case lifetime.Err() != nil:
		err = eventlog.ErrClosed
	}
	s.failure.Store(&err)
	close(s.messages)
	close(s.done)
}

func (s *subscription) deliver(ctx context.Context) error {
	live := false
	for {
		messages, atEnd, changed, err := s.look()
		if err != nil {
			return err
		}
		if atEnd && !live {
			live = true
			messages = append(messages, eventlog.Message{Kind: eventlog.KindCaughtUp})
		}
		if err := s.send(ctx, messages); err != nil {
			return err
		}
		if !atEnd {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look scans once, and returns with it the channel that the next change closes.
func (s *subscription) look() (messages []eventlog.Message, atEnd bool, changed <-chan struct{}, err error) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	messages, atEnd, err = s.from.scan()
	return messages, atEnd, s.log.changed, err
}

// send hands messages over one by one; a slow reader makes it wait.
func (s *subscription) send(ctx context.Context, messages []eventlog.Message) error {
	for _, message := range messages {
		select {
		case s.messages <- message:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
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
