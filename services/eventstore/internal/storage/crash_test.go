package storage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

var (
	// crashSeeds is how many disks a run of the tests takes through power cuts
	// and kills; 4,000 disks meet 10,000 of them.
	crashSeeds = flag.Uint64("crash.seeds", sample(4000, 150), "disks to take through power cuts and kills")
	crashStart = flag.Uint64("crash.start", 0, "the first seed")
	faultsFull = flag.Bool("faults.full", false, "damage every byte of the index, and let every operation of the disk fail")
)

// sample is how many there are of something: fewer with the race detector on.
func sample(all, few uint64) uint64 {
	if RaceDetector {
		return few
	}
	return all
}

const (
	crashWriters = 3
	crashFolder  = "data/store"
	crashRounds  = 4
	crashOps     = 120 // a round ends after so many operations of the disk, at most
	crashEarly   = 20  // and some while the store is opened
	crashLimit   = 15  // or when its writers have written so many commands each
)

// expected is an event that a command writes.
type expected struct {
	stream   string
	revision int64
	id       uuid.UUID // Nil: the store chooses
}

// order is a command of one writer, and what became of it.
type order struct {
	writes []expected
	acked  bool
}

// life is what one writer did to its streams. Nobody else writes to them.
type life struct {
	number     int
	orders     []order
	generation int // of its stream: an ended one is followed by another
	last       map[string]int64
	hidden     map[string]int64 // revisions below are deleted
	deleted    map[string]bool
	ended      map[string]bool
}

func newLife(number int) *life {
	return &life{
		number: number, last: map[string]int64{}, hidden: map[string]int64{},
		deleted: map[string]bool{}, ended: map[string]bool{},
	}
}

func (l *life) name() string { return fmt.Sprintf("w%d-%d", l.number, l.generation) }

func (l *life) lastOf(name string) int64 {
	if last, ok := l.last[name]; ok {
		return last
	}
	return stream.None
}

// owns tells whether a stream is the writer's.
func (l *life) owns(name string) bool {
	return strings.HasPrefix(strings.TrimPrefix(name, "$$"), fmt.Sprintf("w%d-", l.number))
}

// act is one command, as it is drawn.
type act struct {
	order
	run func(ctx context.Context, s *Store) error
	did func() // what it changes in the life, once it is known to be written
}

// draw draws the writer's next command.
func (l *life) draw(rng *rand.Rand) act {
	name, meta := l.name(), stream.MetadataOf(l.name())
	last, lastMeta := l.lastOf(name), l.lastOf(meta)
	at := stream.Expected(last)
	switch dice := rng.IntN(30); {
	case dice == 0 && last >= 0:
		return act{
			order{writes: []expected{{stream: name, revision: stream.MaxRevision}}},
			func(ctx context.Context, s *Store) error { _, err := s.Tombstone(ctx, name, at); return err },
			func() { l.ended[name] = true; l.generation++ },
		}
	case dice < 4 && last >= 0 && !l.deleted[name]:
		return act{
			order{writes: []expected{{stream: meta, revision: lastMeta + 1}}},
			func(ctx context.Context, s *Store) error { _, err := s.Delete(ctx, name, at); return err },
			func() { l.last[meta] = lastMeta + 1; l.deleted[name] = true },
		}
	case dice < 7 && !l.deleted[name]:
		id := uuid.New()
		metadata := fmt.Sprintf(`{"$tb":%d,"by":%d}`, l.hidden[name], lastMeta)
		events := []NewEvent{{ID: id, Type: stream.MetadataType, JSON: true, Data: []byte(metadata)}}
		return act{
			order{writes: []expected{{meta, lastMeta + 1, id}}},
			func(ctx context.Context, s *Store) error {
				_, err := s.Append(ctx, meta, stream.Expected(lastMeta), events)
				return err
			},
			func() { l.last[meta] = lastMeta + 1 },
		}
	}
	return l.drawAppend(rng, name, meta)
}

func (l *life) drawAppend(rng *rand.Rand, name, meta string) act {
	last, lastMeta, revives := l.lastOf(name), l.lastOf(meta), l.deleted[name]
	events := make([]NewEvent, 1+rng.IntN(4))
	size := 2000
	switch dice := rng.IntN(12); {
	case dice == 0:
		size = 30_000 // more than a chunk has
	case dice < 4:
		size = 8000 // more than a block of the disk
	}
	var a act
	for i := range events {
		events[i] = NewEvent{ID: uuid.New(), Type: "x", Data: make([]byte, rng.IntN(size))}
		a.writes = append(a.writes, expected{name, last + 1 + int64(i), events[i].ID})
	}
	if revives {
		a.writes = append(a.writes, expected{stream: meta, revision: lastMeta + 1})
	}
	a.run = func(ctx context.Context, s *Store) error {
		_, err := s.Append(ctx, name, stream.Expected(last), events)
		return err
	}
	a.did = func() {
		l.last[name] = last + int64(len(events))
		if revives {
			l.last[meta], l.hidden[name], l.deleted[name] = lastMeta+1, last+1, false
		}
	}
	return a
}

