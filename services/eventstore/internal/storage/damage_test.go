package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

const damageStreams = 4

// indexed makes a store whose index is on the disk, for the most part.
func indexed(t *testing.T) (fs *vfs.MemFS, ids map[string][]uuid.UUID) {
	t.Helper()
	fs, ids = vfs.NewCrashableMem(), map[string][]uuid.UUID{}
	store, err := Open(crashFolder, faultOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		name, id := fmt.Sprintf("s%d", i%damageStreams), uuid.New()
		if _, err := store.Append(context.Background(), name, stream.Any, []NewEvent{{ID: id, Type: "x"}}); err != nil {
			t.Fatal(err)
		}
		ids[name] = append(ids[name], id)
		if i == 20 || i == 50 {
			if err := store.index.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return fs, ids
}

// servedRight opens a store and reads it: what it serves is right, or there is
// an error.
func servedRight(fs vfs.FS, ids map[string][]uuid.UUID) (whole bool, err error) {
	var gone atomic.Bool
	// A compaction that can't read is tried again without a pause: here it waits.
	defer gone.Store(true)
	free := &disk{FS: fs, do: func(_ errorfs.Op, run func() error) error {
		if gone.Load() {
			select {}
		}
		return run()
	}}
	store, err := Open(crashFolder, faultOptions(free))
	if err != nil {
		return false, nil
	}
	defer store.Close() //nolint:errcheck // it may have failed
	view, err := store.View()
	if err != nil {
		return false, nil
	}
	defer view.Release()
	for name, want := range ids {
		state, err := view.State(name)
		if err != nil {
			return false, nil
		}
		if state.Last != int64(len(want))-1 {
			return false, fmt.Errorf("stream %s: the state says %d, want %d", name, state.Last, len(want)-1)
		}
		i := 0
		for r, err := range view.Stream(name, state, 0, Forward) {
			if err != nil {
				return false, nil
			}
			if e := r.Event(); e.ID != want[i] || e.Stream != name {
				return false, fmt.Errorf("revision %d of %s is revision %d of %s", i, name, e.Revision, e.Stream)
			}
			i++
		}
		if i != len(want) {
			return false, fmt.Errorf("stream %s: %d of %d events are served, and no error", name, i, len(want))
		}
	}
	return true, nil
}

// indexFiles are the paths of the index's files.
func indexFiles(t *testing.T, fs vfs.FS) (paths []string) {
	t.Helper()
	folder := fs.PathJoin(crashFolder, indexFolder)
	names, err := fs.List(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		paths = append(paths, fs.PathJoin(folder, name))
	}
	return paths
}

// replaced is the disk with one file replaced; nil removes it.
func replaced(t *testing.T, fs *vfs.MemFS, path string, content []byte) *vfs.MemFS {
	t.Helper()
	changed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	err := changed.Remove(path)
	if content != nil {
		err = errors.Join(err, writeSynced(changed, path, content))
	}
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestADamagedIndexServesNothingWrong(t *testing.T) {
	step := 7
	if *faultsFull {
		step = 1
	}
	fs, ids := indexed(t)
	flips, right := 0, 0
	for _, path := range indexFiles(t, fs) {
		content, err := readFile(fs, path)
		if err != nil {
			t.Fatal(err)
		}
		damages := [][]byte{nil, {}} // it is missing, or empty
		for i := 0; i < len(content); i += step {
			flipped := bytes.Clone(content)
			flipped[i] ^= 1 << (i % 8)
			damages = append(damages, flipped, bytes.Clone(content[:i]))
		}
		for _, damaged := range damages {
			whole, err := servedRight(replaced(t, fs, path, damaged), ids)
			if err != nil {
				t.Fatalf("%s, %d bytes: %v", path, len(damaged), err)
			}
			flips++
			if whole {
				right++
			}
		}
	}
	t.Logf("%d flips, truncations and removals: %d right, %d reported", flips, right, flips-right)
}

func TestALostIndexIsMadeAgain(t *testing.T) {
	fs, ids := indexed(t)
	for _, path := range indexFiles(t, fs) {
		if err := fs.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	if whole, err := servedRight(fs, ids); err != nil || !whole {
		t.Errorf("the store serves all: %v, %v", whole, err)
	}
}

// counted counts the bytes that are read.
type counted struct {
	vfs.FS
	journal, index atomic.Int64
}

func (c *counted) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) {
	file, err := c.FS.Open(name)
	return &countedFile{file, c.of(name)}, err
}

func (c *counted) OpenReadWrite(name string, category vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	file, err := c.FS.OpenReadWrite(name, category)
	return &countedFile{file, c.of(name)}, err
}

func (c *counted) of(name string) *atomic.Int64 {
	if isChunk(name) {
		return &c.journal
	}
	return &c.index
}

type countedFile struct {
	vfs.File
	bytes *atomic.Int64
}

func (f *countedFile) ReadAt(b []byte, offset int64) (int, error) {
	n, err := f.File.ReadAt(b, offset)
	f.bytes.Add(int64(n))
	return n, err
}

// Opening costs the last chunk and what the index lacks, after a kill as after
// a close, however much the store holds.
func TestOpeningCostsTheSameAfterAKill(t *testing.T) {
	const (
		chunk    = 64 << 10
		memTable = 16 << 10
	)
	cost := func(events int, kill bool) int64 {
		fs := vfs.NewCrashableMem()
		options := Options{FS: fs, memTable: memTable, firstChunk: chunk, maxChunk: chunk}
		store, err := Open(crashFolder, options)
		if err != nil {
			t.Fatal(err)
		}
		for i := range events / 10 {
			batch := make([]NewEvent, 10)
			for k := range batch {
				batch[k] = NewEvent{ID: uuid.New(), Type: "x", Data: make([]byte, 300)}
			}
			if _, err := store.Append(context.Background(), fmt.Sprintf("s%d", i%7), stream.Any, batch); err != nil {
				t.Fatal(err)
			}
		}
		// A table is written beside, in its own time: here it is there, but for the last events.
		if err := store.index.db.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Append(context.Background(), "s0", stream.Any, []NewEvent{{ID: uuid.New(), Type: "x"}}); err != nil {
			t.Fatal(err)
		}
		left := fs.CrashClone(vfs.CrashCloneCfg{})
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if !kill {
			left = fs.CrashClone(vfs.CrashCloneCfg{})
		}
		disk := &counted{FS: left}
		options.FS = disk
		again, err := Open(crashFolder, options)
		if err != nil {
			t.Fatal(err)
		}
		read := disk.journal.Load()
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		return read
	}
	for _, events := range []int{100, 1_000, 10_000} {
		closed, killed := cost(events, false), cost(events, true)
		t.Logf("%d events: %d bytes of the journal are read after a close, %d after a kill", events, closed, killed)
		// Which events share a group is chance, and moves the ends by some of them.
		if killed > closed+chunk/4 {
			t.Errorf("%d events: opening reads %d bytes after a close, and %d after a kill", events, closed, killed)
		}
		// The last chunk, once for its end and, in part, once for the index.
		if killed > 3*chunk {
			t.Errorf("%d events: opening reads %d bytes, the last chunk has %d", events, killed, chunk)
		}
	}
}
