package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Limits of a store's process.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
)

// host starts databases for the suite and ends them: a process of the store
// each, with a data folder of its own, on a free port.
type host struct {
	store   string   // the store's binary
	flags   []string // more flags for it
	dataset string   // the events of a populated database
	dir     string   // for data and logs

	mu      sync.Mutex
	last    int
	running map[string]*database
}

// database is one process of the store.
type database struct {
	Endpoint string `json:"endpoint"`
	ID       string `json:"id"`

	stop  context.CancelFunc
	ended chan struct{} // closed when err holds
	err   error
}

func newHost(store, dataset, dir string, flags ...string) *host {
	return &host{store: store, dataset: dataset, dir: dir, flags: flags, running: map[string]*database{}}
}

// handler is how the suite reaches the host.
func (h *host) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /databases", func(w http.ResponseWriter, r *http.Request) {
		d, err := h.start(r.Context(), r.URL.Query().Get("content"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(d) // the suite has gone when this fails
	})
	mux.HandleFunc("DELETE /databases/{id}", func(w http.ResponseWriter, r *http.Request) {
		if err := h.end(r.PathValue("id")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// start starts a database that is "empty" or "populated".
func (h *host) start(ctx context.Context, content string) (*database, error) {
	h.mu.Lock()
	h.last++
	id := strconv.Itoa(h.last)
	h.mu.Unlock()
	data := filepath.Join(h.dir, id)
	switch content {
	case "empty":
	case "populated":
		if err := h.populate(ctx, data); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("there is no content %q: ask for empty or populated", content)
	}
	d, err := h.spawn(ctx, id, data)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running[id] = d
	return d, nil
}

func (h *host) populate(ctx context.Context, data string) error {
	cmd := exec.CommandContext(ctx, h.store, "import", "--data", data, h.dataset)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return nil
}

// spawn starts a process of the store and waits until it says where it listens.
func (h *host) spawn(ctx context.Context, id, data string) (*database, error) {
	life, stop := context.WithCancel(context.WithoutCancel(ctx)) // it outlives the request
	cmd := exec.CommandContext(life, h.store, append([]string{"--addr", "127.0.0.1:0", "--data", data}, h.flags...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	said, err := cmd.StderrPipe()
	if err != nil {
		stop()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		stop()
		return nil, fmt.Errorf("start the store: %w", err)
	}
	d := &database{ID: id, stop: stop, ended: make(chan struct{})}
	addr := make(chan string, 1)
	go func() {
		logged := keepLog(said, filepath.Join(h.dir, id+".log"), addr)
		d.err = errors.Join(cmd.Wait(), logged)
		close(d.ended)
	}()
	return d, d.await(ctx, addr)
}

// await returns when the store listens.
func (d *database) await(ctx context.Context, addr <-chan string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case at := <-addr:
		_, port, err := net.SplitHostPort(at)
		if err != nil {
			return errors.Join(err, d.close())
		}
		d.Endpoint = net.JoinHostPort("localhost", port) // what the certificate is for
		return nil
	case <-d.ended:
		d.stop()
		return fmt.Errorf("the store ended before it listened: %w", d.err)
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("the store does not listen: %w", ctx.Err()), d.close())
	}
}

// keepLog writes what a store says to a file, and sends the address that it
// listens on.
func keepLog(said io.Reader, path string, addr chan<- string) error {
	file, err := os.Create(path) //nolint:gosec // in the scratch folder
	if err != nil {
		_, _ = io.Copy(io.Discard, said) // so that the store does not wait for a reader
		return err
	}
	lines := bufio.NewScanner(io.TeeReader(said, file))
	for lines.Scan() {
		var line struct{ Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "event store started" {
			addr <- line.Addr
		}
	}
	_, err = io.Copy(file, said) // what follows a line too long to scan
	return errors.Join(err, file.Close())
}

func (h *host) end(id string) error {
	h.mu.Lock()
	d := h.running[id]
	delete(h.running, id)
	h.mu.Unlock()
	if d == nil {
		return fmt.Errorf("there is no database %q", id)
	}
	return d.close()
}

// endAll ends what the suite has left running.
func (h *host) endAll() error {
	h.mu.Lock()
	left := h.running
	h.running = map[string]*database{}
	h.mu.Unlock()
	var err error
	for _, d := range left {
		err = errors.Join(err, d.close())
	}
	return err
}

// close stops the process and waits until it has ended.
func (d *database) close() error {
	d.stop()
	<-d.ended
	if d.err != nil && !errors.Is(d.err, context.Canceled) {
		return fmt.Errorf("database %s ended with %w", d.ID, d.err)
	}
	return nil
}
