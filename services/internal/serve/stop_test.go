package serve_test

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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/serve"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// held is an API whose GetContact waits to be let go.
type held struct {
	api
	entered, release chan struct{}
}

func newHeld() *held {
	h := &held{entered: make(chan struct{}, 2), release: make(chan struct{})}
	h.get = func(ctx context.Context, req *channelv1.GetContactRequest) (*channelv1.GetContactResponse, error) {
		h.entered <- struct{}{}
		select {
		case <-h.release:
			return &channelv1.GetContactResponse{Contact: &channelv1.Contact{ContactId: req.GetContactId()}}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return h
}

func TestAStopLetsCallsUnderWayFinish(t *testing.T) {
	h := newHeld()
	workerStopped := make(chan struct{})
	s := run(t, &h.api, func(o *serve.Options) {
		o.Workers = []serve.Worker{{Name: "intake", Run: func(ctx context.Context) error {
			<-ctx.Done()
			close(workerStopped)
			return ctx.Err()
		}}}
	})
	rest, rpc := make(chan answer, 1), make(chan error, 1)
	go func() {
		a, err := s.try(context.Background(), "GET", "/v1/contacts/c1", "")
		if err != nil {
			a.body = err.Error()
		}
		rest <- a
	}()
	go func() {
		_, err := s.grpc.GetContact(context.Background(), &channelv1.GetContactRequest{ContactId: "c1"})
		rpc <- err
	}()
	<-h.entered
	<-h.entered

	s.end()
	// Not ready, yet alive; no new call is let in.
	eventually(t, "the end of readiness", func() bool { return s.do("GET", "/readyz", "").code == 503 })
	if got := s.do("GET", "/readyz", "").json(t)["status"]; got != "stopping" {
		t.Errorf("readiness %v", got)
	}
	if got := s.do("GET", "/healthz", ""); got.code != 200 {
		t.Errorf("health %d", got.code)
	}
	eventually(t, "the refusal of a new call", func() bool {
		got := s.do("POST", "/v1/contacts", "{}", "Idempotency-Key", "k")
		return got.code == 503 && readProblem(t, got).Reason == "STOPPING"
	})
	select {
	case <-workerStopped:
		t.Error("a worker was stopped before the calls had ended")
	case <-s.ended:
		t.Error("the service ended before the calls had")
	default:
	}

	close(h.release)
	if got := <-rest; got.code != 200 {
		t.Errorf("REST: %d %s", got.code, got.body)
	}
	if err := <-rpc; err != nil {
		t.Errorf("gRPC: %v", err)
	}
	wait(t, "the end of the service", s.ended)
	wait(t, "the end of the worker", workerStopped)
	if s.err != nil {
		t.Errorf("Run returned %v", s.err)
	}
}

func TestAStopCutsOffCallsThatDoNotEnd(t *testing.T) {
	h := newHeld()
	s := run(t, &h.api, func(o *serve.Options) { o.StopTimeout = 50 * time.Millisecond })
	rest, rpc := make(chan int, 1), make(chan error, 1)
	go func() {
		a, _ := s.try(context.Background(), "GET", "/v1/contacts/c1", "")
		rest <- a.code
	}()
	go func() {
		_, err := s.grpc.GetContact(context.Background(), &channelv1.GetContactRequest{ContactId: "c1"})
		rpc <- err
	}()
	<-h.entered
	<-h.entered
	if err := s.stop(); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Run returned %v", err)
	}
	if code := <-rest; code != http.StatusServiceUnavailable && code != 499 {
		t.Errorf("REST: %d", code)
	}
	if err := <-rpc; status.Code(err) != codes.Unavailable {
		t.Errorf("gRPC: %v", err)
	}
}

func TestAWorkerThatFailsEndsTheService(t *testing.T) {
	broken := errors.New("the checkpoint is another store's")
	otherStopped := make(chan struct{})
	s := run(t, &api{}, func(o *serve.Options) {
		o.Workers = []serve.Worker{
			{Name: "done at once", Run: func(context.Context) error { return nil }},
			{Name: "contacts", Run: func(context.Context) error { return broken }},
			{Name: "other", Run: func(ctx context.Context) error {
				<-ctx.Done()
				close(otherStopped)
				return nil
			}},
		}
	})
	wait(t, "the end of the service", s.ended)
	wait(t, "the end of the other worker", otherStopped)
	if !errors.Is(s.err, broken) || !strings.Contains(s.err.Error(), "worker contacts") {
		t.Errorf("Run returned %v", s.err)
	}
}

// lastExporter notes when it is shut down.
type lastExporter struct {
	*tracetest.InMemoryExporter
	ended func(string)
}

func (e lastExporter) Shutdown(context.Context) error {
	e.ended("traces")
	return errors.New("no collector")
}

func TestTracesAreFlushedLastAndFailNothing(t *testing.T) {
	var order []string // written by one after the other, read after the end
	ended := func(what string) { order = append(order, what) }
	logs := &buffer{}
	tel, err := telemetry.Start(t.Context(), telemetry.Settings{Exporter: lastExporter{tracetest.NewInMemoryExporter(), ended}, Output: logs})
	if err != nil {
		t.Fatal(err)
	}
	s := run(t, &api{}, func(o *serve.Options) {
		o.Telemetry = tel
		o.Workers = []serve.Worker{{Name: "intake", Run: func(ctx context.Context) error {
			<-ctx.Done()
			ended("worker")
			return nil
		}}}
	})
	if err := s.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if diff := cmp.Diff([]string{"worker", "traces"}, order); diff != "" {
		t.Error(diff)
	}
	if lines := logs.lines(t, "telemetry is incomplete"); len(lines) != 1 {
		t.Errorf("logged %s", logs)
	}
}

func TestAWorkerThatPanicsEndsTheService(t *testing.T) {
	s := run(t, &api{}, func(o *serve.Options) {
		o.Workers = []serve.Worker{{Name: "contacts", Run: func(context.Context) error { panic("no such row") }}}
	})
	wait(t, "the end of the service", s.ended)
	if s.err == nil || !strings.Contains(s.err.Error(), "worker contacts: panic: no such row") {
		t.Errorf("Run returned %v", s.err)
	}
}

func TestAWorkerThatDoesNotStopIsNamed(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	s := run(t, &api{}, func(o *serve.Options) {
		o.StopTimeout = 20 * time.Millisecond
		o.Workers = []serve.Worker{{Name: "deaf", Run: func(context.Context) error {
			<-release
			return nil
		}}}
	})
	if err := s.stop(); err == nil || !strings.Contains(err.Error(), "deaf") {
		t.Errorf("Run returned %v", err)
	}
}

func TestAWorkerThatFailsWhileStoppingIsTold(t *testing.T) {
	broken := errors.New("the last batch was not written")
	s := run(t, &api{}, func(o *serve.Options) {
		o.Workers = []serve.Worker{{Name: "contacts", Run: func(ctx context.Context) error {
			<-ctx.Done()
			return broken
		}}}
	})
	if err := s.stop(); !errors.Is(err, broken) {
		t.Errorf("Run returned %v", err)
	}
}

func TestAnAddressInUseIsOneClearLine(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for variable, change := range map[string]func(*serve.Options){
		"TRIANGLE_HTTP_ADDR": func(o *serve.Options) { o.HTTPAddr = taken.Addr().String() },
		"TRIANGLE_GRPC_ADDR": func(o *serve.Options) { o.GRPCAddr = taken.Addr().String() },
	} {
		o := options(t, &api{}, &buffer{})
		change(&o)
		err := serve.Run(t.Context(), o)
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), variable) ||
			!strings.Contains(err.Error(), taken.Addr().String()) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Run returned %v", err)
		}
	}
}

