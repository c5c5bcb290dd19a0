package flow_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// ice is a log whose subscriptions deliver nothing while it is frozen, as to a
// process that stands still between two batches.
type ice struct {
	eventlog.Log

	mu   sync.Mutex
	melt chan struct{} // closed while it is not frozen
}

func newIce(log eventlog.Log) *ice {
	melt := make(chan struct{})
	close(melt)
	return &ice{Log: log, melt: melt}
}

func (i *ice) freeze() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.melt = make(chan struct{})
}

func (i *ice) thaw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	close(i.melt)
}

func (i *ice) melted() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.melt
}

// SubscribeAll implements eventlog.Log.
func (i *ice) SubscribeAll(ctx context.Context, options eventlog.AllOptions) (eventlog.Subscription, error) {
	sub, err := i.Log.SubscribeAll(ctx, options)
	if err != nil {
		return nil, err
	}
	slow := &icy{Subscription: sub, messages: make(chan eventlog.Message, 100)}
	go func() {
		defer close(slow.messages)
		for m := range sub.Messages() {
			select {
			case <-i.melted():
			case <-ctx.Done():
				return
			}
			select {
			case slow.messages <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	return slow, nil
}

type icy struct {
	eventlog.Subscription

	messages chan eventlog.Message
}

func (s *icy) Messages() <-chan eventlog.Message { return s.messages }

// frozen is a process that stands still, and has been replaced.
type frozen struct {
	ice  *ice
	db   *projection.DB
	end  context.CancelFunc
	done chan error
}

// freezeOrThaw has the service stand still and another process take its place;
// or has the one that stands still wake up, which has lost the flow meanwhile. On
// SQLite it can't: there, whoever comes last takes over at once.
func (s *schedule) freezeOrThaw() {
	switch {
	case s.frozen != nil:
		s.thaw()
	case s.end != nil && !s.db.Shared():
		s.pass(time.Minute) // so that it has taken over, if it has just started, whatever failed
		s.ice.freeze()
		s.frozen = &frozen{ice: s.ice, db: s.db, end: s.end, done: s.done}
		s.end = nil
		s.start()
		s.quiet()
	}
}

// thaw wakes the process that stood still, and ends it some time later.
func (s *schedule) thaw() {
	if s.frozen == nil {
		return
	}
	s.frozen.ice.thaw()
	s.pass(s.heartbeat)
	s.frozen.end()
	if err := <-s.frozen.done; err != nil && !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "taken over") {
		s.t.Errorf("the process that was replaced ended with %v", err)
	}
	if err := s.frozen.db.Close(); err != nil {
		s.t.Error(err)
	}
	s.frozen = nil
}
