package identity_test

import (
	"testing"
	"time"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/sales/internal/identity"
)

func TestClaimsAreListedStrongestFirst(t *testing.T) {
	got := identity.Claims(" N1 ", "", "06 12345678")
	if len(got) != 2 || !got[0].IsNumber() || got[0].Value != "N1" || got[1].Kind != salesv1.IdentityKind_IDENTITY_KIND_PHONE {
		t.Errorf("claims %v", got)
	}
}

// A second registry stands for a second process, which remembers nothing of the
// first.
func TestAnIdentityIsReservedOnce(t *testing.T) {
	ring := keyring.Memory()
	c, err := codec.New(ring)
	if err != nil {
		t.Fatal(err)
	}
	streams := &decider.Streams{Log: memory.New(memory.Options{}), Codec: c}
	claim := identity.Claims("N1", "", "")[0]
	for i, customer := range []string{"c1", "c2"} {
		registry := identity.NewRegistry(streams, ring.Hash)
		if before, err := registry.Holder(t.Context(), claim); err != nil || (before == "") != (i == 0) {
			t.Errorf("before: %q, %v", before, err)
		}
		origin := decider.Origin{Key: "call:" + customer, Service: "sales", Time: time.Unix(1, 0)}
		for range 2 {
			if holder, err := registry.Reserve(t.Context(), origin, claim, customer); err != nil || holder != "c1" {
				t.Errorf("reserved for %s: it is %q's, %v", customer, holder, err)
			}
		}
	}
}
