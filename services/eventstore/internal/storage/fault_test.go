package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// failing is a disk whose operations of some kinds fail, from the limit-th on.
type failing struct {
	name  string
	err   error
	kinds []errorfs.OpKind
	once  bool // only one fails: the disk recovers, and the store must not
}

var (
	writes = []errorfs.OpKind{
		errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData,
		errorfs.OpFileSyncTo, errorfs.OpReuseForWrite, errorfs.OpMkdirAll, errorfs.OpRename,
	}
	failures = []failing{
		{name: "no space left", err: syscall.ENOSPC, kinds: writes},
		{name: "writes fail", err: syscall.EIO, kinds: []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpFileWriteAt}},
		{name: "one write fails", err: syscall.EIO, kinds: []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpFileWriteAt}, once: true},
		{name: "syncs fail", err: syscall.EIO, kinds: []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}},
		{name: "one sync fails", err: syscall.EIO, kinds: []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, once: true},
		{name: "files can't be made", err: syscall.EIO, kinds: []errorfs.OpKind{errorfs.OpCreate, errorfs.OpMkdirAll}},
		{name: "files can't be renamed", err: syscall.EIO, kinds: []errorfs.OpKind{errorfs.OpRename, errorfs.OpLink, errorfs.OpReuseForWrite}},
		{name: "files can't be removed", err: syscall.EIO, kinds: []errorfs.OpKind{errorfs.OpRemove, errorfs.OpRemoveAll}},
		{name: "files can't be opened", err: syscall.EMFILE, kinds: []errorfs.OpKind{errorfs.OpOpen}},
		{name: "folders can't be read", err: syscall.EIO, kinds: []errorfs.OpKind{errorfs.OpList, errorfs.OpOpenDir}},
		{name: "reads fail", err: syscall.EIO, kinds: []errorfs.OpKind{errorfs.OpFileRead, errorfs.OpFileReadAt}},
		{name: "all fails", err: syscall.EIO, kinds: append([]errorfs.OpKind{
			errorfs.OpRemove, errorfs.OpOpen, errorfs.OpList, errorfs.OpOpenDir, errorfs.OpFileRead, errorfs.OpFileReadAt,
		}, writes...)},
	}
)

const (
	faultAppends = 60
	// faultWait bounds each wait: who waits longer hangs.
	faultWait = 20 * time.Second
)

// faulty is one run of a store on a disk that fails.
type faulty struct {
	failing
	on    *vfs.MemFS
	count atomic.Int64
	well  atomic.Bool // the disk was repaired, with the store still there
	limit int64
	acked []order
	maybe *order
}

func (f *faulty) disk() *disk {
	return &disk{FS: f.on, do: func(op errorfs.Op, run func() error) error {
		if slices.Contains(f.kinds, op.Kind) && !f.well.Load() {
			if n := f.count.Add(1); n == f.limit || n > f.limit && !f.once {
				return fmt.Errorf("%d of %s: %w", op.Kind, op.Path, f.err)
			}
		}
		return run()
	}}
}

// within fails when run hangs.
func within(what string, run func() error) error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		return err
	case <-time.After(faultWait):
		return fmt.Errorf("%s hangs", what)
	}
}

func faultOptions(fs vfs.FS) Options {
	return Options{FS: fs, memTable: 4 << 10, firstChunk: 8 << 10, maxChunk: 16 << 10}
}

// run uses a store until the disk fails, and then some; ended says that it did
// not fail.
func (f *faulty) run() (ended bool, err error) {
	var store *Store
	err = within("opening", func() (err error) {
		store, err = Open(crashFolder, faultOptions(f.disk()))
		return err
	})
	if err != nil {
		if !errors.Is(err, f.err) {
			return false, fmt.Errorf("opening failed with %w, want %w", err, f.err)
		}
		return false, nil
	}
	for i := range faultAppends {
		if err := f.append(store, int64(i)); err != nil {
			return false, err
		}
		if i%8 == 7 {
			if err := f.read(store); err != nil {
				return false, err
			}
		}
	}
	err = within("closing", store.Close)
	if err != nil && !errors.Is(err, f.err) {
		return false, fmt.Errorf("closing failed with %w, want %w", err, f.err)
	}
	return f.count.Load() < f.limit, nil
}

