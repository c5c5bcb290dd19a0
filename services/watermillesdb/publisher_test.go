package watermillesdb_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/watermillesdb"
)

// numbered returns messages whose UUIDs are their numbers.
func numbered(from, to int) (all []*message.Message) {
	for n := from; n < to; n++ {
		all = append(all, message.NewMessage(fmt.Sprint(n), []byte(`{}`)))
	}
	return all
}

// uuids returns the UUIDs of the messages that a topic holds.
func uuids(t *testing.T, log eventlog.Log, topic string) (all []string) {
	t.Helper()
	for event, err := range log.ReadStream(t.Context(), watermillesdb.StreamOfTopic(topic), eventlog.Forward, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		msg, err := watermillesdb.DefaultMarshaler{}.Unmarshal(topic, event.NewEvent)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, msg.UUID)
	}
	return all
}

func TestWhatBecameOfAnAppendIsFoundOut(t *testing.T) {
	for name, tc := range map[string]struct {
		before, after error // why the first append has no answer
		want          error
		written       int
	}{
		"it was written, and the answer lost": {after: eventlog.ErrUnavailable, written: 3},
		"it never arrived":                    {before: eventlog.ErrUnavailable, written: 3},
		"it was refused":                      {before: eventlog.ErrTooLarge, want: watermillesdb.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				once := func(err error) func(string, []eventlog.NewEvent) error {
					var done atomic.Bool
					return func(string, []eventlog.NewEvent) error {
						if done.Swap(true) {
							return nil
						}
						return err
					}
				}
				// This log recognises no repetition: what is found out, the publisher has.
				log := memory.New(memory.Options{BeforeAppend: once(tc.before), AfterAppend: once(tc.after)})
				defer closing(t, log)
				publisher := newPublisher(t, watermillesdb.Over(log))
				if err := publisher.Publish("letters", numbered(0, 3)...); !errors.Is(err, tc.want) {
					t.Fatalf("err = %v", err)
				}
				if tc.written == 0 {
					return
				}
				if got := uuids(t, log, "letters"); fmt.Sprint(got) != "[0 1 2]" {
					t.Errorf("the topic holds %v", got)
				}
			})
		})
	}
}

func TestAPublisherGivesUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory.New(memory.Options{BeforeAppend: func(string, []eventlog.NewEvent) error { return eventlog.ErrUnavailable }})
		defer closing(t, log)
		err := newPublisher(t, watermillesdb.Over(log)).Publish("letters", numbered(0, 1)...)
		if !errors.Is(err, watermillesdb.ErrUnavailable) {
			t.Errorf("err = %v", err)
		}
	})
}

func TestARepetitionIsRecognisedAndAReturnIsNot(t *testing.T) {
	server := eventstoretest.Start(t)
	store := open(t, server)
	publisher := newPublisher(t, store)
	msg := message.NewMessage("m", []byte(`{}`))
	back := msg.Copy()
	back.Metadata.Set("reason_poisoned", "it was out of ink, and has been filled up")
	for range 3 {
		for _, one := range []*message.Message{msg, back} {
			if err := publisher.Publish("letters", one); err != nil {
				t.Fatal(err)
			}
		}
	}
	subscriber := newSubscriber(t, store, watermillesdb.SubscriberConfig{})
	if err := publisher.Publish("letters", message.NewMessage("end", nil)); err != nil {
		t.Fatal(err)
	}
	letters, err := subscriber.Subscribe(t.Context(), "letters")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for letter := range letters {
		letter.Ack()
		if letter.UUID == "end" {
			break
		}
		got = append(got, letter.UUID+letter.Metadata.Get("reason_poisoned"))
	}
	if len(got) != 2 || got[0] == got[1] {
		t.Errorf("the topic holds %q", got)
	}
}

func TestLargeMessagesAreCutIntoAppends(t *testing.T) {
	appends := 0
	log := memory.New(memory.Options{BeforeAppend: func(string, []eventlog.NewEvent) error { appends++; return nil }})
	defer closing(t, log)
	publisher := newPublisher(t, watermillesdb.Over(log))
	large := func(n, size int) *message.Message {
		return message.NewMessage(fmt.Sprint(n), bytes.Repeat([]byte("x"), size))
	}
	if err := publisher.Publish("small", numbered(0, 1000)...); err != nil || appends != 1 {
		t.Errorf("a thousand small messages were %d appends: %v", appends, err)
	}
	appends = 0
	if err := publisher.Publish("large", large(0, 400<<10), large(1, 400<<10), large(2, 400<<10), large(3, 1000<<10)); err != nil || appends != 3 {
		t.Errorf("four large messages were %d appends: %v", appends, err)
	}
	if got := uuids(t, log, "large"); fmt.Sprint(got) != "[0 1 2 3]" {
		t.Errorf("the topic holds %v", got)
	}
	if err := publisher.Publish("large", large(4, 2<<20)); !errors.Is(err, watermillesdb.ErrTooLarge) {
		t.Errorf("err = %v", err)
	}
}

func TestBadInputIsRefusedWithAReason(t *testing.T) {
	log := memory.New(memory.Options{})
	defer closing(t, log)
	store := watermillesdb.Over(log)
	publisher := newPublisher(t, store)
	subscriber := newSubscriber(t, store, watermillesdb.SubscriberConfig{Stream: func(topic string) string { return topic }})
	_, badLease := watermillesdb.NewSubscriber(store, watermillesdb.SubscriberConfig{Lease: 1})
	_, badPause := watermillesdb.NewSubscriber(store, watermillesdb.SubscriberConfig{NackPause: -1})
	_, badTimeout := watermillesdb.NewPublisher(store, watermillesdb.PublisherConfig{Timeout: -1})
	_, badURL := watermillesdb.Open("esdb://")
	_, noTopic := subscriber.Subscribe(t.Context(), "")
	_, system := subscriber.Subscribe(t.Context(), "$all")
	noTopicPublished := publisher.Publish("", numbered(0, 1)...)
	if err := errors.Join(publisher.Close(), subscriber.Close()); err != nil {
		t.Fatal(err)
	}
	_, closed := subscriber.Subscribe(t.Context(), "letters")
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"a lease that is too short": {badLease, "six times"},
		"a pause below 0":           {badPause, "nack pause"},
		"a time-out below 0":        {badTimeout, "time-out"},
		"no address":                {badURL, "connection string"},
		"no topic to take":          {noTopic, "a topic has a name"},
		"no topic to write":         {noTopicPublished, "a topic has a name"},
		"a stream of the store's":   {system, "the store's own"},
		"a closed subscriber":       {closed, "closed"},
		"a closed publisher":        {publisher.Publish("letters", numbered(0, 1)...), "closed"},
	} {
		if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) {
			t.Errorf("%s: %v", name, tc.err)
		}
	}
}

func closing(t *testing.T, log eventlog.Log) {
	t.Helper()
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}
