package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// The parts know each other by certificates of one authority: a server at the node's
// address, and who calls it by user and groups.
func TestThePartsKnowEachOther(t *testing.T) {
	c := newCluster(Options{Dir: t.TempDir()})
	if err := os.MkdirAll(c.path("config"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.identify(); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	text, err := os.ReadFile(c.cert("ca"))
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("the authority's certificate: %v", err)
	}
	server := leaf(t, c, "kube-apiserver")
	for _, name := range []string{nodeAddress, apiService, "kubernetes.default.svc"} {
		if _, err := server.Verify(x509.VerifyOptions{Roots: pool, DNSName: name}); err != nil {
			t.Errorf("the API server at %s: %v", name, err)
		}
	}
	kubelet := leaf(t, c, "kubelet").Subject
	if kubelet.CommonName != "system:node:triangle" || strings.Join(kubelet.Organization, ",") != "system:nodes" {
		t.Errorf("the kubelet is %s, want the node among the nodes", kubelet)
	}
	if masters := leaf(t, c, "coredns").Subject.Organization; len(masters) > 0 {
		t.Errorf("the name server is one of %v", masters)
	}
}

func leaf(t *testing.T, c *Cluster, name string) *x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.cert(name), c.key(name))
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

// A certificate is good for a call in both directions.
func TestACallIsMadeWithTheCertificates(t *testing.T) {
	dir := t.TempDir()
	a, err := newAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.issue("server", identity{user: "server", ips: []net.IP{net.IPv4(127, 0, 0, 1)}}), a.issue("client", identity{user: "jane"})); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	load := func(name string) []tls.Certificate {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{pair}
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: load("server"), ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert})
	if err != nil {
		t.Fatal(err)
	}
	who := make(chan string, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who <- r.TLS.PeerCertificates[0].Subject.CommonName })}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: load("client")}}}
	answer, err := client.Get("https://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if name := <-who; name != "jane" {
		t.Errorf("the server was called by %q", name)
	}
}

func TestConfigurationsAreFilledIn(t *testing.T) {
	c := newCluster(Options{Dir: "/somewhere"})
	for name, want := range map[string]string{
		"containerd.toml": `address = "/somewhere/containerd.sock"`,
		"kubelet.yaml":    "unix:///somewhere/containerd.sock",
		"ptp.conflist":    `"dataDir": "/somewhere/cni-addresses"`,
		"Corefile":        "kubeconfig /somewhere/config/coredns.kubeconfig",
		"cluster.yaml":    "path: /somewhere/volumes/pod-00",
	} {
		text, err := fill(name, c.values())
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s (%v) has no %s:\n%s", name, err, want, text)
		}
		switch filepath.Ext(name) {
		case ".conflist":
			if !json.Valid(text) {
				t.Errorf("%s is no JSON", name)
			}
		case ".yaml":
			for _, document := range strings.Split(string(text), "\n---\n") {
				var any map[string]any
				if err := yaml.UnmarshalStrict([]byte(document), &any); err != nil {
					t.Errorf("%s: %v:\n%s", name, err, document)
				}
			}
		}
	}
	if _, err := fill("kubelet.yaml", map[string]any{}); err == nil {
		t.Error("a configuration was filled in with nothing")
	}
}

// A process is known by its id and its beginning: one that has taken the id of
// another is left alone.
func TestOnlyTheProcessThatWasStartedIsEnded(t *testing.T) {
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	p := newProcess("cat", cmd.Process.Pid)
	other := p
	other.Began++
	if !p.alive() || other.alive() {
		t.Errorf("alive: %t, and as another one %t", p.alive(), other.alive())
	}
	if err := other.end(t.Context(), time.Second); err != nil || !p.alive() {
		t.Errorf("another one's end: %v, and alive is %t", err, p.alive())
	}
	if err := p.end(t.Context(), 10*time.Second); err != nil || p.alive() {
		t.Errorf("its end: %v, and alive is %t", err, p.alive())
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("it ended with %v", err)
	}
	_ = stdin.Close()
}

// A part that does not take its leave is made to.
func TestAProcessThatDoesNotListenIsKilled(t *testing.T) {
	cmd := exec.Command("sh", "-c", "trap '' TERM; echo ready; while :; do read -r line || exit; done")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 6)); err != nil { // it does not listen from now on
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := newProcess("sh", cmd.Process.Pid).end(t.Context(), 300*time.Millisecond); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it ended with %v", err)
	}
}

// When a part ends early, waiting is over at once, and the error has its last words.
func TestAPartThatEndsEarlyIsQuoted(t *testing.T) {
	programs := t.TempDir()
	script := "#!/bin/sh\necho starting\necho 'the port is taken' >&2\nexit 3\n"
	if err := os.WriteFile(filepath.Join(programs, "etcd"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c := newCluster(Options{Dir: t.TempDir(), Programs: programs})
	if err := os.MkdirAll(c.path("logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.start(part{name: "etcd"}); err != nil {
		t.Fatal(err)
	}
	err := c.await(t.Context(), "it answers", func(context.Context) error { return errors.New("not yet") })
	for _, want := range []string{"it answers", "etcd has ended", "exit status 3", "the port is taken"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want it to say %q", err, want)
		}
	}
	if left, err := readState(c.dir); err != nil || len(left.Processes) != 1 || left.held() {
		t.Errorf("what is written down is %+v (%v)", left, err)
	}
}

func TestWhatIsMissingIsTold(t *testing.T) {
	dir := t.TempDir()
	c := newCluster(Options{Dir: dir, Programs: dir})
	if err := c.start(part{name: "kubelet"}); !errors.Is(err, ErrNoPrograms) {
		t.Errorf("without programs: %v", err)
	}
	if _, err := Open(Options{Dir: filepath.Join(dir, "none")}); !errors.Is(err, ErrNone) {
		t.Errorf("without a cluster: %v", err)
	}
	if err := Use("/elsewhere/kubeconfig", Options{Dir: dir}).Load(t.Context(), "x.tar"); !errors.Is(err, ErrForeign) {
		t.Errorf("on another's node: %v", err)
	}
	if err := Use("/elsewhere/kubeconfig", Options{Dir: dir}).Stop(t.Context()); err != nil {
		t.Errorf("another's cluster goes on: %v", err)
	}
}

// There is one cluster at a time. One whose owner is gone holds no place.
func TestAPlaceIsHeldAsLongAsItsOwnerLives(t *testing.T) {
	dir := t.TempDir()
	gone := newProcess("gone", os.Getpid())
	gone.Began++
	for name, tc := range map[string]struct {
		left state
		held bool
	}{
		"its owner lives":                    {state{Owner: newProcess("owner", os.Getpid())}, true},
		"its owner was killed":               {state{Owner: gone, Processes: []process{newProcess("self", os.Getpid())}}, false},
		"it was let go, and lives":           {state{Processes: []process{gone, newProcess("self", os.Getpid())}}, true},
		"it was let go, and has ended since": {state{Processes: []process{gone}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.left.write(dir); err != nil {
				t.Fatal(err)
			}
			read, err := readState(dir)
			if err != nil || read.held() != tc.held {
				t.Errorf("held is %t (%v), want %t", read.held(), err, tc.held)
			}
		})
	}
}
