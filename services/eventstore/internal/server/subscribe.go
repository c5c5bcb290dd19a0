package server

import (
	"context"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// subscribe delivers what follows a place and goes on with what is written
// later. A subscription always reads from the store, after its own position:
// live ones merely read soon. So there is no buffer that could overflow, and
// a slow reader costs nothing but its own delay.
//
//	confirmation ─▶ read pages ─▶ caught up ─▶ wait ─▶ read ─▶ wait ─▶ …
//	                    ▲                                │ more than a page
//	                    └────────── fell behind ─────────┘
func (s *streamsService) subscribe(ctx context.Context, q query, to send) error {
	seat, err := s.seats.take(ctx)
	if err != nil {
		return err
	}
	defer seat.leave()
	view, err := s.store.View()
	if err != nil {
		return err
	}
	source, err := newSource(q, view)
	view.Release()
	if err != nil {
		return err
	}
	if err := to(confirmation()); err != nil {
		return err
	}
	return s.follow(ctx, source, seat, to)
}

// source is what a subscription reads.
type source interface {
	// read puts what comes next on the page; more says that the page filled up
	// before the end was reached.
	read(view *storage.View, p *page) (more bool, err error)
	// watch returns what is closed when there may be more than in the view, and what
	// to call when nobody waits for that any longer.
	watch(view *storage.View) (changed <-chan struct{}, stop func())
	// place is the last position that was looked at; 0 when that is not known.
	place() uint64
	// arrive is called when the end was reached and the reader is told so.
	arrive(p *page)
}

// newSource finds the place to begin from while the reader is not yet
// confirmed: whatever is written after the confirmation is delivered.
func newSource(q query, view *storage.View) (source, error) {
	if q.stream == stream.All {
		return newAllSource(q, view), nil
	}
	return newStreamSource(q, view)
}

func (s *streamsService) follow(ctx context.Context, src source, seat *seat, to send) error {
	var p page
	for live := false; ; {
		if err := s.interrupted(ctx); err != nil {
			return err
		}
		view, err := s.store.View()
		if err != nil {
			return err
		}
		more, err := src.read(view, &p)
		seat.at.Store(src.place())
		changed, stop := src.watch(view)
		view.Release()
		if err == nil {
			live = tell(src, &p, live, more)
			err = p.flush(to)
		}
		if err == nil && !more {
			s.wait(ctx, changed)
		}
		stop()
		if err != nil {
			return err
		}
	}
}

// tell puts on the page whether the reader is up to date now, if it was not, or the
// other way round.
func tell(src source, p *page, live, more bool) (nowLive bool) {
	switch {
	case live && more:
		p.add(fellBehind)
	case !live && !more:
		src.arrive(p)
		p.add(caughtUp)
	}
	return !more
}

// wait returns when there is more to read, or when the subscription must end.
func (s *streamsService) wait(ctx context.Context, changed <-chan struct{}) {
	select {
	case <-changed:
	case <-ctx.Done():
	case <-s.stopping:
	}
}

// allSource reads $all.
type allSource struct {
	query
	next         uint64 // inclusive
	considered   uint64 // the last position that was looked at
	since        uint64 // events looked at since the last checkpoint
	checkpointed uint64 // the position of the last checkpoint
}

func newAllSource(q query, view *storage.View) *allSource {
	s := &allSource{query: q}
	switch q.from.kind {
	case fromStart:
	case fromEnd:
		s.next, s.considered = view.Last()+1, view.Last()
	default: // exclusive
		s.next, s.considered = q.from.at, q.from.at
		if s.next+1 > s.next {
			s.next++
		}
	}
	return s
}

func (s *allSource) read(view *storage.View, p *page) (more bool, err error) {
	for record, err := range view.All(s.next, storage.Forward) {
		if err != nil {
			return false, err
		}
		if err := s.consider(view, &record, p); err != nil {
			return false, err
		}
		if p.full() {
			return true, nil
		}
	}
	return false, nil
}

func (s *allSource) consider(view *storage.View, record *storage.Record, p *page) error {
	s.considered, s.next = record.Position(), record.Position()+1
	p.considered++
	if s.filter.Match(record.Type(), record.Stream()) {
		if err := p.addEvent(view, record, s.query); err != nil {
			return err
		}
	}
	if s.since++; s.filtered && s.since >= s.interval {
		s.checkpoint(p)
	}
	return nil
}

func (s *allSource) place() uint64 { return s.considered }

func (*allSource) watch(view *storage.View) (changed <-chan struct{}, stop func()) {
	return view.Changed(), func() {}
}

// arrive gives a filtered reader, who may have seen nothing for long, the
// place up to which there was nothing.
func (s *allSource) arrive(p *page) {
	if s.filtered && s.considered > s.checkpointed {
		s.checkpoint(p)
	}
}

func (s *allSource) checkpoint(p *page) {
	p.add(checkpoint(s.considered))
	s.checkpointed, s.since = s.considered, 0
}

// streamSource reads one stream, which need not exist yet.
type streamSource struct {
	query
	next int64 // inclusive
}

func newStreamSource(q query, view *storage.View) (*streamSource, error) {
	s := &streamSource{query: q}
	switch q.from.kind {
	case fromStart:
	case fromEnd:
		state, err := view.State(q.stream)
		if err != nil {
			return nil, err
		}
		s.next = state.Last + 1
	default: // exclusive
		s.next = afterLast
		if q.from.at < afterLast {
			s.next = int64(q.from.at) + 1
		}
	}
	return s, nil
}

func (*streamSource) place() uint64 { return 0 }

func (s *streamSource) watch(view *storage.View) (changed <-chan struct{}, stop func()) {
	return view.Watch(s.stream)
}

func (s *streamSource) read(view *storage.View, p *page) (more bool, err error) {
	state, err := view.State(s.stream)
	if err != nil {
		return false, err
	}
	if state.Tombstoned {
		return false, storage.ErrDeleted
	}
	if state.Last < s.next {
		return false, nil
	}
	for record, err := range view.Stream(s.stream, state, s.next, storage.Forward) {
		if err != nil {
			return false, err
		}
		s.next = record.Revision() + 1
		if err := p.addEvent(view, &record, s.query); err != nil {
			return false, err
		}
		if p.full() {
			return true, nil
		}
	}
	return false, nil
}

func (s *streamSource) arrive(*page) {}
