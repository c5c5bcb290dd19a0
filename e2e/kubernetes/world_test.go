package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/operator/config"
)

// patience bounds each wait, on a machine that is busy with other things.
const patience = 4 * time.Minute

// world is a namespace of the cluster, as a user has it.
type world struct {
	*testing.T
	namespace  string
	keys       int // of calls: each has one of its own
	registered int // customers: each has a number
}

// newWorld makes a namespace that admits restricted pods alone, and takes it away at
// the end of the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, namespace: "triangle"}
	w.apply(fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: restricted}}}`, w.namespace))
	t.Cleanup(func() {
		if t.Failed() {
			w.keepLogs()
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
	kept, err := the.cluster.KeepLogs(ctx, "")
	w.Logf("what the cluster was like is in %s (%v)", kept, err)
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

// apply applies manifests in the namespace.
func (w *world) apply(manifests string) {
	w.Helper()
	_, err := the.cluster.Kubectl(w.Context(), strings.NewReader(manifests), "apply", "--server-side", "--namespace", w.namespace, "-f", "-")
	if err != nil {
		w.Fatal(err)
	}
}

// applyFolder applies a folder of operator/config.
func (w *world) applyFolder(folder string) {
	w.Helper()
	files, err := fs.Glob(config.Files, folder+"/*.yaml")
	if err != nil || len(files) == 0 {
		w.Fatalf("no manifests in %s: %v", folder, err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(config.Files, file)
		if err != nil {
			w.Fatal(err)
		}
		w.apply(string(text))
	}
}

// sample is a file of operator/config/samples, with the images under test.
func (w *world) sample(name string) string {
	w.Helper()
	text, err := fs.ReadFile(config.Files, config.Samples+"/"+name)
	if err != nil {
		w.Fatal(err)
	}
	return regexp.MustCompile(`registry\.example\.com/triangle/([a-z-]+):[0-9.]+`).ReplaceAllStringFunc(string(text), func(image string) string {
		name, _, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
		return the.images.of(name)
	})
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

// forward makes a Service of the namespace reachable, until the test ends, and
// returns where.
func (w *world) forward(service, port string) string {
	w.Helper()
	cmd, err := the.cluster.KubectlCommand(context.Background(), "--namespace", w.namespace, "port-forward", "service/"+service, ":"+port)
	if err != nil {
		w.Fatal(err)
	}
	var complained bytes.Buffer
	cmd.Stderr = &complained
	told, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended with its pod
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(told); lines.Scan(); {
		if at := forwarding.FindStringSubmatch(lines.Text()); at != nil {
			go func() { _, _ = io.Copy(io.Discard, told) }()
			return at[1]
		}
	}
	w.Fatalf("%s is not reachable: %s", service, complained.String())
	return ""
}

// call posts to an API, and wants it to be done.
func (w *world) call(url string, request map[string]any) map[string]any {
	w.Helper()
	w.keys++
	text, err := json.Marshal(request)
	if err != nil {
		w.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%d", w.Name(), w.keys))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		w.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil || answer.StatusCode != http.StatusOK {
		w.Fatalf("POST %s answered %s: %s", url, answer.Status, raw)
	}
	return body
}

// command runs the triangle command on the cluster and its store, and returns what
// it prints.
func (w *world) command(store string, args ...string) (string, error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, the.triangle, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+the.cluster.Kubeconfig(), "TRIANGLE_EVENTSTORE=esdb://"+store+"?tls=false")
	out, err := cmd.CombinedOutput()
	w.Logf("$ triangle %s\n%s", strings.Join(args, " "), out)
	return string(out), err
}

// mustCommand is command, which has to succeed.
func (w *world) mustCommand(store string, args ...string) {
	w.Helper()
	if _, err := w.command(store, args...); err != nil {
		w.Fatal(err)
	}
}
