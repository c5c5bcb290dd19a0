package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command runs event-store in this process and returns its status and what it
// said.
func command(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, complaints bytes.Buffer
	s := &surroundings{ctx: context.Background(), stdin: strings.NewReader(stdin), stdout: &out, stderr: &complaints}
	return run(s, args), out.String(), complaints.String()
}

const exportedEvents = `{"position":100,"stream":"$$s","revision":0,"id":"00000000-0000-4000-8000-000000000001","type":"$metadata","created":"2026-01-01T00:00:00Z","contentType":"application/json","data":"eyIkbWF4Q291bnQiOjF9","metadata":""}
{"position":200,"stream":"s","revision":0,"id":"00000000-0000-4000-8000-000000000002","type":"t","created":"2026-01-01T00:00:01Z","contentType":"application/json","data":"e30=","metadata":""}
{"position":300,"stream":"s","revision":1,"id":"00000000-0000-4000-8000-000000000003","type":"t","created":"2026-01-01T00:00:02Z","contentType":"application/octet-stream","data":"AAE=","metadata":"e30="}
`

// A store is made of a file, looked over, scavenged, damaged and looked over
// again, all from the command line.
func TestMaintenance(t *testing.T) {
	dir, dump := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "dump")
	steps := []struct {
		before func()
		stdin  string
		args   []string
		status int
		says   string
	}{
		{args: []string{"verify"}, status: statusFailed, says: "there is no event store in the folder"},
		{args: []string{"import", "no-such-file"}, status: statusFailed, says: "no-such-file"},
		{stdin: exportedEvents, args: []string{"import", "-"}, says: "3 events imported"},
		{stdin: exportedEvents, args: []string{"import", "-"}, status: statusFailed, says: "into a new folder"},
		{args: []string{"export"}, says: exportedEvents},
		{args: []string{"verify"}, says: "3 events in 1 chunks"},
		{args: []string{"scavenge"}, says: "1 events removed from 1 chunks, 2 kept"},
		{args: []string{"verify"}, says: ": 0 damages"},
		{before: func() { flip(t, dir, "journal/00000000000000000000.log", 100) }, args: []string{"verify"}, status: statusFailed, says: "00000000000000000000.log, offset 64"},
		{args: []string{"scavenge"}, status: statusFailed, says: "the journal is damaged"},
		{args: []string{"export", dump}, status: statusFailed, says: "the journal is damaged"},
		{before: func() { flip(t, dir, "journal/00000000000000000000.log", 100) }, args: []string{"verify"}, says: ": 0 damages"},
		{args: []string{"reindex"}, says: "makes the index again"},
		{args: []string{"export"}, says: `"position":300`},
		{args: []string{"export", dump}, says: "2 events exported"},
		{args: []string{"export", dump}, status: statusFailed, says: "file exists"},
	}
	for _, step := range steps {
		if step.before != nil {
			step.before()
		}
		args := append([]string{step.args[0], "--data", dir}, step.args[1:]...)
		status, stdout, stderr := command(t, step.stdin, args...)
		if status != step.status || !strings.Contains(stdout+stderr, step.says) {
			t.Errorf("%s ended with %d and said %q %q, want %d and %q", strings.Join(step.args, " "), status, stdout, stderr, step.status, step.says)
		}
	}
}

// flip turns one byte of a file over.
func flip(t *testing.T, dir, name string, offset int) {
	t.Helper()
	path := filepath.Join(dir, name)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[offset] ^= 0xff
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