// crash is a disk that power cuts and kills happen to, one after the other,
// while writers write to it.
type crash struct {
	rng     *rand.Rand
	planted *planted
	on      *vfs.MemFS
	lives   []*life

	gate  gate
	left  atomic.Int64 // operations until the round ends
	luck  *rand.Rand   // of the cut, which comes from any goroutine
	over  atomic.Bool
	mu    sync.Mutex
	after *vfs.MemFS // what is left on the disk
	open  []*act     // of each writer: what is under way
	atCut []*act     // of each writer: what was under way when the round ended
	maybe []*act     // of each writer: what may be on the disk, or not
	err   error      // of the cut itself
}

func newCrash(seed uint64, p *planted) *crash {
	c := &crash{rng: rand.New(rand.NewPCG(seed, 1)), planted: p, on: vfs.NewCrashableMem()}
	for i := range crashWriters {
		c.lives = append(c.lives, newLife(i))
	}
	return c
}

func (c *crash) options() Options {
	fs := &disk{FS: c.on, do: func(op errorfs.Op, run func() error) error {
		if changes(op) && c.left.Add(-1) == 0 {
			c.cut()
		}
		return c.gate.pass(run)
	}}
	options := Options{FS: fs, memTable: 4 << 10, firstChunk: 8 << 10, maxChunk: 32 << 10}
	if c.planted != nil {
		c.planted.plant(fs, &options)
	}
	return options
}

// cut ends the round: by a power cut, or by a kill that the disk survives.
func (c *crash) cut() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over.Swap(true) {
		return
	}
	copy(c.atCut, c.open)
	if c.luck.IntN(3) == 0 {
		c.after, c.err = asKilled(c.on, "data", vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: c.luck})
		return
	}
	c.after = c.on.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.luck.IntN(101), RNG: c.luck})
}

// round lets writers write until it is over. It returns what is wrong with
// what the round before left.
func (c *crash) round() (err error) {
	c.open, c.atCut = make([]*act, crashWriters), make([]*act, crashWriters)
	c.luck = rand.New(rand.NewPCG(c.rng.Uint64(), 2))
	c.over.Store(false)
	ops := crashOps
	if c.rng.IntN(3) == 0 {
		ops = crashEarly
	}
	c.left.Store(int64(1 + c.rng.IntN(ops)))
	store, err := Open(crashFolder, c.options())
	if err != nil {
		return err
	}
	if c.over.Load() { // while it was opened: what may be there, may still be
		c.cut() // it is over when that is done
		c.on = c.after
		return errors.Join(store.Close(), c.err)
	}
	if err := c.check(store); err != nil {
		return errors.Join(err, store.Close())
	}
	chances := make([]*rand.Rand, crashWriters) // before a writer draws from c.rng
	for i := range chances {
		chances[i] = rand.New(rand.NewPCG(c.rng.Uint64(), 0))
	}
	errs := make([]error, crashWriters)
	var writers sync.WaitGroup
	for i := range chances {
		writers.Go(func() { errs[i] = c.write(i, store, chances[i]) })
	}
	writers.Wait()
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, store.Close())
	}
	c.cut()                                 // when there were fewer operations
	err = errors.Join(store.Close(), c.err) // nobody looks at it any more
	c.on, c.maybe = c.after, c.atCut
	return err
}

// write writes until the round is over.
func (c *crash) write(i int, store *Store, rng *rand.Rand) error {
	l := c.lives[i]
	for range crashLimit {
		a := l.draw(rng)
		c.mu.Lock()
		c.open[i] = &a
		c.mu.Unlock()
		if c.over.Load() {
			return nil
		}
		if err := a.run(context.Background(), store); err != nil {
			return fmt.Errorf("writer %d: %w", i, err)
		}
		c.mu.Lock()
		over := c.over.Load()
		if !over {
			a.acked = true
			l.orders = append(l.orders, a.order)
			a.did()
			c.open[i] = nil
		}
		c.mu.Unlock()
		if over {
			return nil
		}
	}
	return nil
}

// check compares a store with what was written to it: all that was
// acknowledged, in order and once, each command as a whole, and $all equal to
// the streams.
func (c *crash) check(store *Store) error {
	view, err := store.View()
	if err != nil {
		return err
	}
	defer view.Release()
	events := make([][]Event, len(c.lives))
	position := uint64(0)
	for r, err := range view.All(0, Forward) {
		if err != nil {
			return err
		}
		e := r.Event()
		if e.Position <= position {
			return fmt.Errorf("position %d follows %d", e.Position, position)
		}
		position = e.Position
		for i, l := range c.lives {
			if l.owns(e.Stream) {
				events[i] = append(events[i], e)
			}
		}
	}
	for i, l := range c.lives {
		if err := l.compare(events[i], c.pending(i)); err != nil {
			return fmt.Errorf("writer %d: %w", i, err)
		}
		if err := l.compareStreams(view, events[i]); err != nil {
			return fmt.Errorf("writer %d: %w", i, err)
		}
	}
	return nil
}

