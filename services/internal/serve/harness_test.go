package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/serve"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// TestMain lets a test run this very binary as a service, to send it signals.
func TestMain(m *testing.M) {
	if os.Getenv("SERVE_TEST_MAIN") != "" {
		os.Exit(serviceMain())
	}
	os.Exit(m.Run())
}

// api is the channel's API with a body for the methods that tests call.
type api struct {
	channelv1.UnimplementedChannelServiceServer
	start    func(context.Context, *channelv1.StartContactRequest) (*channelv1.StartContactResponse, error)
	get      func(context.Context, *channelv1.GetContactRequest) (*channelv1.GetContactResponse, error)
	messages func(context.Context, *channelv1.ListMessagesRequest) (*channelv1.ListMessagesResponse, error)
}

func (a *api) StartContact(ctx context.Context, req *channelv1.StartContactRequest) (*channelv1.StartContactResponse, error) {
	if a.start == nil {
		return &channelv1.StartContactResponse{Contact: &channelv1.Contact{ContactId: "c1", Channel: req.GetChannel()}}, nil
	}
	return a.start(ctx, req)
}

func (a *api) GetContact(ctx context.Context, req *channelv1.GetContactRequest) (*channelv1.GetContactResponse, error) {
	if a.get == nil {
		return &channelv1.GetContactResponse{Contact: &channelv1.Contact{ContactId: req.GetContactId()}}, nil
	}
	return a.get(ctx, req)
}

func (a *api) ListMessages(ctx context.Context, req *channelv1.ListMessagesRequest) (*channelv1.ListMessagesResponse, error) {
	if a.messages == nil {
		return &channelv1.ListMessagesResponse{}, nil
	}
	return a.messages(ctx, req)
}

// options returns those of a service on free ports that logs into logs.
func options(t testing.TB, a *api, logs io.Writer) serve.Options {
	t.Helper()
	tel, err := telemetry.Start(t.Context(), telemetry.Settings{Service: "channel", Level: slog.LevelDebug, Output: logs})
	if err != nil {
		t.Fatal(err)
	}
	return serve.Options{
		HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0",
		Register:  func(r grpc.ServiceRegistrar) { channelv1.RegisterChannelServiceServer(r, a) },
		Gateway:   channelv1.RegisterChannelServiceHandler,
		OpenAPI:   channelv1.OpenAPI,
		Telemetry: tel,
	}
}

// running is a service under test.
type running struct {
	t    testing.TB
	url  string
	conn *grpc.ClientConn
	grpc channelv1.ChannelServiceClient
	logs *buffer

	end   context.CancelFunc
	ended chan struct{}
	err   error // of Run, once ended is closed
}

// run starts a service, and stops it at the test's end if it still runs.
func run(t testing.TB, a *api, change ...func(*serve.Options)) *running {
	t.Helper()
	r := &running{t: t, logs: &buffer{}, ended: make(chan struct{})}
	o := options(t, a, r.logs)
	bound := make(chan serve.Addresses, 1)
	o.Bound = func(at serve.Addresses) { bound <- at }
	for _, f := range change {
		f(&o)
	}
	var ctx context.Context
	ctx, r.end = context.WithCancel(context.Background())
	go func() {
		defer close(r.ended)
		r.err = serve.Run(ctx, o)
	}()
	t.Cleanup(func() {
		r.end()
		wait(t, "the end of the service", r.ended)
	})
	select {
	case at := <-bound:
		r.dial(at)
	case <-r.ended:
		t.Fatalf("the service did not start: %v", r.err)
	}
	return r
}

func (r *running) dial(at serve.Addresses) {
	r.t.Helper()
	conn, err := grpc.NewClient(at.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	r.url, r.conn, r.grpc = "http://"+at.HTTP, conn, channelv1.NewChannelServiceClient(conn)
}

// stop stops the service and returns what Run returned.
func (r *running) stop() error {
	r.t.Helper()
	r.end()
	wait(r.t, "the end of the service", r.ended)
	return r.err
}

// answer is a REST response.
type answer struct {
	code   int
	header http.Header
	body   string
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	return v
}

// do sends a REST request; headers are name, value, name, value.
func (r *running) do(method, path, body string, headers ...string) answer {
	r.t.Helper()
	a, err := r.try(context.Background(), method, path, body, headers...)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *running) try(ctx context.Context, method, path, body string, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	read, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(read)}, err
}

func wait(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
	}
}

// eventually polls for what no channel tells of.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not come", what)
		}
	}
}

// buffer is a bytes.Buffer for a logger that runs beside the test.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// lines returns the log's lines with this message.
func (b *buffer) lines(t testing.TB, message string) []map[string]any {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []map[string]any
	for line := range strings.Lines(b.b.String()) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("the log line %q is not JSON: %v", line, err)
		}
		if v["msg"] == message {
			found = append(found, v)
		}
	}
	return found
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
