package persistent

import (
	"container/list"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// Message is an event that a group is to deliver.
type Message struct {
	At       Place          // where it is in what the group reads
	After    Place          // the place that was looked at before it
	Pin      uint64         // what pinning strategies keep together
	Original *storage.Event // as it was read
	Resolved *storage.Event // what Original links to, when it is a link that is followed; nil: nothing
	Link     bool           // Original is a link that was followed
}

// id is what answers name: of a link, the link's own.
func (m *Message) id() uuid.UUID { return m.Original.ID }

// Event is what the message is about: the event linked to, when there is one.
func (m *Message) Event() *storage.Event {
	if m.Resolved != nil {
		return m.Resolved
	}
	return m.Original
}

func (m *Message) size() int {
	size := m.Original.Size()
	if m.Resolved != nil {
		size += m.Resolved.Size()
	}
	return size
}

// Delivery is a message on its way to a consumer.
type Delivery struct {
	Message
	Retries int // how often it was delivered before, in vain
}

// Unwanted is a message that is to be parked.
type Unwanted struct {
	Message
	Reason string
}

// message is a Message between its reading and its end.
type message struct {
	Message
	seq        uint64 // the order of reading
	track      *track
	unfinished *list.Element // in track
	retries    int
	reason     string // why it is parked

	// While it is in flight.
	consumer *Consumer
	flight   *list.Element // in Group.flights
	since    time.Time
	taken    bool     // it is on its way, not only assigned
	twin     *message // one with the same id, in flight to the same consumer
}
