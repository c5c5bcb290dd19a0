package watermillesdb

import (
	"errors"
	"fmt"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
)

// Store is the event store that publishers and subscribers work with. It is safe
// for concurrent use by any number of them; a subscription takes one of its 64
// places. It outlives them: who opens it closes it.
//
// The store's client is behind it, and what that does while the store is away
// (block without regard to contexts, die for good, panic when closed) does not
// come through: each call is bounded, and subscriptions subscribe again with a
// growing pause. Package esdb names each of the client's defects beside the
// guard against it.
type Store struct{ log eventlog.Log }

// Open returns the store that a connection string names
// (esdb://host:2113?tls=false). It does not wait for it, and the store may go
// away and come back at any time.
func Open(connectionString string) (*Store, error) {
	log, err := esdb.Open(connectionString)
	if err != nil {
		return nil, fmt.Errorf("open the event store: %w", err)
	}
	return Over(log), nil
}

// Over returns a store over a log that is open already, so that a service needs
// one connection only.
func Over(log eventlog.Log) *Store { return &Store{log: log} }

// Close releases the connection. Publishers and subscribers are to be closed
// before.
func (s *Store) Close() error {
	if err := s.log.Close(); err != nil {
		return fmt.Errorf("close the event store: %w", err)
	}
	return nil
}

// Errors that callers can tell by errors.Is.
var (
	// ErrClosed refuses the use of a publisher or subscriber that is closed.
	ErrClosed = errors.New("it is closed")
	// ErrTooLarge refuses a message that the store does not accept for its size.
	ErrTooLarge = eventlog.ErrTooLarge
	// ErrUnavailable says that the store could not be reached in time. Whether what
	// was published has arrived is not known then.
	ErrUnavailable = eventlog.ErrUnavailable
	// ErrOtherStore says that a topic is not the one whose messages a group has
	// processed: the store was restored from a backup, or is another one.
	ErrOtherStore = errors.New("the topic is not the one that the group has processed")
)
