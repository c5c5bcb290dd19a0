package eventstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/go-cmp/cmp"

	"github.com/triangle-suite/triangle/services/eventstore"
)

// write appends events to streams in turn, one of which it deletes, and one of which
// keeps two events only.
func write(t *testing.T, client *esdb.Client, appends int) {
	t.Helper()
	for i := range appends {
		if _, err := client.AppendToStream(t.Context(), fmt.Sprintf("s%d", i%3), esdb.AppendToStreamOptions{}, events(2)...); err != nil {
			t.Fatal(err)
		}
	}
	bounded := esdb.StreamMetadata{}
	bounded.SetMaxCount(2)
	_, err := client.SetStreamMetadata(t.Context(), "s0", esdb.AppendToStreamOptions{}, bounded)
	_, err2 := client.DeleteStream(t.Context(), "s1", esdb.DeleteStreamOptions{})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
}

func backUp(t *testing.T, client *esdb.Client, path string) (added int) {
	t.Helper()
	added, err := eventstore.Backup(t.Context(), client, path)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// While the store runs its events are kept in a file, and later those that came
// since: the file is what an export of the store would be, what is hidden from
// readers included, and a store that is made of it goes on where this one stood.
func TestABackupOfARunningStoreIsWhatAnExportWouldBe(t *testing.T) {
	data, path := eventstore.Memory(), filepath.Join(t.TempDir(), "events.jsonl")
	runStore(t, data, func(client *esdb.Client) {
		if added := backUp(t, client, path); added != 0 {
			t.Errorf("%d events of an empty store", added)
		}
		write(t, client, 10)
		if added := backUp(t, client, path); added != 22 {
			t.Errorf("%d events added, want 22: 20, and of two streams what they are", added)
		}
		if added := backUp(t, client, path); added != 0 {
			t.Errorf("%d events added, want none: nothing has come since", added)
		}
		write(t, client, 5)
		backUp(t, client, path)
	})
	kept := content(t, path)
	if diff := cmp.Diff(exported(t, data), kept); diff != "" {
		t.Errorf("it is not what an export is (-export +backup):\n%s", diff)
	}

	restored := eventstore.Memory()
	if _, err := eventstore.Import(restored, strings.NewReader(kept)); err != nil {
		t.Fatal(err)
	}
	runStore(t, restored, func(client *esdb.Client) {
		if added := backUp(t, client, path); added != 0 {
			t.Errorf("%d events added by the store that was made of it, want none", added)
		}
		write(t, client, 3)
		if added := backUp(t, client, path); added != 9 {
			t.Errorf("%d events added, want 9: it goes on, with a stream that comes back, and two others", added)
		}
	})
}

// Wherever a backup was broken off, within a line too, the next one goes on from
// there.
func TestABackupThatWasBrokenOffIsContinued(t *testing.T) {
	data, path := eventstore.Memory(), filepath.Join(t.TempDir(), "events.jsonl")
	runStore(t, data, func(client *esdb.Client) {
		write(t, client, 2)
		backUp(t, client, path)
		whole := content(t, path)
		for cut := range len(whole) {
			if err := os.WriteFile(path, []byte(whole[:cut]), 0o600); err != nil {
				t.Fatal(err)
			}
			backUp(t, client, path)
			if content(t, path) != whole {
				t.Fatalf("cut off at byte %d it is not whole again:\n%s", cut, content(t, path))
			}
		}
	})
}

// Events of two stores in one file would be no store's: a backup says so, and
// changes nothing.
func TestABackupTakesNoOtherStoresEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	runStore(t, eventstore.Memory(), func(client *esdb.Client) {
		write(t, client, 4)
		backUp(t, client, path)
	})
	kept := content(t, path)
	for name, events := range map[string]int{"an empty one": 0, "a shorter one": 1, "one as long": 4, "a longer one": 9} {
		t.Run(name, func(t *testing.T) {
			runStore(t, eventstore.Memory(), func(client *esdb.Client) {
				if events > 0 {
					write(t, client, events)
				}
				if added, err := eventstore.Backup(t.Context(), client, path); !errors.Is(err, eventstore.ErrOtherBackup) || added != 0 {
					t.Errorf("%d events added with %v, want none, and %v", added, err, eventstore.ErrOtherBackup)
				}
			})
			if content(t, path) != kept {
				t.Error("the file has changed")
			}
		})
	}
}

// A path that was mistyped may be a file of somebody else's: it stays as it is.
func TestABackupLeavesOtherFilesAsTheyAre(t *testing.T) {
	runStore(t, eventstore.Memory(), func(client *esdb.Client) {
		write(t, client, 1)
		for name, text := range map[string]string{
			"lines":                    "no event\nnor this\n",
			"a line without an end":    "no event",
			"lines, the last one open": "no event\nnor this",
		} {
			odd := filepath.Join(t.TempDir(), "odd")
			if err := os.WriteFile(odd, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := eventstore.Backup(t.Context(), client, odd)
			if err == nil || !strings.Contains(err.Error(), "it is no backup: name another file") {
				t.Errorf("%s: %v", name, err)
			}
			if got := content(t, odd); got != text {
				t.Errorf("%s: it holds %q now, want %q", name, got, text)
			}
		}
	})
}
