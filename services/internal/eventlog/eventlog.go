// Package eventlog is the services' one port to the event store.
//
// Everything that a service remembers is appended here, and everything that it
// learns from another service is read here. Two implementations stand behind
// the port, both held to the conformance suite of package logtest: memory, for
// pure tests, and esdb, which speaks to EventStoreDB through its own client.
//
//	producer ── Append ──▶ stream ──┐
//	                                ├──▶ $all ── SubscribeAll ──▶ intake loops
//	producer ── Append ──▶ stream ──┘
package eventlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"
)

// Position is a place in $all. Positions are monotonic and not dense: a
// position is only ever compared, never counted with. The zero Position is the
// place before the first event.
type Position struct {
	Commit  uint64 `json:"commit"`
	Prepare uint64 `json:"prepare"`
}

// Compare orders positions: -1 when p is before q, 0 when they are one place,
// +1 when p is after q.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Commit, q.Commit), cmp.Compare(p.Prepare, q.Prepare))
}

// String writes p as the store's own tools do.
func (p Position) String() string { return fmt.Sprintf("C:%d/P:%d", p.Commit, p.Prepare) }

// Content tells what an event's data is.
type Content int

// The kinds of content.
const (
	JSON   Content = iota // the store's own tools can read it
	Binary                // bytes that only their reader understands
)

// NewEvent is an event that is about to be appended.
type NewEvent struct {
	ID       uuid.UUID
	Type     string
	Content  Content // of Data
	Data     []byte
	Metadata []byte // JSON, or empty
}

// Event is an event as the store recorded it.
type Event struct {
	NewEvent
	Stream   string
	Revision uint64 // place in its stream, from 0
	Position Position
	Created  time.Time // by the store's clock, UTC
}

// Expected is what a writer believes of a stream when it appends to it.
type Expected struct{ revision int64 }

// The expectations that name no revision.
var (
	Any          = Expected{-2} // whatever is there
	NoStream     = Expected{-1} // the stream has no event
	StreamExists = Expected{-4} // the stream has an event, or a max count at least
)

// At expects revision to be the stream's last.
func At(revision uint64) Expected { return Expected{int64(revision)} }

// Revision returns the expected last revision; ok is false for Any, NoStream
// and StreamExists.
func (e Expected) Revision() (revision uint64, ok bool) {
	return uint64(max(e.revision, 0)), e.revision >= 0
}

// String names the expectation as error messages do.
func (e Expected) String() string {
	switch e {
	case Any:
		return "any"
	case NoStream:
		return "no stream"
	case StreamExists:
		return "stream exists"
	default:
		return fmt.Sprintf("revision %d", e.revision)
	}
}

// Appended tells where the last event of an append stands.
type Appended struct {
	Revision uint64
	Position Position
}

// MaxAppendSize bounds the bytes of one append: the store's default bound.
const MaxAppendSize = 1 << 20

// Size is what the event counts for in an append. It counts as the store does:
// data, metadata, and two bytes for each letter of the type.
func (e NewEvent) Size() int { return len(e.Data) + len(e.Metadata) + 2*len(e.Type) }

// CheckSize fails with ErrTooLarge when events can't be one append.
func CheckSize(events []NewEvent) error {
	size := 0
	for _, event := range events {
		size += event.Size()
	}
	if size > MaxAppendSize {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, MaxAppendSize)
	}
	return nil
}

// Direction is the way a read goes.
type Direction int

// The two directions.
const (
	Forward Direction = iota
	Backward
)

// Filter chooses events of $all on the store's side. At most one of its fields
// is set; the zero Filter chooses all but system events.
//
// The store over-delivers by nature (prefixes match more than was meant, an
// expression matches anywhere, also in $metadata or $$contact-1), so a reader
// checks what it gets, exactly.
type Filter struct {
	TypePrefixes   []string
	TypeRegex      string
	StreamPrefixes []string
	StreamRegex    string
}

// Kind tells what a subscription's Message is.
type Kind int

