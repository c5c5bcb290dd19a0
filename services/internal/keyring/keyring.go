// Package keyring keeps the keys that seal personal data, one per person, and
// destroys them: destroying a person's key is how the person is erased from a
// log that forgets nothing.
//
//	Key ──▶ a key ──▶ Destroy ──▶ a tombstone, for good
//
// A key ring is a partner beside the event store, with a file or a database of
// its own. A ring that does not know a key that sealed something is the wrong
// ring, and says so (ErrUnknownKey); that is never taken for an erasure
// (ErrDestroyed).
package keyring

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Key is an AES-256 key. It does not print itself.
type Key [32]byte

// Format writes a placeholder, whatever the verb: a key belongs in no log line
// and in no error.
func (Key) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "[key]") }

// Ring finds, creates and destroys keys by the name of their subject, such as
// customer:4711. It is safe for concurrent use, by several processes too.
type Ring interface {
	// Key finds the subject's key, or creates it; the key is durable when it is
	// returned. It fails with ErrDestroyed when the subject was erased.
	Key(ctx context.Context, subject string) (Key, error)
	// Existing finds the subject's key. It fails with ErrDestroyed when the
	// subject was erased, with ErrUnknownKey when there never was a key.
	Existing(ctx context.Context, subject string) (Key, error)
	// Destroy erases the subject: its key is gone when Destroy returns nil, and a
	// tombstone tells who destroyed it and why. Destroying again keeps the first
	// tombstone. It fails with ErrUnknownKey when there never was a key.
	Destroy(ctx context.Context, subject string, erasure Erasure) error
	// Hash is a keyed hash of value, in hexadecimal: what stands for a personal
	// value in a stream's name or a digest. The same value of another kind has
	// another hash. Callers bring the value into its one spelling first.
	Hash(kind, value string) string
}

// Erasure tells who destroyed a key, and why. It holds no personal value: it
// stays when the person is gone.
type Erasure struct {
	By     string
	Reason string
}

// Errors of a Ring.
var (
	ErrDestroyed  = errors.New("the key was destroyed: its subject is erased")
	ErrUnknownKey = errors.New("the key ring has never had this key: is it the key ring of this environment?")
	ErrClosed     = errors.New("the key ring is closed")
)

var errNoSubject = errors.New("a key needs the name of its subject")

func newKey() Key {
	var key Key
	_, _ = rand.Read(key[:]) // crypto/rand never fails: it ends the program instead
	return key
}

// hash is HMAC-SHA256 under the ring's pepper. The length before kind keeps
// ("ab", "c") apart from ("a", "bc").
func hash(pepper Key, kind, value string) string {
	mac := hmac.New(sha256.New, pepper[:])
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(kind))))
	mac.Write([]byte(kind))
	mac.Write([]byte(value))
	return hex.EncodeToString(mac.Sum(nil))
}

func encodeKey(key Key) string { return hex.EncodeToString(key[:]) }

func decodeKey(text string) (Key, error) {
	var key Key
	if len(text) != hex.EncodedLen(len(key)) {
		return Key{}, errors.New("a stored key has another length than a key has")
	}
	if _, err := hex.Decode(key[:], []byte(text)); err != nil {
		return Key{}, errors.New("a stored key is not hexadecimal") // the cause would quote the key
	}
	return key, nil
}
