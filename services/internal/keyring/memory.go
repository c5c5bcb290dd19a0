package keyring

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"sync"
)

// MemoryRing is a key ring for tests. Its keys derive from their subjects, so
// that every run seals alike, for ever: golden files are sealed with them. It
// protects nothing.
type MemoryRing struct {
	mu        sync.Mutex
	keys      map[string]Key
	destroyed map[string]Erasure
}

var _ Ring = (*MemoryRing)(nil)

// Memory returns an empty key ring for tests.
func Memory() *MemoryRing {
	return &MemoryRing{keys: map[string]Key{}, destroyed: map[string]Erasure{}}
}

// Key implements Ring.
func (r *MemoryRing) Key(ctx context.Context, subject string) (Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, err := r.find(ctx, subject)
	if !errors.Is(err, ErrUnknownKey) {
		return key, err
	}
	mac := hmac.New(sha256.New, []byte("the key ring for tests"))
	mac.Write([]byte(subject))
	r.keys[subject] = Key(mac.Sum(nil))
	return r.keys[subject], nil
}

// Existing implements Ring.
func (r *MemoryRing) Existing(ctx context.Context, subject string) (Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.find(ctx, subject)
}

// find looks a key up. MemoryRing.mu is held.
func (r *MemoryRing) find(ctx context.Context, subject string) (Key, error) {
	if err := ctx.Err(); err != nil {
		return Key{}, err
	}
	if subject == "" {
		return Key{}, errNoSubject
	}
	if _, gone := r.destroyed[subject]; gone {
		return Key{}, ErrDestroyed
	}
	if key, ok := r.keys[subject]; ok {
		return key, nil
	}
	return Key{}, ErrUnknownKey
}

// Destroy implements Ring.
func (r *MemoryRing) Destroy(ctx context.Context, subject string, erasure Erasure) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.find(ctx, subject)
	switch {
	case errors.Is(err, ErrDestroyed):
		return nil
	case err != nil:
		return err
	}
	delete(r.keys, subject)
	r.destroyed[subject] = erasure
	return nil
}

// Erasure returns the tombstone of a subject.
func (r *MemoryRing) Erasure(subject string) (Erasure, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	erasure, ok := r.destroyed[subject]
	return erasure, ok
}

// Hash implements Ring.
func (r *MemoryRing) Hash(kind, value string) string {
	return hash(Key(sha256.Sum256([]byte("the pepper for tests"))), kind, value)
}
