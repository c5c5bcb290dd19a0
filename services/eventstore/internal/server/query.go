package server

import (
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/triangle-suite/triangle/services/eventstore/internal/filter"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// query is what a read asks for, in the store's own terms.
type query struct {
	stream       string // "$all" stands for the log
	direction    storage.Direction
	from         place
	count        uint64
	filter       filter.Filter
	filtered     bool
	interval     uint64 // a checkpoint after that many events, when filtered
	resolveLinks bool
	ids          idForm
}

// place is where a read begins.
type place struct {
	kind placeKind
	at   uint64 // revision or position, when the place is one
}

type placeKind int

const (
	fromPlace placeKind = iota
	fromStart
	fromEnd
)

// defaultWindow is how many events a filtered subscription considers at a time
// when the reader names no number.
const defaultWindow = 32

func parseQuery(options *streams.ReadReq_Options, limits Limits) (query, error) {
	if options.GetCountOption() == nil {
		return query{}, invalid("a read must say how many events it wants, or that it subscribes")
	}
	q := query{
		count:        options.GetCount(),
		resolveLinks: options.GetResolveLinks(),
		ids:          formOf(options.GetUuidOption()),
	}
	if options.GetReadDirection() == streams.ReadReq_Options_Backwards {
		q.direction = storage.Backward
	}
	var err error
	switch from := options.GetStreamOption().(type) {
	case *streams.ReadReq_Options_All:
		q.stream, q.from = stream.All, allPlace(from.All)
	case *streams.ReadReq_Options_Stream:
		q.stream = string(from.Stream.GetStreamIdentifier().GetStreamName())
		if q.from, err = streamPlace(from.Stream); err == nil {
			err = limits.checkName(q.stream)
		}
	default:
		err = invalid("a read must name a stream or $all")
	}
	if err != nil {
		return query{}, err
	}
	return q, q.parseFilter(options.GetFilter(), limits.filter())
}

func allPlace(options *streams.ReadReq_Options_AllOptions) place {
	switch at := options.GetAllOption().(type) {
	case *streams.ReadReq_Options_AllOptions_Position:
		return place{at: at.Position.GetCommitPosition()}
	case *streams.ReadReq_Options_AllOptions_End:
		return place{kind: fromEnd}
	default:
		return place{kind: fromStart}
	}
}

func streamPlace(options *streams.ReadReq_Options_StreamOptions) (place, error) {
	switch at := options.GetRevisionOption().(type) {
	case *streams.ReadReq_Options_StreamOptions_Revision:
		if _, err := expectation(at.Revision); err != nil {
			return place{}, err
		}
		return place{at: at.Revision}, nil
	case *streams.ReadReq_Options_StreamOptions_End:
		return place{kind: fromEnd}, nil
	default:
		return place{kind: fromStart}, nil
	}
}

func (q *query) parseFilter(options *streams.ReadReq_Options_FilterOptions, limits filter.Limits) error {
	if options == nil {
		return nil
	}
	if q.stream != stream.All {
		return invalid("only reads of $all can be filtered")
	}
	field, expression := filter.Type, options.GetEventType()
	if by, ok := options.GetFilter().(*streams.ReadReq_Options_FilterOptions_StreamIdentifier); ok {
		field, expression = filter.Stream, by.StreamIdentifier
	}
	f, err := limits.New(field, expression.GetPrefix(), expression.GetRegex())
	if err != nil {
		return invalid("%v", err)
	}
	window := uint64(options.GetMax())
	if window == 0 {
		window = defaultWindow
	}
	q.filter, q.filtered = f, true
	q.interval = window * uint64(options.GetCheckpointIntervalMultiplier())
	return nil
}

// revision returns the place as a revision to read from, both ends included.
func (p place) revision(direction storage.Direction, last int64) int64 {
	switch {
	case p.kind == fromStart:
		return 0
	case p.kind == fromEnd && direction == storage.Backward:
		return last
	case p.kind == fromEnd || p.at > math.MaxInt64-1:
		return math.MaxInt64 - 1
	default:
		return int64(p.at)
	}
}

// position returns the place as a position to read $all from.
func (p place) position() uint64 {
	switch p.kind {
	case fromStart:
		return 0
	case fromEnd:
		return math.MaxUint64
	default:
		return p.at
	}
}
