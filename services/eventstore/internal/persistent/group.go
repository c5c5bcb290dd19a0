package persistent

import (
	"container/list"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
)

// ErrFull says that a group takes no further consumer.
var ErrFull = errors.New("the persistent subscription has as many consumers as it may have")

// maxHeld bounds the bytes of the events that a group holds to be delivered,
// whatever its buffer sizes are.
const maxHeld = 16 << 20

// Group is the state of a persistent subscription: what was read and is not
// processed. It reads no clock and does no I/O: times and events arrive in its
// calls.
type Group struct {
	settings  Settings
	consumers []*Consumer // in the order of their coming
	turn      int         // whose turn it is, modulo their number, for the strategies that take turns
	pins      map[uint64]pin
	number    uint64 // of the last consumer
	seq       uint64 // of the last message

	source track // what is delivered
	replay track // the parked events that are delivered again
	until  Place // where the replay ends, exclusive

	live     bool         // the end of the source was reached
	buffer   []*message   // waiting for the first delivery, in order
	retrying []*message   // waiting for another one, in order
	flights  list.List    // of *message in flight, in the order of delivery
	parking  []*message   // to be written to the parked events
	held     int          // bytes of what waits
	done     counter      // messages that consumers have processed
	policy   checkpointer // when the progress is written down
}

// NewGroup returns the group that goes on after the places that it has
// processed of its source and of its parked events.
func NewGroup(settings Settings, processed, replayed Place, now time.Time) *Group {
	return &Group{
		settings: settings,
		pins:     map[uint64]pin{},
		source:   track{read: processed},
		replay:   track{read: replayed},
		policy:   checkpointer{settings: settings, written: processed, at: now},
	}
}

// Page is what was read.
type Page struct {
	Messages []Message
	Read     Place // the last place that was looked at
	Passed   int   // events that were looked at but are not delivered
	End      bool  // there is no more, now
}

// Room is how many events the group can take from its source.
func (g *Group) Room() int {
	capacity := g.settings.HistoryBuffer
	if g.live {
		capacity = max(g.settings.LiveBuffer, g.settings.ReadBatch)
	}
	return g.room(len(g.buffer), capacity)
}

// room is a batch or nothing: pages of an event each would cost too much.
func (g *Group) room(waiting, capacity int) int {
	full := capacity-waiting < g.settings.ReadBatch || g.held >= maxHeld && waiting > 0
	if len(g.consumers) == 0 || full {
		return 0
	}
	return g.settings.ReadBatch
}

// Read is the last place of the source that was looked at.
func (g *Group) Read() Place { return g.source.read }

// Push takes in what was read after Read.
func (g *Group) Push(page Page, now time.Time) {
	for i := range page.Messages {
		m := g.take(&page.Messages[i], &g.source)
		g.buffer = append(g.buffer, m)
	}
	g.source.read = max(g.source.read, page.Read)
	g.live = page.End
	g.policy.progress += page.Passed
	g.dispatch(now)
}

func (g *Group) take(of *Message, into *track) *message {
	g.seq++
	m := &message{Message: *of, seq: g.seq}
	into.add(m)
	g.held += m.size()
	return m
}

// Replay asks for the parked events before a place, exclusive, once more.
func (g *Group) Replay(until Place) { g.until = max(g.until, until) }

// Replaying tells which parked events the group can take now: n after a place,
// and before another one.
func (g *Group) Replaying() (after, before Place, n int) {
	if g.replay.read+1 >= g.until {
		return 0, 0, 0
	}
	return g.replay.read, g.until, g.room(len(g.retrying), g.settings.HistoryBuffer)
}

// PushReplay takes in parked events. They are delivered before new ones.
func (g *Group) PushReplay(page Page, now time.Time) {
	for i := range page.Messages {
		g.retrying = append(g.retrying, g.take(&page.Messages[i], &g.replay))
	}
	g.replay.read = max(g.replay.read, page.Read)
	g.dispatch(now)
}

// Replayed is the place up to which the parked events are not needed any more.
func (g *Group) Replayed() Place { return g.replay.processed() }

// Connect adds a consumer to which as many events are in flight as size says.
func (g *Group) Connect(size int, now time.Time) (*Consumer, error) {
	if limit := g.settings.MaxConsumers; limit > 0 && len(g.consumers) >= limit {
		return nil, ErrFull
	}
	g.number++
	c := &Consumer{number: g.number, size: size, inFlight: map[uuid.UUID]*message{}}
	g.consumers = append(g.consumers, c)
	g.dispatch(now)
	return c, nil
}

// Disconnect removes a consumer: what was in flight to it is retried. To
// remove one that is gone does nothing.
func (g *Group) Disconnect(c *Consumer, now time.Time) {
	at := slices.Index(g.consumers, c)
	if at < 0 {
		return
	}
	g.consumers = slices.Delete(g.consumers, at, at+1)
	if g.turn > at {
		g.turn--
	}
	for e := g.flights.Front(); e != nil; {
		m := e.Value.(*message)
		e = e.Next()
		if m.consumer == c {
			g.retry(m, "its consumer went away")
		}
	}
	g.dispatch(now)
}

// Take returns what is to be sent to a consumer.
func (g *Group) Take(c *Consumer) []Delivery {
	if len(c.assigned) == 0 {
		return nil
	}
	deliveries := make([]Delivery, len(c.assigned))
	for i, m := range c.assigned {
		m.taken = true
		deliveries[i] = Delivery{Message: m.Message, Retries: m.retries}
	}
	clear(c.assigned)
	c.assigned = c.assigned[:0]
	return deliveries
}

