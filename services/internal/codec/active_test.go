package codec_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/triangle-suite/triangle/contracts/flows"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// A gated type is read always, and written once it is active. What is not gated is
// written always.
func TestAGatedTypeIsWrittenOnceItIsActive(t *testing.T) {
	order, consent := &salesv1.OrderPlaced{CustomerId: "c"}, &salesv1.ConsentChanged{CustomerId: "c"}
	before := newCodec(t, keyring.Memory())
	written, err := before.Encode(context.Background(), order, eventID, metadata())
	if err != nil {
		t.Fatal(err)
	}
	flows.Gated = []string{"sales.v1.OrderPlaced"}
	t.Cleanup(func() { flows.Gated = nil })
	active := false
	told := before.WriteOnceActive(func(schema string) bool { return active && schema == "sales.v1.OrderPlaced" })
	for name, tc := range map[string]struct {
		codec  *codec.Codec
		active bool
		writes bool
	}{
		"nobody tells what is active": {before, true, false},
		"it is not active":            {told, false, false},
		"it is active":                {told, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			active = tc.active
			if got := tc.codec.Active(order); got != tc.writes {
				t.Errorf("Active: %t, want %t", got, tc.writes)
			}
			_, err := tc.codec.Encode(context.Background(), order, eventID, metadata())
			if tc.writes && err != nil || !tc.writes && (!errors.Is(err, codec.ErrNotActive) || !strings.Contains(err.Error(), "sales.v1.OrderPlaced")) {
				t.Errorf("Encode: %v", err)
			}
			if _, err := tc.codec.Decode(context.Background(), eventlog.Event{NewEvent: written}); err != nil {
				t.Errorf("Decode: %v", err)
			}
			if !tc.codec.Active(consent) {
				t.Error("what is not gated is not active")
			}
			if _, err := tc.codec.Encode(context.Background(), consent, eventID, metadata()); err != nil {
				t.Errorf("what is not gated: %v", err)
			}
		})
	}
}

func TestNameOf(t *testing.T) {
	for schema, want := range map[string]string{"sales.v1.OrderPlaced": "sales.OrderPlaced", "sales.v12.BonusGranted": "sales.BonusGranted"} {
		if got := codec.NameOf(schema); got != want {
			t.Errorf("NameOf(%q) = %q, want %q", schema, got, want)
		}
	}
}
