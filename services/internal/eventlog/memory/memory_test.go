package memory_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/logtest"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

func open(t testing.TB, options memory.Options) *memory.Log {
	t.Helper()
	log := memory.New(options)
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

func TestConformance(t *testing.T) {
	logtest.Run(t, func(t testing.TB) eventlog.Log { return open(t, memory.Options{}) })
}

func started() eventlog.NewEvent {
	return eventlog.NewEvent{ID: uuid.New(), Type: "channel.ContactStarted", Data: []byte(`{}`)}
}

func TestTheSameEventIsWrittenAsOftenAsTheRevisionFits(t *testing.T) {
	log, event := open(t, memory.Options{}), started()
	for revision := range uint64(3) {
		appended, err := log.Append(t.Context(), "contact-1", eventlog.Any, event)
		if err != nil || appended.Revision != revision {
			t.Fatalf("appended at %d, %v, want %d", appended.Revision, err, revision)
		}
	}
	if _, err := log.Append(t.Context(), "contact-1", eventlog.NoStream, event); !errors.Is(err, eventlog.ErrWrongRevision) {
		t.Fatalf("error is %v, want ErrWrongRevision", err)
	}
}

func TestEventsBearTheInjectedTime(t *testing.T) {
	now := time.Date(2026, 3, 29, 1, 59, 59, 123_456_789, time.FixedZone("CET", 3600))
	log := open(t, memory.Options{Now: func() time.Time { return now }})
	if _, err := log.Append(t.Context(), "contact-1", eventlog.Any, started()); err != nil {
		t.Fatal(err)
	}
	for event, err := range log.ReadStream(t.Context(), "contact-1", eventlog.Backward, math.MaxUint64, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if want := time.Date(2026, 3, 29, 0, 59, 59, 123_456_700, time.UTC); event.Created != want {
			t.Errorf("created at %v, want %v", event.Created, want)
		}
	}
}

func TestAnAppendThatFailsBeforeItTakesEffectWritesNothing(t *testing.T) {
	lost := errors.New("connection refused")
	log := open(t, memory.Options{
		BeforeAppend: func(string, []eventlog.NewEvent) error { return lost },
	})
	if _, err := log.Append(t.Context(), "contact-1", eventlog.Any, started()); !errors.Is(err, lost) {
		t.Fatalf("error is %v, want the injected one", err)
	}
	for _, err := range log.ReadStream(t.Context(), "contact-1", eventlog.Forward, 0, 0) {
		if !errors.Is(err, eventlog.ErrNoStream) {
			t.Fatalf("error is %v, want ErrNoStream", err)
		}
	}
}

func TestAnAppendWhoseAnswerIsLostHasTakenEffect(t *testing.T) {
	lost, faults := errors.New("connection reset"), 1
	log := open(t, memory.Options{
		AfterAppend: func(string, []eventlog.NewEvent) error {
			if faults--; faults < 0 {
				return nil
			}
			return lost
		},
	})
	if _, err := log.Append(t.Context(), "contact-1", eventlog.NoStream, started()); !errors.Is(err, lost) {
		t.Fatalf("error is %v, want the injected one", err)
	}
	if _, err := log.Append(t.Context(), "contact-1", eventlog.At(0), started()); err != nil {
		t.Fatalf("the first append took no effect: %v", err)
	}
}

func TestACompetingWriterMayComeBetween(t *testing.T) {
	var log *memory.Log
	competed := false
	log = open(t, memory.Options{
		BeforeAppend: func(stream string, _ []eventlog.NewEvent) error {
			if competed {
				return nil
			}
			competed = true
			_, err := log.Append(t.Context(), stream, eventlog.NoStream, started())
			return err
		},
	})
	if _, err := log.Append(t.Context(), "contact-1", eventlog.NoStream, started()); !errors.Is(err, eventlog.ErrWrongRevision) {
		t.Fatalf("error is %v, want ErrWrongRevision", err)
	}
}

func TestATombstoneEndsAStreamForGood(t *testing.T) {
	log := open(t, memory.Options{})
	if _, err := log.Append(t.Context(), "contact-1", eventlog.Any, started()); err != nil {
		t.Fatal(err)
	}
	followed, err := log.SubscribeStream(t.Context(), "contact-1", eventlog.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	log.Tombstone("contact-1")
	for range followed.Messages() {
		continue
	}
	if !errors.Is(followed.Err(), eventlog.ErrTombstoned) {
		t.Errorf("the subscription ended with %v, want ErrTombstoned", followed.Err())
	}
	if _, err := log.Append(t.Context(), "contact-1", eventlog.Any, started()); !errors.Is(err, eventlog.ErrTombstoned) {
		t.Errorf("append fails with %v, want ErrTombstoned", err)
	}
	for _, err := range log.ReadStream(t.Context(), "contact-1", eventlog.Forward, 0, 0) {
		if !errors.Is(err, eventlog.ErrTombstoned) {
			t.Errorf("read fails with %v, want ErrTombstoned", err)
		}
	}
}

func TestAReaderWhoDoesNotReadBlocksItsFeederAndNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := open(t, memory.Options{})
		idle, err := log.SubscribeAll(t.Context(), eventlog.AllOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if _, err := log.Append(t.Context(), "contact-1", eventlog.Any, started()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // the feeder is blocked, or it would run on
		if waiting := len(idle.Messages()); waiting != cap(idle.Messages()) || waiting > 100 {
			t.Errorf("%d messages wait, want a full and small buffer of %d", waiting, cap(idle.Messages()))
		}
		events := 0
		for message := range idle.Messages() {
			if message.Kind == eventlog.KindEvent {
				events++
			}
			if events == 1000 {
				break
			}
		}
	})
}
