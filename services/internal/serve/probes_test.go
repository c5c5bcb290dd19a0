package serve_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/serve"
)

// What keeps a service from being ready is said to everybody where it was written
// for everybody, as is how far a rebuild has come.
func TestReadinessSaysWhatIsMeantForCallers(t *testing.T) {
	s := run(t, &api{}, func(o *serve.Options) {
		o.Checks = []serve.Check{{Name: "flows", Check: func(context.Context) error {
			return fmt.Errorf("on 10.1.2.3: %w", fault.Unavailable("rebuilding crm, 40 %%"))
		}}}
	})
	got := s.do("GET", "/readyz", "")
	if checks, _ := got.json(t)["checks"].(map[string]any); got.code != 503 || checks["flows"] != "failed: rebuilding crm, 40 %" {
		t.Errorf("not ready: %d %s", got.code, got.body)
	}
}

func TestReadinessFollowsItsChecksOnBothPorts(t *testing.T) {
	var broken atomic.Bool
	s := run(t, &api{}, func(o *serve.Options) {
		o.Checks = []serve.Check{
			{Name: "database", Check: func(context.Context) error { return nil }},
			{Name: "store", Check: func(context.Context) error {
				if broken.Load() {
					return errors.New("no route to 10.1.2.3")
				}
				return nil
			}},
		}
	})
	health := healthv1.NewHealthClient(s.conn)
	for _, tc := range []struct {
		broken bool
		code   int
		status string
		store  string
		health healthv1.HealthCheckResponse_ServingStatus
	}{
		{false, 200, "ready", "ok", healthv1.HealthCheckResponse_SERVING},
		{true, 503, "not ready", "failed", healthv1.HealthCheckResponse_NOT_SERVING},
		{false, 200, "ready", "ok", healthv1.HealthCheckResponse_SERVING},
	} {
		broken.Store(tc.broken)
		got := s.do("GET", "/readyz", "")
		body := got.json(t)
		checks := body["checks"].(map[string]any)
		if got.code != tc.code || body["status"] != tc.status || checks["store"] != tc.store || checks["database"] != "ok" {
			t.Errorf("broken %t: %d %s", tc.broken, got.code, got.body)
		}
		if strings.Contains(got.body, "10.1.2.3") {
			t.Errorf("the answer gives away what is within: %s", got.body)
		}
		if got := s.do("GET", "/healthz", ""); got.code != 200 {
			t.Errorf("broken %t: not alive, %d", tc.broken, got.code)
		}
		for _, service := range []string{"", "channel.v1.ChannelService"} {
			resp, err := health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
			if err != nil || resp.GetStatus() != tc.health {
				t.Errorf("broken %t: health of %q is %v, %v", tc.broken, service, resp.GetStatus(), err)
			}
		}
	}
	// One line per turn, however often it was asked.
	if lines := s.logs.lines(t, "a readiness check fails"); len(lines) != 1 || lines[0]["error"] != "no route to 10.1.2.3" || lines[0]["check"] != "store" {
		t.Errorf("logged %v", lines)
	}
	if lines := s.logs.lines(t, "a readiness check passes again"); len(lines) != 1 {
		t.Errorf("logged %v", lines)
	}
}

func TestACheckThatHangsOrPanicsHasFailed(t *testing.T) {
	s := run(t, &api{}, func(o *serve.Options) {
		o.CheckTimeout = 10 * time.Millisecond
		o.Checks = []serve.Check{
			{Name: "slow", Check: func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}},
			{Name: "mad", Check: func(context.Context) error { panic("no connection") }},
			{Name: "well", Check: func(context.Context) error { return nil }},
		}
	})
	got := s.do("GET", "/readyz", "")
	if got.code != 503 || !strings.Contains(got.body, `"failed":["mad","slow"]`) {
		t.Errorf("%d %s", got.code, got.body)
	}
}

func TestAWatcherOfHealthEndsWithTheService(t *testing.T) {
	s := run(t, &api{}, func(o *serve.Options) { o.StopTimeout = time.Minute })
	watch, err := healthv1.NewHealthClient(s.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := watch.Recv(); err != nil || first.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("%v, %v", first, err)
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	for err == nil {
		_, err = watch.Recv()
	}
	if code := status.Code(err); code != codes.Canceled && code != codes.Unavailable {
		t.Errorf("the watcher got %v", err)
	}
}

func TestReflectionListsTheAPI(t *testing.T) {
	s := run(t, &api{})
	stream, err := reflectionv1.NewServerReflectionClient(s.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	resp, err := stream.Recv()
	if err != nil || !strings.Contains(resp.String(), "channel.v1.ChannelService") {
		t.Errorf("%v, %v", resp, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}

func TestNothingOfARequestIsLogged(t *testing.T) {
	s := run(t, &api{})
	body := `{"claims":{"email":"jane.doe@example.org"}}`
	s.do("POST", "/v1/contacts", body, "Idempotency-Key", "k")
	s.do("POST", "/v1/contacts", body)
	s.do("POST", "/v1/contacts", `{"jane.doe@example.org": 1}`, "Idempotency-Key", "k")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.logs.String(), "jane") {
		t.Errorf("logged %s", s.logs)
	}
}

func TestCallsThatCannotBeAnsweredForNowAreRefusedAndProbesAreNot(t *testing.T) {
	var hindrance atomic.Pointer[error]
	s := run(t, &api{}, func(o *serve.Options) {
		o.Available = func() error {
			if err := hindrance.Load(); err != nil {
				return *err
			}
			return nil
		}
	})
	call := func() error {
		_, err := channelv1.NewChannelServiceClient(s.conn).GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: "c1"})
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	rebuilding := errors.New("rebuilding crm, 40 %")
	hindrance.Store(&rebuilding)
	if err := call(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "rebuilding crm, 40 %") {
		t.Errorf("over gRPC the answer is %v", err)
	}
	if got := s.do("GET", "/v1/contacts/c1", ""); got.code != 503 || !strings.Contains(got.body, "rebuilding crm, 40 %") {
		t.Errorf("over REST the answer is %d %s", got.code, got.body)
	}
	if _, err := healthv1.NewHealthClient(s.conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Errorf("health answers %v", err)
	}
	hindrance.Store(nil)
	if err := call(); err != nil {
		t.Errorf("afterwards the answer is %v", err)
	}
}
