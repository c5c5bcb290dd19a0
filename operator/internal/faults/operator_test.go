package faults_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// operator is a process of triangle-operator, with a way of its own to the API server
// that counts what it writes.
type operator struct {
	*process
	writes *writes
}

// writes are what somebody has written to the API server, leases and events apart,
// and whether it was taken.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) note(r *http.Response) error {
	if path := r.Request.URL.Path; r.Request.Method != http.MethodGet && r.StatusCode < 300 && !strings.Contains(path, "/leases") && !strings.HasSuffix(path, "/events") {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all = append(w.all, r.Request.Method+" "+path)
	}
	return nil
}

// of are those to a kind.
func (w *writes) of(kind string) (some []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.all {
		if strings.Contains(one, "/"+kind) {
			some = append(some, one)
		}
	}
	return some
}

// operate runs the operator that may do what the manifests let it do.
func (w *world) operate(name string, more ...string) *operator {
	w.Helper()
	o := &operator{writes: &writes{}}
	file := filepath.Join(w.data, name+".kubeconfig")
	config := api.NewConfig()
	config.Clusters["api"] = &api.Cluster{Server: serveAPI(w.T, w.rights, o.writes)}
	config.Contexts["api"] = &api.Context{Cluster: "api"}
	config.CurrentContext = "api"
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		w.Fatal(err)
	}
	args := []string{
		"--namespaces", w.namespace, "--home-namespace", w.namespace, "--metrics-addr", "0", "--health-addr", "0",
		"--watch-every", "1s", "--lease-duration", "6s", "--renew-deadline", "4s", "--retry-period", "500ms",
	}
	if len(more) == 0 {
		more = []string{"--no-leader-elect"}
	}
	o.process = w.launch(name, program(w.T, "triangle-operator"), slices.Concat(args, more), "KUBECONFIG="+file)
	return o
}

// serveAPI is the API server as somebody sees it.
func serveAPI(t *testing.T, who *rest.Config, seen *writes) string {
	t.Helper()
	to, err := url.Parse(who.Host)
	if err != nil {
		t.Fatal(err)
	}
	if to.Scheme == "" {
		to, _ = url.Parse("https://" + who.Host)
	}
	transport, err := rest.TransportFor(who)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:      transport,
		FlushInterval:  -1,
		ModifyResponse: seen.note,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // of who hung up
	})
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

// leader is who leads, as replicas name themselves; empty when nobody does.
func (w *world) leader() string {
	w.Helper()
	lease := &coordinationv1.Lease{}
	err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "triangle-operator"}, lease)
	if client.IgnoreNotFound(err) != nil {
		w.Fatal(err)
	}
	if err != nil || lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// awaitLeader waits until another one than somebody leads.
func (w *world) awaitLeader(other string) (leader string) {
	w.Helper()
	w.await("another leader than "+other, func() bool {
		leader = w.leader()
		return leader != "" && leader != other
	})
	return leader
}