// The kinds of a Message.
const (
	// KindEvent carries the next event.
	KindEvent Kind = iota
	// KindCheckpoint says that everything up to Position was considered.
	KindCheckpoint
	// KindCaughtUp says that the subscription has become live. It carries no
	// position, may come again after each reconnection, and must never
	// complete anything: only a marker in the log does.
	KindCaughtUp
)

// Message is what a subscription delivers.
type Message struct {
	Kind     Kind
	Event    Event    // of KindEvent
	Position Position // of KindEvent and KindCheckpoint in $all
}

// Subscription is a catch-up subscription that survives the loss of the
// connection: it subscribes again, with back-off, after the last message that
// it delivered, so that its reader sees each event once and in order.
type Subscription interface {
	// Messages is closed when the subscription has ended. Reading it slowly
	// drops nothing and holds bounded memory.
	Messages() <-chan Message
	// Err tells why Messages was closed: the context's error, ErrClosed after a
	// Close, or the reason why subscribing again can't help. It is nil before
	// that.
	Err() error
	// Close ends the subscription and returns when its goroutine has.
	Close()
}

// AllOptions are the options of Log.SubscribeAll.
type AllOptions struct {
	After  Position // deliver what comes after it; zero: from the start
	Filter Filter
}

// StreamOptions are the options of Log.SubscribeStream.
type StreamOptions struct {
	From uint64 // the first revision to deliver
}

// Log is an event store. Its methods fail with one of this package's errors
// (tested with errors.Is), with the context's error, or with an error that
// wraps what the store said. A call never outlives its context; one whose
// deadline passes because the store did not answer may fail with the context's
// error and with ErrUnavailable at once.
type Log interface {
	// Append writes events to the end of stream, all or none, and returns when
	// they are durable. Without events it only checks expected and answers the
	// zero Appended. An error other than this package's ErrWrongRevision,
	// ErrTombstoned and ErrTooLarge leaves open whether the append took effect.
	// It fails with ErrWrongRevision when expected does not
	// hold, and with ErrTombstoned. An append of the same event ids that is
	// repeated at once with the same expectation may be answered as the first
	// was, but no caller may lean on it: the store is no deduplicator.
	Append(ctx context.Context, stream string, expected Expected, events ...NewEvent) (Appended, error)
	// ReadStream reads stream from revision from (inclusive both ways), at most
	// limit events (0: no limit). Reading Backward, from = math.MaxUint64 means
	// the end. A stream that is not there ends with ErrNoStream.
	ReadStream(ctx context.Context, stream string, direction Direction, from uint64, limit int) iter.Seq2[Event, error]
	// ReadAll reads $all without system events: Forward from position
	// (inclusive), Backward before it (exclusive; nil means from the end).
	ReadAll(ctx context.Context, direction Direction, from *Position, limit int) iter.Seq2[Event, error]
	// SubscribeAll follows $all. It does not wait for the store: a subscription
	// that is begun while the store is away starts when it comes back.
	SubscribeAll(ctx context.Context, options AllOptions) (Subscription, error)
	// SubscribeStream follows one stream, which need not exist yet.
	SubscribeStream(ctx context.Context, stream string, options StreamOptions) (Subscription, error)
	// SetMaxCount bounds stream to its last n events, n > 0: older ones vanish
	// from reads of the stream, and stay in $all until the store is scavenged.
	SetMaxCount(ctx context.Context, stream string, n uint64) error
	// Ping returns nil when the store answers.
	Ping(ctx context.Context) error
	// Close ends the subscriptions, waits for the calls under way and releases
	// the connection; a read that its caller still ranges over keeps it until
	// the range ends. Later calls fail with ErrClosed.
	Close() error
}

// Errors of a Log.
var (
	ErrWrongRevision = errors.New("the stream is not at the expected revision")
	ErrNoStream      = errors.New("the stream does not exist")
	ErrTombstoned    = errors.New("the stream is deleted for good")
	ErrUnavailable   = errors.New("the event store can't be reached")
	ErrDenied        = errors.New("the event store does not let this user in")
	ErrTooLarge      = errors.New("the append is larger than the store accepts")
	ErrClosed        = errors.New("the event log or the subscription is closed")
)