// pending is the command of a writer of which nobody knows whether it was
// written, nil when there is none.
func (c *crash) pending(i int) *act {
	if i >= len(c.maybe) {
		return nil
	}
	return c.maybe[i]
}

// compare compares a writer's events with its commands. The command that may
// be written becomes one that is, when it is.
func (l *life) compare(events []Event, maybe *act) error {
	for n, o := range l.orders {
		if !o.matches(events) {
			return fmt.Errorf("of %d commands, number %d is lost or another one: %d events are left for %+v", len(l.orders), n, len(events), o.writes)
		}
		events = events[len(o.writes):]
	}
	if len(events) == 0 {
		return nil
	}
	if maybe == nil || !maybe.matches(events) || len(events) != len(maybe.writes) {
		return fmt.Errorf("%d events follow that are not all of one command, the first: revision %d of %s", len(events), events[0].Revision, events[0].Stream)
	}
	l.orders = append(l.orders, maybe.order)
	maybe.did()
	return nil
}

func (o *order) matches(events []Event) bool {
	if len(events) < len(o.writes) {
		return false
	}
	for i, want := range o.writes {
		e := &events[i]
		if e.Stream != want.stream || e.Revision != want.revision || want.id != uuid.Nil && e.ID != want.id {
			return false
		}
	}
	return true
}

// compareStreams compares the writer's streams, as the index gives them, with
// its events in $all.
func (l *life) compareStreams(view *View, events []Event) error {
	streams := map[string][]Event{}
	for _, e := range events {
		if e.Revision != stream.MaxRevision {
			streams[e.Stream] = append(streams[e.Stream], e)
		}
	}
	for name, all := range streams {
		state, err := view.State(name)
		if err != nil {
			return err
		}
		original := strings.TrimPrefix(name, "$$")
		if state.Tombstoned != l.ended[original] {
			return fmt.Errorf("stream %s: it has ended: %v", name, state.Tombstoned)
		}
		if state.Tombstoned {
			continue
		}
		if state.Last != int64(len(all))-1 || state.Last != l.lastOf(name) {
			return fmt.Errorf("stream %s: the state says %d, $all %d, the writer %d", name, state.Last, len(all)-1, l.lastOf(name))
		}
		if err := l.compareVisible(view, state, name, all); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) compareVisible(view *View, state stream.State, name string, all []Event) error {
	first := l.hidden[name]
	switch {
	case stream.IsMetadata(name):
		first = state.Last // only the last one is seen
	case l.deleted[name]:
		first = math.MaxInt64
	}
	want := all[min(first, int64(len(all))):]
	for r, err := range view.Stream(name, state, 0, Forward) {
		if err != nil {
			return err
		}
		if e := r.Event(); len(want) == 0 || !e.Equal(&want[0]) {
			return fmt.Errorf("stream %s holds revision %d at position %d, $all does not say so", name, e.Revision, e.Position)
		}
		want = want[1:]
	}
	if len(want) > 0 {
		return fmt.Errorf("stream %s: revision %d is in $all alone", name, want[0].Revision)
	}
	for i := range all { // also what is hidden is found
		if e, err := view.Event(name, all[i].Revision); err != nil || !e.Equal(&all[i]) {
			return fmt.Errorf("stream %s: revision %d is not what $all says: %w", name, all[i].Revision, err)
		}
	}
	return nil
}

// crashed takes a disk through some rounds; cuts is how many there were.
func crashed(seed uint64, p *planted) (cuts int, err error) {
	c := newCrash(seed, p)
	for range 1 + c.rng.IntN(crashRounds) {
		if err := c.round(); err != nil {
			return cuts, fmt.Errorf("after %d: %w", cuts, err)
		}
		cuts++
	}
	c.left.Store(math.MaxInt64)
	store, err := Open(crashFolder, c.options())
	if err != nil {
		return cuts, fmt.Errorf("after %d: %w", cuts, err)
	}
	err = c.check(store)
	_, appendErr := store.Append(context.Background(), "probe", stream.NoStream, []NewEvent{{ID: uuid.New(), Type: "x"}})
	return cuts, errors.Join(err, appendErr, store.Close())
}

func TestPowerCutsAndKillsLoseNothing(t *testing.T) {
	cuts := 0
	for seed := *crashStart; seed < *crashStart+*crashSeeds; seed++ {
		n, err := crashed(seed, nil)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		cuts += n
	}
	t.Logf("%d seeds, %d power cuts and kills", *crashSeeds, cuts)
}
