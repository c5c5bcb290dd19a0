package esdb

import (
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// unlimited asks for all events; the store counts in signed numbers.
const unlimited = math.MaxInt64

func toExpected(expected eventlog.Expected) esdb.ExpectedRevision {
	switch expected {
	case eventlog.Any:
		return esdb.Any{}
	case eventlog.NoStream:
		return esdb.NoStream{}
	case eventlog.StreamExists:
		return esdb.StreamExists{}
	default:
		revision, _ := expected.Revision()
		return esdb.Revision(revision)
	}
}

func toEventData(events []eventlog.NewEvent) []esdb.EventData {
	data := make([]esdb.EventData, len(events))
	for i, event := range events {
		data[i] = esdb.EventData{
			EventID:     event.ID,
			EventType:   event.Type,
			ContentType: toContentType(event.Content),
			Data:        event.Data,
			Metadata:    event.Metadata,
		}
	}
	return data
}

func fromRecorded(recorded *esdb.RecordedEvent) eventlog.Event {
	return eventlog.Event{
		NewEvent: eventlog.NewEvent{
			ID:       recorded.EventID,
			Type:     recorded.EventType,
			Content:  fromContentType(recorded.ContentType),
			Data:     recorded.Data,
			Metadata: recorded.UserMetadata,
		},
		Stream:   recorded.StreamID,
		Revision: recorded.EventNumber,
		Position: fromPosition(recorded.Position),
		Created:  recorded.CreatedDate,
	}
}

// contentTypeBinary is what the store calls bytes that are not JSON.
const contentTypeBinary = "application/octet-stream"

func toContentType(content eventlog.Content) esdb.ContentType {
	if content == eventlog.Binary {
		return esdb.ContentTypeBinary
	}
	return esdb.ContentTypeJson
}

func fromContentType(name string) eventlog.Content {
	if name == contentTypeBinary {
		return eventlog.Binary
	}
	return eventlog.JSON
}

func fromPosition(position esdb.Position) eventlog.Position {
	return eventlog.Position{Commit: position.Commit, Prepare: position.Prepare}
}

func toPosition(position eventlog.Position) esdb.Position {
	return esdb.Position{Commit: position.Commit, Prepare: position.Prepare}
}

func toDirection(direction eventlog.Direction) esdb.Direction {
	if direction == eventlog.Backward {
		return esdb.Backwards
	}
	return esdb.Forwards
}

// toStreamPosition returns where a read of a stream starts. No revision is
// above the greatest signed number, so that this one is the end.
func toStreamPosition(direction eventlog.Direction, from uint64) esdb.StreamPosition {
	switch {
	case from < math.MaxInt64:
		return esdb.Revision(from)
	case direction == eventlog.Backward:
		return esdb.End{}
	default:
		return esdb.Revision(math.MaxInt64 - 1)
	}
}

// toAllPosition returns where a read of $all starts.
func toAllPosition(direction eventlog.Direction, from *eventlog.Position) esdb.AllPosition {
	switch {
	case from != nil:
		return toPosition(*from)
	case direction == eventlog.Backward:
		return esdb.End{}
	default:
		return esdb.Start{}
	}
}

func toCount(limit int) uint64 {
	if limit <= 0 {
		return unlimited
	}
	return uint64(limit)
}

// toFilter returns the store's filter, which is of types or of streams, of
// prefixes or of an expression.
func toFilter(filter eventlog.Filter) *esdb.SubscriptionFilter {
	switch {
	case len(filter.TypePrefixes) > 0:
		return &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: filter.TypePrefixes}
	case filter.TypeRegex != "":
		return &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: filter.TypeRegex}
	case len(filter.StreamPrefixes) > 0:
		return &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: filter.StreamPrefixes}
	case filter.StreamRegex != "":
		return &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Regex: filter.StreamRegex}
	default:
		return esdb.ExcludeSystemEventsFilter()
	}
}