// Ack says that a consumer has processed events. Ids that are not in flight to
// it are ignored: its time may have been over.
func (g *Group) Ack(c *Consumer, ids []uuid.UUID, now time.Time) {
	for _, id := range ids {
		if m := c.inFlight[id]; m != nil {
			if g.settings.ExtraStatistics {
				c.latencies.add(now.Sub(m.since))
			}
			g.land(m)
			g.finish(m)
			g.done.total++
			c.processed.total++
		}
	}
	g.dispatch(now)
}

// Action is what becomes of an event that a consumer did not process.
type Action int

// The actions.
const (
	Retry Action = iota
	Park
	Skip
)

// Nack says that a consumer has not processed events, and what to do.
func (g *Group) Nack(c *Consumer, ids []uuid.UUID, action Action, reason string, now time.Time) {
	for _, id := range ids {
		m := c.inFlight[id]
		switch {
		case m == nil:
		case action == Park:
			g.land(m)
			g.park(m, reason)
		case action == Skip:
			g.land(m)
			g.finish(m)
		default:
			g.retry(m, reason)
		}
	}
	g.dispatch(now)
}

// Tick retries what has been in flight for too long.
func (g *Group) Tick(now time.Time) {
	for {
		due, ok := g.nextTimeout()
		if !ok || due.After(now) {
			break
		}
		g.retry(g.flights.Front().Value.(*message), "no answer in time")
	}
	g.dispatch(now)
}

func (g *Group) nextTimeout() (time.Time, bool) {
	first := g.flights.Front()
	if g.settings.MessageTimeout == 0 || first == nil {
		return time.Time{}, false
	}
	return first.Value.(*message).since.Add(g.settings.MessageTimeout), true
}

// Next tells when Tick or Checkpoint have something to do, if nothing happens
// before.
func (g *Group) Next() (next time.Time, ok bool) {
	next, ok = g.nextTimeout()
	if due, checkpointing := g.policy.next(g.source.processed()); checkpointing && (!ok || due.Before(next)) {
		return due, true
	}
	return next, ok
}

// Parking returns what is to be parked, in order.
func (g *Group) Parking() []Unwanted {
	unwanted := make([]Unwanted, len(g.parking))
	for i, m := range g.parking {
		unwanted[i] = Unwanted{Message: m.Message, Reason: m.reason}
	}
	return unwanted
}

// Parked says that the first n of Parking are parked.
func (g *Group) Parked(n int) {
	for _, m := range g.parking[:n] {
		g.finish(m)
	}
	g.parking = slices.Delete(g.parking, 0, n)
}

// Checkpoint returns the place up to which everything is processed, when it
// is time to write it down. It is then taken to be written: what is processed
// meanwhile counts for the next one.
func (g *Group) Checkpoint(now time.Time) (Place, bool) {
	at := g.source.processed()
	if !g.policy.due(at, now) {
		return at, false
	}
	g.policy.written, g.policy.at, g.policy.progress = at, now, 0
	return at, true
}

// Progress returns the place up to which everything is processed, when it has
// not been written down.
func (g *Group) Progress() (Place, bool) {
	at := g.source.processed()
	return at, g.policy.moved(at)
}

// dispatch delivers what can be delivered: retries first.
func (g *Group) dispatch(now time.Time) {
	g.retrying = g.offer(g.retrying, now)
	g.buffer = g.offer(g.buffer, now)
}

// offer delivers what it can of what waits, in order, and returns the rest.
// Who is pinned to a consumer without room lets others pass.
func (g *Group) offer(waiting []*message, now time.Time) []*message {
	free := 0
	for _, c := range g.consumers {
		free += max(c.room(), 0)
	}
	var kept []*message
	for i, m := range waiting {
		if free == 0 {
			if len(kept) == 0 {
				return waiting[i:]
			}
			return append(kept, waiting[i:]...)
		}
		if c := g.choose(m); c != nil {
			free--
			g.deliver(m, c, now)
		} else {
			kept = append(kept, m)
		}
	}
	return kept
}

func (g *Group) deliver(m *message, c *Consumer, now time.Time) {
	g.held -= m.size()
	m.consumer, m.since, m.taken = c, now, false
	m.flight = g.flights.PushBack(m)
	c.hold(m)
	g.hold(m)
}

// land ends m's flight.
func (g *Group) land(m *message) {
	m.consumer.release(m)
	g.release(m)
	g.flights.Remove(m.flight)
	m.consumer, m.flight = nil, nil
}

// retry puts m, which is in flight, back in its place, or parks it when it was
// delivered too often. What was never taken, its consumer being slow to read,
// was not delivered.
func (g *Group) retry(m *message, reason string) {
	g.land(m)
	if m.taken && m.retries >= g.settings.MaxRetries {
		g.park(m, "retried too often, at last because: "+reason)
		return
	}
	if m.taken {
		m.retries++
	}
	g.held += m.size()
	at, _ := slices.BinarySearchFunc(g.retrying, m.seq, func(other *message, seq uint64) int {
		if other.seq < seq {
			return -1
		}
		return 1
	})
	g.retrying = slices.Insert(g.retrying, at, m)
}

func (g *Group) park(m *message, reason string) {
	m.reason = reason
	g.parking = append(g.parking, m)
}

// finish ends m: nothing is left to do about it.
func (g *Group) finish(m *message) {
	if m.track == &g.source {
		g.policy.progress++
	}
	m.track.finish(m)
}
