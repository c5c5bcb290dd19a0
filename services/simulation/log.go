package simulation

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/job"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// connection is a life's connection to the event log. The log is a field, and not
// embedded: nothing of it is reached past the scheduler.
type connection struct {
	log  eventlog.Log
	life *life
}

func (c connection) await(ctx context.Context, at Point, what string) (verdict, error) {
	return c.life.await(ctx, at, what)
}

// await waits at a point of the life's service.
func (l *life) await(ctx context.Context, at Point, what string) (verdict, error) {
	v, err := l.service.world.await(ctx, place{life: l, job: job.Of(ctx), point: at, what: what})
	if err == nil && v.fault == Disconnect {
		err = fmt.Errorf("%w: %w", eventlog.ErrUnavailable, errBroken)
	}
	return v, err
}

// Append implements eventlog.Log.
func (c connection) Append(ctx context.Context, stream string, expected eventlog.Expected, events ...eventlog.NewEvent) (eventlog.Appended, error) {
	v, err := c.await(ctx, Append, stream)
	if err != nil {
		return eventlog.Appended{}, err
	}
	if c.life.service.world.withholds(stream) {
		return eventlog.Appended{}, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, errBroken)
	}
	if v.fault == Conflict {
		if err := c.rival(ctx, stream, expected, events, v.roll); err != nil {
			return eventlog.Appended{}, err
		}
	}
	appended, err := c.log.Append(ctx, stream, expected, events...)
	if err == nil && v.fault == Duplicate {
		// The client has sent it twice, and hears the answer to the second.
		appended, err = c.log.Append(ctx, stream, expected, events...)
	}
	if err != nil {
		return appended, err
	}
	if _, err := c.await(ctx, Appended, stream); err != nil {
		return eventlog.Appended{}, err
	}
	return appended, nil
}

// SetMaxCount implements eventlog.Log: it is an append to what describes the
// stream, whoever is first.
func (c connection) SetMaxCount(ctx context.Context, stream string, n uint64) error {
	v, err := c.await(ctx, Append, stream)
	if err != nil {
		return err
	}
	if err := c.log.SetMaxCount(ctx, stream, n); err != nil {
		return err
	}
	if v.fault == Duplicate || v.fault == Conflict {
		if err := c.log.SetMaxCount(ctx, stream, n); err != nil {
			return err
		}
	}
	_, err = c.await(ctx, Appended, stream)
	return err
}

// rival is another writer that is first. On a stream that is not there yet it is
// another replica, which does the same; else it writes what changes nothing.
func (c connection) rival(ctx context.Context, stream string, expected eventlog.Expected, events []eventlog.NewEvent, roll uint64) error {
	if expected == eventlog.NoStream {
		_, err := c.log.Append(ctx, stream, expected, events...)
		return ignoreWrongRevision(err)
	}
	e, err := c.life.service.world.codec.Encode(ctx, &flowv1.MarkerSet{Purpose: "to be first"}, seeded(roll),
		codec.Metadata{Source: "/triangle/simulation", Subject: stream, Time: time.Now().UTC()})
	if err != nil {
		return err
	}
	_, err = c.log.Append(ctx, stream, expected, e)
	return ignoreWrongRevision(err)
}

// seeded is an id of chance that is the scheduler's.
func seeded(roll uint64) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "simulation %d", roll))
}

// ReadStream implements eventlog.Log.
func (c connection) ReadStream(ctx context.Context, stream string, direction eventlog.Direction, from uint64, limit int) iter.Seq2[eventlog.Event, error] {
	return c.read(ctx, stream, c.log.ReadStream(ctx, stream, direction, from, limit))
}

// ReadAll implements eventlog.Log.
func (c connection) ReadAll(ctx context.Context, direction eventlog.Direction, from *eventlog.Position, limit int) iter.Seq2[eventlog.Event, error] {
	return c.read(ctx, "$all", c.log.ReadAll(ctx, direction, from, limit))
}

