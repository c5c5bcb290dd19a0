package codec_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// Whatever stands in the store, Decode says what is wrong with it, or reads
// something that can be written and read again.
func FuzzDecode(f *testing.F) {
	ring := keyring.Memory()
	for _, g := range goldenFiles(f) {
		f.Add(g.ID[:], g.Type, []byte(g.Data), []byte(g.Metadata))
		md, err := codec.DecodeMetadata(g.Metadata)
		if err != nil {
			f.Fatal(err)
		}
		if md.SealedFor != "" {
			if _, err := ring.Key(context.Background(), md.SealedFor); err != nil {
				f.Fatal(err)
			}
		}
	}
	c := newCodec(f, ring)
	f.Fuzz(func(t *testing.T, id []byte, eventType string, data, raw []byte) {
		event := eventlog.Event{NewEvent: eventlog.NewEvent{Type: eventType, Data: data, Metadata: raw}}
		copy(event.ID[:], id)
		decoded, err := c.Decode(context.Background(), event)
		if err != nil {
			for _, named := range []error{codec.ErrUnknownType, codec.ErrMalformed, codec.ErrTampered, keyring.ErrUnknownKey} {
				if errors.Is(err, named) {
					return
				}
			}
			t.Fatalf("an error without a name: %v", err)
		}
		written, err := c.Encode(context.Background(), decoded.Message, uuid.Max, metadata())
		if errors.Is(err, codec.ErrNoSubject) {
			return // its values were sealed under the key that its metadata named
		}
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		again, err := c.Decode(context.Background(), eventlog.Event{NewEvent: written})
		if err != nil {
			t.Fatalf("what was written can't be read: %v", err)
		}
		if diff := cmp.Diff(decoded.Message, again.Message, protocmp.Transform()); diff != "" {
			t.Fatalf("read (-first +second):\n%s", diff)
		}
	})
}
