package keyring_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
)

// places are where a ring may be.
var places = map[string]func(t *testing.T) string{
	"a file":     func(t *testing.T) string { return filepath.Join(t.TempDir(), "keys.db") },
	"PostgreSQL": func(t *testing.T) string { return pgtest.Database(t) },
}

// A ring is copied while it is in use: to a file, to be kept; from there to where it
// was, or to a server. The copy opens what was sealed with the ring, finds who was
// registered under its hashes, and has nobody again who was erased.
func TestACopyIsTheRingItself(t *testing.T) {
	ctx := context.Background()
	for fromName, fromOf := range places {
		for toName, toOf := range places {
			t.Run("from "+fromName+" to "+toName, func(t *testing.T) {
				from, to := fromOf(t), toOf(t)
				ring := open(t, from)
				anna, hash := mustKey(t, ring, "customer:anna"), ring.Hash("email", "anna@example.com")
				mustKey(t, ring, "customer:bob")
				erasure := keyring.Erasure{By: "dora", Reason: "asked to"}
				if err := ring.Destroy(ctx, "customer:bob", erasure); err != nil {
					t.Fatal(err)
				}
				if copied, err := keyring.Copy(ctx, from, to); err != nil || copied != 2 {
					t.Fatalf("%d copied with %v, want 2", copied, err)
				}
				later := mustKey(t, ring, "customer:carl")

				copied := open(t, to)
				if got := mustKey(t, copied, "customer:anna"); got != anna {
					t.Error("anna has another key")
				}
				if copied.Hash("email", "anna@example.com") != hash {
					t.Error("anna's address has another hash")
				}
				if _, err := copied.Key(ctx, "customer:bob"); !errors.Is(err, keyring.ErrDestroyed) {
					t.Errorf("bob's key: %v, want %v", err, keyring.ErrDestroyed)
				}
				if told, _, ok, err := copied.Erasure(ctx, "customer:bob"); told != erasure || !ok || err != nil {
					t.Errorf("bob's tombstone is %+v, %t, %v", told, ok, err)
				}
				if got := mustKey(t, copied, "customer:carl"); got == later {
					t.Error("carl's key came after the copy, and is in it")
				}
			})
		}
	}
}

func TestNoRingIsCopiedOverAnother(t *testing.T) {
	ctx := context.Background()
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			from, to := place(t), place(t)
			mustKey(t, open(t, from), "customer:anna")
			other := open(t, to)
			key := mustKey(t, other, "customer:anna")
			if copied, err := keyring.Copy(ctx, from, to); !errors.Is(err, keyring.ErrNotEmpty) || copied != 0 {
				t.Errorf("%d copied with %v, want %v", copied, err, keyring.ErrNotEmpty)
			}
			if got := mustKey(t, open(t, to), "customer:anna"); got != key {
				t.Error("her key there is another one now")
			}
			if _, err := keyring.Copy(ctx, from, from); !errors.Is(err, keyring.ErrNotEmpty) {
				t.Errorf("onto itself: %v, want %v", err, keyring.ErrNotEmpty)
			}
		})
	}
}

// A path that was mistyped makes no ring, and no copy that holds nothing.
func TestNothingIsNotCopied(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "typo.db"), filepath.Join(dir, "kept.db")
	if _, err := keyring.Copy(t.Context(), from, to); !errors.Is(err, keyring.ErrNoRing) {
		t.Errorf("copied with %v, want %v", err, keyring.ErrNoRing)
	}
	if _, err := keyring.Replace(t.Context(), from, to); !errors.Is(err, keyring.ErrNoRing) {
		t.Errorf("replaced with %v, want %v", err, keyring.ErrNoRing)
	}
	if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
		t.Errorf("it has made %v, %v", made, err)
	}
}

// A copy that is made again and again takes the place of the one before, and has no key
// any more that was destroyed since.
func TestACopyIsReplacedByTheNext(t *testing.T) {
	ctx := context.Background()
	from, to := filepath.Join(t.TempDir(), "keys.db"), filepath.Join(t.TempDir(), "kept.db")
	ring := open(t, from)
	mustKey(t, ring, "customer:bob")
	for range 2 {
		if copied, err := keyring.Replace(ctx, from, to); err != nil || copied != 1 {
			t.Fatalf("%d copied with %v, want 1", copied, err)
		}
	}
	if err := ring.Destroy(ctx, "customer:bob", keyring.Erasure{By: "dora"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".new", []byte("what a copy left that was broken off"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Replace(ctx, from, to); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, to).Key(ctx, "customer:bob"); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("bob's key in the copy: %v, want %v", err, keyring.ErrDestroyed)
	}
	if left, err := filepath.Glob(to + ".new*"); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	if _, err := keyring.Replace(ctx, from, "postgres://host/db"); !errors.Is(err, keyring.ErrNoFile) {
		t.Errorf("in place of a database: %v, want %v", err, keyring.ErrNoFile)
	}
}
