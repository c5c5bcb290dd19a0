package persistent

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// A group is driven by whatever may come in whatever order. After each step
// its state is compared with a ledger of what was said about each event.
func TestAGroupLosesNothingAndDeliversNothingTwiceAtATime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		t.Repeat(map[string]func(*rapid.T){
			"":           w.check,
			"push":       w.push,
			"replay":     w.replay,
			"connect":    w.connect,
			"disconnect": w.disconnect,
			"take":       w.take,
			"ack":        w.ack,
			"nack":       w.nack,
			"wait":       w.wait,
			"park":       w.park,
			"checkpoint": w.checkpoint,
		})
		w.drain(t)
	})
}

// world is a group, its ledger, and what surrounds it.
type world struct {
	settings  Settings
	group     *Group
	now       time.Time
	consumers []*Consumer
	parked    Place // how many parked events there are
	written   Place // the last checkpoint

	all      []*message             // the ledger: what was read,
	finished map[*message]bool      // what was acknowledged, skipped or parked,
	holder   map[*message]*Consumer // and who was given what and has not answered
}

func newWorld(t *rapid.T) *world {
	batch := rapid.IntRange(1, 4).Draw(t, "batch")
	least := rapid.IntRange(0, 5).Draw(t, "min checkpoint")
	settings := Settings{
		Strategy:        rapid.SampledFrom([]Strategy{RoundRobin, DispatchToSingle, Pinned}).Draw(t, "strategy"),
		MessageTimeout:  time.Duration(rapid.IntRange(0, 3).Draw(t, "time-out")) * time.Second,
		MaxRetries:      rapid.IntRange(0, 3).Draw(t, "max retries"),
		MaxConsumers:    rapid.IntRange(0, 4).Draw(t, "max consumers"),
		ReadBatch:       batch,
		HistoryBuffer:   batch + rapid.IntRange(0, 8).Draw(t, "history"),
		LiveBuffer:      rapid.IntRange(0, 8).Draw(t, "live"),
		CheckpointAfter: time.Second,
		MinCheckpoint:   least,
		MaxCheckpoint:   least + rapid.IntRange(0, 5).Draw(t, "max checkpoint"),
	}
	now := time.Unix(1_000_000, 0)
	return &world{
		settings: settings, group: NewGroup(settings, Nowhere, Nowhere, now), now: now,
		parked: 20, written: Nowhere,
		finished: map[*message]bool{}, holder: map[*message]*Consumer{},
	}
}

// event has an id of few, so that the same one comes more than once.
func event(t *rapid.T) *storage.Event {
	var id uuid.UUID
	binary.BigEndian.PutUint32(id[:], rapid.Uint32Range(0, 40).Draw(t, "id"))
	return &storage.Event{NewEvent: storage.NewEvent{ID: id, Data: make([]byte, 1+int(id[3])%7)}}
}

// page makes up to n events after a place. Some places hold none, as when
// metadata or a filter hides them.
func page(t *rapid.T, after Place, n int) Page {
	p := Page{Read: after, End: rapid.Bool().Draw(t, "end")}
	for range rapid.IntRange(0, n).Draw(t, "events") {
		p.Read += Place(rapid.IntRange(0, 2).Draw(t, "hidden"))
		p.Messages = append(p.Messages, Message{
			At: p.Read + 1, After: p.Read, Pin: rapid.Uint64Range(0, 9).Draw(t, "pin"), Original: event(t),
		})
		p.Read++
	}
	p.Passed = rapid.IntRange(0, 2).Draw(t, "passed")
	p.Read += Place(p.Passed)
	return p
}

func (w *world) push(t *rapid.T) {
	n := w.group.Room()
	if n == 0 {
		t.Skip("no room")
	}
	w.group.Push(page(t, w.group.Read(), n), w.now)
	w.note()
}

// note enters what was read into the ledger.
func (w *world) note() {
	known := uint64(len(w.all))
	for _, track := range []*track{&w.group.replay, &w.group.source} {
		for e := track.unfinished.Front(); e != nil; e = e.Next() {
			if m := e.Value.(*message); m.seq > known {
				w.all = append(w.all, m)
			}
		}
	}
}

func (w *world) replay(t *rapid.T) {
	w.group.Replay(Place(rapid.IntRange(0, int(w.parked)).Draw(t, "until")))
	after, before, n := w.group.Replaying()
	if n == 0 {
		return
	}
	if after+1 >= before {
		t.Fatalf("%d parked events are wanted, none of which is between %d and %d", n, after, before)
	}
	p := Page{Read: after}
	for at := after + 1; at < before && len(p.Messages) < n; at++ {
		p.Messages = append(p.Messages, Message{At: at, After: p.Read, Original: event(t)})
		p.Read = at
	}
	p.End = p.Read == before-1
	w.group.PushReplay(p, w.now)
	w.note()
}