func TestOptionsThatAreMissingAreNamed(t *testing.T) {
	for name, remove := range map[string]func(*serve.Options){
		"Register": func(o *serve.Options) { o.Register = nil },
		"Gateway":  func(o *serve.Options) { o.Gateway = nil },
		"OpenAPI":  func(o *serve.Options) { o.OpenAPI = nil },
	} {
		o := options(t, &api{}, &buffer{})
		remove(&o)
		if err := serve.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// serviceMain is the main of a service that tests send signals to. It writes its
// addresses, and a line when a call has come in; the call ends when stdin does.
func serviceMain() int {
	h := newHeld()
	tel, err := telemetry.Start(context.Background(), telemetry.Settings{Service: "channel"})
	if err != nil {
		return 3
	}
	go func() {
		<-h.entered
		fmt.Println("entered")
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(h.release)
	}()
	o := serve.Options{
		HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0",
		Register: func(r grpc.ServiceRegistrar) { channelv1.RegisterChannelServiceServer(r, &h.api) },
		Gateway:  channelv1.RegisterChannelServiceHandler, OpenAPI: channelv1.OpenAPI, Telemetry: tel,
		Bound: func(at serve.Addresses) { _ = json.NewEncoder(os.Stdout).Encode(at) },
	}
	if err := serve.Run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is serviceMain in a process of its own, with one call under way.
type process struct {
	*exec.Cmd
	service *running
	stdin   io.Closer
	call    chan answer
}

func startProcess(t *testing.T) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0]), service: &running{t: t}, call: make(chan answer, 1)}
	p.Env = append(os.Environ(), "SERVE_TEST_MAIN=1")
	p.Stderr = &buffer{}
	stdin, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	p.stdin = stdin
	lines := bufio.NewScanner(stdout)
	var at serve.Addresses
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &at) != nil {
		t.Fatalf("no addresses: %s", p.Stderr)
	}
	p.service.dial(at)
	go func() {
		a, _ := p.service.try(context.Background(), "GET", "/v1/contacts/c1", "")
		p.call <- a
	}()
	if !lines.Scan() || lines.Text() != "entered" {
		t.Fatalf("no call came in: %s", p.Stderr)
	}
	return p
}

func (p *process) signalToStop(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of readiness", func() bool { return p.service.do("GET", "/readyz", "").code == 503 })
}

func TestASignalStopsInGoodOrder(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := startProcess(t)
		p.signalToStop(t, sig)
		if err := p.stdin.Close(); err != nil {
			t.Errorf("%s: %v", sig, err)
		}
		if got := <-p.call; got.code != 200 {
			t.Errorf("%s: the call under way got %d %s", sig, got.code, got.body)
		}
		if err := p.Wait(); err != nil {
			t.Errorf("%s: %v: %s", sig, err, p.Stderr)
		}
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	p := startProcess(t)
	p.signalToStop(t, syscall.SIGTERM)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", err)
	}
}
