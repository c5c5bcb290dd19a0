package persistent

import (
	"maps"
	"slices"
	"time"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Info is what is to be known about a group.
type Info struct {
	Definition
	Status       string
	Connections  []ConnectionInfo
	Processed    int64
	Lately       int64   // processed since it was last told
	PerSecond    float64 // processed, since the group was started
	Checkpointed string  // the last place that was written down, "" when there is none
	Last         string  // the place of the last event of what the group reads
	Behind       int     // events that wait, while the group is behind
	Live         int     // events that wait, while it is live
	Retrying     int
	InFlight     int
	Parked       int64
}

// ConnectionInfo is what is to be known about a consumer.
type ConnectionInfo struct {
	Peer
	Processed int64
	Lately    int64
	PerSecond float64
	InFlight  int
	Room      int
	Latencies []Measurement // when the group keeps extra statistics
}

// Info tells about a group.
func (s *Subscriptions) Info(key Key) (Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	view, err := s.open()
	if err != nil {
		return Info{}, err
	}
	view.Release()
	group, err := s.lookup(key)
	if err != nil {
		return Info{}, err
	}
	return group.info()
}

// List tells about all groups, or those on one stream when name is not empty;
// they come in a fixed order.
func (s *Subscriptions) List(name string) ([]Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	view, err := s.open()
	if err != nil {
		return nil, err
	}
	view.Release()
	infos := []Info{}
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		if name != "" && s.groups[id].Stream != name {
			continue
		}
		info, err := s.groups[id].info()
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	if name != "" && len(infos) == 0 {
		return nil, ErrNotFound
	}
	return infos, nil
}

// Totals are figures of all groups together.
type Totals struct {
	Groups, Consumers           int
	Waiting, InFlight, Retrying int // events
	Parked                      int64
}

// Totals counts what there is. Unlike Info it changes nothing: what was processed
// lately is left for who asks for it.
func (s *Subscriptions) Totals() (Totals, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	view, err := s.open()
	if err != nil {
		return Totals{}, err
	}
	defer view.Release()
	var all Totals
	for _, group := range s.groups {
		if err := group.addTo(&all, view); err != nil {
			return Totals{}, err
		}
	}
	return all, nil
}

func (r *runner) addTo(all *Totals, view *storage.View) error {
	_, lastParked, err := r.parkedRange(view)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.group
	all.Groups++
	all.Consumers += len(r.connections)
	all.Waiting += len(g.buffer)
	all.InFlight += g.flights.Len()
	all.Retrying += len(g.retrying)
	all.Parked += max(int64(lastParked-g.replay.read), 0)
	return nil
}

// replay asks the group for its parked events, up to what there is now.
func (r *runner) replay(until *Place) error {
	view, err := r.store.View()
	if err != nil {
		return err
	}
	defer view.Release()
	_, last, err := r.parkedRange(view)
	if err != nil {
		return err
	}
	before := last + 1
	if until != nil {
		before = min(before, *until)
	}
	r.answered(func(g *Group, _ time.Time) { g.Replay(before) })
	return nil
}

func (r *runner) info() (Info, error) {
	view, err := r.store.View()
	if err != nil {
		return Info{}, err
	}
	defer view.Release()
	last, err := r.last(view)
	if err != nil {
		return Info{}, err
	}
	_, lastParked, err := r.parkedRange(view)
	if err != nil {
		return Info{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.group
	info := Info{
		Definition: *r.Definition, Status: "Behind",
		PerSecond:    perSecond(g.done.total, r.started),
		Checkpointed: r.format(r.written), Last: r.format(last),
		Retrying: len(g.retrying), InFlight: g.flights.Len(),
		Parked: max(int64(lastParked-g.replay.read), 0),
	}
	info.Processed, info.Lately = g.done.tell()
	switch {
	case r.err != nil:
		info.Status = "Failed"
	case g.live:
		info.Status, info.Live = "Live", len(g.buffer)
	default:
		info.Behind = len(g.buffer)
	}
	for _, c := range r.connections {
		processed, lately := c.consumer.processed.tell()
		info.Connections = append(info.Connections, ConnectionInfo{
			Peer: c.peer, Processed: processed, Lately: lately, PerSecond: perSecond(processed, c.since),
			InFlight: c.consumer.count, Room: c.consumer.room(), Latencies: c.consumer.latencies.measure(),
		})
	}
	return info, nil
}

// last is the place of the last event of what the group reads.
func (r *runner) last(view *storage.View) (Place, error) {
	if r.Stream == stream.All {
		if view.Last() == 0 {
			return Nowhere, nil
		}
		return Place(view.Last()), nil
	}
	state, err := view.State(r.Stream)
	return Place(state.Last), err
}

func perSecond(count int64, since time.Time) float64 {
	elapsed := time.Since(since).Seconds()
	if elapsed <= 0 {
		return 0
	}
	return float64(count) / elapsed
}
