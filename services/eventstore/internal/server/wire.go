package server

import (
	"encoding/binary"
	"strconv"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// Keys of the system metadata that travel with every event.
const (
	keyType        = "type"
	keyContentType = "content-type"
	keyCreated     = "created"

	contentJSON   = "application/json"
	contentBinary = "application/octet-stream"
)

// idFromWire reads an event id in either of its two forms.
func idFromWire(id *shared.UUID) (uuid.UUID, error) {
	if structured := id.GetStructured(); structured != nil {
		var u uuid.UUID
		binary.BigEndian.PutUint64(u[:8], uint64(structured.GetMostSignificantBits()))
		binary.BigEndian.PutUint64(u[8:], uint64(structured.GetLeastSignificantBits()))
		return u, nil
	}
	u, err := uuid.Parse(id.GetString_())
	if err != nil {
		return uuid.Nil, invalid("an event's id: %v", err)
	}
	return u, nil
}

// idForm is the form in which a reader wants ids.
type idForm bool

const (
	structured idForm = false
	textual    idForm = true
)

func formOf(option *streams.ReadReq_Options_UUIDOption) idForm {
	_, text := option.GetContent().(*streams.ReadReq_Options_UUIDOption_String_)
	return idForm(text)
}

func (f idForm) wire(id uuid.UUID) *shared.UUID {
	if f == textual {
		return &shared.UUID{Value: &shared.UUID_String_{String_: id.String()}}
	}
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
		MostSignificantBits:  int64(binary.BigEndian.Uint64(id[:8])),
		LeastSignificantBits: int64(binary.BigEndian.Uint64(id[8:])),
	}}}
}

func (f idForm) recorded(e *storage.Event) *streams.ReadResp_ReadEvent_RecordedEvent {
	return &streams.ReadResp_ReadEvent_RecordedEvent{
		Id:               f.wire(e.ID),
		StreamIdentifier: identifier(e.Stream),
		StreamRevision:   uint64(e.Revision),
		PreparePosition:  e.Position,
		CommitPosition:   e.Position,
		Metadata: map[string]string{
			keyType:        e.Type,
			keyContentType: contentType(e.JSON),
			keyCreated:     strconv.FormatInt(int64(e.Created), 10),
		},
		CustomMetadata: e.Metadata,
		Data:           e.Data,
	}
}

func contentType(json bool) string {
	if json {
		return contentJSON
	}
	return contentBinary
}

func identifier(name string) *shared.StreamIdentifier {
	return &shared.StreamIdentifier{StreamName: []byte(name)}
}

func notFound(name string) *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_StreamNotFound_{
		StreamNotFound: &streams.ReadResp_StreamNotFound{StreamIdentifier: identifier(name)},
	}}
}

func confirmation() *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_Confirmation{
		Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: uuid.NewString()},
	}}
}

func checkpoint(position uint64) *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_Checkpoint_{
		Checkpoint: &streams.ReadResp_Checkpoint{CommitPosition: position, PreparePosition: position},
	}}
}

var (
	caughtUp   = &streams.ReadResp{Content: &streams.ReadResp_CaughtUp_{CaughtUp: &streams.ReadResp_CaughtUp{}}}
	fellBehind = &streams.ReadResp{Content: &streams.ReadResp_FellBehind_{FellBehind: &streams.ReadResp_FellBehind{}}}
)
