package persistent

import "container/list"

// Place is where an event is in what a group reads: its revision in a stream,
// its position in $all.
type Place int64

// Nowhere is the place before every event.
const Nowhere Place = -1

// track follows how far what is read in order is processed, in any order. It
// holds no more than what is unfinished, however far that is behind.
type track struct {
	unfinished list.List // of *message, in order
	read       Place     // the last place that was looked at
}

func (t *track) add(m *message) {
	m.track, m.unfinished = t, t.unfinished.PushBack(m)
	t.read = m.At
}

func (t *track) finish(m *message) { t.unfinished.Remove(m.unfinished) }

// processed is the last place such that nothing up to it is unfinished.
func (t *track) processed() Place {
	if first := t.unfinished.Front(); first != nil {
		return first.Value.(*message).After
	}
	return t.read
}
