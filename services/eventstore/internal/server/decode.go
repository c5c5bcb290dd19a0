package server

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// A proposed event is decoded straight into what the store takes: by way of
// the generated structs it costs 20 allocations more. That is done with such
// messages as clients send. Whatever is unusual about one (a field that is
// unknown, misplaced, malformed or repeated, metadata that lacks what it needs)
// makes it take the general way, so that what such a message means, and what is
// said about it, is decided in one place only.

// Numbers of the fields of AppendReq and of what is in it.
const (
	reqProposal = 2 // AppendReq

	proposalID       = 1 // AppendReq.ProposedMessage
	proposalSystem   = 2
	proposalMetadata = 3
	proposalData     = 4
)

// proposal is a message that proposes an event. It may be received into again
// and again: the text of a type is then kept as long as the type is the same.
type proposal struct {
	event   storage.NewEvent
	unusual *streams.AppendReq // nil when event holds all of it
}

// proposed returns the event that was received.
func (p *proposal) proposed() (storage.NewEvent, error) {
	if p.unusual != nil {
		return proposedEvent(p.unusual.GetProposedMessage())
	}
	return p.event, nil
}

// unmarshal decodes a message and keeps nothing of b.
func (p *proposal) unmarshal(b []byte) error {
	p.unusual = nil
	if p.usual(b) {
		return nil
	}
	p.unusual = new(streams.AppendReq)
	return proto.Unmarshal(b, p.unusual)
}

// usual decodes a usual message; it returns false of any other.
func (p *proposal) usual(b []byte) bool {
	field, body, rest := cutBytes(b)
	if field != reqProposal || len(rest) != 0 {
		return false
	}
	var id, typ, form, metadata, data []byte
	for last := protowire.Number(0); len(body) > 0; {
		field, value, rest := cutBytes(body)
		if field < last || field == last && field != proposalSystem {
			return false
		}
		switch field {
		case proposalID:
			id = value
		case proposalSystem:
			if !system(value, &typ, &form) {
				return false
			}
		case proposalMetadata:
			metadata = value
		case proposalData:
			data = value
		default:
			return false
		}
		last, body = field, rest
	}
	if len(typ) == 0 || len(form) == 0 || !usualID(id, &p.event.ID) {
		return false
	}
	p.keep(typ, form, data, metadata)
	return true
}

// keep copies what the event is made of, with one allocation as a rule.
func (p *proposal) keep(typ, form, data, metadata []byte) {
	if string(typ) != p.event.Type {
		p.event.Type = string(typ)
	}
	p.event.JSON = string(form) == contentJSON
	payload := append(append(make([]byte, 0, len(data)+len(metadata)), data...), metadata...)
	p.event.Data = payload[:len(data):len(data)]
	p.event.Metadata = payload[len(data):]
}

// system reads an entry of the system metadata. Of two entries of one key the
// last one counts.
func system(b []byte, typ, form *[]byte) bool {
	field, key, b := cutBytes(b)
	if field != entryKey || !utf8.Valid(key) {
		return false
	}
	field, value, b := cutBytes(b)
	if field != entryValue || len(b) != 0 || !utf8.Valid(value) {
		return false
	}
	switch string(key) {
	case keyType:
		*typ = value
	case keyContentType:
		*form = value
	}
	return true
}

// usualID reads an id in either of its two forms.
func usualID(b []byte, id *uuid.UUID) bool {
	field, value, rest := cutBytes(b)
	if len(rest) != 0 {
		return false
	}
	switch field {
	case uuidStructured:
		return usualHalves(value, id)
	case uuidString:
		parsed, err := uuid.ParseBytes(value)
		*id = parsed
		return err == nil && len(value) == textLen
	default:
		return false
	}
}

func usualHalves(b []byte, id *uuid.UUID) bool {
	most, b, ok := cutNumber(b, uuidMost)
	if !ok {
		return false
	}
	least, b, ok := cutNumber(b, uuidLeast)
	if !ok || len(b) != 0 {
		return false
	}
	binary.BigEndian.PutUint64(id[:8], most)
	binary.BigEndian.PutUint64(id[8:], least)
	return true
}

// cutBytes cuts a field of bytes off b; field is 0 when there is none.
func cutBytes(b []byte) (field protowire.Number, value, rest []byte) {
	field, kind, n := protowire.ConsumeTag(b)
	if n < 0 || kind != protowire.BytesType {
		return 0, nil, nil
	}
	value, m := protowire.ConsumeBytes(b[n:])
	if m < 0 {
		return 0, nil, nil
	}
	return field, value, b[n+m:]
}

// cutNumber cuts the number of a field off b; it is 0 when it was left out.
func cutNumber(b []byte, field protowire.Number) (v uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, b, true
	}
	found, kind, n := protowire.ConsumeTag(b)
	if n < 0 || kind != protowire.VarintType {
		return 0, nil, false
	}
	if found != field {
		return 0, b, true
	}
	v, m := protowire.ConsumeVarint(b[n:])
	if m < 0 {
		return 0, nil, false
	}
	return v, b[n+m:], true
}
