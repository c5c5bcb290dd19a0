package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

// asCommand makes the test's own binary the command: it is built already.
const asCommand = "EVENT_STORE_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a store in a process of its own.
type process struct {
	*exec.Cmd
	addr string
	log  *bufio.Scanner
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(executable, append([]string{"--addr", "127.0.0.1:0"}, args...)...)}
	p.Env = append(os.Environ(), asCommand+"=1")
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() }) // it has ended, most of the time
	p.log = bufio.NewScanner(stderr)
	p.addr = p.awaitStart(t)
	return p
}

func (p *process) awaitStart(t *testing.T) string {
	t.Helper()
	for p.log.Scan() {
		var line struct{ Msg, Addr string }
		if err := json.Unmarshal(p.log.Bytes(), &line); err != nil {
			t.Fatalf("the log is not JSON: %s", p.log.Text())
		}
		if line.Msg == "event store started" {
			return line.Addr
		}
	}
	t.Fatalf("the store did not start: %v", p.log.Err())
	return ""
}

func (p *process) client(t *testing.T) *esdb.Client {
	t.Helper()
	config, err := esdb.ParseConnectionString("esdb://" + p.addr + "?tls=false&maxDiscoverAttempts=1")
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

type written struct {
	stream   string
	revision uint64
	id       uuid.UUID
}

const (
	kills       = 5
	killWriters = 8
)

// TestKillLosesNothingAcknowledged ends the process while it is written to,
// again and again, and looks for everything that was ever acknowledged.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	var all []written
	for round := range kills {
		store := start(t, "--data", data)
		all = append(all, writeUntilKilled(t, store, round)...)
	}
	store := start(t, "--data", data)
	there := readEverything(t, store.client(t))
	for _, w := range all {
		if !there[w] {
			t.Errorf("%+v was acknowledged and is lost", w)
		}
	}
	t.Logf("%d kills, %d events acknowledged, %d there", kills, len(all), len(there))
}

// writeUntilKilled kills the store when enough was acknowledged, and returns
// what was.
func writeUntilKilled(t *testing.T, store *process, round int) (acked []written) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client := store.client(t)
	var (
		mu      sync.Mutex
		writers sync.WaitGroup
	)
	for i := range killWriters {
		writers.Go(func() {
			for n := 0; ; n++ {
				stream := fmt.Sprintf("s%d-%d-%d", round, i, n)
				id := uuid.New()
				result, err := client.AppendToStream(ctx, stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}},
					esdb.EventData{EventID: id, EventType: "x", Data: make([]byte, 300)})
				if err != nil {
					return // the store is gone
				}
				mu.Lock()
				acked = append(acked, written{stream, result.NextExpectedVersion, id})
				enough := len(acked) == 100+37*round
				mu.Unlock()
				if enough {
					_ = store.Process.Signal(syscall.SIGKILL) // fails when it has ended, which Wait tells
				}
			}
		})
	}
	writers.Wait()
	if err := store.Wait(); err == nil || store.ProcessState.ExitCode() != -1 {
		t.Fatalf("the store ended by itself: %v", err)
	}
	if len(acked) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	return acked
}

func readEverything(t *testing.T, client *esdb.Client) map[written]bool {
	t.Helper()
	read, err := client.ReadAll(t.Context(), esdb.ReadAllOptions{}, math.MaxUint64)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	there := map[written]bool{}
	for {
		e, err := read.Recv()
		if errors.Is(err, io.EOF) {
			return there
		}
		if err != nil {
			t.Fatal(err)
		}
		there[written{e.Event.StreamID, e.Event.EventNumber, e.Event.EventID}] = true
	}
}

func TestSignalsStopTheStore(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			store := start(t, "--memory")
			sub, err := store.client(t).SubscribeToAll(t.Context(), esdb.SubscribeToAllOptions{From: esdb.Start{}})
			if err != nil {
				t.Fatal(err)
			}
			defer sub.Close() //nolint:errcheck // the store has ended it
			begun := time.Now()
			if err := store.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := store.Wait(); err != nil {
				t.Errorf("the store ended with %v", err)
			}
			if took := time.Since(begun); took > stopTimeout/2 {
				t.Errorf("the stop took %v", took)
			}
		})
	}
}

