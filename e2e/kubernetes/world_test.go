package kubernetes

import (
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
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds each wait, on a machine that is busy with other things.
const patience = 4 * time.Minute

// callTimeout bounds a call.
const callTimeout = 20 * time.Second

// world is a namespace of the cluster, as a user has it.
type world struct {
	*testing.T
	namespace  string
	keys       int           // of calls: each has one of its own
	registered *atomic.Int64 // customers: each has a number
	reachable  map[string]*forwarded
	// traceparent is the trace that calls belong to; none: each begins one.
	traceparent string
}

// on has a part of a test use the world.
func (w *world) on(t *testing.T) *world {
	part := *w
	part.T = t
	return &part
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
	w := &world{T: t, namespace: name, registered: &atomic.Int64{}, reachable: map[string]*forwarded{}}
	t.Cleanup(func() {
		if t.Failed() {
			w.keepLogs()
		}
		for component := range w.reachable {
			w.lost(component)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := w.remove(ctx); err != nil {
			t.Error(err)
		}
	})
	return w
}

// remove takes the namespace away, and what was made beside it. Its pods are not given
// time to end in good order: there is nobody left to serve.
func (w *world) remove(ctx context.Context) error {
	for _, args := range [][]string{
		{"delete", "namespace", w.namespace, "--wait=false"},
		{"delete", "pods", "--namespace", w.namespace, "--all", "--grace-period=0", "--force"},
		{"delete", "namespace", w.namespace, "--ignore-not-found"}, // which waits until it is gone
	} {
		if _, err := the.cluster.Kubectl(ctx, nil, args...); err != nil {
			return err
		}
	}
	return w.removeKinds(ctx)
}

// removeKinds removes what the operator's release has made for the whole cluster, and
// what stays of it when it goes; that of another release is left alone.
func (w *world) removeKinds(ctx context.Context) error {
	found, err := the.cluster.Kubectl(ctx, nil, "get", "customresourcedefinitions,clusterroles,validatingadmissionpolicies,validatingadmissionpolicybindings",
		"--selector=app.kubernetes.io/instance=triangle-operator",
		`--output=jsonpath={range .items[?(@.metadata.annotations.meta\.helm\.sh/release-namespace=="`+w.namespace+`")]}{.kind}/{.metadata.name} {end}`)
	if all := strings.Fields(found); err == nil && len(all) > 0 {
		_, err = the.cluster.Kubectl(ctx, nil, append([]string{"delete"}, all...)...)
	}
	return err
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

// call posts to a service's API until it is done, with the key of one request: what
// was done although nobody was told is not done again.
func (w *world) call(service, path string, request map[string]any) (answer map[string]any) {
	w.Helper()
	w.keys++
	text, err := json.Marshal(request)
	if err != nil {
		w.Fatal(err)
	}
	return w.send(service, path, fmt.Sprintf("%s-%d", w.Name(), w.keys), text)
}

// send is call, with a key.
func (w *world) send(service, path, key string, text []byte) (answer map[string]any) {
	w.Helper()
	var last error
	defer func() {
		if w.Failed() {
			w.Logf("%s%s: %v", service, path, last)
		}
	}()
	w.until(service+path+" answers", func() bool {
		answer, last = w.post(w.at(service)+path, key, text)
		if last != nil {
			w.lost(service)
		}
		return last == nil
	})
	return answer
}

func (w *world) post(url, key string, text []byte) (body map[string]any, err error) {
	ctx, cancel := context.WithTimeout(w.Context(), callTimeout) // its pod may have died
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Idempotency-Key", key)
	if w.traceparent != "" {
		r.Header.Set("Traceparent", w.traceparent)
	}
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
