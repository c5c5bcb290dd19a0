package serve

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/triangle-suite/triangle/services/internal/fault"
)

// readiness tells whether the service can do its work now, over REST and as
// gRPC's health alike.
type readiness struct {
	checks   []Check
	timeout  time.Duration
	log      *slog.Logger
	health   *health.Server
	services []string // whose health it is; "" is the server's own
	probes   singleflight.Group

	mu       sync.Mutex
	stopping bool
	failing  map[string]bool
}

// report is what /readyz answers.
type report struct {
	Status string            `json:"status"` // ready, not ready, stopping
	Checks map[string]string `json:"checks"` // by name: ok, failed, or failed: and what there is to say to everybody
	Failed []string          `json:"failed,omitempty"`
}

func newReadiness(checks []Check, timeout time.Duration, log *slog.Logger, state *health.Server, services []string) *readiness {
	r := &readiness{
		checks: checks, timeout: timeout, log: log, health: state,
		services: append([]string{""}, services...), failing: map[string]bool{},
	}
	r.tell(healthv1.HealthCheckResponse_NOT_SERVING)
	return r
}

// probe runs the checks. Probes that come at one time share one run, so that
// nobody can wear the store out by asking.
func (r *readiness) probe(ctx context.Context) report {
	found, _, _ := r.probes.Do("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
		defer cancel()
		return r.conclude(ctx, r.run(ctx)), nil
	})
	return found.(report)
}

// run returns each check's error.
func (r *readiness) run(ctx context.Context) []error {
	results := make([]error, len(r.checks))
	var all sync.WaitGroup
	for i, check := range r.checks {
		all.Go(func() {
			_, results[i] = recovered(func() (any, error) { return nil, check.Check(ctx) })
		})
	}
	all.Wait()
	return results
}

func (r *readiness) conclude(ctx context.Context, results []error) report {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := report{Status: "ready", Checks: map[string]string{}}
	for i, check := range r.checks {
		out.Checks[check.Name] = "ok"
		if results[i] != nil {
			out.Checks[check.Name] = failed(results[i])
			out.Failed = append(out.Failed, check.Name)
		}
		r.note(ctx, check.Name, results[i])
	}
	slices.Sort(out.Failed)
	switch {
	case r.stopping:
		out.Status = "stopping"
	case len(out.Failed) > 0:
		out.Status = "not ready"
		r.tell(healthv1.HealthCheckResponse_NOT_SERVING)
	default:
		r.tell(healthv1.HealthCheckResponse_SERVING)
	}
	return out
}

// failed says that a check failed, and why if the error was written for callers.
func failed(err error) string {
	if refused, ok := errors.AsType[*fault.Error](err); ok {
		return "failed: " + refused.Message
	}
	return "failed"
}

// note logs a check's turn for the worse or the better, with the error that the
// answer keeps to itself: it may name hosts, and the port is the API's.
func (r *readiness) note(ctx context.Context, name string, err error) {
	switch {
	case err != nil && !r.failing[name]:
		r.log.WarnContext(ctx, "a readiness check fails", "check", name, "error", err.Error())
	case err == nil && r.failing[name]:
		r.log.InfoContext(ctx, "a readiness check passes again", "check", name)
	}
	r.failing[name] = err != nil
}

func (r *readiness) tell(state healthv1.HealthCheckResponse_ServingStatus) {
	for _, service := range r.services {
		r.health.SetServingStatus(service, state)
	}
}

// stop makes the service not ready, for good.
func (r *readiness) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
	r.health.Shutdown()
}

// ServeHTTP answers /readyz.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	found := r.probe(req.Context())
	code := http.StatusOK
	if found.Status != "ready" {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, "application/json", found)
}

// alive answers /healthz: the process runs, whatever it can reach.
func alive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "alive"})
}

func writeJSON(w http.ResponseWriter, code int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) //nolint:forbidigo // it can't be: what is written here is made of strings and numbers
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	// A caller that is gone reads no answer, and there is nobody else to tell.
	_, _ = w.Write(append(body, '\n'))
}

// healthServer is gRPC's health service. A check probes, as /readyz does; a
// watcher learns of each probe's result.
type healthServer struct {
	*health.Server
	readiness *readiness
}

// Check implements the health service.
func (h healthServer) Check(ctx context.Context, req *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	h.readiness.probe(ctx)
	return h.Server.Check(ctx, req)
}
