package outbound

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"time"
)

// Letter is a message with the address that it goes to.
type Letter struct {
	MessageID string
	Name      string // of the customer; may be empty
	Address   string
	Content   string
	At        time.Time // when it is sent
}

// Carrier hands messages over to whoever takes them to the customers.
type Carrier interface {
	// Carry hands a letter over. It first does all that can fail without a trace, and
	// then calls begin, once: with that it is on record that the letter may arrive.
	// Where begin fails, Carry returns its error, and the letter does not leave; where
	// it fails with a TurnedAwayError, it never will, and nothing of it stays.
	//
	// nil says that the letter was taken, a TurnedAwayError that it never will be, a
	// PostponedError that it was not for now. Any other error says, before begin, that
	// whoever takes letters is away, and after it that nobody can tell.
	Carry(ctx context.Context, letter Letter, begin func() error) error
	// Ask tells what came of a letter that was being handed over when the process
	// ended.
	Ask(ctx context.Context, messageID string) (Fate, error)
}

// TurnedAwayError says that a letter is not taken, now or later. The reason holds
// nothing personal.
type TurnedAwayError struct{ Reason string }

// Error implements error.
func (e TurnedAwayError) Error() string { return e.Reason }

// ErrorKind says what traces call it.
func (TurnedAwayError) ErrorKind() string { return "turned_away" }

// PostponedError says that a letter is not taken for now, though others may be. The
// reason holds nothing personal.
type PostponedError struct{ Reason string }

// Error implements error.
func (e PostponedError) Error() string { return e.Reason }

// ErrorKind says what traces call it.
func (PostponedError) ErrorKind() string { return "postponed" }

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

// nameOf is a name for a message that a file, or a header, may have: its id, or a
// hash of one that is none of our making.
func nameOf(messageID string) string {
	if plainName.MatchString(messageID) {
		return messageID
	}
	sum := sha256.Sum256([]byte(messageID))
	return "x-" + hex.EncodeToString(sum[:])
}
