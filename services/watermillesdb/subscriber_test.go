package watermillesdb_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/watermillesdb"
)

const lease = 15 * time.Second

// tale runs a test in a time of its own, with a log in memory that holds ten
// letters.
func tale(t *testing.T, tell func(t *testing.T, log eventlog.Log)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := memory.New(memory.Options{})
		defer closing(t, log)
		publisher := newPublisher(t, watermillesdb.Over(log))
		if err := publisher.Publish("letters", numbered(0, 10)...); err != nil {
			t.Fatal(err)
		}
		tell(t, log)
	})
}

// member is a subscriber of the group that the tales are about.
type member struct {
	*watermillesdb.Subscriber
	letters <-chan *message.Message
}

func join(t *testing.T, log eventlog.Log, config watermillesdb.SubscriberConfig) member {
	t.Helper()
	config.ConsumerGroup, config.Lease = "postmen", lease
	subscriber, err := watermillesdb.NewSubscriber(watermillesdb.Over(log), config)
	if err != nil {
		t.Fatal(err)
	}
	letters, err := subscriber.Subscribe(t.Context(), "letters")
	if err != nil {
		t.Fatal(err)
	}
	return member{subscriber, letters}
}

func (m member) want(t *testing.T, number int) *message.Message {
	t.Helper()
	letter, ok := <-m.letters
	if !ok || letter.UUID != fmt.Sprint(number) {
		t.Fatalf("got letter %v (%v), want %d", letter, ok, number)
	}
	return letter
}

func (m member) leave(t *testing.T) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if letter, open := <-m.letters; open {
		t.Errorf("after the end comes letter %s", letter.UUID)
	}
}

func TestANackedMessageComesAgainBeforeAnyOther(t *testing.T) {
	tale(t, func(t *testing.T, log eventlog.Log) {
		m := join(t, log, watermillesdb.SubscriberConfig{NackPause: time.Second})
		m.want(t, 0).Ack()
		for range 3 {
			began := time.Now()
			m.want(t, 1).Nack()
			if waited := time.Since(began); waited > time.Second {
				t.Errorf("it came again after %s", waited)
			}
		}
		m.want(t, 1).Ack()
		m.want(t, 2).Ack()
		m.leave(t)
	})
}

func TestWhatWasAckedBeforeACloseDoesNotComeAgain(t *testing.T) {
	tale(t, func(t *testing.T, log eventlog.Log) {
		for n := range 10 {
			m := join(t, log, watermillesdb.SubscriberConfig{})
			m.want(t, n).Ack()
			began := time.Now()
			m.leave(t)
			if waited := time.Since(began); waited > 0 {
				t.Errorf("an end waited %s for a letter that nobody has taken", waited)
			}
		}
	})
}

func TestAnEndWaitsForTheMessageThatIsBeingProcessed(t *testing.T) {
	tale(t, func(t *testing.T, log eventlog.Log) {
		m := join(t, log, watermillesdb.SubscriberConfig{CloseTimeout: 10 * time.Minute})
		letter := m.want(t, 0)
		var left atomic.Bool
		go func() {
			m.leave(t)
			left.Store(true)
		}()
		<-time.After(5 * time.Minute) // many leases
		if left.Load() || letter.Context().Err() != nil {
			t.Fatalf("it did not wait: %v", letter.Context().Err())
		}
		letter.Ack()
		synctest.Wait()
		if !left.Load() || letter.Context().Err() == nil {
			t.Fatal("it waits still")
		}
		next := join(t, log, watermillesdb.SubscriberConfig{})
		next.want(t, 1).Ack()
		next.leave(t)
	})
}