// append appends, also when the store has failed: it is acknowledged, or
// refused with what went wrong.
func (f *faulty) append(store *Store, i int64) error {
	name := fmt.Sprintf("s%d", i%3)
	events := []NewEvent{{ID: uuid.New(), Type: "x", Data: make([]byte, 900)}, {ID: uuid.New(), Type: "x"}}
	failed := store.Err() != nil
	o := order{writes: []expected{{stream: name, id: events[0].ID}, {stream: name, id: events[1].ID}}}
	err := within("an append", func() error {
		_, err := store.Append(context.Background(), name, stream.Any, events)
		return err
	})
	switch {
	case err == nil && failed:
		return errors.New("a store that has failed acknowledged an append")
	case err == nil:
		f.acked = append(f.acked, o)
	case errors.Is(err, ErrFailed) && errors.Is(err, f.err) && store.Err() != nil:
		if f.maybe == nil {
			f.maybe = &o
		}
	case errors.Is(err, f.err) && !slices.Contains(writes, f.kinds[0]): // it could not be decided
	default:
		return fmt.Errorf("append %d failed with %w, want %w of %w", i, err, ErrFailed, f.err)
	}
	return nil
}

// read reads $all: what is read was written, and what is not read is told.
func (f *faulty) read(store *Store) error {
	return within("a read", func() error {
		view, err := store.View()
		if err != nil {
			return f.expected(err)
		}
		defer view.Release()
		for _, err := range view.All(0, Forward) {
			if err != nil {
				return f.expected(err)
			}
		}
		return nil
	})
}

func (f *faulty) expected(err error) error {
	if errors.Is(err, f.err) {
		return nil
	}
	return fmt.Errorf("reading failed with %w, want %w", err, f.err)
}

// repaired opens what the fault has left, when the disk is well again.
func (f *faulty) repaired(fs vfs.FS) error {
	options := faultOptions(&disk{FS: fs, do: func(_ errorfs.Op, run func() error) error { return run() }})
	store, err := Open(crashFolder, options)
	if err != nil {
		return err
	}
	view, err := store.View()
	if err != nil {
		return err
	}
	var events []Event
	for r, err := range view.All(0, Forward) {
		if err != nil {
			return err
		}
		events = append(events, r.Event())
	}
	streams := 0
	for i := range 3 {
		of, err := readConsistent(view, fmt.Sprintf("s%d", i))
		if err != nil {
			return err
		}
		streams += len(of)
	}
	view.Release()
	if streams != len(events) {
		return fmt.Errorf("$all holds %d events, the streams %d", len(events), streams)
	}
	if err := f.compare(events); err != nil {
		return err
	}
	_, err = store.Append(context.Background(), "s0", stream.Any, []NewEvent{{ID: uuid.New(), Type: "x"}})
	return errors.Join(err, store.Close())
}

func (f *faulty) compare(events []Event) error {
	for i, o := range f.acked {
		if len(events) < 2 || events[0].ID != o.writes[0].id || events[1].ID != o.writes[1].id {
			return fmt.Errorf("append %d of %d is lost", i, len(f.acked))
		}
		events = events[2:]
	}
	if len(events) == 0 {
		return nil
	}
	if f.maybe == nil || len(events) != 2 || events[0].ID != f.maybe.writes[0].id {
		return fmt.Errorf("%d events are there that nobody was told of", len(events))
	}
	return nil
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

// TestEveryFaultOfTheDiskIsTold lets the disk fail at each of its operations,
// on a new folder and on one that is there.
func TestEveryFaultOfTheDiskIsTold(t *testing.T) {
	if RaceDetector {
		t.Skip("with the race detector pebble checks itself, and panics when an update of its manifest fails; make test runs this without it too")
	}
	for _, failure := range failures {
		t.Run(failure.name, func(t *testing.T) {
			for limit := int64(1); ; limit++ {
				f := &faulty{failing: failure, on: vfs.NewCrashableMem(), limit: limit}
				ended, err := f.run()
				if err != nil {
					t.Fatalf("operation %d: %v", limit, err)
				}
				// Pebble tries a compaction again that can't read, without a pause, until
				// it can; the store has failed, so that it changes nothing then.
				f.well.Store(true)
				left := map[string]vfs.FS{
					"the process ended":  f.on.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: newCrash(0, nil).rng}),
					"the power went too": f.on.CrashClone(vfs.CrashCloneCfg{}),
				}
				for how, fs := range left {
					if err := within("opening again", func() error { return f.repaired(fs) }); err != nil {
						t.Fatalf("operation %d, %s: %v", limit, how, err)
					}
				}
				if ended {
					t.Logf("%d operations", limit-1)
					break
				}
			}
		})
	}
}
