package server

import (
	"errors"
	"slices"
	"sync"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/eventstore/internal/link"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// A page is what is read at a time, before any of it is sent. It bounds the
// memory of a reader, and how long it holds a View: a slow one holds none
// while it is being waited for, and one whose filter chooses little looks up
// now and then, whether it should end.
const (
	pageMessages   = 512
	pageBytes      = 1 << 20
	pageConsidered = 1 << 14
)

// send passes one message to the reader; it blocks while the reader is slow.
type send func(message any) error

// page collects messages, encoded one after the other, until it is full.
type page struct {
	arena      *[]byte // nil until there is a message
	ends       []int   // of the messages, in the arena
	considered int     // events that were looked at, chosen or not
	err        error   // of encoding; flush returns it
}

func (p *page) full() bool {
	return len(p.ends) >= pageMessages || p.considered >= pageConsidered ||
		p.arena != nil && len(*p.arena) >= pageBytes
}

// add puts a message on the page.
func (p *page) add(message *streams.ReadResp) {
	b, err := proto.MarshalOptions{}.MarshalAppend(p.bytes(), message)
	if err != nil {
		p.err = errors.Join(p.err, err)
		return
	}
	p.end(b)
}

// addEvent puts a record on the page, with the event that it links to when the
// reader wants that.
func (p *page) addEvent(view *storage.View, record *storage.Record, q query) error {
	if !q.resolveLinks || string(record.Type()) != stream.LinkType {
		p.end(appendEvent(p.bytes(), q.ids, record, nil, record.Position()))
		return nil
	}
	from := record.Event()
	target, err := link.Resolve(view, &from)
	if err != nil {
		return err
	}
	var event *storage.Record
	if target != nil {
		found := target.Record()
		event = &found
	}
	p.end(appendEvent(p.bytes(), q.ids, event, record, record.Position()))
	return nil
}

// bytes returns what the page holds; end takes it back with one message more.
func (p *page) bytes() []byte {
	if p.arena == nil {
		p.arena = arenas.Get(0)
	}
	return *p.arena
}

func (p *page) end(b []byte) {
	*p.arena = b
	p.ends = append(p.ends, len(b))
}

// flush sends what was collected and empties the page. What grpc has not yet
// written by then still lies in the arena, which goes back to its pool after
// the last of it was.
func (p *page) flush(to send) error {
	p.considered = 0
	if p.err != nil || len(p.ends) == 0 {
		return p.err
	}
	arena := mem.NewBuffer(p.arena, arenas)
	defer arena.Free()
	messages := make([]encoded, len(p.ends)) // for all at once: grpc keeps hold of each
	start := 0
	for i, end := range p.ends {
		messages[i][0] = arena.Slice(start, end)
		if err := to(&messages[i]); err != nil {
			return err
		}
		start = end
	}
	p.arena, p.ends = nil, p.ends[:0]
	return nil
}

// arenas keeps the memory of pages. Unlike grpc's own pools it does not know
// beforehand how much a page will need, and it does not clear what is about
// to be overwritten.
var arenas mem.BufferPool = &arenaPool{}

const (
	// minArena is above what grpc takes for too little to be pooled.
	minArena = 4 << 10
	// maxArena is what a page of one huge event doesn't leave in the pool.
	maxArena = 2 * pageBytes
)

type arenaPool struct{ pool sync.Pool }

// Get implements mem.BufferPool.
func (a *arenaPool) Get(length int) *[]byte {
	arena, ok := a.pool.Get().(*[]byte)
	if !ok {
		b := make([]byte, 0, minArena)
		arena = &b
	}
	*arena = slices.Grow((*arena)[:0], length)[:length]
	return arena
}

// Put implements mem.BufferPool.
func (a *arenaPool) Put(arena *[]byte) {
	if cap(*arena) <= maxArena {
		a.pool.Put(arena)
	}
}
