package server

import (
	"context"
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/triangle-suite/triangle/services/eventstore/internal/metrics"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Read implements streams.StreamsServer.
func (s *streamsService) Read(request *streams.ReadReq, call streams.Streams_ReadServer) error {
	ctx := call.Context()
	options := request.GetOptions()
	q, err := parseQuery(options, s.limits)
	if err != nil {
		return err
	}
	_, live := options.GetCountOption().(*streams.ReadReq_Options_Subscription)
	switch {
	case live && q.direction == storage.Backward:
		err = invalid("a subscription can't go backwards")
	case live && q.filtered && q.interval == 0:
		err = invalid("the checkpoint interval multiplier must be above 0")
	default:
		err = s.read(ctx, q, live, call.SendMsg)
	}
	if err != nil {
		return fail(ctx, q.stream, err)
	}
	return nil
}

// read reads, or subscribes, and counts what is sent.
func (s *streamsService) read(ctx context.Context, q query, live bool, to send) error {
	kind, do := metrics.ReadStream, s.readStream
	switch all := q.stream == stream.All; {
	case live && all:
		kind, do = metrics.SubscribeAll, s.subscribe
	case live:
		kind, do = metrics.SubscribeStream, s.subscribe
	case all:
		kind, do = metrics.ReadAll, s.readAll
	}
	sent := s.metrics.Read(kind)
	return do(ctx, q, func(message any) error {
		sent.Inc()
		return to(message)
	})
}

// readAll reads $all up to where it ended when the read began.
func (s *streamsService) readAll(ctx context.Context, q query, to send) error {
	r := allReader{query: q, next: q.from.position(), left: q.count}
	return s.pages(ctx, to, r.page)
}

type allReader struct {
	query
	next    uint64
	left    uint64
	end     uint64
	started bool
}

func (r *allReader) page(view *storage.View, p *page) (more bool, err error) {
	if !r.started {
		r.started, r.end = true, view.Last()
	}
	if r.left == 0 {
		return false, nil
	}
	for record, err := range view.All(r.next, r.direction) {
		if err != nil {
			return false, err
		}
		if record.Position() > r.end {
			return false, nil
		}
		r.next = record.Position() // exclusive, backward
		if r.direction == storage.Forward {
			r.next++
		}
		p.considered++
		if r.filter.Match(record.Type(), record.Stream()) {
			if err := p.addEvent(view, &record, r.query); err != nil {
				return false, err
			}
			if r.left--; r.left == 0 {
				return false, nil
			}
		}
		if p.full() {
			return true, nil
		}
	}
	return false, nil
}

// readStream reads a stream up to where it ended when the read began.
func (s *streamsService) readStream(ctx context.Context, q query, to send) error {
	r := streamReader{query: q, left: q.count}
	return s.pages(ctx, to, r.page)
}

type streamReader struct {
	query
	next    int64
	left    uint64
	end     int64
	started bool
}

func (r *streamReader) page(view *storage.View, p *page) (more bool, err error) {
	state, err := view.State(r.stream)
	switch {
	case err != nil:
		return false, err
	case state.Tombstoned:
		return false, storage.ErrDeleted
	case !state.Exists() && !r.started:
		p.add(notFound(r.stream))
		return false, nil
	}
	if !r.started {
		r.started, r.end, r.next = true, state.Last, r.from.revision(r.direction, state.Last)
	}
	if r.left == 0 || r.next < 0 {
		return false, nil
	}
	state.Last = min(state.Last, r.end)
	for record, err := range view.Stream(r.stream, state, r.next, r.direction) {
		if err != nil {
			return false, err
		}
		r.next = record.Revision() + 1
		if r.direction == storage.Backward {
			r.next = record.Revision() - 1
		}
		if err := p.addEvent(view, &record, r.query); err != nil {
			return false, err
		}
		if r.left--; r.left == 0 {
			return false, nil
		}
		if p.full() {
			return true, nil
		}
	}
	return false, nil
}

// pages reads page by page, each from a fresh View, and sends each one after
// its View was given back.
func (s *streamsService) pages(ctx context.Context, to send, read func(*storage.View, *page) (more bool, err error)) error {
	var p page
	for more := true; more; {
		if err := s.interrupted(ctx); err != nil {
			return err
		}
		view, err := s.store.View()
		if err != nil {
			return err
		}
		more, err = read(view, &p)
		view.Release()
		if err != nil {
			return err
		}
		if err := p.flush(to); err != nil {
			return err
		}
	}
	return nil
}

// interrupted tells why a reader must not go on.
func (s *streamsService) interrupted(ctx context.Context) error {
	select {
	case <-s.stopping:
		return storage.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	default:
		return nil
	}
}

// afterLast is a revision that no event has.
const afterLast = math.MaxInt64