func TestOneProcessForOneFolder(t *testing.T) {
	data := t.TempDir()
	first := start(t, "--data", data).client(t)
	write := func() {
		t.Helper()
		if _, err := first.AppendToStream(t.Context(), "s", esdb.AppendToStreamOptions{}, esdb.EventData{EventID: uuid.New(), EventType: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	write()
	before := filesIn(t, data)
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	second := exec.Command(executable, "--addr", "127.0.0.1:0", "--data", data)
	second.Env = append(os.Environ(), asCommand+"=1")
	said, err := second.CombinedOutput()
	if second.ProcessState.ExitCode() != statusFailed || !strings.Contains(string(said), "another event store runs on this data folder") ||
		!strings.Contains(string(said), ": stop that one, or name another folder with --data\n") {
		t.Errorf("the second store ended with %v and said %s", err, said)
	}
	if diff := cmp.Diff(before, filesIn(t, data)); diff != "" {
		t.Errorf("the second store changed the folder (-before +after):\n%s", diff)
	}
	write() // the first one goes on
}

// filesIn returns what the files of a folder hold.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A folder that the store refuses is told what to do about, in one line, and
// stays as it is to the byte.
func TestRefusedFolders(t *testing.T) {
	cases := map[string]struct {
		file, content string
		want          string
	}{
		"someone's files":       {"letter.txt", "dear", `holds no event store: DIR holds "letter.txt": nothing in it was changed; name an empty folder, or one of an event store, with --data`},
		"someone's marker":      {"EVENT-STORE", "hello", "nothing in it was changed; name an empty folder"},
		"a newer event store's": {"EVENT-STORE", `{"format":99}`, "was written by a newer event store: format 99, this one reads "},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, tc.file), []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			before := filesIn(t, dir)
			var said bytes.Buffer
			code := run(&surroundings{ctx: t.Context(), stderr: &said, stdout: io.Discard, stdin: strings.NewReader("")}, []string{"--data", dir, "--addr", "127.0.0.1:0"})
			line := strings.ReplaceAll(said.String(), dir, "DIR")
			if code != statusFailed || strings.Count(line, "\n") != 1 || !strings.Contains(line, tc.want) || !strings.Contains(line, "nothing in it was changed; ") {
				t.Errorf("ended with status %d and said %q, want %q", code, line, tc.want)
			}
			if diff := cmp.Diff(before, filesIn(t, dir)); diff != "" {
				t.Errorf("the folder changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestFlagsBoundRequests(t *testing.T) {
	client := start(t, "--memory", "--max-append", "1000", "--max-subscriptions", "1").client(t)
	event := esdb.EventData{EventID: uuid.New(), EventType: "x", Data: make([]byte, 1000)}
	if _, err := client.AppendToStream(t.Context(), "s", esdb.AppendToStreamOptions{}, event); err == nil || !strings.Contains(err.Error(), "Maximum Append Size of 1000 Exceeded") {
		t.Errorf("an append of more failed with %v", err)
	}
	for _, want := range []string{"", "above the limit Subscriptions of 1"} {
		_, err := client.SubscribeToAll(t.Context(), esdb.SubscribeToAllOptions{})
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("subscribing failed with %v, want %q", err, want)
		}
	}
}

func TestWrongFlagsAreToldInOneLine(t *testing.T) {
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	certificate, key := eventstoretest.Certificate(t)
	clear := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(clear, []byte("# who may call\njane:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		args []string
		code int
		want string
	}{
		"no place for the data":  {nil, statusUsage, "missing flags: --data=DIR or --memory"},
		"two places":             {[]string{"--memory", "--data", "x"}, statusUsage, "can't be used together"},
		"unknown flag":           {[]string{"--memory", "--bogus"}, statusUsage, "unknown flag --bogus"},
		"an argument":            {[]string{"--memory", "x"}, statusUsage, "unexpected argument x"},
		"address without a port": {[]string{"--memory", "--addr", "localhost"}, statusUsage, "--addr: address localhost: missing port"},
		"a port that is none":    {[]string{"--memory", "--addr", "127.0.0.1:99999"}, statusUsage, `"99999" is no port`},
		"a limit of nothing":     {[]string{"--memory", "--max-append", "0"}, statusUsage, "--max-append: 0: it must be above 0"},
		"a limit that is none":   {[]string{"--memory", "--max-subscriptions", "many"}, statusUsage, "--max-subscriptions: expected a valid 64 bit int but got \"many\""},
		"a limit above clients'": {[]string{"--memory", "--max-append", "17000000"}, statusUsage, "limit AppendBytes is 17000000: it must be 16777216 at most"},
		"a key alone":            {[]string{"--memory", "--tls-key", "x"}, statusUsage, "--tls-cert and --tls-key must be used together"},
		"no such certificate":    {[]string{"--memory", "--tls-cert", "nowhere", "--tls-key", "nowhere"}, statusUsage, "--tls-cert, --tls-key: open nowhere"},
		"no key in the file":     {[]string{"--memory", "--tls-cert", certificate, "--tls-key", certificate}, statusUsage, "--tls-cert, --tls-key: tls:"},
		"users without TLS":      {[]string{"--memory", "--users", clear}, statusUsage, "--users: users need TLS: their passwords would travel in clear; give --tls-cert and --tls-key too"},
		"dev user without TLS":   {[]string{"--memory", "--dev-credentials"}, statusUsage, "--dev-credentials: users need TLS"},
		"two kinds of users":     {[]string{"--memory", "--dev-credentials", "--users", clear}, statusUsage, "can't be used together"},
		"a file of clear words":  {[]string{"--memory", "--tls-cert", certificate, "--tls-key", key, "--users", clear}, statusUsage, "--users: " + clear + `:2: invalid: what follows "jane:" is no bcrypt hash`},
		"no such file of users":  {[]string{"--memory", "--tls-cert", certificate, "--tls-key", key, "--users", "nowhere"}, statusUsage, "--users: open nowhere"},
		"a named command":        {[]string{"serve"}, statusUsage, "missing flags: --data=DIR or --memory"},
		"an empty password":      {[]string{"hash-password", "jane"}, statusFailed, "the password is empty"},
		"no name for a user":     {[]string{"hash-password", "ja:ne"}, statusUsage, `user name "ja:ne": it has a colon`},
		"a foreign folder":       {[]string{"--data", foreign}, statusFailed, `holds no event store: ` + foreign + ` holds "letter.txt"`},
		"a file for a folder":    {[]string{"--data", certificate}, statusFailed, "not a directory"},
		"an address elsewhere":   {[]string{"--memory", "--addr", "203.0.113.1:0"}, statusFailed, "listen: "},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // what starts all the same ends at once
			var said bytes.Buffer
			if code := run(&surroundings{ctx: ctx, stderr: &said, stdout: io.Discard, stdin: strings.NewReader("")}, tc.args); code != tc.code {
				t.Errorf("ended with status %d, want %d", code, tc.code)
			}
			if line := said.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, tc.want) {
				t.Errorf("said %q, want one line with %q", line, tc.want)
			}
		})
	}
}
