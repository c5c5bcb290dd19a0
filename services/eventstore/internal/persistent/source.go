package persistent

import (
	"bytes"
	"encoding/json"
	"hash/fnv"

	"github.com/triangle-suite/triangle/services/eventstore/internal/filter"
	"github.com/triangle-suite/triangle/services/eventstore/internal/link"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Bounds of a page, whatever a group's batch is: they bound how long a View is
// held, and how much is held in memory.
const (
	pageBytes      = 1 << 20
	pageConsidered = 1 << 14
)

// reader reads what a group delivers.
type reader struct {
	stream string
	filter filter.Filter
	follow bool // links are resolved
	pin    Strategy
}

func newReader(d *Definition) (*reader, error) {
	chosen, err := d.Filter.compile()
	if err != nil {
		return nil, err
	}
	return &reader{stream: d.Stream, filter: chosen, follow: d.ResolveLinks, pin: d.Strategy}, nil
}

// parkedReader reads the parked events of a group, which are links.
func parkedReader(d *Definition) *reader {
	return &reader{stream: d.Parked(), follow: true, pin: d.Strategy}
}

// end is a place that no event has.
const end = Place(stream.MaxRevision)

// read returns up to n events after a place and before another one.
func (r *reader) read(view *storage.View, after, before Place, n int) (Page, error) {
	p := pageReader{reader: r, view: view, before: before, n: n, page: Page{Read: after}}
	var err error
	if r.stream == stream.All {
		err = p.all()
	} else {
		err = p.stream()
	}
	return p.page, err
}

type pageReader struct {
	*reader
	view       *storage.View
	before     Place
	n          int
	page       Page
	bytes      int
	considered int
}

func (p *pageReader) full() bool {
	return len(p.page.Messages) >= p.n || p.bytes >= pageBytes || p.considered >= pageConsidered
}

func (p *pageReader) stream() error {
	state, err := p.view.State(p.reader.stream)
	if err != nil {
		return err
	}
	if state.Tombstoned {
		return storage.ErrDeleted
	}
	last := min(Place(state.Last), p.before-1)
	if p.page.Read < last {
		for record, err := range p.view.Stream(p.reader.stream, state, int64(p.page.Read)+1, storage.Forward) {
			if err != nil {
				return err
			}
			if Place(record.Revision()) > last {
				break
			}
			if p.full() {
				return nil
			}
			if err := p.add(&record, Place(record.Revision())); err != nil {
				return err
			}
		}
	}
	// What the stream's metadata hides behind its last visible event is passed too.
	p.page.Read, p.page.End = max(p.page.Read, last), true
	return nil
}

func (p *pageReader) all() error {
	for record, err := range p.view.All(uint64(p.page.Read+1), storage.Forward) {
		if err != nil {
			return err
		}
		if p.full() {
			return nil
		}
		at := Place(record.Position())
		p.considered++
		switch {
		case bookkeeping(record.Stream()):
			p.page.Read = at
		case !p.filter.Match(record.Type(), record.Stream()):
			p.page.Read = at
			p.page.Passed++
		default:
			if err := p.add(&record, at); err != nil {
				return err
			}
		}
	}
	p.page.End = true
	return nil
}

// bookkeeping tells whether a stream is one that groups write. Groups on $all
// pass over them: a checkpoint would be an event to process, after which there
// would be a checkpoint to write, for ever.
func bookkeeping(name []byte) bool {
	name = bytes.TrimPrefix(name, []byte(stream.MetadataOf("")))
	return bytes.HasPrefix(name, []byte(groupPrefix)) || string(name) == configStream
}

func (p *pageReader) add(record *storage.Record, at Place) error {
	original := record.Event()
	m := Message{At: at, After: p.page.Read, Original: &original}
	if p.follow && original.Type == stream.LinkType {
		resolved, err := link.Resolve(p.view, &original)
		if err != nil {
			return err
		}
		m.Link, m.Resolved = true, resolved
	}
	if p.pin.pins() {
		m.Pin = hash(pinOf(p.pin, m.Event()))
	}
	p.page.Messages = append(p.page.Messages, m)
	p.page.Read = at
	p.bytes += m.size()
	return nil
}

// pinOf returns what a pinning strategy keeps together: the stream in which an
// event began, or its correlation id, when it has one.
func pinOf(strategy Strategy, event *storage.Event) string {
	if strategy == PinnedByCorrelation {
		var metadata struct {
			Correlation string `json:"$correlationId"`
		}
		if json.Unmarshal(event.Metadata, &metadata) == nil && metadata.Correlation != "" {
			return metadata.Correlation
		}
	}
	if event.Type == stream.LinkType {
		if name, _, ok := link.Parse(event.Data); ok {
			return name
		}
	}
	return event.Stream
}

func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // it never fails
	return h.Sum64()
}
