package storage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// crashSeeds is how many power cuts a run of the tests simulates.
var crashSeeds = flag.Uint64("crash.seeds", 300, "power cuts to simulate")

const (
	crashWriters = 3
	crashFolder  = "data/store"
)

// acknowledged is an event that a writer was told of.
type acknowledged struct {
	stream   string
	revision int64
	id       uuid.UUID
}

// crash is one simulated power cut: writers append to a store until the power
// goes at a moment that chance chooses.
type crash struct {
	rng   *rand.Rand
	disk  *vfs.MemFS
	store *Store
	// planted wraps the disk in a defect, for tests that must find it.
	planted func(vfs.FS) vfs.FS

	mu    sync.Mutex
	acked []acknowledged
	after *vfs.MemFS     // the disk after the power cut, nil before it
	atCut []acknowledged // what was acknowledged before the power cut
	cutAt int
}

// run returns what the power cut left, and what had been acknowledged.
func (c *crash) run(t *testing.T, options Options) {
	t.Helper()
	c.disk = vfs.NewCrashableMem()
	options.FS, options.memTable, options.firstChunk, options.maxChunk = c.disk, 32<<10, 8<<10, 32<<10
	if c.planted != nil {
		options.FS = c.planted(c.disk)
	}
	store, err := Open(crashFolder, options)
	if err != nil {
		t.Fatal(err)
	}
	c.store, c.cutAt = store, 1+c.rng.IntN(60)
	chances := make([]*rand.Rand, crashWriters) // before a writer draws from c.rng
	for i := range chances {
		chances[i] = rand.New(rand.NewPCG(c.rng.Uint64(), 0))
	}
	var writers sync.WaitGroup
	for i, rng := range chances {
		writers.Go(func() { c.write(t, fmt.Sprintf("s%d", i), rng) })
	}
	writers.Wait()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// write appends until the power was cut.
func (c *crash) write(t *testing.T, name string, rng *rand.Rand) {
	for last := stream.None; ; {
		events := make([]NewEvent, 1+rng.IntN(3))
		for i := range events {
			events[i] = NewEvent{ID: uuid.New(), Type: "x", Data: make([]byte, rng.IntN(2000))}
		}
		written, err := c.store.Append(context.Background(), name, stream.Expected(last), events)
		if err != nil {
			t.Error(err)
			return
		}
		if c.acknowledge(name, last, events) {
			return
		}
		last = written.Last
	}
}

// acknowledge notes what a writer was told, and cuts the power when it is
// time; it tells whether that was.
func (c *crash) acknowledge(name string, last int64, events []NewEvent) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range events {
		c.acked = append(c.acked, acknowledged{name, last + 1 + int64(i), events[i].ID})
	}
	if c.after == nil && len(c.acked) >= c.cutAt {
		c.atCut = append([]acknowledged(nil), c.acked...)
		c.after = c.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.rng.IntN(101), RNG: c.rng})
	}
	return c.after != nil
}

// lost opens what the power cut left and returns the acknowledged events that
// are not there; it fails when the store contradicts itself.
func (c *crash) lost() (missing []acknowledged, err error) {
	store, err := Open(crashFolder, Options{FS: c.after})
	if err != nil {
		return nil, err
	}
	view, err := store.View()
	if err != nil {
		return nil, err
	}
	there := map[acknowledged]bool{}
	for i := range crashWriters {
		events, e := readConsistent(view, fmt.Sprintf("s%d", i))
		err = errors.Join(err, e)
		for _, e := range events {
			there[acknowledged{e.Stream, e.Revision, e.ID}] = true
		}
	}
	inAll := 0
	for _, e := range view.All(0, Forward) {
		err = errors.Join(err, e)
		inAll++
	}
	if inAll != len(there) {
		err = errors.Join(err, fmt.Errorf("$all holds %d events, the streams %d", inAll, len(there)))
	}
	view.Release()
	for _, a := range c.atCut {
		if !there[a] {
			missing = append(missing, a)
		}
	}
	_, appendErr := store.Append(context.Background(), "s0", stream.Any, []NewEvent{{ID: uuid.New(), Type: "x"}})
	return missing, errors.Join(err, appendErr, store.Close())
}

// readConsistent reads a stream and checks that its revisions have no gap and
// end where its state says.
func readConsistent(view *View, name string) (events []Event, err error) {
	state, err := view.State(name)
	if err != nil {
		return nil, err
	}
	for r, err := range view.Stream(name, state, 0, Forward) {
		if err != nil {
			return nil, err
		}
		e := r.Event()
		if e.Revision != int64(len(events)) || e.Stream != name {
			return nil, fmt.Errorf("stream %s: revision %d of %s follows %d events", name, e.Revision, e.Stream, len(events))
		}
		events = append(events, e)
	}
	if state.Last != int64(len(events))-1 {
		return nil, fmt.Errorf("stream %s: the state says %d, %d events are there", name, state.Last, len(events))
	}
	return events, nil
}

func powerCut(t *testing.T, seed uint64, planted func(vfs.FS) vfs.FS) (missing []acknowledged, err error) {
	t.Helper()
	c := &crash{rng: rand.New(rand.NewPCG(seed, 1)), planted: planted}
	c.run(t, Options{})
	return c.lost()
}

func TestPowerCutLosesNothingAcknowledged(t *testing.T) {
	for seed := range *crashSeeds {
		missing, err := powerCut(t, seed, nil)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(missing) > 0 {
			t.Fatalf("seed %d: %d acknowledged events are lost, the first: %+v", seed, len(missing), missing[0])
		}
	}
}

// unsynced is a disk whose files that are written in place are never synced.
type unsynced struct{ vfs.FS }

// OpenReadWrite implements vfs.FS.
func (u unsynced) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := u.FS.OpenReadWrite(name, category, opts...)
	return unsyncedFile{file}, err
}

type unsyncedFile struct{ vfs.File }

// SyncData implements vfs.File.
func (unsyncedFile) SyncData() error { return nil }

// A store that does not sync must be found out, or the test above shows
// nothing.
func TestPowerCutFindsAMissingSync(t *testing.T) {
	const tries = 50
	for seed := range uint64(tries) {
		missing, err := powerCut(t, seed, func(fs vfs.FS) vfs.FS { return unsynced{fs} })
		if err != nil || len(missing) > 0 {
			t.Logf("found with seed %d: %d events lost, %v", seed, len(missing), err)
			return
		}
	}
	t.Fatalf("%d power cuts did not find that the store never syncs", tries)
}
