package storage

import "github.com/triangle-suite/triangle/services/eventstore/internal/stream"

// watch is shared by those who wait for one stream.
type watch struct {
	changed chan struct{}
	held    int
}

// Watch is Changed for who looks at one stream: the channel is closed when there is
// a newer View in which that stream, or its metadata, has changed. A service
// subscribes to many streams of which hardly any changes; each of them woken by each
// event is most of what the store does. The watch is given up by stop.
func (v *View) Watch(name string) (changed <-chan struct{}, stop func()) {
	s := v.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != v { // it may have changed already
		return v.changed, func() {}
	}
	w := s.watches[name]
	if w == nil {
		w = &watch{changed: make(chan struct{})}
		s.watches[name] = w
	}
	w.held++
	return w.changed, func() { s.unwatch(name, w) }
}

func (s *Store) unwatch(name string, w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.held--; w.held == 0 && s.watches[name] == w {
		delete(s.watches, name)
	}
}

// wake wakes those who wait for the streams of a group; s.mu is held.
func (s *Store) wake(commands []*command) {
	for _, c := range commands {
		s.wakeOne(c.stream)
		if original, ok := stream.OriginalOf(c.stream); ok {
			s.wakeOne(original)
		}
	}
}

func (s *Store) wakeOne(name string) {
	if w := s.watches[name]; w != nil {
		close(w.changed)
		delete(s.watches, name)
	}
}