func (w *world) connect(t *rapid.T) {
	c, err := w.group.Connect(rapid.IntRange(1, 5).Draw(t, "buffer"), w.now)
	if limit := w.settings.MaxConsumers; limit > 0 && len(w.consumers) == limit {
		if err == nil {
			t.Fatalf("a consumer more than %d is taken", limit)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	w.consumers = append(w.consumers, c)
}

func (w *world) pick(t *rapid.T) *Consumer {
	if len(w.consumers) == 0 {
		t.Skip("no consumer")
	}
	return rapid.SampledFrom(w.consumers).Draw(t, "consumer")
}

func (w *world) disconnect(t *rapid.T) {
	c := w.pick(t)
	w.consumers = slices.DeleteFunc(w.consumers, func(o *Consumer) bool { return o == c })
	w.group.Disconnect(c, w.now)
	for m, holder := range w.holder {
		if holder == c {
			delete(w.holder, m)
		}
	}
}

func (w *world) take(t *rapid.T) {
	c := w.pick(t)
	assigned := slices.Clone(c.assigned)
	deliveries := w.group.Take(c)
	if len(deliveries) != len(assigned) {
		t.Fatalf("%d of %d events are given", len(deliveries), len(assigned))
	}
	for i, m := range assigned {
		if holder := w.holder[m]; holder != nil {
			t.Fatalf("the event at %d is with two consumers", m.At)
		}
		if deliveries[i].Original != m.Original || w.finished[m] {
			t.Fatalf("the event at %d is not to be given", m.At)
		}
		w.holder[m] = c
	}
}

// answer chooses ids to answer with: of what is in flight to c, and others.
func (w *world) answer(t *rapid.T, c *Consumer) (ids []uuid.UUID, answered []*message) {
	for id := range c.inFlight {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	ids = slices.DeleteFunc(ids, func(uuid.UUID) bool { return rapid.Bool().Draw(t, "left out") })
	for _, id := range ids {
		answered = append(answered, c.inFlight[id])
	}
	if rapid.Bool().Draw(t, "unknown id") {
		ids = append(ids, uuid.Max)
	}
	return ids, answered
}

func (w *world) ack(t *rapid.T) {
	c := w.pick(t)
	ids, answered := w.answer(t, c)
	w.group.Ack(c, ids, w.now)
	for _, m := range answered {
		w.finished[m] = true
		delete(w.holder, m)
	}
}

func (w *world) nack(t *rapid.T) {
	c := w.pick(t)
	ids, answered := w.answer(t, c)
	action := rapid.SampledFrom([]Action{Retry, Park, Skip}).Draw(t, "action")
	w.group.Nack(c, ids, action, "no", w.now)
	for _, m := range answered {
		if action == Skip {
			w.finished[m] = true
		}
		delete(w.holder, m)
	}
}

func (w *world) wait(t *rapid.T) {
	w.now = w.now.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "quarters")) * time.Second / 4)
	before := map[*message]time.Time{}
	for e := w.group.flights.Front(); e != nil; e = e.Next() {
		m := e.Value.(*message)
		before[m] = m.since
	}
	w.group.Tick(w.now)
	for m, since := range before {
		over := w.settings.MessageTimeout > 0 && !since.Add(w.settings.MessageTimeout).After(w.now)
		stays := m.consumer != nil && m.since.Equal(since)
		if over == stays {
			t.Fatalf("the event at %d, in flight for %v: goes on %v", m.At, w.now.Sub(since), stays)
		}
		if over {
			delete(w.holder, m)
		}
	}
	if next, ok := w.group.nextTimeout(); ok && !next.After(w.now) {
		t.Fatal("a time-out that is over is waited for in vain")
	}
}

func (w *world) park(t *rapid.T) {
	parking := slices.Clone(w.group.parking)
	n := rapid.IntRange(0, len(parking)).Draw(t, "parked")
	unwanted := w.group.Parking()
	for i := range parking {
		if unwanted[i].Original != parking[i].Original || unwanted[i].Reason == "" {
			t.Fatalf("%+v is to be parked", unwanted[i])
		}
	}
	w.group.Parked(n)
	for _, m := range parking[:n] {
		w.finished[m] = true
	}
}