func TestWhatIsNotProcessedWithinTheTimeOutComesAgain(t *testing.T) {
	for name, end := range map[string]func(m member, cancel func()){
		"closed":                 func(m member, _ func()) { _ = m.Close() },
		"the subscription's ctx": func(_ member, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			tale(t, func(t *testing.T, log eventlog.Log) {
				subscriber, err := watermillesdb.NewSubscriber(watermillesdb.Over(log), watermillesdb.SubscriberConfig{
					ConsumerGroup: "postmen", CloseTimeout: time.Minute,
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				letters, err := subscriber.Subscribe(ctx, "letters")
				if err != nil {
					t.Fatal(err)
				}
				m := member{subscriber, letters}
				letter := m.want(t, 0)
				began := time.Now()
				end(m, cancel)
				<-letter.Context().Done()
				if waited := time.Since(began); waited != time.Minute {
					t.Errorf("its context ended after %s", waited)
				}
				m.leave(t)
				next := join(t, log, watermillesdb.SubscriberConfig{})
				next.want(t, 0).Ack()
				next.leave(t)
				cancel()
			})
		})
	}
}

func TestOneOfAGroupHasATopicAndAnotherFollowsAtOnce(t *testing.T) {
	tale(t, func(t *testing.T, log eventlog.Log) {
		first := join(t, log, watermillesdb.SubscriberConfig{})
		first.want(t, 0).Ack()
		letter := first.want(t, 1)
		second := join(t, log, watermillesdb.SubscriberConfig{})
		select {
		case letter := <-second.letters:
			t.Fatalf("both have the topic: %s", letter.UUID)
		case <-time.After(10 * lease):
		}
		letter.Nack()
		first.want(t, 1).Ack()
		first.want(t, 2)
		go func() { _ = first.Close() }()
		<-time.After(time.Minute) // its letter is never acked
		second.want(t, 2).Ack()
		second.leave(t)
	})
}

// cutOff is a log that can be reached no more, by one of its users.
type cutOff struct {
	eventlog.Log
	off atomic.Bool
}

func (c *cutOff) Append(ctx context.Context, stream string, expected eventlog.Expected, events ...eventlog.NewEvent) (eventlog.Appended, error) {
	if c.off.Load() {
		<-ctx.Done()
		return eventlog.Appended{}, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, ctx.Err())
	}
	return c.Log.Append(ctx, stream, expected, events...)
}

func TestOneThatIsCutOffHasStoppedBeforeAnotherBegins(t *testing.T) {
	tale(t, func(t *testing.T, log eventlog.Log) {
		lonely := &cutOff{Log: log}
		first := join(t, lonely, watermillesdb.SubscriberConfig{})
		first.want(t, 0).Ack()
		letter := first.want(t, 1)
		second := join(t, log, watermillesdb.SubscriberConfig{})
		<-time.After(time.Minute)
		cut := time.Now()
		lonely.off.Store(true)
		again := second.want(t, 1)
		if took := time.Since(cut); took > lease+lease/3 {
			t.Errorf("another one began after %s", took)
		}
		if letter.Context().Err() == nil {
			t.Error("both process it")
		}
		letter.Ack() // too late
		lonely.off.Store(false)
		<-time.After(time.Minute) // the first one is back, and stands by
		again.Ack()
		second.want(t, 2).Ack()
		second.leave(t)
		first.want(t, 3).Ack()
		first.leave(t)
	})
}

// lossy is a log that loses the answers to some appends to a group's stream.
type lossy struct {
	eventlog.Log
	appends int
}

func (l *lossy) Append(ctx context.Context, stream string, expected eventlog.Expected, events ...eventlog.NewEvent) (eventlog.Appended, error) {
	appended, err := l.Log.Append(ctx, stream, expected, events...)
	if l.appends++; l.appends%2 == 1 && err == nil {
		return eventlog.Appended{}, eventlog.ErrUnavailable
	}
	return appended, err
}

func TestALostAnswerDoesNotLoseTheTopic(t *testing.T) {
	tale(t, func(t *testing.T, log eventlog.Log) {
		m := join(t, &lossy{Log: log}, watermillesdb.SubscriberConfig{})
		for n := range 10 {
			began := time.Now()
			letter := m.want(t, n)
			if waited := time.Since(began); waited > lease/2 {
				t.Errorf("letter %d came after %s", n, waited)
			}
			<-time.After(lease) // the lease is renewed meanwhile
			if err := letter.Context().Err(); err != nil {
				t.Fatalf("letter %d: %v", n, err)
			}
			letter.Ack()
		}
		m.leave(t)
	})
}

func TestATopicThatIsNotTheOneOfBeforeEndsTheSubscription(t *testing.T) {
	for name, other := range map[string][]*message.Message{
		"it holds other messages":         numbered(100, 110),
		"it holds one in another's place": {numbered(0, 1)[0], numbered(7, 8)[0], numbered(2, 3)[0]},
		"it holds fewer":                  numbered(0, 1),
	} {
		t.Run(name, func(t *testing.T) {
			tale(t, func(t *testing.T, log eventlog.Log) {
				m := join(t, log, watermillesdb.SubscriberConfig{})
				m.want(t, 0).Ack()
				m.want(t, 1).Ack()
				m.leave(t)
				wrong := join(t, log, watermillesdb.SubscriberConfig{Stream: func(string) string { return watermillesdb.StreamOfTopic("restored") }})
				select {
				case letter, open := <-wrong.letters:
					t.Fatalf("of a topic that is not there comes %v (%v)", letter, open)
				case <-time.After(time.Hour):
				}
				if err := newPublisher(t, watermillesdb.Over(log)).Publish("restored", other...); err != nil {
					t.Fatal(err)
				}
				if letter, open := <-wrong.letters; open {
					t.Errorf("letter %s came", letter.UUID)
				}
				wrong.leave(t)
				right := join(t, log, watermillesdb.SubscriberConfig{})
				right.want(t, 2).Ack()
				right.leave(t)
			})
		})
	}
}

