package storage

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Who waits for a stream is woken by what changes it and by nothing else, and is
// never asleep while there is more.
func TestAWatchIsOfOneStream(t *testing.T) {
	store, err := Open("store", Options{FS: vfs.NewMem(), IDCache: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	write := func(name string) {
		t.Helper()
		if _, err := store.Append(t.Context(), name, stream.Any, []NewEvent{{ID: uuid.New(), Type: "T", Data: []byte("{}"), JSON: true}}); err != nil {
			t.Fatal(err)
		}
	}
	view := func() *View {
		t.Helper()
		v, err := store.View()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Release)
		return v
	}
	woken := func(changed <-chan struct{}) bool {
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	for _, tc := range []struct {
		written string
		wakes   bool
	}{{"b", false}, {"$$b", false}, {"a-b", false}, {"a", true}, {"$$a", true}} {
		changed, stop := view().Watch("a")
		_, other := view().Watch("a")
		write(tc.written)
		view() // holds what was written
		if woken(changed) != tc.wakes {
			t.Errorf("a write to %s: woken is %t, want %t", tc.written, !tc.wakes, tc.wakes)
		}
		stop()
		other()
		if len(store.watches) != 0 {
			t.Errorf("after a write to %s there are watches that nobody holds: %v", tc.written, store.watches)
		}
	}

	old := view()
	write("a")
	view()
	changed, stop := old.Watch("a")
	defer stop()
	if !woken(changed) {
		t.Error("who looked at an old view waits for what is there already")
	}
}