// read breaks before the first event or after some of them.
func (c connection) read(ctx context.Context, what string, all iter.Seq2[eventlog.Event, error]) iter.Seq2[eventlog.Event, error] {
	return func(yield func(eventlog.Event, error) bool) {
		v, broken := c.await(ctx, Read, what)
		if broken != nil && v.fault != Disconnect {
			yield(eventlog.Event{}, broken)
			return
		}
		left := v.roll % 4
		for e, err := range all {
			if broken != nil && left == 0 {
				break
			}
			left--
			if !yield(e, err) || err != nil {
				return
			}
		}
		if broken != nil {
			yield(eventlog.Event{}, broken)
		}
	}
}

// SubscribeAll implements eventlog.Log.
func (c connection) SubscribeAll(ctx context.Context, options eventlog.AllOptions) (eventlog.Subscription, error) {
	return c.subscribe(ctx, "$all", func() (eventlog.Subscription, error) { return c.log.SubscribeAll(ctx, options) })
}

// SubscribeStream implements eventlog.Log.
func (c connection) SubscribeStream(ctx context.Context, stream string, options eventlog.StreamOptions) (eventlog.Subscription, error) {
	return c.subscribe(ctx, stream, func() (eventlog.Subscription, error) { return c.log.SubscribeStream(ctx, stream, options) })
}

func (c connection) subscribe(ctx context.Context, what string, begin func() (eventlog.Subscription, error)) (eventlog.Subscription, error) {
	if _, err := c.await(ctx, Subscribe, what); err != nil {
		return nil, err
	}
	inner, err := begin()
	if err != nil {
		return nil, err
	}
	s := &subscription{inner: inner, messages: make(chan eventlog.Message, 16), done: make(chan struct{})}
	ctx, s.end = context.WithCancel(ctx)
	go s.run(ctx, func() (verdict, error) { return c.await(ctx, Deliver, what) })
	return s, nil
}

// Ping implements eventlog.Log. It changes nothing, and waits for nobody.
func (c connection) Ping(ctx context.Context) error {
	if c.life.isDead() {
		return errCrashed
	}
	return c.log.Ping(ctx)
}

// Close implements eventlog.Log: the log outlives its connections.
func (c connection) Close() error { return nil }

// subscription delivers each message when its turn comes.
type subscription struct {
	inner    eventlog.Subscription
	messages chan eventlog.Message
	end      context.CancelFunc
	done     chan struct{}
	failure  atomic.Pointer[error]
}

func (s *subscription) run(ctx context.Context, turn func() (verdict, error)) {
	defer close(s.done)
	err := s.deliver(ctx, turn)
	s.inner.Close()
	s.failure.Store(&err)
	close(s.messages)
}

func (s *subscription) deliver(ctx context.Context, turn func() (verdict, error)) error {
	for m := range s.inner.Messages() {
		v, err := turn()
		if err != nil {
			return err
		}
		select {
		case s.messages <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
		if v.fault == Duplicate {
			// The reader begins again at its checkpoint, and is given once more what it
			// has not yet taken in. How far it comes meanwhile is the scheduler's to say.
			if _, err := turn(); err != nil {
				return err
			}
			return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, errBroken)
		}
	}
	return s.inner.Err()
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
	s.inner.Close()
	<-s.done
}

// keys is a life's connection to the key ring.
type keys struct {
	ring keyring.Ring
	life *life
}

// Key implements keyring.Ring.
func (k keys) Key(ctx context.Context, subject string) (keyring.Key, error) {
	if _, err := k.life.await(ctx, Key, subject); err != nil {
		return keyring.Key{}, err
	}
	return k.ring.Key(ctx, subject)
}

// Existing implements keyring.Ring.
func (k keys) Existing(ctx context.Context, subject string) (keyring.Key, error) {
	if _, err := k.life.await(ctx, Key, subject); err != nil {
		return keyring.Key{}, err
	}
	return k.ring.Existing(ctx, subject)
}

// Destroy implements keyring.Ring.
func (k keys) Destroy(ctx context.Context, subject string, why keyring.Erasure) error {
	if _, err := k.life.await(ctx, Key, subject); err != nil {
		return err
	}
	return k.ring.Destroy(ctx, subject, why)
}

// Hash implements keyring.Ring: it is reckoned, and nobody is asked.
func (k keys) Hash(kind, value string) string { return k.ring.Hash(kind, value) }
