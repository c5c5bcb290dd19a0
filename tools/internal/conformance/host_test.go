package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// asStore makes the test's own binary a store that only says where it listens.
const asStore = "CONFORMANCE_TEST_STORE"

func TestMain(m *testing.M) {
	if os.Getenv(asStore) != "" {
		os.Exit(playStore(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// playStore does what its arguments ask a store to do: it notes an import, ends
// at once when its flags say "broken", and otherwise runs until it is stopped.
func playStore(args []string) int {
	if args[0] == "import" {
		if err := os.WriteFile(args[2], []byte(args[3]), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	if slices.Contains(args, "broken") {
		return 3
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Fprintln(os.Stderr, "not JSON")
	fmt.Fprintln(os.Stderr, `{"msg":"event store started","addr":"127.0.0.1:4711"}`)
	<-stop
	fmt.Fprintln(os.Stderr, "stopped")
	return 0
}

func testHost(t *testing.T, flags ...string) (*host, *httptest.Server) {
	t.Helper()
	t.Setenv(asStore, "1")
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(executable, "the dataset", t.TempDir(), flags...)
	t.Cleanup(func() {
		if err := h.endAll(); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(h.handler())
	t.Cleanup(server.Close)
	return h, server
}

// ask sends a request and returns what was answered.
func ask(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

func TestADatabaseFromStartToEnd(t *testing.T) {
	h, server := testHost(t)
	status, body := ask(t, http.MethodPost, server.URL+"/databases?content=populated")
	var d database
	if err := json.Unmarshal([]byte(body), &d); err != nil || status != http.StatusCreated {
		t.Fatalf("answered %d %s", status, body)
	}
	if d.Endpoint != "localhost:4711" {
		t.Errorf("the endpoint is %s", d.Endpoint)
	}
	if imported, err := os.ReadFile(filepath.Join(h.dir, d.ID)); err != nil || string(imported) != "the dataset" {
		t.Errorf("imported %q, %v", imported, err)
	}
	if status, body := ask(t, http.MethodDelete, server.URL+"/databases/"+d.ID); status != http.StatusNoContent {
		t.Errorf("answered %d %s", status, body)
	}
	log, err := os.ReadFile(filepath.Join(h.dir, d.ID+".log"))
	if err != nil || !strings.HasPrefix(string(log), "not JSON\n") || !strings.HasSuffix(string(log), "\nstopped\n") {
		t.Errorf("the log is %q, %v", log, err)
	}
	if status, body := ask(t, http.MethodDelete, server.URL+"/databases/"+d.ID); status != http.StatusInternalServerError || !strings.Contains(body, "there is no database") {
		t.Errorf("a database that ended before: answered %d %s", status, body)
	}
}

func TestWhatTheSuiteLeavesIsEnded(t *testing.T) {
	h, server := testHost(t)
	for range 3 {
		if status, body := ask(t, http.MethodPost, server.URL+"/databases?content=empty"); status != http.StatusCreated {
			t.Fatalf("answered %d %s", status, body)
		}
	}
	var left []*database
	for _, d := range h.running {
		left = append(left, d)
	}
	if err := h.endAll(); err != nil {
		t.Error(err)
	}
	for _, d := range left {
		select {
		case <-d.ended:
		default:
			t.Errorf("database %s runs on", d.ID)
		}
	}
	if len(left) != 3 {
		t.Errorf("%d databases ran, want 3", len(left))
	}
}

func TestDatabasesThatCannotBeHad(t *testing.T) {
	_, server := testHost(t, "broken")
	if status, body := ask(t, http.MethodPost, server.URL+"/databases?content=empty"); status != http.StatusInternalServerError || !strings.Contains(body, "ended before it listened: exit status 3") {
		t.Errorf("a store that ends: answered %d %s", status, body)
	}
	if status, body := ask(t, http.MethodPost, server.URL+"/databases?content=half"); status != http.StatusInternalServerError || !strings.Contains(body, "ask for empty or populated") {
		t.Errorf("an unknown content: answered %d %s", status, body)
	}
	h := newHost(filepath.Join(t.TempDir(), "nowhere"), "", t.TempDir())
	for _, content := range []string{"empty", "populated"} {
		if _, err := h.start(context.Background(), content); err == nil {
			t.Errorf("%s: a store that is not there started", content)
		}
	}
}
