package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
)

// rings make the implementations that must behave alike.
func rings() map[string]func(t *testing.T) keyring.Ring {
	return map[string]func(t *testing.T) keyring.Ring{
		"memory":     func(*testing.T) keyring.Ring { return keyring.Memory() },
		"file":       func(t *testing.T) keyring.Ring { return open(t, filepath.Join(t.TempDir(), "keys.db")) },
		"PostgreSQL": func(t *testing.T) keyring.Ring { return open(t, pgtest.Database(t)) },
	}
}

func open(t testing.TB, where string) *keyring.SQLRing {
	t.Helper()
	ring, err := keyring.Open(context.Background(), where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	})
	return ring
}

func mustKey(t testing.TB, ring keyring.Ring, subject string) keyring.Key {
	t.Helper()
	key, err := ring.Key(context.Background(), subject)
	if err != nil {
		t.Fatalf("Key(%q): %v", subject, err)
	}
	return key
}

func TestAKeyIsOnePerSubjectAndStays(t *testing.T) {
	for name, ringOf := range rings() {
		t.Run(name, func(t *testing.T) {
			ring := ringOf(t)
			first := mustKey(t, ring, "customer:1")
			if first == (keyring.Key{}) {
				t.Fatal("the key is all zeros")
			}
			if again := mustKey(t, ring, "customer:1"); again != first {
				t.Error("the same subject got another key")
			}
			if other := mustKey(t, ring, "customer:2"); other == first {
				t.Error("another subject got the same key")
			}
			found, err := ring.Existing(context.Background(), "customer:1")
			if err != nil || found != first {
				t.Errorf("Existing: %v, want the key that was created", err)
			}
		})
	}
}

func TestWhatNeverWasIsNotWhatWasDestroyed(t *testing.T) {
	ctx := context.Background()
	for name, ringOf := range rings() {
		t.Run(name, func(t *testing.T) {
			ring := ringOf(t)
			if _, err := ring.Existing(ctx, "customer:1"); !errors.Is(err, keyring.ErrUnknownKey) {
				t.Errorf("Existing, never there: %v, want ErrUnknownKey", err)
			}
			if err := ring.Destroy(ctx, "customer:1", keyring.Erasure{}); !errors.Is(err, keyring.ErrUnknownKey) {
				t.Errorf("Destroy, never there: %v, want ErrUnknownKey", err)
			}
			mustKey(t, ring, "customer:1")
			bystander := mustKey(t, ring, "customer:2")
			for range 2 { // destroying again is no error
				if err := ring.Destroy(ctx, "customer:1", keyring.Erasure{By: "dpo"}); err != nil {
					t.Fatalf("Destroy: %v", err)
				}
			}
			if _, err := ring.Existing(ctx, "customer:1"); !errors.Is(err, keyring.ErrDestroyed) {
				t.Errorf("Existing, destroyed: %v, want ErrDestroyed", err)
			}
			if _, err := ring.Key(ctx, "customer:1"); !errors.Is(err, keyring.ErrDestroyed) {
				t.Errorf("Key, destroyed: %v, want ErrDestroyed", err)
			}
			if got := mustKey(t, ring, "customer:2"); got != bystander {
				t.Error("destroying one key changed another")
			}
		})
	}
}

func TestASubjectNeedsAName(t *testing.T) {
	for name, ringOf := range rings() {
		t.Run(name, func(t *testing.T) {
			ring := ringOf(t)
			if _, err := ring.Key(context.Background(), ""); err == nil {
				t.Error("a subject without a name got a key")
			}
		})
	}
}

func TestAnEndedContextEndsTheCall(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, ringOf := range rings() {
		t.Run(name, func(t *testing.T) {
			ring := ringOf(t)
			if _, err := ring.Key(ctx, "customer:1"); !errors.Is(err, context.Canceled) {
				t.Errorf("Key: %v, want context.Canceled", err)
			}
		})
	}
}

func TestHashesAreKeyedAndKeepKindsApart(t *testing.T) {
	for name, ringOf := range rings() {
		t.Run(name, func(t *testing.T) {
			ring := ringOf(t)
			h := ring.Hash("email", "a@example.org")
			if len(h) != 64 || strings.ToLower(h) != h {
				t.Errorf("hash %q is not 64 lower-case hexadecimal digits", h)
			}
			if h != ring.Hash("email", "a@example.org") {
				t.Error("the same value has two hashes")
			}
			if h == ring.Hash("phone", "a@example.org") || ring.Hash("ab", "c") == ring.Hash("a", "bc") {
				t.Error("two kinds share a hash")
			}
		})
	}
	one, other := open(t, filepath.Join(t.TempDir(), "k")), open(t, filepath.Join(t.TempDir(), "k"))
	if one.Hash("email", "x") == other.Hash("email", "x") {
		t.Error("two rings share a pepper")
	}
}

func TestCallersAtTheSameTimeGetTheSameKey(t *testing.T) {
	const callers, subjects = 16, 40
	for name, ringOf := range rings() {
		t.Run(name, func(t *testing.T) {
			ring := ringOf(t)
			got := make([][]keyring.Key, callers)
			var all sync.WaitGroup
			for caller := range callers {
				all.Go(func() {
					for i := range subjects {
						key, err := ring.Key(context.Background(), fmt.Sprint("customer:", i))
						if err != nil {
							t.Error(err)
							return
						}
						got[caller] = append(got[caller], key)
					}
				})
			}
			all.Wait()
			for caller := range got {
				if fmt.Sprintf("%q", toStrings(got[caller])) != fmt.Sprintf("%q", toStrings(got[0])) {
					t.Errorf("caller %d got other keys than caller 0", caller)
				}
			}
		})
	}
}

func toStrings(keys []keyring.Key) []string {
	var all []string
	for _, key := range keys {
		all = append(all, string(key[:]))
	}
	return all
}

func TestAKeyNeverPrintsItself(t *testing.T) {
	key := keyring.Key{1, 2, 3}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if got := fmt.Sprintf(verb, key); got != "[key]" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}
