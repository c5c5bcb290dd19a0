package storage

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// small is a store whose chunks are small, so that a few events fill several.
func small(fs vfs.FS, now func() time.Time) Options {
	return Options{FS: fs, Now: now, memTable: 64 << 10, firstChunk: 1 << 10, maxChunk: 2 << 10}
}

func openSmall(t *testing.T, fs vfs.FS, now func() time.Time) *Store {
	t.Helper()
	store, err := Open("data", small(fs, now))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func put(t *testing.T, store *Store, name string, n int, metadata ...string) {
	t.Helper()
	for i := range n {
		event := NewEvent{ID: uuid.New(), Type: "x", JSON: true, Data: fmt.Appendf(nil, `{"n":%d}`, i)}
		if len(metadata) > 0 {
			event.Type, event.Data = stream.MetadataType, []byte(metadata[0])
		}
		if _, err := store.Append(context.Background(), name, stream.Any, []NewEvent{event}); err != nil {
			t.Fatal(err)
		}
	}
}

// visible is all that readers of streams see, and how many events $all holds.
func visible(t *testing.T, store *Store, names ...string) (events map[string][]Event, inAll int) {
	t.Helper()
	view, err := store.View()
	if err != nil {
		t.Fatal(err)
	}
	defer view.Release()
	events = map[string][]Event{}
	for _, name := range names {
		state, err := view.State(name)
		if err != nil {
			t.Fatal(err)
		}
		if state.Tombstoned || !state.Exists() {
			continue
		}
		events[name] = collectEvents(t, view.Stream(name, state, 0, Forward))
	}
	return events, len(collectEvents(t, view.All(0, Forward)))
}

func collectEvents(t *testing.T, records iter.Seq2[Record, error]) (events []Event) {
	t.Helper()
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, r.Event())
	}
	return events
}

func mustClose(t *testing.T, store *Store) {
	t.Helper()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustVerify(t *testing.T, fs vfs.FS) Verified {
	t.Helper()
	verified, err := Verify("data", small(fs, nil), func(damage error) { t.Errorf("found: %v", damage) })
	if err != nil {
		t.Fatal(err)
	}
	return verified
}

// A store holds streams that age, that are bounded, cut, deleted, deleted for
// good, and untouched. A scavenge removes what no reader sees, twice does not
// remove more, and the store goes on as if nothing had happened.
func TestScavengeRemovesWhatNoReaderSees(t *testing.T) {
	fs, clock := vfs.NewMem(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := func() time.Time { return clock }
	store := openSmall(t, fs, now)
	put(t, store, "$$aged", 1, `{"$maxAge":3600}`)
	put(t, store, "$$bounded", 1, `{"$maxCount":10}`)
	for _, name := range []string{"aged", "bounded", "cut", "deleted", "ended", "whole"} {
		put(t, store, name, 50)
	}
	clock = clock.Add(2 * time.Hour)
	put(t, store, "aged", 5)
	put(t, store, "$$cut", 3, `{"$tb":45}`)
	if _, err := store.Delete(context.Background(), "deleted", stream.Any); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Tombstone(context.Background(), "ended", stream.Any); err != nil {
		t.Fatal(err)
	}
	names := []string{"aged", "bounded", "cut", "deleted", "ended", "whole", "$$aged", "$$cut"}
	before, _ := visible(t, store, names...)
	mustClose(t, store)

	done, err := Scavenge("data", small(fs, now))
	if err != nil {
		t.Fatal(err)
	}
	// aged: 50; bounded: 40; cut: 45; deleted: all but the last; ended: all but
	// the end; two of the three metadata of cut.
	if want := 50 + 40 + 45 + 49 + 50 + 2; done.Removed != want || done.Freed <= 0 {
		t.Errorf("removed %d events and %d bytes, want %d events", done.Removed, done.Freed, want)
	}
	again, err := Scavenge("data", small(fs, now))
	if err != nil || again.Removed != 0 || again.Freed != 0 || again.Kept != done.Kept {
		t.Errorf("a second scavenge did %+v (%v), the first %+v", again, err, done)
	}
	if verified := mustVerify(t, fs); verified.Records != done.Kept {
		t.Errorf("%d records are left, kept were %d", verified.Records, done.Kept)
	}

	store = openSmall(t, fs, now)
	defer mustClose(t, store)
	after, inAll := visible(t, store, names...)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("readers see something else (-before +after):\n%s", diff)
	}
	if inAll != done.Kept {
		t.Errorf("$all holds %d events, kept were %d", inAll, done.Kept)
	}
	put(t, store, "deleted", 1)
	events, _ := visible(t, store, "deleted")
	if got := events["deleted"]; len(got) != 1 || got[0].Revision != 50 {
		t.Errorf("after its deletion the stream goes on with %+v, want revision 50", got)
	}
}

// An index that is lost after a scavenge is made again from what is left.
func TestIndexIsMadeAgainAfterAScavenge(t *testing.T) {
	fs := vfs.NewMem()
	store := openSmall(t, fs, nil)
	put(t, store, "$$s", 1, `{"$maxCount":3}`)
	put(t, store, "s", 40)
	put(t, store, "t", 40)
	before, _ := visible(t, store, "s", "t")
	mustClose(t, store)
	if _, err := Scavenge("data", small(fs, nil)); err != nil {
		t.Fatal(err)
	}
	if err := Reindex("data", small(fs, nil)); err != nil {
		t.Fatal(err)
	}
	store = openSmall(t, fs, nil)
	after, _ := visible(t, store, "s", "t")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("readers see something else (-before +after):\n%s", diff)
	}
	put(t, store, "s", 1)
	mustClose(t, store)
	mustVerify(t, fs)
}
