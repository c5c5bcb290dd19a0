package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds each wait, on a machine that is busy with other things.
const patience = 4 * time.Minute

// world is a namespace of the cluster, as a user has it.
type world struct {
	*testing.T
	namespace  string
	keys       int // of calls: each has one of its own
	registered int // customers: each has a number
	reachable  map[string]*forwarded
}

// newWorld makes a namespace that admits restricted pods alone, and takes it away at
// the end of the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	const namespace = `{apiVersion: v1, kind: Namespace, metadata: {generateName: triangle-e2e-, labels: {pod-security.kubernetes.io/enforce: restricted}}}`
	name, err := the.cluster.Kubectl(t.Context(), strings.NewReader(namespace), "create", "-f", "-", "--output=jsonpath={.metadata.name}")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, namespace: name, reachable: map[string]*forwarded{}}
	t.Cleanup(func() {
		if t.Failed() {
			w.keepLogs()
		}
		for component := range w.reachable {
			w.lost(component)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := the.cluster.Kubectl(ctx, nil, "delete", "namespace", w.namespace); err != nil {
			t.Error(err)
		}
	})
	return w
}

// keepLogs keeps what goes with the namespace.
func (w *world) keepLogs() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir := filepath.Join("..", "failures", w.Name())
	err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755))
	if err == nil {
		_, err = the.cluster.KeepLogs(ctx, dir)
	}
	w.Logf("what the cluster was like is in e2e/failures/%s (%v)", w.Name(), err)
}

// kubectl runs kubectl in the namespace, and returns what it prints.
func (w *world) kubectl(args ...string) string {
	w.Helper()
	out, err := the.cluster.Kubectl(w.Context(), nil, append([]string{"--namespace", w.namespace}, args...)...)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// helm runs helm in the namespace, as a user has it: with nothing of his own.
func (w *world) helm(args ...string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, the.helm, append(args, "--namespace", w.namespace)...)
	home := w.TempDir()
	cmd.Env = append(os.Environ(), "KUBECONFIG="+the.cluster.Kubeconfig(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	w.Logf("%5.1f s  helm %s %s", time.Since(began).Seconds(), args[0], args[1])
	return string(out)
}

// file is one that holds a text.
func (w *world) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

// wait waits as kubectl does, and tells how the object stands when that takes too
// long.
func (w *world) wait(object, what string) {
	w.Helper()
	began := time.Now()
	_, err := the.cluster.Kubectl(w.Context(), nil, "--namespace", w.namespace, "wait", "--for="+what, "--timeout="+patience.String(), object)
	if err != nil {
		w.Fatalf("%v\n%s", err, w.kubectl("get", object, "--output=yaml"))
	}
	w.Logf("%5.1f s  %s: %s", time.Since(began).Seconds(), object, what)
}

// until looks until it is so.
func (w *world) until(what string, isSo func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !isSo() {
		select {
		case <-ctx.Done():
			w.Fatalf("waited %s for: %s", patience, what)
		case <-tick.C:
		}
	}
}

var forwarding = regexp.MustCompile(`Forwarding from (127\.0\.0\.1:\d+)`)

// forwarded is a Service that is reachable from here.
type forwarded struct {
	address string
	process *exec.Cmd
	ended   chan struct{}
}

var ports = map[string]string{"channel": "8081", "sales": "8082", "marketing": "8083", "event-store": "2113"}

// at is where a component is reachable from here: as long as its pod lives.
func (w *world) at(component string) string {
	w.Helper()
	if f := w.reachable[component]; f != nil {
		select {
		case <-f.ended:
		default:
			return f.address
		}
	}
	w.until(component+" is reachable", func() bool {
		w.lost(component)
		f, err := w.forward("triangle-"+component, ports[component])
		if err == nil {
			w.reachable[component] = f
		}
		return err == nil
	})
	return w.reachable[component].address
}

// lost is that a component is not reachable where it was.
func (w *world) lost(component string) {
	if f := w.reachable[component]; f != nil {
		_ = f.process.Process.Signal(syscall.SIGTERM) // it may have ended with its pod
		<-f.ended
		delete(w.reachable, component)
	}
}

func (w *world) forward(service, port string) (*forwarded, error) {
	cmd, err := the.cluster.KubectlCommand(context.Background(), "--namespace", w.namespace, "port-forward", "service/"+service, ":"+port)
	if err != nil {
		return nil, err
	}
	var complained bytes.Buffer
	cmd.Stderr = &complained
	told, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	f := &forwarded{process: cmd, ended: make(chan struct{})}
	lines := bufio.NewScanner(told)
	for f.address == "" && lines.Scan() {
		if at := forwarding.FindStringSubmatch(lines.Text()); at != nil {
			f.address = at[1]
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, told)
		_ = cmd.Wait() // it ends with its pod, or as it is told to
		close(f.ended)
	}()
	if f.address == "" {
		<-f.ended
		return nil, fmt.Errorf("%s is not reachable: %s", service, complained.String())
	}
	return f, nil
}

// call posts to a service's API until it is done, with the key of one request: what
// was done although nobody was told is not done again.
func (w *world) call(service, path string, request map[string]any) (answer map[string]any) {
	w.Helper()
	w.keys++
	text, err := json.Marshal(request)
	if err != nil {
		w.Fatal(err)
	}
	var last error
	defer func() {
		if w.Failed() {
			w.Logf("%s%s: %v", service, path, last)
		}
	}()
	w.until(service+path+" answers", func() bool {
		answer, last = w.post(w.at(service)+path, fmt.Sprintf("%s-%d", w.Name(), w.keys), text)
		if last != nil {
			w.lost(service)
		}
		return last == nil
	})
	return answer
}

func (w *world) post(url, key string, text []byte) (body map[string]any, err error) {
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, "http://"+url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Idempotency-Key", key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, raw)
	}
	return body, errors.Join(err, json.Unmarshal(raw, &body))
}

// command runs the triangle command on the cluster and its store, and returns what
// it prints.
func (w *world) command(args ...string) (string, error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, the.triangle, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+the.cluster.Kubeconfig(), "TRIANGLE_EVENTSTORE=esdb://"+w.at("event-store")+"?tls=false")
	var told, complained bytes.Buffer
	cmd.Stdout, cmd.Stderr = &told, &complained
	err := cmd.Run()
	w.Logf("$ triangle %s (%d bytes)\n%s", strings.Join(args, " "), told.Len(), complained.String())
	return told.String(), err
}

// mustCommand is command, which has to succeed.
func (w *world) mustCommand(args ...string) {
	w.Helper()
	if _, err := w.command(args...); err != nil {
		w.Fatal(err)
	}
}
