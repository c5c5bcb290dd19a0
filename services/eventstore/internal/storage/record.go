package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// NewEvent is an event that is about to be appended.
type NewEvent struct {
	ID       uuid.UUID
	Type     string
	JSON     bool // the data is JSON, for tools that show it
	Data     []byte
	Metadata []byte
}

// Size is what the event counts against the limit of an append.
func (e *NewEvent) Size() int { return len(e.Type) + len(e.Data) + len(e.Metadata) }

// Event is an event as it was recorded.
type Event struct {
	NewEvent
	Stream   string
	Revision int64
	Position uint64
	Created  Ticks
}

// Ticks counts 100 ns since the Unix epoch, which is how the protocol tells
// times.
type Ticks int64

// TicksOf returns t in ticks.
func TicksOf(t time.Time) Ticks { return Ticks(t.UnixNano() / 100) }

// Time is the time that t tells.
func (t Ticks) Time() time.Time { return time.Unix(0, int64(t)*100) }

// A record is an event's value in the event table:
//
//	version(1) flags(1) created(8) id(16) revision(uvarint)
//	stream, type, metadata: each length(uvarint) bytes
//	data: what is left
//
// The position is in the key.
const (
	recordVersion = 1
	flagJSON      = 1 << 0
	fixedLen      = 1 + 1 + 8 + 16
)

func recordLen(e *Event) int {
	return fixedLen + uvarintLen(uint64(e.Revision)) +
		prefixedLen(len(e.Stream)) + prefixedLen(len(e.Type)) + prefixedLen(len(e.Metadata)) + len(e.Data)
}

func prefixedLen(n int) int { return uvarintLen(uint64(n)) + n }

func uvarintLen(x uint64) int {
	n := 1
	for ; x >= 0x80; x >>= 7 {
		n++
	}
	return n
}

// appendRecord appends e's record to b, which has room for recordLen bytes
// when it comes from a batch: nothing is then copied twice.
func appendRecord(b []byte, e *Event) []byte {
	var flags byte
	if e.JSON {
		flags |= flagJSON
	}
	b = append(b, recordVersion, flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Created))
	b = append(b, e.ID[:]...)
	b = binary.AppendUvarint(b, uint64(e.Revision))
	b = binary.AppendUvarint(b, uint64(len(e.Stream)))
	b = append(b, e.Stream...)
	b = binary.AppendUvarint(b, uint64(len(e.Type)))
	b = append(b, e.Type...)
	b = binary.AppendUvarint(b, uint64(len(e.Metadata)))
	b = append(b, e.Metadata...)
	return append(b, e.Data...)
}

// Record is a recorded event that has not been copied out of the store: its
// bytes hold until the iteration that gave it goes on.
type Record struct {
	position uint64
	revision int64
	created  Ticks
	flags    byte
	id       uuid.UUID
	stream   []byte
	typ      []byte
	metadata []byte
	data     []byte
}

var errMalformedRecord = errors.New("the record of an event is malformed")

func decodeRecord(position uint64, b []byte) (Record, error) {
	if len(b) < fixedLen {
		return Record{}, fmt.Errorf("%w: position %d", errMalformedRecord, position)
	}
	if b[0] != recordVersion {
		return Record{}, fmt.Errorf("%w: position %d: version %d is unknown", errMalformedRecord, position, b[0])
	}
	r := Record{position: position, flags: b[1], created: Ticks(binary.LittleEndian.Uint64(b[2:])), id: uuid.UUID(b[10:26])}
	revision, n := binary.Uvarint(b[fixedLen:])
	ok := n > 0
	b = b[fixedLen+max(n, 0):]
	r.revision = int64(revision)
	for _, field := range []*[]byte{&r.stream, &r.typ, &r.metadata} {
		*field, b, ok = cutField(b, ok)
	}
	if !ok {
		return Record{}, fmt.Errorf("%w: position %d", errMalformedRecord, position)
	}
	r.data = b
	return r, nil
}

// cutField cuts a length and that many bytes off b.
func cutField(b []byte, ok bool) (field, rest []byte, _ bool) {
	length, n := binary.Uvarint(b)
	if !ok || n <= 0 || length > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(length)], b[n+int(length):], true
}

// Position is the record's place in $all.
func (r *Record) Position() uint64 { return r.position }

// Revision is the record's place in its stream.
func (r *Record) Revision() int64 { return r.revision }

// Type is the event's type.
func (r *Record) Type() []byte { return r.typ }

// Stream is the name of the event's stream.
func (r *Record) Stream() []byte { return r.stream }

// Event copies the record.
func (r *Record) Event() Event {
	payload := make([]byte, 0, len(r.data)+len(r.metadata))
	payload = append(payload, r.data...)
	payload = append(payload, r.metadata...)
	data := payload[:len(r.data):len(r.data)]
	return Event{
		NewEvent: NewEvent{
			ID:       r.id,
			Type:     string(r.typ),
			JSON:     r.flags&flagJSON != 0,
			Data:     data,
			Metadata: payload[len(r.data):],
		},
		Stream:   string(r.stream),
		Revision: r.revision,
		Position: r.position,
		Created:  r.created,
	}
}

// Equal tells whether two events are the same in every respect.
func (e *Event) Equal(o *Event) bool {
	return e.ID == o.ID && e.Type == o.Type && e.JSON == o.JSON && e.Stream == o.Stream &&
		e.Revision == o.Revision && e.Position == o.Position && e.Created == o.Created &&
		bytes.Equal(e.Data, o.Data) && bytes.Equal(e.Metadata, o.Metadata)
}
