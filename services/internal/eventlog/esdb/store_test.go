package esdb_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
)

func TestAConnectionStringThatCannotBeMeantIsRefused(t *testing.T) {
	for _, connectionString := range []string{"", "http://127.0.0.1:2113", "esdb://", "esdb://h:port", "esdb://h:1?tls=maybe"} {
		if _, err := esdb.Open(connectionString); err == nil {
			t.Errorf("%q is accepted", connectionString)
		}
	}
}

// safeBuffer is a buffer that may be read while it is written.
type safeBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func TestWhatTheClientDoesIsADetail(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		var told safeBuffer // the client goes on telling after it was closed
		options := &slog.HandlerOptions{Level: level}
		log := open(t, eventstoretest.Start(t).ConnectionString(), esdb.WithLogger(slog.New(slog.NewTextHandler(&told, options))))
		if err := log.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		sub, err := log.SubscribeAll(t.Context(), eventlog.AllOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sub.Close()
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if level == slog.LevelInfo && told.String() != "" {
			t.Errorf("the logger was told more than details: %s", told.String())
		}
		if level == slog.LevelDebug && !strings.Contains(told.String(), "discovery attempt 1/1") {
			t.Errorf("the logger was not told of the client's look for the store: %s", told.String())
		}
	}
}

func TestATombstoneEndsAStreamForGood(t *testing.T) {
	store := eventstoretest.Start(t)
	log := open(t, store.ConnectionString())
	mustAppend(t, log, "contact-1", 2)
	running := followStream(t, log, "contact-1")
	running.awaitMore(2)
	if _, err := store.Client(t).TombstoneStream(t.Context(), "contact-1", client.TombstoneStreamOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*follower{running, followStream(t, log, "contact-1")} {
		for range f.subscription.Messages() {
			continue
		}
		if err := f.subscription.Err(); !errors.Is(err, eventlog.ErrTombstoned) {
			t.Errorf("the subscription ended with %v, want ErrTombstoned", err)
		}
	}
	if _, err := log.Append(t.Context(), "contact-1", eventlog.Any, events(1)...); !errors.Is(err, eventlog.ErrTombstoned) {
		t.Errorf("append fails with %v, want ErrTombstoned", err)
	}
	for _, err := range log.ReadStream(t.Context(), "contact-1", eventlog.Forward, 0, 0) {
		if !errors.Is(err, eventlog.ErrTombstoned) {
			t.Errorf("read fails with %v, want ErrTombstoned", err)
		}
	}
}

func TestAMaxCountLeavesOtherMetadataAlone(t *testing.T) {
	store := eventstoretest.Start(t)
	log, raw := open(t, store.ConnectionString()), store.Client(t)
	var metadata client.StreamMetadata
	metadata.SetTruncateBefore(3)
	metadata.AddCustomProperty("owner", "marketing")
	if _, err := raw.SetStreamMetadata(t.Context(), "status-1", client.AppendToStreamOptions{}, metadata); err != nil {
		t.Fatal(err)
	}
	if err := log.SetMaxCount(t.Context(), "status-1", 10); err != nil {
		t.Fatal(err)
	}
	got, err := raw.GetStreamMetadata(t.Context(), "status-1", client.ReadStreamOptions{Direction: client.Backwards, From: client.End{}})
	if err != nil {
		t.Fatal(err)
	}
	if before, count := got.TruncateBefore(), got.MaxCount(); before == nil || *before != 3 || count == nil || *count != 10 {
		t.Errorf("metadata is %+v, want both bounds", got)
	}
	if got.CustomProperties()["owner"] != "marketing" {
		t.Errorf("metadata is %+v, want its owner still", got)
	}
}

func TestSubscriptionsLeaveRoomForCalls(t *testing.T) {
	store := eventstoretest.Start(t)
	log := open(t, store.ConnectionString())
	var followers []*follower
	for range esdb.MaxSubscriptions {
		followers = append(followers, followAll(t, log))
	}
	if _, err := log.SubscribeAll(t.Context(), eventlog.AllOptions{}); err == nil {
		t.Fatal("one subscription too many is accepted")
	}
	written := mustAppend(t, log, "contact-1", 5)
	for _, f := range followers {
		f.wantExactly(written)
	}
	followers[0].subscription.Close()
	followAll(t, log).wantExactly(written)
}

func TestARevisionNoStreamCanHaveIsBeyondTheEnd(t *testing.T) {
	store := eventstoretest.Start(t)
	log := open(t, store.ConnectionString())
	mustAppend(t, log, "contact-1", 2)
	for event, err := range log.ReadStream(t.Context(), "contact-1", eventlog.Forward, math.MaxUint64, 0) {
		t.Errorf("read event %d, %v", event.Revision, err)
	}
}
