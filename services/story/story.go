// Package story tells the whole story of a contact from the event store alone: who
// did what when, caused by what, how long each hop took, and what is still to come.
//
// What belongs to a contact is what stands in streams of its id and in those of its
// requests, what names it, what answers an event that belongs to it, and so on. The
// store has no index of causes: so the log is read once, from the contact's first event
// on, and in each event it is looked which cause it names. Causes come before their
// answers.
//
//	contact-<id>       ──▶ its events ──▶ their answers ──▶ the answers to those …
//	decisions-<id>     ──▶ what was decided for it
//	request-<id>       ──▶ what became of each of its requests
//	flow-<name>:<n>    ──▶ windows, and what was parked of it
//	progress-<name>    ──▶ how far each consumer has come
//
// No key ring is needed, and nothing that is personal is shown: it stays sealed.
package story

import (
	"encoding/json"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Position is a place in the store.
type Position = eventlog.Position

// Story is the story of one contact.
type Story struct {
	Contact string
	// Events are those that no other event of the story has caused, in the order of
	// the log; what they caused hangs below them.
	Events []*Happening
	// From and To are the first and the last place of the log that was read, both
	// included, and Read is how many events were.
	From, To Position
	Read     int
	// Ended tells why reading ended before the log did; empty when it did not.
	Ended string
	// Opaque counts events that were read whose metadata can't be: what they answer is
	// not known.
	Opaque int
}

// Happening is an event of the story, and what it caused.
type Happening struct {
	ID       string
	Type     string // in the store, such as channel.ContactStarted
	Service  string // who wrote it; empty when it does not say
	Stream   string
	Revision uint64
	Position Position
	At       time.Time // by the store's clock, UTC

	// Words is the type in words.
	Words string
	// Facts are what the event says, in the order of its contract: single values
	// that are not personal, without times and without the contact's own id.
	Facts []Fact
	// Sealed names the fields that hold something personal.
	Sealed []string
	// Data is all that the event says, with a note in place of each personal value;
	// nil when it can't be read.
	Data json.RawMessage
	// Problem is what is wrong with the event, and what to do; empty when nothing is.
	Problem string

	// Handler is the reaction whose answer it is; empty when it was called for.
	Handler                   string
	Trace, Correlation, Cause string
	// Hop is how long after its cause the event was recorded; nil when it has none
	// that is known.
	Hop *time.Duration
	// Origin is the cause of an event that is first in its line, where that is no
	// event of the story; nil when it has none, or it can't be found any more.
	Origin *Elsewhere

	Deliveries []*Delivery
	Answers    []*Happening

	causePosition Position
}

// Fact is one value that an event holds.
type Fact struct{ Name, Value string }

// Elsewhere is an event that is no part of the story.
type Elsewhere struct {
	ID, Type, Stream string
	At               time.Time
}

// State tells what has become of an event in a flow.
type State string

// The states.
const (
	Waiting State = "waiting"  // the consumer has not come to it
	TakenIn State = "taken in" // by a projection, by reactions, or both
	Parked  State = "parked"   // it could not be taken in
	Skipped State = "skipped"  // it was left out for good
)

// Delivery is the way of an event over a flow of the catalogue, or, where one of a
// service's own flows has parked it, over that.
type Delivery struct {
	Flow  string
	To    flows.Service
	State State
	// At is when it is known to have come to its state, by the store's clock; the zero
	// time when it is not known any more. Of what is taken in as it comes that is when
	// the consumer told of its progress, which it does once a second at most.
	At time.Time
	// Window is the window that it was taken in with; empty for one in real time.
	Window string
	// Answered tells that the consumer's answer is among the event's.
	Answered bool
	// Note says what there is to say besides: why it is parked, or when it will be
	// taken in.
	Note string
	// Due is when the window is due that will take it in; the zero time when none is.
	Due time.Time

	position Position
	key      string
	epoch    uint64
}

// All calls do with each event of the story, causes before their answers, and how
// deep it hangs.
func (s *Story) All(do func(h *Happening, depth int)) {
	var walk func(all []*Happening, depth int)
	walk = func(all []*Happening, depth int) {
		for _, h := range all {
			do(h, depth)
			walk(h.Answers, depth+1)
		}
	}
	walk(s.Events, 0)
}
