package server

import (
	"context"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Who waits for a reader holds no view of the store: its close waits for all
// views, and here it does not wait for the reader.
func TestNoViewIsHeldWhileAReaderIsWaitedFor(t *testing.T) {
	reads := map[string]func(*streamsService, context.Context, send) error{
		"subscribed to $all": func(s *streamsService, ctx context.Context, to send) error {
			return s.subscribe(ctx, query{stream: stream.All, from: place{kind: fromStart}}, to)
		},
		"subscribed to a stream": func(s *streamsService, ctx context.Context, to send) error {
			return s.subscribe(ctx, query{stream: "s", from: place{kind: fromStart}}, to)
		},
		"reading $all": func(s *streamsService, ctx context.Context, to send) error {
			return s.readAll(ctx, query{stream: stream.All, from: place{kind: fromStart}, count: 1 << 40}, to)
		},
		"reading a stream": func(s *streamsService, ctx context.Context, to send) error {
			return s.readStream(ctx, query{stream: "s", from: place{kind: fromStart}, count: 1 << 40}, to)
		},
	}
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			store, err := storage.Open("data", storage.Options{FS: vfs.NewMem()})
			if err != nil {
				t.Fatal(err)
			}
			events := make([]storage.NewEvent, 3*pageMessages)
			for i := range events {
				events[i] = storage.NewEvent{ID: uuid.New(), Type: "t"}
			}
			if _, err := store.Append(t.Context(), "s", stream.Any, events); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			waiting, ended := make(chan struct{}), make(chan error, 1)
			s := &streamsService{store: store, seats: newSeats(Limits{}.withDefaults())}
			go func() {
				ended <- read(s, ctx, func(message any) error {
					if m, ok := message.(*streams.ReadResp); ok && m.GetConfirmation() != nil {
						return nil
					}
					close(waiting) // of the first event's sending
					<-ctx.Done()
					return ctx.Err()
				})
			}()
			<-waiting
			closed := make(chan error, 1)
			go func() { closed <- store.Close() }()
			select {
			case err := <-closed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Error("the reader that is waited for holds a view")
			}
			cancel()
			if err := <-ended; err == nil {
				t.Error("the reading went on")
			}
		})
	}
}