// freezing stands still at a message, as a process may.
type freezing struct {
	watermillesdb.DefaultMarshaler
	once *sync.Once
}

func (f freezing) Unmarshal(topic string, event watermillesdb.Event) (*message.Message, error) {
	msg, err := f.DefaultMarshaler.Unmarshal(topic, event)
	if err == nil && msg.UUID == "1" {
		f.once.Do(func() { <-time.After(time.Hour) })
	}
	return msg, err
}

func TestOneThatWasFrozenHandsOutNothingMore(t *testing.T) {
	for range 10 { // what comes first when it wakes is chance
		tale(t, outliveAFrozenOne)
	}
}

func outliveAFrozenOne(t *testing.T, log eventlog.Log) {
	first := join(t, log, watermillesdb.SubscriberConfig{Marshaler: freezing{once: new(sync.Once)}})
	first.want(t, 0).Ack()
	second := join(t, log, watermillesdb.SubscriberConfig{})
	again := second.want(t, 0) // its ack was not on record yet
	again.Ack()
	letter := second.want(t, 1)
	select {
	case letter := <-first.letters:
		t.Fatalf("letter %s is with both", letter.UUID)
	case <-time.After(2 * time.Hour):
	}
	letter.Ack()
	second.want(t, 2).Ack()
	second.leave(t)
	first.want(t, 3).Ack()
	first.leave(t)
}

func TestAStreamThatIsDeletedForGoodEndsTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory.New(memory.Options{})
		defer closing(t, log)
		log.Tombstone(watermillesdb.StreamOfTopic("letters"))
		m := join(t, log, watermillesdb.SubscriberConfig{})
		m.leave(t)
	})
}

// picky reads only what it can.
type picky struct {
	watermillesdb.DefaultMarshaler
	wrong *atomic.Bool
}

func (p picky) Unmarshal(topic string, event watermillesdb.Event) (*message.Message, error) {
	msg, err := p.DefaultMarshaler.Unmarshal(topic, event)
	switch {
	case err == nil && msg.UUID == "1":
		return nil, fmt.Errorf("an advertisement: %w", watermillesdb.ErrNoMessage)
	case err == nil && msg.UUID == "2" && p.wrong.Load():
		return nil, errors.New("the handwriting is bad")
	}
	return msg, err
}

func TestWhatCanNotBeReadWaitsAndWhatIsNoMessageIsLeftOut(t *testing.T) {
	tale(t, func(t *testing.T, log eventlog.Log) {
		var wrong atomic.Bool
		wrong.Store(true)
		m := join(t, log, watermillesdb.SubscriberConfig{Marshaler: picky{wrong: &wrong}})
		m.want(t, 0).Ack()
		select {
		case letter := <-m.letters:
			t.Fatalf("letter %s came", letter.UUID)
		case <-time.After(time.Hour):
		}
		wrong.Store(false)
		m.want(t, 2).Ack()
		m.leave(t)
	})
}

func TestAGroupsStreamIsBounded(t *testing.T) {
	tale(t, func(t *testing.T, log eventlog.Log) {
		m := join(t, log, watermillesdb.SubscriberConfig{})
		letter := m.want(t, 0)
		<-time.After(24 * time.Hour)
		letter.Ack()
		m.leave(t)
		records := 0
		for _, err := range log.ReadStream(t.Context(), watermillesdb.StreamOfGroup("postmen", "letters"), eventlog.Forward, 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			records++
		}
		if records > 10 {
			t.Errorf("a day leaves %d records", records)
		}
	})
}

func TestAStreamOfSomethingElseIsNotTakenForAGroups(t *testing.T) {
	tale(t, func(t *testing.T, log eventlog.Log) {
		stream := watermillesdb.StreamOfGroup("postmen", "letters")
		foreign := eventlog.NewEvent{ID: uuid.New(), Type: "other.Thing", Data: []byte(`{}`)}
		if _, err := log.Append(t.Context(), stream, eventlog.Any, foreign); err != nil {
			t.Fatal(err)
		}
		m := join(t, log, watermillesdb.SubscriberConfig{})
		select {
		case letter := <-m.letters:
			t.Errorf("letter %s came", letter.UUID)
		case <-time.After(time.Hour):
		}
		m.leave(t)
	})
}
