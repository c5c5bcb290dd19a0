package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// helper is the variable that makes the test's binary one of the processes that
// the tests run.
const helper = "TRIANGLE_SUPERVISE_HELPER"

func TestMain(m *testing.M) {
	if role := os.Getenv(helper); role != "" {
		if err := play(role, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		return
	}
	os.Exit(m.Run())
}

// play is the main function of the processes that the tests run.
func play(role string, args []string) error {
	switch role {
	case "serve":
		return serve(args[0])
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		return serve(args[0])
	case "broken":
		return errors.New("line one\nthe database is upside down")
	case "parent":
		return parent(args)
	default:
		return fmt.Errorf("no role %q", role)
	}
}

func serve(addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: addr, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, os.Getpid())
	})}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		fmt.Fprintf(os.Stderr, "stopped %s\n", time.Now().Format(time.RFC3339Nano))
		return nil
	}
}

// parent runs children until it is killed.
func parent(args []string) error {
	g := New(Options{})
	for i, addr := range args {
		if err := g.Start(context.Background(), specOf("serve", fmt.Sprintf("%s-%d", os.Getenv("LOG"), i), addr)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(os.Stdout, "ready")
	<-make(chan struct{})
	return err
}

func specOf(role, log, addr string) Spec {
	return Spec{
		Name: role, Path: os.Args[0], Args: []string{addr}, Env: append(os.Environ(), helper+"="+role), Log: log,
		Listens: []string{addr}, Ready: "http://" + addr + "/",
	}
}

type fixture struct {
	t   *testing.T
	dir string

	mu   sync.Mutex
	said []string
	pids []int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes real processes")
	}
	return &fixture{t: t, dir: t.TempDir()}
}

func (f *fixture) group(o Options) *Group {
	o.Say = func(line string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.said = append(f.said, line)
	}
	o.Started = func(_ string, pid int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.pids = append(f.pids, pid)
	}
	g := New(o)
	f.t.Cleanup(g.Stop)
	return g
}

func (f *fixture) log(name string) string { return filepath.Join(f.dir, name+".log") }

func (f *fixture) spec(role string) Spec { return specOf(role, f.log(role), freeAddr(f.t)) }

func (f *fixture) words() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.said, "\n")
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addrs, err := FreeAddrs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

func answers(addr string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return probe(ctx, "http://"+addr+"/") == nil
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("it does not come true that %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestStagesStopInTheOppositeOrder(t *testing.T) {
	f := newFixture(t)
	g := f.group(Options{})
	store, service := f.spec("serve"), f.spec("serve")
	store.Log, service.Log = f.log("store"), f.log("service")
	for _, spec := range []Spec{store, service} {
		if err := g.Start(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	g.Stop()
	if answers(store.Listens[0]) || answers(service.Listens[0]) {
		t.Error("a child has outlived the group")
	}
	if first, second := stoppedAt(t, service.Log), stoppedAt(t, store.Log); !first.Before(second) {
		t.Errorf("the service stopped at %s, the store at %s", first, second)
	}
}

func stoppedAt(t *testing.T, log string) time.Time {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	_, at, _ := strings.Cut(strings.TrimSpace(string(text)), "stopped ")
	stopped, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		t.Fatalf("%s: %v", log, err)
	}
	return stopped
}

func TestAPortInUseIsNamed(t *testing.T) {
	f := newFixture(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	addr := listener.Addr().String()

	err = f.group(Options{}).Start(t.Context(), specOf("serve", f.log("serve"), addr))
	if !errors.Is(err, ErrPortInUse) || !strings.Contains(err.Error(), "serve: "+addr) {
		t.Errorf("got %v", err)
	}
}

func TestAChildThatDoesNotStartTellsItsLastLines(t *testing.T) {
	f := newFixture(t)
	well := f.spec("serve")
	err := f.group(Options{}).Start(t.Context(), well, f.spec("broken"))
	if !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the database is upside down") {
		t.Errorf("got %v", err)
	}
	if answers(well.Listens[0]) {
		t.Error("the rest of the stage still runs")
	}
}

func TestAChildThatDoesNotGetReadyIsGivenUp(t *testing.T) {
	f := newFixture(t)
	spec := f.spec("serve")
	spec.Ready = "http://" + freeAddr(t) + "/nobody"
	err := f.group(Options{StartTimeout: 200 * time.Millisecond}).Start(t.Context(), spec)
	if !errors.Is(err, ErrNotReady) {
		t.Errorf("got %v", err)
	}
	if answers(spec.Listens[0]) {
		t.Error("it still runs")
	}
}

// One that says how it gets on is waited for, however long it takes, and what it
// says is told.
func TestAChildThatGetsOnIsWaitedFor(t *testing.T) {
	f := newFixture(t)
	asked := 0
	probed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked > 100 {
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, `{"checks": {"database": "ok", "flows": "failed: rebuilding crm, %d %%"}}`, asked)
	}))
	defer probed.Close()
	spec := f.spec("serve")
	spec.Ready = probed.URL
	if err := f.group(Options{StartTimeout: 80 * probePause}).Start(t.Context(), spec); err != nil {
		t.Error(err)
	}
	if want := spec.Name + " is not ready yet: rebuilding crm, 1 %"; f.words() != want {
		t.Errorf("told %q, want %q", f.words(), want)
	}
}

func TestAChildThatDiesIsStartedAgain(t *testing.T) {
	f := newFixture(t)
	g := f.group(Options{FirstPause: time.Millisecond})
	spec := f.spec("serve")
	if err := g.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	for death := 1; death <= 2; death++ {
		f.mu.Lock()
		pid := f.pids[len(f.pids)-1]
		f.mu.Unlock()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is started again", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return len(f.pids) == death+1
		})
		eventually(t, "it answers again", func() bool { return answers(spec.Listens[0]) })
	}
	if got := f.words(); !strings.Contains(got, "serve ended (signal: killed); it is started again, its log is "+spec.Log) {
		t.Errorf("it was said: %s", got)
	}
	g.Stop()
	if answers(spec.Listens[0]) {
		t.Error("it outlived the group")
	}
}

func TestAChildThatDoesNotStopIsKilled(t *testing.T) {
	f := newFixture(t)
	g := f.group(Options{StopTimeout: 50 * time.Millisecond})
	spec := f.spec("stubborn")
	if err := g.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	g.Stop()
	if answers(spec.Listens[0]) {
		t.Error("it still runs")
	}
	if got := f.words(); !strings.Contains(got, "stubborn did not stop within 50ms; it is killed") {
		t.Errorf("it was said: %s", got)
	}
}

func TestChildrenEndWithAParentThatIsKilled(t *testing.T) {
	f := newFixture(t)
	addrs := []string{freeAddr(t), freeAddr(t)}
	cmd := exec.CommandContext(t.Context(), os.Args[0], addrs...)
	cmd.Env = append(os.Environ(), helper+"=parent", "LOG="+f.log("child"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the parent says %q, %v", line, err)
	}
	for _, addr := range addrs {
		if !answers(addr) {
			t.Fatalf("nobody answers at %s", addr)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the parent was not killed")
	}
	for _, addr := range addrs {
		eventually(t, "the child has ended", func() bool { return !answers(addr) })
	}
}
