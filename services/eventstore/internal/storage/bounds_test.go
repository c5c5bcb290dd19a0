package storage_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// manyStreams is how many streams are written where there must be many: so many that
// what tables in memory come and go meanwhile weighs little beside them.
var manyStreams = flag.Int("streams", 300_000, "streams to write")

// countedFS counts what is read from a file system.
type countedFS struct {
	vfs.FS
	bytes *atomic.Int64
}

type countedFile struct {
	vfs.File
	bytes *atomic.Int64
}

// Open implements vfs.FS.
func (c countedFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := c.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	return countedFile{file, c.bytes}, nil
}

// OpenReadWrite implements vfs.FS.
func (c countedFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := c.FS.OpenReadWrite(name, category, opts...)
	if err != nil {
		return nil, err
	}
	return countedFile{file, c.bytes}, nil
}

// Read implements io.Reader.
func (c countedFile) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

// ReadAt implements io.ReaderAt.
func (c countedFile) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.File.ReadAt(p, at)
	c.bytes.Add(int64(n))
	return n, err
}

// fill appends n events of so many bytes, each to a stream of its own.
func fill(t *testing.T, store *storage.Store, from, n, size int) {
	t.Helper()
	const writers = 64
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			for i := from + w; i < from+n; i += writers {
				event := storage.NewEvent{ID: uuid.New(), Type: "t", Data: make([]byte, size)}
				if _, err := store.Append(context.Background(), fmt.Sprintf("a-stream-of-its-own-%09d", i), stream.NoStream, []storage.NewEvent{event}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, dir string, fs vfs.FS) *storage.Store {
	t.Helper()
	store, err := storage.Open(dir, storage.Options{FS: fs, IDCache: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func closed(t *testing.T, store *storage.Store) {
	t.Helper()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// heapBesideCaches is what is on the heap but for the engine's caches, whose size is
// bounded whatever the store holds.
func heapBesideCaches(store *storage.Store) int64 {
	if !storage.CachesOnHeap {
		return heap()
	}
	return heap() - store.CacheBytes()
}

// A map of the streams' names and states, at its smallest, would take some 100
// bytes for each of these.
func TestStreamsDoNotLiveInMemory(t *testing.T) {
	const each = 40
	if storage.RaceDetector {
		t.Skip("with the race detector the storage engine's caches are on the heap, and hide what is measured")
	}
	dir := t.TempDir()
	store := open(t, dir, vfs.Default)
	fill(t, store, 0, *manyStreams, 100) // what the store needs anyhow
	before := heapBesideCaches(store)
	fill(t, store, *manyStreams, *manyStreams, 100)
	grown := heapBesideCaches(store) - before
	t.Logf("%d streams more: the heap has grown by %d bytes, %d for each", *manyStreams, grown, grown/int64(*manyStreams))
	if grown > int64(*manyStreams)*each {
		t.Errorf("the heap has grown by %d bytes, want %d for each stream at most", grown, each)
	}
	closed(t, store)

	empty := heap()
	store = open(t, dir, vfs.Default)
	held := heapBesideCaches(store) - empty
	t.Logf("opened again it holds %d bytes", held)
	if held > int64(*manyStreams)*each {
		t.Errorf("opened again, the store holds %d bytes, want %d for each stream at most", held, each)
	}
	closed(t, store)
}

// What a start reads does not grow with what the store holds, after an orderly
// end and after a power cut.
func TestAStartReadsNoMoreOfALargeStore(t *testing.T) {
	const (
		appends, events, size = 300, 1000, 100
		rounds                = 5
		// A start may read the last chunk, and what is not indexed yet. That is
		// some 100 MiB at most, of the 270 MiB that are written in the end.
		atMost = 128 << 20
	)
	if storage.RaceDetector {
		t.Skip("what is read does not depend on the race detector, with which writing that much takes minutes")
	}
	disk := vfs.NewCrashableMem()
	for round := range rounds {
		store := open(t, "data", disk)
		for i := range appends {
			batch := make([]storage.NewEvent, events)
			for j := range batch {
				batch[j] = storage.NewEvent{ID: uuid.New(), Type: "t", Data: make([]byte, size)}
			}
			if _, err := store.Append(t.Context(), fmt.Sprintf("s%d-%d", round, i), stream.NoStream, batch); err != nil {
				t.Fatal(err)
			}
		}
		after := disk.CrashClone(vfs.CrashCloneCfg{})
		closed(t, store)
		for name, fs := range map[string]vfs.FS{"an orderly end": disk, "a power cut": after} {
			var counted atomic.Int64
			store = open(t, "data", countedFS{fs, &counted})
			read := counted.Load()
			closed(t, store)
			t.Logf("%d events written: a start after %s reads %d KiB", (round+1)*appends*events, name, read>>10)
			if read > atMost {
				t.Errorf("a start after %s reads %d bytes for %d events, want %d at most", name, read, (round+1)*appends*events, atMost)
			}
		}
	}
}

// Large events are few in the index, which would keep them in memory for long:
// what a start reads is bounded in bytes too.
func TestAStartReadsNoMoreOfAStoreOfLargeEvents(t *testing.T) {
	const (
		appends, size = 200, 512 << 10
		rounds        = 3
		atMost        = 128 << 20 // of the 300 MiB that are written in the end
	)
	disk := vfs.NewMem()
	for round := range rounds {
		store := open(t, "data", disk)
		for i := range appends {
			event := storage.NewEvent{ID: uuid.New(), Type: "t", Data: make([]byte, size)}
			if _, err := store.Append(t.Context(), fmt.Sprintf("s%d-%d", round, i), stream.NoStream, []storage.NewEvent{event}); err != nil {
				t.Fatal(err)
			}
		}
		closed(t, store)
	}
	var counted atomic.Int64
	store := open(t, "data", countedFS{disk, &counted})
	read := counted.Load()
	closed(t, store)
	t.Logf("%d MiB written: a start reads %d MiB", rounds*appends*size>>20, read>>20)
	if read > atMost {
		t.Errorf("a start reads %d bytes, want %d at most", read, atMost)
	}
}
