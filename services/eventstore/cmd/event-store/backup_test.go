package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
)

// A store that runs is backed up, and a new one is made of the file.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	file, restored := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "restored")
	store := start(t, "--memory")
	_, err := store.client(t).AppendToStream(t.Context(), "s", esdb.AppendToStreamOptions{}, esdb.EventData{
		EventID: uuid.New(), EventType: "t", ContentType: esdb.ContentTypeJson, Data: []byte("{}"),
	})
	if err != nil {
		t.Fatal(err)
	}
	at := "esdb://" + store.addr + "?tls=false&maxDiscoverAttempts=1"
	steps := []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"backup", file}, statusUsage, "missing flags: --eventstore=URL"},
		{[]string{"backup", "--eventstore", "http://secret@here", file}, statusUsage, "--eventstore is no connection string: write esdb://host:2113"},
		{[]string{"backup", "--eventstore", "esdb://127.0.0.1:1?tls=false&maxDiscoverAttempts=1", file}, statusFailed, "read the store"},
		{[]string{"backup", "--eventstore", at, filepath.Join(dir, "no", "folder")}, statusFailed, "no such file or directory"},
		{[]string{"backup", "--eventstore", at, file}, 0, "1 events added to " + file},
		{[]string{"backup", "--eventstore", at, file}, 0, "0 events added to " + file},
		{[]string{"import", "--data", restored, file}, 0, "1 events imported"},
		{[]string{"export", "--data", restored}, 0, `"stream":"s"`},
	}
	for _, step := range steps {
		status, stdout, stderr := command(t, "", step.args...)
		if status != step.status || !strings.Contains(stdout+stderr, step.says) || strings.Contains(stderr, "secret") {
			t.Errorf("event-store %s ended with %d and %q, want %d and %q", strings.Join(step.args, " "), status, stdout+stderr, step.status, step.says)
		}
	}
}