func (w *world) checkpoint(t *rapid.T) {
	at, due := w.group.Checkpoint(w.now)
	if !due {
		if next, ok := w.group.policy.next(at); ok && !next.After(w.now) {
			t.Fatal("a checkpoint that is not due is waited for in vain")
		}
		return
	}
	if at <= w.written {
		t.Fatalf("checkpoint %d follows %d", at, w.written)
	}
	w.written = at
	if _, again := w.group.Checkpoint(w.now.Add(time.Hour)); again {
		t.Fatal("a checkpoint is due when nothing was processed since")
	}
}

func (w *world) check(t *rapid.T) {
	g := w.group
	w.checkConservation(t)
	w.checkConsumers(t)
	for _, waiting := range [][]*message{g.buffer, g.retrying} {
		if !slices.IsSortedFunc(waiting, func(a, b *message) int { return int(a.seq) - int(b.seq) }) {
			t.Fatal("what waits is out of order")
		}
	}
	capacity := max(w.settings.HistoryBuffer, w.settings.LiveBuffer, w.settings.ReadBatch)
	if len(g.buffer) > capacity {
		t.Fatalf("%d events are held, %d may be", len(g.buffer), capacity)
	}
	for _, m := range w.all {
		read := m.track == &g.source && m.At <= g.source.processed() || m.track == &g.replay && m.At <= g.replay.processed()
		if read && !w.finished[m] {
			t.Fatalf("the checkpoint passes the event at %d, which is not processed", m.At)
		}
		if m.retries > w.settings.MaxRetries {
			t.Fatalf("the event at %d is retried for the %dth time", m.At, m.retries)
		}
	}
}

// checkConservation: every event that was read is in one place.
func (w *world) checkConservation(t *rapid.T) {
	g := w.group
	places, held := map[*message]int{}, 0
	for _, m := range slices.Concat(g.buffer, g.retrying) {
		places[m]++
		held += m.size()
	}
	for _, m := range g.parking {
		places[m]++
	}
	for e := g.flights.Front(); e != nil; e = e.Next() {
		places[e.Value.(*message)]++
	}
	for m := range w.finished {
		places[m]++
	}
	for _, m := range w.all {
		if places[m] != 1 {
			t.Fatalf("the event at %d is in %d places", m.At, places[m])
		}
	}
	if len(places) != len(w.all) {
		t.Fatalf("%d events are known, %d were read", len(places), len(w.all))
	}
	if held != g.held {
		t.Fatalf("%d bytes wait, %d are counted", held, g.held)
	}
}

// checkConsumers: none has more than it asked for, and none that has room is
// idle while something waits for it.
func (w *world) checkConsumers(t *rapid.T) {
	g := w.group
	flying, room, pins := map[*Consumer]int{}, 0, map[uint64]*Consumer{}
	for e := g.flights.Front(); e != nil; e = e.Next() {
		m := e.Value.(*message)
		flying[m.consumer]++
		if by := pins[m.Pin]; by != nil && by != m.consumer && w.settings.Strategy == Pinned {
			t.Fatalf("events of pin %d are in flight to two consumers", m.Pin)
		}
		pins[m.Pin] = m.consumer
	}
	for _, c := range w.consumers {
		if flying[c] != c.count || c.count > c.size {
			t.Fatalf("%d events are in flight to a consumer of %d, %d are counted", flying[c], c.size, c.count)
		}
		room += c.room()
		delete(flying, c)
	}
	if len(flying) > 0 {
		t.Fatal("events are in flight to consumers who are gone")
	}
	for _, m := range slices.Concat(g.buffer, g.retrying) {
		idle := room > 0
		if idle && w.settings.Strategy == Pinned {
			owner := pins[m.Pin]
			if owner == nil {
				owner = g.pinned(m.Pin)
			}
			idle = owner.room() > 0
		}
		if idle {
			t.Fatalf("the event at %d waits although its consumer has room", m.At)
		}
	}
}

// drain: whatever happened, a consumer that acknowledges everything and a
// store that parks everything bring a group to its end.
func (w *world) drain(t *rapid.T) {
	for len(w.consumers) > 0 {
		w.disconnect(t)
	}
	c, err := w.group.Connect(3, w.now)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * (len(w.all) + 1) {
		var ids []uuid.UUID
		for _, d := range w.group.Take(c) {
			ids = append(ids, d.Original.ID)
		}
		w.group.Ack(c, ids, w.now)
		w.group.Parked(len(w.group.parking))
	}
	if at := w.group.source.processed(); at != w.group.Read() {
		t.Fatalf("all is processed up to %d, not to %d", at, w.group.Read())
	}
	if left := w.group.source.unfinished.Len() + w.group.replay.unfinished.Len(); left > 0 {
		t.Fatalf("%d events are stuck", left)
	}
}
