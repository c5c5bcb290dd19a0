package erasure_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/erasure"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// Keys are destroyed while other processes read the file that holds them, and those who
// never had one get none any more.
func TestKeysAreDestroyedUnderTheEyesOfOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	open := func() *keyring.SQLRing {
		ring, err := keyring.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ring.Close() })
		return ring
	}
	ours := open()
	reading, end := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		theirs := open()
		readers.Go(func() {
			for n := 0; reading.Err() == nil; n++ {
				_, _ = theirs.Key(reading, "customer:"+string(rune('a'+n%26)))
			}
		})
	}
	for n := range 20 {
		id := string(rune('a' + n))
		for range 2 {
			if err := erasure.Destroy(t.Context(), ours, erasure.Customer, id, keyring.Erasure{By: "test"}); err != nil {
				t.Error(err)
			}
		}
		if _, err := ours.Key(t.Context(), "customer:"+id); !errors.Is(err, keyring.ErrDestroyed) {
			t.Errorf("the key of %s: %v", id, err)
		}
	}
	end()
	readers.Wait()
}
