package logtest

import (
	"context"
	"time"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

var endTales = []tale{
	{"closing a subscription ends its channel", func(f *fixture) {
		f.interleave(3)
		s := f.followAll(eventlog.AllOptions{Filter: f.everything()})
		s.awaitFirst()
		if err := s.subscription.Err(); err != nil {
			f.Fatalf("a running subscription says %v", err)
		}
		s.subscription.Close()
		s.wantEnd(eventlog.ErrClosed)
		s.subscription.Close() // again: no harm
	}},
	{"closing a subscription that nobody reads ends it", func(f *fixture) {
		f.flood(f.stream("contact"))
		s := f.followAll(eventlog.AllOptions{Filter: f.everything()})
		s.awaitFirst()
		s.subscription.Close()
		s.wantEnd(eventlog.ErrClosed)
	}},
	{"the context's end ends the subscription with its error", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		subscription, err := f.log.SubscribeAll(ctx, eventlog.AllOptions{})
		s := f.follow(subscription, err, eventlog.Position{})
		streamSubscription, err := f.log.SubscribeStream(ctx, f.stream("contact"), eventlog.StreamOptions{})
		s2 := f.follow(streamSubscription, err, eventlog.Position{})
		cancel()
		s.wantEnd(context.Canceled)
		s2.wantEnd(context.Canceled)
	}},
	{"the context's deadline ends the subscription with its error", func(f *fixture) {
		ctx, cancel := context.WithTimeout(f.ctx, 20*time.Millisecond)
		defer cancel()
		subscription, err := f.log.SubscribeStream(ctx, f.stream("contact"), eventlog.StreamOptions{})
		f.follow(subscription, err, eventlog.Position{}).wantEnd(context.DeadlineExceeded)
	}},
	{"a subscription needs a context that lives", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		_, err := f.log.SubscribeAll(ctx, eventlog.AllOptions{})
		f.wantError(err, context.Canceled)
	}},
	{"a store that is there answers", func(f *fixture) {
		if err := f.log.Ping(f.ctx); err != nil {
			f.Fatal(err)
		}
	}},
	{"a log that is closed ends its subscriptions and answers no more", func(f *fixture) {
		stream := f.stream("contact")
		f.append(stream, f.some(2)...)
		s := f.followAll(eventlog.AllOptions{Filter: f.everything()})
		s.awaitFirst()
		if err := f.log.Close(); err != nil {
			f.Fatal(err)
		}
		s.wantEnd(eventlog.ErrClosed)
		_, err := f.log.Append(f.ctx, stream, eventlog.Any, f.typed("Late"))
		f.wantError(err, eventlog.ErrClosed)
		f.wantError(f.failure(f.log.ReadStream(f.ctx, stream, eventlog.Forward, 0, 0)), eventlog.ErrClosed)
		f.wantError(f.failure(f.log.ReadAll(f.ctx, eventlog.Forward, nil, 0)), eventlog.ErrClosed)
		_, err = f.log.SubscribeAll(f.ctx, eventlog.AllOptions{})
		f.wantError(err, eventlog.ErrClosed)
		_, err = f.log.SubscribeStream(f.ctx, stream, eventlog.StreamOptions{})
		f.wantError(err, eventlog.ErrClosed)
		f.wantError(f.log.SetMaxCount(f.ctx, stream, 1), eventlog.ErrClosed)
		f.wantError(f.log.Ping(f.ctx), eventlog.ErrClosed)
		if err := f.log.Close(); err != nil {
			f.Fatalf("closing again: %v", err)
		}
	}},
}

// awaitFirst reads the first event.
func (s *follower) awaitFirst() {
	s.Helper()
	s.nextEvent()
}
