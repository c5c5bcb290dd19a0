package persistent

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func plain() Settings {
	return Settings{
		Strategy: RoundRobin, MaxRetries: 10, ReadBatch: 10, HistoryBuffer: 100, LiveBuffer: 100,
		MessageTimeout: time.Minute, CheckpointAfter: 2 * time.Second, MinCheckpoint: 3, MaxCheckpoint: 6,
	}
}

// filled is a group that has read n events, the pins of which go round.
func filled(settings Settings, n, pins int) *Group {
	g := NewGroup(settings, Nowhere, Nowhere, noon)
	page := Page{End: true}
	for i := range n {
		m := Message{At: Place(i), After: Place(i) - 1, Pin: uint64(i % pins)}
		m.Original = &storage.Event{NewEvent: storage.NewEvent{ID: uuid.New()}, Revision: int64(i)}
		page.Messages, page.Read = append(page.Messages, m), m.At
	}
	g.Push(page, noon)
	return g
}

func (g *Group) mustConnect(t *testing.T, size int) *Consumer {
	t.Helper()
	c, err := g.Connect(size, noon)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// taken are the places of what a consumer is given, and its ids.
func (g *Group) taken(c *Consumer) (places []Place, ids []uuid.UUID) {
	for _, d := range g.Take(c) {
		places, ids = append(places, d.At), append(ids, d.Original.ID)
	}
	return places, ids
}

func TestStrategiesChoose(t *testing.T) {
	cases := map[string]struct {
		strategy Strategy
		sizes    []int
		want     [][]Place
	}{
		"round robin":                            {RoundRobin, []int{3, 3}, [][]Place{{0, 2, 4}, {1, 3, 5}}},
		"round robin passes over who has enough": {RoundRobin, []int{1, 4}, [][]Place{{0}, {1, 2, 3, 4}}},
		"single":                                 {DispatchToSingle, []int{8, 8}, [][]Place{{0, 1, 2, 3, 4, 5}, nil}},
		"single goes on when one has enough":     {DispatchToSingle, []int{2, 8}, [][]Place{{0, 1}, {2, 3, 4, 5}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			settings := plain()
			settings.Strategy = tc.strategy
			g := filled(settings, 0, 1)
			consumers := make([]*Consumer, len(tc.sizes))
			for i, size := range tc.sizes {
				consumers[i] = g.mustConnect(t, size)
			}
			events := filled(settings, 6, 1)
			for _, m := range events.buffer {
				g.Push(Page{Messages: []Message{m.Message}, Read: m.At}, noon)
			}
			for i, c := range consumers {
				got, _ := g.taken(c)
				if diff := cmp.Diff(tc.want[i], got); diff != "" {
					t.Errorf("consumer %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

func TestRoundRobinGoesOnWhereItWasWhenAConsumerLeaves(t *testing.T) {
	settings := plain()
	g := filled(settings, 0, 1)
	a, b, c := g.mustConnect(t, 9), g.mustConnect(t, 9), g.mustConnect(t, 9)
	events := filled(settings, 5, 1).buffer
	push := func(i int) { g.Push(Page{Messages: []Message{events[i].Message}, Read: events[i].At}, noon) }
	push(0) // to a
	_, ids := g.taken(a)
	g.Ack(a, ids, noon)
	g.Disconnect(a, noon)
	for i := 1; i < 5; i++ {
		push(i)
	}
	for consumer, want := range map[*Consumer][]Place{b: {1, 3}, c: {2, 4}} {
		if got, _ := g.taken(consumer); !slices.Equal(got, want) {
			t.Errorf("consumer %d got %v, want %v", consumer.number, got, want)
		}
	}
}

// Who comes takes pins, who goes gives them away, and no other pin moves.
func TestPinsMoveOnlyToWhoComesAndFromWhoGoes(t *testing.T) {
	const pins = 1000
	settings := plain()
	settings.Strategy = Pinned
	g := NewGroup(settings, Nowhere, Nowhere, noon)
	owners := func() map[uint64]*Consumer {
		all := map[uint64]*Consumer{}
		for pin := range uint64(pins) {
			all[pin] = g.pinned(hash(string(rune(pin))))
		}
		return all
	}
	g.mustConnect(t, 1)
	for n := 2; n <= 5; n++ {
		before, newcomer := owners(), g.mustConnect(t, 1)
		moved := 0
		for pin, owner := range owners() {
			if owner == before[pin] {
				continue
			}
			if moved++; owner != newcomer {
				t.Errorf("pin %d moves from %d to %d", pin, before[pin].number, owner.number)
			}
		}
		if moved < pins/n/2 || moved > pins/n*2 {
			t.Errorf("%d of %d pins move to the %dth consumer", moved, pins, n)
		}
	}
	before, leaving := owners(), g.consumers[2]
	g.Disconnect(leaving, noon)
	for pin, owner := range owners() {
		if before[pin] != leaving && owner != before[pin] {
			t.Errorf("pin %d moves although its consumer stays", pin)
		}
	}
}

// A pin that is the newcomer's by right stays where its events are in flight,
// until the last one is answered: so they are processed in order.
func TestAPinStaysWhileItsEventsAreInFlight(t *testing.T) {
	const pins, size = 16, 3 * 16
	settings := plain()
	settings.Strategy = Pinned
	g := filled(settings, size, pins)
	first := g.mustConnect(t, size)
	places, ids := g.taken(first)
	second := g.mustConnect(t, size)
	more := filled(settings, size+pins, pins).buffer[size:]
	for round := range 3 { // one event of each pin is answered, then another two
		for i := range more {
			g.Push(Page{Messages: []Message{more[i].Message}, Read: places[size-1]}, noon)
		}
		got, _ := g.taken(second)
		if len(got) > 0 {
			t.Fatalf("after %d of 3 answers the newcomer got %v", round, got)
		}
		_, mine := g.taken(first)
		g.Ack(first, append(mine, ids[round*pins:(round+1)*pins]...), noon)
	}
	for i := range more {
		g.Push(Page{Messages: []Message{more[i].Message}, Read: places[size-1]}, noon)
	}
	if got, _ := g.taken(second); len(got) == 0 {
		t.Error("the newcomer never gets its pins")
	}
}

// Who is pinned to a consumer that has enough waits, and others pass it.
func TestAFullConsumerHoldsUpNoOther(t *testing.T) {
	const pins, events = 16, 64
	settings := plain()
	settings.Strategy = Pinned
	g := filled(settings, events, pins)
	full, free := g.mustConnect(t, 1), &Consumer{number: 2} // the one to come
	g.consumers = append(g.consumers, free)
	var want []Place
	for at := range Place(events) {
		if g.pinned(uint64(at%pins)) == free && at%pins != 0 { // the first event went to the first consumer
			want = append(want, at)
		}
	}
	g.consumers = g.consumers[:1]
	if got, _ := g.taken(full); !slices.Equal(got, []Place{0}) {
		t.Errorf("the full consumer got %v", got)
	}
	if got, _ := g.taken(g.mustConnect(t, events)); len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the other one got %v, want %v", got, want)
	}
}

func TestRetriesComeFirstAndInOrder(t *testing.T) {
	g := filled(plain(), 6, 1)
	a := g.mustConnect(t, 4)
	_, ids := g.taken(a)
	for _, i := range []int{2, 0} { // the consumer is full: they come back one by one
		g.Nack(a, ids[i:i+1], Retry, "again", noon)
	}
	places, _ := g.taken(a)
	if !slices.Equal(places, []Place{2, 0}) {
		t.Errorf("retried %v", places)
	}
	g.Disconnect(a, noon)
	b := g.mustConnect(t, 6)
	if places, _ = g.taken(b); !slices.Equal(places, []Place{0, 1, 2, 3, 4, 5}) {
		t.Errorf("delivered to the next consumer: %v", places)
	}
}

func TestOnlyWhatWasTakenCountsAsDelivered(t *testing.T) {
	settings := plain()
	settings.MaxRetries = 1
	g := filled(settings, 1, 1)
	c := g.mustConnect(t, 1)
	now := noon
	for range 3 { // the consumer does not read
		now = now.Add(settings.MessageTimeout)
		g.Tick(now)
	}
	for want := range 2 {
		got := g.Take(c)
		if len(got) != 1 || got[0].Retries != want {
			t.Fatalf("given %+v, want it retried %d times", got, want)
		}
		now = now.Add(settings.MessageTimeout)
		g.Tick(now)
	}
	if unwanted := g.Parking(); len(unwanted) != 1 {
		t.Errorf("%d events are to be parked", len(unwanted))
	}
}

func TestCheckpointsAreDue(t *testing.T) {
	cases := map[string]struct {
		acked []int // of events 0 to 9, of settings 3, 6 and 2 s
		after time.Duration
		want  Place // Nowhere: none is due
	}{
		"nothing was processed":             {nil, time.Hour, Nowhere},
		"too few, however long":             {[]int{0, 1}, time.Hour, Nowhere},
		"enough, too early":                 {[]int{0, 1, 2}, time.Second, Nowhere},
		"enough, and time":                  {[]int{0, 1, 2}, 2 * time.Second, 2},
		"many, at once":                     {[]int{0, 1, 2, 3, 4, 5}, 0, 5},
		"not beyond what is unprocessed":    {[]int{0, 2, 3, 4, 5, 6}, 0, 0},
		"not at all when the first is open": {[]int{1, 2, 3, 4, 5, 6}, time.Hour, Nowhere},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := filled(plain(), 10, 1)
			c := g.mustConnect(t, 10)
			_, ids := g.taken(c)
			for _, i := range tc.acked {
				g.Ack(c, ids[i:i+1], noon)
			}
			now := noon.Add(tc.after)
			at, due := g.Checkpoint(now)
			if due != (tc.want != Nowhere) || due && at != tc.want {
				t.Errorf("a checkpoint at %d is due: %v", at, due)
			}
		})
	}
}

func TestWhatIsProcessedWhileACheckpointIsWrittenCountsForTheNext(t *testing.T) {
	settings := plain()
	settings.MinCheckpoint, settings.MaxCheckpoint = 1, 1
	g := filled(settings, 2, 1)
	c := g.mustConnect(t, 2)
	_, ids := g.taken(c)
	for i := range Place(2) {
		g.Ack(c, ids[i:i+1], noon)
		if at, due := g.Checkpoint(noon); !due || at != i {
			t.Errorf("a checkpoint at %d is due: %v", at, due)
		}
	}
	if _, ok := g.Progress(); ok {
		t.Error("there is progress that no checkpoint tells")
	}
}

func TestAGroupHoldsABoundOfBytes(t *testing.T) {
	settings := plain()
	settings.ReadBatch, settings.HistoryBuffer = 1, 1000
	g := NewGroup(settings, Nowhere, Nowhere, noon)
	c := g.mustConnect(t, 1)
	pushed := 0
	for ; g.Room() > 0; pushed++ {
		e := &storage.Event{NewEvent: storage.NewEvent{ID: uuid.New(), Data: make([]byte, 1<<20)}}
		g.Push(Page{Messages: []Message{{At: Place(pushed), After: Place(pushed) - 1, Original: e}}, Read: Place(pushed)}, noon)
	}
	if g.held > maxHeld || pushed > maxHeld>>20+2 {
		t.Errorf("%d bytes of %d events are held", g.held, pushed)
	}
	_, ids := g.taken(c)
	g.Ack(c, ids, noon)
	if g.Room() == 0 {
		t.Error("there is no room again")
	}
}

// A consumer that takes without answering, whatever it asked for, holds no more
// than so many bytes, and goes on when it answers.
func TestAConsumerHoldsABoundOfBytes(t *testing.T) {
	settings := plain()
	settings.ReadBatch, settings.HistoryBuffer = 1, 1000
	g := NewGroup(settings, Nowhere, Nowhere, noon)
	c := g.mustConnect(t, 1<<30)
	for at := range Place(100) {
		e := &storage.Event{NewEvent: storage.NewEvent{ID: uuid.New(), Data: make([]byte, 1<<20)}}
		g.Push(Page{Messages: []Message{{At: at, After: at - 1, Original: e}}, Read: at}, noon)
	}
	places, ids := g.taken(c)
	if len(places) > maxInFlight>>20+1 || len(places) < maxInFlight>>20 {
		t.Errorf("%d MiB are in flight, want about %d", len(places), maxInFlight>>20)
	}
	g.Ack(c, ids, noon)
	if again, _ := g.taken(c); len(again) != len(places) {
		t.Errorf("after its answers it got %d events, want %d again", len(again), len(places))
	}
}
